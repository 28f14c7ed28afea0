"""How much of a search's scores is signal, from its ledger."""

import math
from pathlib import Path

import pytest

from vgsearch.experiment.ledger import Ledger, SweepRecord
from vgsearch.experiment.signal import has_several_seeds, signal_of_search
from videogan.metrics.retraining_noise import retraining_noise

SCORES = [[0.52, 0.55, 0.49], [0.61, 0.60, 0.66], [0.43, 0.47, 0.44]]


def searched(folder: Path, scores: list[list[float]], objectives: list[str], state: str = "done") -> SweepRecord:
    """A search whose points scored this in their trainings, by its first objective; the second has ten times it."""
    ledger = Ledger(folder / "ledger.jsonl")
    ledger.append("sweep_started", space="mvt", objective=objectives)
    for index, values in enumerate(scores):
        trial, names = f"t{index:04d}-abcdef", [objective.strip("-") for objective in objectives]
        ledger.append("trial_started", trial=trial, index=index, overrides={}, is_paper_point=index == 0, n_steps=9)
        by_seed = {name: [factor * value for value in values] for name, factor in zip(names, (1, 10), strict=False)}
        score = {"over_training_seeds": by_seed} if len(values) > 1 else {}
        means = {name: sum(own) / len(own) for name, own in by_seed.items()}
        ended = {"scores": means, "score": score} if state == "done" else {"reason": ""}
        ledger.append("trial_ended", trial=trial, state=state, **ended)
    return ledger.record


def test_the_signal_of_a_search_is_that_of_the_trainings_of_its_done_points(tmp_path: Path):
    record = searched(tmp_path, SCORES, ["s3"])
    assert has_several_seeds(record)
    assert signal_of_search(record) == {"s3": retraining_noise(SCORES)}
    record.trials["t0002-abcdef"].state = "pruned"
    assert signal_of_search(record) == {"s3": retraining_noise(SCORES[:2])}


def test_each_objective_but_the_cost_has_its_own(tmp_path: Path):
    assert list(signal_of_search(searched(tmp_path / "a", SCORES, ["s3", "-cost"]))) == ["s3"]
    both = signal_of_search(searched(tmp_path / "b", SCORES, ["s3", "-kvd"]))
    assert both["kvd"].within == pytest.approx(100 * both["s3"].within)
    assert both["kvd"].icc == pytest.approx(both["s3"].icc)
    assert both["s3"].seeds.apart == 0.05
    assert both["kvd"].seeds.apart == pytest.approx(math.sqrt(both["kvd"].between))


def test_a_score_that_some_trainings_lack_is_not_analysed(tmp_path: Path):
    record = searched(tmp_path, SCORES, ["s3"])
    for trial in record.trials.values():
        trial.scores, trial.score.over_training_seeds["cost"] = {"cost": 3.0}, [1.0, 1.0, 1.0]
        del trial.score.over_training_seeds["s3"]
    assert signal_of_search(record)["s3"].reason == "it needs at least 2 points with a score, got 0"


@pytest.mark.parametrize(
    ("scores", "state", "reason"),
    [
        ([[0.5], [0.6]], "done", "it needs a point that was trained and scored with several seeds, each was with one"),
        ([[0.5, 0.6]], "done", "it needs at least 2 points with a score, got 1"),
        (SCORES, "diverged", "it needs at least 2 points with a score, got 0"),
    ],
)
def test_searches_without_several_trainings_of_several_points_say_why(
    tmp_path: Path, scores: list[list[float]], state: str, reason: str
):
    signal = signal_of_search(searched(tmp_path, scores, ["s3"], state))["s3"]
    assert (signal.reason, signal.seeds) == (reason, None)
    assert math.isnan(signal.icc.mean)
