"""A report on disk: one HTML file that needs nothing but a browser, and Markdown with its pictures."""

import base64
import json
from importlib import resources
from pathlib import Path
from typing import Any

import jinja2
from plotly.offline import get_plotlyjs

from vgsearch.report.blocks import Chart, Facts, Lines, Page, SampleGrid, Table, Text
from vgsearch.report.picture import write_picture
from videogan.storage.atomic import write_atomically

TEMPLATE, MARKDOWN, SAMPLES = "report.html", "README.md", "samples.gif"
_ESCAPED = str.maketrans({letter: f"\\{letter}" for letter in "\\`*_[]<>|#"})


def write_html(page: Page, path: Path) -> None:
    """One file, whole or not at all; names and reasons are escaped, nothing is fetched from anywhere."""
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["base64"] = lambda content: base64.b64encode(content).decode()
    environment.filters["plain"] = _untitled
    template = environment.from_string(resources.files("vgsearch.report").joinpath(TEMPLATE).read_text())
    html = template.render(page=page, plotly=get_plotlyjs())
    path.parent.mkdir(parents=True, exist_ok=True)
    # A name on disk may hold bytes that are no text.
    write_atomically(path, lambda stream: stream.write(html.encode("utf-8", "replace")))


def _untitled(figure: Any) -> dict[str, Any]:
    """A figure as JSON values; its title is the page's to write."""
    values = json.loads(figure.to_json())
    del values["layout"]["title"]
    return values


def write_markdown(page: Page, folder: Path) -> Path:
    """README.md, a PNG for each chart that has one, samples.gif; returns the path of the first."""
    folder.mkdir(parents=True, exist_ok=True)
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


def _markdown(block: object, folder: Path) -> list[str]:
    if isinstance(block, Facts):
        return [_markdown_table(Table(("", ""), block.pairs))]
    if isinstance(block, Table):
        return [f"**{_escaped(block.title)}**", _markdown_table(block)] if block.title else [_markdown_table(block)]
    if isinstance(block, Text):
        return [f"> {_escaped(block.text)}" if block.warning else _escaped(block.text)]
    if isinstance(block, Lines):
        # What is folded in the page lies in the trials' folders.
        return [] if block.title else ["\n".join(f"    {line}" for line in block.text.splitlines())]
    if isinstance(block, SampleGrid):
        (folder / SAMPLES).write_bytes(block.gif)
        told = f"Columns: {', '.join(block.columns)}. Rows: {', '.join(block.rows)}."
        return [f"![samples]({SAMPLES})", _escaped(told)]
    if isinstance(block, Chart) and block.as_picture:
        write_picture(block.figure, folder / f"{block.name}.png")
        return [f"![{block.name}]({block.name}.png)", *([_escaped(block.caption)] if block.caption else [])]
    return []


def _markdown_table(table: Table) -> str:
    rules = ["---:" if name in table.right else "---" for name in table.columns]
    rows = [
        [f"**{_escaped(cell)}**" if number in table.marked and cell else _escaped(cell) for cell in row]
        for number, row in enumerate(table.rows)
    ]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in ([*map(_escaped, table.columns)], rules, *rows))


def _escaped(text: str) -> str:
    return " ".join(text.translate(_ESCAPED).split())
