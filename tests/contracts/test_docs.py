"""The pages of docs/ and README say what is true: their links lead somewhere, their commands and messages exist."""

import functools
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
import typer
import yaml

from tests.builders import tiny_sweep
from tests.contracts.source_code import MODULES, ROOT
from vgsearch.cli import app
from vgsearch.space.space import load_space, parse_overrides

DOCS = sorted((ROOT / "docs").glob("*.md"))
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "cluster" / "README.md", *DOCS]
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
BLOCK = re.compile(r"^ *```(\w*)\n(.*?)^ *```", re.MULTILINE | re.DOTALL)
JOINED = re.compile(r'"\s*\n\s*f?"')
"""Between the parts of a text that is written on several lines of code."""
SETTING = re.compile(r"--set (?:'([^']+)'|([a-z_]+\.[a-z_.]+=[^\s`;']+))")
OF_EXAMPLES = {"loop.batch_size=N", "evaluation.objective=-metric:flicker"}
"""A placeholder, and a metric of a package that the page describes."""
OF_ANY = {"--no-color", "--help", "--quiet", "--verbose", "-q", "-v"}
"""Options that may stand in any command."""


def text_of(page: Path) -> str:
    return page.read_text("utf-8")


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings."""
    headings = re.findall(r"^#+ (.*)$", BLOCK.sub("", text_of(page)), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


def test_every_link_leads_to_a_file_and_a_heading():
    broken = []
    for page in PAGES:
        for link in LINK.findall(BLOCK.sub("", text_of(page))):
            name, _, anchor = link.partition("#")
            target = page.parent / name if name else page
            if "://" not in link and not (target.exists() and (not anchor or anchor in anchors(target))):
                broken.append(f"{page.relative_to(ROOT)}: {link}")
    assert not broken


def test_each_page_is_in_the_contents():
    contents = yaml.safe_load(text_of(ROOT / "mkdocs.yml"))["nav"]
    assert sorted(contents) == [page.name for page in DOCS]
    links = LINK.findall(text_of(ROOT / "docs" / "index.md"))
    assert {name for name in contents if name != "index.md"} <= set(links)


def test_each_message_of_the_troubleshooting_page_is_in_the_code():
    sources = [JOINED.sub("", text_of(path)) for path in MODULES.values()]
    messages = [block for language, block in BLOCK.findall(text_of(ROOT / "docs" / "troubleshooting.md")) if language]
    assert len(messages) > 40
    unknown = []
    for message in messages:
        parts = [re.escape(part.strip()) for part in message.split("...") if part.strip(" \n'().,;:")]
        in_order = re.compile(".*?".join(parts))
        if not any(in_order.search(source) for source in sources):
            unknown.append(message)
    assert not unknown


def commands_in(page: Path) -> Iterator[list[str]]:
    """The words of each vgsearch command in a page's blocks, without comments and the parts of a pipe."""
    text = text_of(page)
    blocks = [block for language, block in BLOCK.findall(text) if language in ("", "bash")]
    for block in (*blocks, *re.findall(r"^    vgsearch .*\n", BLOCK.sub("", text), re.MULTILINE)):
        for line in block.replace("\\\n", " ").splitlines():
            words = re.split(r"[;|>]|&&", line.strip().removeprefix("$ "))[0].strip()
            # A line of output begins so too: "vgsearch mvt_tsa (smoke)   exp ..."
            if words.startswith("vgsearch ") and "   exp " not in words:
                yield shlex.split(words, comments=True)


@functools.cache
def program() -> click.Command:
    return typer.main.get_command(app)


def command_of(words: list[str]) -> tuple[click.Command, list[str]]:
    """The command that words name, and the words after its name; raises KeyError for one that is not there."""
    command, rest = program(), words[1:]
    while isinstance(command, click.Group) or hasattr(command, "commands"):
        if rest[0].startswith("-"):
            break
        command, rest = command.commands[rest[0]], rest[1:]
    return command, rest


def options_of(command: click.Command) -> set[str]:
    return OF_ANY | {option for each in command.params for option in (*each.opts, *each.secondary_opts)}


def test_each_command_of_the_pages_exists_with_its_options():
    seen, tune = 0, options_of(command_of(["vgsearch", "tune"])[0])
    for page in PAGES:
        for words in commands_in(page):
            command, rest = command_of(words)
            known = options_of(command) | (tune if command.name == "submit" else set())
            unknown = {word.partition("=")[0] for word in rest if word.startswith("--")} - known
            assert not unknown, f"{page.name}: {shlex.join(words)}"
            seen += 1
    assert seen > 50


def test_each_setting_that_the_pages_give_is_one_and_may_have_that_value():
    given = {found for page in PAGES for found in map("".join, SETTING.findall(text_of(page)))} - OF_EXAMPLES
    assert len(given) > 10
    space = load_space("mvt_tsa")
    for setting in given:
        sweep = tiny_sweep(space, "paper", overrides=parse_overrides([setting]))  # raises ConfigurationError
        sweep.run_config(sweep.paper_points[0], 0)


@pytest.mark.slow  # mkdocs is in the extra docs, which make drills installs
def test_the_pages_are_built_without_a_warning(tmp_path: Path):
    build = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path)]
    done = subprocess.run(build, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert {page.stem for page in DOCS} <= {page.stem for page in tmp_path.glob("*.html")}
    python = text_of(tmp_path / "python.html")
    assert all(name in python for name in ("tune_function", "SearchedExperiment", "evaluate", "checkpoint_folder"))
