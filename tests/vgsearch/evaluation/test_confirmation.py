"""The scores of a search's best points on fresh seeds, with intervals and tests."""

import io
import json
import math
from pathlib import Path

import pytest
from rich.console import Console

from tests.builders import tiny_sweep
from vgsearch.evaluation.confirmation import (
    Confirmed,
    answer,
    compared,
    confirmed,
    fresh_seeds,
    n_confirming_seeds,
    points_to_confirm,
    print_confirmation,
    remaining_runs,
    save,
    signal_between,
    verdict_on,
)
from vgsearch.experiment.ledger import Ledger, read_ledger
from vgsearch.experiment.objective import Objective
from vgsearch.experiment.paths import run_id
from vgsearch.space.space import load_space
from videogan.config import ConfigurationError
from videogan.metrics.seed_interval import seed_interval

S3, KVD = Objective("s3"), Objective("kvd")
PAPER = load_space("mvt").paper_points[0]


def a_search(folder: Path, scores: list[float | None], objective: str = "s3") -> Ledger:
    """A finished search whose trials scored this; None diverged. The first is the paper's point."""
    ledger = Ledger(folder / "ledger.jsonl")
    ledger.append("sweep_started", space="mvt", objective=[objective], protocol="9f2c1a")
    for index, score in enumerate(scores):
        trial = f"t{index:04d}-abcdef"
        fields = {"index": index, "overrides": PAPER, "is_paper_point": index == 0, "n_steps": 9}
        ledger.append("trial_started", trial=trial, **fields)
        end = {"state": "diverged"} if score is None else {"state": "done", "scores": {objective.strip("-"): score}}
        ledger.append("trial_ended", trial=trial, **end)
    ledger.append("sweep_ended", how="finished")
    return ledger


def ran_again(
    ledger: Ledger,
    index: int,
    scores: dict[int, float | None],
    name: str = "s3",
    trainings: list[float] | None = None,
    fold: int = 0,
) -> None:
    for seed, score in scores.items():
        run = run_id(f"t{index:04d}-abcdef", seed, fold)
        fields = {"index": seed, "overrides": PAPER, "is_paper_point": index == 0, "n_steps": 9}
        ledger.append("confirm_trial_started", trial=run, **fields)
        ledger.append("confirm_look", trial=run, step=5, look=0.1, losses={})
        end = {"state": "diverged"} if score is None else {"state": "done", "scores": {name: score}}
        if trainings:
            end["score"] = {"over_training_seeds": {name: trainings}}
        ledger.append("confirm_trial_ended", trial=run, **end)


def test_confirmation_runs_are_not_trials_of_the_search(tmp_path: Path):
    ledger = a_search(tmp_path, [0.5, 0.6])
    before = read_ledger(ledger.path)
    ran_again(ledger, 1, {500_000: 0.99, 500_001: None})
    after = read_ledger(ledger.path)
    assert after == ledger.record
    assert (after.trials, after.best, after.front, after.ended) == (
        before.trials,
        before.best,
        before.front,
        "finished",
    )
    assert [run.state for run in after.confirmation.trials.values()] == ["done", "diverged"]


def test_the_best_points_and_the_papers_point_are_confirmed_once_each(tmp_path: Path):
    record = a_search(tmp_path / "a", [0.5, None, 0.7, 0.6, 0.7]).record
    assert [point.index for point in points_to_confirm(record, 2)] == [2, 4, 0]
    assert [point.index for point in points_to_confirm(record, 9)] == [2, 4, 3, 0]
    of_distance = a_search(tmp_path / "b", [0.5, 0.1, 0.3], "-kvd").record
    assert [point.index for point in points_to_confirm(of_distance, 1)] == [1, 0]
    with pytest.raises(ConfigurationError, match="nothing to confirm"):
        points_to_confirm(a_search(tmp_path / "c", [None]).record, 3)


def test_a_papers_point_that_diverged_in_the_search_is_confirmed_too(tmp_path: Path):
    assert [point.index for point in points_to_confirm(a_search(tmp_path, [None, 0.6]).record, 3)] == [1, 0]


def test_fresh_seeds_are_unused_and_the_same_each_time(tmp_path: Path):
    record = a_search(tmp_path, [0.5, 0.6, 0.7]).record
    sweep = tiny_sweep("mvt", seed=7, n_trials=3)
    assert fresh_seeds(sweep, record, 3) == [500_077, 500_078, 500_079]
    assert fresh_seeds(sweep, record, 2) == [500_077, 500_078]
    taken = sweep.model_copy(update={"overrides": {"seed": 500_078}})
    assert fresh_seeds(taken, record, 3) == [500_077, 500_079, 500_080]
    with pytest.raises(ConfigurationError, match="--seeds must be from 2 to 10, got 1"):
        fresh_seeds(sweep, record, 1)


