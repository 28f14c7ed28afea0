"""One step of any family's training: each player moves by its own gradients, and its discriminators can be clipped."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from tests.builders import NoiseClips
from tests.contracts.tiny_families import CASES, tiny_config
from videogan.config import parse_config
from videogan.constraints import singular_value_clipping_
from videogan.families import FAMILIES
from videogan.families.contract import Settings
from videogan.shard import Shard
from videogan.training.loop import Training
from videogan.training.run_config import RunConfig


@pytest.mark.parametrize("family", FAMILIES)
def test_a_step_moves_each_player_only_by_its_own_gradients(family: str):
    training = Training(a_run(family), lambda module: module, Shard(), torch.device("cpu"))
    players = {
        "g": (training.optimiser_g, list(training.generator.parameters())),
        "d": (training.optimiser_d, [p for d in training.discriminators.values() for p in d.parameters()]),
    }
    last_gradients: dict[str, list[Tensor | None]] = {"g": [None] * len(players["g"][1])}
    updates, moved = [], {"g": set(), "d": set()}

    def gradients(player: str) -> list[Tensor | None]:
        return [None if p.grad is None else p.grad.clone() for p in players[player][1]]

    def before(player: str, other: str) -> None:
        # This update did not change the other player's gradients, which its own last update left.
        assert all(
            a is b is None or torch.equal(a, b) for a, b in zip(gradients(other), last_gradients[other], strict=True)
        )
        moving = [p.grad for p in players[player][1] if p.grad is not None]
        assert len(moving) == len(players[player][1]) or training.networks.has_idle
        assert all(gradient.isfinite().all() for gradient in moving)
        last_gradients[player] = gradients(player)
        updates.append((player, [p.detach().clone() for side in ("g", "d") for p in players[side][1]]))

    def after(player: str) -> None:
        now = [p.detach() for side in ("g", "d") for p in players[side][1]]
        changed = {i for i, (old, new) in enumerate(zip(updates[-1][1], now, strict=True)) if not torch.equal(old, new)}
        n_g = len(players["g"][1])
        assert all((i < n_g) == (player == "g") for i in changed)
        moved[player] |= changed

    for player, other in (("g", "d"), ("d", "g")):
        players[player][0].register_step_pre_hook(lambda *_, p=player, o=other: before(p, o))
        players[player][0].register_step_post_hook(lambda *_, p=player: after(p))
    clips = RecordedClips()
    steps = {1, 2, *(1 + n_clips // training.n_clips_seen(1) for n_clips in training.networks.facts.clips_seen)}
    for step in sorted(steps):
        training.step_(step, clips)
    assert [player for player, _ in updates] == ["d", "d", "g"] * len(steps)
    # Without biases: a score's bias cancels in the difference between real and fake clips, so it does not move.
    weights = {i for i, p in enumerate([*players["g"][1], *players["d"][1]]) if p.ndim > 1}
    assert weights <= moved["g"] | moved["d"]
    assert all(torch.equal(given, NoiseClips().batch(i)[0]) for i, given in clips.given.items())


def a_run(family: str) -> RunConfig:
    values = {
        "model": tiny_config(family).model_dump(),
        "loop": {"n_steps": 2, "batch_size": 4, "n_d": 2},
        "evaluation": {"protocol": "s3_r3d18_smoke_v2", "objective": "-kvd"},
    }
    return parse_config(RunConfig, values)


class RecordedClips(NoiseClips):
    """Noise that records each batch of frames it returns."""

    def __init__(self) -> None:
        super().__init__()
        self.given: dict[int, Tensor] = {}

    def batch(self, index: int) -> tuple[Tensor, Tensor]:
        self.given[index], labels = super().batch(index)
        return self.given[index], labels


@pytest.mark.parametrize(("family", "settings"), CASES)
def test_singular_value_clipping_bounds_any_discriminator_or_refuses_its_spectral_norm(family: str, settings: Settings):
    torch.manual_seed(0)
    networks = FAMILIES[family].build(tiny_config(family, settings))
    for judge in networks.discriminators.values():
        layers = [layer for layer in judge.modules() if isinstance(getattr(layer, "weight", None), Tensor)]
        if not all(isinstance(layer.weight, nn.Parameter) for layer in layers):
            with pytest.raises(ValueError, match="must be a parameter to be clipped"):
                singular_value_clipping_(judge)
            continue
        norms = [layer for layer in judge.modules() if isinstance(layer, _BatchNorm)]
        if any(norm.weight is None for norm in norms):
            with pytest.raises(ValueError, match="must have gamma and running statistics"):
                singular_value_clipping_(judge)
            continue
        for weight in judge.parameters():
            weight.data *= 10
        singular_value_clipping_(judge)
        matrices = [weight.detach().flatten(1) for weight in judge.parameters() if weight.ndim > 1]
        assert max(torch.linalg.matrix_norm(matrix, 2).item() for matrix in matrices) <= 1 + 2e-5
        for norm in norms:
            assert (norm.weight <= (norm.running_var + norm.eps).sqrt()).all()
