"""vgsearch compare EXP1 EXP2: experiments side by side."""

from pathlib import Path
from typing import Annotated

import typer

from vgsearch.commands import options


def compare(
    experiments: Annotated[list[Path], typer.Argument(metavar="EXP1 EXP2 ...", help="Folders of experiments.")],
    out: options.ReportsFolder = options.DEFAULT_REPORTS,
) -> None:
    """Write a report of several experiments under reports/: the best to expect of n trials of each, costs, samples."""
    from vgsearch.report.writing import write_html, write_markdown
    from vgsearch.runtime.sweep.reporting import comparison_of

    page = comparison_of(experiments)
    folder = out / page.title
    write_html(page, folder / "report.html")
    typer.echo(folder / "report.html")
    typer.echo(write_markdown(page, folder))
