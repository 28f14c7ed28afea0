"""The forecast on the meta device equals the parameters, bytes and FLOPs of the real networks."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from tests.builders import NoiseClips
from videogan.config import ConfigurationError, parse_config
from videogan.shard import Shard
from videogan.training.counting import Counted
from videogan.training.fitting import gpu_bytes, settings_that_fit
from videogan.training.forecast import forecast
from videogan.training.gpus import CONTEXT_BYTES, GPUS
from videogan.training.loop import Training
from videogan.training.run_config import RunConfig


def run_config(model: dict[str, object] | None = None, **loop: object) -> RunConfig:
    small = {"family": "mvt", "n_classes": 3, "resolution": 32, "channels": 4, "gru_hidden": 16, "n_frames_image": 4}
    model = {**small, **(model or {})}
    return parse_config(
        RunConfig, {"model": model, "loop": {"batch_size": 2, **loop}, "evaluation": {"protocol": "s3_r3d18_smoke_v2"}}
    )


class TwoClips:
    label_counts, manifest_digest = torch.ones(3), "two clips"

    def batch(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        return torch.zeros(2, 16, 32, 32, 3, dtype=torch.uint8), torch.tensor([0, 1])


@pytest.mark.parametrize("n_d", [1, 2])
def test_the_forecast_flops_are_those_of_a_real_step(n_d):
    config = run_config(n_d=n_d)
    training = Training(config, lambda module: module, Shard(), torch.device("cpu"))
    with FlopCounterMode(display=False) as counter:
        training.step_(1, TwoClips())
    assert forecast(config).flops_per_step == pytest.approx(counter.get_total_flops(), rel=0.02)


def test_the_forecast_parameters_and_checkpoint_are_the_real_ones(tmp_path):
    config = run_config()
    training = Training(config, lambda module: module, Shard(), torch.device("cpu"))
    networks = [training.generator, *training.discriminators.values()]
    costs = forecast(config)
    assert sum(costs.parameters.values()) == sum(p.numel() for network in networks for p in network.parameters())
    training.step_(1, TwoClips())
    torch.save(training.checkpoint(1, trained_on="0" * 64).__dict__, tmp_path / "checkpoint.pt")
    assert (tmp_path / "checkpoint.pt").stat().st_size == pytest.approx(costs.checkpoint_bytes, rel=0.25)


def test_twice_the_batch_has_twice_the_flops_and_the_same_weights():
    one, two = forecast(run_config()), forecast(run_config(batch_size=4))
    assert two.flops_per_step == pytest.approx(2 * one.flops_per_step, rel=2e-3)  # kernels of phases do not double
    assert one.parameters == two.parameters
    assert one.memory_bytes < two.memory_bytes < 2 * one.memory_bytes


@pytest.mark.parametrize(
    ("model", "loop"),
    [
        ({}, {"checkpoint_activations": True, "precision": "bf16", "accumulate": 2}),
        ({"variant": "mvt_mc"}, {"reuse_fakes": True}),
    ],
)
def test_the_forecast_memory_is_the_peak_of_a_real_second_step(model: dict[str, object], loop: dict[str, object]):
    # In this layout networks run torch's own batch norm, as on a GPU.
    config = run_config({"channels": 8, **model}, batch_size=8, channels_last=False, n_d=1, **loop)
    training = Training(config, lambda module: module, Shard(), torch.device("cpu"))
    clips = NoiseClips(batch_size=8)
    training.step_(1, clips)
    with Counted() as counted:
        training.step_(2, clips)
    cost = forecast(config)
    assert cost.memory_bytes - cost.checkpoint_bytes == pytest.approx(counted.peak_bytes, rel=0.06)
    assert cost.flops_per_step == pytest.approx(counted.flops, rel=0.002)  # the motion constraint's are 1 %
    assert cost.bytes_moved_per_step == pytest.approx(counted.bytes_moved, rel=0.05)


def test_a_family_that_keeps_its_activations_is_offered_parts_of_the_batch():
    config = _small_vgan(batch_size=64)
    tensors = gpu_bytes(config) - CONTEXT_BYTES
    assert settings_that_fit(config, CONTEXT_BYTES + 0.8 * tensors, has_bf16=False) == {"loop.accumulate": 2}
    assert settings_that_fit(config, CONTEXT_BYTES, has_bf16=True) is None


def test_bf16_is_proposed_only_for_a_gpu_that_computes_in_it():
    # Three clips have no equal parts, so only the precision is left to save memory.
    config = _small_vgan(batch_size=3)
    between = (gpu_bytes(config) + gpu_bytes(_small_vgan(batch_size=3, precision="bf16"))) / 2
    assert settings_that_fit(config, between, has_bf16=GPUS["L4"].has_bf16) == {"loop.precision": "bf16"}
    assert settings_that_fit(config, between, has_bf16=GPUS["T4"].has_bf16) is None


def _small_vgan(**loop: object) -> RunConfig:
    model = {"family": "vgan", "n_classes": 3, "resolution": 32, "n_frames": 16, "width": 1 / 16}
    evaluation = {"protocol": "s3_r3d18_smoke_v2", "objective": "-kvd"}
    return parse_config(RunConfig, {"model": model, "loop": loop, "evaluation": evaluation})


def test_the_hours_of_a_gpu_lie_between_its_peak_and_a_part_of_it():
    a100 = GPUS["A100-80GB"]
    least, most = a100.seconds(312e12, 0.0, "bf16")
    assert (least, most) == pytest.approx((1 / 0.7, 1 / 0.3))
    assert a100.seconds(0.0, 2_039e9, "bf16") == pytest.approx((1 / 0.85, 1 / 0.5))
    assert GPUS["T4"].seconds(1.0, 1.0, "bf16") is None


def test_a_clip_length_the_protocol_does_not_score_is_refused():
    with pytest.raises(
        ConfigurationError, match=r"model.n_frames must be the 16 of evaluation.protocol s3_r3d18_smoke_v2, got 18"
    ):
        parse_config(
            RunConfig,
            {
                "model": {"family": "mvt", "n_classes": 3, "n_frames": 18},
                "evaluation": {"protocol": "s3_r3d18_smoke_v2"},
            },
        )


def test_an_unknown_protocol_suggests_the_one_meant():
    with pytest.raises(ConfigurationError, match="did you mean 's3_r3d18_smoke_v2'"):
        parse_config(
            RunConfig, {"model": {"family": "mvt", "n_classes": 3}, "evaluation": {"protocol": "s3_r3d18_smok_v1"}}
        )
