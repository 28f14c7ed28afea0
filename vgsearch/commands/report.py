"""vgsearch report EXP: everything about a sweep in one file."""

from vgsearch.commands import options
from vgsearch.terminal.line import print_line


def report(
    experiment: options.ExperimentFolder,
    out: options.ReportsFolder = None,
    opens: options.Opens = False,
    json: options.Json = False,
) -> None:
    """Write EXP/report.html, one file that works offline, and EXP/report/README.md, Markdown with PNG figures."""
    import json as json_module

    from vgsearch.runtime.sweep.reporting import write_report
    from vgsearch.terminal.browser import open_page
    from vgsearch.terminal.words import shown

    folder, markdown = write_report(experiment, out)
    if json:
        print_line(json_module.dumps({"html": str(folder.place / folder.report.name), "markdown": str(markdown)}))
    else:
        print_line(shown(folder.report))
        if folder.address is not None:
            print_line(f"{folder.address / folder.report.name}")
        print_line(shown(markdown))
    if opens:
        open_page(folder.report)
