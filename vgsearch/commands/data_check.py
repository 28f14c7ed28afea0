"""`vgsearch data check`: decode everything, tell what is there and what is wrong, and write a page to look at."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vgsearch.commands import options

if TYPE_CHECKING:
    from vgsearch.data_check.check import DataCheck


def check(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="An imported data set, or a folder of videos.")],
    out: Annotated[
        Path | None, typer.Option(help="Folder for the contact sheet and the page; by default DIR/check.")
    ] = None,
    group: Annotated[
        str | None, typer.Option(metavar="REGEX", help="Group from the file name, where there is no manifest.")
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Tell what the data set holds, every video decoded once: exit code 1 on a leak or where nothing can be used."""
    from vgsearch.data_check.page import write_check
    from videogan.data.clips import DataConfig

    folder, limits = folder.absolute(), DataConfig().limits
    checked = _checked(folder, group, as_json)
    sheet, page = write_check(checked, out or folder / "check", limits)
    if as_json:
        typer.echo(json.dumps(checked.summary() | {"sheet": str(sheet), "page": str(page)}))
    else:
        _tell(checked)
        typer.echo(f"sheet    {sheet}\npage     {page}")
    if checked.blockers:
        raise typer.Exit(1)


def _checked(folder: Path, group: str | None, silent: bool) -> "DataCheck":
    """Every file decoded: by the manifest where there is one, else as the import would find them."""
    from vgsearch.data_check.check import check_found, check_manifest, manifest_as_it_is
    from videogan.data.formats import layout_of
    from videogan.data.formats.contract import ImportOptions, refuse_options
    from videogan.data.manifest import MANIFEST_NAME, DataError

    if (folder / MANIFEST_NAME).is_file():
        if group is not None:
            raise DataError(f"{folder}: --group has no effect, {MANIFEST_NAME} tells the groups. Leave it out.")
        manifest = manifest_as_it_is(folder)
        paths = [manifest.location(path) for path in manifest.table["path"].to_pylist()]
        return check_manifest(manifest, _inspected(paths, silent))
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


def _tell(check: "DataCheck") -> None:
    """What a person wants to know first, a line each; the page has the rest."""
    spread = check.spread(check.usable)
    typer.echo(
        f"{len(check.usable)} of {len(check.videos)} clips usable  {len(check.classes)} classes  "
        f"{len({video.group for video in check.usable})} groups ({check.group_rule})"
    )
    typer.echo("classes  " + "  ".join(f"{label} {len(videos)}" for label, videos in check.classes.items()))
    if spread is not None:
        typer.echo(f"length   {spread['min']:g} to {spread['max']:g} frames, median {spread['median']:g}")
    for name, counted in check.counts().items():
        shown = [f"{value} ({n})" for value, n in list(counted.items())[:6]]
        typer.echo(f"{name:<8} " + "  ".join(shown) + (f"  and {len(counted) - 6} more" if len(counted) > 6 else ""))
    for reason, names in check.skipped.items():
        typer.echo(f"skipped  {len(names)}: {reason} ({', '.join(names[:3])}{', ...' if len(names) > 3 else ''})")
    warnings = [video for video in check.videos if video.warning]
    for video in warnings[:10]:
        typer.echo(f"warning  {video.name}: {video.warning}")
    if len(warnings) > 10:
        typer.echo(f"warning  {len(warnings) - 10} more on the page")
    for names in check.duplicates[:10]:
        typer.echo(f"same     {' = '.join(names)}")
    for remark in check.remarks:
        typer.echo(f"note     {remark}")
    for blocker in check.blockers[:20]:
        typer.echo(f"BLOCKER  {blocker}")
