"""Mirrored copies by name and by content, in files that were encoded twice."""

import time
from pathlib import PurePath

import numpy as np
import pytest

from videogan.data.decode import inspect
from videogan.data.formats.contract import DRAWN, Found, FoundVideo
from videogan.data.formats.rows import manifest_rows, skip_report, split_rule
from videogan.data.manifest import SPLITS
from videogan.data.mirrored import originals_by_content, originals_by_name, originals_of
from videogan.data.synthetic import make_moving_shapes


def scene(seed, n_frames=24, size=48):
    """uint8 (T, size, size, 3): a bright square that moves over a soft random background."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:size, :size] / size
    slopes = rng.uniform(-60, 60, (2, 3))
    background = 90 + x[..., None] * slopes[0] + y[..., None] * slopes[1]
    frames = np.repeat(background[None], n_frames, 0)
    left, top, speed = *rng.integers(2, 12, 2), rng.uniform(0.2, 1)
    for t, frame in enumerate(frames):
        at = int(left + speed * t)
        frame[top : top + 14, at : at + 10] = 230
    return frames.clip(0, 255).astype(np.uint8)


def symmetric(seed):
    half = scene(seed)[:, :, :24]
    return np.concatenate([half, half[:, :, ::-1]], axis=2)


@pytest.fixture
def written(tmp_path, write_video):
    """Writes videos into a class's folder and inspects them as an import does."""

    def written(**videos):
        found, inspected = [], {}
        for name, (frames, group, label, split, quality) in videos.items():
            path = tmp_path / label / f"{name}.mp4"
            path.parent.mkdir(exist_ok=True)
            seen = inspect(write_video(path, frames, options={"crf": str(quality)}))
            found.append(FoundVideo(path, label, group, split))
            inspected[path] = {
                "n_frames": seen.n_frames, "sha": seen.sha, "thumbnails": seen.thumbnails.hex(), "skipped": None,
            }  # fmt: skip
        return tmp_path, Found(tuple(found), "", DRAWN if videos and found[0].split is None else "split.csv"), inspected

    return written


def clip(frames, group, split=None, label="run", quality=18):
    return frames, group, label, split, quality


def test_names_tell_copies_only_beside_an_original():
    names = [
        "a/x.mp4",
        "a/x_flip.mp4",
        "a/x-Mirrored.avi",
        "a/x hflip.mp4",
        "b/x_flip.mp4",
        "a/backflip.mp4",
        "a/y_flip.mp4",
    ]
    assert originals_by_name([PurePath(name) for name in names]) == {1: 0, 2: 0, 3: 0}
    rows = [PurePath(f"d/moving.npy#{n}") for n in range(3)]
    assert originals_by_name(rows) == {}, "the rows of an array are different clips"


def test_a_copy_is_found_by_content_in_another_encoding_and_whatever_its_name(written):
    folder, found, inspected = written(
        a=clip(scene(0), "g0"), b=clip(scene(1), "g1"), c=clip(scene(0)[:, :, ::-1], "g2", quality=30),
        d=clip(scene(2), "g3"), e=clip(scene(3), "g4"), f=clip(scene(1), "g5", quality=30),
    )  # fmt: skip
    rows = manifest_rows(folder, found, inspected)
    assert {row["path"].stem: row["copy_of"] for row in rows if "copy_of" in row} == {"c": folder / "run/a.mp4"}
    assert rows[2]["group"] == "g0", "a copy belongs to its original's group"


def test_a_clip_that_is_its_own_mirror_image_is_no_copy_of_itself_or_of_another(written):
    folder, found, inspected = written(
        a=clip(symmetric(0), "g0"), b=clip(symmetric(1), "g1"), c=clip(symmetric(0), "g2", quality=30),
        dark=clip(np.zeros_like(scene(0)), "g3"), dim=clip(np.full_like(scene(0), 2), "g4"),
    )  # fmt: skip
    assert not any("copy_of" in row for row in manifest_rows(folder, found, inspected))
    packed = [bytes.fromhex(row["thumbnails"]) for row in inspected.values()]
    assert originals_by_content(packed, [24] * 5) == {}


def test_clips_of_different_lengths_and_clips_without_thumbnails_are_not_compared():
    rng = np.random.default_rng(0)
    one = rng.integers(0, 255, (4, 8, 8), dtype=np.uint8)
    packed = [one.tobytes(), one[:, :, ::-1].tobytes()]
    assert originals_by_content(packed, [20, 20]) == {1: 0}
    assert originals_by_content(packed, [20, 21]) == {}
    assert originals_by_content([packed[0], b""], [20, 20]) == {}
    assert originals_by_content([packed[0], packed[1], packed[0], packed[1]], [20] * 4) == {1: 0, 3: 0}


