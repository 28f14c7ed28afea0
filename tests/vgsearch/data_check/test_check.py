import io
import json
import re
import shutil
from collections import Counter
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from vgsearch.commands.data import app
from vgsearch.data_check.check import check_found, check_manifest, manifest_as_it_is
from vgsearch.data_check.page import page, write_check
from videogan.data.decode import inspect
from videogan.data.formats import layout_of
from videogan.data.formats.contract import ImportOptions
from videogan.data.formats.rows import manifest_rows
from videogan.data.manifest import DataError, write_manifest
from videogan.data.source import Limits, UnreadableVideo
from videogan.data.synthetic import make_moving_shapes

SHARED = Path(__file__).parents[4] / "shared" / "data"
EVIL = "<script>alert(1)</script>"


@pytest.fixture(scope="module")
def shapes(tmp_path_factory) -> Path:
    return make_moving_shapes(
        tmp_path_factory.mktemp("data") / "shapes", n_clips_each=1, n_groups=16, n_frames=20
    ).folder


@pytest.fixture
def folder(shapes, tmp_path) -> Path:
    """Two classes of six clips of six groups, one class with a name that HTML would run."""
    made = sorted((shapes / "left").iterdir())[:6], sorted((shapes / "right").iterdir())[:6]
    for label, clips in zip(("left", EVIL.replace("/", "")), made, strict=True):
        (tmp_path / "set" / label).mkdir(parents=True)
        for number, clip in enumerate(clips):
            shutil.copy(clip, tmp_path / "set" / label / f"person{number}_{clip.suffix[1:]}{clip.suffix}")
    return tmp_path / "set"


def inspected(paths):
    found = {}
    for path in paths:
        try:
            seen = inspect(path)
        except UnreadableVideo as error:
            unknown = {"n_frames": 0, "fps": 0.0, "width": 0, "height": 0, "codec": None, "sha": None, "warning": None}
            found[path] = unknown | {"skipped": error.reason}
            continue
        info = {name: getattr(seen.info, name) for name in ("fps", "width", "height", "codec")}
        own = {name: getattr(seen, name) for name in ("n_frames", "sha", "warning")}
        found[path] = info | own | {"thumbnails": seen.thumbnails.hex(), "skipped": None}
    return found


def found_in(folder):
    found = layout_of(folder).find(folder, ImportOptions())
    return found, inspected([video.path for video in found.videos])


def imported(folder):
    return write_manifest(folder, manifest_rows(folder, *found_in(folder)))


def test_a_leak_is_reported_shown_and_refused(folder):
    (folder / "left" / "broken.mp4").write_text("no video")
    first = sorted((folder / "left").glob("person0*"))[0]
    shutil.copy(first, folder / "left" / f"person5_again{first.suffix}")
    clips = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    lines = [
        f"{clip.relative_to(folder).as_posix()},{'test' if clip.parent.name == 'left' else 'train'}" for clip in clips
    ]
    (folder / "split.csv").write_text("\n".join(["file,split", *lines]))
    result = CliRunner().invoke(app, ["check", str(folder), "--json"], catch_exceptions=False)
    assert result.exit_code == 1
    summary = json.loads(result.stdout)
    assert summary["n_clips"] == 12
    assert {label: part["n_clips"] for label, part in summary["classes"].items()} == {
        "left": 6,
        EVIL.replace("/", ""): 6,
    }
    assert summary["blockers"] == [f"group 'person{n}' is in train and test" for n in range(6)]
    assert [len(names) for names in summary["duplicates"]] == [2]
    assert summary["skipped"]["not a video that FFmpeg reads (Invalid data found when processing input)"] == [
        "left/broken.mp4"
    ]
    html = Path(summary["page"]).read_text()
    assert "<script" not in html
    assert "&lt;script&gt;" in html
    assert "Not usable for training" in html


def test_the_page_loads_nothing_and_contains_the_sheet(folder, tmp_path):
    check = check_found(folder, *found_in(folder))
    sheet, written = write_check(check, tmp_path / "out", Limits())
    html = written.read_text()
    assert not re.search(r"https?://|<link|<script|@import|url\(", html)
    assert "data:image/png;base64," in html
    with Image.open(sheet) as picture:
        width, height = picture.size
        assert len(picture.convert("RGB").getcolors(width * height)) > 100
    assert height == 12 * (64 + 2), "six clips of each class, none higher than its 64 pixels"
    assert {label: check.spread(videos)["max"] for label, videos in check.classes.items()} == dict.fromkeys(
        check.classes, 20
    )
    assert check.blockers == []
    splits = Counter(video.split for video in check.usable)
    assert splits == {"train": 6, "select": 2, "test": 4}, "drawn as the import draws them"


def test_a_manifest_is_compared_with_the_files_as_they_are_now(folder):
    manifest = imported(folder)
    paths = [manifest.location(path) for path in manifest.table["path"].to_pylist()]
    assert check_manifest(manifest, inspected(paths)).blockers == []
    paths[0].write_bytes(paths[1].read_bytes())
    paths[2].unlink()
    check = check_manifest(manifest_as_it_is(folder), inspected(paths))
    assert check.changed == tuple(path.relative_to(folder).as_posix() for path in (paths[0], paths[2]))
    assert len(check.blockers) == 2
    assert check.skipped["no such file"] == [paths[2].relative_to(folder).as_posix()]
    assert len(check.duplicates) == 1


