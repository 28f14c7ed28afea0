"""A run's configuration: the optimisers of all papers, and what can't train is refused before it starts."""

import copy
from typing import Any

import pytest
import torch

from tests.builders import NoiseClips
from videogan.config import ConfigurationError, parse_config
from videogan.protocols import PROTOCOLS
from videogan.seeds import LARGEST_SEED
from videogan.shard import Shard
from videogan.training.forecast import checkpoint_bytes, forecast
from videogan.training.loop import Training, train
from videogan.training.run_config import EvaluationConfig, OptimiserConfig, RunConfig

CHANGES = [
    ("rmsprop", "name", "adam"),
    ("rmsprop", "lr_g", 1e-4),
    ("rmsprop", "lr_d", 1e-4),
    ("rmsprop", "lr_scale", 2.0),
    ("rmsprop", "alpha", 0.9),
    ("rmsprop", "eps", 1e-3),
    ("rmsprop", "weight_decay", 0.1),
    ("rmsprop", "decay", "linear"),
    ("adam", "beta1", 0.5),
    ("adam", "beta2", 0.99),
    ("adam", "eps", 1e-3),
]
"""Each setting of each optimiser, with a value other than the default."""


def run_config(objective: str = "-kvd", n_d: int = 1, **sections: dict[str, Any]) -> RunConfig:
    model = {"family": "tgan", "n_classes": 3, "resolution": 32, "width": 1 / 16, "dim_z": 6}
    values = {
        "model": {**model, **sections.get("model", {})},
        "optimiser": {"name": "rmsprop", "lr_d": 5e-5, **sections.get("optimiser", {})},
        "loop": {"batch_size": 2, "n_steps": 1, "n_d": n_d},
        "evaluation": {"protocol": "s3_r3d18_smoke_v2", "objective": objective},
    }
    return parse_config(RunConfig, values)


def test_the_first_step_of_rmsprop_is_ten_times_the_rate_against_each_gradient():
    config = run_config(model={"regulariser": "none"})
    training = Training(config, lambda module: module, Shard(), torch.device("cpu"))
    before = [parameter.clone() for parameter in training.generator.parameters()]
    training.step_(1, NoiseClips(batch_size=2))
    moves = torch.cat([(p - b).flatten() for p, b in zip(training.generator.parameters(), before, strict=True)])
    gradients = torch.cat([p.grad.flatten() for p in training.generator.parameters()])
    clear = gradients.abs() > 1e-4
    assert clear.sum() > 100
    expected = -10 * 5e-5 * gradients[clear].sign()  # lr / sqrt(1 - alpha)
    assert torch.allclose(moves[clear], expected, rtol=1e-2)


def test_weight_clipping_comes_after_each_discriminator_update_of_a_step():
    clipped = {"model": {"regulariser": "weight_clip"}, "optimiser": {"lr_g": 1.0}}
    (progress,) = train(run_config(n_d=2, **clipped), NoiseClips(batch_size=2))
    assert abs(progress.losses["d_video"]) < 1, "the second update saw the weights of the first unclipped"
    parameters = progress.training.discriminators["video"].parameters()
    assert max(parameter.abs().max() for parameter in parameters) <= 0.01


def test_weight_decay_pulls_every_weight_towards_zero():
    plain, decayed = (
        next(iter(train(run_config(optimiser={"weight_decay": decay}), NoiseClips(batch_size=2)))).training.generator
        for decay in (0.0, 10.0)
    )
    norms = [sum(parameter.abs().sum() for parameter in network.parameters()) for network in (plain, decayed)]
    assert norms[1] < norms[0]


def test_every_setting_of_the_optimiser_is_tested():
    assert {setting for _, setting, _ in CHANGES} == set(OptimiserConfig.model_fields)


@pytest.mark.parametrize(("name", "setting", "value"), CHANGES)
def test_every_setting_of_the_optimiser_changes_the_weights_after_two_steps(name, setting, value):
    def weights(**optimiser: Any) -> torch.Tensor:
        training = Training(
            run_config(optimiser={"name": name, **optimiser}), lambda module: module, Shard(), torch.device("cpu")
        )
        for step in (1, 2):
            training.step_(step, NoiseClips(batch_size=2))
        networks = (training.generator, *training.discriminators.values())
        return torch.cat([weight.detach().flatten() for network in networks for weight in network.parameters()])

    assert not torch.equal(weights(), weights(**{setting: value}))


def rates(training: Training) -> list[float]:
    return [group["lr"] for made in (training.optimiser_g, training.optimiser_d) for group in made.param_groups]


def test_linear_decay_lowers_both_rates_in_equal_steps_that_end_behind_the_last_step():
    values = run_config(optimiser={"lr_g": 1e-3, "lr_d": 4e-3, "decay": "linear"}).model_dump()
    config = parse_config(RunConfig, {**values, "loop": {**values["loop"], "n_steps": 4}})
    steps, clips = [], NoiseClips(batch_size=2)
    for progress in train(config, clips):
        steps.append((rates(progress.training), progress.training.networks.generator.state_dict()))
        steps[-1] = (steps[-1][0], {name: value.clone() for name, value in steps[-1][1].items()})
        if progress.step == 2:
            checkpoint = copy.deepcopy(progress.checkpoint())
    assert [rate for rate, _ in steps] == [
        pytest.approx([share * 1e-3, share * 4e-3]) for share in (1, 0.75, 0.5, 0.25)
    ]
    for resumed, (rate, weights) in zip(train(config, clips, start=checkpoint), steps[2:], strict=True):
        assert rates(resumed.training) == rate
        now = resumed.training.generator.state_dict()
        assert all(torch.equal(value, now[name]) for name, value in weights.items()), "resuming is bit-exact"


