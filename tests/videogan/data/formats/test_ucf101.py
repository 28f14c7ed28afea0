import pytest

from videogan.data.decode import inspect
from videogan.data.formats import layout_of
from videogan.data.formats.contract import ImportOptions
from videogan.data.manifest import DataError

LAYOUT = "ucf101"

CLASSES = ("Basketball", "HandstandPushups")


def name(label, group, clip=1):
    return f"v_{label.replace('Handstand', 'HandStand')}_g{group:02d}_c{clip:02d}.avi"


@pytest.fixture
def ucf(tmp_path, clips):
    """Two classes of groups 1, 8, 15; fold k has its k-th group for test. Line ends are CRLF, as published."""
    folder = tmp_path / "ucf"
    lists = folder / "ucfTrainTestlist"
    lists.mkdir(parents=True)
    (lists / "classInd.txt").write_bytes(b"".join(f"{n} {c}\r\n".encode() for n, c in enumerate(CLASSES, 1)))
    for fold, test_group in enumerate((1, 8, 15), 1):
        lines = {"train": b"", "test": b""}
        for number, label in enumerate(CLASSES, 1):
            for group in (1, 8, 15):
                split = "test" if group == test_group else "train"
                end = f" {number}\r\n" if split == "train" else "\r\n"
                lines[split] += f"{label}/{name(label, group)}{end}".encode()
        for split, content in lines.items():
            (lists / f"{split}list0{fold}.txt").write_bytes(content)
    for label in CLASSES:
        for group in (1, 8, 15):
            clips.video(folder / "UCF-101" / label / name(label, group))
    return folder


@pytest.mark.parametrize(("fold", "test_group"), [(None, "g01"), (1, "g01"), (2, "g08"), (3, "g15")])
def test_each_official_split_is_read_despite_crlf_and_the_capital_s(ucf, fold, test_group, find):
    found = find(ucf, fold=fold)
    assert found.classes == CLASSES
    assert len(found.videos) == 6
    for video in found.videos:
        assert video.skipped is None
        assert video.label == video.path.parent.name
        assert video.split == ("test" if video.group == test_group else "train")
    assert f"official split {fold or 1}" in found.split_rule
    assert inspect(found.videos[0].path).info.codec == "mpeg4"


def test_a_flat_folder_has_its_classes_from_the_lists(ucf, find):
    for path in sorted((ucf / "UCF-101").glob("*/*.avi")):
        path.rename(ucf / path.name)
    for label in CLASSES:
        (ucf / "UCF-101" / label).rmdir()
    found = find(ucf)
    assert {(video.label, video.group) for video in found.videos} == {
        (c, g) for c in CLASSES for g in ("g01", "g08", "g15")
    }


def test_the_lists_can_be_beside_the_videos(ucf, find):
    assert {video.split for video in find(ucf / "UCF-101").videos} == {"train", "test"}


def test_unlisted_and_missing_files_are_skipped_with_the_reason(ucf, clips, find):
    clips.video(ucf / "UCF-101" / "Basketball" / name("Basketball", 2))
    (ucf / "UCF-101" / "Basketball" / name("Basketball", 1)).unlink()
    skipped = {video.path.name: video.skipped for video in find(ucf).videos if video.skipped}
    assert skipped == {
        "v_Basketball_g02_c01.avi": "in neither trainlist01.txt nor testlist01.txt",
        "v_Basketball_g01_c01.avi": "listed, but no such file",
    }


def test_a_quarter_of_the_groups_may_be_drawn_instead(ucf, find):
    found = find(ucf, split_by="group")
    assert {video.split for video in found.videos} == {None}
    with pytest.raises(DataError, match="Remove one of them"):
        find(ucf, split_by="group", fold=2)


@pytest.mark.parametrize(
    ("file", "line", "message"),
    [
        (
            "trainlist01.txt",
            "Basketball/v_Basketball_g09_c01.avi 2",
            "trainlist01.txt line 5: class number 2, but Basketball is 1 in classInd",
        ),
        ("testlist01.txt", "Nothing/v_Nothing_g01_c01.avi", r"testlist01\.txt line 3: expected <class>/<video>"),
        ("testlist01.txt", "Basketball/v_Basketball_g08_c01.avi", "line 3: .* is listed twice, before as .* for train"),
        ("classInd.txt", "4 Diving", r"classInd\.txt line 3: expected '3 <class>'"),
    ],
)
def test_a_wrong_line_is_refused_with_its_number(ucf, file, line, message, find):
    path = ucf / "ucfTrainTestlist" / file
    path.write_bytes(path.read_bytes() + line.encode() + b"\r\n")
    with pytest.raises(DataError, match=message):
        find(ucf)


def test_missing_lists_and_lists_of_other_videos_are_errors(ucf, tmp_path, find):
    (ucf / "ucfTrainTestlist" / "testlist02.txt").unlink()
    with pytest.raises(DataError, match=r"testlist02\.txt: no such file"):
        find(ucf, fold=2)
    for path in (ucf / "UCF-101").glob("*/*.avi"):
        path.unlink()
    with pytest.raises(DataError, match="none of the 6 videos"):
        find(ucf)
    (tmp_path / "elsewhere" / "deep").mkdir(parents=True)
    with pytest.raises(DataError, match="Unpack the official splits there"):
        layout_of(tmp_path, "ucf101").find(tmp_path / "elsewhere" / "deep", ImportOptions())
