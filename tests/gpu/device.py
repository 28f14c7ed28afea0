"""The device of these tests, and small runs on it: REHEARSE=1 runs on a CPU what needs no CUDA, to try the tests."""

import os
from typing import Any

import pytest
import torch

from tests.builders import NoiseClips
from vgsearch.runtime.cluster.gpus import gpu_report
from videogan.config import parse_config
from videogan.shard import Shard
from videogan.training.loop import Training
from videogan.training.run_config import RunConfig

HAS_CUDA = torch.cuda.is_available()
REHEARSES = not HAS_CUDA and os.environ.get("REHEARSE") == "1"
DEVICE = "cuda" if HAS_CUDA else "cpu"
NO_DEVICE = "" if HAS_CUDA else f"no CUDA device: {gpu_report().error}"
needs_cuda = pytest.mark.skipif(not HAS_CUDA, reason=NO_DEVICE)
"""Of tests that a CPU can't rehearse."""


def small_config(model: dict[str, Any] | None = None, **loop: Any) -> RunConfig:
    """A run of MVT-GAN of 8 channels at 32 px."""
    size = {"family": "mvt", "n_classes": 3, "n_frames_image": 4, "channels": 8, "resolution": 32, "gru_hidden": 32}
    values = {
        "model": size | (model or {}),
        "loop": {"batch_size": 4, "n_d": 1, "precision": "fp32", **loop},
        # By Adam's usual eps a gradient that is nothing but rounding moves its weight as far as any other, and two
        # devices part in the first step: weights changed by 1e-7 move a loss by 2e-4, with this eps by 2e-5.
        "optimiser": {"eps": 1.0},
    }
    return parse_config(RunConfig, values)


def training_on(device: str, config: RunConfig) -> Training:
    return Training(config, lambda network: network, Shard(), torch.device(device))


def losses_on(device: str, config: RunConfig, n_steps: int = 1) -> list[dict[str, float]]:
    """The losses of the first steps on noise."""
    training, clips = training_on(device, config), NoiseClips.of(config)
    return [training.step_(step, clips).losses for step in range(1, n_steps + 1)]
