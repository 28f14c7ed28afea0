"""The calibration ladder: the clips of each rung, and that it shows which classifiers use motion."""

import dataclasses

import pytest
import torch

from tests.builders import numbered_clips
from videogan.classifiers.fit import Recipe, features, predict
from videogan.data.clip_set import ClipSet, LabelledClips, all_windows
from videogan.metrics.s3 import accuracy
from videogan.protocols.classifier import ClassifierProtocol, fit_on_real
from videogan.protocols.ladder import RUNGS, RealParts, clips_of_labels


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
    return RealParts(moving_bars(64, 1), moving_bars(32, 2), moving_bars(32, 3))


def res_of(protocol: ClassifierProtocol, real: RealParts, rungs: list[str]) -> list[float]:
    network, labels = fit_on_real(protocol, real.train, {}, seed=0).network(protocol), real.scored.labels
    made = [all_windows(RUNGS[rung](real)("test", labels, 3)) for rung in rungs]
    return [accuracy(predict(network, frames, protocol.recipe), labels) for frames in made]


def test_a_3d_resnet_loses_motion_with_the_order_of_frames(bars):
    recipe = Recipe(
        lr=0.05, batch_size=8, max_epochs=4, patience=4, min_updates_per_epoch=12, clip_norm=5, precision="fp32"
    )
    protocol = ClassifierProtocol(classifier="r3d18", width=4, dropout=0.0, size=None, n_frames=8, recipe=recipe)
    names = ["held-back clips, other windows", "shuffled frames", "single frames", "shuffled labels", "noise"]
    held_back, shuffled, single, mislabelled, noise = res_of(protocol, bars, names)
    assert held_back > 0.9
    assert shuffled < 0.75
    assert single < 0.75
    assert mislabelled < 0.75
    assert noise == pytest.approx(0.5, abs=0.2)


def test_tsn_cannot_distinguish_shuffled_clips_from_real_ones(tiny, parts):
    recipe = tiny.recipe.model_copy(update={"lr": 0.05, "clip_norm": 5})
    protocol = tiny.model_copy(update={"classifier": "tsn", "recipe": recipe})
    network = fit_on_real(protocol, parts.train, {}, seed=1).network(protocol)
    labels = parts.scored.labels
    held_back, shuffled = (
        all_windows(RUNGS[rung](parts)("test", labels, 3))
        for rung in ("held-back clips, other windows", "shuffled frames")
    )
    assert not torch.equal(shuffled, held_back)
    said = [features(network, frames, protocol.recipe, "logits") for frames in (held_back, shuffled)]
    torch.testing.assert_close(*said, rtol=1e-4, atol=1e-5)
    assert torch.equal(said[1].argmax(1), said[0].argmax(1))
    assert len(said[0].argmax(1).unique()) > 1, "a TSN at chance would ignore everything, not only order"


N_FRAMES = 8
LENGTHS = [8, 9, 13, 40, 40, 40]


@pytest.fixture(scope="module")
def numbered() -> RealParts:
    """Real clips with several windows each, whose pixels tell the part, the clip and the frame."""
    n = len(LENGTHS)
    made = [numbered_clips(LENGTHS, [i % 3 for i in range(n)], [f"{part}{i}" for i in range(n)], N_FRAMES)
            for part in range(3)]  # fmt: skip
    return RealParts(*(dataclasses.replace(clips, read=marked(clips, part)) for part, clips in enumerate(made)))


def marked(clips, part: int):
    """The reader of `clips`, with the part's number in the third channel."""

    def read(selection, windows, n_frames):
        for frames in clips.read(selection, windows, n_frames):
            frames[..., 2] = part
            yield frames

    return read


LABELS = torch.tensor([2, 0, 0, 1, 2, 1, 0])
PURPOSES = ["train", "test", "look", "samples"]


@pytest.mark.parametrize("rung", RUNGS)
@pytest.mark.parametrize("purpose", PURPOSES)
def test_every_rung_gives_clips_for_every_purpose_that_depend_only_on_seed_draw_and_row(rung, purpose, numbered):
    clips = RUNGS[rung](numbered)(purpose, LABELS, 4)
    assert torch.equal(clips.labels, LABELS)
    assert clips.groups is None or len(clips.groups) == 7
    draws = [all_windows(clips, draw) for draw in range(3)]
    assert draws[0].dtype == torch.uint8
    assert draws[0].shape == (7, *clips.shape) == (7, N_FRAMES, 1, 1, 3)
    assert len({frames.numpy().tobytes() for frames in draws}) == 3, "each draw has other windows"
    again = RUNGS[rung](numbered)(purpose, LABELS, 4)
    asked = [(torch.tensor([6, 2]), 2), (torch.tensor([3]), 0), (torch.tensor([1, 5, 0]), 1), (torch.tensor([2]), 2)]
    for (rows, draw), frames in zip(asked, again.windows(asked), strict=True):
        assert torch.equal(frames, draws[draw][rows]), "whatever the batches and their order"
    other = all_windows(RUNGS[rung](numbered)(purpose, LABELS, 5))
    assert not torch.equal(other, draws[0])


