"""A user's initial weights belong to the sweep: to its file, its protocols' names and digests, resume and confirm."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from typer.testing import CliRunner

from tests.builders import tiny_sweep
from vgsearch.cli import app
from vgsearch.evaluation.initial_weights import as_override, notes_on_weights_of, weights_of
from vgsearch.evaluation.request import EvaluationRequest, planned
from vgsearch.experiment.ledger import Ledger
from vgsearch.experiment.paths import Experiment
from vgsearch.report.experiment import training_command
from vgsearch.runtime.sweep import confirm, launch
from vgsearch.space.space import parse_override
from vgsearch.space.sweep import Sweep, load_sweep
from videogan.config import ConfigurationError
from videogan.data.manifest import Manifest
from videogan.data.synthetic import make_moving_shapes
from videogan.protocols.classifier import DataFacts

FACTS = DataFacts("ab" * 32, "plain_32", n_classes=4, n_clips=(("train", 48), ("test", 24)))
N_CLASSES = 7
"""Of the weights; the tiny sweep's data have 4."""


@pytest.fixture(scope="module")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    return make_moving_shapes(tmp_path_factory.mktemp("data") / "shapes", n_clips_each=1)


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """Weights for the network of the smoke protocols."""
    classifier = tiny_sweep().run_config(tiny_sweep().paper_points[0], 0).evaluation.s3_protocol.classifier
    path = tmp_path / "w.pt"
    torch.save(classifier.fresh(N_CLASSES, seed=1).network.state_dict(), path)
    return path


def evaluation_of(sweep: Sweep) -> Any:
    return sweep.run_config(sweep.paper_points[0], 0).evaluation


def a_sweep(weights: Path, objective: str = "s3", **settings: Any) -> Sweep:
    return tiny_sweep(overrides={**as_override(weights), "evaluation.objective": objective}, **settings)


def test_the_sweeps_file_keeps_the_sha256_and_every_protocol_of_the_sweep_has_it(weights, tmp_path):
    a_sweep(weights).save(tmp_path / "sweep.yaml")
    sweep, plain = load_sweep(tmp_path / "sweep.yaml"), evaluation_of(tiny_sweep())
    sha = weights_of(sweep).sha256
    assert yaml.safe_load((tmp_path / "sweep.yaml").read_text())["overrides"]["evaluation.classifier_weights"] == {
        "path": str(weights), "sha256": sha,
    }  # fmt: skip
    for mine, other in (
        (evaluation_of(sweep).s3_protocol, plain.s3_protocol),
        (evaluation_of(sweep).feature_protocol("kvd"), plain.feature_protocol("kvd")),
    ):
        assert mine.name == f"{other.name}+{sha[:6]}"
        assert mine.classifier.weights.sha256 == sha
        assert mine.digest(FACTS, "test") != other.digest(FACTS, "test")
        assert mine.classifier.digest(FACTS) != other.classifier.digest(FACTS)


def test_a_sweep_and_evaluate_give_one_name_to_one_protocol(weights, shapes):
    plan = planned(
        EvaluationRequest(ladder=shapes.folder, metrics="s3,kvd", budget="smoke", classifier_weights=weights)
    )
    evaluation = evaluation_of(a_sweep(weights))
    assert list(plan.measures) == [evaluation.s3_protocol, evaluation.feature_protocol("kvd")]


def test_scores_that_predict_classes_train_the_weights_further_and_distances_do_not(weights):
    evaluation = evaluation_of(a_sweep(weights))
    assert evaluation.s3_protocol.classifier.trained
    assert evaluation.feature_protocol("is").classifier.trained
    kvd = evaluation.feature_protocol("kvd")
    assert not kvd.classifier.trained
    assert kvd.seeds == (0,), "the network is the same for every seed, and equal copies would make a narrow interval"


def test_other_weights_make_another_protocol_wherever_the_file_lies(weights, tmp_path):
    digest = evaluation_of(a_sweep(weights)).s3_protocol.digest(FACTS, "test")
    copy = tmp_path / "copy.pt"
    copy.write_bytes(weights.read_bytes())
    assert evaluation_of(a_sweep(copy)).s3_protocol.digest(FACTS, "test") == digest
    torch.save({name: value + 1 for name, value in torch.load(weights).items()}, copy)
    assert evaluation_of(a_sweep(copy)).s3_protocol.digest(FACTS, "test") != digest


def test_a_sweep_says_that_it_replaces_the_classification_layer(weights):
    [note] = notes_on_weights_of(a_sweep(weights))
    assert "the classification layer must be" in note
    assert notes_on_weights_of(a_sweep(weights, n_classes=N_CLASSES)) == ()
    assert notes_on_weights_of(tiny_sweep()) == ()


