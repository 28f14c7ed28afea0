"""A small real data set, its decoded cache, and the shared real clips where they are present."""

from collections.abc import Callable
from pathlib import Path

import av
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
    folder, plain = tmp_path_factory.mktemp("cache") / "clips", preprocessing_named("plain_32")
    paths = {row["sha"]: moving_shapes.location(row["path"]) for row in moving_shapes.usable.to_pylist()}
    shards = planned_shards(list(paths))
    for shard in shards:
        write_shard(folder, shard, ((sha, decode(paths[sha], plain)) for sha in shard.shas))
    write_index(folder, plain, shards)
    return open_cache(folder, moving_shapes)


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
