"""vgsearch sample: checks the request, draws the picture, writes the files."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from rich.console import Console

from vgsearch.evaluation.request import data_of
from vgsearch.experiment.paths import Experiment, TrialFolder
from vgsearch.sampling.loose_clips import write_loose_clips
from vgsearch.sampling.pictures import (
    PICTURES,
    Picture,
    PictureSettings,
    changes_to_json,
    knows_classes,
    refuse_unsupported,
    share_of_all,
)
from vgsearch.space.yaml_text import read_yaml_file
from vgsearch.terminal.console import Terminal
from vgsearch.terminal.words import counted, interval, number, plain_table, shown
from videogan.amounts import n_of
from videogan.config import ConfigurationError, suggestion
from videogan.data.manifest import DataError, read_manifest
from videogan.families.contract import Generator
from videogan.sampling.pictures import write_gif, write_mp4, write_png
from videogan.sampling.sampling import sampling_copy
from videogan.sampling.subspaces import Change
from videogan.storage.atomic import write_atomically
from videogan.training.checkpoint import generator_of, load_checkpoint
from videogan.training.exported_model import GENERATOR, exported_classes
from videogan.training.run_config import RunConfig

MOST_ROWS = 10  # unless --classes names more
DEFAULTS = {
    "grid": {"codes": 5},
    "codes": {"steps": 7},
    "classes": {"steps": 7},
    "subspaces": {"codes": 5},
    "between": {"codes": 5, "steps": 3},
}
"""The options of each picture and their defaults."""


@dataclass(frozen=True)
class SampleRequest:
    """The arguments of the command."""

    checkpoint: Path
    show: str = "grid"
    classes: str | None = None
    n_codes: int | None = None
    n_steps: int | None = None
    n_frames: int | None = None
    truncation: float | None = None
    seed: int = 0
    out: Path | None = None
    n_clips: int | None = None
    """Loose clips of each class to write instead of a picture."""


def sample(request: SampleRequest, as_json: bool = False) -> None:
    """Draw the picture, or loose clips, and write it; raises ConfigurationError before drawing if the request is
    impossible.
    """
    console, folder = Terminal(stderr=as_json), folder_of(request)
    checkpoint = load_checkpoint(request.checkpoint)
    generator, config = generator_of(checkpoint, request.checkpoint)
    generator = generator.to("cuda" if torch.cuda.is_available() else "cpu")
    names, note = class_names(request.checkpoint, checkpoint.trained_on, config.model.n_classes)
    settings = settings_of(request, generator, config, names)
    refuse_unsupported(generator, request.show, settings)
    if note and settings.classes:
        console.print(f"note: {note}", style="yellow", soft_wrap=True)
    sampler = sampling_copy(generator, config.model.n_classes, config.evaluation.standing_batches, seed=config.seed)
    if request.n_clips is not None:
        with counted("drawing clips", silent=as_json) as on_progress:
            files = write_loose_clips(sampler, folder, settings, request.n_clips, on_progress)
        said = f"{n_of(len(files), 'clip')}, {request.n_clips} of each class, as vgsearch evaluate --videos reads them"
        _print_written(
            console, as_json, [folder], said, {"n_clips": len(files), "classes": [*settings.classes.values()]}
        )
        return
    with counted(f"drawing {request.show}", silent=False) as on_progress:
        picture = PICTURES[request.show](sampler, settings, on_progress)
    if picture.changes is not None:
        print_changes(picture.changes, console)
    said = f"{picture.description}; {len(picture.frames)} frames"
    facts = {"n_frames": len(picture.frames), "description": picture.description}
    _print_written(console, as_json, write_files(picture, folder, request, settings), said, facts)


def _print_written(console: Console, as_json: bool, files: Sequence[Path], said: str, facts: dict[str, object]) -> None:
    """Print what was written where: as lines, or as JSON on stdout."""
    if as_json:
        print(json.dumps({"files": list(map(str, files)), **facts}))
        return
    console.print(said, soft_wrap=True)
    for path in files:
        console.print(shown(path), soft_wrap=True)


def settings_of(request: SampleRequest, generator: Generator, config: RunConfig, names: list[str]) -> PictureSettings:
    """The settings with defaults; raises ConfigurationError for an option without effect or an unknown class."""
    given = {"codes": request.n_codes, "steps": request.n_steps}
    takes = DEFAULTS[request.show]
    if request.n_clips is not None and (request.show != "grid" or any(n is not None for n in given.values())):
        raise ConfigurationError("--clips writes loose clips, no picture; leave out --show, --codes and --steps.")
    for option in given:
        if given[option] is not None and option not in takes:
            users = " and ".join(show for show, options in DEFAULTS.items() if option in options)
            where = f"--show {request.show}, only on {users}"
            raise ConfigurationError(f"--{option} has no effect on {where}; leave it out.")
    labels: list[int] = []
    if knows_classes(generator):
        every = list(range(len(names)))[: MOST_ROWS if request.n_clips is None else None]
        labels = every if request.classes is None else chosen(request.classes, names)
    elif request.classes is not None:
        raise ConfigurationError(f"--classes: this {config.model.family} generates without labels; leave it out.")
    if request.show == "classes" and knows_classes(generator) and len(labels) < 2:
        raise ConfigurationError(f"--show classes needs at least 2 classes, got {len(labels)}.")
    return PictureSettings(
        classes={label: names[label] for label in labels},
        n_codes=given["codes"] or takes.get("codes", 1),
        n_steps=given["steps"] or takes.get("steps", 1),
        seed=request.seed,
        n_frames=request.n_frames or config.model.n_frames,
        truncation=request.truncation,
    )


def chosen(text: str, names: list[str]) -> list[int]:
    """Labels of the classes named in `text` by name or number, in that order."""
    labels = []
    for word in (part.strip() for part in text.split(",")):
        if word not in names and not (word.isdecimal() and int(word) < len(names)):
            raise ConfigurationError(f"--classes: no class '{word}' among {len(names)}{suggestion(word, names)}")
        labels.append(names.index(word) if word in names else int(word))
    repeated = sorted({names[label] for label in labels if labels.count(label) > 1})
    if repeated:
        raise ConfigurationError(f"--classes names {repeated[0]} more than once.")
    return labels


def class_names(checkpoint: Path, trained_on: str, n_classes: int) -> tuple[list[str], str]:
    """The class names of an exported model, its sweep or the checkpoint's data set, and ""; else numbers and why."""
    if (exported := exported_classes(checkpoint, n_classes)) is not None:
        return list(exported), ""
    if names := _names_of_sweep(checkpoint, trained_on):
        return names, ""
    numbers = [f"class {i}" for i in range(n_classes)]
    try:
        manifest = read_manifest(data_of(checkpoint))
    except (ConfigurationError, DataError) as error:
        return numbers, f"classes are shown by number: {str(error).partition(';')[0]}."
    if manifest.digest != trained_on:
        return numbers, f"classes are shown by number: {manifest.folder} has changed since the training."
    return list(manifest.classes), ""


