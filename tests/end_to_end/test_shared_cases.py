"""The cases of ../shared/cases beside this repository: inputs that once failed, each with its right answer.

Case 21, a closed terminal, is a drill of test_stuck.py. RAY_ADDRESS=auto of case 20 is in
tests/vgsearch/runtime/cluster/test_start.py: here it would find the Ray of another user of this machine.
"""

import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from tests.end_to_end.machine import BY_DISTANCE, TINY, VGSEARCH, Machine
from vgsearch.cli import app
from vgsearch.experiment.ledger import read_ledger
from vgsearch.experiment.names import next_name
from vgsearch.experiment.paths import Experiment
from vgsearch.runtime.study.study import open_study
from vgsearch.space.space import load_space, parse_overrides
from vgsearch.space.sweep import Sweep
from videogan.config import ConfigurationError
from videogan.data.decode import decode, inspect
from videogan.data.formats import layout_of
from videogan.data.formats.contract import Found, ImportOptions
from videogan.data.preprocessing import preprocessing_named
from videogan.data.synthetic import make_moving_shapes

CASES = Path(__file__).parents[3] / "shared" / "cases"
PROTOCOL = {"evaluation.protocol": "s3_r3d18_smoke_v2"}
"""The cases' own is of an earlier version of the score."""
pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(3600),
    pytest.mark.skipif(not CASES.is_dir(), reason=f"no cases at {CASES}"),
]


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path / "machine", str(tmp_path / "machine"))


@pytest.fixture(scope="module")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_moving_shapes(tmp_path_factory.mktemp("data") / "shapes", n_clips_each=1, n_groups=16).folder


def frames(path: Path) -> np.ndarray:
    """int (T, 64, 64, 3)."""
    return decode(path, preprocessing_named("plain_64")).astype(int)


def found(folder: Path) -> Found:
    return layout_of(folder).find(folder, ImportOptions())


def sweep_of(space: str | Path, **overrides: Any) -> Sweep:
    loaded = load_space(str(space))
    data = {"data": "d", "manifest_digest": "0" * 64, "n_classes": 4, "n_trials": 3}
    return Sweep(space=loaded, budget="smoke", overrides={**PROTOCOL, **overrides}, **data)


def refusal(*arguments: str | Path) -> str:
    """The one line of a command that refuses its arguments."""
    error = CliRunner().invoke(app, list(map(str, arguments))).exception
    assert isinstance(error, ConfigurationError), error
    assert "\n" not in str(error)
    return str(error)


def test_01_mirrored_videos_are_mirrored_back():
    reference = frames(CASES / "01-mirrored/ref.mp4")
    mirrored = reference[:, :, ::-1]
    right = {"hflip.mp4": mirrored, "hflip.mkv": mirrored, "vflip.mp4": reference[:, ::-1],
             "rot90hflip.mp4": np.rot90(mirrored, -1, axes=(1, 2))}  # fmt: skip
    for name, shown in right.items():
        assert np.abs(frames(CASES / "01-mirrored" / name) - shown).mean() < 1, name
    red, green, blue = frames(CASES / "01-mirrored/jpg_exif2_frames")[0, 4, 4]
    assert red > 150 > max(green, blue)


def test_02_the_default_stream_is_taken():
    for name in ("twov.mp4", "twov.mkv"):
        red, green, blue = frames(CASES / "02-default-stream" / name)[0, 4, 4]
        assert red > 150 > max(green, blue), name
    assert inspect(CASES / "02-default-stream/stillfirst.mkv").n_frames == 40


def test_03_a_long_sound_track_does_not_lengthen_its_video():
    assert inspect(CASES / "03-long-audio/longaudio.mp4").n_frames == 40


def test_06_every_container_is_imported(machine: Machine):
    shutil.copytree(CASES / "06-suffixes", machine.folder / "videos")
    said = machine.run("data", "import", "videos", "--group", "(g0_.)")
    assert "12 clips  2 classes" in said
    assert Counter(video.label for video in found(CASES / "06-suffixes").videos) == {"c0": 6, "c1": 6}


def test_08_numbers_with_an_exponent_are_numbers_and_others_are_refused():
    assert parse_overrides(["model.sigma_a=1e-1"]) == {"model.sigma_a": 0.1}
    choices = sweep_of(CASES / "08-exponent/lr_choices.yaml").domains["optimiser.lr_g"]
    assert choices.choices == [1e-5, 5e-5, 1e-4]
    assert sweep_of(CASES / "08-exponent/lr_point.yaml").paper_points == [{"optimiser.lr_g": 5e-5}]
    for written in ("model.sigma_a=on", "model.sigma_a=yes", "model.sigma_a=true", "loop.n_steps=true",
                    "loop.n_steps=010", "loop.n_steps=1:30", "optimiser.lr_g=.inf",
                    "seed=99999999999999999999999"):  # fmt: skip
        assert written.partition("=")[0] in refusal("tune", "mvt_tsa", "--dry-run", "--set", written)


@pytest.mark.parametrize(
    ("file", "line"),
    [
        ("twice.yaml", "line 10: the key 'optimiser.lr_g' is already on line 9"),
        ("step.yaml", r"an int has no step.*type: choice"),
        ("same_choices.yaml", "each choice must occur once, got 4 again"),
        ("when_typo.yaml", "did you mean 'model.constraint_d_video'"),
    ],
)
def test_10_a_space_is_refused_with_what_is_wrong(file: str, line: str):
    assert re.search(line, refusal("tune", CASES / "10-space-keys" / file, "--budget", "smoke", "--dry-run"))


def test_10_a_key_that_carries_an_anchor_is_allowed():
    assert sweep_of(CASES / "10-space-keys/anchor.yaml").domains["optimiser.lr_g"].high == 4e-4


