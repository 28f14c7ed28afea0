"""Copies of any training window are found, also changed ones; real clips that no generator saw are not."""

import io
from collections.abc import Callable

import av
import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from tests.moving_textures import real_clips, textures
from videogan.data.clip_set import LabelledClips, RealClips, all_windows
from videogan.protocols.copies import (
    TrainingWindows,
    copies,
    labels_of_samples,
    load_training_windows,
    save_training_windows,
    training_windows,
)

Setup = tuple[RealClips, TrainingWindows]


@pytest.fixture(scope="module")
def setup() -> Setup:
    train, held_back = real_clips(textures(40, seed=0)), real_clips(textures(20, seed=1))
    return train, training_windows(train, {"select": held_back})


@pytest.fixture(scope="module")
def share(setup) -> Callable[[Tensor], float]:
    train, windows = setup

    def measured(frames: Tensor) -> float:
        samples = LabelledClips(frames, torch.zeros(len(frames), dtype=torch.int64), 1)
        return copies(samples, windows, train, "select")[0].share

    return measured


@pytest.fixture(scope="module")
def copied(setup) -> Tensor:
    """One random window of each training clip."""
    return all_windows(setup[0].random(seed=3))


def shifted(frames: Tensor, dy: int, dx: int) -> Tensor:
    """Frames (n, T, H, W, C) moved by whole pixels; the border repeats."""
    rows, columns = ((torch.arange(n) - d).clamp(0, n - 1) for n, d in zip(frames.shape[2:4], (dy, dx), strict=True))
    return frames[:, :, rows][:, :, :, columns]


def brightened(frames: Tensor, factor: float) -> Tensor:
    return (frames * factor).round().clamp(0, 255).to(torch.uint8)


def as_gif(frames: Tensor) -> Tensor:
    """Each frame coded as GIF: 256 colours, dithered."""
    return torch.from_numpy(np.stack([_gif(frame) for frame in frames.flatten(0, 1).numpy()])).view_as(frames)


def _gif(frame: np.ndarray) -> np.ndarray:
    file = io.BytesIO()
    Image.fromarray(frame).convert("P", palette=Image.Palette.ADAPTIVE).save(file, "GIF")
    return np.array(Image.open(file).convert("RGB"))


def as_h264(frames: Tensor, crf: int = 23) -> Tensor:
    """Coded as H.264 at half the resolution of colours."""
    clips = []
    for clip in frames.numpy():
        file = io.BytesIO()
        with av.open(file, "w", format="mp4") as coded:
            stream = coded.add_stream("libx264", rate=25, options={"crf": str(crf)})
            stream.height, stream.width, stream.pix_fmt = *clip.shape[1:3], "yuv420p"
            for frame in clip:
                coded.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
            coded.mux(stream.encode(None))
        file.seek(0)
        with av.open(file) as coded:
            clips.append(np.stack([frame.to_ndarray(format="rgb24") for frame in coded.decode(video=0)]))
    return torch.from_numpy(np.stack(clips))


CHANGES = {
    "same": lambda frames: frames,
    "mirrored": lambda frames: frames.flip(3),
    "shifted down": lambda frames: shifted(frames, 1, 0),
    "shifted up and left": lambda frames: shifted(frames, -1, -1),
    "mirrored and shifted": lambda frames: shifted(frames.flip(3), 0, 1),
    "brighter": lambda frames: brightened(frames, 1.2),
    "darker": lambda frames: brightened(frames, 0.8),
    "as gif": as_gif,
    "as h264": as_h264,
}


@pytest.mark.parametrize("change", CHANGES)
def test_copies_of_random_windows_are_found(change, share, copied):
    assert share(CHANGES[change](copied[::3])) == 1


def test_copies_of_centre_windows_are_found(share, setup):
    assert share(all_windows(setup[0].spaced(1))) == 1


def test_unseen_clips_noise_and_grey_are_no_copies(share, copied):
    unseen = all_windows(real_clips(textures(40, seed=2)).random(seed=0))
    assert share(unseen) == 0
    rng = torch.Generator().manual_seed(0)
    assert share(torch.randint(256, copied.shape, generator=rng, dtype=torch.uint8)) == 0
    assert share(torch.full_like(copied, 128)) == 0


def test_the_share_counts_the_copies_and_flags_a_generator_that_copies(setup, copied):
    train, windows = setup
    unseen = all_windows(real_clips(textures(40, seed=2)).random(seed=0))
    mixed = LabelledClips(torch.cat([copied[:12], unseen[:28]]), torch.zeros(40, dtype=torch.int64), 1)
    found, nearest = copies(mixed, windows, train, "select")
    assert found.share == pytest.approx(0.3)
    assert found.share > found.limit
    assert not nearest.distances[:12, 0].any()
    assert (found.n_samples, found.n_real, found.split) == (40, 80, "select")
    alone = copies(LabelledClips(unseen, torch.zeros(40, dtype=torch.int64), 1), windows, train, "select")[0]
    assert alone.share <= alone.limit
    assert alone.distance == pytest.approx(alone.real_distance, rel=0.2)


def test_what_is_cached_gives_the_same_share(setup, copied, tmp_path):
    train, windows = setup
    save_training_windows(tmp_path / "windows.pt", windows)
    read = load_training_windows(tmp_path / "windows.pt")
    samples = LabelledClips(copied, torch.zeros(len(copied), dtype=torch.int64), 1)
    assert copies(samples, read, train, "select")[0] == copies(samples, windows, train, "select")[0]


def test_samples_have_the_labels_of_training_clips_in_their_proportions(setup):
    assert labels_of_samples(setup[0], 200).bincount().tolist() == [100, 100]
