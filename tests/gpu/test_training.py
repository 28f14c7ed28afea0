"""A GPU computes what the CPU computes: steps, constraints, checkpoints, one rank of data parallelism."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn.parallel import DistributedDataParallel

from tests.builders import NoiseClips
from tests.gpu.device import DEVICE, HAS_CUDA, losses_on, needs_cuda, small_config, training_on
from videogan.constraints import clip_singular_values_
from videogan.data.clip_set import LabelledClips, Spooled
from videogan.device import has_room
from videogan.shard import Shard
from videogan.training.checkpoint import CheckpointFolder
from videogan.training.loop import Training, train

pytestmark = pytest.mark.gpu

CASES: dict[str, dict[str, Any]] = {
    "mvt_tsa": {},
    "singular value clipping": {"constraint_d_video": "svc", "n_clip": 1},
    "motion constraint": {"variant": "mvt_mc"},
    "128 px, self-attention": {"resolution": 128, "channels": 4, "attention_after_g": 4, "attention_after_d": 1},
}
ROUNDING = {"rel": 1e-4, "abs": 1e-4}
"""Of a loss in fp32, whose scale is 1."""
BOUND_OF_BF16 = 0.05
"""Of a first loss, relative: bf16 has 8 bits, and a loss is a mean over many of its values."""


@pytest.mark.parametrize("model", CASES.values(), ids=CASES)
def test_a_first_step_has_the_losses_of_the_cpu(model: dict[str, Any]):
    config = small_config(model)
    (there,), (here,) = losses_on(DEVICE, config), losses_on("cpu", config)
    assert there == pytest.approx(here, **ROUNDING)


def test_three_steps_stay_near_those_of_the_cpu():
    # Rounding grows with each step.
    config = small_config()
    there, here = losses_on(DEVICE, config, 3), losses_on("cpu", config, 3)
    assert there[2] == pytest.approx(here[2], rel=1e-2, abs=1e-3)


def test_bf16_changes_a_first_step_by_less_than_its_bound():
    (rounded,), (exact,) = losses_on(DEVICE, small_config(precision="bf16")), losses_on("cpu", small_config())
    assert rounded == pytest.approx(exact, rel=BOUND_OF_BF16, abs=BOUND_OF_BF16)


@pytest.mark.parametrize("shape", [(64, 96 * 64), (96, 3 * 64), (128, 128)])
def test_clipped_singular_values_do_not_exceed_the_bound(shape: tuple[int, int]):
    weight = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    weight *= 1.5 / torch.linalg.matrix_norm(weight.double(), 2).float()
    there = clip_singular_values_(weight.to(DEVICE, copy=True))
    here = clip_singular_values_(weight.clone())
    assert torch.linalg.matrix_norm(there.double(), 2).item() <= 1 + 2e-5
    torch.testing.assert_close(there.cpu(), here, rtol=1e-4, atol=1e-5)


def test_a_training_in_tf32_clips_singular_values_in_fp32():
    config = small_config({"constraint_d_video": "svc", "n_clip": 1}, tf32=True)
    training = training_on(DEVICE, config)
    training.step_(1, NoiseClips.of(config))
    weights = training.discriminators["video"].state_dict()
    norms = [
        torch.linalg.matrix_norm(weight.double().flatten(1), 2).item()
        for name, weight in weights.items()
        if name.endswith("weight") and weight.ndim > 1
    ]
    assert max(norms) <= 1 + 2e-5


@pytest.mark.parametrize(("first", "then"), [("cpu", DEVICE), (DEVICE, "cpu")])
def test_a_run_continues_on_the_other_device(tmp_path: Path, first: str, then: str):
    config, files = small_config(n_steps=3, ema_decay=0.9), CheckpointFolder(tmp_path)
    clips = NoiseClips.of(config)
    for progress in train(config, clips, device=first):
        if progress.step == 2:
            files.save(progress.checkpoint())
    stayed = progress.losses
    (moved,) = train(config, clips, start=files.newest(), device=then)
    assert moved.losses == pytest.approx(stayed, **ROUNDING)


def test_one_rank_of_data_parallelism_has_the_losses_of_a_process(tmp_path: Path):
    config = small_config()
    clips, alone = NoiseClips.of(config), losses_on(DEVICE, config, 2)
    backend, devices = ("nccl", [0]) if HAS_CUDA else ("gloo", None)
    torch.distributed.init_process_group(backend, init_method=f"file://{tmp_path}/rendezvous", rank=0, world_size=1)
    try:
        training = Training(
            config, lambda network: DistributedDataParallel(network, devices), Shard(), torch.device(DEVICE)
        )
        for step, losses in enumerate(alone, start=1):
            assert training.step_(step, clips).losses == pytest.approx(losses, **ROUNDING)
    finally:
        torch.distributed.destroy_process_group()


def test_a_step_on_the_device_leaves_no_tensor_behind():
    config = small_config()
    training, clips = training_on(DEVICE, config), NoiseClips.of(config)
    held = []
    for step in (1, 2, 3):
        training.step_(step, clips)
        held.append(torch.cuda.memory_allocated() if HAS_CUDA else 0)
    assert held[1] == held[2]


@needs_cuda
@pytest.mark.parametrize("model", [{}, {"variant": "mvt_mc"}], ids=["mvt_tsa", "motion constraint"])
def test_a_step_queues_its_work_and_waits_for_nothing(model: dict[str, Any]):
    config = small_config(model, ema_decay=0.9)
    training, clips = training_on(DEVICE, config), NoiseClips.of(config)
    training.step_(1, clips)  # libraries initialise, and wait for that
    torch.cuda.set_sync_debug_mode("error")
    try:
        values = training.step_(2, clips)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert not values.is_read
    assert all(math.isfinite(loss) for loss in values.losses.values())


@needs_cuda
def test_clips_stay_on_a_device_with_room_and_are_those_of_the_file():
    rng = torch.Generator().manual_seed(0)
    clips = LabelledClips(torch.randint(256, (6, 4, 8, 8, 3), generator=rng, dtype=torch.uint8), torch.arange(6), 6)
    (there,) = Spooled(clips, torch.device(DEVICE)).windows([(torch.tensor([4, 1]), 0)])
    assert there.is_cuda
    assert torch.equal(there.cpu(), clips.frames[[4, 1]])
    assert not has_room(torch.device(DEVICE), torch.cuda.mem_get_info()[0])
