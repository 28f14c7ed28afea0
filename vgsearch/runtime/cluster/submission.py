"""A sweep as a Ray job: submitted to a cluster, it runs on the head, and its output is shown here."""

import asyncio
import logging
import shlex
import socket
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
from ray.job_submission import JobSubmissionClient

from vgsearch.runtime.waits.waiting import waiting
from vgsearch.terminal.line import print_line
from videogan.config import ConfigurationError
from videogan.storage.address_secrets import without_secrets

SECONDS_TO_SAVE = 300
"""Time after SIGTERM in which a stopped job's trials can save; Ray's default is 3 seconds."""
SECONDS_TO_CONNECT = 10.0
SECONDS_BETWEEN_TRIES = 5.0
ENDED = ("SUCCEEDED", "FAILED")
EXIT_STOPPED = 130


class JobFailed(RuntimeError):
    """A job ended without an exit code of its driver."""


def connected(address: str) -> "JobSubmissionClient":
    """Connect to the job API at http://host:port; raises ConfigurationError if it is down or refuses the token."""
    logging.getLogger("ray.dashboard").setLevel(logging.ERROR)
    try:
        _refuse_unreachable(address)
        with waiting(f"the job API at {address}", "Ctrl-C stops"):
            return JobSubmissionClient(address)
    except (OSError, RuntimeError, ValueError) as error:
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise ConfigurationError(
            f"--address {without_secrets(f'{address}: {reason}')}. Expected a cluster's dashboard, such as http://127.0.0.1:8265 "
            "after `ray dashboard cluster.yaml`, and its token in ~/.ray/auth_token or RAY_AUTH_TOKEN."
        ) from error


def _refuse_unreachable(address: str) -> None:
    """Raise OSError if no program listens at http://host:port; Ray's client would wait as long as the network does."""
    url = urlsplit(address)
    if url.scheme in ("http", "https") and url.hostname:
        port = url.port or (443 if url.scheme == "https" else 80)
        with socket.create_connection((url.hostname, port), SECONDS_TO_CONNECT):
            pass


def submit(client: "JobSubmissionClient", arguments: Sequence[str], space_file: Path | None) -> str:
    """Start `vgsearch <arguments>` on the head; returns the job's id.

    Only the arguments and `space_file` are sent, no environment and no working folder; the arguments name the file
    without its folder.
    """
    environment = {"RAY_JOB_STOP_WAIT_TIME_S": str(SECONDS_TO_SAVE)}
    with _folder_of(space_file) as folder, waiting("the job's start", "Ctrl-C stops; see then: ray job list"):
        return client.submit_job(
            entrypoint=shlex.join(["vgsearch", *arguments]),
            runtime_env={"env_vars": environment} | ({"working_dir": folder} if folder else {}),
            metadata={"vgsearch": " ".join(arguments[:2])},
        )


@contextmanager
def _folder_of(file: Path | None) -> "Iterator[str | None]":
    """A temporary folder with a copy of the file; None without a file."""
    if file is None:
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="vgsearch-") as folder:
        (Path(folder) / file.name).write_bytes(file.read_bytes())
        yield folder


def follow(client: "JobSubmissionClient", job: str, write: Callable[[str], Any]) -> int:
    """Write the job's output until it ends, reconnecting if necessary; returns its exit code.

    Raises JobFailed if its driver never ran, or the cluster no longer knows the job.
    """
    output = JobOutput(write)
    while True:
        try:
            asyncio.run(output.tail(client, job))
            info = client.get_job_info(job)
        except (
            OSError,
            RuntimeError,
            aiohttp.ClientError,
        ) as error:  # this machine slept or changed networks; the job continues
            if "does not exist" in str(error) or "404" in str(error):
                raise JobFailed(f"the cluster no longer knows job {job}: {error}") from error
            print_line(
                f"cluster unreachable ({type(error).__name__}), trying again until Ctrl-C; the job runs on", error=True
            )
            time.sleep(SECONDS_BETWEEN_TRIES)
            continue
        if info.status == "STOPPED":
            return EXIT_STOPPED
        if info.status in ENDED:
            if info.status == "FAILED" and info.driver_exit_code is None:
                raise JobFailed(f"job {job} did not run: {info.message}")
            return info.driver_exit_code or 0
        time.sleep(1)


class JobOutput:
    """A job's output, written once although each new connection sends it from the start."""

    def __init__(self, write: Callable[[str], Any]) -> None:
        self._write, self._n_written = write, 0

    async def tail(self, client: "JobSubmissionClient", job: str) -> None:
        """Write new output until the connection or the output ends."""
        n_seen = 0
        async for chunk in client.tail_job_logs(job):
            new = chunk[max(self._n_written - n_seen, 0) :]
            n_seen += len(chunk)
            if new:
                self._write(new)
                self._n_written = n_seen
