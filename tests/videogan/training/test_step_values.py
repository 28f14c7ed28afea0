"""Losses stay on the device until they are read together; a divergence is told with its own step."""

import math

import pytest
import torch

from tests.videogan.training.test_loop import run_config
from videogan.divergence import TrainingDiverged
from videogan.training.loop import _are_read
from videogan.training.step_values import StepValues, read_together, refuse_divergence

TERMS, MEASURES = ("d_image", "g_image"), ("motion_pairs",)


def of(step: int, *losses: float) -> StepValues:
    return StepValues(step, TERMS, MEASURES, torch.tensor([*losses, 7.0], dtype=torch.float64))


def test_steps_that_are_read_together_keep_their_own_numbers():
    steps = [of(1, 0.5, 1.5), of(2, 2.5, 3.5)]
    assert not any(step.is_read for step in steps)
    read_together(steps)
    assert all(step.is_read for step in steps)
    assert [step.losses for step in steps] == [{"d_image": 0.5, "g_image": 1.5}, {"d_image": 2.5, "g_image": 3.5}]
    assert steps[1].measures == of(3, 0.0, 0.0).measures == {"motion_pairs": 7.0}


def test_a_divergence_is_that_of_the_first_step_and_term_however_late_it_is_read():
    with pytest.raises(TrainingDiverged) as found:
        refuse_divergence([of(1, 0.0, 1.0), of(2, 0.0, math.inf), of(3, math.nan, math.nan)])
    assert (found.value.step, found.value.term) == (2, "g_image")
    refuse_divergence([of(1, 0.0, 1.0)])


def test_losses_are_read_at_once_on_cpus_and_at_log_lines_and_looks_on_gpus():
    loop = run_config(n_steps=12, log_every=5, look_every=4).loop
    read = {device: [step for step in range(1, 13) if _are_read(step, loop, torch.device(device))]
            for device in ("cpu", "cuda")}  # fmt: skip
    assert read == {"cpu": list(range(1, 13)), "cuda": [4, 5, 8, 10, 12]}
