"""The table of contents of the command line; each command has its own file in `commands/`."""

import importlib.metadata
import io
import os
import platform
import sys
import traceback
import warnings
from collections.abc import Iterable
from typing import Annotated, TextIO

import typer

from vgsearch.commands import (
    cluster,
    compare,
    confirm,
    dashboard,
    data,
    doctor,
    evaluate,
    export,
    flow,
    gc,
    ls,
    replay,
    report,
    resume,
    sample,
    show,
    spaces,
    status,
    stop,
    study,
    submit,
    train,
    tune,
)
from vgsearch.commands.help_pages import Commands
from vgsearch.terminal.line import (
    foreign_error,
    is_own,
    make_own_prints_harmless,
    print_error,
    print_line,
    within_ray,
)
from vgsearch.terminal.refused_place import refused_place
from vgsearch.terminal.verbosity import TRACEBACK, be_quiet, be_verbose

EPILOGUE = """
Environment variables:

  VGSEARCH_CACHE          folder or s3:// address of the cache
  VGSEARCH_MOST_NODES     nodes that a cluster may grow to (see cluster/)
  VGSEARCH_STALLED_AFTER  seconds of silence that end a trial or task (600)
  VGSEARCH_TRACEBACK      if set, every error is printed with its traceback
  NO_COLOR                if set, as --no-color

--no-color, -q and -v may stand anywhere in a command.

Exit codes: 0 success, 1 error, 2 wrong usage, 3 no trial succeeded,
130 interrupted (a sweep can be resumed).
"""

app = typer.Typer(
    name="vgsearch",
    cls=Commands,
    help="Search the hyperparameters of video GANs on Ray, scored by the Symmetric Similarity Score (S3).",
    epilog=EPILOGUE.strip(),
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)

COMMON = ("--no-color", "-q", "--quiet", "-v", "--verbose")
"""The options of every command, which stand before its name when typer reads them."""


def _print_version(asked: bool) -> None:
    if asked:
        packages = (f"{name} {importlib.metadata.version(name)}" for name in ("torch", "ray", "optuna"))
        version = importlib.metadata.version("vgsearch")
        print_line(f"vgsearch {version} (Python {platform.python_version()}, {', '.join(packages)})")
        raise typer.Exit()


@app.callback()
def common(
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_print_version, help="Print versions and exit.")
    ] = False,
    no_color: Annotated[bool, typer.Option("--no-color", help="Print without colours.")] = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Print results, warnings and errors, but no progress.")
    ] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Also print tracebacks, and what libraries log.")
    ] = False,
) -> None:
    """Apply the options of every command."""
    if no_color:
        os.environ["NO_COLOR"] = "1"
    if quiet:
        be_quiet()
    if verbose:
        be_verbose()


app.command("tune")(tune.tune)
app.command("submit", context_settings={"allow_extra_args": True, "ignore_unknown_options": True})(submit.submit)
app.command("resume")(resume.resume)
app.command("stop")(stop.stop)
app.command("status")(status.status)
app.command("ls")(ls.ls)
app.command("confirm")(confirm.confirm)
app.command("show")(show.show)
app.command("report")(report.report)
app.command("compare")(compare.compare)
app.command("dashboard")(dashboard.dashboard)
app.command("replay")(replay.replay)
app.command("train")(train.train)
app.command("study")(study.study)
app.command("evaluate")(evaluate.evaluate)
app.command("sample")(sample.sample)
app.command("export")(export.export)
app.add_typer(data.app, name="data", cls=Commands)
app.add_typer(flow.app, name="flow", cls=Commands)
app.command("spaces")(spaces.spaces)
app.add_typer(cluster.app, name="cluster", cls=Commands)
app.command("doctor")(doctor.doctor)
app.command("gc")(gc.gc)


def main() -> None:
    """Run a command; the epilogue of --help lists the exit codes, of which typer gives 130 on Ctrl-C."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # not the streams of a test
            stream.reconfigure(errors="backslashreplace")  # what the terminal's encoding lacks is written out
    sys.argv[1:] = _common_first(map(_with_home, sys.argv[1:]))
    warnings.showwarning = _show
    make_own_prints_harmless()
    try:
        app()
    except Exception as error:  # noqa: BLE001 (reports every error that no command handles)
        # Any error but our own is a defect and needs its traceback, except a place that cannot be used.
        own = within_ray(error)
        if TRACEBACK in os.environ:
            print_error(traceback.format_exc())
        elif line := str(own) if is_own(own) else refused_place(error):
            print_error(f"error: {line}")
        else:
            print_error(f"error: {foreign_error(error)}")
        sys.exit(1)


def _common_first(arguments: Iterable[str]) -> list[str]:
    """The arguments with those of every command in front, wherever they stood before a "--"."""
    arguments = list(arguments)
    end = arguments.index("--") if "--" in arguments else len(arguments)
    common = [argument for argument in arguments[:end] if argument in COMMON]
    return common + [argument for argument in arguments[:end] if argument not in COMMON] + arguments[end:]


def _with_home(argument: str) -> str:
    """--out=~/runs as --out=/home/me/runs: a shell expands ~ only where a word begins."""
    name, equals, value = argument.partition("=")
    is_path = equals and name.startswith("--") and value.startswith("~")
    return f"{name}={os.path.expanduser(value)}" if is_path else argument


def _show(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """Print a warning about a damaged file as a note for the user; others as Python does."""
    if category.__name__ == "DamagedFile":  # by name: to import it takes a second
        print_line(f"note: {message}", error=True)
    else:
        _show_as_python_does(message, category, filename, lineno, file, line)


_show_as_python_does = warnings.showwarning
