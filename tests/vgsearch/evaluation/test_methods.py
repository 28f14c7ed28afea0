"""The paper's points of a sweep side by side, over training seeds."""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from rich.console import Console

from vgsearch.evaluation.methods import methods, methods_table, note_on_methods
from vgsearch.experiment.ledger import Ledger, SweepRecord
from vgsearch.space.space import load_space
from videogan.config import ConfigurationError
from videogan.metrics.seed_interval import seed_interval
from videogan.metrics.t_test import difference

NAMES = ["SVC", "clipping", "GAN"]


def studied(
    folder: Path, values: Mapping[int, Sequence[float]], objective: str = "s3", n_papers: int = 3
) -> SweepRecord:
    """A sweep of three paper points and one other, with these values of each trial's trainings."""
    ledger, name = Ledger(folder / "ledger.jsonl"), objective.strip("-")
    ledger.append("sweep_started", space="table4", objective=[objective], sweep={"space": {"point_names": NAMES}})
    for index, of_seeds in values.items():
        trial, fields = f"t{index:04d}-abcdef", {"index": index, "overrides": {}, "n_steps": 9}
        ledger.append("trial_started", trial=trial, is_paper_point=index < n_papers, **fields)
        mean = sum(of_seeds) / len(of_seeds)
        score = {"over_training_seeds": {name: list(of_seeds)}} if len(of_seeds) > 1 else {}
        ledger.append("trial_ended", trial=trial, state="done", scores={name: mean}, score=score)
    return ledger.record


def test_each_method_is_compared_with_the_first_by_students_test(tmp_path: Path):
    values = {0: [0.5, 0.6, 0.55], 1: [0.7, 0.72, 0.8], 2: [0.4, 0.5, 0.45], 3: [0.9, 0.9, 0.91]}
    svc, clipping, gan = methods(studied(tmp_path, values))
    assert [svc.name, clipping.name, gan.name] == NAMES, "the fourth trial is no paper point"
    assert (svc.against_first, svc.p) == (None, None)
    assert clipping.interval == seed_interval(values[1])
    assert (clipping.against_first, clipping.p) == difference(values[1], values[0])
    assert gan.against_first is not None
    assert gan.against_first.mean == pytest.approx(-0.1)


def test_a_smaller_distance_is_a_positive_difference(tmp_path: Path):
    _, clipping = methods(studied(tmp_path, {0: [5.0, 6.0], 1: [3.0, 4.0]}, "-kvd"))
    assert clipping.against_first is not None
    assert clipping.against_first.mean == pytest.approx(2.0)


def test_a_method_without_two_seeds_is_named_and_not_compared(tmp_path: Path):
    record = studied(tmp_path, {0: [0.5, 0.6], 1: [0.7], 2: [0.4, 0.5]})
    assert [method.name for method in methods(record)] == ["SVC", "GAN"]
    assert note_on_methods(record).endswith("; without two scored seeds: t0001 (done)")
    assert methods(studied(tmp_path / "one", {0: [0.5, 0.6], 1: [0.7]})) == [], "nothing to compare"


def test_the_table_shows_mean_difference_and_p_of_each_method(tmp_path: Path):
    record = studied(tmp_path, {0: [0.5, 0.6, 0.55], 1: [0.7, 0.72, 0.8]})
    console = Console(width=100, file=io.StringIO())
    console.print(methods_table(methods(record), record))
    head, first, second = console.file.getvalue().splitlines()
    assert head.split("  ")[0] == "method"
    assert "minus SVC [95 %]" in head
    assert [part.strip() for part in first.split("  ") if part.strip()] == ["SVC", "0.55 [0.43, 0.67]", "-", "-", "3"]
    assert "0.74 [0.61, 0.87]" in second
    assert "+0.19 [+0.07, +0.31]" in second


def test_a_budget_without_pruning_keeps_the_rest_and_pbt_refuses_it():
    space = load_space("mvt")
    unpruned = space.without_pruning("smoke")
    assert unpruned.budgets["smoke"].pruning.pruner == "none"
    assert unpruned.budgets["smoke"].overrides == space.budgets["smoke"].overrides
    assert unpruned.budgets["laptop"] == space.budgets["laptop"]
    with pytest.raises(ConfigurationError, match="population based training"):
        load_space("mvt_mc_pbt").without_pruning("smoke")
