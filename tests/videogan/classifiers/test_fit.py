"""The recipe of App. B.1: its schedule, its validation part, its seeds."""

import pytest
import torch
from torch import nn

from videogan.classifiers.fit import LabelledClips, Recipe, fit, predict, random_crops, validation_split
from videogan.metrics.s3 import accuracy
from videogan.training.divergence import TrainingDiverged


class MeanColour(nn.Module):
    """A classifier of one linear layer on the mean colour."""

    def __init__(self, n_classes: int):
        super().__init__()
        self.linear = nn.Linear(3, n_classes)
        nn.init.zeros_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)

    def forward(self, video):
        return self.linear(video.mean(dim=(1, 3, 4)))


class Untrainable(MeanColour):
    """Always says class 0, whatever its weights."""

    def forward(self, video):
        logits = torch.zeros(len(video), self.linear.out_features)
        logits[:, 0] = 1
        return logits + 0 * super().forward(video)


def coloured_clips(n: int, groups: tuple[str, ...] | None = None) -> LabelledClips:
    """Class 0 is red, class 1 is blue, with noise."""
    labels = torch.arange(n) % 2
    frames = torch.randint(0, 100, (n, 2, 8, 8, 3), generator=torch.Generator().manual_seed(n), dtype=torch.uint8)
    frames[labels == 0, ..., 0] += 100
    frames[labels == 1, ..., 2] += 100
    return LabelledClips(frames, labels, 2, groups)


def recipe(**values) -> Recipe:
    return Recipe(**{"lr": 0.1, "batch_size": 8, "max_epochs": 30, "precision": "fp32"} | values)


def test_fit_learns_what_can_be_learnt():
    classifier = MeanColour(2)
    fit(classifier, coloured_clips(40), recipe(), seed=0)
    test = coloured_clips(21)
    assert accuracy(predict(classifier, test.frames, recipe()), test.labels) == 1


def test_learning_rate_falls_tenfold_after_patience_epochs_and_training_ends_after_the_third_drop_saturates():
    history = fit(Untrainable(2), coloured_clips(20), recipe(patience=4, n_drops=3, max_epochs=60), seed=0)
    # The first epoch beats nothing-yet; each group of 4 epochs after it does not.
    expected = [0.1] * 5 + [0.01] * 4 + [0.001] * 4 + [0.0001] * 4
    assert [epoch.lr for epoch in history] == pytest.approx(expected)


def test_max_epochs_ends_training_and_every_epoch_is_told():
    told = []
    history = fit(Untrainable(2), coloured_clips(20), recipe(max_epochs=3), seed=0, on_epoch=told.append)
    assert told == history
    assert [epoch.number for epoch in told] == [1, 2, 3]


def test_the_weights_of_the_best_epoch_are_kept_not_the_last():
    # The clips that schedule bear the opposite labels, so the better the training goes, the worse the accuracy.
    train, test = coloured_clips(40), coloured_clips(20)
    test = LabelledClips(test.frames, 1 - test.labels, 2)
    kept, states = MeanColour(2), []
    nn.init.constant_(kept.linear.weight[0, 2], 2.0)
    nn.init.constant_(kept.linear.weight[1, 0], 2.0)
    history = fit(
        kept,
        train,
        recipe(lr=0.03, patience=30, paper_protocol=True),
        seed=0,
        test=test,
        on_epoch=lambda epoch: states.append({k: v.clone() for k, v in kept.state_dict().items()}),
    )
    best = max(range(len(history)), key=lambda i: (history[i].accuracy, i))
    assert history[best].accuracy > history[-1].accuracy, "the case must have a worse last epoch"
    assert torch.equal(kept.linear.weight, states[best]["linear.weight"])
    assert not kept.training


def test_same_seed_same_weights_another_seed_others_and_the_global_generator_is_untouched():
    def weights(seed: int) -> torch.Tensor:
        classifier = nn.Sequential(nn.Dropout(0.3), MeanColour(2))
        state = torch.get_rng_state()
        fit(classifier, coloured_clips(40), recipe(max_epochs=2), seed)
        assert torch.equal(state, torch.get_rng_state())
        return classifier[1].linear.weight.detach()

    first = weights(0)
    torch.rand(3)
    assert torch.equal(first, weights(0))
    assert not torch.equal(first, weights(1))


def test_a_loss_that_is_not_finite_ends_training_with_its_term():
    classifier = MeanColour(2)
    nn.init.constant_(classifier.linear.weight, float("nan"))
    with pytest.raises(TrainingDiverged) as caught:
        fit(classifier, coloured_clips(20), recipe(), seed=0)
    assert (caught.value.step, caught.value.term) == (1, "classifier loss")


