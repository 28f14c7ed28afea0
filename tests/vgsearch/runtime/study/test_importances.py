"""Importances from a ledger: the value that moves the score ranks first, and unranked values have a reason."""

import random

import pytest

from tests.builders import tiny_sweep
from vgsearch.experiment.ledger import SweepRecord, TrialRecord
from vgsearch.runtime.study.importances import LEAST_TRIALS, importances
from vgsearch.space.sweep import Sweep

LR, SIGMA, ALPHA = "optimiser.lr_g", "model.sigma_a", "model.alpha"


def record(sweep: Sweep, n: int, state: str = "done") -> SweepRecord:
    """Trials whose score depends only on the learning rate."""
    rng, found = random.Random(0), SweepRecord({"objective": ["s3"]})
    for index in range(n):
        chosen = {path: rng.choice(domain.choices) if domain.type == "choice" else rng.uniform(domain.low, domain.high)
                  for path, domain in sweep.domains.items()}  # fmt: skip
        if chosen["model.constraint_d_video"] != "svc":
            del chosen["model.n_clip"]
        chosen[ALPHA] = rng.choice([0.0, 1.0])
        s3 = 1 - chosen[LR] / 4e-4
        found.trials[str(index)] = TrialRecord(str(index), index, chosen, state, scores={"s3": s3})
    return found


def test_the_value_that_determines_the_score_ranks_first(tmp_path):
    sweep = tiny_sweep()
    found = importances(sweep, record(sweep, 60))
    assert next(iter(found.shares)) == LR
    assert sum(found.shares.values()) == pytest.approx(1)
    assert set(found.shares) | set(found.left_out) == set(sweep.domains)
    assert "searched in" in found.left_out["model.n_clip"]
    assert not found.weak


def test_few_trials_give_a_weak_ranking_and_fewer_give_none(tmp_path):
    sweep = tiny_sweep()
    assert importances(sweep, record(sweep, LEAST_TRIALS)).weak
    few = importances(sweep, record(sweep, LEAST_TRIALS - 1))
    assert (dict(few.shares), bool(few.reason)) == ({}, True)


def test_only_done_trials_inside_the_space_count(tmp_path):
    sweep = tiny_sweep()
    assert importances(sweep, record(sweep, 20, state="pruned")).n_trials == 0
    outside = record(sweep, 20)
    outside.trials["0"].overrides[LR] = 1.0
    assert importances(sweep, outside).n_trials == 19


def test_equal_scores_give_no_ranking(tmp_path):
    sweep = tiny_sweep()
    same = record(sweep, 20)
    for trial in same.trials.values():
        trial.scores = {"s3": 0.5}
    assert "the same score" in importances(sweep, same).reason