def test_each_player_has_its_own_rate_and_one_factor_scales_both():
    config = OptimiserConfig(lr_g=1e-4, lr_d=3e-4, lr_scale=4)
    assert (config.rate_g, config.rate_d) == pytest.approx((4e-4, 12e-4))


def test_a_file_of_an_earlier_version_says_the_rate_of_d_by_its_ratio_to_that_of_g():
    assert OptimiserConfig(**{"lr_g": 1e-4, "lr_ratio": 8}) == OptimiserConfig(lr_g=1e-4, lr_d=8e-4)
    assert OptimiserConfig(**{"lr_ratio": 4}) == OptimiserConfig()
    for values, named in (({"lr_d": 1e-4, "lr_ratio": 4}, "lr_ratio"), ({"lr_g": "fast", "lr_ratio": 4}, "lr_g")):
        with pytest.raises(ConfigurationError, match=named):
            parse_config(OptimiserConfig, values)


def test_rmsprop_keeps_one_number_per_parameter_and_adam_two():
    n = sum(forecast(run_config()).parameters.values())
    assert checkpoint_bytes(run_config()) == 2 * 4 * n
    assert checkpoint_bytes(run_config(optimiser={"name": "adam"})) == 3 * 4 * n


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"name": "rmsprop", "beta1": 0.5}, "optimiser.beta1 = 0.5 has no effect under optimiser.name = rmsprop"),
        ({"name": "rmsprop", "beta2": 0.99}, "beta2 = 0.99 has no effect.*Remove it or set optimiser.name=adam"),
        ({"alpha": 0.9}, "optimiser.alpha = 0.9 has no effect under optimiser.name = adam"),
        ({"name": "sgd"}, "Input should be 'adam' or 'rmsprop'"),
    ],
)
def test_a_setting_of_another_optimiser_is_refused(values: dict[str, Any], problem: str):
    with pytest.raises(ConfigurationError, match=problem):
        parse_config(OptimiserConfig, values)


def test_a_saved_configuration_is_read_back_under_either_optimiser():
    for config in (run_config(), run_config(optimiser={"name": "adam", "beta1": 0.5})):
        assert parse_config(RunConfig, config.model_dump(mode="json")) == config


@pytest.mark.parametrize("objective", ["s3", "ser", "is"])
def test_an_unconditional_model_refuses_an_objective_that_starts_with_a_score_of_labels(objective: str):
    with pytest.raises(ConfigurationError, match=r"tgan generates without labels. Set evaluation.objective=-kvd"):
        run_config(objective)
    assert run_config(objective, model={"conditional": True})


def test_an_unconditional_model_accepts_a_distance_alone_or_with_the_inception_score_or_cost():
    for objective in (["-kvd", "is"], ["-cost", "-fid"]):
        assert run_config(objective)
    with pytest.raises(ConfigurationError, match=r"contain no part of S3, got -kvd,s3"):
        run_config(["-kvd", "s3"])


def test_a_model_without_a_family_is_an_error_that_names_it():
    with pytest.raises(ConfigurationError, match="run: 'family' is missing under model"):
        parse_config(RunConfig, {"model": {"variant": "mvt"}}, "run")


@pytest.mark.parametrize("name", [name for name in PROTOCOLS if "_paper_" in name])
def test_a_protocol_that_leaks_the_scored_clips_chooses_nothing(name):
    with pytest.raises(ConfigurationError) as caught:
        parse_config(EvaluationConfig, {"protocol": name})
    assert "lets the scored clips steer the classifiers" in str(caught.value)
    assert f"use {name.replace('_paper_', '_')}, and evaluate CKPT --metrics {name}" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_s3_of_one_generator_for_each_class_has_a_protocol_of_its_own_and_needs_a_model_without_labels():
    model = {"family": "tgan", "n_classes": 3, "resolution": 32}
    evaluation = {"protocol": "s3_r3d18_smoke_v2", "objective": "s3", "one_per_class": True}
    config = parse_config(RunConfig, {"model": model, "evaluation": evaluation})
    assert config.evaluation.s3_protocol.name == "s3_r3d18_smoke_v2+one_per_class"
    with pytest.raises(ConfigurationError, match=r"one_per_class is for models without labels"):
        parse_config(
            RunConfig, {"model": {"family": "mvt", "n_classes": 3, "resolution": 32}, "evaluation": evaluation}
        )


@pytest.mark.parametrize("seed", [-1, LARGEST_SEED + 1, 10**23, True, "1e3", float("inf")])
def test_a_seed_beyond_those_that_every_generator_takes_is_refused(seed: Any):
    model = {"family": "mvt", "variant": "mvt_tsa", "n_classes": 4}
    assert parse_config(RunConfig, {"model": model, "seed": LARGEST_SEED}).seed == LARGEST_SEED
    with pytest.raises(ConfigurationError, match="seed: "):
        parse_config(RunConfig, {"model": model, "seed": seed})
