"""TGAN: the shapes and counts of its Table 1, its trajectory of codes, its labels, its frames between frames."""

from typing import Any

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from videogan.config import ConfigurationError, parse_config
from videogan.draws import draw_uniform
from videogan.families.tgan.tgan import TGAN, ImageGenerator, TGANConfig, TGANGenerator

TINY = {"resolution": 32, "n_classes": 3, "width": 1 / 16, "dim_z": 6}


def tiny(**settings: Any) -> TGAN:
    torch.manual_seed(0)
    return TGAN.build(TGANConfig(**{**TINY, **settings}))


def generator(**settings: Any) -> TGANGenerator:
    """A generator in eval mode with batch-norm statistics from samples and frames bright enough to differ."""
    made = tiny(**settings).generator
    for parameter in made.image.parameters():
        parameter.data *= 3
    for _ in range(2):
        made(made.sample_z(8), torch.arange(8) % 3)
    return made.eval().requires_grad_(False)


def counts(**settings: Any) -> tuple[int, ...]:
    with torch.device("meta"):
        networks = TGAN.build(TGANConfig(**{"n_classes": 101, **settings}))
    parts = networks.generator.temporal, networks.generator.image, networks.discriminators["video"]
    return tuple(sum(parameter.numel() for parameter in part.parameters()) for part in parts)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, (825_444, 3_622_691, 11_032_385)),
        ({"bn_beta": True}, (826_468, 3_622_691, 11_033_281)),
        ({"image_codes": "z1"}, (825_444, 2_156_323, 11_032_385)),
        ({"conditional": True}, (877_156, 5_093_155, 11_446_081)),
        ({"conditional": True, "bn_beta": True}, (878_180, 5_093_155, 11_446_977)),
        ({"conditional": True, "bn_beta": True, "n_classes": 10}, (831_588, 4_720_419, 11_074_241)),
    ],
)
def test_parameter_counts_are_exact(settings: dict[str, Any], expected: tuple[int, ...]):
    assert counts(**settings) == expected


def test_gray_frames_need_a_last_layer_of_one_channel():
    with torch.device("meta"):
        gray = ImageGenerator((100, 100), (256, 128, 64, 32), n_colours=1)
    assert sum(parameter.numel() for parameter in gray.parameters()) == 3_622_113


def test_maps_have_the_shapes_of_table_1():
    shapes = []
    with torch.device("meta"):
        made = TGANGenerator(TGANConfig(n_classes=10))
        for layer in (*made.temporal.deconvolutions, *made.image.deconvolutions, made.image.output):
            layer.register_forward_hook(lambda _, __, out: shapes.append(tuple(out.shape[1:])))
        video = made(torch.empty(2, 100))
    assert shapes[:5] == [(512, 1), (256, 2), (128, 4), (128, 8), (100, 16)]
    assert shapes[5:] == [(256, 8, 8), (128, 16, 16), (64, 32, 32), (32, 64, 64), (3, 64, 64)]
    assert video.shape == (2, 16, 3, 64, 64)


def test_a_clip_takes_as_many_operations_as_were_counted():
    with torch.device("meta"), FlopCounterMode(display=False) as counter:
        TGANGenerator(TGANConfig(n_classes=10))(torch.empty(2, 100))
    saved = 15 * 2 * 100 * 4096  # z0 is mapped once a clip, not once a frame
    assert counter.get_total_flops() / 2 + saved == pytest.approx(4.44e9, rel=1e-3)


def test_at_32_pixels_the_ladder_loses_its_last_doubling():
    with torch.device("meta"):
        networks = TGAN.build(TGANConfig(n_classes=10, resolution=32))
        assert networks.generator(torch.empty(2, 100)).shape == (2, 16, 3, 32, 32)
    assert [layer.out_channels for layer in networks.generator.image.deconvolutions] == [256, 128, 64]
    assert networks.discriminators["video"].full_connection.in_features == 512 * 2 * 2


def test_codes_are_uniform_on_the_interval_from_minus_one_to_one():
    z = draw_uniform(1000, 100, torch.Generator().manual_seed(0))
    assert z.shape == (1000, 100)
    assert -1 <= z.min() < -0.999 < 0.999 < z.max() <= 1
    assert z.var().item() == pytest.approx(1 / 3, rel=0.02)


def test_frames_of_a_clip_differ_only_by_the_trajectory():
    made = generator()
    z = made.sample_z(2)
    z1 = made.temporal(z)
    assert z1.shape == (2, 16, 6)
    assert z1.abs().max() <= 1
    steady = made.image([z, z1[:, :1].expand(-1, 16, -1)])
    assert torch.equal(steady[:, :1].expand_as(steady), steady)
    assert not torch.equal(made(z)[:, 0], made(z)[:, 1])


def test_mapping_a_code_once_per_clip_or_per_frame_gives_equal_batch_statistics():
    made = tiny().generator
    z = made.sample_z(4)
    z1 = made.temporal(z).detach()
    once, each = made.image([z, z1]), made.image([z[:, None].expand(-1, 16, -1), z1])
    assert torch.allclose(once, each, atol=1e-5)


def test_without_z0_the_image_generator_sees_only_the_trajectory():
    made = generator(image_codes="z1")
    z = made.sample_z(2)
    assert torch.equal(made(z), made.image([made.temporal(z)]))


