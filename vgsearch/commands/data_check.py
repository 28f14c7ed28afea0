"""vgsearch data check DIR: decode every video, report contents and problems, and write a page of them."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vgsearch.commands import options
from vgsearch.terminal.line import print_line
from videogan.amounts import n_of

if TYPE_CHECKING:
    from vgsearch.data_check.check import DataCheck


def check(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="An imported data set, or a folder of videos.")],
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Folder for the page and its contact sheet. Default: check/ in DIR."),
    ] = None,
    group: Annotated[
        str | None,
        typer.Option(
            metavar="REGEX",
            help="Pattern that finds the group in a file's name, or each-file; if there is no manifest.",
        ),
    ] = None,
    insecure: options.Insecure = False,
    as_json: options.Json = False,
) -> None:
    """Decode every video once, print what the data set holds, and write a page about it.

    Exit code 1 if two of train, select and test share clips or groups, or if no clip is usable.
    """
    from vgsearch.data_check.page import write_check
    from videogan.data.clips import DataConfig

    folder, limits = folder.absolute(), DataConfig().limits
    checked = _checked(folder, group, as_json)
    sheet, page = write_check(checked, out or folder / "check", limits)
    if as_json:
        print_line(json.dumps(checked.summary() | {"sheet": str(sheet), "page": str(page)}))
    else:
        _print_summary(checked)
        print_line(f"sheet    {sheet}\npage     {page}")
    if checked.blockers:
        raise typer.Exit(1)


def _checked(folder: Path, group: str | None, silent: bool) -> "DataCheck":
    """Decode every file that the manifest lists, or that an import would find if there is no manifest."""
    from vgsearch.data_check.check import check_found, check_manifest, manifest_as_it_is
    from videogan.data.formats import layout_of
    from videogan.data.formats.contract import ImportOptions, refuse_options
    from videogan.data.manifest import MANIFEST_NAME, DataError

    if (folder / MANIFEST_NAME).is_file():
        if group is not None:
            raise DataError(f"{folder}: --group has no effect because {MANIFEST_NAME} has the groups; remove it.")
        manifest = manifest_as_it_is(folder)
        places = [manifest.location(path) for path in manifest.table["path"].to_pylist()]
        local = [place for place in places if isinstance(place, Path)]
        if len(local) < len(places):
            raise DataError(
                f"{folder}: data check reads local videos; copy those on remote storage and import them again."
            )
        return check_manifest(manifest, _inspected(local, silent))
    layout, chosen = layout_of(folder), ImportOptions(group=group)
    refuse_options(layout, chosen)
    found = layout.find(folder, chosen)
    paths = [video.path for video in found.videos if video.skipped is None]
    return check_found(folder, found, _inspected(paths, silent))


def _inspected(paths: list[Path], silent: bool) -> dict[Path, dict[str, Any]]:
    from vgsearch.runtime.cluster.cluster import connect
    from vgsearch.runtime.feed.decode import inspect_videos
    from vgsearch.terminal.words import counted
    from videogan.data.clips import DataConfig

    with connect(), counted("decoding", silent) as on_progress:
        return inspect_videos(paths, DataConfig().limits, on_progress)


def _print_summary(check: "DataCheck") -> None:
    """Print the main facts, a line each; the page has the rest."""
    spread = check.spread(check.usable)
    print_line(
        f"{len(check.usable)} of {n_of(len(check.videos), 'clip')} usable  "
        f"{n_of(len(check.classes), 'class', 'classes')}  "
        f"{n_of(len({video.group for video in check.usable}), 'group')} ({check.group_rule})"
    )
    print_line("classes  " + "  ".join(f"{label} {len(videos)}" for label, videos in check.classes.items()))
    if spread is not None:
        print_line(f"length   {spread['min']:g} to {spread['max']:g} frames, median {spread['median']:g}")
    for name, counted in check.counts().items():
        shown = [f"{value} ({n})" for value, n in list(counted.items())[:6]]
        print_line(f"{name:<8} " + "  ".join(shown) + (f"  and {len(counted) - 6} more" if len(counted) > 6 else ""))
    for reason, names in check.skipped.items():
        print_line(f"skipped  {len(names)}: {reason} ({', '.join(names[:3])}{', ...' if len(names) > 3 else ''})")
    warnings = [video for video in check.videos if video.warning]
    for video in warnings[:10]:
        print_line(f"warning  {video.name}: {video.warning}")
    if len(warnings) > 10:
        print_line(f"warning  {len(warnings) - 10} more on the page")
    for names in check.duplicates[:10]:
        print_line(f"same     {' = '.join(names)}")
    for remark in check.remarks:
        print_line(f"note     {remark}")
    for blocker in check.blockers[:20]:
        print_line(f"BLOCKER  {blocker}")
