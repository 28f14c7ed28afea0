"""TensorBoard's HParams tab, through its HTTP API: a row for each trial, one set of columns for all."""

from pathlib import Path

import pytest
import torch

from vgsearch.experiment.objective import compared_scores, parsed
from vgsearch.experiment.paths import Experiment
from vgsearch.experiment.tensorboard import TrialBoard, with_names, write_columns

DOMAINS = {"model.sigma_a": [0.1, 1], "model.constraint_d_video": ["spectral_norm", "svc"], "model.n_clip": [1, 5],
           "optimiser.lr_g": [1e-5], "optimiser.lr_d": [1e-5], "model.alpha": [0, 1]}  # fmt: skip
SIGMA, CONSTRAINT, N_CLIP, *_ = DOMAINS
TRIALS = {
    "t0000-aaaaaa": ({SIGMA: 0.5, CONSTRAINT: "spectral_norm"}, {"s3": 0.4, "ser": 0.3, "res": 0.5}),
    "t0001-bbbbbb": ({SIGMA: 1, CONSTRAINT: "svc", N_CLIP: 5}, {"s3": 0.6, "ser": 0.5, "res": 0.7}),
    "t0002-cccccc": ({SIGMA: 0.2, CONSTRAINT: "spectral_norm"}, None),
}


def write_trials(experiment: Experiment) -> None:
    write_columns(experiment.tensorboard, DOMAINS, compared_scores(parsed(["s3"])))
    for trial, (chosen, scores) in TRIALS.items():
        board = TrialBoard(experiment.trial(trial).tensorboard, 1)
        board.add_hyperparameters(chosen)
        for step in (1, 2):
            board.scalars({"d_video": 1.0, "look": 0.1 * step}, step)
        board.compare({"cost": 60.0, **(scores or {})}, compared_scores(parsed(["s3"])), 2)
        if scores:
            board.mark_success()
        board.close()


@pytest.fixture(scope="module")
def tab(tmp_path_factory, hparams_tab):
    experiment = Experiment(tmp_path_factory.mktemp("runs") / "s")
    write_trials(experiment)
    return hparams_tab(experiment.folder)


def test_the_first_five_values_given_are_the_first_columns(tab):
    columns, _ = tab
    assert [info["name"] for info in columns["hparamInfos"]] == [*sorted(list(DOMAINS)[:5]), "model.alpha"]


def test_every_searched_value_is_a_column_also_those_of_other_trials(tab):
    columns, _ = tab
    assert {(info["displayName"], info["type"]) for info in columns["hparamInfos"]} == {
        ("sigma_a", "DATA_TYPE_FLOAT64"), ("constraint_d_video", "DATA_TYPE_STRING"), ("n_clip", "DATA_TYPE_FLOAT64"),
        ("lr_g", "DATA_TYPE_FLOAT64"), ("lr_d", "DATA_TYPE_FLOAT64"), ("alpha", "DATA_TYPE_FLOAT64"),
    }  # fmt: skip


def test_the_scores_compared_are_s3_its_parts_the_cost_and_the_newest_look_and_no_loss(tab):
    columns, _ = tab
    assert [info["displayName"] for info in columns["metricInfos"]] == ["S3", "SeR", "ReS", "cost", "look"]


def test_each_trial_scored_or_not_is_one_row_of_plain_numbers(tab):
    _, rows = tab
    assert len(rows) == len(TRIALS)
    for row in rows:
        trial = Path(row["name"]).parent.name
        chosen, scores = TRIALS[trial]
        assert row["hparams"] == chosen
        assert len(row["sessions"]) == 1
        values = {value["name"]["tag"]: value["value"] for value in row["metricValues"]}
        measured = {"cost": 60.0} | (scores or dict.fromkeys(("s3", "ser", "res"), -1))
        assert values == pytest.approx({f"hparams/{name}": value for name, value in measured.items()} | {"look": 0.2})
        assert row["sessions"][0]["status"] == ("STATUS_SUCCESS" if scores else "STATUS_UNKNOWN")


@pytest.mark.parametrize(
    ("objective", "names"),
    [(["s3"], ["s3", "ser", "res", "cost"]), (["-kvd"], ["kvd", "cost"]), (["is", "-cost"], ["is", "cost"]),
     (["s3_chance_corrected"], ["s3_chance_corrected", "s3", "ser", "res", "cost"])],
)  # fmt: skip
def test_the_compared_scores_depend_only_on_the_objectives(objective, names):
    assert compared_scores(parsed(objective)) == names


def test_a_hyperparameter_is_written_without_controls(tmp_path: Path):
    board = TrialBoard(tmp_path, None)
    board.add_hyperparameters({"model.name": "x\x1b[2J"})
    board.close()
    (file,) = tmp_path.iterdir()
    assert (b"\x1b[2J" in file.read_bytes(), rb"x\x1b[2J" in file.read_bytes()) == (False, True)


def test_losses_and_speeds_are_groups_of_curves_and_health_and_scores_stay(tmp_path):
    names = ["d_image", "g_video", "seconds_per_step", "n_clips_seen", "look", "norm/weight_g", "score/s3"]
    grouped = ["loss/d_image", "loss/g_video", "speed/seconds_per_step", "speed/n_clips_seen", *names[4:]]
    board = TrialBoard(tmp_path, None)
    board.scalars(dict.fromkeys(names, 1.0), 1)
    board.close()
    events = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator").EventAccumulator
    assert sorted(events(str(tmp_path)).Reload().Tags()["scalars"]) == sorted(grouped)


def test_each_row_of_a_grid_has_its_name_on_the_left_and_the_clips_stay_as_they_are():
    grid = torch.randint(256, (3, 2 * 34 - 2, 5 * 34 - 2, 3), dtype=torch.uint8)
    named = with_names(grid, ["walk", "run"])
    left = named.shape[2] - grid.shape[2]
    assert torch.equal(named[:, :, left:], grid)
    assert (named[:, :32, :left] > 0).any()
    assert (named[:, 34:, :left] > 0).any()
    assert torch.equal(with_names(grid, []), grid)
