"""The generative adversarial metric between two checkpoints, of any families whose discriminators score videos."""

from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from vgsearch.runtime.judging.judge import Judge, sampling_copy_of, synthetic_set
from videogan.data.clip_set import LabelledClips, all_windows, in_batches
from videogan.data.clips import to_video
from videogan.data.windows import with_colours
from videogan.metrics.gam import DiscriminatorScores, gam
from videogan.training.checkpoint import networks_from

CLIPS_AT_ONCE = 16
MOST_UNEQUAL = 2  # times as many errors on real test clips


@dataclass(frozen=True)
class GAMResult:
    """GAM of a checkpoint against another, and the error ratio that shows whether to trust it."""

    score: float
    """Above 1: the checkpoint wins, below 1: the other."""
    r_test: float
    """Error of the checkpoint's discriminator on real test clips over that of the other's."""
    threshold: float
    """Chosen, or 0 for a discriminator whose score is the logit of one cross entropy."""
    threshold_of_other: float
    against: str
    n_fakes: int
    warnings: list[str]

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def gam_of(path: str, against: str, judge: Judge, device: str, n_fakes: int) -> GAMResult:
    """GAM of a model against another (TGAN sec. 6.5); half of the real test clips set thresholds, half test them.

    Each generator makes `n_fakes` clips, with the labels of the test clips in turn.
    """
    scored = judge.scored.spaced(1)
    test = LabelledClips(all_windows(scored), scored.labels, scored.n_classes)
    halves = [torch.arange(first, len(test), 2) for first in (0, 1)]
    models = [_Model(checkpoint, device) for checkpoint in (path, against)]
    labels = test.labels[torch.arange(n_fakes) % len(test)]
    # judged[judge][maker]: both judges see the same fakes of each maker.
    judged = list(zip(*(maker.judged_by(models, labels) for maker in models), strict=True))
    scores = [
        DiscriminatorScores(
            validation=model.realness(test.frames[halves[0]], test.labels[halves[0]]),
            own_fakes=judged[own][own],
            other_fakes=judged[own][1 - own],
            test=model.realness(test.frames[halves[1]], test.labels[halves[1]]),
            threshold=0.0 if model.zero_is_undecided else None,
        )
        for own, model in enumerate(models)
    ]
    found, warnings = gam(*scores), []
    if not 1 / MOST_UNEQUAL <= found.r_test <= MOST_UNEQUAL:
        weak = "its own" if found.r_test > 1 else "the other's"
        warnings.append(
            f"r_test {found.r_test:.2g} is far from 1: {weak} discriminator is much worse on real clips, "
            "so gam is unreliable."
        )
    return GAMResult(*found, against=against, n_fakes=n_fakes, warnings=warnings)


class _Model:
    """A checkpoint's generator and discriminators, to play against another's."""

    def __init__(self, path: str, device: str) -> None:
        self._networks, config = networks_from(path)
        self._path, self._n_colours = path, config.model.colours
        for network in self._networks.discriminators.values():
            network.to(device)
        self.synthetic = synthetic_set(sampling_copy_of(self._networks.generator.to(device), config), config)
        self._device = device
        self.zero_is_undecided = self._networks.zero_is_undecided(config.model)

    def judged_by(self, judges: list["_Model"], labels: Tensor) -> list[Tensor]:
        """The realness (n,) of fakes with `labels` (n,) for each judge."""
        clips, scores = self.synthetic("test", labels, 0), []
        batches = in_batches(len(labels), CLIPS_AT_ONCE)
        for frames, y in zip(clips.windows(batches), labels.split(CLIPS_AT_ONCE), strict=True):
            scores.append([judge.realness(frames, y) for judge in judges])
        return [torch.cat(of_one) for of_one in zip(*scores, strict=True)]

    @torch.no_grad()
    def realness(self, frames: Tensor, labels: Tensor) -> Tensor:
        """Realness (n,), on the CPU, of clips uint8 (n, T, H, W, C); higher is more real."""
        batches = zip(frames.split(CLIPS_AT_ONCE), labels.split(CLIPS_AT_ONCE), strict=True)
        shown = ((with_colours(f, self._n_colours, self._path), y) for f, y in batches)
        videos = ((to_video(f.to(self._device)), y) for f, y in shown)
        scores = [self._networks.realness(video, y.to(self._device)).float().cpu() for video, y in videos]
        return torch.cat(scores)
