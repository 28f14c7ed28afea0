import pytest

from videogan.data.manifest import DataError

LAYOUT = "hmdb51"
CLASSES = ("brush_hair", "wave")
END = "u_nm_np1_ba_goo"


@pytest.fixture
def hmdb(tmp_path):
    """Two classes of three titles with two clips each; in split k the k-th title is for test, the last clip in none."""
    folder = tmp_path / "hmdb51"
    lists = folder / "testTrainMulti_7030_splits"
    lists.mkdir(parents=True)
    for label in CLASSES:
        names = [f"Film_{title}_{label}_{END}_{clip}.avi" for title in "ABC" for clip in (0, 1)]
        (folder / label).mkdir()
        for name in names:
            (folder / label / name).touch()
        for fold in (1, 2, 3):
            parts = ["2" if name[5] == "ABC"[fold - 1] else "1" for name in names[:-1]] + ["0"]
            lines = "".join(f"{name} {part} \n" for name, part in zip(names, parts, strict=True))
            (lists / f"{label}_test_split{fold}.txt").write_text(lines)
    return folder


@pytest.mark.parametrize("fold", [None, 1, 2, 3])
def test_each_official_split_is_read(hmdb, fold, find):
    found = find(hmdb, fold=fold)
    assert [video.label for video in found.videos] == ["brush_hair"] * 6 + ["wave"] * 6
    used = [video for video in found.videos if video.skipped is None]
    tested = "ABC"[(fold or 1) - 1]
    assert {video.group: video.split for video in used} == {
        f"{label}/Film_{title}": "test" if title == tested else "train" for label in CLASSES for title in "ABC"
    }
    assert {v.skipped for v in found.videos if v.path.stem.endswith("C_wave_" + END + "_1")} == {
        f"in neither part of split {fold or 1}"
    }
    assert found.split_rule == f"official split {fold or 1} (*_test_split{fold or 1}.txt)"
    assert len([video for video in find(hmdb, split_by="group").videos if video.skipped is None]) == 12


def test_unlisted_and_missing_files_are_skipped_with_the_reason(hmdb, find):
    (hmdb / "wave" / "new.avi").touch()
    (hmdb / "wave" / f"Film_A_wave_{END}_0.avi").unlink()
    reasons = {video.path.name: video.skipped for video in find(hmdb).videos if video.label == "wave"}
    assert reasons["new.avi"] == "not in wave_test_split1.txt"
    assert reasons[f"Film_A_wave_{END}_0.avi"] == "listed, but no such file"


@pytest.mark.parametrize(
    ("line", "message"),
    [("a.avi 3", r"split1\.txt line 7: expected '<video> 0', 1"), (f"Film_A_wave_{END}_0.avi 1", "line 7: .* twice")],
)
def test_a_wrong_line_is_refused_with_its_number(hmdb, line, message, find):
    with (hmdb / "testTrainMulti_7030_splits" / "wave_test_split1.txt").open("a") as file:
        file.write(line + "\n")
    with pytest.raises(DataError, match=message):
        find(hmdb)
