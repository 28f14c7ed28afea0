"""vgsearch data: generate an embedded data set, import a folder of videos, or check a data set."""

import json
from collections import Counter
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vgsearch.commands import options
from vgsearch.commands.data_check import check
from vgsearch.terminal.line import print_line
from videogan.data.layout_names import LAYOUT_NAMES

if TYPE_CHECKING:
    from videogan.data.manifest import Manifest
    from videogan.data.source import Limits

app = typer.Typer(no_args_is_help=True)
AUTO = "auto"
"""The layout that recognises the folder."""


class Embedded(StrEnum):
    moving_shapes = "moving-shapes"
    moving_mnist = "moving-mnist"


class SplitBy(StrEnum):
    file = "file"
    group = "group"


@app.callback()
def data() -> None:
    """Generate an embedded data set, import a folder of videos, or check a data set."""


@app.command("make")
def make(
    name: Annotated[Embedded, typer.Argument(metavar="NAME", help="moving-shapes or moving-mnist.")],
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="Folder to write. Default: data/NAME.")] = None,
    seed: Annotated[
        int,
        typer.Option(
            metavar="N", min=0, max=options.LARGEST_SEED, help="Random seed; the same seed gives the same files."
        ),
    ] = 0,
    digits: Annotated[
        Path | None,
        typer.Option(metavar="CSV", help="moving-mnist only: real digits, 784 pixels and a label per line."),
    ] = None,
    clips: Annotated[
        int | None, typer.Option(metavar="N", min=2, help="moving-mnist only: number of clips. Default: 1000.")
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Generate an embedded, labelled data set."""
    from vgsearch.terminal.words import counted
    from videogan.config import ConfigurationError
    from videogan.data.moving_mnist import make_moving_mnist
    from videogan.data.synthetic import make_moving_shapes

    folder = out or Path("data") / name.value
    if name == Embedded.moving_shapes:
        if digits is not None or clips is not None:
            raise ConfigurationError("--digits and --clips belong to moving-mnist; remove them for moving-shapes.")
        with counted("writing", as_json) as on_progress:
            manifest = make_moving_shapes(folder, seed=seed, on_progress=on_progress)
        _print_summary(manifest, {"group_rule": "a shape on a kind of background"}, as_json)
        return
    with counted("writing", as_json) as on_progress:
        manifest = make_moving_mnist(folder, digits, seed, n_clips=clips or 1000, on_progress=on_progress)
    source = f"real digits from {digits}" if digits else "drawn glyphs, not MNIST; --digits CSV takes real ones"
    _print_summary(manifest, {"group_rule": "each sequence its own", "digits": source}, as_json)


@app.command("import")
def import_folder(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="Videos as DIR/CLASS/CLIP.EXT, another layout, or a CSV list.")
    ],
    layout: Annotated[
        str,
        typer.Option(
            metavar="NAME", help=f"Layout of DIR: auto, {', '.join(LAYOUT_NAMES)}, or one of an installed package."
        ),
    ] = AUTO,
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Folder for manifest.parquet, local or s3://bucket/path. Default: DIR."),
    ] = None,
    group: Annotated[
        str | None, typer.Option(metavar="REGEX", help="Pattern that finds the group in a file's name, or each-file.")
    ] = None,
    split_by: Annotated[
        SplitBy | None,
        typer.Option(
            help="file: the published split.csv. group: a quarter of the groups for test, a quarter for select. "
            "Default: file if it exists."
        ),
    ] = None,
    fold: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, max=3, help="Published split of ucf101, hmdb51 or weizmann. Default: 1."),
    ] = None,
    strict: Annotated[bool, typer.Option(help="Fail if any file is skipped.")] = False,
    overrides: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="PATH=VALUE", help="Skip videos above a limit: data.max_pixels or data.max_seconds."
        ),
    ] = None,
    insecure: options.Insecure = False,
    as_json: options.Json = False,
) -> None:
    """Decode every video once and write a manifest with labels, groups and leak-free train, select and test splits."""
    from vgsearch.runtime.cluster.cluster import connect
    from vgsearch.runtime.feed.decode import inspect_videos
    from vgsearch.terminal.words import counted
    from videogan.data.formats import layout_of
    from videogan.data.formats.contract import ImportOptions, refuse_options
    from videogan.data.formats.passed_over import passed_over
    from videogan.data.formats.rows import manifest_rows, shown_name, skip_report, split_rule
    from videogan.data.manifest import DataError, write_manifest
    from videogan.data.stills import holder
    from videogan.storage.places import RemotePath, place

    if isinstance(place(folder), RemotePath):
        raise DataError(f"{place(folder)}: videos are imported from a local folder; --out may be on any storage.")
    source = folder.absolute()
    limits = _limits(overrides or [])
    chosen = layout_of(source, None if layout == AUTO else layout)
    wanted = ImportOptions(group, split_by.value if split_by else None, fold)
    refuse_options(chosen, wanted)
    found = chosen.find(source, wanted)
    folder = source if source.is_dir() else source.parent  # a CSV list names a file in it
    with connect(), counted("decoding", as_json) as on_progress:
        paths = [video.path for video in found.videos if video.skipped is None]
        inspected = inspect_videos(paths, limits, on_progress)
    rows = manifest_rows(folder, found, inspected)
    _refuse_skipped(folder, rows, strict)
    before = _manifest_in(out or folder)
    manifest = write_manifest(out or folder, rows, found.classes, layout=chosen.NAME)
    warnings = {shown_name(folder, path): seen["warning"] for path, seen in inspected.items() if seen["warning"]}
    rules = {"layout": chosen.NAME, "group_rule": found.group_rule, "split_rule": split_rule(found, rows)}
    replaced = {} if before is None or before.digest == manifest.digest else {"replaced": before.digest}
    copies = _mirrored_copies(rows)
    # Whoever wrote a list chose its files.
    others = [] if chosen.NAME == "csv" else passed_over(folder, {holder(video.path) for video in found.videos})
    skipped = skip_report((shown_name(folder, row["path"]), row["skipped"]) for row in rows if row["skipped"])
    _print_summary(
        manifest, rules | replaced | copies | {"warnings": warnings, "passed_over": others, "skipped": skipped}, as_json
    )


app.command("check")(check)


def _refuse_skipped(folder: Path, rows: list[dict[str, Any]], strict: bool) -> None:
    """Raise DataError, which names the skipped videos, if all are skipped, or if any is under `strict`."""
    from videogan.data.formats.rows import shown_name
    from videogan.data.manifest import DataError

    skipped = {shown_name(folder, row["path"]): row["skipped"] for row in rows if row["skipped"]}
    if len(skipped) == len(rows) or (strict and skipped):
        listed = "\n".join(f"  {name}: {reason}" for name, reason in skipped.items())
        raise DataError(f"{folder}: {len(skipped)} of {len(rows)} videos cannot be used.\n{listed}")


def _manifest_in(folder: Path) -> "Manifest | None":
    """The manifest that an import is going to replace; None if there is none that can be read."""
    from videogan.config import ConfigurationError
    from videogan.data.manifest import read_manifest

    try:
        return read_manifest(folder)
    except ConfigurationError:
        return None


def _mirrored_copies(rows: list[dict[str, Any]]) -> dict[str, int]:
    """How many rows are mirrored copies of others, and how many of these are kept."""
    mirrored = [row for row in rows if "copy_of" in row]
    return {"n_mirrored": len(mirrored), "n_mirrored_kept": sum(row["skipped"] is None for row in mirrored)}


def _limits(overrides: list[str]) -> "Limits":
    """The limits on a video that `--set` gives; raises ConfigurationError for any other setting."""
    from vgsearch.space.space import parse_overrides
    from videogan.config import ConfigurationError, parse_config
    from videogan.data.clips import DataConfig

    values = parse_overrides(overrides)
    for path in values:
        if path not in ("data.max_pixels", "data.max_seconds"):
            raise ConfigurationError(f"--set {path}: an import takes only data.max_pixels and data.max_seconds.")
    return parse_config(
        DataConfig, {path.removeprefix("data."): value for path, value in values.items()}, "--set"
    ).limits


def _print_summary(manifest: "Manifest", found: dict[str, Any], as_json: bool) -> None:
    """Print a summary of the data set, as text or as one JSON object."""
    from vgsearch.data_check.check import WINDOW
    from videogan.amounts import n_of
    from videogan.data.formats.listing import EACH_NAME_RULE
    from videogan.data.formats.passed_over import counted_by_suffix, described
    from videogan.data.formats.rows import skip_report

    summary = _summary(manifest) | found
    if "passed_over" in found:
        summary["passed_over"] = counted_by_suffix(found["passed_over"])
    if as_json:
        print_line(json.dumps(summary))
        return
    n_groups = len(summary["groups"])
    for name in ("layout", "digits"):
        if name in found:
            print_line(f"{name:<8} {found[name]}")
    print_line(
        f"{n_of(summary['n_clips'], 'clip')}  {n_of(len(summary['classes']), 'class', 'classes')}  "
        f"{n_of(n_groups, 'group')} ({found['group_rule']})"
    )
    print_line("classes  " + "  ".join(f"{label} {n}" for label, n in summary["classes"].items()))
    shown = [f"{group} {n}" for group, n in list(summary["groups"].items())[:12]]
    print_line("groups   " + "  ".join(shown) + (f"  and {n_groups - 12} more" if n_groups > 12 else ""))
    if EACH_NAME_RULE in found["group_rule"]:
        print_line(
            "note     files whose names have no underscore are groups of their own. Where two show the same person or "
            "scene, scores are too good: pass --group REGEX, as docs/your-data.md shows"
        )
    _print_splits(summary, found)
    if "replaced" in found:
        print_line(f"replaced manifest {found['replaced'][:6]}; a search that began on it cannot be resumed any more")
    if found.get("passed_over"):
        print_line(f"passed   over {described(found['passed_over'])}")
    _print_reasons("warning", skip_report(found.get("warnings", {}).items()))
    if summary["n_short"]:
        print_line(
            f"short    {n_of(summary['n_short'], 'clip')} of fewer than {WINDOW} frames; data.short_clips says what then"
        )
    print_line(f"manifest {summary['manifest']}\nnext     {_next_command(manifest, summary)}")


def _next_command(manifest: "Manifest", summary: dict[str, Any]) -> str:
    """A search that this data set can be scored by: S3 needs two classes, and clips that are long enough."""
    from vgsearch.terminal.words import typed

    settings = "" if len(manifest.classes) > 1 else " --set evaluation.objective=-kvd"
    settings += " --set data.short_clips=repeat_last" if summary["n_short"] == summary["n_clips"] else ""
    return f"vgsearch tune mvt_tsa --data {typed(manifest.folder)}{settings}"


def _print_splits(summary: dict[str, Any], found: dict[str, Any]) -> None:
    """Print the splits, what they lack, and the clips that are in none."""
    from videogan.amounts import n_of
    from videogan.metrics.interval import FEWEST_GROUPS

    if "split_rule" in found:
        print_line(f"split    {found['split_rule']}")
    for split, part in summary["splits"].items():
        if part["n_clips"]:
            shown = ", ".join(part["groups"][:12])
            print_line(f"{split:<8} {n_of(part['n_clips'], 'clip')}, {n_of(len(part['groups']), 'group')}: {shown}")
    if summary["no_select"]:
        print_line(f"note     {summary['no_select']}")
    scored = [len(part["groups"]) for split, part in summary["splits"].items() if split != "train" and part["n_clips"]]
    if min(scored, default=FEWEST_GROUPS) < FEWEST_GROUPS:
        n_folds = 2 if summary["no_select"] else 3  # every class has a group in each split
        print_line(
            f"note     scores will rest on {n_of(min(scored), 'group')}, fewer than {FEWEST_GROUPS}: their intervals "
            f"say little. Import more groups, or test every group once: vgsearch confirm EXP --folds {n_folds}"
        )
    if found.get("n_mirrored"):
        kept, n = found["n_mirrored_kept"], found["n_mirrored"]
        print_line(f"mirrored {n_of(n, 'copy', 'copies')}: {kept} beside their originals, {n - kept} left out")
    _print_reasons("skipped", summary["skipped"])


def _print_reasons(word: str, names_of: dict[str, list[str]]) -> None:
    """Print one line for each reason: how many files it has, and the first three names."""
    for reason, names in names_of.items():
        print_line(f"{word}  {len(names)}: {reason} ({', '.join(names[:3])}{', ...' if len(names) > 3 else ''})")


def _summary(manifest: "Manifest") -> dict[str, Any]:
    from vgsearch.data_check.check import WINDOW
    from videogan.data.manifest import MANIFEST_NAME, SPLITS

    usable = manifest.usable.to_pylist()
    n_of_class = Counter(row["label"] for row in usable)
    parts = {split: [row for row in usable if row["split"] == split] for split in SPLITS}
    return {
        "manifest": str(manifest.folder / MANIFEST_NAME),
        "digest": manifest.digest,
        "n_clips": len(usable),
        "classes": {label: n_of_class[label] for label in manifest.classes},
        "groups": dict(sorted(Counter(row["group"] for row in usable).items())),
        "splits": {
            split: {"n_clips": len(rows), "groups": sorted({row["group"] for row in rows})}
            for split, rows in parts.items()
        },
        "no_select": manifest.lack_of_select,
        "skipped": {},
        "n_short": sum(row["n_frames"] < WINDOW for row in usable),
    }