def test_searches_with_other_seeds_share_no_fresh_seed(tmp_path: Path):
    record = a_search(tmp_path, [0.5, 0.6, 0.7]).record
    seeds = [seed for first in range(5) for seed in fresh_seeds(tiny_sweep("mvt", seed=first, n_trials=3), record, 10)]
    assert len(set(seeds)) == 50


def test_ended_runs_are_not_repeated_and_interrupted_ones_continue(tmp_path: Path):
    ledger = a_search(tmp_path, [0.5, 0.6])
    seeds = [500_000, 500_001]
    assert [(p.index, s) for p, s in remaining_runs(ledger.record, 1, seeds)] == [(1, s) for s in seeds[:1]] + [
        (0, seeds[0]),
        (1, seeds[1]),
        (0, seeds[1]),
    ]
    ran_again(ledger, 1, {500_000: 0.6, 500_001: None})
    fields = {"index": 9, "overrides": PAPER, "is_paper_point": True, "n_steps": 9}
    ledger.append("confirm_trial_started", trial=run_id("t0000-abcdef", 500_000), **fields)
    assert [(p.index, s) for p, s in remaining_runs(read_ledger(ledger.path), 1, seeds)] == [(0, s) for s in seeds]


def test_points_are_compared_on_shared_seeds_and_larger_is_better():
    ours, paper = {1: 0.6, 2: 0.7, 3: 0.8}, {1: 0.5, 2: 0.6, 4: 0.1}
    comparison = compared(ours, paper, S3)
    assert (comparison.n, comparison.mean) == (2, pytest.approx(0.1))
    assert compared(ours, paper, KVD).mean == pytest.approx(-0.1)
    assert compared(ours, {1: 0.5}, S3) is None


def test_pairing_removes_what_seeds_have_in_common():
    paper = {seed: 0.1 * seed for seed in range(1, 6)}
    comparison = compared({seed: score + 0.05 for seed, score in paper.items()}, paper, S3)
    assert (comparison.low, comparison.mean, comparison.high) == pytest.approx((0.05, 0.05, 0.05))
    assert comparison.p < 1e-6


@pytest.fixture
def run_again(tmp_path: Path) -> Ledger:
    ledger = a_search(tmp_path, [0.5, 0.6, 0.7])
    ledger.append("confirm_sweep_started", objective=["s3"], protocol="7d1b30", split="test")
    ran_again(ledger, 2, {500_000: 0.62, 500_001: 0.66, 500_002: 0.64})
    ran_again(ledger, 0, {500_000: 0.52, 500_001: None, 500_002: 0.50})
    return ledger


SEEDS = [500_000, 500_001, 500_002]


def test_a_confirmation_has_intervals_pairs_and_other_ends(run_again: Ledger):
    best, paper = confirmed(run_again.record, 1, SEEDS)
    assert best.interval.mean == pytest.approx(0.64)
    # Student's 0.975 quantile for 2 degrees of freedom, times 0.02 / sqrt(3).
    assert best.interval.high - best.interval.mean == pytest.approx(4.303 * 0.02 / math.sqrt(3))
    assert (best.in_search, best.against_paper.n, best.against_paper.mean) == (0.7, 2, pytest.approx(0.12))
    assert (paper.is_paper_point, paper.against_paper, paper.ends) == (True, None, {500_001: "diverged"})


def answered(paper: dict[int, float | None], best: dict[int, float | None], folder: Path, objective: str = "s3") -> str:
    """The answer after a search whose second trial is its best, on these scores of fresh seeds."""
    ledger = a_search(folder, [0.5, 0.4 if objective.startswith("-") else 0.6], objective)
    ledger.append("confirm_sweep_started", objective=[objective], protocol="7d1b30", split="test")
    for index, scores in enumerate((paper, best)):
        ran_again(ledger, index, scores, objective.strip("-"))
    return answer(confirmed(ledger.record, 1, [1, 2, 3]), ledger.record.objectives[0])


