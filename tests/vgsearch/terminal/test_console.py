"""What a stranger's text can do on a terminal: nothing."""

import io
import logging
import warnings

import pytest
from rich.live import Live
from rich.table import Table
from rich.text import Text

from vgsearch.terminal.console import Terminal
from vgsearch.terminal.line import MOST_CHARACTERS, MOST_LINES, make_own_prints_harmless, print_error, print_line
from vgsearch.terminal.words import progress_bar

HOSTILE = "x[/red][bold]:smile:\x1b[2J\x07\udce9"
SHOWN = r"x[/red][bold]:smile:\x1b[2J"


@pytest.fixture
def console(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """A colour terminal of 120 columns; `file` holds what it received."""
    for name, value in {"COLUMNS": "120", "TERM": "xterm-256color", "FORCE_COLOR": "1"}.items():
        monkeypatch.setenv(name, value)
    console = Terminal()
    console.file = io.StringIO()
    return console


def drawn_on(console: Terminal) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_strings_texts_tables_and_styles_reach_the_terminal_without_controls(console: Terminal):
    table = Table("class", box=None)
    table.add_row(HOSTILE)
    table.add_row(Text(HOSTILE, "red"))
    for shown in (HOSTILE, Text(HOSTILE), table):
        console.print(shown)
    console.print(HOSTILE, style="bold", soft_wrap=True)
    drawn = drawn_on(console)
    assert (drawn.count(SHOWN), drawn.count(SHOWN[: -len("[2J")])) == (
        3,
        5,
    )  # two are cut to a column that was measured before
    assert "\x1b[2J" not in drawn
    assert "\x1b[31m" in drawn  # our own colours stay
    drawn.encode()  # no lone bytes, which would end the command


def test_a_live_table_and_a_bar_still_move_the_cursor(console: Terminal):
    with Live(Text(f"{HOSTILE}\nsecond"), console=console, auto_refresh=False) as live:
        live.refresh()
        live.update(Text(f"{HOSTILE}\nthird"), refresh=True)
    with progress_bar(console) as bar:
        bar.add_task(HOSTILE, total=2)
    drawn = drawn_on(console)
    assert "\x1b[1A" in drawn  # up, to draw over the last table
    assert "\x1b[2J" not in drawn
    assert SHOWN in drawn


def test_plain_lines_are_printed_without_controls(capsys: pytest.CaptureFixture[str]):
    print_line(HOSTILE)
    print_line(HOSTILE, error=True)
    out, err = capsys.readouterr()
    assert out == err == r"x[/red][bold]:smile:\x1b[2J\x07\udce9" + "\n"


def test_an_error_is_printed_without_secrets_and_cut_where_it_is_too_long(capsys: pytest.CaptureFixture[str]):
    print_error(f"error: s3://KEY:abc@bucket\n{'x' * (MOST_CHARACTERS + 5)}\n" + "line\n" * MOST_LINES + "reason")
    lines = capsys.readouterr().err.splitlines()
    first, second, *_, last = lines
    assert first == "error: s3://KEY:***@bucket"
    assert second == "x" * MOST_CHARACTERS + "... (5 more characters)"
    assert (lines[MOST_LINES // 2], len(lines), last) == ("(3 more lines)", MOST_LINES + 1, "reason")


def test_what_python_prints_by_itself_has_no_controls(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(warnings, "formatwarning", warnings.formatwarning)
    make_own_prints_harmless()
    record = logging.LogRecord("vgsearch", logging.WARNING, "file.py", 1, "%s", (HOSTILE,), None)
    assert logging.lastResort is not None
    for told in (warnings.formatwarning(HOSTILE, UserWarning, "file.py", 1, ""), logging.lastResort.format(record)):
        assert SHOWN in told
        assert "\x1b" not in told


def test_a_pipe_gets_lines_of_200_characters(capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("COLUMNS", "80")
    Terminal().print(" ".join(["word"] * 50))
    first, second = capsys.readouterr().out.splitlines()
    assert (len(first.rstrip()), len(second)) == (199, 49)
