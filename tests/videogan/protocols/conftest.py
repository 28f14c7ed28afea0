"""Shared fixtures: clips of three colours, a small protocol for them, and its trained classifiers."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from videogan.classifiers.fit import LabelledClips, Recipe
from videogan.protocols.classifier import ClassifierProtocol, DataFacts, RealClassifier, fit_on_real

SEEDS = (0, 1)


@pytest.fixture(scope="session")
def coloured_frames() -> Callable[[Tensor, int], Tensor]:
    """(labels, seed) -> noise in which class 0 is red, 1 green and 2 blue: 8 frames of 32 px."""

    def frames_of(labels: Tensor, seed: int) -> Tensor:
        rng = torch.Generator().manual_seed(seed)
        frames = torch.randint(0, 100, (len(labels), 8, 32, 32, 3), generator=rng, dtype=torch.uint8)
        frames[torch.arange(len(labels)), ..., labels] += 120
        return frames

    return frames_of


@pytest.fixture(scope="session")
def coloured_clips(coloured_frames) -> Callable[[int, int], LabelledClips]:
    """(n, seed) -> clips of alternating colour, six per group."""

    def clips(n: int, seed: int) -> LabelledClips:
        labels = torch.arange(n) % 3
        return LabelledClips(coloured_frames(labels, seed), labels, 3, tuple(f"group {i // 6}" for i in range(n)))

    return clips


@pytest.fixture(scope="session")
def tiny() -> ClassifierProtocol:
    recipe = Recipe(lr=0.1, batch_size=8, max_epochs=4, patience=4, clip_norm=1, precision="fp32")
    return ClassifierProtocol(classifier="r3d18", width=4, dropout=0.0, size=None, n_frames=8, recipe=recipe)


@pytest.fixture(scope="session")
def facts() -> DataFacts:
    return DataFacts(manifest_digest="ab" * 32, preprocessing="plain_32", n_classes=3, n_train=48, n_test=24)


@pytest.fixture(scope="session")
def train(coloured_clips) -> LabelledClips:
    return coloured_clips(48, 1)


@pytest.fixture(scope="session")
def test(coloured_clips) -> LabelledClips:
    return coloured_clips(24, 2)


@pytest.fixture(scope="session")
def real(tiny, train, test) -> list[RealClassifier]:
    """The protocol's real-trained classifiers, for two seeds."""
    return [fit_on_real(tiny, train, test, seed) for seed in SEEDS]