def _names_of_sweep(checkpoint: Path, trained_on: str) -> list[str]:
    """The names in the sweep.yaml of the checkpoint's experiment, which need no data set; empty if it has none."""
    parents = checkpoint.absolute().parents
    path = Experiment(parents[3]).sweep if len(parents) > 3 else None
    settings = read_yaml_file(path) if path is not None and path.exists() else None
    if not isinstance(settings, dict) or settings.get("manifest_digest") != trained_on:
        return []
    written = settings.get("class_names")
    return [str(name) for name in written] if isinstance(written, list) else []


def print_changes(changes: Mapping[str, Change], console: Console) -> None:
    """Print the change by resampling each subspace, and its share of the change by resampling all."""
    table = plain_table("resampled", "appearance [95 %]", ">of all", "flow [95 %]", ">of all")
    for name, change in changes.items():
        cells = []
        for of in ("appearance", "flow"):
            cells.append(interval(getattr(change, of)))
            cells.append(number(share_of_all(change, of, changes)))
        table.add_row(name, *cells)
    console.print()
    console.print(table)
    units = "appearance: levels of 255 between the clips' means over time; flow: pixels per frame"
    console.print(units, style="dim", soft_wrap=True)
    console.print()


def folder_of(request: SampleRequest) -> Path:
    """The folder to write, by default in the trial or the exported folder; raises ConfigurationError for a file."""
    above = request.checkpoint.absolute().parent
    samples = TrialFolder(above if request.checkpoint.name == GENERATOR else above.parent).samples
    folder = request.out or (samples if request.n_clips is None else samples / f"clips-{request.checkpoint.stem}")
    if folder.exists() and not folder.is_dir():
        raise ConfigurationError(f"--out {folder} is a file; give a folder.")
    return folder


def write_files(picture: Picture, folder: Path, request: SampleRequest, settings: PictureSettings) -> list[Path]:
    """Write GIF, mp4, PNG and, for subspaces, the changes as JSON; returns the paths."""
    name = f"{request.checkpoint.stem}-{request.show}-seed{request.seed}"
    name += f"-frames{request.n_frames}" if request.n_frames else ""
    name += f"-tau{request.truncation:g}" if request.truncation else ""
    gif, mp4, png, changes = (folder / f"{name}.{suffix}" for suffix in ("gif", "mp4", "png", "json"))
    write_atomically(gif, lambda stream: write_gif(stream, picture.frames, picture.fps))
    write_atomically(mp4, lambda stream: write_mp4(stream, picture.frames, picture.fps))
    write_atomically(png, lambda stream: write_png(stream, picture.still))
    if picture.changes is None:
        return [gif, mp4, png]
    content = {
        "checkpoint": str(request.checkpoint.absolute()),
        "seed": settings.seed,
        "n_frames": settings.n_frames,
        "truncation": settings.truncation,
        "n_codes": picture.n_measured,
        "units": {"appearance": "levels of 255", "flow": "pixels a frame"},
        "changes": changes_to_json(picture.changes),
    }
    text = json.dumps(content, indent=1, allow_nan=False) + "\n"
    write_atomically(changes, lambda stream: stream.write(text.encode()))
    return [gif, mp4, png, changes]
