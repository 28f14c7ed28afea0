"""Real clips in memory: smooth textures that drift, of different lengths, with any stride."""

from collections.abc import Iterable, Iterator

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from videogan.data.clip_set import RealClips
from videogan.data.windows import Selection, window

SIZE, T = 32, 8


def textures(n: int, seed: int, lengths: tuple[int, int] = (8, 40)) -> list[np.ndarray]:
    """`n` clips uint8 (L, 32, 32, 3), each of its own texture, drift and length."""
    rng = np.random.default_rng(seed)
    return [_texture(rng, int(rng.integers(lengths[0], lengths[1] + 1))) for _ in range(n)]


def _texture(rng: np.random.Generator, length: int) -> np.ndarray:
    coarse = torch.from_numpy(rng.uniform(60, 180, (1, 3, 12, 12)).astype(np.float32))
    whole = F.interpolate(coarse, (3 * SIZE, 3 * SIZE), mode="bicubic")[0].permute(1, 2, 0).clamp(30, 200)
    places = (SIZE + np.cumsum(rng.uniform(-1.5, 1.5, 2) + rng.normal(0, 0.5, (length, 2)), 0)).round().astype(int)
    return np.stack([whole[y : y + SIZE, x : x + SIZE].byte().numpy() for y, x in places.clip(0, 2 * SIZE)])


def real_clips(clips: list[np.ndarray], stride: int = 1) -> RealClips:
    """Clips of two classes as a split of a data set; those that are too short repeat their last frame."""
    n = len(clips)

    def read(selection: Selection, windows: Iterable[tuple[np.ndarray, np.ndarray]], n_frames: int) -> Iterator[Tensor]:
        for rows, starts in windows:
            taken = [window(clips[int(selection.shas[row])], start, n_frames, int(selection.strides[row]))
                     for row, start in zip(rows, starts, strict=True)]  # fmt: skip
            yield torch.from_numpy(np.stack(taken))

    names = tuple(str(i) for i in range(n))
    lengths = np.array([len(clip) for clip in clips])
    strides, labels = np.full(n, stride, np.int64), np.arange(n) % 2
    return RealClips(Selection(names, names, labels, names, lengths, strides, 2, ()), T, SIZE, read)
