import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from vgsearch.commands.data import app
from videogan.data.manifest import DataError, read_manifest

SHARED = Path(__file__).parents[4] / "shared" / "data"


def vgsearch_data(*arguments) -> str:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_weizmann_imports_with_persons_as_groups(tmp_path):
    if not (SHARED / "weizmann4").is_dir():
        pytest.skip(f"no real clips at {SHARED}")
    printed = vgsearch_data("import", SHARED / "weizmann4", "--out", tmp_path)
    assert "56 clips  4 classes  7 groups (the part before the first underscore)" in printed
    manifest = read_manifest(tmp_path)
    assert manifest.classes == ["bend", "jack", "wave1", "wave2"]
    groups = {split: set(manifest.split(split)["group"].to_pylist()) for split in ("train", "test")}
    assert {len(groups["train"]), len(groups["test"])} == {5, 2}
    assert all(group.startswith("person") for group in groups["train"] | groups["test"])
    assert all(Path(path).is_absolute() for path in manifest.table["path"].to_pylist())


def test_what_make_writes_import_reads_back(tmp_path):
    made = json.loads(vgsearch_data("make", "moving-shapes", "--out", tmp_path / "shapes", "--json"))
    (tmp_path / "shapes" / "left" / "broken.mp4").write_text("no video")
    arguments = ("import", tmp_path / "shapes", "--out", tmp_path / "again")
    imported = json.loads(vgsearch_data(*arguments, "--json"))
    assert imported["classes"] == made["classes"]
    assert imported["groups"] == made["groups"]
    assert imported["skipped"] == {
        "not a video that FFmpeg reads (Invalid data found when processing input)": ["broken.mp4"]
    }
    with pytest.raises(DataError, match="1 of 513 videos cannot be used"):
        vgsearch_data(*arguments, "--strict")


def test_a_folder_without_video_is_refused_before_ray_starts(tmp_path):
    with pytest.raises(DataError, match="no video found"):
        vgsearch_data("import", tmp_path)


def test_split_by_file_needs_the_file(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "a.mp4").touch()
    with pytest.raises(DataError, match=r"needs split\.csv"):
        vgsearch_data("import", tmp_path, "--split-by", "file")
