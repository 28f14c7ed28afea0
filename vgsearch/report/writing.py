"""Writes a page as one self-contained HTML file, or as Markdown with its pictures."""

import base64
from importlib import resources
from pathlib import Path

import jinja2

from vgsearch.charts.interactive import plotly_json
from vgsearch.charts.png import png
from vgsearch.report.blocks import Block, Chart, Facts, Lines, Page, Picture, SampleGrid, SmallCharts, Table, Text
from videogan.printable import printable
from videogan.storage.atomic import write_atomically

TEMPLATE, MARKDOWN, SAMPLES = "report.html", "README.md", "samples.gif"
_ESCAPED = str.maketrans({letter: f"\\{letter}" for letter in "\\`*_[]<>|#"})


def write_html(page: Page, path: Path) -> None:
    """Write one HTML file atomically; all text is escaped, and the page loads nothing from the network.

    plotly.js is in it only if the page has charts.
    """
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True, finalize=_shown
    )
    environment.filters["base64"] = lambda content: base64.b64encode(content).decode()
    environment.filters["plotly"] = plotly_json
    template = environment.from_string(resources.files("vgsearch.report").joinpath(TEMPLATE).read_text("utf-8"))
    blocks = [block for section in page.sections for block in section.blocks]
    has_charts = any(isinstance(block, Chart | SmallCharts) for block in blocks)
    is_sortable = any(isinstance(block, Table) and block.sortable for block in blocks)
    html = template.render(page=page, plotly=_plotly_js() if has_charts else "", is_sortable=is_sortable)
    # A file name may hold bytes that are not text.
    write_atomically(path, lambda stream: stream.write(html.encode("utf-8", "replace")))


def _shown(value: object) -> object:
    """What the template prints: text without control characters; pictures, charts and numbers as they are."""
    return printable(value) if type(value) is str else value


def _plotly_js() -> str:
    from plotly.offline import get_plotlyjs

    return get_plotlyjs()


def write_markdown(page: Page, folder: Path) -> Path:
    """Write README.md, a PNG for each chart, and samples.gif; returns the path of README.md."""
    parts = [f"# {_escaped(page.title)}", _escaped(page.subtitle)]
    parts += [
        "\n".join(
            f"- {_escaped(what)}: **{_escaped(number)}** {_escaped(note)}" for what, number, note in page.headline
        )
    ]
    for section in page.sections:
        parts.append(f"## {_escaped(section.title)}")
        parts += [_escaped(section.lead)] if section.lead else []
        for block in section.blocks:
            parts += _markdown(block, folder)
    content = "\n\n".join(part for part in parts if part) + "\n"
    write_atomically(folder / MARKDOWN, lambda stream: stream.write(content.encode("utf-8", "replace")))
    return folder / MARKDOWN


def _markdown(block: Block, folder: Path) -> list[str]:
    if isinstance(block, Facts):
        return [_markdown_table(Table(("", ""), block.pairs))]
    if isinstance(block, Table):
        return [f"**{_escaped(block.title)}**", _markdown_table(block)] if block.title else [_markdown_table(block)]
    if isinstance(block, Text):
        return [f"> {_escaped(block.text)}" if block.warning else _escaped(block.text)]
    if isinstance(block, Lines):
        # Text that the page folds is also in the trials' folders.
        return [] if block.title else ["\n".join(f"    {line}" for line in printable(block.text).splitlines())]
    if isinstance(block, SampleGrid):
        write_atomically(folder / SAMPLES, lambda stream: stream.write(block.gif))
        names = f"Columns: {', '.join(block.columns)}. Rows: {', '.join(block.rows)}."
        return [f"![samples]({SAMPLES})", _escaped(names)]
    if isinstance(block, SmallCharts):
        return []
    content, caption = (block.png, "") if isinstance(block, Picture) else (png([block.figure]), block.caption)
    write_atomically(folder / f"{block.name}.png", lambda stream: stream.write(content))
    return [f"![{block.name}]({block.name}.png)", *([_escaped(caption)] if caption else [])]


def _markdown_table(table: Table) -> str:
    rules = ["---:" if name in table.right else "---" for name in table.columns]
    rows = [
        [f"**{_escaped(cell)}**" if number in table.marked and cell else _escaped(cell) for cell in row]
        for number, row in enumerate(table.rows)
    ]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in ([*map(_escaped, table.columns)], rules, *rows))


def _escaped(text: str) -> str:
    return " ".join(printable(text.translate(_ESCAPED)).split())
