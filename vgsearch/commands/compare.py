"""vgsearch compare EXP1 EXP2: a report that compares experiments."""

from pathlib import Path
from typing import Annotated

import typer

from vgsearch.commands import options
from vgsearch.terminal.line import print_line


def compare(
    experiments: Annotated[list[Path], typer.Argument(metavar="EXP1 EXP2 ...", help="Folders of the experiments.")],
    out: options.ComparisonFolder = None,
    opens: options.Opens = False,
    json: options.Json = False,
) -> None:
    """Write a report that compares experiments: expected best score after n trials, costs, samples."""
    import json as json_module

    from vgsearch.report.writing import write_html, write_markdown
    from vgsearch.runtime.sweep.reporting import comparison_of, folder_beside
    from vgsearch.terminal.browser import open_page
    from vgsearch.terminal.words import shown

    page = comparison_of(experiments)
    folder = (folder_beside(experiments[0]) if out is None else out) / page.title
    write_html(page, folder / "report.html")
    markdown = write_markdown(page, folder)
    if json:
        print_line(json_module.dumps({"html": str(folder / "report.html"), "markdown": str(markdown)}))
    else:
        print_line(shown(folder / "report.html"))
        print_line(shown(markdown))
    if opens:
        open_page(folder / "report.html")