def test_the_answer_names_a_point_only_if_fresh_seeds_tell_the_two_apart(tmp_path: Path):
    paper, close, above = {1: 0.5, 2: 0.6, 3: 0.7}, {1: 0.55, 2: 0.5, 3: 0.75}, {1: 0.71, 2: 0.8, 3: 0.9}
    assert answered(paper, above, tmp_path / "a").startswith("t0001, not the paper's point: s3 +0.20 [+0.19, +0.22]")
    assert answered(above, paper, tmp_path / "b").startswith("the paper's point, not t0001: s3 -0.20")
    assert answered(paper, close, tmp_path / "c").startswith("not told apart: t0001 minus the paper's point, s3 ")
    distance = answered(above, paper, tmp_path / "d", "-kvd")
    assert distance.startswith("t0001, not the paper's point: "), "a smaller distance is better"
    assert answered(paper, {1: 0.9, 2: None, 3: None}, tmp_path / "e") == (
        "none yet: t0001 and the paper's point share fewer than 2 scored seeds"
    )


def test_the_answer_is_the_papers_point_where_the_search_found_no_better_one(run_again: Ledger, tmp_path: Path):
    ledger = a_search(tmp_path / "paper", [0.9, 0.6])
    assert (
        answer(confirmed(ledger.record, 1, SEEDS), S3) == "the paper's point: the search found none that scores higher"
    )


def test_a_confirmation_at_the_end_costs_at_most_a_third_of_a_search_of_12_trials_or_more():
    assert [n_confirming_seeds(n) for n in (2, 12, 18, 24, 32, 500)] == [2, 2, 3, 4, 5, 5]
    assert all(2 * n_confirming_seeds(n) <= n / 3 for n in range(12, 600))


