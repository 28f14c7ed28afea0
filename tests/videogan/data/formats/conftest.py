"""Tiny clips in the codecs and containers that the layouts are published in."""

from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from videogan.data.formats import layout_of
from videogan.data.formats.contract import Found, ImportOptions


def pictures(seed: int, n_frames: int = 4, height: int = 48, width: int = 64) -> np.ndarray:
    """uint8 (T, H, W, 3): soft colours by seed, one level brighter each frame; JPEG keeps them within 12."""
    y, x = np.mgrid[:height, :width] / width
    slopes = np.random.default_rng(seed).uniform(0, 60, (2, 3))
    first = 30 + x[..., None] * slopes[0] + y[..., None] * slopes[1]
    return (first + 5 * np.arange(n_frames)[:, None, None, None]).astype(np.uint8)


class Clips:
    """Writes clips of different content, in the order they are asked for."""

    def __init__(self) -> None:
        self.n_written = 0

    def next(self, **shape: int) -> np.ndarray:
        self.n_written += 1
        return pictures(self.n_written, **shape)

    def video(self, path: Path, codec: str = "mpeg4") -> Path:
        frames = self.next()
        path.parent.mkdir(parents=True, exist_ok=True)
        with av.open(str(path), "w") as container:
            stream = container.add_stream(codec, rate=25, options={"qscale": "2"})
            stream.height, stream.width, stream.pix_fmt = *frames.shape[1:3], "yuv420p"
            for image in frames:
                container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
            container.mux(stream.encode())
        return path

    def frames(self, folder: Path) -> np.ndarray:
        folder.mkdir(parents=True)
        frames = self.next()
        for number, image in enumerate(frames, 1):
            Image.fromarray(image).save(folder / f"{number:05d}.jpg", quality=95)
        return frames

    def strip(self, path: Path, axis: int) -> np.ndarray:
        frames = self.next(height=64)
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.concatenate(list(frames), axis=axis)).save(path, quality=95)
        return frames


@pytest.fixture
def clips() -> Clips:
    return Clips()


@pytest.fixture
def find(request: pytest.FixtureRequest) -> Callable[..., Found]:
    """Read a folder with the LAYOUT of the test's module, which must recognise the folder."""

    def found(folder: Path, **options: object) -> Found:
        layout = layout_of(folder)
        assert layout.NAME == request.module.LAYOUT
        return layout.find(folder, ImportOptions(**options))

    return found
