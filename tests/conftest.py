"""Fixtures: a cache folder for the tests, a local Ray for each file, and S3 servers."""

import json
import os
import re
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.s3_server import Holding, s3_server
from vgsearch.runtime.cluster.cluster import Resources, connect
from vgsearch.runtime.cluster.token import make_private

# One thread, as in trials: more threads on two busy cores spend their time waiting for each other.
os.environ["OMP_NUM_THREADS"] = "1"
# Ray runs its workers at niceness 15: beside any other busy process a trial would get a thirtieth of a core.
os.environ["RAY_worker_niceness"] = "0"  # noqa: SIM112 (the name that Ray reads)


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Keeps tests away from the user's cache and from a running Ray cluster, and makes Ray's token on a new machine."""
    make_private(create=True)
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


@pytest.fixture(scope="session")
def hparams_tab() -> Callable[[Path], tuple[dict[str, Any], list[dict[str, Any]]]]:
    """The columns of TensorBoard's HParams tab on a folder and its row for each trial.

    Read over TensorBoard's HTTP API.
    """
    pytest.importorskip("tensorboard")

    def shown(logdir: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        options = ["--port", "0", "--host", "127.0.0.1", "--load_fast", "false", "--reload_interval", "1"]
        command = [sys.executable, "-m", "tensorboard.main", "--logdir", str(logdir), *options]
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as board:
            try:
                address = next(
                    found[0] for line in board.stderr if (found := re.search(r"http://127\.0\.0\.1:\d+/", line))
                )
                return _asked(address, sum(1 for _ in logdir.glob("trials/*/tb")))
            finally:
                board.terminate()

    return shown


def _asked(address: str, n_rows: int) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Columns and rows, once TensorBoard has read `n_rows` of them."""

    def ask(what: str, **question: Any) -> dict[str, Any]:
        kind = {"Content-Type": "application/json"}
        request = urllib.request.Request(f"{address}data/plugin/hparams/{what}", json.dumps(question).encode(), kind)
        with urllib.request.urlopen(request) as answer:
            return json.load(answer)

    statuses = [f"STATUS_{name}" for name in ("UNKNOWN", "SUCCESS", "FAILURE", "RUNNING")]
    deadline, rows = time.monotonic() + 120, []
    while len(rows) < n_rows:
        assert time.monotonic() < deadline, rows
        time.sleep(0.5)
        columns = ask("experiment", experimentName="")
        order = [{"metric": metric["name"]} for metric in columns.get("metricInfos", [])]
        rows = ask("session_groups", experimentName="", allowedStatuses=statuses, colParams=order, startIndex=0,
                   sliceSize=1000).get("sessionGroups", [])  # fmt: skip
    return columns, rows


@pytest.fixture(scope="module")
def s3() -> Iterator[tuple[str, Holding]]:
    """An empty bucket on an S3 server on loopback, which processes that start later reach too, and its `Holding`."""
    with s3_server(failing_every=0) as made:
        yield made


@pytest.fixture(scope="module")
def s3_bucket(s3: tuple[str, Holding]) -> str:
    return s3[0]


@pytest.fixture(scope="module")
def failing_s3() -> Iterator[tuple[str, Holding]]:
    """An empty bucket on a server that answers every 100th request with 503, as a busy one does, and its `Holding`."""
    with s3_server(failing_every=100) as made:
        yield made


@pytest.fixture(scope="module")
def failing_s3_bucket(failing_s3: tuple[str, Holding]) -> str:
    return failing_s3[0]


@pytest.fixture
def s3_bucket_at() -> Callable[[str], AbstractContextManager[str]]:
    """Starts an S3 server at another address of this machine, for hosts with their own loopback."""

    @contextmanager
    def at(host: str) -> Iterator[str]:
        with s3_server(failing_every=0, host=host) as (address, _):
            yield address

    return at
