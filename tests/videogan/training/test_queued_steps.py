"""A step reads no value from the device, so that a GPU is queued work without waiting for it.

Shown on the meta device, whose tensors have no values: to read one, or to choose by one, raises. Singular value
clipping, every n_clip steps, chooses by what it finds; noise on layers cannot be drawn there.
"""

from typing import Any

import pytest
import torch

from tests.builders import NoiseClips
from tests.videogan.training.test_memory_savings import a_run
from videogan.classifiers.fit import Recipe, fit
from videogan.classifiers.resnet3d import ResNet3D18
from videogan.data.clip_set import LabelledClips
from videogan.families import FAMILIES
from videogan.shard import Shard
from videogan.training.loop import Training

NEVER_CLIPPED, WITHOUT_NOISE = {"n_clip": 5}, {"noise_sigma": 0.0}
MODELS = {"tgan": NEVER_CLIPPED, "volume3d": NEVER_CLIPPED, "mocogan": WITHOUT_NOISE, "mdp": WITHOUT_NOISE}
CASES: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    *((family, MODELS.get(family, {}), {}) for family in FAMILIES),
    ("mvt", {"variant": "mvt_mc"}, {"ema_decay": 0.9}),
    ("mvt", {"constraint_d_video": "svc", "n_clip": 5}, {"accumulate": 2}),
]


@pytest.mark.parametrize(("family", "model", "loop"), CASES)
def test_a_step_reads_no_value_from_the_device(family: str, model: dict[str, Any], loop: dict[str, Any]):
    config = a_run(family, model, **loop)
    training = Training(config, lambda network: network, Shard(), torch.device("meta"))
    for optimiser in (training.optimiser_g, training.optimiser_d):
        for group in optimiser.param_groups:
            group.update(fused=None, foreach=True)  # torch has no fused optimiser on this device
    clips = NoiseClips.of(config)
    for step in (2, 3):
        values = training.step_(step, clips)
    assert not values.is_read
    with pytest.raises((NotImplementedError, RuntimeError)):
        _ = values.losses


def test_an_epoch_of_a_classifier_reads_its_mean_loss_at_its_end_and_nothing_before():
    network = ResNet3D18(3, width=2).to("meta")
    updates: list[int] = []
    network.register_forward_hook(lambda *_: updates.append(1))
    clips = LabelledClips(torch.zeros(12, 8, 16, 16, 3, dtype=torch.uint8), torch.arange(12) % 3, 3)
    recipe = Recipe(batch_size=4, precision="fp32", schedule="cosine", max_epochs=1, crop_padding=2)
    with pytest.raises(RuntimeError, match="item"):
        fit(network, clips, recipe, seed=0)
    assert len(updates) == 3
