"""Shared fixtures: clips of three colours, a small protocol for them, and its trained classifiers."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from videogan.classifiers.fit import Recipe
from videogan.data.clip_set import LabelledClips
from videogan.protocols.classifier import ClassifierProtocol, DataFacts, RealClassifier, fit_on_real
from videogan.protocols.ladder import RealParts
from videogan.protocols.s3 import Purpose, RealSide, SyntheticSet

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
    """(n, seed) -> clips of alternating colour, three per group."""

    def clips(n: int, seed: int) -> LabelledClips:
        labels = torch.arange(n) % 3
        return LabelledClips(coloured_frames(labels, seed), labels, 3, tuple(f"{seed}-{i // 3}" for i in range(n)))

    return clips


@pytest.fixture(scope="session")
def tiny() -> ClassifierProtocol:
    recipe = Recipe(lr=0.1, batch_size=8, max_epochs=4, patience=4, clip_norm=1, precision="fp32")
    settings = {"classifier": "r3d18", "width": 4, "dropout": 0.0, "size": None, "n_frames": 8, "test_windows": 2}
    return ClassifierProtocol(**settings, recipe=recipe)


@pytest.fixture(scope="session")
def facts() -> DataFacts:
    return DataFacts("ab" * 32, "plain_32", n_classes=3, n_clips=(("train", 48), ("test", 24)))


@pytest.fixture(scope="session")
def train(coloured_clips) -> LabelledClips:
    return coloured_clips(48, 1)


@pytest.fixture(scope="session")
def test(coloured_clips) -> LabelledClips:
    return coloured_clips(24, 2)


@pytest.fixture(scope="session")
def real(tiny, train, test) -> list[RealClassifier]:
    """The protocol's real-trained classifiers, for two seeds."""
    return [fit_on_real(tiny, train, {"test": test}, seed) for seed in SEEDS]


@pytest.fixture(scope="session")
def held_back(coloured_clips) -> LabelledClips:
    """Real clips that neither a fit nor a test sees."""
    return coloured_clips(24, 3)


@pytest.fixture(scope="session")
def side(real, train, test, held_back) -> RealSide:
    return RealSide(real, train, test, "test", held_back)


@pytest.fixture(scope="session")
def parts(train, test, held_back) -> RealParts:
    return RealParts(train, test, held_back)


@pytest.fixture(scope="session")
def made_of() -> Callable[[Callable[[Purpose, Tensor, int], Tensor]], SyntheticSet]:
    """(purpose, labels, seed) -> frames, as a SyntheticSet whose clips have one window."""
    return lambda frames_of: lambda *asked: LabelledClips(frames_of(*asked), asked[1], 3)
