"""Each value has its line, also values merged from anchors."""

import pytest

from vgsearch.cluster.check.document import NotYaml, read_documents

TEXT = """# a comment
first: &shared
  a: 1
  b: [x, {c: 2}]
second:
  <<: *shared
  a: 3
"""


def test_each_value_has_its_own_line():
    (document,) = read_documents(TEXT)
    assert document.line("first", "a") == 3
    assert document.line("first", "b", 1, "c") == 4
    assert document.at("first", "b", 1, "c") == 2


def test_a_merged_value_has_the_line_of_its_anchor():
    (document,) = read_documents(TEXT)
    assert document.at("second", "a") == 3
    assert document.line("second", "a") == 7
    assert document.line("second", "b") == 4


def test_a_missing_value_has_the_line_of_the_enclosing_one():
    (document,) = read_documents(TEXT)
    assert document.line("second", "none", "deeper") == 5
    assert document.line("none") == 2
    assert document.at("first", "b", 7, default="nothing") == "nothing"


def test_a_part_keeps_the_line_numbers_of_the_file():
    part = read_documents(TEXT)[0].below("first")
    assert part.at("a") == 1
    assert part.line("a") == 3
    assert part.line() == 2


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a: 1\nb: [1, 2\nc: 3\n", 3),
        ("a: &a [*a]\n", 1),
        ("a: !!python/object/apply:os.system [ls]\n", 1),
        ("\n".join(["a: &l0 [x]"] + [f"b{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 9)}]" for n in range(1, 9)]), 1),
    ],
    ids=["open bracket", "inside itself", "an object", "a billion values"],
)
def test_invalid_or_exploding_yaml_is_refused_with_its_line(text: str, line: int):
    with pytest.raises(NotYaml) as raised:
        read_documents(text)
    assert raised.value.line == line
