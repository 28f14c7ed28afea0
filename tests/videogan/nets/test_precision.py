"""TF32 is off unless a training asks for it, and off again in its constraints."""

import pytest
import torch

from tests.builders import NoiseClips
from tests.videogan.training.test_loop import run_config
from videogan.families import mvt
from videogan.nets.precision import tf32
from videogan.shard import Shard
from videogan.training.loop import Training

PARTS = torch.backends.cudnn.conv, torch.backends.cudnn.rnn, torch.backends.cuda.matmul


def settings() -> set[str]:
    return {part.fp32_precision for part in PARTS}


def test_fp32_is_fp32_unless_tf32_is_allowed_and_afterwards_it_is_as_before():
    assert settings() == {"ieee"}
    with tf32(True):
        assert settings() == {"tf32"}
        with tf32(False):
            assert settings() == {"ieee"}
        assert settings() == {"tf32"}
    assert settings() == {"ieee"}


@pytest.mark.parametrize("asked", [False, True])
def test_a_training_uses_tf32_in_its_updates_if_asked_and_never_in_its_constraints(
    asked: bool, monkeypatch: pytest.MonkeyPatch
):
    config = run_config(tf32=asked, n_d=1, model={"constraint_d_video": "svc"})
    training = Training(config, lambda module: module, Shard(), torch.device("cpu"))
    seen: dict[str, set[str]] = {}
    training.generator.register_forward_pre_hook(lambda *_: seen.update(generator=settings()))
    monkeypatch.setattr(mvt, "singular_value_clipping_", lambda _: seen.update(constraint=settings()))
    training.step_(1, NoiseClips())
    assert seen == {"generator": {"tf32" if asked else "ieee"}, "constraint": {"ieee"}}
    assert settings() == {"ieee"}


def test_updates_of_a_training_have_fused_optimisers_and_kernels_chosen_by_trial_and_nothing_else_has():
    training = Training(run_config(n_d=1), lambda module: module, Shard(), torch.device("cpu"))
    seen = set()
    training.generator.register_forward_pre_hook(lambda *_: seen.add(torch.backends.cudnn.benchmark))
    training.step_(1, NoiseClips())
    assert seen == {True}
    assert not torch.backends.cudnn.benchmark
    assert training.optimiser_g.defaults["fused"]
    assert training.optimiser_d.defaults["fused"]
