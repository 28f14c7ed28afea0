"""Trials of other programs without Ray: their looks and score, and every way in which a program can end badly."""

import json
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console

from tests.builders import tiny_sweep
from tests.cached_shapes import cached_shapes
from tests.waiting import wait_until
from vgsearch.experiment.paths import SAMPLES_PER_CLASS
from vgsearch.interface.function import _space_of
from vgsearch.program.run import ProgramRun
from vgsearch.runtime.cluster import preflight
from vgsearch.runtime.feed.inputs import Inputs
from vgsearch.runtime.sweep.classes import trial_type
from vgsearch.runtime.sweep.program_trial import ProgramDied, ProgramTrial
from vgsearch.runtime.sweep.spec import TrialSpec
from videogan.config import ConfigurationError, parse_config
from videogan.data.manifest import read_manifest
from videogan.protocols.classifier import RealClassifier, save_real_classifier
from videogan.sampling.pictures import write_mp4

PROTOCOL = "s3_r3d18_smoke_v2"
N_CLIPS = 3
Reported = list[dict[str, Any]]


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Inputs:
    """Moving shapes, and classifiers with random weights: a test of how trials end needs no good ones."""
    made = cached_shapes(tmp_path_factory.mktemp("program"), n_frames=16)
    protocol = run_of(["p"]).evaluation.s3_protocol.classifier
    for seed in (0, 1, 2):
        weights = protocol.build(4, seed).state_dict()
        save_real_classifier(made.classifier_path(protocol, seed), RealClassifier(seed, 4, {}, {}, weights))
    return made


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three videos of noise for each class, which the programs of these tests copy."""
    folder, rng = tmp_path_factory.mktemp("videos"), torch.Generator().manual_seed(0)
    for name in ("down", "left", "right", "up"):
        (folder / name).mkdir()
        for number in range(N_CLIPS):
            frames = torch.randint(256, (16, 32, 32, 3), generator=rng, dtype=torch.uint8)
            write_mp4(folder / name / f"{number}.mp4", frames)
    return folder


def run_of(arguments: list[Any], **command: Any) -> ProgramRun:
    values = {"arguments": arguments, "n_steps": 20, "resolution": 32, "seconds_to_end": 5, **command}
    evaluation = {"protocol": PROTOCOL, "objective": "-kvd", "n_look_clips": 8}
    return parse_config(ProgramRun, {"command": values, "evaluation": evaluation, "n_classes": 4})


HEAD = """
import os, pathlib, shutil, sys, time
out, checkpoints, data, videos = map(pathlib.Path, sys.argv[1:5])
def write(step):
    shutil.copytree(videos, out / f"samples/step_{step}")
