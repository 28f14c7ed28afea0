"""What tests share: a cache folder of their own, and one local Ray for the tests that ask for it."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from vgsearch.runtime.cluster import ENVIRONMENT, Resources, connect

# One thread, as in trials: two tests' worth of threads on two busy cores wait for each other more than they compute.
os.environ["OMP_NUM_THREADS"] = "1"
# Ray reads these when it is imported, which test modules do before any fixture runs.
os.environ.update({name: os.environ.get(name, value) for name, value in ENVIRONMENT.items()})


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """No test reads or writes the user's cache, and none joins a cluster that happens to run."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VGSEARCH_CACHE", str(folder))
        patch.delenv("RAY_ADDRESS", raising=False)
        yield folder


@pytest.fixture(scope="module")
def ray_cluster(_own_cache: Path) -> Iterator[Resources]:
    """A local Ray that lives for one test module."""
    with connect() as resources:
        yield resources
