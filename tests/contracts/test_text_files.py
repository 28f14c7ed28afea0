"""Every text file is UTF-8, whatever the locale: no reader or writer leaves the encoding to it."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.contracts.source_code import MODULES, nodes_of

OPENERS = {"open", "NamedTemporaryFile", "FileHandler"}
WITH_ENCODING = {"read_text": 0, "write_text": 1}
"""The methods that take the encoding as an argument, and its place."""


def leaves_encoding(call: ast.Call) -> bool:
    """Whether a call opens, reads or writes a text file without naming the encoding."""
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    if "encoding" in {keyword.arg for keyword in call.keywords}:
        return False
    if name in WITH_ENCODING:
        # Our own `read_text(path)` is a function; a path's is a method.
        return isinstance(call.func, ast.Attribute) and len(call.args) <= WITH_ENCODING[name]
    if name not in OPENERS or ast.unparse(call.func) == "av.open":
        return False
    given = [*call.args[1:2], *call.args[:1], *(keyword.value for keyword in call.keywords if keyword.arg == "mode")]
    modes = [node.value for node in given if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    mode = next((mode for mode in modes if set(mode) <= set("rwaxbt+")), None)
    is_text = mode is None and (name == "FileHandler" or (isinstance(call.func, ast.Name) and name == "open"))
    return is_text or (mode is not None and "b" not in mode)


def test_no_text_file_depends_on_the_locale():
    calls = [(name, node) for name in MODULES for node in nodes_of(name) if isinstance(node, ast.Call)]
    assert not [f"{name}, line {call.lineno}: {ast.unparse(call)}" for name, call in calls if leaves_encoding(call)]


@pytest.mark.parametrize(
    ("code", "leaves"),
    [
        ("path.read_text()", True), ("path.read_text('utf-8')", False), ("path.write_text(x)", True), ("open(p)", True),
        ("open(p, 'rb')", False), ("path.open('x')", True), ("path.open('rb')", False), ("segments.open()", False),
        ("open(p, 'a', encoding='utf-8')", False), ("logging.FileHandler(p)", True), ("read_text(p)", False),
    ],
)  # fmt: skip
def test_the_check_sees_each_way_to_open_a_text_file(code: str, leaves: bool):
    call = ast.parse(code).body[0].value  # type: ignore[attr-defined]
    assert leaves_encoding(call) is leaves


def test_a_space_and_its_errors_are_the_same_under_a_locale_without_utf_8(tmp_path: Path):
    (tmp_path / "é.yaml").write_text("title: Größe\n", "utf-8")
    ascii_only = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
    command = [sys.executable, "-c", "from vgsearch.cli import main; main()", "tune", str(tmp_path / "é.yaml")]
    ended = subprocess.run(command, env=os.environ | ascii_only, capture_output=True, check=False)
    assert ended.returncode == 1
    assert ended.stderr.decode("ascii").startswith("error: /")
    assert "'base' is missing." in ended.stderr.decode("ascii")
    assert "Traceback" not in ended.stderr.decode("ascii")
