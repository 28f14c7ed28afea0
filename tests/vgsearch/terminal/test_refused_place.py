"""A place that cannot be written is one line with the place, however deep the error was wrapped; a defect is none."""

import errno
from pathlib import Path

import pytest
from ray.exceptions import RayTaskError

from vgsearch import cli
from vgsearch.terminal.refused_place import refused_place


def test_a_refusal_is_found_in_what_an_error_was_raised_from_and_in_ray_s_errors():
    refusal = PermissionError(errno.EACCES, "Permission denied", "/ro/cache")
    line = "/ro/cache: Permission denied. Make it usable, or choose another place: "
    line += "--out, VGSEARCH_CACHE, RAY_TMPDIR, TMPDIR."
    assert refused_place(refusal) == line
    assert refused_place(RayTaskError("f", "traceback", refusal)) == line
    wrapped = ValueError("no such key")
    wrapped.__cause__ = refusal
    assert refused_place(wrapped) == line


@pytest.mark.parametrize("error", [KeyError("k"), OSError("no number"), FileNotFoundError(errno.ENOENT, "no", "x")])
def test_another_error_is_no_refusal(error: Exception):
    assert refused_place(error) == ""
    error.__cause__ = error
    assert refused_place(error) == ""


def test_a_command_prints_one_line_for_a_place_below_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(
        "sys.argv", ["vgsearch", "data", "make", "moving-shapes", "--out", str(tmp_path / "file" / "d")]
    )
    with pytest.raises(SystemExit, match="1"):
        cli.main()
    printed = capsys.readouterr().err.strip().splitlines()[-1]
    assert printed.startswith(f"error: {tmp_path / 'file'}")
    assert printed.endswith("choose another place: --out, VGSEARCH_CACHE, RAY_TMPDIR, TMPDIR.")
