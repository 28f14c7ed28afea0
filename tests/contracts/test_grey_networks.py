"""Networks of grey clips: one colour in what they make and see, and fewer weights by exactly those of two colours."""

import pytest
import torch

from tests.contracts.test_families import built, drawn
from tests.contracts.tiny_families import CASES
from videogan.families import FAMILIES
from videogan.families.contract import Settings
from videogan.sampling.sampling import codes, render

FEWER_WEIGHTS_IN_GREY = {
    "mvt": {"generator": 2 * (9 * 96 + 1), "image": 2 * (9 + 1) * 96, "video": 2 * 64 * 96},
    "tgan": {"generator": 2 * (9 * 32 + 1), "video": 2 * 64 * 64},
    "volume3d": {"generator": 2 * (64 * 64 + 1), "video": 2 * 64 * 64},
    "vgan": {"generator": 2 * (64 * 64 + 1) + 2 * (16 * 64 + 1), "video": 2 * 64 * 64},
    "mocogan": {"generator": 2 * 16 * 64, "image": 2 * 16 * 64, "video": 2 * 64 * 64},
    "mdp": {"generator": 2 * 16 * 64, "image": 2 * 16 * 64, "video": 2 * 3 * 16 * 64},
    "dvdgan": {"generator": 2 * (9 * 96 + 1), "spatial": 2 * (9 + 1) * 96, "temporal": 2 * (27 + 1) * 96},
    "tganv2": {
        "generator": sum(2 * (9 * width + 1) for width in (128, 64, 32, 32)),
        **{f"level_{level}": 2 * (27 + 1) * 64 for level in (1, 2, 3, 4)},
    },
    "pvgan": {"generator": 2 * (128 * 3 + 64 + 32 + 5), "video": 2 * (128 * 3 + 64 + 32), "head": 0},
}
"""By hand: the taps and biases of a second and a third colour, in the layers that make frames or see them."""


@pytest.mark.parametrize("family", FEWER_WEIGHTS_IN_GREY)
def test_grey_networks_lack_exactly_the_weights_of_two_colours(family: str):
    kind, counts = FAMILIES[family], {}
    with torch.device("meta"):
        networks = kind.build(kind.config_type(**{"n_classes": 101, "n_colours": 1, **kind.facts.published}))
    for name, part in {"generator": networks.generator, **networks.discriminators}.items():
        counts[name] = sum(weight.numel() for weight in part.parameters())
    assert counts == {name: n - FEWER_WEIGHTS_IN_GREY[family][name] for name, n in kind.facts.n_parameters.items()}


@pytest.mark.parametrize(("family", "settings"), [case for case in CASES if case.values[0] in FEWER_WEIGHTS_IN_GREY])
def test_grey_networks_make_and_judge_grey_clips(family: str, settings: Settings):
    networks = built(family, {**settings, "n_colours": 1})
    draws, real, labels = drawn(networks)
    fakes = networks.generate(networks.generator, draws)
    losses = networks.discriminator_losses(networks.discriminators, real, labels, fakes, draws)
    of_generator = networks.generator_losses(networks.discriminators, fakes, draws)
    motion = networks.motion_loss(real, labels, fakes, draws, 1) or ()
    assert all(loss.isfinite() for loss in (*losses.values(), *of_generator.values(), *motion))
    assert fakes.videos.shape[2:] == (1, 32, 32)
    frames = render(networks.generator.eval(), codes(networks.generator, 2, seed=0), labels[:2])
    assert frames.shape == (2, 16, 32, 32, 3)
    assert (frames == frames[..., :1]).all(), "classifiers and pictures see three equal colours"
