"""The cluster files in the wheel, and a copy of one to edit."""

from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from vgsearch.cluster.check.placeholders import filled, placeholders
from videogan.config import ConfigurationError, suggestion


def shipped_files() -> dict[str, Any]:
    """Name without suffix to file: aws, gcp, on_premises, kuberay, slurm, Dockerfile, README."""
    files = sorted(resources.files("vgsearch.cluster_files").iterdir(), key=lambda file: file.name)
    return {Path(file.name).stem: file for file in files if file.is_file() and not file.name.endswith((".py", ".pyc"))}


def copy_out(kind: str, out: Path | None, fill: Sequence[str]) -> tuple[Path, list[str]]:
    """Writes a shipped file with `NAME=value` filled in; returns where, and the placeholders that are left.

    Raises ConfigurationError for a kind or a placeholder that is not there, and where a file is there already.
    """
    shipped = shipped_files()
    if kind not in shipped:
        raise ConfigurationError(f"cluster init: there is no '{kind}'{suggestion(kind, list(shipped))}")
    text = filled(shipped[kind].read_text(), dict(map(_assignment, fill)))
    file = out or Path(shipped[kind].name)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("x") as stream:
            stream.write(text)
    except FileExistsError:
        raise ConfigurationError(f"{file} exists and may hold your changes; move it away, or give --out.") from None
    if file.suffix == ".sh":
        file.chmod(0o755)
    return file, list(placeholders(text))


def _assignment(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not value:
        raise ConfigurationError(f"--fill {text}: expected NAME=value, such as BUCKET=my-bucket.")
    return name, value
