"""vgsearch report EXP: everything about a sweep, in one file."""

import typer

from vgsearch.commands import options


def report(experiment: options.ExperimentFolder, out: options.ReportsFolder = options.DEFAULT_REPORTS) -> None:
    """Write EXP/report.html, one file that works offline, and a Markdown table with PNG figures under reports/."""
    from vgsearch.report.writing import write_html, write_markdown
    from vgsearch.runtime.reporting import page_of

    page, html = page_of(experiment), experiment / "report.html"
    write_html(page, html)
    typer.echo(html)
    typer.echo(write_markdown(page, out / page.title))
