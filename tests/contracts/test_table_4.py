"""Each model of the TGAN paper's Tables 3 and 4 is a named point of a space, with the values that the papers print."""

import functools
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import CliRunner

from tests.builders import tiny_sweep
from vgsearch.cli import app
from vgsearch.space.space import installed_spaces, load_space
from videogan.config import ConfigurationError
from videogan.data.manifest import write_manifest
from videogan.families import FAMILIES
from videogan.training.run_config import RunConfig

# TGAN sec. 6.2; for the 3D model sec. 6.3: its "settings of the discriminator are exactly the same as those of our
# model".
TGAN_PAPER = {
    "model.resolution": 64,
    "model.n_frames": 16,
    "model.width": 1,
    "model.dim_z": 100,
    "model.bn_beta": False,
    "model.init": "paper",
    "optimiser.name": "rmsprop",
    "optimiser.rate_g": 5e-5,
    "optimiser.rate_d": 5e-5,
    "optimiser.alpha": 0.99,
    "loop.batch_size": 32,
    "loop.n_d": 1,
}
# "In the settings of the video GAN, we simply followed the settings in the original paper."
VGAN_PAPER = {
    "model.resolution": 64,
    "model.n_frames": 16,
    "model.width": 1,
    "model.dim_z": 100,
    "model.lambda_mask": 0.1,
    "optimiser.name": "adam",
    "optimiser.rate_g": 2e-4,
    "optimiser.rate_d": 2e-4,
    "optimiser.beta1": 0.5,
    "optimiser.beta2": 0.999,
    "loop.batch_size": 64,
    "loop.n_d": 1,
}
CLIP = {"model.regulariser": "weight_clip", "model.clip_bound": 0.01}
SVC = {"model.regulariser": "svc", "model.n_clip": 5, "model.gamma_eps": True}
GAN = {"model.regulariser": "none", "model.noise_sigma": 0.2}
TABLE_4: dict[str, tuple[str, str | None, dict[str, Any], tuple[int, int]]] = {
    "3D model (Weight clipping)": ("volume3d", "weight_clip", TGAN_PAPER | CLIP, (11_867_459, 11_032_385)),
    "3D model (SVC)": ("volume3d", "svc", TGAN_PAPER | SVC, (11_867_459, 11_032_385)),
    "Video GAN (Normal GAN)": (
        "vgan", "gan", VGAN_PAPER | {"model.loss": "bce", "model.noise_sigma": 0.2}, (15_426_183, 11_039_682),
    ),
    "Video GAN (SVC)": (
        "vgan", "svc", VGAN_PAPER | {"model.loss": "wgan_svc", "model.n_clip": 5}, (15_426_183, 11_033_281),
    ),
    "TGAN (Normal GAN)": ("tgan_gan", None, TGAN_PAPER | GAN, (825_444 + 3_622_691, 11_031_489)),
    "TGAN (Weight clipping)": ("tgan_clip", None, TGAN_PAPER | CLIP, (825_444 + 3_622_691, 11_032_385)),
    "TGAN (SVC)": ("tgan_svc", None, TGAN_PAPER | SVC, (825_444 + 3_622_691, 11_032_385)),
    "Conditional TGAN (SVC)": (
        "tgan_conditional",
        None,
        TGAN_PAPER | SVC | {"model.conditional": True, "model.label_route": "branch", "model.label_sampling": "empirical"},
        (877_156 + 5_093_155, 11_446_081),
    ),
}  # fmt: skip
"""Row: search space, the point's name if the space has several, values, parameters of G and D on UCF-101's classes."""
ROWS = [pytest.param(*row, id=name) for name, row in TABLE_4.items()]


def config_of(space: str, point: str | None, index: int = 0) -> RunConfig:
    loaded = load_space(space) if point is None else load_space(space).at_point(point)
    sweep = tiny_sweep(loaded, "paper", n_classes=101)
    return sweep.run_config(sweep.paper_points[index], 0)


