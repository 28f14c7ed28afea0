"""The checkout that tests and benchmarks run in."""

import subprocess


def commit() -> str:
    """The short hash of the commit that is checked out."""
    command = ["git", "rev-parse", "--short", "HEAD"]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=30).stdout.strip()
