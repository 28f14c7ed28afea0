"""The generative adversarial metric between two checkpoints, of any families whose discriminators score videos."""

from typing import Any

import torch
from torch import Tensor

from vgsearch.runtime.judge import Judge, sampler_of, synthetic_set
from videogan.data.clips import to_video
from videogan.metrics.gam import GAM, DiscriminatorScores, gam
from videogan.training.checkpoint import networks_from

CLIPS_AT_ONCE = 16


def gam_of(path_a: str, path_b: str, judge: Judge, device: str) -> GAM:
    """GAM of model A against model B (TGAN sec. 6.5); half of the real test clips set thresholds, the others test them."""
    test = judge.clips("test")
    halves = [test.subset(torch.arange(first, len(test), 2)) for first in (0, 1)]
    models = [_Model(path, device) for path in (path_a, path_b)]
    fakes = [model.synthetic("test", test.labels, 0) for model in models]
    scores = []
    for own, model in enumerate(models):
        scores.append(
            DiscriminatorScores(
                validation=model.realness(halves[0].frames, halves[0].labels),
                own_fakes=model.realness(fakes[own], test.labels),
                other_fakes=model.realness(fakes[1 - own], test.labels),
                test=model.realness(halves[1].frames, halves[1].labels),
            )
        )
    return gam(*scores)


class _Model:
    """A checkpoint's generator and discriminators, to play against another's."""

    def __init__(self, path: str, device: str) -> None:
        self._networks, config = networks_from(path)
        for network in self._networks.discriminators.values():
            network.to(device).eval()
        self.synthetic = synthetic_set(sampler_of(self._networks.generator.to(device), config), config)
        self._device = device

    @torch.no_grad()
    def realness(self, frames: Tensor, labels: Tensor) -> Tensor:
        """What the discriminators say of clips uint8 (n, T, H, W, C), (n,) on the CPU; higher is more real."""
        batches: Any = zip(frames.split(CLIPS_AT_ONCE), labels.split(CLIPS_AT_ONCE), strict=True)
        said = [
            self._networks.realness(to_video(f.to(self._device)), y.to(self._device)).float().cpu() for f, y in batches
        ]
        return torch.cat(said)
