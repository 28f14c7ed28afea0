"""The 3D model of TGAN's comparison."""

import pytest
import torch

from videogan.config import ConfigurationError, parse_config
from videogan.families.tgan.volume3d import Volume3D, Volume3DConfig


def test_parameter_counts_are_exact():
    with torch.device("meta"):
        networks = Volume3D.build(Volume3DConfig(n_classes=101))
    counts = [
        sum(parameter.numel() for parameter in network.parameters())
        for network in (networks.generator, networks.discriminators["video"])
    ]
    assert counts == [11_867_459, 11_032_385]


@pytest.mark.parametrize("resolution", [32, 64])
def test_five_layers_double_time_and_space_to_a_clip(resolution: int):
    shapes = []
    with torch.device("meta"):
        generator = Volume3D.build(Volume3DConfig(n_classes=10, resolution=resolution)).generator
        for layer in (*generator.deconvolutions, generator.output):
            layer.register_forward_hook(lambda _, __, out: shapes.append(tuple(out.shape[1:])))
        assert generator(torch.empty(2, 100)).shape == (2, 16, 3, resolution, resolution)
    sides = [resolution // k for k in (8, 4, 2, 1)]
    channels, frames = (256, 128, 64, 3), (2, 4, 8, 16)
    assert shapes == [(c, t, s, s) for c, t, s in zip(channels, frames, sides, strict=True)]


def test_labels_change_nothing_and_another_length_is_refused():
    generator = Volume3D.build(Volume3DConfig(n_classes=3, resolution=32, width=1 / 64)).generator.eval()
    z = generator.sample_z(2)
    assert torch.equal(generator(z, torch.tensor([0, 1])), generator(z))
    with pytest.raises(ValueError, match="got 8; a 3D model makes no others"):
        generator(z, None, 8)


def test_a_beta_that_no_batch_norm_has_is_refused():
    with pytest.raises(ConfigurationError, match="bn_beta = True has no effect under regulariser = none"):
        parse_config(Volume3DConfig, {"n_classes": 3, "regulariser": "none", "bn_beta": True})