def one_line(act: Callable[[], object]) -> str:
    with pytest.raises(ConfigurationError) as caught:
        act()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_missing_a_changed_and_an_unfit_file_are_refused_in_one_line(weights, tmp_path):
    assert "cannot read this file of classifier weights" in one_line(lambda: as_override(tmp_path / "none.pt"))
    sweep, distance = a_sweep(weights), a_sweep(weights, objective="-kvd")
    state = torch.load(weights)
    torch.save({name: value for name, value in state.items() if not name.startswith("classify.")}, tmp_path / "b.pt")
    assert "must include a classification layer" in one_line(
        lambda: notes_on_weights_of(a_sweep(tmp_path / "b.pt", objective="-kvd"))
    )
    torch.save({name: value + 1 for name, value in state.items()}, weights)
    for said in (one_line(lambda: notes_on_weights_of(sweep)), one_line(lambda: notes_on_weights_of(distance))):
        assert re.search(r"must have sha256 \w{6}\.\.\., .* got \w{6}", said)
    weights.unlink()
    assert "must be a readable file, got No such file" in one_line(lambda: notes_on_weights_of(sweep))


def typed(*arguments: object, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.chdir(folder)
    return CliRunner().invoke(app, [*map(str, arguments)])


@pytest.mark.parametrize("command", ["tune", "train"])
def test_both_commands_take_the_file_and_refuse_a_missing_one(command, weights, shapes, tmp_path, monkeypatch):
    given = (
        command,
        "mvt_tsa",
        "--data",
        shapes.folder,
        "--budget",
        "smoke",
        "--dry-run",
        "--json",
        "--classifier-weights",
    )
    found = typed(*given, weights, folder=tmp_path, monkeypatch=monkeypatch)
    assert found.exit_code == 0, found.output
    assert json.loads(found.stdout.splitlines()[-1])
    refused = typed(*given, "none.pt", folder=tmp_path, monkeypatch=monkeypatch)
    assert isinstance(refused.exception, ConfigurationError)
    other = typed(*given, weights, "--set", "evaluation.protocol=" + other_protocol(), folder=tmp_path,
                  monkeypatch=monkeypatch)  # fmt: skip
    assert "must be those of a TSN" in str(other.exception)


def other_protocol() -> str:
    return evaluation_of(tiny_sweep()).protocol.replace("r3d18", "tsn")


@pytest.fixture
def experiment(weights, shapes, tmp_path) -> Experiment:
    """A sweep with the weights: one trial done, one to run."""
    about = {"data": str(shapes.folder), "manifest_digest": shapes.digest, "n_classes": len(shapes.classes)}
    sweep, experiment = a_sweep(weights, n_trials=2, space_source="mvt_tsa", **about), Experiment(tmp_path / "s")
    ledger = Ledger(experiment.ledger)
    ledger.append("sweep_started", space="mvt_tsa", sweep=sweep.model_dump(mode="json"), objective=["s3"],
                  n_trials=2, argv=[], budget="smoke", data=sweep.data, seed=0, protocol="c" * 64, resumed=False,
                  versions={})  # fmt: skip
    sweep.save(experiment.sweep)
    ledger.append("trial_started", trial="t0000-aaaaaa", index=0, overrides=sweep.paper_points[0],
                  is_paper_point=True, n_steps=300)  # fmt: skip
    s3 = {"mean": 0.5, "low": 0.4, "high": 0.6}
    score = {"s3": s3, "ser": s3, "res": s3, "rer": s3, "protocol": "s3", "digest": "c" * 64}
    ledger.append("trial_ended", trial="t0000-aaaaaa", state="done", step=300, reason="", score=score,
                  scores={"s3": 0.5})  # fmt: skip
    return experiment


def test_resume_and_confirm_refuse_changed_weights_before_they_connect(experiment, weights):
    torch.save({name: value + 1 for name, value in torch.load(weights).items()}, weights)
    for act in (
        lambda: launch.resume(experiment.folder, None, "none", None, False),
        lambda: confirm.confirm(experiment.folder, 1, 2, 0, None, False),
    ):
        assert "must have sha256" in one_line(act)


def test_the_command_that_trains_a_trial_again_names_the_weights(experiment):
    record, sweep = Ledger(experiment.ledger).record, load_sweep(experiment.sweep)
    shown = training_command(sweep, record.trials["t0000-aaaaaa"])
    [setting] = re.findall(r"'(evaluation\.classifier_weights=[^']*)'", shown)
    assert parse_override(setting) == ("evaluation.classifier_weights", weights_of(sweep).model_dump())
