"""The cluster files in the wheel; copies of them to edit."""

from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from vgsearch.cluster.check.placeholders import filled, placeholders
from videogan.config import ConfigurationError, suggestion


def shipped_files() -> dict[str, Any]:
    """The files by name without suffix: aws, gcp, on_premises, kuberay, slurm, Dockerfile, README."""
    files = sorted(resources.files("vgsearch.cluster_files").iterdir(), key=lambda file: file.name)
    return {Path(file.name).stem: file for file in files if file.is_file() and not file.name.endswith((".py", ".pyc"))}


def copy_out(kind: str, out: Path | None, fill: Sequence[str]) -> tuple[Path, list[str]]:
    """Write a shipped file with the `NAME=value` pairs filled in; returns its path and the remaining placeholders.

    Raises ConfigurationError for an unknown kind or placeholder, and if the file exists.
    """
    shipped = shipped_files()
    if kind not in shipped:
        raise ConfigurationError(f"cluster init: there is no '{kind}'{suggestion(kind, list(shipped))}")
    text = filled(shipped[kind].read_text("utf-8"), dict(map(_assignment, fill)))
    file = out or Path(shipped[kind].name)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("x", encoding="utf-8") as stream:
            stream.write(text)
    except FileExistsError:
        raise ConfigurationError(f"{file} exists and may contain your changes; move it, or use --out.") from None
    if file.suffix == ".sh":
        file.chmod(0o755)
    return file, list(placeholders(text))


def _assignment(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not value:
        raise ConfigurationError(f"--fill {text}: expected NAME=value, e.g. BUCKET=my-bucket.")
    return name, value
