"""Scores are read from JSON and written back byte for byte; an undefined value is never a number."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch

from vgsearch.experiment.ledger import Ledger, read_ledger
from vgsearch.experiment.score import FeatureScore, Floor, S3Score, Score
from vgsearch.runtime.judging.judge import score_of
from videogan.metrics.interval import Interval
from videogan.protocols.features import FeatureResult
from videogan.protocols.s3 import S3Result


def part(mean: float | None, low: float | None = None, high: float | None = None) -> dict[str, float | None]:
    return {"mean": mean, "low": low, "high": high}


OF_S3: dict[str, Any] = {
    "protocol": "s3_r3d18_smoke_v2", "digest": "159990567983af51", "split": "select", "s3": part(0.52, 0.4, 0.64),
    "ser": part(0.39583333333333331, 0.35, 0.44), "res": part(0.66, 0.5, 0.81), "rer": part(1, 1, 1),
    "s3_chance_corrected": part(None), "covers": "3 groups of 16 clips, 2 classifier seeds",
    "s3_of_guessing": 0.25531914893617025,
    "bootstrap": {"s3": part(0.52, None, 0.56), "s3_chance_corrected": part(None)},
    "over_seeds": {"s3": part(0.52, -0.28, 1.32), "s3_chance_corrected": part(None)},
    "per_seed": {"ser": [0.375, 0.5], "s3_chance_corrected": [None, 0.4]}, "seeds": [0, 1], "n_classes": 4,
    "n_train": 384, "n_test": 128, "n_groups": 3, "n_windows": 4, "n_samples": 500,
    "warnings": ["ReR is 85.0 %, below 90 %: dividing by it inflates S3."],
}  # fmt: skip
OF_KVD: dict[str, Any] = {
    "protocol": "kvd_r3d18_smoke_v2", "digest": "987654aa", "split": "select", "metric": "kvd", "mean": -0.0031,
    "low": -0.01, "high": 0.02, "spread": None, "values": [-0.0031], "per_seed": [-0.002, -0.0042], "real": 2.5e-05,
    "real_low": None, "real_high": 3.5e-05, "outside": 0.25, "n_samples": 128, "n_repeats": 1, "n_real": 128,
    "n_features": 64, "warnings": [],
}  # fmt: skip
WRITTEN = {
    "S3": OF_S3,
    "a score on features": {"kvd": OF_KVD},
    "both": OF_S3 | {"kvd": OF_KVD, "fid": OF_KVD | {"metric": "fid"}},
    "over training seeds": OF_S3 | {"kvd": OF_KVD, "over_training_seeds": {"kvd": [0.1, 0.2], "cost": [60, 61.5]}},
    "with copies": OF_S3
    | {
        "copies": {
            "share": 0.25,
            "limit": 0.05,
            "distance": 0.2,
            "real_distance": 0.5,
            "threshold": 0.1,
            "n_samples": 200,
            "n_real": 80,
            "split": "select",
            "features": None,
        }
    },
    "an old ledger": {
        "protocol": "s3_r3d18_smoke_v1",
        "digest": "08ec25",
        "s3": part(0.5, 0.4, 0.6),
        "ser": part(0.6, 0.5, 0.7),
        "seeds": [0, 1],
        "warnings": [],
        "kvd": {
            "metric": "kvd",
            "mean": 9.5,
            "spread": 0.5,
            "values": [9, 10],
            "real": 0.8,
            "n_samples": 128,
            "n_repeats": 2,
            "n_real_train": 384,
            "n_real_test": 128,
            "warnings": [],
        },
    },
    "nothing": {},
}


@pytest.mark.parametrize("written", WRITTEN.values(), ids=WRITTEN.keys())
def test_a_score_is_written_back_as_it_was_read(written: dict[str, Any]):
    assert json.dumps(Score.from_json(written).to_json()) == json.dumps(written)


def test_bounds_of_accuracies_that_an_older_ledger_has_beyond_0_and_100_percent_end_there():
    older = {"s3": part(0.5, -0.1, 1.3), "ser": part(0.1, -0.2, 0.4), "rer": part(0.98, 0.92, 1.04)}
    read = S3Score.from_json(older)
    assert (read.ser, read.rer) == (Interval(0.1, 0.0, 0.4), Interval(0.98, 0.92, 1.0))
    assert read.s3 == Interval(0.5, -0.1, 1.3)


def test_the_scores_of_a_ledger_are_written_back_as_they_were_read(tmp_path: Path):
    ledger = Ledger(tmp_path / "ledger.jsonl")
    ledger.append("floor", score=WRITTEN["both"])
    fields = {"overrides": {}, "is_paper_point": True, "n_steps": 9}
    for index, written in enumerate(WRITTEN.values()):
        ledger.append("trial_started", trial=f"t{index}", index=index, **fields)
        ledger.append("trial_ended", trial=f"t{index}", state="done", score=written)
    events = [json.loads(line) for line in ledger.path.read_text().splitlines()]
    record = read_ledger(ledger.path)
    assert record == ledger.record
    assert record.floor is not None
    assert json.dumps(record.floor.to_json()) == json.dumps(events[0]["score"])
    ended = [event for event in events if event["event"] == "trial_ended"]
    for event in ended:
        assert json.dumps(record.trials[event["trial"]].score.to_json()) == json.dumps(event["score"])
    assert len(ended) == len(WRITTEN)


def test_the_json_of_a_whole_result_is_written_back_unchanged():
    whole = OF_S3 | {"confusion": {"ser": [[3, 1], [0, 4]]}, "per_class": {"ser": [0.75, None]}}
    assert json.dumps(S3Score.from_json(whole).to_json()) == json.dumps(whole)
    assert json.dumps(FeatureScore.from_json(OF_KVD).to_json()) == json.dumps(OF_KVD)


def test_the_ledger_holds_the_results_own_summary():
    one, nan = Interval(0.5, 0.4, 0.6), Interval(math.nan, math.nan, math.nan)
    s3 = S3Result(
        protocol="p", digest="d" * 64, split="select", s3=one, ser=one, res=one, rer=one, s3_chance_corrected=nan,
        covers="9 groups of 9 clips", s3_of_guessing=0.25, bootstrap={"s3": nan}, over_seeds={"s3": one},
        per_seed={"s3": [0.5, math.nan]}, seeds=[0, 1], n_classes=4, n_train=9, n_test=9, n_groups=9, n_windows=4,
        n_samples=500, warnings=["w"], confusion={"ser": [[1]]}, per_class={"ser": [math.nan]},
    )  # fmt: skip
    kvd = FeatureResult(
        protocol="k", digest="e" * 64, split="select", metric="kvd", mean=0.1, low=-0.1, high=0.3, spread=math.nan,
        values=[0.1], per_seed=[0.0, 0.2], real=0.0, real_low=-0.1, real_high=0.1, outside=0.0, n_samples=8,
        n_repeats=1, n_real=9, n_features=64, warnings=[],
    )  # fmt: skip
    written = json.dumps(score_of({"s3": s3, "kvd": kvd}).to_json(), allow_nan=False)
    assert written == json.dumps(s3.summary() | {"kvd": kvd.to_json()}, allow_nan=False)


def test_an_undefined_value_is_nan_and_not_among_the_scores():
    score = Score.from_json(WRITTEN["both"])
    assert score.s3 is not None
    assert score.s3.s3_chance_corrected is not None
    assert all(map(math.isnan, score.s3.s3_chance_corrected))
    assert math.isnan(score.features["kvd"].spread or 0.0)
    assert score.means == {
        "s3": 0.52,
        "ser": 0.39583333333333331,
        "res": 0.66,
        "rer": 1,
        "kvd": -0.0031,
        "fid": -0.0031,
    }


def test_the_scores_are_the_finite_means():
    written = {
        "s3": part(0.5, 0.4, 0.6),
        "s3_chance_corrected": part(None),
        "bootstrap": {"s3": part(0.5, 0.4, 0.6)},
        "kvd": {"mean": -0.01, "real": 0.0},
        "fvd": {"mean": float("inf")},
        "s3_of_guessing": 0.25,
        "warnings": ["few clips"],
    }
    assert Score.from_json(written).means == {"s3": 0.5, "kvd": -0.01}


def test_an_interval_is_found_by_the_name_of_its_score():
    score = Score.from_json(WRITTEN["over training seeds"])
    assert score.interval("s3") == Interval(0.52, 0.4, 0.64)
    assert score.interval("kvd") == Interval(-0.0031, -0.01, 0.02)
    of_real = score.features["kvd"].of_real
    assert (of_real.mean, of_real.high) == (2.5e-05, 3.5e-05)
    assert math.isnan(of_real.low)
    assert score.interval("fid") is score.interval("seeds") is score.interval("cost") is None
    assert Score().interval("s3") is None


def test_a_score_lists_the_protocols_and_warnings_of_all_its_parts():
    score = Score.from_json(WRITTEN["both"])
    assert [part.named_protocol for part in score.parts] == [
        "s3_r3d18_smoke_v2 159990", "kvd_r3d18_smoke_v2 987654", "kvd_r3d18_smoke_v2 987654",
    ]  # fmt: skip
    assert score.warnings == OF_S3["warnings"]
    assert Score().warnings == []


def test_an_interval_over_training_seeds_says_that_it_covers_them():
    over = {"s3": Interval(0.5, 0.4, 0.6), "kvd": Interval(0.1, 0.0, 0.2)}
    score = Score.from_json(WRITTEN["both"]).over_seeds(over, {"s3": [0.4, 0.6], "kvd": [0.0, 0.2]})
    assert score.s3 is not None
    assert (score.s3.covers, score.interval("s3")) == ("2 training seeds", over["s3"])
    assert score.interval("kvd") == over["kvd"]


def test_a_floor_has_a_score_or_a_reason():
    assert Floor.from_json(OF_S3).to_json() == OF_S3
    failed = Floor.from_json({"reason": "out of memory"})
    assert (failed.reason, failed.score, failed.to_json()) == ("out of memory", Score(), {"reason": "out of memory"})


def test_scores_are_read_without_torch():
    import subprocess
    import sys

    assert torch  # installed, but not loaded by the reader
    code = "import sys, vgsearch.experiment.score, vgsearch.experiment.end; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
