"""A dry run tells the hours and the money of a sweep on named GPUs, and refuses prices that it cannot use."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from vgsearch.cli import app
from vgsearch.experiment.ledger import Ledger
from vgsearch.runtime.cluster.gpu_forecast import gpu_lines, read_prices, settings_lines
from videogan.config import ConfigurationError
from videogan.data.synthetic import make_moving_shapes


@pytest.fixture(scope="module")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_moving_shapes(tmp_path_factory.mktemp("data") / "shapes", n_clips_each=1, n_groups=16).folder


def test_what_a_sweep_costs_is_its_hours_on_all_its_gpus_by_their_price(shapes: Path):
    settings = ["--trials", "5", "--seeds-per-trial", "3", "--workers-per-trial", "2", "--price", "H100=2.5"]
    run = CliRunner().invoke(
        app, ["tune", "mvt_tsa", "--budget", "smoke", "--data", str(shapes), "--dry-run", *settings, "--json"]
    )
    assert run.exit_code == 0, run.output + repr(run.exception)
    forecast = json.loads(run.stdout)["gpus"]["bf16"]
    assert set(forecast["cost"]) == {"H100"} < set(forecast["gpu_hours"]) == set(forecast["hours_per_trial"])
    for name, (least, most) in forecast["hours_per_trial"].items():
        assert forecast["gpu_hours"][name] == pytest.approx([5 * 3 * 2 * least, 5 * 3 * 2 * most])
    assert forecast["cost"]["H100"] == pytest.approx([2.5 * hours for hours in forecast["gpu_hours"]["H100"]])


def forecast_of(data: Path, *settings: str) -> dict[str, Any]:
    run = CliRunner().invoke(app, ["tune", "tgan_svc", "--budget", "smoke", "--data", str(data), "--dry-run", *settings,
                                   "--price", "H100=2.5", "--json"])  # fmt: skip
    assert run.exit_code == 0, run.output + repr(run.exception)
    return json.loads(run.stdout)


def test_a_generator_for_each_class_costs_as_many_trainings(shapes: Path):
    n_classes, one, each = 4, forecast_of(shapes), forecast_of(shapes, "--one-per-class")
    assert (one["n_generators"], each["n_generators"]) == (1, n_classes)
    for arithmetic, costs in one["gpus"].items():
        for part in ("hours_per_trial", "gpu_hours", "cost"):
            for gpu, ends in costs[part].items():
                assert each["gpus"][arithmetic][part][gpu] == pytest.approx([n_classes * end for end in ends])


def test_the_work_of_a_trial_counts_the_generator_of_each_class(shapes: Path):
    work = {}
    for setting in ([], ["--one-per-class"]):
        command = ["tune", "tgan_svc", "--budget", "smoke", "--data", str(shapes), "--dry-run", *setting]
        lines = CliRunner().invoke(app, command).output.splitlines()
        told = [line.split() for line in lines if line.strip().startswith(("per trial", "whole sweep"))]
        work[bool(setting)] = [float(words[2]) for words in told]
    assert len(work[True]) == 2
    assert work[True] == pytest.approx([4 * each for each in work[False]], rel=0.2)  # two decimals


def test_a_dry_run_warns_of_data_that_a_start_refuses(shapes: Path):
    command = ["tune", "tgan_svc", "--data", str(shapes), "--budget", "smoke", "--dry-run"]
    assert "warning" not in CliRunner().invoke(app, command).stderr
    run = CliRunner().invoke(app, [*command, "--set", "data.every_nth=8"])
    assert run.exit_code == 0
    assert "warning: without --dry-run this is refused: " in run.stderr
    assert "no usable clip in train. " in run.stderr


def test_a_dry_run_makes_the_checks_of_a_warm_start(shapes: Path, tmp_path: Path):
    ledger = Ledger(tmp_path / "old" / "ledger.jsonl")
    ledger.append("sweep_started", space="tgan_svc", budget="smoke", objective=["-kvd"], protocol="ab" * 32)
    run = CliRunner().invoke(app, ["tune", "tgan_svc", "--data", str(shapes), "--budget", "smoke", "--dry-run",
                                   "--warm-start", str(tmp_path / "old")])  # fmt: skip
    assert isinstance(run.exception, ConfigurationError)
    assert "it was scored under protocol ababab, this sweep is scored under" in str(run.exception)


def test_a_price_stands_on_the_line_of_its_gpu():
    found = {
        "gpu_memory_bytes": 8e9,
        "hours_per_trial": {"L4": (1.0, 40.0), "H100": (0.5, 2.0)},
        "gpu_hours": {"L4": (32.0, 1280.0), "H100": (16.0, 64.0)},
        "cost": {"H100": (40.0, 160.0)},
    }
    lines = [" ".join(line.split()) for line in gpu_lines({"bf16": found})]
    assert "L4 1.0 to 40 h 32 to 1,280 GPU-hours" in lines
    assert "H100 0.5 to 2.0 h 16 to 64 GPU-hours costs 40 to 160" in lines


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ("H10=2", r"--price H10=2: no GPU 'H10' in the forecast; did you mean 'H100'\?"),
        ("card=2", r"no GPU 'card' in the forecast; it must be one of A100-40GB, A100-80GB"),
        ("2.5", r"--price 2\.5: must be a GPU and what an hour of it costs, as H100=2\.5"),
        ("H100", r"--price H100: must be a GPU and what an hour of it costs, as H100=2\.5"),
        ("H100=2,5", r"must be a GPU and what an hour of it costs"),
        ("H100=-1", r"must be a GPU and what an hour of it costs"),
        ("H100=inf", r"must be a GPU and what an hour of it costs"),
    ],
)
def test_a_wrong_price_is_refused_in_one_line(written: str, told: str):
    with pytest.raises(ConfigurationError, match=told):
        read_prices([written])


def test_a_price_without_a_dry_run_is_refused(shapes: Path, tmp_path: Path):
    run = CliRunner().invoke(
        app, ["tune", "mvt_tsa", "--data", str(shapes), "--out", str(tmp_path / "runs"), "--price", "H100=2"]
    )
    assert isinstance(run.exception, ConfigurationError)
    assert "--price is for the forecast of --dry-run" in str(run.exception)
    assert not list(tmp_path.rglob("sweep.yaml"))


def test_a_price_of_another_program_is_refused(shapes: Path):
    run = CliRunner().invoke(app, ["tune", "moving_blobs", "--data", str(shapes), "--dry-run", "--price", "H100=2"])
    assert isinstance(run.exception, ConfigurationError)
    assert "what another program costs is unknown" in str(run.exception)


def test_a_gpu_that_is_too_small_comes_with_settings_that_make_it_hold_the_batch(shapes: Path):
    command = ["tune", "vgan", "--budget", "smoke", "--data", str(shapes), "--price", "H100=2", "--dry-run", "--json"]
    large = ["--set", "loop.batch_size=16384", "--set", "loop.reuse_fakes=false"]
    needed = json.loads(CliRunner().invoke(app, [*command, *large]).stdout)
    settings = needed["settings_for_smaller_gpus"]["T4"]
    assert all("T4" not in costs["hours_per_trial"] for costs in needed["gpus"].values())
    changed = [part for path, value in settings.items() for part in ("--set", f"{path}={json.dumps(value)}")]
    assert (
        "T4"
        in json.loads(CliRunner().invoke(app, [*command, *large, *changed]).stdout)["gpus"]["fp32"]["hours_per_trial"]
    )


def test_settings_stand_beside_their_gpu_and_the_others_are_named_with_the_remedy():
    lines = [
        " ".join(line.split()) for line in settings_lines({"L4": {"loop.accumulate": 4}, "T4": None, "V100": None})
    ]
    assert "L4 --set loop.accumulate=4" in lines
    assert any(
        "too small for the batch with any of these settings: T4, V100; lower loop.batch_size" in line for line in lines
    )
