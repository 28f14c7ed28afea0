"""A small real data set, its decoded cache, and the shared real clips where they are present."""

import pickle
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest

from videogan.data.cache import planned_shards, write_index, write_shard
from videogan.data.clips import ClipStore, open_cache
from videogan.data.decode import decode
from videogan.data.manifest import Manifest
from videogan.data.preprocessing import preprocessing_named
from videogan.data.synthetic import make_moving_shapes

SHARED = Path(__file__).parents[4] / "shared" / "data"


@pytest.fixture(scope="session")
def moving_shapes(tmp_path_factory) -> Manifest:
    return make_moving_shapes(
        tmp_path_factory.mktemp("data") / "moving-shapes", n_clips_each=1, n_groups=16, n_frames=20
    )


@pytest.fixture(scope="session")
def store(moving_shapes, tmp_path_factory) -> ClipStore:
    return decoded(moving_shapes, tmp_path_factory.mktemp("cache") / "clips")


@pytest.fixture
def blue_store(moving_shapes, tmp_path) -> ClipStore:
    """The clips of `store`, which are grey, in blue."""
    return decoded(moving_shapes, tmp_path / "blue", lambda frames: frames * np.array([0, 0, 1], np.uint8))


@pytest.fixture
def new_store(store) -> ClipStore:
    """`store` as another process opens it."""
    return pickle.loads(pickle.dumps(store))


def decoded(
    manifest: Manifest, folder: Path, shown: Callable[[np.ndarray], np.ndarray] = lambda frames: frames
) -> ClipStore:
    """A cache of a data set's files, of what `shown` makes of their frames."""
    plain = preprocessing_named("plain_32")
    paths = {row["sha"]: manifest.location(row["path"]) for row in manifest.usable.to_pylist()}
    shards = planned_shards(list(paths))
    for shard in shards:
        write_shard(folder, shard, ((sha, shown(decode(paths[sha], plain))) for sha in shard.shas))
    write_index(folder, plain, shards)
    return open_cache(folder, manifest)


@pytest.fixture
def shared_data() -> Path:
    if not SHARED.is_dir():
        pytest.skip(f"no real clips at {SHARED}")
    return SHARED


@pytest.fixture
def write_video() -> Callable[..., Path]:
    """Writes a real video file of some frames."""

    def write_video(path, frames, codec="libx264", ticks=None, options=None, title=None):
        """Frames (T, H, W, 3) at the given ticks of 1/25 s."""
        with av.open(str(path), "w") as container:
            if title is not None:
                container.metadata["title"] = title
            stream = container.add_stream(codec, rate=25, options=options or {})
            stream.height, stream.width = frames.shape[1:3]
            stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv444p" if frames.shape[1] % 2 else "yuv420p"
            for tick, image in zip(ticks or range(len(frames)), frames, strict=True):
                frame = av.VideoFrame.from_ndarray(image, format="rgb24")
                frame.pts = tick
                container.mux(stream.encode(frame))
            container.mux(stream.encode())
        return path

    return write_video
