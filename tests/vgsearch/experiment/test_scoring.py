"""On which clips a search was scored, and by which version: read from its ledger, also from an old one."""

from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from tests.builders import tiny_sweep
from vgsearch.cli import app
from vgsearch.experiment.ledger import Ledger
from vgsearch.experiment.paths import Experiment
from vgsearch.experiment.scoring import notes_on_scores, protocol_of, split_of
from videogan.config import ConfigurationError
from videogan.metrics import earlier_version
from videogan.protocols import PROTOCOLS

OLD = "s3_r3d18_smoke_v1"
NOTE = f"scored by {OLD}, an earlier version of the score; not comparable with v2"
LACK = "/data: no select split, so a search is judged on the test clips. Import it again."


def score(protocol: str, **more: Any) -> dict[str, Any]:
    part = {"mean": 0.5, "low": 0.4, "high": 0.6}
    return {
        "protocol": protocol,
        "digest": "08ec25" + "0" * 58,
        **dict.fromkeys(("s3", "ser", "res", "rer"), part),
    } | more


def a_search(folder: Path, protocol: str, header: dict[str, Any], **of_score: Any) -> Experiment:
    """A finished search of two trials."""
    experiment = Experiment(folder)
    sweep = tiny_sweep(n_trials=2, data=str(folder / "data"))
    sweep.save(experiment.sweep)
    experiment.sweep.write_text(experiment.sweep.read_text().replace("s3_r3d18_smoke_v2", protocol))
    ledger = Ledger(experiment.ledger)
    ledger.append("sweep_started", space="mvt_tsa", budget="smoke", objective=["s3"], n_trials=2, protocol="08ec25",
                  data=sweep.data, argv=["vgsearch", "tune", "mvt_tsa"], **header)  # fmt: skip
    ledger.append("floor", score=score(protocol, **of_score))
    for index in range(2):
        trial = {"trial": f"t{index:04d}-abcdef", "index": index, "overrides": sweep.paper_points[0]}
        ledger.append("trial_started", **trial, is_paper_point=index == 0, n_steps=9)
        end = {
            "score": score(protocol, **of_score),
            "scores": {"s3": 0.5 + index / 10, "ser": 0.5, "res": 0.5, "cost": 9},
        }
        ledger.append("trial_ended", trial=trial["trial"], state="done", step=9, **end)
    ledger.append("sweep_ended", how="finished")
    return experiment


@pytest.fixture
def old(tmp_path: Path) -> Experiment:
    """As version 1 wrote it: no split, and scores of another version."""
    return a_search(tmp_path / "old", OLD, {})


@pytest.fixture
def new(tmp_path: Path) -> Experiment:
    return a_search(tmp_path / "new", "s3_r3d18_smoke_v2", {"split": "select", "lack_of_select": None}, split="select")


def run(*arguments: object) -> str:
    found = CliRunner().invoke(app, [*map(str, arguments)], catch_exceptions=False)
    assert found.exit_code == 0, found.output
    return found.output


def test_the_version_of_a_protocol_is_at_the_end_of_its_name():
    assert all(earlier_version(name) is None for name in PROTOCOLS)
    assert all(earlier_version(f"{name}+0123ab") is None for name in PROTOCOLS)
    assert (earlier_version(OLD), earlier_version(f"{OLD}+0123ab"), earlier_version(None)) == ("v1", "v1", None)


def test_split_and_protocol_come_from_the_header_the_scores_or_the_settings(old: Experiment, new: Experiment, tmp_path):
    of_old, of_new = (Ledger(experiment.ledger).record for experiment in (old, new))
    assert (split_of(of_old), protocol_of(of_old)) == (None, OLD)
    assert (split_of(of_new), protocol_of(of_new)) == ("select", "s3_r3d18_smoke_v2")
    ledger = Ledger(tmp_path / "started.jsonl")
    assert (split_of(ledger.record), protocol_of(ledger.record)) == (None, None)
    ledger.append("sweep_started", sweep=tiny_sweep().model_dump(mode="json"))
    assert protocol_of(ledger.record) == "s3_r3d18_smoke_v2"
    own = tiny_sweep(overrides={"evaluation.protocol": "s3_tsn_smoke_v2"})
    ledger.append("sweep_started", sweep=own.model_dump(mode="json"))
    assert protocol_of(ledger.record) == "s3_tsn_smoke_v2"


