"""Fitting PWC-Net: the loss of the paper, exact resuming, and less error than no motion."""

import itertools
import math

import pytest
import torch

from videogan.config import ConfigurationError
from videogan.flow.fit import (
    FlowRecipe,
    endpoint_error,
    fit_flow,
    held_out_error,
    multiscale_loss,
    standardise_features_,
    zero_flow,
)
from videogan.flow.generated_pairs import PairSettings, generated_pairs
from videogan.flow.lucas_kanade import LucasKanade
from videogan.flow.pwc_net import PWCNet
from videogan.flow.weights import pwc_net_from
from videogan.training.divergence import TrainingDiverged

TINY = FlowRecipe(n_steps=6, batch_size=2, lr=1e-3, pairs=PairSettings(size=64, n_shapes=1))


def network() -> PWCNet:
    torch.manual_seed(0)
    return PWCNet(0.05)


def test_the_defaults_are_the_papers():
    recipe = FlowRecipe()
    assert (recipe.n_steps, recipe.batch_size, recipe.lr, recipe.weight_decay) == (1_200_000, 8, 1e-4, 4e-4)


def test_the_endpoint_error_is_a_mean_distance():
    truth = torch.zeros(1, 2, 2, 2)
    truth[:, 0], truth[:, 1] = 3.0, 4.0
    assert endpoint_error(torch.zeros_like(truth), truth) == 5
    assert endpoint_error(truth, truth) == 0


def test_the_loss_of_the_true_flow_is_zero_and_of_none_the_weighted_sum_of_lengths():
    truth = torch.zeros(3, 2, 64, 64)
    truth[:, 0] = 20.0
    right = [torch.tensor([1.0, 0.0])[:, None, None].expand(3, 2, n, n) for n in (1, 2, 4, 8, 16)]
    assert multiscale_loss(right, truth) == 0
    expected = sum(w * n * n for w, n in zip((0.32, 0.08, 0.02, 0.01, 0.005), (1, 2, 4, 8, 16), strict=True))
    assert multiscale_loss([0 * flow for flow in right], truth).item() == pytest.approx(expected)


def test_standardised_features_have_mean_0_and_variance_1_and_nothing_else_changes():
    ours, plain = network(), network()
    frames = generated_pairs(range(8), 0, PairSettings()).first
    standardise_features_(ours, frames)
    seen = []
    for layer in ours.netExtractor.modules():
        if isinstance(layer, torch.nn.Conv2d):
            layer.register_forward_hook(lambda module, args, output: seen.append(output))
    ours.features(frames)
    assert len(seen) == 18
    for outputs in seen:
        deviation, mean = torch.std_mean(outputs, dim=(0, 2, 3))
        assert mean.abs().max() < 1e-4
        assert (deviation < 1.001).all()
        assert (deviation - 1).abs().median() < 1e-3  # a channel may be dead at this width
    rest = {name: value for name, value in plain.state_dict().items() if not name.startswith("netExtractor")}
    assert all(torch.equal(value, ours.state_dict()[name]) for name, value in rest.items())


def test_the_rate_is_halved_four_times():
    rates = [progress.lr for progress in fit_flow(network(), TINY)]
    assert rates == [1e-3, 1e-3, 5e-4, 2.5e-4, 1.25e-4, 6.25e-5]


def test_a_fit_that_starts_from_a_checkpoint_continues_bit_for_bit(tmp_path):
    whole = list(fit_flow(network(), TINY))
    begun = network()
    for progress in itertools.islice(fit_flow(begun, TINY), 3):
        if progress.step == 3:
            torch.save(progress.checkpoint(), tmp_path / "flow.pt")
    start = torch.load(tmp_path / "flow.pt", weights_only=True)
    rest = list(fit_flow(PWCNet(0.05), TINY, start))
    assert [p.step for p in rest] == [4, 5, 6]
    assert [p.loss for p in rest] == [p.loss for p in whole[3:]]


def test_a_checkpoint_is_a_file_of_weights(tmp_path):
    ours = network()
    *_, last = fit_flow(ours, TINY)
    torch.save(last.checkpoint(), tmp_path / "flow.pt")
    loaded, _ = pwc_net_from(tmp_path / "flow.pt")
    assert all(torch.equal(value, loaded.state_dict()[name]) for name, value in ours.state_dict().items())


def test_another_recipe_or_width_is_no_continuation():
    progress = next(fit_flow(network(), TINY))
    with pytest.raises(ConfigurationError, match="recipe must be"):
        next(fit_flow(network(), TINY.model_copy(update={"lr": 0.5}), progress.checkpoint()))
    with pytest.raises(ConfigurationError, match=r"width must be 0\.05, got 0\.1"):
        next(fit_flow(PWCNet(0.1), TINY, progress.checkpoint()))


def test_a_loss_that_is_not_finite_ends_the_fit():
    broken = network()
    with torch.no_grad():
        broken.netRefiner.netMain[0].bias.fill_(math.inf)
    with pytest.raises(TrainingDiverged, match="flow loss is not finite at step 1"):
        list(fit_flow(broken, TINY))


def test_bf16_fits_too():
    losses = [p.loss for p in fit_flow(network(), TINY.model_copy(update={"precision": "bf16"}))]
    assert all(map(math.isfinite, losses))


def test_held_out_errors_rank_the_weight_free_flow_below_half_of_zero_flow():
    slow = PairSettings(max_motion=4.0)
    zero, found = (held_out_error(flow, slow, seed=0, n_pairs=32) for flow in (zero_flow, LucasKanade()))
    print(f"held-out endpoint error: zero flow {zero:.2f} px, Lucas-Kanade {found:.2f} px")
    assert found < zero / 2


@pytest.mark.slow
@pytest.mark.timeout(3600)  # a quarter of an hour on an idle core
def test_a_narrow_network_finds_more_than_half_of_the_motion():
    recipe = FlowRecipe(n_steps=6000, batch_size=16, lr=1e-3, weight_decay=0.0, precision="bf16")
    torch.manual_seed(0)
    narrow = PWCNet(0.25)
    standardise_features_(narrow, generated_pairs(range(64), recipe.seed, recipe.pairs).first)
    for progress in fit_flow(narrow, recipe):
        assert math.isfinite(progress.loss)
    found, zero = (held_out_error(flow, recipe.pairs, seed=0) for flow in (narrow, zero_flow))
    print(f"held-out endpoint error: zero flow {zero:.2f} px, PWC-Net of width 0.25 {found:.2f} px")
    assert found < zero / 2