@pytest.mark.parametrize(("space", "point", "values", "n_parameters"), ROWS)
def test_a_row_has_the_papers_values_and_networks(
    space: str, point: str | None, values: dict[str, Any], n_parameters: tuple[int, int]
):
    config = config_of(space, point)
    assert {path: functools.reduce(getattr, path.split("."), config) for path in values} == values
    with torch.device("meta"):
        networks = FAMILIES[config.model.family].build(config.model)
    parts = networks.generator, *networks.discriminators.values()
    assert tuple(sum(weight.numel() for weight in part.parameters()) for part in parts) == n_parameters


# Without the weights of two further colours: 2 (9 32 + 1) of TGAN, 2 (4^3 64 + 1) of the 3D model, 2 4^3 64 of D.
GREY_D = 11_032_385 - 8192
TABLE_3 = {
    "TGAN": ("tgan", TGAN_PAPER | SVC | {"model.image_codes": "z0_z1"}, (825_444 + 3_622_691 - 578, GREY_D)),
    "3D GAN": ("volume3d", TGAN_PAPER | GAN, (11_867_459 - 8194, 11_031_489 - 8192)),
    "3D SVC": ("volume3d", TGAN_PAPER | SVC, (11_867_459 - 8194, GREY_D)),
    # One linear map with its batch norm, and half of the first deconvolution's inputs, less.
    "G1 of z1": (
        "tgan",
        TGAN_PAPER | SVC | {"model.image_codes": "z1"},
        (825_444 + 3_622_691 - 578 - 4096 * (100 + 2) - 256 * 256 * 16, GREY_D),
    ),
}


def test_table_3_compares_its_models_on_digits_of_one_colour():
    space = load_space("table3").on_data_set("moving_mnist")
    assert space.point_names == list(TABLE_3)
    sweep = tiny_sweep(space, "paper", n_classes=1, n_colours=1)
    for point, (family, values, n_parameters) in zip(sweep.paper_points, TABLE_3.values(), strict=True):
        config = sweep.family_config(point)
        assert (config.model.family, config.preprocessing, config.model.colours) == (family, "plain_64", 1)
        assert {path: functools.reduce(getattr, path.split("."), config) for path in values} == values
        with torch.device("meta"):
            networks = FAMILIES[family].build(config.model)
        parts = networks.generator, *networks.discriminators.values()
        assert tuple(sum(weight.numel() for weight in part.parameters()) for part in parts) == n_parameters


def test_all_rows_are_different_runs():
    configs = [config_of(space, point).model_dump_json() for space, point, _, _ in TABLE_4.values()]
    assert len(set(configs)) == len(TABLE_4) == 8


@pytest.mark.parametrize("name", [name for name in installed_spaces() if not load_space(name).is_of_program])
def test_spaces_with_several_points_name_them_and_every_point_builds(name: str):
    space = load_space(name)
    assert len(space.point_names) == (len(space.paper_points) if len(space.paper_points) > 1 else 0)
    for index in range(len(space.paper_points)):
        model = config_of(name, None, index).model
        with torch.device("meta"):
            FAMILIES[model.family].build(model)
    for index, point in enumerate(space.point_names):
        assert config_of(name, point) == config_of(name, None, index)


def test_an_unknown_point_is_refused_with_the_known_ones():
    with pytest.raises(ConfigurationError, match="volume3d has no point 'weight_clp'; did you mean 'weight_clip'"):
        load_space("volume3d").at_point("weight_clp")
    with pytest.raises(ConfigurationError, match="tgan_svc has no point 'svc'; it must be one of golf"):
        load_space("tgan_svc").at_point("svc")


@pytest.mark.parametrize("row", ["Video GAN (Normal GAN)", "Video GAN (SVC)"])
def test_train_takes_a_point_by_its_name(row: str, tmp_path: Path):
    clip = {"path": "a.mp4", "sha": "a", "label": "run", "group": "a", "n_frames": 16, "width": 64, "height": 64}
    write_manifest(tmp_path, [{**clip, "split": "train"}])
    space, point, _, (generator, discriminator) = TABLE_4[row]
    arguments = ["train", space, "--point", point, "--budget", "paper", "--dry-run", "--json", "--data", str(tmp_path)]
    shown = json.loads(CliRunner().invoke(app, arguments, catch_exceptions=False).stdout)
    assert shown["parameters"] == {"generator": generator, "discriminator video": discriminator}
