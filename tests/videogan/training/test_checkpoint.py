"""Checkpoints: written whole or not at all; the newest two and the best kept; damaged ones skipped with a warning."""

import random

import pytest
import torch

from videogan.training.checkpoint import Checkpoint, CheckpointFolder, UnreadableCheckpoint, load_checkpoint


def checkpoint(step: int) -> Checkpoint:
    weights = {"weight": torch.full((4, 4), float(step))}
    optimiser = {"state": {}}
    return Checkpoint(step, 2 * step, "0a1b2c", {"seed": 0}, weights, {"image": weights}, optimiser, optimiser, None)


def test_the_newest_two_and_the_best_are_kept(tmp_path):
    folder = CheckpointFolder(tmp_path)
    for step, look in ((1, 0.3), (2, 0.9), (3, 0.4), (4, 0.5), (5, 0.6)):
        folder.save(checkpoint(step))
        assert folder.mark_best(step, look) == (step in (1, 2))
    assert folder.steps() == [2, 4, 5]
    assert folder.best() == folder.path(2)
    assert folder.newest().step == 5


def test_keep_sets_how_many_of_the_newest_are_kept_and_one_is_too_few(tmp_path):
    folder = CheckpointFolder(tmp_path, n_newest=3)
    for step in range(1, 7):
        folder.save(checkpoint(step))
        folder.mark_best(step, look=-step)
    assert folder.steps() == [1, 4, 5, 6]
    with pytest.raises(ValueError, match=r"n_newest must be at least 2, got 1"):
        CheckpointFolder(tmp_path, n_newest=1)


def test_a_truncated_checkpoint_is_named_and_the_one_before_it_used(tmp_path):
    folder = CheckpointFolder(tmp_path)
    folder.save(checkpoint(1))
    path = folder.save(checkpoint(2))
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.warns(
        RuntimeWarning, match=r"step00000002.pt does not load .* aside as step00000002.pt.damaged; using"
    ):
        newest = folder.newest()
    assert newest.step == 1
    assert torch.equal(newest.generator["weight"], torch.ones(4, 4))
    assert (folder.steps(), path.with_name("step00000002.pt.damaged").exists()) == ([1], True)


def test_no_flipped_bit_of_a_checkpoint_loads_other_content(tmp_path):
    whole = checkpoint(7)
    content = CheckpointFolder(tmp_path).save(whole).read_bytes()
    draw, flipped, refused = random.Random(0), tmp_path / "flipped.pt", []
    for bit in draw.sample(range(8 * len(content)), 60):
        changed = bytearray(content)
        changed[bit // 8] ^= 1 << bit % 8
        flipped.write_bytes(changed)
        try:
            loaded = load_checkpoint(flipped)
        except UnreadableCheckpoint as error:
            refused.append(str(error))
        else:
            assert repr(loaded) == repr(whole), f"bit {bit} changed what was loaded"
    assert len(refused) > 15
    assert all("flipped.pt does not load" in message for message in refused)


def test_files_of_other_names_beside_checkpoints_are_left_alone(tmp_path):
    folder = CheckpointFolder(tmp_path)
    names = ["step_best.pt", "step00000009 (copy).pt", "stepfinal.pt", "step3.pt", "step00000009.pt.damaged"]
    for name in names:
        (tmp_path / name).write_bytes(b"mine")
    for step in (1, 2, 3):
        folder.save(checkpoint(step))
    assert folder.steps() == [2, 3]
    assert folder.newest().step == 3
    assert all((tmp_path / name).read_bytes() == b"mine" for name in names)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"step": "x", "look": 1}', b'{"step": 1}', b"\xff\x00", None])
def test_a_damaged_best_json_is_named_and_the_best_is_marked_again(tmp_path, content):
    folder = CheckpointFolder(tmp_path)
    folder.save(checkpoint(1))
    best = tmp_path / "best.json"
    best.mkdir() if content is None else best.write_bytes(content)
    with pytest.warns(RuntimeWarning, match=r"best.json must hold a step and its look .* aside as best.json.damaged"):
        assert folder.mark_best(1, 0.5)
    folder.save(checkpoint(2))
    assert not folder.mark_best(2, 0.4)
    assert folder.best() == folder.path(1)


def test_an_empty_folder_has_no_checkpoint_and_a_missing_file_is_an_error_with_a_remedy(tmp_path):
    assert CheckpointFolder(tmp_path).newest() is None
    assert CheckpointFolder(tmp_path).best() is None
    with pytest.raises(UnreadableCheckpoint, match="does not exist; give a file such as"):
        load_checkpoint(tmp_path / "step00000009.pt")


def test_a_checkpoint_without_its_data_set_is_refused_by_name(tmp_path):
    path = CheckpointFolder(tmp_path).save(checkpoint(3))
    assert load_checkpoint(path).trained_on == "0a1b2c"
    stored = torch.load(path, weights_only=True)
    del stored["trained_on"]
    torch.save(stored, path)
    with pytest.raises(UnreadableCheckpoint, match=r"step00000003.pt does not name the data set .* train it again"):
        load_checkpoint(path)


@pytest.mark.parametrize("value", [{"weight": 1}, [1, 2], 7])
def test_a_file_of_something_else_is_named(tmp_path, value):
    torch.save(value, tmp_path / "other.pt")
    with pytest.raises(UnreadableCheckpoint, match=r"other\.pt does not load"):
        load_checkpoint(tmp_path / "other.pt")


def test_a_file_that_would_run_code_is_not_loaded(tmp_path):
    class Evil:
        def __reduce__(self) -> tuple:
            return (tmp_path.joinpath("ran").touch, ())

    torch.save({"step": Evil()}, tmp_path / "evil.pt")
    with pytest.raises(UnreadableCheckpoint):
        load_checkpoint(tmp_path / "evil.pt")
    assert not (tmp_path / "ran").exists()


def test_an_interrupted_write_does_not_change_the_old_checkpoint(tmp_path, monkeypatch):
    folder = CheckpointFolder(tmp_path)
    folder.save(checkpoint(1))

    def out_of_disk(value: object, stream: object) -> None:
        stream.write(b"half")
        raise OSError("No space left on device")

    monkeypatch.setattr(torch, "save", out_of_disk)
    with pytest.raises(OSError, match="No space"):
        folder.save(checkpoint(1))
    monkeypatch.undo()
    assert folder.newest().step == 1
    assert folder.steps() == [1]


@pytest.mark.parametrize(("field", "value"), [("step", "7"), ("step", True), ("config", []), ("generator", None),
                                              ("average", 1), ("discriminators", [{}])])  # fmt: skip
def test_a_field_of_another_type_is_named(tmp_path, field, value):
    path = CheckpointFolder(tmp_path).save(checkpoint(3))
    torch.save(torch.load(path, weights_only=True) | {field: value}, path)
    with pytest.raises(UnreadableCheckpoint, match=rf"step00000003.pt does not load \(TypeError: {field} must be"):
        load_checkpoint(path)
