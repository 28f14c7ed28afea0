"""What is typed here as it has to be typed on a cluster's head: checked before it is sent, no path of this machine in it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import typer
from typer.core import TyperCommand

from vgsearch.experiment.paths import Experiment, next_name
from vgsearch.space.space import load_space
from vgsearch.space.sweep import JOURNAL, checked_storage
from videogan.config import ConfigurationError
from videogan.storage.places import RemotePath, place

USAGE_ERROR = typer.BadParameter.__base__  # click's, under whichever name typer carries it


@dataclass(frozen=True)
class Typed:
    """Arguments of the command there, the file of a search space that they name, and the experiment where it is known."""

    arguments: list[str]
    space_file: Path | None
    experiment: str


def as_typed_there(space: str, options: Sequence[str], commands: Mapping[str, TyperCommand]) -> Typed:
    """`space` with the options of tune, or an experiment's address with those of resume.

    Raises ConfigurationError for an option that the command does not have, and for a place that only this machine has.
    """
    if space.startswith("-"):
        raise ConfigurationError("SPACE comes first: vgsearch submit SPACE --address URL, then the options of tune.")
    if _is_experiment(space):
        _parsed(commands["resume"], [space, *options])
        return Typed(["resume", space, *options, "--address", "auto"], None, space)
    given = _parsed(commands["tune"], [space, *options])
    out = given["out"]
    _refuse_own_place("--out", out)
    for option, written in (
        ("--data", given["data"]),
        *(("--warm-start", folder) for folder in given["warm_start"] or ()),
    ):
        if written is not None:
            _refuse_own_place(option, written)
    if given["storage"] is not None:
        checked_storage(str(given["storage"]))
        if str(given["storage"]).endswith(JOURNAL):
            _refuse_own_place("--storage", given["storage"])
    named = load_space(space)
    file = Path(space) if space.endswith((".yaml", ".yml")) else None
    name = given["name"] or (next_name(place(out), named.name) if isinstance(place(out), RemotePath) else None)
    arguments = ["tune", file.name if file else space, *options]
    if name and not given["name"]:
        arguments += ["--name", name]
    experiment = str(place(out) / name) if name else ""
    return Typed([*arguments, "--address", "auto"], file, experiment)


def _is_experiment(written: str) -> bool:
    return isinstance(place(written), RemotePath) and Experiment.at(written).has_events


def _parsed(command: TyperCommand, arguments: list[str]) -> dict[str, object]:
    """The values of a command's options; raises ConfigurationError as the command itself would refuse them."""
    try:
        return command.make_context(command.name, arguments).params
    except USAGE_ERROR as error:
        raise ConfigurationError(f"{error.format_message()} (see vgsearch {command.name} --help)") from None


def _refuse_own_place(option: str, written: object) -> None:
    where = place(str(written))
    if not isinstance(where, RemotePath) and not where.is_absolute():
        raise ConfigurationError(
            f"{option} {where} is a folder of this machine; name what the whole cluster sees: s3://bucket/..., or an absolute path "
            "on its shared disk."
        )
