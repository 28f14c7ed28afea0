"""vgsearch report EXP: everything about a sweep in one file."""

from vgsearch.commands import options
from vgsearch.terminal.line import print_line


def report(
    experiment: options.ExperimentFolder,
    out: options.ReportsFolder = options.DEFAULT_REPORTS,
    json: options.Json = False,
) -> None:
    """Write EXP/report.html, one file that works offline, and a Markdown report with PNG figures."""
    import json as json_module

    from vgsearch.experiment.paths import Experiment
    from vgsearch.report.writing import write_html, write_markdown
    from vgsearch.runtime.sweep.reporting import page_of
    from vgsearch.terminal.words import shown

    folder, page = Experiment.at(experiment), page_of(experiment)
    write_html(page, folder.report)
    folder.working_copy.push(lambda name: name == folder.report.name)
    markdown = write_markdown(page, out / page.title)
    if json:
        print_line(json_module.dumps({"html": str(folder.place / folder.report.name), "markdown": str(markdown)}))
        return
    print_line(shown(folder.report))
    if folder.address is not None:
        print_line(f"{folder.address / folder.report.name}")
    print_line(markdown)
