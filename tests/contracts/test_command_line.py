"""The command line changes only together with the table below: commands, arguments, options, defaults, exit codes."""

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from vgsearch import cli
from vgsearch.terminal.line import foreign_error
from vgsearch.terminal.verbosity import QUIET, TRACEBACK

COMMANDS = """
tune SPACE --point= --data= --folds= --one-per-class --budget=laptop --set=* --classifier-weights= --out=runs
    --name= --tag=* --trials= --seed=0 --workers-per-trial=1
    --gpus-per-worker= --max-concurrent= --seeds-per-trial=1 --racing --pruning --no-pruning --confirm-best --no-confirm-best
    --time-budget= --gpu-hours= --stop-when= --disk-budget= --keep=2 --log=* --storage=
    --warm-start=* --address= --insecure --dry-run --price=* --json
submit SPACE|EXP --address=! --detach
resume EXP --trials= --retry=none --workers-per-trial= --gpus-per-worker= --data= --max-concurrent= --time-budget=
    --gpu-hours= --stop-when= --disk-budget= --log=* --address= --insecure --json
stop EXP[/TRIAL] --json
status EXP --watch --json
ls DIR? --tag=* --json
confirm EXP --top=3 --seeds=5 --folds= --workers-per-trial= --gpus-per-worker= --address= --insecure --json
show EXP/TRIAL --json
replay EXP ... --sampler=* --pruner=* --trials= --repeats=100 --parallel=1,8 --seed=0 --json
report EXP --out= --open --json
compare EXP1 EXP2 ... --out= --open --json
dashboard EXP --port=8080
train SPACE --point= --data= --folds= --one-per-class --budget=laptop --set=* --classifier-weights= --out=runs
    --name= --tag=* --seed=0 --workers-per-trial=1
    --gpus-per-worker= --address= --insecure --dry-run --price=* --json
study SPACE --data= --one-per-class --gam --fakes= --seeds=5 --budget=laptop --set=* --classifier-weights= --out=runs
    --name= --tag=* --seed=0 --workers-per-trial=1 --gpus-per-worker= --address= --insecure --dry-run --price=* --json
evaluate CKPT? --videos= --ladder= --rung=* --data= --folds= --metrics= --against=* --fakes=1000 --trust-torchscript=
    --fvd-clips=2048 --fvd-frames=16 --fvd-real=train --budget=
    --preprocessing= --classifier-weights=
    --workers-per-trial=1 --gpus-per-worker= --out= --address= --insecure --json
sample CKPT --show=grid --classes= --codes= --steps= --n-frames= --truncation= --seed=0 --out= --clips= --json
export EXP[/TRIAL] DIR --json
spaces NAME? --json
doctor --json
gc EXP --disk-budget= --dry-run --json
data make NAME --out= --seed=0 --digits= --clips= --json
data import DIR --layout=auto --out= --group= --split-by= --fold= --strict --no-strict --set=* --insecure --json
data check DIR --out= --group= --insecure --json
flow fit --budget=laptop --set=* --out= --json
cluster init KIND --out= --fill=* --json
cluster check FILE --space= --budget=paper --json
"""
"""--a= takes a value, --a=x has the default x, --a=* may be repeated, --a=! is required, --a is a flag.

B? is an optional argument.
"""
EXIT_CODES = {
    ("--help",): 0,
    ("--version",): 0,
    ("spaces", "--no-color", "-q"): 0,
    ("cluster", "init", "README", "--out", "copy.md", "--json"): 0,
    ("resume", "nowhere"): 1,
    ("tune", "mvt_tas"): 1,
    ("tune",): 2,
    ("tune", "mvt", "--no-such-option"): 2,
    ("no-such-command",): 2,
}


def commands(command: typer.core.TyperCommand, name: str = "") -> Iterator[tuple[str, typer.core.TyperCommand]]:
    """Every command that runs something, with the words that call it."""
    if not hasattr(command, "commands"):
        yield name, command
        return
    for word, inner in command.commands.items():
        yield from commands(inner, f"{name} {word}".strip())


ROOT = typer.main.get_command(cli.app)
ALL = dict(commands(ROOT))


def written(parameter: typer.core.TyperOption | typer.core.TyperArgument) -> str:
    """One parameter as the table writes it."""
    if parameter.param_type_name == "argument":
        return (parameter.metavar or parameter.name) + ("" if parameter.required else "?")
    names = [*parameter.opts, *parameter.secondary_opts]
    if parameter.is_flag:
        return " ".join(names)
    default = "" if parameter.default is None else str(parameter.default)
    return " ".join(names) + "=" + ("*" if parameter.multiple else "!" if parameter.required else default)


def test_the_commands_have_the_arguments_options_and_defaults_of_the_table():
    found = [" ".join([name, *map(written, command.params)]) for name, command in ALL.items()]
    assert sorted(found) == sorted(COMMANDS.strip().replace("\n    ", " ").splitlines())