"""


@pytest.fixture
def trial(inputs: Inputs, videos: Path, tmp_path: Path) -> Callable[..., ProgramTrial]:
    """A trial of a program of a few lines, which may `write(step)` samples."""

    def new(code: str, reports: Reported | None = None, **command: Any) -> ProgramTrial:
        program = tmp_path / "program.py"
        program.write_text(HEAD + code)
        arguments = [sys.executable, "-u", str(program), "{out}", "{checkpoint_folder}", "{data}", str(videos)]
        config = run_of(command.pop("arguments", arguments), **command)
        spec = TrialSpec("t0000", str(tmp_path / "t0000"), config.model_dump(mode="json"), {"lr": 0.1},
                         str(tmp_path / ".stop"), inputs, n_classes=4)  # fmt: skip
        kind = trial_type(spec)
        assert kind is ProgramTrial
        return kind(spec, (reports if reports is not None else []).append)

    return new


def ended(trial: ProgramTrial, reports: Reported | None = None) -> dict[str, Any]:
    """The result in which a trial reports its end."""
    trial.report = (reports := [] if reports is None else reports).append
    trial.run(lambda config, start: None)
    return reports[-1]


def test_each_folder_of_samples_is_a_look_and_the_last_one_is_scored(trial, inputs):
    reports: Reported = []
    code = "write('005'); write(20); (checkpoints / 'state').write_text(data.name); print(sorted(os.listdir(data)))"
    made = trial(code, reports)
    end = ended(made, reports)
    assert end["end"] == "done", end
    assert end["step"] == 20
    assert set(end["scores"]) == {"kvd", "cost"}
    assert [found["step"] for found in reports if "look" in found] == [5, 20]
    folder = made.folder
    lines = [json.loads(line) for line in folder.metrics.read_text().splitlines()]
    assert [line["step"] for line in lines if "look" in line] == [5, 20]
    assert lines[-1]["score/kvd"] == end["scores"]["kvd"]
    assert (folder.samples / "grid.gif").read_bytes().startswith(b"GIF89a")
    assert json.loads(folder.scores.read_text())["copies"]["share"] == 0
    assert "['down', 'left', 'right', 'up']" in folder.log.read_text()
    again = ended(trial("raise SystemExit('a program that has ended is not started again')"))
    assert (again["end"], again["scores"]["kvd"]) == ("done", end["scores"]["kvd"])
    assert SAMPLES_PER_CLASS * 4 > N_CLIPS, "a grid repeats clips"


def test_the_data_of_a_program_are_the_training_videos_alone(trial, inputs):
    made = trial("")
    links = list(Path(made._of_the_trial()["data"]).glob("*/*"))
    manifest = read_manifest(inputs.data)
    assert {link.resolve() for link in links} == {manifest.location(row["path"]).resolve() for row in
                                                  manifest.split("train").to_pylist()}  # fmt: skip
    assert len(links) == len(manifest.split("train"))


BAD_ENDS = {
    "a code": ("write(5); print('step 5'); sys.exit('ValueError: no such file')", {}, "failed",
               "the program ended with code 1: ValueError: no such file"),
    "an exception": ("1 / 0", {}, "failed", "the program ended with code 1: ZeroDivisionError: division by zero"),
    "a crash": ("os.abort()", {}, "failed", "the program was ended by SIGABRT: it printed nothing"),
    "a lack of memory": ("sys.exit('CUDA out of memory. Tried to allocate 2 GiB')", {}, "out_of_memory", "CUDA out of"),
    "no samples": ("", {}, "failed", "must hold samples/step_<n>/<class>/; it has no samples/"),
    "samples of another name": ("write(5); os.rename(out / 'samples/step_5', out / 'samples/fakes')", {}, "failed",
                                "samples/ holds fakes"),
    "an unknown class": ("write(5); os.rename(out / 'samples/step_5/left', out / 'samples/step_5/lefft')", {}, "failed",
                         "samples/step_5/lefft: 'lefft' is not a class of the data set; did you mean 'left'?"),
    "too few videos": ("write(5); os.remove(out / 'samples/step_5/up/0.mp4')", {"fewest_clips": 3}, "failed",
                       "samples/step_5: each class needs 3 usable videos (command.fewest_clips), but 'up' has 2"),
    "a missing class": ("write(5); shutil.rmtree(out / 'samples/step_5/up')", {}, "failed", "'up' has 0"),
    "half-written videos": (
        "write(5)\nfor n in '01': p = out / f'samples/step_5/up/{n}.mp4'; p.write_bytes(p.read_bytes()[:900])", {},
        "failed", "but 'up' has 1; left out: up/0.mp4: "),
    "silence": ("print('loading', flush=True); time.sleep(600)", {"seconds_of_silence": 1}, "stalled",
                "the program printed and wrote nothing for 1s (command.seconds_of_silence) and was ended; it last said"),
    "no program": ("", {"arguments": ["no-such-program"]}, "interrupted",
                   "the program could not be started: No such file or directory: 'no-such-program'; provide it and resume, or"),
    "no working folder": ("", {"folder": "/no/such/folder"}, "interrupted", "command.folder /no/such/folder is no folder"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD_ENDS)
def test_a_bad_end_is_told_by_name_with_what_the_program_last_said(trial, case):
    code, command, state, reason = BAD_ENDS[case]
    end = ended(trial(code, **command))
    assert (end["end"], reason in end["reason"]) == (state, True), end
    assert "\n" not in end["reason"]
    assert end.get("halts", False) == (state == "interrupted"), "what would end every trial stops the sweep"


def test_a_program_that_another_process_killed_is_tried_again(trial):
    with pytest.raises(ProgramDied, match="was ended by SIGKILL: step 7"):
        ended(trial("print('step 7', flush=True); os.kill(os.getpid(), 9)"))


FOLLOWED = """
(out / 'pid').write_text(str(os.getpid()))
first = checkpoints / 'first'
if first.exists():
    print('resumed'); write(15); time.sleep(600)
