"""No network has a plain nn.Conv3d whose kernel is longer than its input: its bf16 gradient may be foreign memory."""

from collections.abc import Callable
from contextlib import suppress

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor, nn

from tests.contracts.test_classifiers import SIZE
from tests.contracts.tiny_families import CASES, tiny_config
from videogan.classifiers import CLASSIFIERS
from videogan.families import FAMILIES
from videogan.families.contract import FamilyConfig, Settings
from videogan.nets.conv3d import Conv3d, is_shorter_than_kernel


def plain_and_short(networks: list[nn.Module]) -> list[str]:
    """A list that fills, while `networks` run, with every plain Conv3d that meets an input shorter than its kernel."""
    found: list[str] = []

    def see(convolution: nn.Conv3d, inputs: tuple[Tensor, ...]) -> None:
        if not isinstance(convolution, Conv3d) and is_shorter_than_kernel(
            inputs[0], convolution.weight, convolution.dilation
        ):
            found.append(f"{convolution} on {tuple(inputs[0].shape[2:])}: use videogan.nets.conv3d.Conv3d")

    for network in networks:
        for layer in network.modules():
            if isinstance(layer, nn.Conv3d):
                layer.register_forward_pre_hook(see)
    return found


def fewest_frames(family: str, settings: Settings) -> FamilyConfig:
    """The tiny configuration with the shortest clips that the family allows."""
    for n_frames in range(1, tiny_config(family, settings).n_frames):
        with suppress(ValidationError):
            return tiny_config(family, {**settings, "n_frames": n_frames})
    return tiny_config(family, settings)


@pytest.mark.parametrize("configured", [tiny_config, fewest_frames])
@pytest.mark.parametrize(("family", "settings"), CASES)
@torch.no_grad()
def test_no_network_of_a_family_has_a_plain_convolution_longer_than_its_input(
    family: str, settings: Settings, configured: Callable[[str, Settings], FamilyConfig]
):
    config = configured(family, settings)
    networks, labels = FAMILIES[family].build(config), torch.tensor([0, 1])
    found = plain_and_short([networks.generator, *networks.discriminators.values()])
    draws = networks.draw(2, torch.Generator().manual_seed(0), torch.ones(config.n_classes), labels)
    real = torch.zeros(2, config.n_frames, 3, config.resolution, config.resolution)
    networks.discriminator_losses(
        networks.discriminators, real, labels, networks.generate(networks.generator, draws), draws
    )
    assert not found


@pytest.mark.parametrize("name", CLASSIFIERS)
@torch.no_grad()
def test_no_classifier_has_a_plain_convolution_longer_than_its_input(name: str):
    classifier = CLASSIFIERS[name](3, width=4)
    found = plain_and_short([classifier])
    classifier(torch.zeros(2, 16, 3, SIZE[name], SIZE[name]))
    assert not found


def test_a_plain_convolution_is_found():
    ladder = nn.Sequential(nn.Conv3d(3, 4, 4, 2, 1), nn.Conv3d(4, 5, 3, padding=1))
    found = plain_and_short([ladder])
    ladder(torch.rand(1, 3, 4, 8, 8))
    assert len(found) == 1
    assert "Conv3d(4, 5" in found[0]
    assert "(2, 4, 4)" in found[0]
