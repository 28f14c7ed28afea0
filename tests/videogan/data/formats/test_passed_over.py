import os

from PIL import Image

from videogan.data.formats import layout_of
from videogan.data.formats.contract import ImportOptions
from videogan.data.formats.passed_over import described, passed_over
from videogan.data.manifest import read_manifest, write_manifest


def paths(folder):
    return [video.path for video in layout_of(folder).find(folder, ImportOptions()).videos]


def test_every_file_is_a_clip_or_is_passed_over_by_name(tmp_path):
    names = ["run/a.mp4", "run/b.mpg", "run/notes.txt", "run/deep/c.mp4", "README", "walk/d.wmv", "walk/p.jpg"]
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("text")
    for name in (".git/config", "run/.hidden.mp4", "check/check.html", "manifest.parquet", "split.csv"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    clips = paths(tmp_path)
    others = passed_over(tmp_path, clips)
    assert sorted([*others, *(path.relative_to(tmp_path).as_posix() for path in clips)]) == sorted(names)
    assert described(others) == (
        "4 files: no suffix 1, .mp4 1, .txt 1, .jpg 1 (README, run/deep/c.mp4, run/notes.txt, ...)"
    )


def test_frames_of_a_clip_are_not_passed_over(tmp_path):
    for number in range(3):
        (tmp_path / "clip").mkdir(exist_ok=True)
        Image.new("RGB", (64, 64)).save(tmp_path / "clip" / f"{number}.jpg")
    (tmp_path / "notes.md").touch()
    assert passed_over(tmp_path, paths(tmp_path)) == ["notes.md"]


def test_a_name_that_is_not_utf8_is_skipped_by_an_escaped_name(tmp_path):
    for name in (b"run/caf\xe9_1.mp4", b"run/a_1.mp4", b"run/caf\xe9.txt", b"w\xe4lk/b_1.mp4"):
        path = os.path.join(os.fsencode(tmp_path), name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        open(path, "w").close()
    videos = layout_of(tmp_path).find(tmp_path, ImportOptions()).videos
    assert {(video.path.relative_to(tmp_path).as_posix(), video.label): video.skipped for video in videos} == {
        ("run/a_1.mp4", "run"): None,
        (r"run/caf\xe9_1.mp4", "run"): "its name is not UTF-8; rename it",
        (r"w\xe4lk/b_1.mp4", r"w\xe4lk"): "its name is not UTF-8; rename it",
    }
    assert passed_over(tmp_path, [video.path for video in videos]) == [r"run/caf\xe9.txt"]
    decoded = {"split": "train", "n_frames": 16, "width": 8, "height": 8, "sha": "0" * 64}
    rows = [
        {"path": v.path, "label": v.label, "group": v.group, "skipped": v.skipped} | ({} if v.skipped else decoded)
        for v in videos
    ]
    write_manifest(tmp_path, rows)
    assert read_manifest(tmp_path).table["path"].to_pylist() == [
        "run/a_1.mp4",
        r"run/caf\xe9_1.mp4",
        r"w\xe4lk/b_1.mp4",
    ]
