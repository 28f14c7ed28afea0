"""Progressive VGAN: its sizes to the parameter, how it grows, its losses by hand, and that W stays orthogonal."""

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import leaky_relu

from tests.builders import NoiseClips
from videogan.config import ConfigurationError, parse_config
from videogan.families.pvgan import PVGAN, PVGANConfig, SlicedHead
from videogan.nets.progressive import real_as_grown, resized
from videogan.sampling.sampling import codes, render, sampling_copy
from videogan.shard import Shard
from videogan.training.checkpoint import CheckpointFolder, generator_from
from videogan.training.counting import Counted
from videogan.training.forecast import forecast
from videogan.training.loop import Training, train
from videogan.training.run_config import RunConfig

TINY = {"resolution": 32, "n_classes": 3, "width": 1 / 32, "clips_a_phase": 6}


def tiny(**settings: Any) -> PVGAN:
    torch.manual_seed(0)
    return PVGAN.build(PVGANConfig(**{**TINY, **settings}))


def a_run(n_steps: int, **loop: Any) -> RunConfig:
    values = {
        "model": {"family": "pvgan", **TINY},
        "loop": {"n_steps": n_steps, "n_d": 1, "batch_size": 4, "ema_decay": 0.9, **loop},
        "optimiser": {"lr_g": 1e-3, "lr_d": 1e-3, "beta2": 0.99},
        "evaluation": {"protocol": "s3_r3d18_smoke_v2", "objective": "-kvd"},
    }
    return parse_config(RunConfig, values)


def n_parameters(*modules: nn.Module) -> int:
    return sum(parameter.numel() for module in modules for parameter in module.parameters())


# width, resolution: G, D under swgan, D under wgan_gp; counted independently of this code, from the sizes of the layers
COUNTS = {
    (1, 32): (3_594_444, 3_615_040, 3_598_529),
    (1, 64): (3_677_551, 3_698_208, 3_681_697),
    (1, 96): (3_239_618, 3_260_304, 3_243_793),
    (1, 128): (3_698_370, 3_719_056, 3_702_545),
    (1, 256): (3_703_597, 3_724_296, 3_707_785),
    (1 / 4, 32): (225_084, 227_152, None),
    (1 / 4, 64): (230_311, 232_392, None),
}


@pytest.mark.parametrize(("width", "resolution"), COUNTS)
def test_parameter_counts_are_exact(width: float, resolution: int):
    generator, *counted = COUNTS[width, resolution]
    for loss, expected in zip(("swgan", "wgan_gp"), counted, strict=True):
        with torch.device("meta"):
            networks = PVGAN.build(PVGANConfig(width=width, resolution=resolution, n_classes=10, loss=loss))
        assert n_parameters(networks.generator) == generator
        assert expected in (None, n_parameters(*networks.discriminators.values()))


def test_the_sizes_of_levels_are_the_papers():
    sizes = {resolution: PVGANConfig(resolution=resolution, n_classes=1).sizes for resolution in (32, 64, 96, 128)}
    assert sizes[64] == [(4, 4, 4), (8, 8, 8), (8, 16, 16), (16, 32, 32), (16, 64, 64)]
    assert sizes[32] == sizes[64][:4]
    assert sizes[128] == [*sizes[64], (16, 128, 128)]
    assert sizes[96] == [(4, 3, 3), (8, 6, 6), (8, 12, 12), (16, 24, 24), (16, 48, 48), (16, 96, 96)]


@torch.no_grad()
def at(networks: PVGAN, grown: float, z: Tensor) -> Tensor:
    networks.generator.grow_to_(grown)
    return networks.generator(z)


def test_a_fade_is_linear_in_the_clips():
    networks, z = tiny(), torch.randn(2, 4, generator=torch.Generator().manual_seed(0))
    for level in (1, 2, 3):
        old, half, new = (at(networks, level + t, z) for t in (0, 0.5, 1))
        assert not torch.allclose(old, new, atol=0.1)
        assert torch.allclose(half, (old + new) / 2, atol=1e-6)
        assert torch.allclose(at(networks, level + 1e-6, z), old, atol=1e-5)


@torch.no_grad()
def test_before_its_last_level_fades_in_a_network_is_the_smaller_one():
    large, small = tiny(resolution=64), tiny()
    heads = zip(large.discriminators.values(), small.discriminators.values(), strict=True)
    for big, little in ((large.generator, small.generator), *heads):
        shared = {name: value for name, value in big.state_dict().items() if name in little.state_dict()}
        little.load_state_dict(shared)
    z = torch.randn(2, 4, generator=torch.Generator().manual_seed(0))
    of_small = small.generator.grow_to_(4) or small.generator(z)
    of_large = at(large, 4, z)
    assert torch.equal(of_large, resized(of_small.transpose(1, 2), (16, 64, 64)).transpose(1, 2))
    large.discriminators["video"].grow_to_(4)
    small.discriminators["video"].grow_to_(4)
    scores = large.realness(of_large, torch.zeros(2)), small.realness(of_small, torch.zeros(2))
    assert torch.allclose(*scores, atol=1e-5)


