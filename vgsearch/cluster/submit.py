"""The command that `vgsearch submit` runs on a cluster's head, checked here before it is sent."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperCommand

from vgsearch.experiment.names import checked_name, next_name
from vgsearch.experiment.paths import Experiment
from vgsearch.space.space import load_space
from vgsearch.space.sweep import JOURNAL, checked_storage
from videogan.config import ConfigurationError
from videogan.storage.places import RemotePath, place

USAGE_ERROR: type[Exception] = typer.BadParameter.__mro__[1]  # click's UsageError, which typer may vendor


@dataclass(frozen=True)
class RemoteCommand:
    """The arguments of vgsearch on the head, a local space file to send along, the experiment ("" if unknown)."""

    arguments: list[str]
    space_file: Path | None
    experiment: str


def remote_command(space: str, options: Sequence[str], commands: Mapping[str, TyperCommand]) -> RemoteCommand:
    """`tune` for a search space, `resume` for an experiment's address, with the options of that command.

    Raises ConfigurationError for an unknown option, and for a path that only this machine has.
    """
    if space.startswith("-"):
        raise ConfigurationError("SPACE comes first: vgsearch submit SPACE --address URL, then the options of tune.")
    if _is_experiment(space):
        if (moved := _parsed(commands["resume"], [space, *options])["data"]) is not None:
            _refuse_own_place("--data", moved)
        return RemoteCommand(["resume", space, *options, "--address", "auto"], None, space)
    given = _parsed(commands["tune"], [space, *options])
    out = str(given["out"])
    _refuse_own_place("--out", out)
    if given["data"] is not None:
        _refuse_own_place("--data", given["data"])
    for folder in given["warm_start"] or ():
        _refuse_own_place("--warm-start", folder)
    if given["storage"] is not None:
        checked_storage(str(given["storage"]))
        if str(given["storage"]).endswith(JOURNAL):
            _refuse_own_place("--storage", given["storage"])
    if given["name"]:
        checked_name(given["name"], "--name")
    named = load_space(space)
    file = Path(space) if space.endswith((".yaml", ".yml")) else None
    name = given["name"] or (next_name(place(out), named.name) if isinstance(place(out), RemotePath) else None)
    arguments = ["tune", file.name if file else space, *options]
    if name and not given["name"]:
        arguments += ["--name", name]
    experiment = str(place(out) / name) if name else ""
    return RemoteCommand([*arguments, "--address", "auto"], file, experiment)


def _is_experiment(written: str) -> bool:
    return isinstance(place(written), RemotePath) and Experiment.at(written).has_events


def _parsed(command: TyperCommand, arguments: list[str]) -> dict[str, Any]:  # click gives Any
    """The values of a command's options; raises ConfigurationError where the command would raise a usage error."""
    try:
        return command.make_context(command.name, arguments).params
    except USAGE_ERROR as error:
        message = getattr(error, "format_message", error.__str__)()
        raise ConfigurationError(f"{message} (see vgsearch {command.name} --help)") from None


def _refuse_own_place(option: str, written: object) -> None:
    where = place(str(written))
    if not isinstance(where, RemotePath) and not where.is_absolute():
        raise ConfigurationError(
            f"{option} {where} is a folder of this machine; name one that the whole cluster sees: s3://bucket/..., or "
            "an absolute path on its shared disk."
        )
