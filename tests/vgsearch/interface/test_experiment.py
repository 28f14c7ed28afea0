"""An experiment read from Python: rows that a table takes as they are, its best, its verdict and its report."""

import re
from dataclasses import fields
from inspect import signature
from pathlib import Path

import pytest

import vgsearch
from tests.builders import tiny_sweep
from vgsearch.experiment.ledger import Ledger
from vgsearch.experiment.paths import Experiment
from vgsearch.interface import search
from vgsearch.interface.search import _written
from vgsearch.runtime.sweep.request import SweepRequest
from vgsearch.space.space import parse_overrides
from videogan.config import ConfigurationError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    experiment = Experiment.at(tmp_path / "x-001")
    tiny_sweep().save(experiment.sweep)
    ledger = Ledger(experiment.ledger)
    ledger.append("sweep_started", space="mvt_tsa", budget="smoke", objective=["s3"], n_trials=3)
    for index, chosen in enumerate(({"model.sigma_a": 0.5}, {"model.sigma_a": 0.2, "model.n_clip": 5})):
        name = f"t{index:04d}-abcdef"
        ledger.append("trial_started", trial=name, index=index, overrides=chosen, is_paper_point=not index, n_steps=9)
        part = {"mean": 0.5 + 0.1 * index, "low": 0.4, "high": None if index else 0.6}
        ledger.append("trial_ended", trial=name, state="done", step=9, score={"s3": part})
    ledger.append("trial_started", trial="t0002-abcdef", index=2, overrides={}, is_paper_point=False, n_steps=9)
    return experiment.folder


def test_trials_are_flat_rows_of_the_same_columns_and_the_best_is_one_of_them(folder: Path):
    found = vgsearch.load(folder)
    rows = found.trials
    assert len({tuple(row) for row in rows}) == 1
    assert [row["state"] for row in rows] == ["done", "done", "running"]
    assert [row["model.n_clip"] for row in rows] == [None, 5, None]
    assert [row["s3_high"] for row in rows] == [0.6, None, None]
    assert found.best == rows[1]
    assert rows[1]["is_best"]
    assert found.ended == ""
    assert "has no interval, so chance may explain it" in found.verdict
    assert found.report(folder.parent / "reports").read_text().startswith("<!doctype html>")
    with pytest.raises(ConfigurationError, match="x-001/trials/t0001-abcdef has no checkpoint"):
        found.model()


def test_the_path_of_a_trial_is_its_experiment_and_names_the_model(folder: Path):
    found = vgsearch.load(folder / "t0000")
    assert found.place == vgsearch.load(f"{folder}/trials/t0000-abcdef").place == folder
    assert found.trial == found.trials[0] != found.best
    assert vgsearch.load(folder).trial is None
    with pytest.raises(ConfigurationError, match="x-001/trials/t0000-abcdef has no checkpoint"):
        found.model()
    with pytest.raises(ConfigurationError, match="no trial begins with 't7'; there are 3"):
        vgsearch.load(folder / "t7")


def test_an_experiment_that_is_missing_is_refused_and_names_the_nearest(folder: Path):
    with pytest.raises(ConfigurationError, match=r"x-01 contains no sweep .*; did you mean .*x-001\?"):
        vgsearch.load(folder.parent / "x-01")


def test_overrides_from_python_are_those_of_set():
    chosen = {"model.sigma_a": 0.3, "evaluation.objective": ["s3", "-cost"], "loop.reuse_fakes": True, "a.b": None}
    assert parse_overrides(_written(chosen)) == chosen
    assert _written(["loop.n_steps=5"]) == ["loop.n_steps=5"]


def test_the_docstring_of_tune_names_each_option():
    assert {each.name for each in fields(SweepRequest)} - {"n_trials", "prices"} <= set(
        re.findall(r"\w+", search.tune.__doc__)
    ) | set(signature(search.tune).parameters)


@pytest.mark.parametrize("option", ["n_trials", "workers_per_trial"])
def test_an_option_that_a_search_does_not_take_is_refused_with_those_that_it_takes(option: str):
    with pytest.raises(ConfigurationError, match=f"^vgsearch.tune: no option '{option}'; it takes .*n_workers.*trials"):
        vgsearch.tune("mvt_tsa", **{option: 2})
