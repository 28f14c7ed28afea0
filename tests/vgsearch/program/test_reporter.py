"""A Python function as a program: what it gets, and the samples that it shows."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from vgsearch.program.call import CALLING
from vgsearch.program.reporter import Reporter
from vgsearch.program.step_folders import step_folders
from videogan.data.decode import decode
from videogan.data.preprocessing import preprocessing_named


@pytest.fixture
def reporter(tmp_path: Path) -> Reporter:
    for name in ("down", "up"):
        (tmp_path / "data" / name).mkdir(parents=True)
    return Reporter(tmp_path / "out", tmp_path / "ckpt", tmp_path / "data", 3, 10, 4, 32, 0)


def noise(n: int = 2, size: int = 32) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (n, 4, size, size, 3), dtype=np.uint8)


def test_the_pixels_that_a_function_shows_are_those_that_are_judged(reporter):
    videos = noise()
    reporter.look(videos, ["up", 0])
    reporter.look(torch.from_numpy(videos).movedim(-1, 2) / 127.5 - 1, torch.tensor([1, 0]), step=7)
    reporter.look(videos, [0, 0])
    folders = step_folders(reporter.out / "samples")
    assert list(folders) == [1, 7, 8]
    for step in (1, 7):
        for number, name in enumerate(("up", "down")):
            shown = decode(folders[step] / name / f"{number:05d}.mkv", preprocessing_named("plain_32"))
            assert np.array_equal(shown, videos[number])
    assert not list((reporter.out / "samples").glob(".*"))


@pytest.mark.parametrize(
    ("videos", "labels", "message"),
    [
        (noise(), [0], "got 2 videos and 1 labels"),
        (noise(), [0, 2], "labels must be from 0 to 1, got 2"),
        (noise(), [0, "left"], "'left' is not a class; it must be one of down, up"),
        (noise()[0], [0, 1], "got uint8 (4, 32, 32, 3)"),
        (noise().astype(np.int64), [0, 1], "got int64"),
        (np.full((2, 4, 3, 8, 8), np.nan), [0, 1], "not finite"),
    ],
)
def test_samples_of_another_shape_or_class_are_refused(reporter, videos, labels, message):
    with pytest.raises(ValueError, match="look: ") as caught:
        reporter.look(videos, labels)
    assert message in str(caught.value)


SCRIPT = """
import json, os
import vgsearch
def train(hyperparameters, reporter):
    shown = [hyperparameters, str(reporter.checkpoint_folder), reporter.seed, reporter.n_gpus, reporter.classes]
    (reporter.out / "seen").write_text(json.dumps(shown))
if __name__ == "__main__":
    raise SystemExit("the guarded part ran")
"""


def test_a_scripts_function_is_called_without_its_guarded_part(reporter, tmp_path):
    (tmp_path / "mine.py").write_text(SCRIPT)
    reporter.out.mkdir()
    values = json.dumps({"lr": 0.5, "name": "a'b", "deep": {"x": True}})
    fields = [str(getattr(reporter, name)) for name in Reporter.__dataclass_fields__]
    command = [sys.executable, "-m", "vgsearch.program.call", "mine", "train", values, *fields]
    subprocess.run(command, check=True, env={**os.environ, "PYTHONPATH": str(tmp_path)})
    seen = json.loads((reporter.out / "seen").read_text())
    assert seen == [json.loads(values), str(tmp_path / "ckpt"), 3, 0.0, ["down", "up"]]


UNGUARDED = """
import vgsearch
def train(hyperparameters, reporter): pass
vgsearch.tune(train, {"lr": {"type": "float", "low": 0.1, "high": 1.0}}, first={"lr": 0.5}, n_steps=1)
"""


def test_a_script_without_a_guard_is_told_so_instead_of_searching_again(reporter, tmp_path):
    (tmp_path / "mine.py").write_text(UNGUARDED)
    fields = [str(getattr(reporter, name)) for name in Reporter.__dataclass_fields__]
    command = [sys.executable, "-m", "vgsearch.program.call", "mine", "train", "{}", *fields]
    run = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(tmp_path)})
    assert run.returncode == 1
    assert 'was imported for its function; call it below if __name__ == "__main__":.' in run.stderr
    assert CALLING not in os.environ
