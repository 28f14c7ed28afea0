"""Names become folders only if they can be the name of one, and two experiments never get the same by default."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from vgsearch.experiment.names import MOST_BYTES, checked_name, next_name, reserved_name
from videogan.config import ConfigurationError


@pytest.mark.parametrize("name", ["", ".", "..", ".hidden", "../x", "a/b", "/a", "a\x1b[2J", "a\nb", "a\0", "\udce9"])
def test_a_name_that_leaves_its_folder_or_does_not_print_is_refused(name: str):
    with pytest.raises(ConfigurationError, match=r"^--name must be the name of one folder: no slash") as refused:
        checked_name(name, "--name")
    assert str(refused.value).isprintable()


def test_a_name_is_refused_from_the_first_byte_that_is_too_many():
    longest = "é" * (MOST_BYTES // 2)
    assert checked_name(longest, "--name") == longest
    with pytest.raises(ConfigurationError, match=rf"at most {MOST_BYTES} bytes; got 'ééé.*é\.\.\.$") as refused:
        checked_name(f"{longest}e", "--name")
    assert len(str(refused.value)) < MOST_BYTES


def test_the_next_name_is_one_above_the_highest_of_its_own_space(tmp_path: Path):
    assert next_name(tmp_path / "nowhere", "mvt") == "mvt-001"
    for name in ("mvt-001", "mvt-009", "mvt_tsa-041", "mvt-old", "mvt-011-copy", "a[b]-003", "f-folds-002-fold-1"):
        (tmp_path / name).mkdir()
    found = {stem: next_name(tmp_path, stem) for stem in ("mvt", "mvt_tsa", "a[b]", "ab", "f-folds")}
    assert found == {
        "mvt": "mvt-010", "mvt_tsa": "mvt_tsa-042", "a[b]": "a[b]-004", "ab": "ab-001", "f-folds": "f-folds-003",
    }  # fmt: skip
    (tmp_path / "mvt-1000").mkdir()
    assert next_name(tmp_path, "mvt") == "mvt-1001"


def test_names_taken_at_once_differ_and_leave_no_gap(tmp_path: Path):
    def take(_: int) -> str:
        with reserved_name(tmp_path / "runs", None, "mvt") as name:
            (tmp_path / "runs" / name / "sweep.yaml").touch()
            return name

    with ThreadPoolExecutor(8) as pool:
        names = list(pool.map(take, range(24)))
    assert sorted(names) == [f"mvt-{number:03d}" for number in range(1, 25)]


def test_a_refused_request_and_a_forecast_leave_no_folder_of_their_name(tmp_path: Path):
    with reserved_name(tmp_path, None, "mvt"):
        assert [path.name for path in tmp_path.iterdir()] == ["mvt-001"]
    with reserved_name(tmp_path, None, "mvt", reserve=False) as name:
        assert name == "mvt-001"
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_told_with_its_reason(tmp_path: Path):
    (tmp_path / "file").touch()
    reserved = reserved_name(tmp_path / "file", None, "mvt")
    with pytest.raises(ConfigurationError, match=r"mvt-001 can't be created: Not a directory\. Choose another --out"):
        reserved.__enter__()