def test_an_unreadable_manifest_is_refused_with_advice(tmp_path):
    (tmp_path / "manifest.parquet").write_text("no parquet")
    with pytest.raises(DataError, match="Make it again with: vgsearch data import"):
        manifest_as_it_is(tmp_path)


def test_a_data_set_without_a_usable_video_still_gets_a_page(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "a.mp4").write_text("no video")
    check = check_found(tmp_path, *found_in(tmp_path))
    assert "no video can be used" in check.blockers
    sheet, written = write_check(check, tmp_path / "check", Limits())
    assert "no usable clip" in written.read_text()
    assert Image.open(io.BytesIO(sheet.read_bytes())).size[0] > 0


def test_a_class_of_one_group_cannot_be_split_and_is_reported(shapes, tmp_path):
    (tmp_path / "run").mkdir()
    shutil.copy(sorted((shapes / "left").iterdir())[0], tmp_path / "run" / "person0.mp4")
    check = check_found(tmp_path, *found_in(tmp_path))
    assert len(check.usable) == 1
    assert "has 1 group" in check.blockers[0]
    assert "not drawn" in str(page(check, b""))


def test_real_clips_pass_the_check_and_are_in_the_sheet(tmp_path):
    if not (SHARED / "weizmann4").is_dir():
        pytest.skip(f"no real clips at {SHARED}")
    check = check_found(SHARED / "weizmann4", *found_in(SHARED / "weizmann4"))
    write_check(check, tmp_path, Limits())
    assert check.blockers == check.remarks == []
    # Seven persons, each clip with its mirror image: the images of the two select and two test persons are left out.
    splits = {label: Counter(video.split for video in videos) for label, videos in check.classes.items()}
    assert set(splits) == {"bend", "jack", "wave1", "wave2"}
    assert all(counts == {"train": 6, "select": 2, "test": 2} for counts in splits.values())
    assert {reason: len(names) for reason, names in check.skipped.items()} == {
        "mirrored copies in select or test would count twice": 16
    }
    assert check.spread(check.usable) == {"min": 51, "median": 62, "max": 146}
    with Image.open(tmp_path / "contact-sheet.png") as picture:
        assert picture.size == (190 + 8 * 66, 12 * 66)


def mirrored(source, target):
    """The mirror image of a clip, encoded anew."""
    with av.open(str(source)) as reader, av.open(str(target), "w") as writer:
        stream = writer.add_stream("libx264", rate=25, options={"crf": "20"})
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        for frame in reader.decode(video=0):
            flipped = np.ascontiguousarray(frame.to_ndarray(format="rgb24")[:, ::-1])
            writer.mux(stream.encode(av.VideoFrame.from_ndarray(flipped, format="rgb24")))
        writer.mux(stream.encode())


def test_mirrored_copies_of_an_import_are_named_and_those_of_an_older_manifest_noticed(folder):
    clips = sorted((folder / "left").iterdir())
    for clip in clips:
        mirrored(clip, clip.with_name(f"{clip.stem}_flip.mp4"))
    found, seen = found_in(folder)
    check = check_found(folder, found, seen)
    n_train = len(
        [
            video
            for video in check.usable
            if video.label == "left" and "_flip" not in video.name and video.split == "train"
        ]
    )
    ((reason, names),) = check.skipped.items()
    assert (reason, len(names)) == ("mirrored copies in select or test would count twice", 6 - n_train)
    assert len(check.mirrored) == n_train
    assert check.blockers == check.remarks == []

    rows = [row | {"skipped": None} for row in manifest_rows(folder, found, seen)]
    split_of = {row["group"]: row["split"] for row in rows if row["split"]}
    older = write_manifest(folder, [row | {"split": split_of[row["group"]]} for row in rows])
    again = check_manifest(older, seen)
    assert f"{6 - n_train} clips of select and test are mirrored copies of others and count twice" in again.remarks[0]
    assert again.blockers == []


def test_a_mirrored_copy_in_another_split_blocks_and_a_manifest_of_two_splits_is_noted(folder):
    clips = sorted((folder / "left").iterdir())
    mirrored(clips[0], folder / "left" / "person9_other.mp4")
    found, seen = found_in(folder)
    rows = [row | {"split": "train", "skipped": None} for row in manifest_rows(folder, found, seen)]
    rows = [row | ({"group": "person9", "split": "test"} if "person9" in row["path"].name else {}) for row in rows]
    check = check_manifest(write_manifest(folder, rows), seen)
    assert check.blockers == [f"left/person9_other.mp4 (test) is a mirrored copy of left/{clips[0].name} (train)"]
    other = next(label for label in check.classes if label != "left")
    assert check.remarks[0] == f"class '{other}' has no clip in test"
    assert "no select split, so a search is judged on the test clips" in check.remarks[1]