@pytest.mark.parametrize("command", ["status", "show"])
def test_a_terminal_says_that_a_score_is_on_select_or_of_an_earlier_version(
    old: Experiment, new: Experiment, command: str
):
    of_trial = "/t0001" if command == "show" else ""
    assert NOTE in run(command, f"{old.folder}{of_trial}")
    text = run(command, f"{new.folder}{of_trial}")
    assert "scores are on select" in text
    assert "vgsearch confirm and vgsearch evaluate measure the score on test" in text
    assert "earlier version" not in text


def test_a_report_shows_an_old_score_with_its_version_and_a_new_one_with_its_split(
    old: Experiment, new: Experiment, tmp_path: Path
):
    for experiment in (old, new):
        run("report", experiment.folder, "--out", tmp_path / "reports")
    of_old, of_new = ((tmp_path / "reports" / name / "README.md").read_text() for name in ("old", "new"))
    assert NOTE.replace("_", "\\_") in of_old
    assert "- best S3: **0.50**" in of_old
    assert "S3 on test" not in of_old
    assert "- best S3 on select: **0.50**" in of_new
    assert "- S3 on test: **-** vgsearch confirm measures it" in of_new


def test_experiments_of_two_versions_are_compared_on_two_axes_with_a_note(
    old: Experiment, new: Experiment, tmp_path: Path
):
    run("compare", old.folder, new.folder, "--out", tmp_path / "reports")
    text = (tmp_path / "reports" / "compare-old-new" / "README.md").read_text().replace("\\", "")
    assert f"old: {NOTE}." in text
    assert f"S3 by {OLD} 08ec25" in text
    assert "S3 by s3_r3d18_smoke_v2 08ec25" in text


@pytest.mark.parametrize("command", ["resume", "confirm"])
def test_an_old_experiment_is_not_continued(old: Experiment, command: str):
    with pytest.raises(ConfigurationError) as refused:
        CliRunner().invoke(app, [command, str(old.folder)], catch_exceptions=False)
    message = str(refused.value)
    assert message == f"old was {NOTE}. Start a new sweep, or go on with the version that started it."


@pytest.mark.parametrize("command", ["resume", "confirm"])
def test_an_old_experiment_without_a_score_is_refused_by_its_settings(tmp_path: Path, command: str):
    experiment = Experiment(tmp_path / "old")
    sweep = tiny_sweep(n_trials=1)
    sweep.save(experiment.sweep)
    experiment.sweep.write_text(experiment.sweep.read_text().replace("smoke_v2", "smoke_v1"))
    settings = sweep.model_dump(mode="json")
    settings["space"]["budgets"]["smoke"]["overrides"]["evaluation.protocol"] = OLD
    Ledger(experiment.ledger).append("sweep_started", objective=["s3"], n_trials=1, sweep=settings)
    with pytest.raises(ConfigurationError, match="an earlier version of the score"):
        CliRunner().invoke(app, [command, str(experiment.folder)], catch_exceptions=False)


def test_a_setting_of_an_earlier_version_is_refused_in_one_line_with_todays_name():
    with pytest.raises(ConfigurationError) as refused:
        tiny_sweep(overrides={"evaluation.protocol": OLD}).run_config({}, 0)
    assert str(refused.value) == (
        f"mvt_tsa.yaml (smoke): evaluation.protocol {OLD} is of an earlier version of the score, not "
        "comparable with v2; did you mean 's3_r3d18_smoke_v2'?"
    )


def test_data_without_select_are_named_wherever_the_scores_are_shown(tmp_path: Path):
    experiment = a_search(
        tmp_path / "two", "s3_r3d18_smoke_v2", {"split": "test", "lack_of_select": LACK}, split="test"
    )
    assert notes_on_scores(Ledger(experiment.ledger).record) == [LACK]
    assert run("status", experiment.folder).count(LACK) == 1
    run("report", experiment.folder, "--out", tmp_path / "reports")
    text = (tmp_path / "reports" / "two" / "README.md").read_text()
    assert text.count("no select split") == 1
    assert "- best S3 on test: **0.50**" in text
