"""`vgsearch data`: make the embedded data set, or import a folder of videos."""

import json
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vgsearch.commands import options

if TYPE_CHECKING:
    from videogan.data.manifest import Manifest

app = typer.Typer(no_args_is_help=True, help="Data sets: make the embedded one, import a folder of videos.")
WINDOW = 16  # the papers' clip length T; the import tells how many videos are shorter


class Embedded(StrEnum):
    moving_shapes = "moving-shapes"


class SplitBy(StrEnum):
    file = "file"
    group = "group"


@app.command("make")
def make(
    name: Annotated[Embedded, typer.Argument(help="The data set to write.")],
    out: Annotated[Path | None, typer.Option(help="Folder to write; by default data/<name>.")] = None,
    seed: Annotated[int, typer.Option(help="Same seed, same files.")] = 0,
    as_json: options.Json = False,
) -> None:
    """Write an embedded, labelled data set as real video files."""
    from videogan.data.synthetic import make_moving_shapes

    folder = out or Path("data") / name.value
    with _progress("writing", as_json) as on_progress:
        manifest = make_moving_shapes(folder, seed=seed, on_progress=on_progress)
    _tell(manifest, {"group_rule": "a shape on a kind of background"}, as_json)


@app.command("import")
def import_folder(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Videos as DIR/<class>/<clip>.<ext>.")],
    out: Annotated[Path | None, typer.Option(help="Folder for manifest.parquet; by default DIR.")] = None,
    group: Annotated[str | None, typer.Option(metavar="REGEX", help="Group from the file name.")] = None,
    split_by: Annotated[
        SplitBy | None,
        typer.Option(help="file: DIR/split.csv; group: a quarter of the groups. Default: file if there is one."),
    ] = None,
    strict: Annotated[bool, typer.Option(help="Fail if any file is skipped.")] = False,
    as_json: options.Json = False,
) -> None:
    """Decode every video once and write the manifest: labels, groups, a leak-proof split."""
    from vgsearch.runtime.cluster import connect
    from vgsearch.runtime.data import inspect_videos
    from videogan.data.clips import DataConfig
    from videogan.data.formats.plain_folders import SPLIT_NAME, find_videos, group_by_name, manifest_rows, read_split
    from videogan.data.manifest import DataError, write_manifest

    folder = folder.absolute()
    videos = find_videos(folder)
    grouping = group_by_name([video.path.name for video in videos], group)
    splits = None if split_by == SplitBy.group else read_split(folder)
    if split_by == SplitBy.file and splits is None:
        raise DataError(f"{folder}: --split-by file needs {SPLIT_NAME} with the columns file,split.")
    with connect(), _progress("decoding", as_json) as on_progress:
        inspected = inspect_videos([video.path for video in videos], DataConfig().limits, on_progress)
    rows = manifest_rows(folder, videos, grouping, inspected, splits)
    skipped = {row["path"].relative_to(folder).as_posix(): row["skipped"] for row in rows if row["skipped"]}
    if len(skipped) == len(rows) or (strict and skipped):
        listed = "\n".join(f"  {name}: {reason}" for name, reason in skipped.items())
        raise DataError(f"{folder}: {len(skipped)} of {len(rows)} videos cannot be used.\n{listed}")
    manifest = write_manifest(out or folder, rows)
    warnings = {
        path.relative_to(folder).as_posix(): seen["warning"] for path, seen in inspected.items() if seen["warning"]
    }
    rule = {"group_rule": grouping.rule, "split_rule": SPLIT_NAME if splits is not None else "a quarter of the groups"}
    _tell(manifest, rule | {"warnings": warnings}, as_json)


def _tell(manifest: "Manifest", found: dict[str, Any], as_json: bool) -> None:
    """Prints what the data set holds, as text for people or as one JSON object for programs."""
    summary = _summary(manifest) | found
    if as_json:
        typer.echo(json.dumps(summary))
        return
    n_groups = len(summary["groups"])
    typer.echo(
        f"{summary['n_clips']} clips  {len(summary['classes'])} classes  {n_groups} groups ({found['group_rule']})"
    )
    typer.echo("classes  " + "  ".join(f"{label} {n}" for label, n in summary["classes"].items()))
    shown = [f"{group} {n}" for group, n in list(summary["groups"].items())[:12]]
    typer.echo("groups   " + "  ".join(shown) + (f"  and {n_groups - 12} more" if n_groups > 12 else ""))
    for split, part in summary["splits"].items():
        typer.echo(
            f"{split:<8} {part['n_clips']} clips, {len(part['groups'])} groups: {', '.join(part['groups'][:12])}"
        )
    for reason, names in summary["skipped"].items():
        typer.echo(f"skipped  {len(names)}: {reason} ({', '.join(names[:3])}{', ...' if len(names) > 3 else ''})")
    for name, warning in found.get("warnings", {}).items():
        typer.echo(f"warning  {name}: {warning}")
    if summary["n_short"]:
        typer.echo(f"short    {summary['n_short']} clips have fewer than {WINDOW} frames; data.short_clips decides")
    typer.echo(f"manifest {summary['manifest']}\nnext     vgsearch tune mvt_tsa --data {manifest.folder}")


def _summary(manifest: "Manifest") -> dict[str, Any]:
    from videogan.data.manifest import MANIFEST_NAME

    usable = manifest.usable.to_pylist()
    skipped: dict[str, list[str]] = {}
    for row in manifest.table.to_pylist():
        if row["skipped"]:
            skipped.setdefault(row["skipped"], []).append(Path(row["path"]).name)
    parts = {split: [row for row in usable if row["split"] == split] for split in ("train", "test")}
    return {
        "manifest": str(manifest.folder / MANIFEST_NAME),
        "digest": manifest.digest,
        "n_clips": len(usable),
        "classes": dict(sorted(Counter(row["label"] for row in usable).items())),
        "groups": dict(sorted(Counter(row["group"] for row in usable).items())),
        "splits": {
            split: {"n_clips": len(rows), "groups": sorted({row["group"] for row in rows})}
            for split, rows in parts.items()
        },
        "skipped": skipped,
        "n_short": sum(row["n_frames"] < WINDOW for row in usable),
    }


@contextmanager
def _progress(what: str, silent: bool) -> Iterator[Callable[[int, int], None]]:
    """A progress bar on a terminal's stderr; nothing elsewhere."""
    from rich.console import Console

    from vgsearch.terminal import progress_bar

    console = Console(stderr=True, quiet=silent)
    with progress_bar(console) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
