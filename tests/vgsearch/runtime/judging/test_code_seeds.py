"""Looks, scores and standing statistics never share a code, whichever seeds their runs have."""

from typing import get_args

import torch
from torch import Tensor, nn

from vgsearch.evaluation.confirmation import FIRST_FRESH_SEED
from vgsearch.runtime.judging.judge import sampling_copy_of, synthetic_set
from vgsearch.runtime.sweep.resuming import SEED_OF_RETRIES
from videogan.families.contract import FamilyConfig, Generator
from videogan.protocols.s3 import Purpose
from videogan.training.run_config import RunConfig

FIRST_TRIALS = (0, 1, 2)
SEEDS = (
    *FIRST_TRIALS,
    *(seed + n * SEED_OF_RETRIES for seed in FIRST_TRIALS for n in (1, 2, 3)),
    *(seed + FIRST_FRESH_SEED for seed in FIRST_TRIALS),
    *(seed + FIRST_FRESH_SEED + SEED_OF_RETRIES for seed in FIRST_TRIALS),
)


class ShowsCodes(Generator):
    """A generator whose clips are its codes, which it also writes down."""

    def __init__(self, config: FamilyConfig) -> None:
        super().__init__()
        self.config = config
        self.norm = nn.BatchNorm1d(48)  # standing statistics need one
        self.written: list[Tensor] = []

    def sample_z(self, n, generator=None, n_frames=None, truncation=None):
        return torch.rand(n, 48, generator=generator) * 2 - 1

    def forward(self, z, y, n_frames=None):
        self.written.extend(z)
        self.norm(z)
        return z.view(len(z), 1, 3, 4, 4)


def codes_of(config: RunConfig) -> list[Tensor]:
    """The standing batch of a run, and for each other purpose the codes of two clips in two draws."""
    sampler, rows = sampling_copy_of(ShowsCodes(config.model), config), torch.arange(2)
    assert len(sampler.written) == 32, "one standing batch"
    for purpose in get_args(Purpose):
        list(synthetic_set(sampler, config)(purpose, rows, config.seed).windows([(rows, 0), (rows, 1)]))
    return sampler.written


def test_no_two_purposes_of_trials_retries_and_confirmed_runs_share_a_code():
    written = []
    for seed in SEEDS:
        model = {"family": "mvt", "n_classes": 2}
        written += codes_of(RunConfig(model=model, evaluation={"standing_batches": 1}, seed=seed))
    assert len(set(SEEDS)) == len(SEEDS)
    assert (
        len({tuple(code.tolist()) for code in written})
        == len(written)
        == len(SEEDS) * (32 + 2 * 2 * len(get_args(Purpose)))
    )
