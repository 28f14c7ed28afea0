"""No setting of a family is a painted door: each changes its networks, its draws, its losses or its constraint."""

import functools
import itertools
from pathlib import Path
from typing import Any, get_args

import pytest
import torch
from torch import Tensor, nn

from videogan.config import Config
from videogan.families import FAMILIES
from videogan.flow.pwc_net import PWCNet

SVC, CLIP, GAN = ({"regulariser": regulariser} for regulariser in ("svc", "weight_clip", "none"))
_OF_VOLUMES: dict[str, tuple[Any, dict[str, Any]]] = {
    "resolution": (64, {}),
    "width": (1 / 16, {}),
    "dim_z": (7, {}),
    "regulariser": ("weight_clip", {}),
    "n_clip": (2, SVC),
    "gamma_eps": (False, SVC),
    "clip_bound": (0.5, CLIP),
    "noise_sigma": (0.5, GAN),
    "bn_beta": (True, {}),
    "init": ("released_uniform", {}),
}
OTHERS: dict[str, dict[str, tuple[Any, dict[str, Any]]]] = {
    "mvt": {
        "variant": ("mvt_var", {}),
        "resolution": (64, {}),
        "n_classes": (4, {}),
        "channels": (3, {}),
        "n_frames": (18, {}),
        "n_frames_image": (5, {}),
        "replace_frames": (True, {}),
        "dim_a": (6, {}),
        "dim_b": (6, {}),
        "dim_c": (6, {}),
        "sigma_a": (0.6, {}),
        "sigma_b": (0.6, {}),
        "sigma_c": (0.6, {}),
        "mean_a": (0.5, {}),
        "mean_b": (0.5, {}),
        "mean_c": (0.5, {}),
        "gru_hidden": (9, {}),
        "feed": ("repeat", {}),
        "seq_bn": ("none", {}),
        "dim_embedding": (9, {}),
        "sn_embed_g": (True, {"init": "xavier"}),
        "init": ("xavier", {}),
        "attention_after_g": (4, {}),
        "attention_after_d": (1, {}),
        "norm_g": ("none", {}),
        "shift_blocks": (1, {}),
        "fold_div": (4, {}),
        "shift_place": ("inplace", {}),
        "shift_direction": ("uni", {}),
        "d_video": ("mocogan", {}),
        "d_video_norm": ("none", {}),
        "constraint_d_video": ("svc", {}),
        "n_clip": (2, {"constraint_d_video": "svc"}),
        "lambda_img": (0.5, {}),
        "lambda_vid": (0.5, {}),
        "label_sampling": ("match_real", {}),
        "alpha": (2.0, {"alpha": 1.0}),
        "alpha_warm_up": (5, {"alpha": 1.0}),
        "flow_cos": ("frame", {"alpha": 1.0}),
        "flow_stride": (2, {"alpha": 1.0}),
        "flow_size": (24, {"alpha": 1.0}),
    },
    "vgan": {
        "resolution": (64, {}),
        "width": (1 / 16, {}),
        "n_frames": (32, {}),
        "dim_z": (9, {}),
        "lambda_mask": (0.3, {}),
        "loss": ("wgan_svc", {}),
        "n_clip": (2, {"loss": "wgan_svc"}),
        "noise_sigma": (0.5, {}),
        "norm": ("none", {}),
    },
    "mocogan": {
        "resolution": (64, {}),
        "n_classes": (4, {}),
        "conditional": (False, {}),
        "width": (1 / 16, {}),
        "n_frames": (17, {}),
        "n_frames_image": (2, {}),
        "dim_content": (6, {}),
        "dim_motion": (6, {}),
        "d_image": ("dcgan", {}),
        "d_video": ("patch", {"conditional": False}),
        "noise_sigma": (0.5, {}),
        "lambda_infogan": (0.5, {}),
        "norm": ("none", {}),
    },
    "tgan": {
        **_OF_VOLUMES,
        "n_classes": (4, {"conditional": True}),
        "image_codes": ("z1", {}),
        "conditional": (True, {}),
        "label_route": ("concat", {"conditional": True}),
        "label_sampling": ("uniform", {"conditional": True}),
    },
    "volume3d": _OF_VOLUMES,
}
"""Of each family and setting another value, and the other settings under which it matters, if not under SMALL alone."""
SMALL: dict[str, dict[str, Any]] = {
    "mvt": {
        "channels": 2,
        "gru_hidden": 8,
        "n_frames_image": 4,
        "dim_a": 4,
        "dim_b": 4,
        "dim_c": 8,
        "dim_embedding": 8,
    },
    "vgan": {"n_frames": 16, "width": 1 / 32, "dim_z": 8},
    "mocogan": {"width": 1 / 32},
    "tgan": {"width": 1 / 32, "dim_z": 6},
    "volume3d": {"width": 1 / 32, "dim_z": 6},
}
OF_THE_DATA = {"vgan": {"n_classes"}, "volume3d": {"n_classes"}}
"""What a family is told of its data set and, knowing no labels, has no use for."""
IN_PAIRS = {"flow", "flow_weights"}
"""Of mvt: one needs the other, see the last test."""
CASES = [pytest.param(family, name, id=f"{family}-{name}") for family, others in OTHERS.items() for name in others]


