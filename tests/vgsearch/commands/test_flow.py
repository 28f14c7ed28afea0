"""`vgsearch flow fit`: a killed fit resumes to the same bits; wrong settings are refused; its files and figures."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner, Result

from vgsearch.cli import app
from vgsearch.experiment.paths import Experiment, ExperimentInUse
from videogan.config import ConfigurationError
from videogan.flow.fit import FlowCheckpoints
from videogan.flow.weights import pwc_net_from

N_STEPS, KILLED_AT = 16, 3
TINY = ["--budget", "smoke", "--set", "width=0.05", "--set", "batch_size=2", "--set", f"n_steps={N_STEPS}"]

# The command, which saves after each step and kills itself after one: a kill from outside would depend on its speed.
DEADLY = f"""
import os, signal
from vgsearch.cli import main
from vgsearch.flow_fit import fit
from videogan.flow.fit import FlowCheckpoints
fit.SAVING_SHARE, save = 0, FlowCheckpoints.save
def deadly(self, checkpoint):
    path = save(self, checkpoint)
    if checkpoint.step == {KILLED_AT}:
        os.kill(os.getpid(), signal.SIGKILL)
    return path
FlowCheckpoints.save = deadly
main()
"""


def fit(*arguments: object) -> Result:
    result = CliRunner().invoke(app, ["flow", "fit", *map(str, arguments)], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return pwc_net_from(folder / "flow.pt")[0].state_dict()


def killed(folder: Path) -> None:
    """Runs the command in its own process, which kills itself by SIGKILL once it has saved the checkpoint of a step."""
    command = [sys.executable, "-c", DEADLY, "flow", "fit", *TINY, "--out", str(folder)]
    assert subprocess.run(command, stdout=subprocess.DEVNULL, timeout=300).returncode == -signal.SIGKILL


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The folder of an uninterrupted fit, and its output."""
    folder = tmp_path_factory.mktemp("fit") / "whole"
    return folder, fit(*TINY, "--out", folder).output


@pytest.mark.slow
def test_a_killed_fit_resumes_to_the_same_bits(whole, tmp_path: Path):
    folder = tmp_path / "killed"
    killed(folder)
    stopped = FlowCheckpoints(folder / "checkpoints").newest().step
    assert stopped == KILLED_AT
    # A half-written checkpoint is skipped.
    (folder / "checkpoints" / f"step{stopped + 1:08d}.pt").write_bytes(b"half")
    printed = fit(*TINY, "--out", folder).output
    assert f"from step {stopped} to step {N_STEPS}" in printed
    assert f"step{stopped + 1:08d}.pt does not load" in printed
    ours, theirs = weights(folder), weights(whole[0])
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == list(range(1, N_STEPS + 1))


def test_the_errors_of_each_estimator_are_printed_and_written(whole):
    folder, printed = whole
    report = json.loads((folder / "flow.json").read_text())
    assert report["recipe"]["width"] == 0.05
    assert report["n_held_out_pairs"] == 128
    for kind, errors in report["endpoint_errors_px"].items():
        assert list(errors) == ["zero flow", "Lucas-Kanade", "Lucas-Kanade x3", "PWC-Net"]
        line = next(line for line in printed.splitlines() if line.startswith(kind))
        for found in errors.values():
            assert f"{found['mean']:.3f} ±{found['standard_error']:.3f}" in line
    textured = report["endpoint_errors_px"]["textured, up to 4 px"]
    assert textured["Lucas-Kanade"]["mean"] < 0.25 < textured["zero flow"]["mean"]


def test_a_flow_that_is_worse_than_none_is_not_recommended(whole):
    *_, note, following = whole[1].splitlines()
    assert note.startswith("note     this flow is no better than zero flow and Lucas-Kanade")
    assert following == (
        "next     fit longer: vgsearch flow fit --budget smoke; or, with Lucas-Kanade flow: vgsearch tune mvt_mc"
    )


def test_the_picture_has_a_row_for_two_pairs_of_each_kind_and_a_column_for_each_flow(whole):
    with Image.open(whole[0] / "flow.png") as picture:
        pixels = np.asarray(picture.convert("RGB"))
    assert pixels.shape == (36 + 6 * 154, 132 + 7 * 136, 3)
    for row in range(6):
        for column in range(7):
            cell = pixels[36 + row * 154 :, 132 + column * 136 :][:128, :128]
            assert cell.std() > 0, (row, column)


def test_a_finished_fit_is_judged_again_with_the_same_result_as_json(whole):
    before = (whole[0] / "flow.json").read_bytes()
    lines = [json.loads(line) for line in fit(*TINY, "--out", whole[0], "--json").output.splitlines()]
    assert [line["event"] for line in lines] == ["started", "judging", "fitted"]
    assert (whole[0] / "flow.json").read_bytes() == before
    report = json.loads(before)
    assert {name: lines[-1][name] for name in report} == report


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--set", "wdth=0.1"], "unknown key 'wdth'; did you mean 'width'"),
        (["--set", "pairs.sise=32"], "unknown key 'sise' under pairs; did you mean 'size'"),
        (["--set", "lr=-1"], "lr: Input should be greater than 0, got -1"),
        (["--set", "lr"], "expected path=value"),
        (["--budget", "smok"], "--budget: 'smok' is not a budget; did you mean 'smoke'"),
    ],
)
def test_wrong_settings_are_errors_before_anything_is_written(tmp_path: Path, arguments: list[str], message: str):
    with pytest.raises(ConfigurationError, match=message.replace("?", r"\?")):
        fit(*arguments, "--out", tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_a_fit_resumes_with_its_own_recipe_only_and_in_one_process_at_a_time(whole):
    with pytest.raises(
        ConfigurationError, match=r"whole: a fit must continue with its own recipe: lr must be 0\.001, got 0\.5"
    ):
        fit(*TINY, "--set", "lr=0.5", "--out", whole[0])
    with Experiment(whole[0]).lock(), pytest.raises(ExperimentInUse):
        fit(*TINY, "--out", whole[0])
