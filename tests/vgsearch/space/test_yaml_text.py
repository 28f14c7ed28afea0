"""One reader for our YAML and `--set`: which texts are numbers, and what is refused with its line."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from vgsearch.space.yaml_text import MOST_VALUES, read_yaml, read_yaml_file, write_yaml
from videogan.config import ConfigurationError


def refused(text: str) -> str:
    with pytest.raises(ConfigurationError) as caught:
        read_yaml(text, "a.yaml")
    assert "\n" not in str(caught.value)
    return str(caught.value).removeprefix("a.yaml: ")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-1", 0.1), ("5e-5", 5e-5), ("5E-5", 5e-5), ("1e3", 1000.0), ("-1.5e+3", -1500.0), (".5", 0.5), ("1.", 1.0),
        ("0", 0), ("-7", -7), ("+7", 7), ("200_000", 200_000), ("true", True), ("False", False), ("~", None), ("", None),
    ],
)  # fmt: skip
def test_numbers_booleans_and_null_are_read_as_such(text: str, value: Any):
    read = read_yaml(text, "a.yaml")
    assert (read, type(read)) == (value, type(value))


@pytest.mark.parametrize(
    "text",
    ["on", "yes", "off", "n", "010", "00", "1:30", "0x10", "0b1", "2026-01-01", "1e", "e5", "1_", "_1", "1__0", "="],
)
def test_what_readers_of_yaml_take_for_different_things_is_text(text: str):
    assert read_yaml(text, "a.yaml") == text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb: 2\na: 3\n", "line 3: the key 'a' is already on line 1; remove one of the two."),
        ("a:\n  b: {c: 1, c: 2}\n", "line 2: the key 'c' is already on line 2; remove one of the two."),
        ("a: 1\n2: b\n", "line 2: a key must be text, got 2; quote it."),
        ("a: 1\n? [b]\n: c\n", "line 2: a key must be text, got a list or mapping; quote it."),
        ("a: !!int x", "line 1: int must be its value, got 'x'."),
        ("a: !!set {x}", "line 1: the tag tag:yaml.org,2002:set must be left out; plain values need none."),
        ("a: [1", "not YAML: line 1: expected ',' or ']', but got '<stream end>'."),
        ("a: 1\n---\nb: 2\n", "not YAML: line 2: but found another document."),
        ("[" * 600, "its lists and mappings must not be nested this deeply."),
    ],
)
def test_what_is_wrong_is_said_in_one_line(text: str, message: str):
    assert refused(text) == message


@pytest.mark.parametrize("text", ["\x00", "\ud800", "9" * 5000, "&a [*a]", "<<", "x: *y"])
def test_other_texts_are_refused_by_the_files_name(text: str):
    refused(text)


def test_a_few_lines_of_anchors_cannot_become_billions_of_values():
    levels = [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 10)]
    assert refused("\n".join(["a0: &a0 [x, x]", *levels])).startswith(f"must have at most {MOST_VALUES:,} values")


VALUES = {
    "texts": ["1e-5", "010", "on", "1:30", "2026-01-01", "null", "~", "", " x", "a: b", "é", "<<", "="],
    "numbers": [1e-5, 1e300, -0.5, 0, 10**20],
    "others": [True, None, {}, []],
}


@pytest.mark.parametrize("in_one_line", [False, True])
def test_written_values_are_read_as_they_were_also_by_readers_of_yaml_1_1(in_one_line: bool):
    text = write_yaml(VALUES, in_one_line)
    assert read_yaml(text, "a.yaml") == yaml.safe_load(text) == VALUES
    assert len(text.splitlines()) == 1 or not in_one_line


def test_a_file_is_utf_8_text_or_refused_in_one_line(tmp_path: Path):
    file = tmp_path / "a.yaml"
    file.write_bytes("\ufefftitle: é\n".encode())
    assert read_yaml_file(file) == {"title": "é"}
    file.write_bytes(b"title: \xe9\n")
    with pytest.raises(ConfigurationError, match=r"a\.yaml: must be UTF-8 text, got the byte 0xe9 at offset 7; save"):
        read_yaml_file(file)
    with pytest.raises(ConfigurationError, match="cannot be read: Is a directory"):
        read_yaml_file(tmp_path)
