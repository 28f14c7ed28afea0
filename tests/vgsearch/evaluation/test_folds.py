"""Folds: every group is tested exactly once, no training sees a group that its fold tests, and a search sees fold 1."""

from pathlib import Path

import pytest
from rich.console import Console

from vgsearch.evaluation.folds import fold_manifests, print_folds, save_folds, search_manifest
from videogan.config import ConfigurationError
from videogan.data.manifest import DataError, Manifest, read_manifest, write_manifest
from videogan.data.splits import folds_by_group

LABELS = ["jump", "walk"]


@pytest.fixture
def nine_persons(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Manifest:
    monkeypatch.setenv("VGSEARCH_CACHE", str(tmp_path / "cache"))
    rows = [
        {"path": f"{label}-{n}.mp4", "label": label, "group": f"person {n}", "split": "test" if n > 6 else "train",
         "n_frames": 20, "fps": 25.0, "width": 32, "height": 32, "codec": "h264", "sha": f"{label}{n}"}
        for n in range(9) for label in LABELS
    ]  # fmt: skip
    (tmp_path / "data").mkdir()
    return write_manifest(tmp_path / "data", rows)


def groups_of(manifest: Manifest, split: str) -> set[str]:
    return set(manifest.split(split)["group"].to_pylist())


def test_every_group_is_tested_once_and_trained_on_in_all_other_folds(nine_persons):
    folds = fold_manifests(nine_persons, 3)
    tested = [groups_of(fold, "test") for fold in folds]
    assert sorted(group for groups in tested for group in groups) == [f"person {n}" for n in range(9)]
    assert [len(groups) for groups in tested] == [3, 3, 3]
    for fold, groups in zip(folds, tested, strict=True):
        assert groups_of(fold, "train") == {f"person {n}" for n in range(9)} - groups
        assert fold.classes == nine_persons.classes
        assert len(fold.usable) == len(nine_persons.usable)
    assert len({fold.digest for fold in folds}) == 3


def test_folds_are_written_as_data_sets_that_name_their_videos(nine_persons):
    fold = fold_manifests(nine_persons, 3)[1]
    again = read_manifest(fold.folder)
    assert again.digest == fold.digest
    assert (again.fold, again.lack_of_select) == ("2 of 3", None)
    paths = [again.location(path) for path in again.usable["path"].to_pylist()]
    assert paths == [nine_persons.location(path) for path in nine_persons.usable["path"].to_pylist()]


def test_a_search_sees_the_train_and_select_groups_of_fold_1_only(nine_persons):
    searched, first = search_manifest(nine_persons, 3), fold_manifests(nine_persons, 3)[0]
    assert searched.search_split == "select"
    assert groups_of(searched, "test") == groups_of(first, "test")
    assert groups_of(searched, "train") | groups_of(searched, "select") == groups_of(first, "train")
    assert groups_of(searched, "select")
    assert search_manifest(searched, 3).digest == searched.digest, "the folds of a fold are the same folds"


def test_mirrored_copies_are_trained_on_and_never_tested(nine_persons, tmp_path):
    rows = [row | {"path": nine_persons.location(row["path"])} for row in nine_persons.usable.to_pylist()]
    for row in rows[::2]:
        copy = {"path": row["path"].with_name(f"{row['path'].stem}_flip.mp4"), "sha": f"{row['sha']} flip"}
        left_out = {"split": None, "skipped": "mirrored copy of it"} if row["split"] == "test" else {}
        rows = [*rows, row | copy | {"copy_of": row["path"]} | left_out]
    manifest = write_manifest(tmp_path / "data", rows)
    folds = fold_manifests(manifest, 3)
    tested = [path for fold in folds for path in fold.split("test")["path"].to_pylist()]
    assert len(tested) == len(set(tested)) == 18
    assert not any("_flip" in path for path in tested)
    for fold in folds:
        trained = {Path(path).stem for path in fold.split("train")["path"].to_pylist()}
        copies = {name for name in trained if "_flip" in name}
        assert copies == {f"{name}_flip" for name in trained - copies} & {Path(row["path"]).stem for row in rows}
    assert search_manifest(search_manifest(manifest, 3), 3).digest == search_manifest(manifest, 3).digest


def test_more_folds_than_groups_of_a_class_are_refused_by_its_name(nine_persons):
    with pytest.raises(DataError, match=r"10 folds need 10 groups of each class, but class 'jump' has 9 groups"):
        fold_manifests(nine_persons, 10)
    with pytest.raises(ConfigurationError, match="--folds must be from 2 to 10, got 11"):
        search_manifest(nine_persons, 11)


@pytest.mark.parametrize("seed", range(5))
def test_every_fold_has_every_class_even_if_groups_are_uneven(seed):
    labels = ["a"] * 3 + ["b"] * 12 + ["c"] * 4
    groups = ["1", "2", "3", *map(str, range(1, 13)), "10", "11", "12", "12"]
    folds = folds_by_group(labels, groups, 3, seed)
    for label in "abc":
        assert {fold for fold, own in zip(folds, labels, strict=True) if own == label} == {0, 1, 2}
    assert all(len({f for f, g in zip(folds, groups, strict=True) if g == group}) == 1 for group in groups)


def test_the_mean_over_folds_is_printed_and_saved_with_its_interval(tmp_path):
    scores = {"s3": [0.5, 0.6, 0.7], "kvd": [1.0]}
    console = Console(width=100, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    print_folds(scores, 3, console)
    text = console.export_text()
    assert "0.60 [0.35, 0.85]" in text  # 0.6 +- 4.303 * 0.1 / sqrt(3)
    assert "(2 of 3 folds have no score)" in text
    save_folds(tmp_path / "f.json", scores, 3)
    assert '"by_fold": [' in (tmp_path / "f.json").read_text()
