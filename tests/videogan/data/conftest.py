"""A small real data set, its decoded cache, and the shared real clips where they are present."""

from pathlib import Path

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
    return make_moving_shapes(tmp_path_factory.mktemp("data") / "moving-shapes", n_clips_each=1, n_frames=20)


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
