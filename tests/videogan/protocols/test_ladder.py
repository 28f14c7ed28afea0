"""The calibration ladder: the clips of each rung, and that it shows which classifiers use motion."""

import pytest
import torch

from videogan.classifiers.fit import LabelledClips, Recipe, features, predict
from videogan.metrics.s3 import accuracy
from videogan.protocols.classifier import ClassifierProtocol, fit_on_real
from videogan.protocols.ladder import RUNGS, clips_of_labels


def moving_bars(n: int, seed: int) -> LabelledClips:
    """Class 0 moves right, class 1 left, on a torus: a single frame does not show the class."""
    labels, rng = torch.arange(n) % 2, torch.Generator().manual_seed(seed)
    starts = torch.randint(0, 32, (n, 1), generator=rng)
    positions = starts + 3 * (1 - 2 * labels)[:, None] * torch.arange(8)
    lit = (torch.arange(32) - positions[..., None]) % 32 < 6
    frames = torch.randint(0, 30, (n, 8, 32, 32, 3), generator=rng, dtype=torch.uint8)
    return LabelledClips(frames + 200 * lit[:, :, None, :, None].to(torch.uint8), labels, 2)


@pytest.fixture(scope="module")
def bars():
    return moving_bars(64, 1), moving_bars(32, 2)


def res_of(protocol: ClassifierProtocol, sets, rungs: list[str]) -> list[float]:
    train, test = sets
    network = fit_on_real(protocol, train, test, seed=0).network(protocol)
    made = [RUNGS[rung](train, test)("test", test.labels, 3) for rung in rungs]
    return [accuracy(predict(network, frames, protocol.recipe), test.labels) for frames in made]


def test_a_3d_resnet_loses_motion_with_the_order_of_frames(bars):
    recipe = Recipe(
        lr=0.05, batch_size=8, max_epochs=4, patience=4, min_updates_per_epoch=12, clip_norm=5, precision="fp32"
    )
    protocol = ClassifierProtocol(classifier="r3d18", width=4, dropout=0.0, size=None, n_frames=8, recipe=recipe)
    real, shuffled, single, mislabelled, noise = res_of(
        protocol, bars, ["real", "shuffled frames", "single frames", "shuffled labels", "noise"]
    )
    assert real > 0.9
    assert shuffled < 0.75
    assert single < 0.75
    assert mislabelled < 0.75
    assert noise == pytest.approx(0.5, abs=0.2)


def test_tsn_cannot_distinguish_shuffled_clips_from_real_ones(tiny, train, test):
    recipe = tiny.recipe.model_copy(update={"lr": 0.05, "clip_norm": 5})
    protocol = tiny.model_copy(update={"classifier": "tsn", "recipe": recipe})
    fitted = fit_on_real(protocol, train, test, seed=1)
    network = fitted.network(protocol)
    shuffled = RUNGS["shuffled frames"](train, test)("test", test.labels, 3)
    assert not torch.equal(shuffled, test.frames)
    said = [features(network, frames, protocol.recipe, "logits") for frames in (test.frames, shuffled)]
    torch.testing.assert_close(*said, rtol=1e-4, atol=1e-5)
    assert torch.equal(said[1].argmax(1), fitted.predictions)
    assert len(fitted.predictions.unique()) > 1, "a TSN at chance would ignore everything, not only order"


@pytest.mark.parametrize("rung", RUNGS)
@pytest.mark.parametrize("purpose", ["train", "test", "look", "samples"])
def test_every_rung_gives_clips_for_every_purpose_that_depend_only_on_the_seed(rung, purpose, train, test):
    synthetic = RUNGS[rung](train, test)
    labels = train.labels if purpose == "train" else test.labels if purpose == "test" else torch.tensor([2, 0, 0, 1, 2])
    clips = synthetic(purpose, labels, 4)
    assert clips.dtype == torch.uint8
    assert clips.shape == (len(labels), *train.frames.shape[1:])
    assert torch.equal(clips, RUNGS[rung](train, test)(purpose, labels, 4))


def places(clips: torch.Tensor, among: torch.Tensor) -> list[int]:
    """The index of each of `clips` in `among`; -1 if it is not there."""
    return [next((i for i, other in enumerate(among) if torch.equal(clip, other)), -1) for clip in clips]


def test_real_clips_are_those_of_the_split_they_replace(train, test):
    real = RUNGS["real"](train, test)
    assert torch.equal(real("train", train.labels, 0), train.frames)
    assert torch.equal(real("test", test.labels, 0), test.frames)
    samples = real("samples", test.labels.flip(0), 0)
    assert sorted(places(samples, test.frames)) == list(range(24)), "each test clip once; no classifier has seen them"


def test_copies_are_training_clips_of_the_wanted_classes(train, test):
    copies = RUNGS["copied train clips"](train, test)
    assert torch.equal(copies("train", train.labels, 0), train.frames)
    chosen = places(copies("test", test.labels, 0), train.frames)
    assert min(chosen) >= 0
    assert len(set(chosen)) == 24
    assert torch.equal(train.labels[chosen], test.labels)


def test_shuffled_frames_are_the_real_clips_frames_in_another_order(train, test):
    shuffled = RUNGS["shuffled frames"](train, test)("test", test.labels, 0)
    for clip, real in zip(shuffled, test.frames, strict=True):
        order = places(clip, real)
        assert sorted(order) == list(range(8)) != order


def test_single_frames_are_one_frame_of_each_real_clip(train, test):
    for clip, real in zip(RUNGS["single frames"](train, test)("test", test.labels, 0), test.frames, strict=True):
        assert len(set(places(clip, real))) == 1
        assert places(clip, real)[0] >= 0


def test_mislabelled_clips_are_all_real_clips_in_an_order_independent_of_labels(train, test):
    clips = RUNGS["shuffled labels"](train, test)("train", train.labels, 0)
    order = places(clips, train.frames)
    assert sorted(order) == list(range(48))
    assert (train.labels[order] == train.labels).double().mean() == pytest.approx(1 / 3, abs=0.2)


def test_noise_has_the_moments_of_uniform_bytes(train, test):
    noise = RUNGS["noise"](train, test)("test", test.labels, 0).double()
    assert noise.mean() == pytest.approx(127.5, abs=0.5)
    assert noise.std() == pytest.approx((256**2 / 12) ** 0.5, abs=0.5)


def test_a_clip_repeats_only_after_all_others_of_its_class(train):
    labels = torch.tensor([1] * 20 + [0] * 5)
    chosen = places(clips_of_labels(train, labels, seed=0), train.frames)
    assert torch.equal(train.labels[chosen], labels)
    counts = torch.bincount(torch.tensor(chosen), minlength=48)
    assert counts[train.labels == 1].tolist().count(2) == 4
    assert counts[train.labels == 1].min() == 1
    assert counts[train.labels == 0].max() == 1
    assert chosen != places(clips_of_labels(train, labels, seed=1), train.frames)


def test_a_class_without_clips_is_an_error_with_its_number(train):
    less = train.subset((train.labels != 2).nonzero().flatten())
    with pytest.raises(ValueError, match="got none of class 2"):
        clips_of_labels(less, torch.tensor([0, 2]), seed=0)
