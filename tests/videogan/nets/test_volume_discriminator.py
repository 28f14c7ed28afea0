"""TGAN's discriminator: the shapes of its figure 1, and noise that belongs to clips."""

import torch

from videogan.nets.volume_discriminator import VolumeDiscriminator

WIDTHS = (64, 128, 256, 512)


def n_parameters(discriminator: VolumeDiscriminator) -> int:
    return sum(parameter.numel() for parameter in discriminator.parameters())


def test_feature_maps_have_the_shapes_of_figure_1():
    shapes = []
    with torch.device("meta"):
        discriminator = VolumeDiscriminator(WIDTHS, 64)
        for layer in discriminator.convolutions:
            layer.register_forward_hook(lambda _, __, out: shapes.append(tuple(out.shape[1:])))
        scores = discriminator(torch.empty(2, 16, 3, 64, 64))
    assert shapes == [(64, 8, 32, 32), (128, 4, 16, 16), (256, 2, 8, 8), (512, 1, 4, 4)]
    assert scores.shape == (2,)


def test_parameter_counts_are_exact():
    with torch.device("meta"):
        assert n_parameters(VolumeDiscriminator(WIDTHS, 64, scale="gamma_beta")) == 11_033_281
        assert n_parameters(VolumeDiscriminator(WIDTHS, 64)) == 11_032_385
        assert n_parameters(VolumeDiscriminator(WIDTHS, 64, scale="none")) == 11_032_385 - 896
        assert n_parameters(VolumeDiscriminator(WIDTHS, 64, scale="gamma_beta", n_colours=1)) == 11_025_089
        assert n_parameters(VolumeDiscriminator(WIDTHS, 64, n_colours=1)) == 11_024_193


def test_noise_depends_on_each_clips_seed_and_is_added_only_in_training():
    torch.manual_seed(0)
    discriminator = VolumeDiscriminator((2, 2, 4, 4), 32, scale="none", sigma=0.5)
    for norm in discriminator.norms:
        norm.eval()  # their batch statistics would make a clip's score depend on the others
    video, seeds = torch.randn(3, 16, 3, 32, 32), torch.tensor([5, 6, 7])
    with torch.no_grad():
        noisy, silent = discriminator(video, None, seeds), discriminator(video)
        assert torch.allclose(discriminator(video[1:], None, seeds[1:]), noisy[1:], atol=1e-5)
        assert not torch.allclose(noisy, silent, atol=1e-3)
        assert not torch.allclose(discriminator(video, None, seeds + 1), noisy, atol=1e-3)
        assert torch.equal(discriminator.eval()(video, None, seeds), silent)