@pytest.mark.parametrize(("arguments", "code"), EXIT_CODES.items())
def test_a_command_ends_with_its_exit_code(arguments: tuple[str, ...], code: int, tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("NO_COLOR", QUIET, TRACEBACK):  # what the options set is unset after the test
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    monkeypatch.setattr(sys, "argv", ["vgsearch", *arguments])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == code


@pytest.mark.parametrize("command", ["", "tune", "train", "resume", "evaluate", "data import"])
def test_a_help_page_of_80_columns_has_every_name_whole(command: str, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    page = CliRunner().invoke(cli.app, [*command.split(), "--help"]).output
    assert "…" not in page  # by which rich cuts a name
    assert max(map(len, page.splitlines())) <= 80
    options = (ALL[command] if command else ROOT).params
    names = {name for option in options if option.param_type_name == "option" for name in option.opts}
    assert names <= set(page.replace(",", " ").split())


def test_the_options_of_every_command_stand_before_it_or_anywhere():
    own = [" ".join(map(str, option.opts)) for option in ROOT.params]
    assert own == ["--version", "--no-color", "--quiet -q", "--verbose -v", "--install-completion", "--show-completion"]
    assert cli._common_first(["ls", "-q", "runs", "--", "-v"]) == ["-q", "ls", "runs", "--", "-v"]


def test_the_package_runs_as_a_module_prints_its_version_and_completes_in_a_shell():
    said = subprocess.run([sys.executable, "-m", "vgsearch", "--version"], capture_output=True, text=True, check=True)
    assert said.stdout.startswith("vgsearch ")
    assert "torch 2" in said.stdout
    program = [sys.executable, "-c", "import sys; sys.argv[0] = 'vgsearch'; from vgsearch.cli import main; main()"]
    for words, completed in (("vgsearch stat", ["status"]), ("vgsearch tune mvt_t", ["mvt_tsa"])):
        asked = {"_VGSEARCH_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(words.count(" "))}
        found = subprocess.run(program, capture_output=True, text=True, env={**os.environ, **asked})
        assert found.stdout.split() == completed


def test_ctrl_c_ends_any_command_with_130(tmp_path: Path):
    blocking = tmp_path / "cluster.yaml"
    os.mkfifo(blocking)
    process = subprocess.Popen(
        [sys.executable, "-c", "from vgsearch.cli import main; main()", "cluster", "check", blocking],
        # A shell starts background jobs with SIGINT ignored, and the tests may run in one.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    with blocking.open("w"):  # opens once the command reads, and then waits for text
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130


def test_a_sweep_has_its_own_exit_codes():
    from vgsearch.runtime.sweep.launch import EXIT_INTERRUPTED, EXIT_NO_USABLE_TRIAL

    assert (EXIT_NO_USABLE_TRIAL, EXIT_INTERRUPTED) == (3, 130)


def test_an_error_is_one_line_and_a_traceback_if_the_environment_asks_for_it(capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["vgsearch", "tune", "mvt_tas"])
    monkeypatch.delenv("VGSEARCH_TRACEBACK", raising=False)
    for setting, first in ((None, "error: no search space 'mvt_tas'"), ("1", "Traceback (most recent call last):")):
        if setting is not None:
            monkeypatch.setenv("VGSEARCH_TRACEBACK", setting)
        with pytest.raises(SystemExit):
            cli.main()
        assert capsys.readouterr().err.startswith(first)


def test_a_home_folder_after_an_equals_sign_is_expanded(tmp_path: Path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["vgsearch", "cluster", "init", "README", "--out=~/a copy.md"])
    with pytest.raises(SystemExit):
        cli.main()
    assert [path.name for path in tmp_path.iterdir()] == ["a copy.md"]


class Foreign(Exception):
    """An error of another library."""


def failing(error: Exception) -> None:
    raise error


def test_an_error_of_another_library_is_one_line_that_names_the_file_of_its_traceback(capsys, monkeypatch, tmp_path):
    monkeypatch.delenv("VGSEARCH_TRACEBACK", raising=False)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(cli, "app", lambda: failing(ZeroDivisionError("first line\nsecond line")))
    with pytest.raises(SystemExit) as ended:
        cli.main()
    (file,) = tmp_path.iterdir()
    line = capsys.readouterr().err
    assert ended.value.code == 1
    assert line.startswith("error: ZeroDivisionError: first line second line. ")
    assert line.endswith(f"its traceback is in {file}\n")
    assert line.count("\n") == 1
    assert file.read_text("utf-8").startswith("Traceback (most recent call last):")
    assert "in failing" in file.read_text("utf-8")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))
    assert "Traceback (most recent call last):" not in line
    assert "could be written:\n" in foreign_error(Foreign()), "the traceback is not lost"


@pytest.mark.parametrize("name", ALL)
def test_help_texts_are_whole_sentences_wherever_a_line_breaks(name: str):
    # The terminal's width breaks the first paragraph, but each further line of a docstring remains one line.
    summary, *further = (ALL[name].help or "").strip().split("\n\n")
    lines = [summary.strip(), *(line.strip() for paragraph in further for line in paragraph.splitlines())]
    texts = [parameter.help for parameter in ALL[name].params if parameter.name != "help"]
    assert not [line for line in [*lines, *texts] if not line or "\n" in line or not line.endswith(".")]


def test_every_command_and_group_has_a_summary():
    groups = [command for command in ROOT.commands.values() if hasattr(command, "commands")]
    assert all(command.help for command in [ROOT, *groups, *ALL.values()])
