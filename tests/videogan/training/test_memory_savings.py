"""Activation checkpointing changes no number; gradient accumulation changes what LoopConfig lists, and no more."""

from collections import Counter
from typing import Any

import pytest
import torch
from torch.nn.modules.batchnorm import _BatchNorm

from tests.builders import NoiseClips
from tests.contracts.tiny_families import tiny_config
from videogan.config import ConfigurationError, parse_config
from videogan.families import FAMILIES
from videogan.nets.recomputation import Recomputing
from videogan.shard import Shard
from videogan.training.loop import Training
from videogan.training.run_config import RunConfig

BATCH_SIZE = 4


def a_run(family: str = "mvt", model: dict[str, Any] | None = None, **loop: Any) -> RunConfig:
    values = {
        "model": {"family": family, "n_classes": 3, **FAMILIES[family].facts.tiny, **(model or {})},
        "loop": {"n_steps": 2, "batch_size": BATCH_SIZE, **loop},
        # A large eps keeps rounding from flipping the sign by which Adam without momentum moves.
        "optimiser": {"lr_g": 1e-3, "eps": 1e-2},
        "evaluation": {"protocol": "s3_r3d18_smoke_v2", "objective": "-kvd"},
    }
    return parse_config(RunConfig, values)


def trained(config: RunConfig) -> tuple[Training, list[dict[str, float]]]:
    """Two steps, and their losses."""
    training = Training(config, lambda module: module, Shard(), torch.device("cpu"))
    return training, [training.step_(step, NoiseClips()).losses for step in (1, 2)]


def tensors(training: Training) -> dict[str, torch.Tensor]:
    """Weights, buffers and gradients."""
    networks = {"generator": training.generator, **training.discriminators}
    states = {f"{n}.{k}": v for n, network in networks.items() for k, v in network.state_dict().items()}
    gradients = {f"{n}.{k}.grad": p.grad for n, network in networks.items() for k, p in network.named_parameters()}
    return states | {name: gradient for name, gradient in gradients.items() if gradient is not None}


@pytest.mark.parametrize(
    ("family", "model", "loop"),
    [
        ("mvt", {}, {}),
        ("mvt", {"variant": "mvt_mc"}, {"precision": "bf16"}),
        ("mvt", {"constraint_d_video": "svc", "n_clip": 2}, {}),
        ("dvdgan", {}, {}),
    ],
)
def test_checkpointed_activations_give_equal_losses_gradients_and_buffers(
    family: str, model: dict[str, Any], loop: dict[str, Any]
):
    kept, losses = trained(a_run(family, model, **loop))
    recomputed, again = trained(a_run(family, model, checkpoint_activations=True, **loop))
    assert again == losses
    one, other = tensors(kept), tensors(recomputed)
    assert one.keys() == other.keys()
    assert [name for name in one if not torch.equal(one[name], other[name])] == []


@pytest.mark.parametrize("family", FAMILIES)
def test_a_family_offers_checkpointing_if_its_networks_do_and_a_run_of_another_refuses_it(family: str):
    networks = FAMILIES[family].build(tiny_config(family))
    parts = [part for network in (networks.generator, *networks.discriminators.values()) for part in network.modules()]
    assert FAMILIES[family].recomputes == any(isinstance(part, Recomputing) for part in parts)
    if not FAMILIES[family].recomputes:
        with pytest.raises(ConfigurationError, match=f"checkpoint_activations has no effect on {family}"):
            a_run(family, checkpoint_activations=True)


@pytest.mark.parametrize(("family", "model"), [(family, {"norm": "none"}) for family in ("vgan", "mocogan", "tganv2")])
def test_without_batch_norm_and_spectral_norm_parts_train_as_the_whole_batch(family: str, model: dict[str, Any]):
    whole, losses = trained(a_run(family, model))
    parts, again = trained(a_run(family, model, accumulate=2))
    for one, other in zip(losses, again, strict=True):
        assert other == pytest.approx(one, rel=1e-4, abs=1e-5)
    reference = tensors(whole)
    for name, tensor in tensors(parts).items():
        torch.testing.assert_close(tensor, reference[name], rtol=1e-3, atol=2e-5, msg=name)


@pytest.mark.parametrize("k", [1, 2])
def test_batch_norms_and_power_iterations_run_once_a_part(k: int):
    training = Training(a_run(n_d=1, accumulate=k), lambda module: module, Shard(), torch.device("cpu"))
    passes: Counter[str] = Counter()
    clips_of = {}
    for name, network in {"generator": training.generator, **training.discriminators}.items():

        def count(module: torch.nn.Module, inputs: tuple[torch.Tensor, ...], name: str = name) -> None:
            passes[name] += module.training  # a power iteration of each of its weights
            clips_of[name] = len(inputs[0])

        network.register_forward_pre_hook(count)
    training.step_(1, NoiseClips())
    # G makes fakes for D's update and for its own; D judges real clips and fakes, and then fakes for G.
    assert passes == {"generator": 2 * k, "image": 3 * k, "video": 3 * k}
    assert set(clips_of.values()) == {BATCH_SIZE // k}
    for network, n in ((training.generator, 2 * k), (training.discriminators["video"], 3 * k)):
        norms = [layer for layer in network.modules() if isinstance(layer, _BatchNorm)]
        assert {int(norm.num_batches_tracked) for norm in norms} == {n}


@pytest.mark.parametrize(
    ("model", "loop", "message"),
    [
        ({"variant": "mvt_mc"}, {"accumulate": 2}, "would split the pairs of the motion constraint"),
        ({}, {"accumulate": 2, "reuse_fakes": True}, "saves no memory with loop.reuse_fakes"),
        ({}, {"accumulate": 3}, "equal parts of at least 2 clips, got 3"),
        ({}, {"accumulate": 4}, "equal parts of at least 2 clips, got 4"),
    ],
)
def test_accumulation_that_would_change_the_loss_or_save_nothing_is_refused(
    model: dict[str, Any], loop: dict[str, Any], message: str
):
    with pytest.raises(ConfigurationError, match=message):
        a_run(model=model, **loop)


def _rank(rank: int, rendezvous: str, results: str) -> None:
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", init_method=f"file://{rendezvous}", rank=rank, world_size=2)
    shard, config = Shard(rank, 2), a_run(batch_size=8, accumulate=2, checkpoint_activations=True)
    training = Training(config, torch.nn.parallel.DistributedDataParallel, shard, torch.device("cpu"))
    for step in (1, 2):
        training.step_(step, NoiseClips(8, shard=shard))
    parameters = {
        name: parameter.detach()
        for network in (training.generator, *training.discriminators.values())
        for name, parameter in network.named_parameters()
    }
    torch.save(parameters, f"{results}/{rank}.pt")
    torch.distributed.destroy_process_group()


@pytest.mark.slow
def test_ranks_that_accumulate_and_checkpoint_stay_equal(tmp_path):
    torch.multiprocessing.spawn(_rank, (str(tmp_path / "rendezvous"), str(tmp_path)), nprocs=2)
    first, second = (torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in (0, 1))
    assert [name for name in first if not torch.equal(first[name], second[name])] == []