def test_confirm_json_has_the_numbers_of_the_table_and_no_nan(run_again: Ledger, tmp_path: Path):
    points = confirmed(run_again.record, 2, SEEDS)
    save(tmp_path / "confirm.json", points, run_again.record, SEEDS)
    written = json.loads((tmp_path / "confirm.json").read_text())
    assert [point["trial_id"][:5] for point in written["points"]] == ["t0002", "t0001", "t0000"]
    assert (written["protocol"], written["split"]) == ("7d1b30", "test"), "of the runs, not of the search"
    assert written["points"][0]["by_seed"] == {"500000": 0.62, "500001": 0.66, "500002": 0.64}
    assert written["points"][1]["interval"] == {"mean": None, "low": None, "high": None}, "not started"
    console = Console(width=140, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    print_confirmation(points, run_again.record, console)
    table = console.export_text()
    assert "t0002" in table
    assert "0.64 [0.59, 0.69]" in table
    assert "2 scored, 1 diverged" in table
    assert "p: Student's paired t-test" in table


def test_the_signal_is_that_of_the_points_by_hand(run_again: Ledger, tmp_path: Path):
    points = confirmed(run_again.record, 1, SEEDS)
    signal = signal_between(points, run_again.record)
    # [.62, .66, .64] and [.52, .50]: SSW = .0008 + .0002 on 3; SSB = 3 * 2 / 5 * .13^2 on 1; n_0 = 5 - 13 / 5.
    assert (signal.n_points, signal.n_runs) == (2, 5)
    assert signal.within == pytest.approx(0.001 / 3)
    assert signal.between == pytest.approx((1.2 * 0.13**2 - 0.001 / 3) / 2.4)
    save(tmp_path / "confirm.json", points, run_again.record, SEEDS)
    written = json.loads((tmp_path / "confirm.json").read_text())["signal"]
    assert written["icc"]["mean"] == pytest.approx(signal.icc.mean)
    assert written["seeds"] == {"apart": 0.05, "n": signal.seeds.n, "low": signal.seeds.low, "high": signal.seeds.high}
    assert signal_lines(run_again, points) == [
        f"signal: 96 % [51, 100] of the variance in S3 is between these points, the rest is retraining; "
        f"{signal.seeds.n} [{signal.seeds.low}, {signal.seeds.high}] seeds a point tell two points 0.05 apart "
        "(two-sided 5 %, power .8)"
    ]


def signal_lines(ledger: Ledger, points: list[Confirmed]) -> list[str]:
    console = Console(file=io.StringIO())
    print_confirmation(points, ledger.record, console)
    return [line for line in console.file.getvalue().splitlines() if line.startswith("signal")]


def test_a_confirmation_without_two_scored_points_says_that_its_signal_is_unknown(tmp_path: Path):
    ledger = a_search(tmp_path, [0.5, 0.6])
    ran_again(ledger, 1, {500_000: 0.62, 500_001: 0.66})
    ran_again(ledger, 0, {500_000: None, 500_001: None})
    points = confirmed(ledger.record, 1, SEEDS[:2])
    assert signal_lines(ledger, points) == ["signal: unknown for S3: it needs at least 2 points with a score, got 1"]
    save(tmp_path / "confirm.json", points, ledger.record, SEEDS[:2])
    written = json.loads((tmp_path / "confirm.json").read_text())["signal"]
    assert written["icc"] == {"mean": None, "low": None, "high": None}
    assert (written["within"], written["seeds"], written["reason"]) == (
        None,
        None,
        "it needs at least 2 points with a score, got 1",
    )


def test_runs_of_several_trainings_count_each_training(tmp_path: Path):
    ledger = a_search(tmp_path, [0.5, 0.6])
    ran_again(ledger, 1, {500_000: 0.64}, trainings=[0.62, 0.66])
    ran_again(ledger, 0, {500_000: 0.51}, trainings=[0.52, 0.50])
    signal = signal_between(confirmed(ledger.record, 1, SEEDS[:1]), ledger.record)
    assert (signal.n_points, signal.n_runs, signal.within) == (2, 4, pytest.approx(0.0005))


def test_the_signal_of_a_distance_has_no_seeds_for_a_twentieth(tmp_path: Path):
    ledger = a_search(tmp_path, [5.0, 4.0], "-kvd")
    ran_again(ledger, 1, {500_000: 3.0, 500_001: 5.0}, "kvd")
    ran_again(ledger, 0, {500_000: 9.0, 500_001: 8.0}, "kvd")
    points = confirmed(ledger.record, 1, SEEDS[:2])
    signal = signal_between(points, ledger.record)
    assert signal.seeds.apart == pytest.approx(math.sqrt((20.25 - 1.25) / 2))
    (line,) = signal_lines(ledger, points)
    assert "seeds a point tell two points 3.08, the standard deviation between points, apart" in line


def test_a_distance_is_told_from_the_untrained_generators_by_each_classifier(tmp_path: Path):
    ledger = a_search(tmp_path, [0.6], "-kvd")
    by_classifier = {"protocol": "kvd_r3d18_smoke_v2", "mean": 3.6, "low": -4.8, "high": 12.1}
    ledger.append("floor", score={"kvd": {**by_classifier, "per_seed": [8.0, 1.6, 2.0]}})
    for seed, values in {500_000: [0.8, 0.6, 0.6], 500_001: [0.8, 0.2, 0.6]}.items():
        run = run_id("t0000-abcdef", seed)
        ledger.append("confirm_trial_started", trial=run, index=seed, overrides=PAPER, is_paper_point=True, n_steps=9)
        scores = {"scores": {"kvd": 0.6}, "score": {"kvd": {**by_classifier, "mean": 0.6, "per_seed": values}}}
        ledger.append("confirm_trial_ended", trial=run, state="done", **scores)
    points = confirmed(ledger.record, 1, SEEDS[:2])
    assert points[0].share_of_untrained == pytest.approx(seed_interval([0.1, 0.25, 0.3]))
    said = verdict_on(points, ledger.record)
    assert said.startswith("t0000 is better than an untrained generator: kernel distance 0.60")
    assert said.endswith("3.60 [-4.80, 12.10], 0.22 [-0.04, 0.48] of it by the same classifiers")


def test_a_seeds_score_on_folds_is_their_mean_once_all_folds_have_one(tmp_path: Path):
    ledger = a_search(tmp_path, [0.5, 0.6])
    for fold, shift in ((1, 0.0), (2, 0.1)):
        ran_again(ledger, 1, {500_000: 0.6 + shift, 500_001: 0.8 + shift}, fold=fold)
        ran_again(ledger, 0, {500_000: 0.5 + shift}, fold=fold)
    ran_again(ledger, 0, {500_001: 0.5}, fold=1)
    best, paper = confirmed(ledger.record, 1, [500_000, 500_001], n_folds=2)
    assert best.by_seed == pytest.approx({500_000: 0.65, 500_001: 0.85})
    assert paper.by_seed == pytest.approx({500_000: 0.55}), "of the second seed only one fold has a score"
    assert best.by_training == pytest.approx([0.65, 0.85]), "what folds differ by is no retraining"
    assert paper.by_training == pytest.approx([0.55])
    left = {fold: remaining_runs(ledger.record, 1, [500_000, 500_001], fold) for fold in (0, 1, 2)}
    assert [len(runs) for runs in left.values()] == [4, 0, 1]
    assert [(point.trial_id, seed) for point, seed in left[2]] == [("t0000-abcdef", 500_001)]
    assert confirmed(ledger.record, 1, [500_000])[0].by_seed == {}, "runs on folds are not runs on the test split"