def config_of(family: str, **settings: Any) -> Config:
    return FAMILIES[family].config_type(**{"resolution": 32, "n_classes": 3, **SMALL[family], **settings})


@functools.cache
@torch.no_grad()
def behaviour(config: Config) -> list[Tensor]:
    """Initial weights, draws, videos and losses, and what six steps' constraints leave of growing weights."""
    torch.manual_seed(0)
    family, rng = FAMILIES[config.family], torch.Generator().manual_seed(0)
    networks = family.build(config)
    labels = torch.tensor([2, 0])
    real = torch.rand(2, config.n_frames, 3, config.resolution, config.resolution, generator=rng) * 2 - 1
    draws = networks.draw(2, rng, torch.tensor([8.0, 1.0, 1.0]), labels)
    weights = [p for d in networks.discriminators.values() for p in d.parameters()]
    seen = [weight.clone() for weight in (*networks.generator.parameters(), *weights)]
    fake = networks.generate(networks.generator, draws)
    losses = networks.discriminator_losses(networks.discriminators, real, labels, fake, draws)
    losses |= networks.generator_losses(networks.discriminators, fake, draws)
    seen += [*draws.values(), fake, *losses.values()]
    seen += family.motion_loss(networks, real, labels, fake, draws, 1) or ()
    for step in range(1, 7):
        for weight in weights:
            weight *= 2
        family.constrain_update_(networks)
        networks.constrain_(step)
        seen += [weight.norm() for weight in weights]
    return seen


def differ(one: list[Tensor], other: list[Tensor]) -> bool:
    return [x.shape for x in one] != [x.shape for x in other] or not all(map(torch.equal, one, other))


@pytest.mark.parametrize("family", FAMILIES)
def test_every_setting_is_under_contract_that_has_more_than_one_value(family: str):
    fields = FAMILIES[family].config_type.model_fields
    fixed = {name for name, field in fields.items() if len(get_args(field.annotation)) == 1}
    assert "family" in fixed
    listed = set(OTHERS[family]) | OF_THE_DATA.get(family, set()) | (IN_PAIRS if family == "mvt" else set())
    assert set(fields) - fixed == listed


@pytest.mark.parametrize(("family", "name"), CASES)
def test_every_setting_changes_what_a_family_does(family: str, name: str):
    value, under = OTHERS[family][name]
    before, after = config_of(family, **under), config_of(family, **{**under, name: value})
    assert getattr(before, name) != getattr(after, name)
    assert differ(behaviour(before), behaviour(after))


@pytest.mark.parametrize("family", FAMILIES)
def test_without_a_change_nothing_differs(family: str):
    config = config_of(family, **({"alpha": 1.0} if family == "mvt" else {}))
    assert not differ(behaviour(config), behaviour.__wrapped__(config))


@pytest.mark.parametrize(("family", "name"), [(family, name) for family in OF_THE_DATA for name in OF_THE_DATA[family]])
def test_without_labels_the_number_of_classes_changes_nothing(family: str, name: str):
    assert not differ(behaviour(config_of(family)), behaviour(config_of(family, **{name: 5})))


def test_another_flow_and_other_weights_of_it_are_another_motion_constraint(tmp_path: Path):
    motion, network = {"alpha": 1.0, "flow_stride": 8}, PWCNet(0.05)
    configs = [config_of("mvt", **motion)]
    for seed in range(2):
        torch.manual_seed(seed)
        for weight in network.parameters():
            nn.init.normal_(weight, std=0.1)
        path = tmp_path / f"{seed}.pt"
        torch.save({"state_dict": network.state_dict(), "width": 0.05}, path)
        configs.append(config_of("mvt", **motion, flow="pwc_net", flow_weights=str(path)))
    assert all(differ(behaviour(one), behaviour(other)) for one, other in itertools.combinations(configs, 2))