def pixels(clips: ClipSet, draw: int = 0) -> torch.Tensor:
    """(n, T, 3): the clip, the frame and the part of each frame."""
    return all_windows(clips, draw)[:, :, 0, 0].long()


@pytest.mark.parametrize(
    ("rung", "of_train", "of_others"),
    [("training clips, other windows", 0, 0), ("held-back clips, other windows", 2, 2), ("test clips", 0, 1)],
)
def test_real_rungs_are_whole_windows_of_clips_of_the_wanted_classes_and_part(rung, of_train, of_others, numbered):
    for purpose in PURPOSES:
        shown = pixels(RUNGS[rung](numbered)(purpose, LABELS, 0))
        assert shown[..., 2].unique().tolist() == [of_train if purpose == "train" else of_others]
        assert torch.equal(shown[:, 0, 0] % 3, LABELS)
        assert (shown[:, :, 0] == shown[:, :1, 0]).all(), "one clip"
        assert (shown[:, 1:, 1] - shown[:, :-1, 1] == 1).all(), "eight adjacent frames"


def test_the_training_rung_shows_each_training_clip_in_windows_that_no_fit_on_real_clips_draws(numbered):
    labels = numbered.train.labels
    for seed in range(3):
        fitted = [all_windows(numbered.train.random(seed), draw)[:, 0, 0, 0, 1] for draw in range(8)]
        shown = [pixels(RUNGS["training clips, other windows"](numbered)("train", labels, seed), d) for d in range(8)]
        assert all(sorted(frames[:, 0, 0].tolist()) == list(range(6)) for frames in shown), "each clip once a draw"
        starts = torch.stack([frames[frames[:, 0, 0].argsort(), 0, 1] for frames in shown])
        assert not torch.equal(starts, torch.stack(fitted).long())


def test_shuffled_frames_are_a_held_back_windows_frames_in_another_order(numbered):
    whole = RUNGS["held-back clips, other windows"](numbered)("test", LABELS, 0)
    shuffled = RUNGS["shuffled frames"](numbered)("test", LABELS, 0)
    for draw in range(2):
        real, mixed = pixels(whole, draw), pixels(shuffled, draw)
        assert torch.equal(mixed.sort(1).values, real)
        assert not torch.equal(mixed, real)


def test_single_frames_are_one_frame_of_a_held_back_window(numbered):
    real = pixels(RUNGS["held-back clips, other windows"](numbered)("test", LABELS, 0))
    single = pixels(RUNGS["single frames"](numbered)("test", LABELS, 0))
    assert (single == single[:, :1]).all()
    assert all(clip[0].tolist() in window.tolist() for clip, window in zip(single, real, strict=True))


def test_mislabelled_clips_have_the_wanted_labels_but_classes_in_an_order_independent_of_them(numbered):
    labels = torch.arange(300) % 3
    clips = RUNGS["shuffled labels"](numbered)("train", labels, 0)
    true = pixels(clips)[:, 0, 0] % 3
    assert torch.equal(clips.labels, labels)
    assert torch.bincount(true).tolist() == [100, 100, 100], "as many clips of each class as asked for"
    assert (true == labels).double().mean() == pytest.approx(1 / 3, abs=0.1)


def test_noise_has_the_moments_of_uniform_bytes(parts):
    noise = all_windows(RUNGS["noise"](parts)("test", parts.scored.labels, 0)).double()
    assert noise.mean() == pytest.approx(127.5, abs=0.5)
    assert noise.std() == pytest.approx((256**2 / 12) ** 0.5, abs=0.5)


def test_a_clip_repeats_only_after_all_others_of_its_class(train):
    labels = torch.tensor([1] * 20 + [0] * 5)
    subset = clips_of_labels(train, labels, seed=0)
    chosen = subset.rows
    assert torch.equal(subset.labels, labels)
    assert torch.equal(train.labels[chosen], labels)
    counts = torch.bincount(chosen, minlength=48)
    assert counts[train.labels == 1].tolist().count(2) == 4
    assert counts[train.labels == 1].min() == 1
    assert counts[train.labels == 0].max() == 1
    assert not torch.equal(chosen, clips_of_labels(train, labels, seed=1).rows)


def test_a_class_without_clips_is_an_error_with_its_number(train):
    rows = train.labels != 2
    less = LabelledClips(train.frames[rows], train.labels[rows], 3)
    with pytest.raises(ValueError, match="got none of class 2"):
        clips_of_labels(less, torch.tensor([0, 2]), seed=0)