def test_paper_protocol_schedules_on_test_clips_and_trains_on_all_training_clips():
    train, test = coloured_clips(20), coloured_clips(10)
    test = LabelledClips(test.frames, torch.zeros(10, dtype=torch.long), 2)
    history = fit(Untrainable(2), train, recipe(max_epochs=1, paper_protocol=True), seed=0, test=test)
    assert history[0].accuracy == 1
    with pytest.raises(ValueError, match="only there"):
        fit(Untrainable(2), train, recipe(), seed=0, test=test)


def test_validation_takes_whole_groups_where_there_are_three():
    groups = tuple(f"person{i // 2 % 7}" for i in range(70))
    train, held_out = validation_split(coloured_clips(70, groups), 0.15, torch.Generator().manual_seed(0))
    assert not set(train.groups) & set(held_out.groups)
    assert len(train) + len(held_out) == 70
    assert 0.15 <= len(held_out) / 70 < 0.3


def test_validation_takes_15_percent_of_each_class_where_there_are_no_groups():
    _, held_out = validation_split(coloured_clips(80), 0.15, torch.Generator().manual_seed(0))
    assert torch.bincount(held_out.labels).tolist() == [6, 6]


def test_validation_leaves_every_class_to_train_on():
    groups = ("a", "a", "b", "b", "c", "c")  # class 1 lives in group a alone
    clips = coloured_clips(6)
    clips = LabelledClips(clips.frames, torch.tensor([1, 1, 0, 0, 0, 0]), 2, groups)
    for seed in range(10):
        train, held_out = validation_split(clips, 0.15, torch.Generator().manual_seed(seed))
        assert set(train.labels.tolist()) == {0, 1}
        assert len(held_out)
    with pytest.raises(ValueError, match="2 clips to spare one"):
        validation_split(clips.subset(torch.tensor([0, 2])), 0.15, torch.Generator())


def test_random_crops_shift_whole_clips_and_repeat_the_border():
    frames = torch.randint(256, (6, 4, 8, 10, 3), dtype=torch.uint8)
    crops = random_crops(frames, 2, torch.Generator().manual_seed(0))
    stills = frames.permute(0, 1, 4, 2, 3).flatten(1, 2).float()
    padded = nn.functional.pad(stills, (2,) * 4, mode="replicate").unflatten(1, (4, 3)).permute(0, 1, 3, 4, 2)
    shifts = [(top, left) for top in range(5) for left in range(5)]
    found = [
        [s for s in shifts if torch.equal(crop.float(), clip[:, s[0] : s[0] + 8, s[1] : s[1] + 10])]
        for crop, clip in zip(crops, padded, strict=True)
    ]
    assert crops.dtype == torch.uint8
    assert all(len(shift) == 1 for shift in found)
    assert len({shift[0] for shift in found}) > 1
    assert random_crops(frames, 0, torch.Generator()) is frames


@pytest.mark.parametrize(("n_clips", "n_passes", "n_batches"), [(20, 5, 2), (100, 1, 11)])
def test_a_small_data_set_is_passed_through_again_until_an_epoch_has_its_updates(n_clips, n_passes, n_batches):
    classifier, updates = MeanColour(2), []

    def count(module, inputs):
        if module.training:
            updates.append(len(inputs[0]))

    classifier.register_forward_pre_hook(count)
    fit(classifier, coloured_clips(n_clips), recipe(max_epochs=2, min_updates_per_epoch=10), seed=0)
    assert len(updates) == 2 * n_passes * n_batches
    n_train = sum(updates) / (2 * n_passes)
    assert n_train == int(n_train)
    assert n_batches == -(-n_train // 8)


def test_of_equally_good_epochs_the_last_weights_are_kept():
    def weights(max_epochs: int) -> torch.Tensor:
        classifier = Untrainable(2)
        nn.init.ones_(classifier.linear.weight)
        history = fit(classifier, coloured_clips(20), recipe(patience=4, max_epochs=max_epochs), seed=0)
        assert len({epoch.accuracy for epoch in history}) == 1
        return classifier.linear.weight

    # No gradient reaches them, so that weight decay alone tells one epoch from the next.
    assert (weights(max_epochs=3) < weights(max_epochs=1)).all()


def test_labelled_clips_refuse_unequal_lengths():
    clips = coloured_clips(4)
    with pytest.raises(ValueError, match=r"got \[3, 4\]"):
        LabelledClips(clips.frames, clips.labels[:3], 2)