@pytest.mark.parametrize("settings", [{}, {"image_codes": "z1"}, {"label_route": "concat"}])
def test_a_label_reaches_every_frame_and_every_score_of_a_conditional_tgan(settings: dict[str, Any]):
    made, networks = generator(conditional=True, **settings), tiny(conditional=True, **settings)
    z, one, other = made.sample_z(2), torch.tensor([0, 0]), torch.tensor([2, 0])
    videos = [made(z, y) for y in (one, other)]
    assert (videos[0][0] - videos[1][0]).flatten(1).abs().amax(1).min() > 0
    assert torch.equal(videos[0][1], videos[1][1])
    networks.discriminators["video"].eval()
    scores = [networks.realness(videos[0], y) for y in (one, other)]
    assert scores[0][0] != scores[1][0]
    assert scores[0][1] == scores[1][1]


def test_a_one_hot_mixture_of_classes_is_a_label():
    made = generator(conditional=True)
    z, y = made.sample_z(3), torch.tensor([2, 0, 1])
    assert torch.equal(made(z, torch.eye(3)[y]), made(z, y))


def test_without_labels_nothing_depends_on_them():
    networks, made = tiny(), generator()
    z = made.sample_z(2)
    assert torch.equal(made(z, torch.tensor([0, 1])), made(z))
    networks.discriminators["video"].eval()
    scores = [networks.realness(made(z), torch.tensor(y)) for y in ([0, 1], [2, 2])]
    assert torch.equal(*scores)
    assert "y" not in networks.draw(2, torch.Generator(), torch.ones(3), torch.tensor([0, 1]))


def test_labels_of_fakes_follow_the_training_prior_or_are_uniform_if_set():
    n_of_class = torch.tensor([8, 1, 1])
    for sampling, share in (("empirical", 0.8), ("uniform", 1 / 3)):
        networks = tiny(conditional=True, label_sampling=sampling)
        draws = networks.draw(3000, torch.Generator().manual_seed(0), n_of_class, torch.zeros(3000))
        assert (draws["y"] == 0).float().mean().item() == pytest.approx(share, abs=0.03)


@pytest.mark.parametrize("n_between", [1, 2, 3])
@pytest.mark.parametrize("settings", [{}, {"conditional": True}, {"image_codes": "z1"}])
def test_frames_between_do_not_change_the_original_frames(n_between: int, settings: dict[str, Any]):
    made = generator(**settings)
    z, y = made.sample_z(3), torch.tensor([0, 1, 2])
    longer = made.with_frames_between(z, y, n_between)
    assert longer.shape == (3, 15 * (n_between + 1) + 1, 3, 32, 32)
    assert torch.equal(longer[:, :: n_between + 1], made(z, y))
    middle = longer[:, 1 :: n_between + 1]
    assert (middle - longer[:, : -1 : n_between + 1]).abs().max() > 0


def test_the_frame_midway_is_drawn_from_the_mean_of_its_neighbours_codes():
    made = generator()
    z = made.sample_z(2)
    z1 = made.temporal(z)
    midway = made.image([z, (z1[:, :-1] + z1[:, 1:]) / 2])
    assert torch.allclose(made.with_frames_between(z, None, 1)[:, 1::2], midway, atol=1e-5)


def test_frames_between_need_eval_mode_and_at_least_one_frame():
    made = generator()
    z = made.sample_z(2)
    with pytest.raises(ValueError, match="n_between must be at least 1, got 0"):
        made.with_frames_between(z, None, 0)
    with pytest.raises(ValueError, match=r"call eval\(\) first"):
        made.train().with_frames_between(z, None, 1)
    with pytest.raises(ValueError, match="must be 16, the four doublings of time, got 32; with_frames_between"):
        made(z, None, 32)


def test_paper_draws_g1_uniform_and_g0_and_the_discriminator_normal_released_uniform_all_uniform():
    paper, released = tiny(), tiny(init="released_uniform")
    for networks in (paper, released):
        assert networks.generator.image.deconvolutions[0].weight.abs().max() <= 0.01
    for part in ("generator", "discriminators"):
        weights = [
            networks.generator.temporal.deconvolutions[1].weight
            if part == "generator"
            else networks.discriminators["video"].convolutions[1].weight
            for networks in (paper, released)
        ]
        assert weights[0].abs().max() > 0.01
        assert weights[1].abs().max() <= 0.01


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"label_sampling": "uniform"}, "label_sampling = uniform has no effect without labels"),
        ({"label_route": "concat"}, "label_route = concat has no effect without labels"),
        (
            {"conditional": True, "label_route": "concat", "image_codes": "z1"},
            "label_route = concat needs z0 in the image generator, got image_codes = z1",
        ),
        ({"resolution": 128}, "Input should be 32 or 64"),
        ({"n_frames": 32}, "Input should be 16"),
    ],
)
def test_impossible_settings_are_refused(settings: dict[str, Any], problem: str):
    with pytest.raises(ConfigurationError, match=problem):
        parse_config(TGANConfig, {"n_classes": 3, **settings})


def test_uniform_codes_are_not_truncated():
    with pytest.raises(ConfigurationError, match=r"truncation needs normal codes, got 0\.7"):
        tiny().generator.sample_z(2, truncation=0.7)