def test_both_players_grow_by_the_clips_seen():
    networks = tiny()
    for n_clips, grown in ((0, 1), (6, 1), (9, 1.5), (12, 2), (33, 3.5), (36, 4), (10_000, 4)):
        networks.begin_step_(n_clips)
        assert [network.grown.item() for network in (networks.generator, networks.discriminators["video"])] == [
            grown
        ] * 2


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_run_resumed_in_the_middle_of_a_fade_continues_bit_for_bit(precision: str):
    config, at_step = a_run(4, precision=precision), {}
    for progress in train(config, NoiseClips()):
        at_step[progress.step] = copy.deepcopy(progress.checkpoint())
        last = progress.losses
    assert at_step[3].generator["grown"] == pytest.approx(1 + 2 / 6)
    *_, resumed = train(config, NoiseClips(), start=at_step[3])
    assert resumed.losses == last
    again, whole = resumed.checkpoint(), at_step[4]
    for one, other in (
        (again.generator, whole.generator),
        (again.average, whole.average),
        *zip(again.discriminators.values(), whole.discriminators.values(), strict=True),
    ):
        assert all(torch.equal(value, other[name]) for name, value in one.items())
    assert whole.average["module.grown"] == 2


def test_moments_begin_when_a_level_first_trains():
    training = Training(a_run(9), lambda module: module, Shard(), torch.device("cpu"))
    n_with_moments = []
    for step in (1, 3, 6, 9):
        training.step_(step, NoiseClips())
        n_with_moments.append(len(training.optimiser_g.state_dict()["state"]))
    assert n_with_moments == [6, 12, 18, 24], "4 tensors of a block and 2 of its colours; bias and weights of the first"


def test_samples_are_made_from_a_half_grown_checkpoint(tmp_path: Path):
    *_, last = train(a_run(3), NoiseClips())
    generator, _ = generator_from(CheckpointFolder(tmp_path).save(last.checkpoint()))
    assert generator.grown == pytest.approx(1 + 2 / 6)
    sampler = sampling_copy(generator, n_classes=3)
    clips = render(sampler, codes(sampler, 2, seed=0), torch.tensor([0, 1]))
    assert clips.shape == (2, 16, 32, 32, 3)
    pixels = clips.unflatten(2, (8, 4)).unflatten(4, (8, 4))
    assert torch.equal(pixels, pixels[:, :, :, :1, :, :1].expand_as(pixels)), "8 px: the second level fades in"


def test_the_forecast_is_of_the_grown_networks():
    config = a_run(12)
    training = Training(config, lambda module: module, Shard(), torch.device("cpu"))
    costs = []
    for step in (1, 12):
        with Counted() as counted:
            training.step_(step, NoiseClips())
        costs.append(counted.flops)
    assert costs[0] < costs[1] / 10
    assert forecast(config).flops_per_step == pytest.approx(costs[1], rel=0.02)


def losses(networks: PVGAN) -> tuple[dict[str, Tensor], Tensor, Tensor, dict[str, Tensor]]:
    """The losses of D on 4 clips in fp64 while the second level fades in, and what they were computed from."""
    rng = torch.Generator().manual_seed(0)
    for network in (networks.generator, *networks.discriminators.values()):
        network.double()
    networks.begin_step_(8)
    real = (torch.rand(4, 16, 3, 32, 32, generator=rng) * 2 - 1).double()
    draws = {name: draw.double() for name, draw in networks.draw(4, rng, torch.ones(3), torch.zeros(4)).items()}
    fakes = networks.generate(networks.generator, draws)
    found = networks.discriminator_losses(networks.discriminators, real, torch.zeros(4), fakes, draws)
    return found, real_as_grown(real, networks.config.sizes, networks.generator.levels()), fakes.videos.detach(), draws


