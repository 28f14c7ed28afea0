"""S3 under MVT-GAN's own schedule: its classifiers watch the scored clips, and the result says so."""

import pytest
import torch

from videogan.data.clip_set import LabelledClips
from videogan.protocols.classifier import fit_on_real
from videogan.protocols.s3 import RealSide, S3Protocol, s3_evaluation


@pytest.fixture
def clips(coloured_frames):
    """(n, seed, wrong) -> clips of three colours, some with another's label, in groups of three."""

    def made(n: int, seed: int, wrong: bool = False) -> LabelledClips:
        shown = torch.arange(n) % 3
        labels = torch.where(torch.arange(n) % 9 < 3, (shown + 1) % 3, shown) if wrong else shown
        return LabelledClips(coloured_frames(shown, seed), labels, 3, tuple(f"{seed}-{i // 3}" for i in range(n)))

    return made


def protocol_of(tiny, on_scored: bool) -> S3Protocol:
    recipe = tiny.recipe.model_copy(update={"paper_protocol": on_scored, "max_epochs": 2})
    classifier = tiny.model_copy(update={"recipe": recipe, "test_windows": 1})
    return S3Protocol(name="tiny", classifier=classifier, seeds=(0,), n_samples=24)


@pytest.mark.parametrize("on_scored", [True, False])
def test_both_trainings_watch_the_scored_clips_only_under_the_papers_schedule(tiny, clips, on_scored):
    protocol, train, scored = protocol_of(tiny, on_scored), clips(48, 1), clips(24, 2, wrong=True)
    epochs = []
    real = fit_on_real(protocol.classifier, train, {"test": scored}, 0, epochs.append)
    best = max(epoch.accuracy for epoch in epochs)
    assert (real.rer["test"] == best) == on_scored, "wrong labels of the scored clips keep ReR below validation's"
    side = RealSide([real], train, scored, "test", clips(24, 3))
    found = s3_evaluation(protocol, "d1", side, lambda purpose, labels, seed: clips(len(labels), 4))
    assert (protocol.leak in found.warnings) == bool(protocol.leak) == on_scored