def test_a_copy_of_a_copy_leads_to_the_original():
    rng = np.random.default_rng(0)
    one = rng.integers(0, 255, (4, 8, 8), dtype=np.uint8)
    paths = [PurePath(name) for name in ("a/first.mp4", "a/second.mp4", "a/second_flip.mp4")]
    packed = [one.tobytes(), one[:, :, ::-1].tobytes(), one.tobytes()]
    assert originals_of(paths, packed, [20] * 3) == {1: 0, 2: 0}


def test_copies_stay_in_train_and_never_reach_select_or_test(written):
    clips = {}
    for n in range(8):
        clips[f"p{n}"] = clip(scene(n), f"p{n}")
        clips[f"p{n}_flip"] = clip(scene(n)[:, :, ::-1], f"p{n}")
    folder, found, inspected = written(**clips)
    rows = manifest_rows(folder, found, inspected)
    kept = [row for row in rows if row["skipped"] is None]
    parts = {split: [row["path"].stem for row in kept if row["split"] == split] for split in SPLITS}
    assert {split: len(names) for split, names in parts.items()} == {"train": 8, "select": 2, "test": 2}
    assert not any("flip" in name for name in parts["select"] + parts["test"])
    assert {name.removesuffix("_flip") for name in parts["train"]} == {n for n in parts["train"] if "flip" not in n}
    left_out = {row["path"].stem: row["skipped"] for row in rows if row["skipped"]}
    assert left_out == {
        f"{name}_flip": f"mirrored copy of run/{name}.mp4: would count twice"
        for name in parts["select"] + parts["test"]
    }
    report = skip_report((row["path"].stem, row["skipped"]) for row in rows if row["skipped"])
    assert list(report) == ["mirrored copies in select or test would count twice"]
    assert sorted(next(iter(report.values()))) == sorted(f"{name} of run/{name[:2]}.mp4" for name in left_out)
    assert split_rule(found, rows) == DRAWN


def test_a_copy_in_another_split_than_its_original_is_left_out(written):
    folder, found, inspected = written(
        a=clip(scene(0), "g0", "train"), b=clip(scene(1), "g1", "select"), c=clip(scene(2), "g2", "test"),
        copy_of_a=clip(scene(0)[:, :, ::-1], "g3", "test"), copy_of_c=clip(scene(2)[:, :, ::-1], "g4", "train"),
        d=clip(scene(3), "g5", "train"), copy_of_d=clip(scene(3)[:, :, ::-1], "g6", "train"),
    )  # fmt: skip
    rows = manifest_rows(folder, found, inspected)
    assert [row["split"] for row in rows] == ["train", "select", "test", None, None, "train", "train"]
    assert rows[6]["group"] == "g5"
    assert split_rule(found, rows) == "split.csv", "a select that is given stays as it is"


def test_a_mirrored_clip_of_another_class_stays_with_its_original(written):
    clips = {f"left{n}": clip(scene(n), f"l{n}", label="left") for n in range(6)}
    clips |= {f"right{n}": clip(scene(n)[:, :, ::-1], f"r{n}", label="right") for n in range(6)}
    folder, found, inspected = written(**clips)
    rows = manifest_rows(folder, found, inspected)
    assert all(row["skipped"] is None for row in rows)
    for one, other in zip(rows[:6], rows[6:], strict=True):
        assert (one["group"], one["split"]) == (other["group"], other["split"])
    assert {row["split"] for row in rows} == set(SPLITS)


def test_generated_clips_of_opposite_directions_are_not_taken_for_copies(tmp_path):
    made = make_moving_shapes(tmp_path / "shapes", n_clips_each=2, n_groups=16, n_frames=17, size=32)
    seen = [inspect(made.location(row["path"])) for row in made.usable.to_pylist()]
    assert originals_by_content([one.thumbnails for one in seen], [one.n_frames for one in seen]) == {}


def test_thousands_of_clips_are_compared_in_moments():
    rng = np.random.default_rng(0)
    low = rng.integers(0, 255, (4000, 4, 2, 2)).repeat(4, 2).repeat(4, 3)  # smooth pictures, whose means are spread
    clips = (low * 0.9 + rng.integers(0, 25, low.shape)).astype(np.uint8)
    copies = clips[::2, :, :, ::-1]
    packed = [one.tobytes() for one in [*clips, *copies]]
    start = time.process_time()
    found = originals_by_content(packed, [32] * len(packed))
    assert time.process_time() - start < 20
    assert found == {4000 + n: 2 * n for n in range(2000)}