def test_the_sliced_losses_are_those_by_hand():
    networks = tiny(lambda_gradient=7.0, lambda_feature=3.0)
    head = networks.discriminators["head"]
    with torch.no_grad():
        head.scale.copy_(torch.tensor([1.0, -0.5, 2.0, 0.3]))
        head.offset.copy_(torch.tensor([0.1, -0.2, 0.0, 0.3]))
    found, real, fake, draws = losses(networks)
    video, w = networks.discriminators["video"], head.directions.weight.T

    def outputs(features: Tensor) -> Tensor:
        return leaky_relu(head.scale * (features @ w) + head.offset, 0.2)

    def fakeness(videos: Tensor) -> Tensor:
        return outputs(video(videos)).mean(1)

    assert found["video"].item() == pytest.approx((fakeness(real).mean() - fakeness(fake).mean()).item())
    u = draws["mix"].view(-1, 1, 1, 1, 1)
    x = (real + u * (fake - real)).requires_grad_()
    (gradient,) = torch.autograd.grad(fakeness(x).sum(), x)
    squares = (1 - draws["mix"]) ** 2 * gradient.flatten(1).square().sum(1)
    assert found["penalty"].item() == pytest.approx(7 * squares.mean().item())
    v = draws["mix_features"][:, None]
    p = outputs((1 - v) * video(real) + v * video(fake))
    q = torch.where(p > 0, p, 0.2 * p.abs())
    assert found["slopes"].item() == pytest.approx(3 * ((head.scale * q - 0.01) ** 2).mean().item())
    assert (p < 0).any()
    assert torch.allclose(networks.realness(real, torch.zeros(4)), -fakeness(real))


def test_the_losses_with_gradient_penalty_are_those_by_hand():
    networks = tiny(loss="wgan_gp", lambda_gp=7.0, lambda_drift=0.5)
    found, real, fake, draws = losses(networks)
    video, head = networks.discriminators["video"], networks.discriminators["head"]

    def score(videos: Tensor) -> Tensor:
        return (video(videos) @ head.weight.T / 2 + head.bias).squeeze(1)  # 2: the root of 4 features

    assert found["video"].item() == pytest.approx((score(fake).mean() - score(real).mean()).item())
    u = draws["mix"].view(-1, 1, 1, 1, 1)
    x = (real + u * (fake - real)).requires_grad_()
    (gradient,) = torch.autograd.grad(score(x).sum(), x)
    assert found["penalty"].item() == pytest.approx(7 * ((gradient.flatten(1).norm(dim=1) - 1) ** 2).mean().item())
    assert found["drift"].item() == pytest.approx(0.5 * (score(real) ** 2).mean().item())


def test_the_directions_are_orthogonal_after_each_update():
    training = Training(a_run(3), lambda module: module, Shard(), torch.device("cpu"))
    w, eye = training.discriminators["head"].directions.weight, torch.eye(4, dtype=torch.float64)
    first = w.detach().clone()
    for step in (1, 2, 3):
        training.step_(step, NoiseClips())
        assert (w.double() @ w.double().T - eye).abs().max() < 1e-6
    assert not torch.equal(w, first)


def test_halves_of_whole_groups_have_the_gradients_of_the_batch():
    networks, rng = tiny(), torch.Generator().manual_seed(0)
    for network in (networks.generator, *networks.discriminators.values()):
        network.double()
    networks.begin_step_(0)
    real = torch.rand(8, 16, 3, 32, 32, generator=rng, dtype=torch.float64)
    draws = {name: draw.double() for name, draw in networks.draw(8, rng, torch.ones(3), torch.zeros(8)).items()}

    def gradients(rows: slice) -> list[Tensor]:
        part = {name: draw[rows] for name, draw in draws.items()}
        fakes = networks.generate(networks.generator, part)
        found = networks.discriminator_losses(networks.discriminators, real[rows], torch.zeros(8), fakes, part)
        weights = [p for d in networks.discriminators.values() for p in d.parameters()]
        return [g for g in torch.autograd.grad(sum(found.values()), weights, allow_unused=True) if g is not None]

    for whole, one, other in zip(*map(gradients, (slice(0, 8), slice(0, 4), slice(4, 8))), strict=True):
        assert torch.allclose(whole, (one + other) / 2, rtol=1e-9, atol=1e-12)


def test_a_head_is_high_where_any_direction_is():
    head = SlicedHead(3)
    torch.nn.init.eye_(head.directions.weight)
    outputs = head(torch.tensor([[1.0, -1.0, 0.0]]))
    assert torch.allclose(outputs, torch.tensor([[1.0, -0.2, 0.0]]))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"lambda_gp": 5.0}, "lambda_gp = 5 has no effect under loss = swgan. Remove it or set model.loss=wgan_gp."),
        ({"loss": "wgan_gp", "lambda_feature": 1.0}, "lambda_feature = 1 has no effect under loss = wgan_gp."),
        ({"n_frames": 32}, "n_frames"),
        ({"resolution": 48}, "resolution"),
    ],
)
def test_impossible_settings_are_refused(settings: dict[str, Any], message: str):
    with pytest.raises(ConfigurationError) as error:
        parse_config(PVGANConfig, {**TINY, **settings})
    assert message in str(error.value)
