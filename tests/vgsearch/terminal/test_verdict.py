"""The plain verdict on a search follows from its intervals, the floor's and the number of scored clips."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.recorded_trials import record_of
from vgsearch.experiment.ledger import SweepRecord
from vgsearch.terminal.verdict import verdict

PLACE = Path("/runs/x")


def score(mean: float, margin: float, name: str = "s3", per_seed: Sequence[float] = (), **more: Any) -> dict[str, Any]:
    part = {"mean": mean, "low": mean - margin, "high": mean + margin}
    facts = (
        {"split": "test", "n_test": 16, "n_groups": 4}
        if name == "s3"
        else {"metric": name, "split": "test", "n_real": 16, "per_seed": [*per_seed]}
    )
    return ({"s3": part} | facts if name == "s3" else {name: part | facts}) | more


def searched(floor: dict[str, Any] | None, *trials: dict[str, Any], objective: str = "s3") -> SweepRecord:
    """The paper's point, then others, all done."""
    events = [{"event": "sweep_started", "objective": [objective], "space": "mvt_tsa"}]
    for index, written in enumerate(trials):
        name = f"t{index:04d}-3fa9c1"
        events += [
            {"event": "trial_started", "trial": name, "index": index, "overrides": {}, "is_paper_point": not index,
             "n_steps": 9},
            {"event": "trial_ended", "trial": name, "state": "done", "score": written},
        ]  # fmt: skip
    events += [] if floor is None else [{"event": "floor", "score": floor}]
    return record_of([{"time": 0.0, **event} for event in events])


FLOOR = score(0.25, 0.05)
FAR = score(3.6, 8.5, "kvd", [7.5, 1.4, 1.9])
"""An untrained generator's distance by three classifiers, each in its own unit."""
CONFIRM = "vgsearch confirm /runs/x --seeds 5 would tell more"
CASES = {
    "the floor's interval overlaps": (
        searched(FLOOR, score(0.65, 0.37)),
        "not distinguishable from an untrained generator: 16 test clips of 4 groups, one training; "
        "vgsearch confirm /runs/x --seeds 5 --folds 2 would tell more",
    ),
    "with a select split each class has three groups": (
        searched(FLOOR, score(0.65, 0.37, split="select")),
        "not distinguishable from an untrained generator: 16 select clips of 4 groups, one training; "
        "vgsearch confirm /runs/x --seeds 5 --folds 3 would tell more",
    ),
    "its trainings are counted": (
        searched(FLOOR, score(0.65, 0.5, n_groups=12, over_training_seeds={"s3": [0.9, 0.6, 0.45]})),
        "not distinguishable from an untrained generator: 16 test clips of 12 groups, 3 trainings; "
        "vgsearch confirm /runs/x --seeds 5 would tell more",
    ),
    "the best scores as the floor does": (
        searched(FLOOR, score(0.26, 0.02, n_groups=12)),
        "not distinguishable from an untrained generator: 16 test clips of 12 groups, one training; "
        "train longer, by a larger --budget or --set loop.n_steps",
    ),
    "the best lies in the wide interval of the floor": (
        searched(score(0.25, 0.3), score(0.5, 0.02, n_groups=12)),
        "not distinguishable from an untrained generator: 16 test clips of 12 groups, one training; "
        "vgsearch confirm /runs/x --seeds 5 would tell more",
    ),
    "the paper's point is best": (
        searched(FLOOR, score(0.65, 0.1), score(0.6, 0.1)),
        "better than an untrained generator; no trial scores higher than the paper's point",
    ),
    "the paper's interval overlaps": (
        searched(FLOOR, score(0.6, 0.1, n_groups=12), score(0.65, 0.1, n_groups=12)),
        "better than an untrained generator; not distinguishable from the paper's point: 16 test clips of 12 groups, "
        "one training; vgsearch confirm /runs/x --seeds 5 would tell more",
    ),
    "another point is better": (
        searched(FLOOR, score(0.5, 0.05), score(0.7, 0.05)),
        "better than an untrained generator; better than the paper's point on the clips that chose it; fresh seeds "
        "may differ: vgsearch confirm /runs/x",
    ),
    "the best is worse than the floor": (
        searched(FLOOR, score(0.1, 0.02)),
        "worse than an untrained generator; no trial but the paper's point has a score",
    ),
    "a smaller distance is better": (
        searched(score(9.0, 1.0, "kvd"), score(2.0, 1.0, "kvd"), score(3.0, 1.0, "kvd"), objective="-kvd"),
        "better than an untrained generator; no trial scores higher than the paper's point",
    ),
    "a distance is a share of the floor's, classifier by classifier": (
        searched(FAR, score(0.6, 0.1, "kvd", [0.6, 0.6, 0.6]), objective="-kvd"),
        "better than an untrained generator; no trial but the paper's point has a score",
    ),
    "the classifiers disagree whether a distance is smaller": (
        searched(FAR, score(1.1, 0.6, "kvd", [0.9, 1.5, 0.9]), objective="-kvd"),
        "not distinguishable from an untrained generator: 16 test clips, one training; " + CONFIRM,
    ),
    "a distance over several trainings has the classifiers of the first only": (
        searched(
            FAR,
            score(0.6, 0.1, "kvd", [0.6, 0.6, 0.6], over_training_seeds={"kvd": [0.5, 0.6, 0.7]}),
            objective="-kvd",
        ),
        "not distinguishable from an untrained generator: 16 test clips, 3 trainings; " + CONFIRM,
    ),
    "no floor for a distance": (
        searched(None, score(0.6, 0.1, "kvd"), objective="-kvd"),
        "not compared with an untrained generator, which has no score: 16 test clips, one training; "
        "vgsearch confirm /runs/x --seeds 5 would tell more",
    ),
    "no floor": (
        searched(None, score(0.6, 0.1)),
        "not compared with an untrained generator, which has no score: 16 test clips of 4 groups, one training; "
        "vgsearch confirm /runs/x --seeds 5 --folds 2 would tell more",
    ),
    "no trial was scored": (searched(FLOOR), ""),
}


@pytest.mark.parametrize("case", CASES)
def test_the_verdict_says_in_words_what_the_intervals_say(case: str):
    record, said = CASES[case]
    assert verdict(record, PLACE) == said


def test_the_command_that_a_verdict_names_can_be_pasted():
    record = searched(FLOOR, score(0.65, 0.37))
    assert "vgsearch confirm '/runs/a [b]' --seeds 5" in verdict(record, Path("/runs/a [b]"))


def test_points_of_several_seeds_rest_on_the_seeds_that_the_signal_asks_for():
    by_seed = [{"over_training_seeds": {"s3": values}} for values in ([0.5, 0.7, 0.6], [0.55, 0.72, 0.6])]
    record = searched(FLOOR, *(score(0.6, 0.5) | more for more in by_seed))
    assert "3 seeds a point, where " in verdict(record, PLACE)