def test_11_a_nested_override_keeps_the_other_settings():
    space = CASES / "11-nested/nested.yaml"
    for given in ({}, parse_overrides(["loop={n_steps: 5}"])):
        loop = sweep_of(space, **given).run_config({"optimiser.lr_g": 5e-5}, 0).loop
        assert (loop.n_steps, loop.batch_size, loop.look_every, loop.log_every) == (5, 4, 1, 1)


def test_12_each_study_is_in_its_own_experiment(tmp_path: Path):
    for name in ("a?one", "a?two", "ci%2Fbranch", "b%41"):
        (tmp_path / name).mkdir()
        study = open_study(tmp_path / name / "optuna.db", sweep_of("mvt_tsa"))
        assert study.trials == []
        study.ask()
        assert (tmp_path / name / "optuna.db").is_file()
    assert len(list(tmp_path.iterdir())) == 4


def test_14_an_error_after_the_manifest_exits_with_1(shapes: Path, tmp_path: Path):
    script = tmp_path / "abort.py"
    text = (CASES / "14-exit-code/abort.py").read_text()
    script.write_text(text.replace("vgsearch.runtime.launch", "vgsearch.runtime.sweep.launch"))
    codes = [subprocess.run([sys.executable, script, shapes], capture_output=True).returncode for _ in range(8)]
    command = [*VGSEARCH, "tune", "mvt_tsa", "--data", shapes, "--budget", "smoke", "--dry-run", "--time-budget", "0h"]
    codes += [subprocess.run(command, capture_output=True, cwd=tmp_path).returncode for _ in range(4)]
    assert codes == [1] * 12


def test_15_names_that_leave_their_folder_are_refused_and_brackets_are_counted(tmp_path: Path, shapes: Path):
    for name in ("x" * 300, ".", "..", "../x"):
        arguments = ["tune", "mvt_tsa", "--dry-run", "--out", tmp_path, "--name", name]
        assert refusal(*arguments).startswith("--name must be the name of one folder")
    (tmp_path / "a[b]-001").mkdir()
    assert next_name(tmp_path, "a[b]") == "a[b]-002"
    home = {**os.environ, "HOME": str(tmp_path), "VGSEARCH_CACHE": str(tmp_path / "cache")}
    shutil.copytree(shapes, tmp_path / "d")
    command = [*VGSEARCH, "tune", "mvt_tsa", "--data=~/d", "--out=~/runs", "--dry-run", "--json"]
    run = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=home)
    assert run.returncode == 0, run.stderr
    assert not (tmp_path / "~").exists()
    one = ["taskset", "-c", str(min(os.sched_getaffinity(0))), *VGSEARCH, "doctor"]
    assert re.search(
        r"\b1( of \d+)? cores?\b", subprocess.run(one, capture_output=True, text=True, cwd=tmp_path, env=home).stdout
    )


def test_17_folders_of_a_split_are_no_classes_and_wide_frames_no_strips():
    of_split = found(CASES / "17-layouts/tt").videos
    assert Counter((video.label, video.split) for video in of_split) == {("tt", "train"): 2, ("tt", "test"): 2}
    assert [video.path.name for video in found(CASES / "17-layouts/wide").videos] == ["video0", "video1"]


def test_19_sweeps_started_at_once_get_their_own_names(machine: Machine, shapes: Path):
    tune = ["tune", "mvt_tsa", "--data", shapes, "--trials", "1", "--out", "o", "--no-confirm-best", *TINY,
            *BY_DISTANCE, "--set", "loop.n_steps=2", "--set", "loop.look_every=2"]  # fmt: skip
    command = [*VGSEARCH, *map(str, tune)]
    environment = {**os.environ, **machine.own}
    runs = [subprocess.Popen([*command, "--seed", str(seed)], cwd=machine.folder, env=environment,
                             stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) for seed in range(3)]  # fmt: skip
    said = [run.communicate(timeout=3000)[1] for run in runs]
    assert [run.returncode for run in runs] == [0, 0, 0], said
    sweeps = sorted((machine.folder / "o").iterdir())
    assert [folder.name for folder in sweeps] == ["mvt_tsa-001", "mvt_tsa-002", "mvt_tsa-003"]
    assert {read_ledger(Experiment(folder).ledger).header["seed"] for folder in sweeps} == {0, 1, 2}


@pytest.mark.parametrize(
    ("environment", "line"),
    [
        ({"TMPDIR": "/tmp/" + "t" * 85}, "set RAY_TMPDIR to a shorter one"),
        ({"RAY_ADDRESS": "nonsense"}, "must be the HOST:PORT"),
        ({"RAY_ADDRESS": "ray://127.0.0.1:6"}, "no cluster answers there"),
        ({"RAY_ADDRESS": "127.0.0.1:6"}, "no cluster answers there"),
        ({"HOME": "/proc/nowhere"}, "RAY_AUTH_TOKEN_PATH"),
    ],
    ids=["long TMPDIR", "nonsense", "ray://", "host:port", "HOME"],
)
def test_20_ray_s_start_fails_in_one_line(machine: Machine, shapes: Path, environment: dict[str, str], line: str):
    own = {**os.environ, **machine.own, **environment}
    own.pop("RAY_AUTH_TOKEN_PATH", None)
    command = [*VGSEARCH, "tune", "mvt_tsa", "--data", shapes, "--budget", "smoke", "--trials", "1"]
    run = subprocess.run(command, cwd=machine.folder, env=own, capture_output=True, text=True, timeout=1500)
    (error,) = [said for said in run.stderr.splitlines() if said.startswith("error: ")]
    assert run.returncode == 1
    assert re.search(line, error), run.stderr
    assert "Traceback" not in run.stderr