write(5); write(10); first.write_text('5')
time.sleep(600)
"""


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_an_interrupted_program_is_ended_and_continues_from_its_checkpoint_folder(trial, tmp_path):
    reports: Reported = []
    made, stop = trial(FOLLOWED, seconds_settled=600), tmp_path / ".stop"
    asks = threading.Thread(target=lambda: (wait_until(lambda: any("look" in r for r in reports), lambda: reports),
                                            stop.touch()))  # fmt: skip
    asks.start()
    end = ended(made, reports)
    asks.join()
    assert end["end"] == "interrupted"
    assert not is_alive(int((made.folder.program / "pid").read_text()))
    assert [found["step"] for found in reports if "look" in found] == [5], "step_10 may be half-written"
    stop.unlink()
    again: Reported = []
    made = trial(FOLLOWED, seconds_settled=0)

    def report(result: dict[str, Any]) -> None:
        again.append(result)
        if result.get("step") == 15:
            raise KeyboardInterrupt

    made.report = report
    with pytest.raises(KeyboardInterrupt):
        made.run(lambda config, start: None)
    assert "resumed" in made.folder.log.read_text()
    looks = [found["step"] for found in again if "look" in found]
    assert looks == [5, 10, 15], "the look of before, the samples that it left, and the new ones"


def test_a_pruned_program_is_ended_at_once(trial):
    """Ray Tune prunes a trial by an exit from its report."""
    made = trial(FOLLOWED)

    def report(result: dict[str, Any]) -> None:
        if "look" in result:
            sys.exit(0)

    made.report = report
    with pytest.raises(SystemExit):
        made.run(lambda config, start: None)
    assert not is_alive(int((made.folder.program / "pid").read_text()))


def test_samples_that_do_not_change_any_more_are_looked_at_while_the_program_runs(trial):
    made = trial("write(5); time.sleep(600)", seconds_settled=0)

    def report(result: dict[str, Any]) -> None:
        if "look" in result:
            raise KeyboardInterrupt

    made.report = report
    with pytest.raises(KeyboardInterrupt):
        made.run(lambda config, start: None)
    assert [json.loads(line)["step"] for line in made.folder.metrics.read_text().splitlines()] == [5]


def test_a_program_without_gpus_sees_none_and_ctrl_c_in_a_terminal_does_not_reach_it(trial, monkeypatch):
    """It has a process group of its own: the driver asks its trial to stop, which ends it in order."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    code = 'e = os.environ; sys.exit(f\'{e["CUDA_VISIBLE_DEVICES"]!r} {e["EXTRA"]} {os.getpgid(0) == os.getpid()}\')'
    assert ended(trial(code, environment={"EXTRA": "{seed}"}))["reason"].endswith(": '' 0 True")


FUNCTION = """
import time
import numpy as np
def train(hyperparameters, reporter):
    videos = np.random.default_rng(0).integers(0, 256, (8, reporter.n_frames, 32, 32, 3), dtype=np.uint8)
    reporter.look(videos, [number % 4 for number in range(8)])
    (reporter.checkpoint_folder / "saved").touch()
    time.sleep(600)
"""


def test_a_python_function_is_called_and_looked_at_as_a_program(trial, tmp_path):
    (tmp_path / "mine.py").write_text(FUNCTION)
    domains = {"lr": {"type": "float", "low": 0.1, "high": 1.0}}
    command = _space_of("train", "mine", tmp_path, domains, {"lr": 0.5}, 3).base["command"]
    made, reports = trial("", **{**command, "n_steps": 3}), []

    def report(result: dict[str, Any]) -> None:
        reports.append(result)
        if "look" in result:
            raise KeyboardInterrupt

    made.report = report
    with pytest.raises(KeyboardInterrupt):
        made.run(lambda config, start: None)
    assert reports[-1]["step"] == 1
    assert [path.name for path in (made.folder.program / "samples").iterdir()] == ["step_1"]


def test_a_dry_run_refuses_several_workers_as_a_start_does(inputs: Inputs):
    sweep = tiny_sweep("moving_blobs", n_workers=2)
    with pytest.raises(ConfigurationError, match="--workers-per-trial 2: a program starts its own workers"):
        preflight.print_forecast(sweep, read_manifest(inputs.data), Console(quiet=True), json_lines=False, prices={})
