"""A sweep as a job of a cluster: sent over Ray's job API, it runs on the head, and its output comes back while somebody watches."""

import asyncio
import logging
import shlex
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import aiohttp
from ray.job_submission import JobSubmissionClient

from videogan.config import ConfigurationError

SECONDS_TO_SAVE = 300
"""That a stopped job has, after SIGTERM, for its trials to save; Ray's own patience is 3 seconds."""
SECONDS_BETWEEN_TRIES = 5.0
ENDED = ("SUCCEEDED", "FAILED")
EXIT_STOPPED = 130


class JobFailed(RuntimeError):
    """A job that ended before its driver could tell why."""


def connected(address: str) -> "JobSubmissionClient":
    """The job API at http://host:port; raises ConfigurationError where nothing answers, or it refuses the token."""
    logging.getLogger("ray.dashboard").setLevel(logging.ERROR)
    try:
        return JobSubmissionClient(address)
    except (ConnectionError, RuntimeError, ValueError) as error:
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise ConfigurationError(
            f"--address {address}: {reason}. Expected a cluster's dashboard, such as http://127.0.0.1:8265 after "
            "`ray dashboard cluster.yaml`, and its token in ~/.ray/auth_token or RAY_AUTH_TOKEN."
        ) from error


def submit(client: "JobSubmissionClient", arguments: Sequence[str], space_file: Path | None) -> str:
    """Starts `vgsearch <arguments>` on the head; returns the job's id.

    Nothing of this machine travels but the arguments and `space_file`, which they name as it is called: no environment, no
    working folder.
    """
    environment = {"RAY_JOB_STOP_WAIT_TIME_S": str(SECONDS_TO_SAVE)}
    with _folder_of(space_file) as folder:
        return client.submit_job(
            entrypoint=shlex.join(["vgsearch", *arguments]),
            runtime_env={"env_vars": environment} | ({"working_dir": folder} if folder else {}),
            metadata={"vgsearch": " ".join(arguments[:2])},
        )


@contextmanager
def _folder_of(file: Path | None) -> "Iterator[str | None]":
    """A folder that holds the file alone."""
    if file is None:
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="vgsearch-") as folder:
        (Path(folder) / file.name).write_bytes(file.read_bytes())
        yield folder


def follow(client: "JobSubmissionClient", job: str, write: Callable[[str], Any]) -> int:
    """Passes on what the job prints until it ends; returns its exit code. A connection that breaks is made anew.

    Raises JobFailed where its driver never ran, or the cluster knows the job no more.
    """
    shown = Shown(write)
    while True:
        try:
            asyncio.run(shown.tail(client, job))
            info = client.get_job_info(job)
        except (OSError, RuntimeError, aiohttp.ClientError) as error:  # asleep, or another network: the job goes on
            if "does not exist" in str(error) or "404" in str(error):
                raise JobFailed(f"job {job} is not known there any more: {error}") from error
            print(f"not reached ({type(error).__name__}), trying again", file=sys.stderr)
            time.sleep(SECONDS_BETWEEN_TRIES)
            continue
        if info.status == "STOPPED":
            return EXIT_STOPPED
        if info.status in ENDED:
            if info.status == "FAILED" and info.driver_exit_code is None:
                raise JobFailed(f"job {job} did not run: {info.message}")
            return info.driver_exit_code or 0
        time.sleep(1)


class Shown:
    """What of a job's output was written already, through however many connections: each begins at the first letter."""

    def __init__(self, write: Callable[[str], Any]) -> None:
        self._write, self._n_written = write, 0

    async def tail(self, client: "JobSubmissionClient", job: str) -> None:
        """Writes what is new, until the connection or the output ends."""
        n_seen = 0
        async for chunk in client.tail_job_logs(job):
            new = chunk[max(self._n_written - n_seen, 0) :]
            n_seen += len(chunk)
            if new:
                self._write(new)
                self._n_written = n_seen
