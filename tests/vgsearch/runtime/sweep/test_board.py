"""TensorBoard: every trial has a value in every column, and the first columns are the learning rates and sigmas."""

import random

from tests.builders import tiny_sweep
from vgsearch.experiment.paths import Experiment
from vgsearch.runtime.sweep import board

CONSTRAINT, N_CLIP = "model.constraint_d_video", "model.n_clip"


def test_every_point_has_a_value_of_its_columns_type_in_every_column():
    sweep, rng = tiny_sweep("mvt_tsa"), random.Random(0)
    columns = board.columns(sweep)
    for chosen in (sweep.paper_points[0], *(sweep.searched.draw(rng) for _ in range(20))):
        row = board.row(sweep, chosen)
        assert set(row) == set(columns)
        assert {path: row[path] for path in chosen} == chosen
        for path, value in row.items():
            assert isinstance(value, int | float) == isinstance(columns[path][0], int | float)


def test_a_number_that_was_not_searched_is_below_its_domain_and_a_choice_says_so():
    sweep = tiny_sweep("mvt_tsa")
    spectral = sweep.paper_points[0]
    assert N_CLIP not in spectral
    assert board.row(sweep, spectral)[N_CLIP] == -1
    domains = sweep.space.domains
    named = domains[CONSTRAINT].model_copy(update={"when": {"model.alpha": 0}})
    space = sweep.space.model_copy(update={"domains": {**domains, "model.other": named}})
    assert board.row(sweep.model_copy(update={"space": space}), spectral)["model.other"] == "not searched"


def test_tensorboard_shows_learning_rates_and_sigmas_until_the_user_chooses_others():
    shown = list(board.columns(tiny_sweep("mvt_tsa")))[:5]
    assert shown == ["optimiser.lr_g", "optimiser.lr_d", "model.sigma_a", "model.sigma_b", "model.sigma_c"]


def test_the_board_of_a_sweep_is_written_once_also_without_real_clips(tmp_path):
    sweep, experiment = tiny_sweep("mvt_tsa", data=str(tmp_path / "no-data")), Experiment(tmp_path / "s")
    for _ in range(2):
        board.write_board(experiment, sweep)
        (events,) = experiment.tensorboard.iterdir()
    assert events.parent == tmp_path / "s" / "trials" / "real"
