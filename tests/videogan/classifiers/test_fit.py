"""The recipe of App. B.1: its schedule, its validation part, its seeds."""

import math

import pytest
import torch
from pydantic import ValidationError
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from tests.builders import numbered_clips
from videogan.classifiers.fit import (
    Recipe,
    cosine_share,
    features,
    fit,
    predict,
    predict_windows,
    probabilities,
    random_shifts,
    shifted,
    window_features,
)
from videogan.classifiers.resnet3d import ResNet3D18
from videogan.classifiers.validation import validation_split
from videogan.data.clip_set import LabelledClips, Subset, all_windows
from videogan.divergence import TrainingDiverged
from videogan.metrics.s3 import accuracy
from videogan.shard import Shard


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
    """Always predicts class 0, regardless of its weights."""

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


def test_fit_learns_separable_classes():
    classifier = MeanColour(2)
    fit(classifier, coloured_clips(40), recipe(), seed=0)
    test = coloured_clips(21)
    assert accuracy(predict(classifier, test.frames, recipe()), test.labels) == 1


def test_learning_rate_falls_tenfold_after_patience_epochs_and_training_ends_patience_epochs_after_the_third_drop():
    history = fit(Untrainable(2), coloured_clips(20), recipe(patience=4, n_drops=3, max_epochs=60), seed=0)
    # The first epoch is the best so far; no later epoch improves on it, so the rate drops every 4 epochs.
    expected = [0.1] * 5 + [0.01] * 4 + [0.001] * 4 + [0.0001] * 4
    assert [epoch.lr for epoch in history] == pytest.approx(expected)


def test_the_cosine_rises_for_a_tenth_of_the_updates_and_falls_to_almost_0():
    shares = [cosine_share(update, 200) for update in range(200)]
    assert max(shares) == shares[19] == pytest.approx((1 + math.cos(math.pi * 19 / 200)) / 2)
    assert shares[:20] == sorted(shares[:20])
    assert shares[19:] == sorted(shares[19:], reverse=True)
    assert (shares[0], shares[-1]) == (pytest.approx(1 / 20), pytest.approx(0, abs=1e-4))
    assert shares[100] == pytest.approx(0.5)


COSINE = {"optimiser": "adam", "schedule": "cosine", "lr": 0.02, "weight_decay": 0.01}


def test_the_cosine_schedule_trains_on_all_clips_judges_none_and_keeps_the_last_weights():
    classifier, seen = Noting(2), []
    history = fit(classifier, many_windows().random(3), recipe(**COSINE, max_epochs=4), 0,
                  on_epoch=lambda epoch: seen.append([w.detach().clone() for w in classifier.parameters()]))  # fmt: skip
    assert {clip for clip, _ in classifier.trained_on} == set(range(20))
    assert classifier.judged == []
    assert all(torch.equal(last, now) for last, now in zip(seen[-1], classifier.parameters(), strict=True))
    n_updates = 4 * 3  # 20 clips in batches of 8
    assert [epoch.lr for epoch in history] == pytest.approx(
        [0.02 * cosine_share(3 * n + 2, n_updates) for n in range(4)]
    )
    assert all(math.isnan(epoch.accuracy) for epoch in history)
    assert not classifier.training


def test_adam_on_a_cosine_learns_separable_classes():
    classifier, test = MeanColour(2), coloured_clips(21)
    fit(classifier, coloured_clips(40), recipe(**COSINE), seed=0)
    assert accuracy(predict(classifier, test.frames, recipe()), test.labels) == 1


def test_half_of_the_clips_take_as_many_updates_on_a_cosine_and_a_plateau_is_waited_for_all_the_same():
    whole, half = Noting(2), Noting(2)
    fit(whole, coloured_clips(32), recipe(**COSINE, max_epochs=3), 0)
    fit(half, coloured_clips(16), recipe(**COSINE, max_epochs=3).for_half, 0)
    assert len(half.trained_on) == len(whole.trained_on) == 3 * 32, "clips, in batches of 8"
    assert recipe().for_half == recipe()


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"optimiser": "adam", "momentum": 0.5}, "recipe.momentum = 0.5 has no effect under optimiser adam"),
        ({"schedule": "cosine", "patience": 9}, "recipe.patience = 9 has no effect under schedule cosine"),
        ({"schedule": "cosine", "paper_protocol": True}, "recipe.paper_protocol = True has no effect"),
    ],
)
def test_a_setting_of_another_optimiser_or_schedule_is_refused(values, problem):
    with pytest.raises(ValidationError, match=problem):
        recipe(**values)


class Noting(MeanColour):
    """Keeps the numbers of the clip and of the first frame that it is shown, in training and else."""

    def __init__(self, n_classes: int):
        super().__init__(n_classes)
        self.trained_on, self.judged = [], []

    def forward(self, video):
        pixels = ((video[:, 0, :, 0, 0] + 1) * 127.5).round().long()
        (self.trained_on if self.training else self.judged).extend((p[0].item(), p[1].item()) for p in pixels)
        return super().forward(video)


def many_windows(n: int = 20):
    """Clips of 30 frames, 27 windows of 4 each."""
    return numbered_clips([30] * n, [i % 2 for i in range(n)], [str(i) for i in range(n)], n_frames=4)


def epochs_of(shown: list, n: int) -> list[set]:
    return [set(shown[start : start + n]) for start in range(0, len(shown), n)]


def test_a_fit_shows_its_windows_of_each_clip_one_after_the_other():
    classifier = Noting(2)
    fit(classifier, many_windows().random(3), recipe(max_epochs=5, n_windows=2), seed=0)
    epochs = epochs_of(classifier.trained_on, 17)
    assert len(epochs) == 5
    assert epochs[0] == epochs[1] == epochs[2]
    assert epochs[3] == epochs[4]
    assert {clip for clip, _ in epochs[0]} == {clip for clip, _ in epochs[3]}
    assert len(epochs[0] & epochs[3]) < 5
    drawn = [set(zip(range(20), all_windows(many_windows().random(3), draw)[:, 0, 0, 0, 1].tolist(), strict=True))
             for draw in (0, 1)]  # fmt: skip
    assert epochs[0] <= drawn[0]
    assert epochs[3] <= drawn[1]


def test_every_epoch_is_judged_on_the_same_windows():
    classifier = Noting(2)
    fit(classifier, many_windows().random(3), recipe(max_epochs=4), seed=0)
    judged = epochs_of(classifier.judged, 3)
    assert len(judged) == 4
    assert len(set(map(frozenset, judged))) == 1
    assert not {clip for clip, _ in judged[0]} & {clip for clip, _ in classifier.trained_on}


def test_clips_of_one_window_train_the_same_whatever_the_number_of_windows():
    def weights(n_windows: int) -> torch.Tensor:
        classifier = MeanColour(2)
        fit(classifier, coloured_clips(40), recipe(max_epochs=3, n_windows=n_windows), seed=0)
        return classifier.linear.weight

    assert torch.equal(weights(1), weights(8))


def test_windows_of_a_set_are_predicted_as_if_each_were_in_memory():
    clips = many_windows().spaced(3)
    classifier, exact = Noting(2), recipe(batch_size=6)
    nn.init.normal_(classifier.linear.weight, generator=torch.Generator().manual_seed(0))
    in_memory = [all_windows(clips, draw) for draw in range(3)]
    found = window_features(classifier, clips, exact, "logits", n_windows=3)
    assert found.shape == (3, 20, 2)
    assert torch.equal(found, torch.stack([features(classifier, frames, exact, "logits") for frames in in_memory]))
    assert torch.equal(predict_windows(classifier, clips, exact, 3), found.argmax(2))
    assert torch.equal(predict_windows(classifier, clips, exact), found.argmax(2)[:1]), "one: draw 0"


def test_max_epochs_ends_training_and_every_epoch_is_reported():
    reported = []
    history = fit(Untrainable(2), coloured_clips(20), recipe(max_epochs=3), seed=0, on_epoch=reported.append)
    assert reported == history
    assert [epoch.number for epoch in reported] == [1, 2, 3]


def test_the_weights_of_the_best_epoch_are_kept_not_the_last():
    # The test clips, which decide the schedule, have the opposite labels: better training lowers the accuracy.
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
    with pytest.raises(ValueError, match="if and only if"):
        fit(Untrainable(2), train, recipe(), seed=0, test=test)


def test_validation_takes_whole_groups_if_there_are_three():
    groups = tuple(f"person{i // 2 % 7}" for i in range(70))
    train, held_out = validation_split(coloured_clips(70, groups), 0.15, torch.Generator().manual_seed(0))
    assert not set(train.groups) & set(held_out.groups)
    assert len(train) + len(held_out) == 70
    assert 0.15 <= len(held_out) / 70 < 0.3


def test_validation_takes_15_percent_of_each_class_without_groups():
    _, held_out = validation_split(coloured_clips(80), 0.15, torch.Generator().manual_seed(0))
    assert torch.bincount(held_out.labels).tolist() == [6, 6]


def test_validation_leaves_each_class_a_training_clip():
    groups = ("a", "a", "b", "b", "c", "c")  # class 1 is only in group a
    clips = coloured_clips(6)
    clips = LabelledClips(clips.frames, torch.tensor([1, 1, 0, 0, 0, 0]), 2, groups)
    for seed in range(10):
        train, held_out = validation_split(clips, 0.15, torch.Generator().manual_seed(seed))
        assert set(train.labels.tolist()) == {0, 1}
        assert len(held_out)
    with pytest.raises(ValueError, match="at least 2 training clips"):
        validation_split(Subset(clips, torch.tensor([0, 2])), 0.15, torch.Generator())


def test_random_crops_move_whole_clips_and_repeat_the_border():
    frames = torch.randint(256, (6, 4, 8, 10, 3), dtype=torch.uint8)
    shifts = random_shifts(6, 2, torch.Generator().manual_seed(0))
    stills = frames.permute(0, 1, 4, 2, 3).flatten(1, 2).float()
    padded = nn.functional.pad(stills, (2,) * 4, mode="replicate").unflatten(1, (4, 3)).permute(0, 1, 3, 4, 2)
    crops = shifted(frames, shifts)
    for crop, clip, (top, left) in zip(crops, padded, (shifts + 2).tolist(), strict=True):
        assert torch.equal(crop.float(), clip[:, top : top + 8, left : left + 10])
    assert crops.dtype == torch.uint8
    assert len(set(map(tuple, shifts.tolist()))) > 1
    many = random_shifts(1000, 2, torch.Generator().manual_seed(0))
    assert set(many.flatten().tolist()) == {-2, -1, 0, 1, 2}


def test_without_padding_clips_are_not_shifted_and_nothing_is_drawn():
    rng = torch.Generator().manual_seed(0)
    frames, before = torch.randint(256, (6, 4, 8, 10, 3), dtype=torch.uint8), rng.get_state()
    assert shifted(frames, random_shifts(6, 0, rng)) is frames
    assert torch.equal(rng.get_state(), before)


@pytest.mark.parametrize(("n_clips", "n_passes", "n_batches"), [(20, 5, 2), (100, 1, 11)])
def test_a_small_data_set_is_repeated_until_an_epoch_has_enough_updates(n_clips, n_passes, n_batches):
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

    # No gradient reaches them, so only weight decay distinguishes the epochs.
    assert (weights(max_epochs=3) < weights(max_epochs=1)).all()


def tiny_resnet() -> nn.Module:
    torch.manual_seed(0)
    return ResNet3D18(3, width=2, dropout=0.5)


def test_probabilities_are_the_softmax_of_the_logits_and_logits_are_the_last_layer_of_the_features():
    classifier, exact = tiny_resnet(), recipe(batch_size=4)
    frames = torch.randint(256, (6, 16, 32, 32, 3), dtype=torch.uint8)
    penultimate, logits = (features(classifier, frames, exact, layer) for layer in ("penultimate", "logits"))
    assert penultimate.shape == (6, 16)
    torch.testing.assert_close(classifier.classify(penultimate), logits)
    torch.testing.assert_close(probabilities(classifier, frames, exact), logits.softmax(1))
    assert torch.equal(predict(classifier, frames, exact), logits.argmax(1))


def test_features_and_probabilities_are_float32_in_any_precision_and_do_not_depend_on_other_clips():
    classifier = tiny_resnet()
    frames = torch.randint(256, (5, 16, 32, 32, 3), dtype=torch.uint8)
    for precision in ("fp32", "bf16"):
        together, apart = recipe(batch_size=5, precision=precision), recipe(batch_size=2, precision=precision)
        for compute in (probabilities, lambda *given: features(*given, "penultimate")):
            assert compute(classifier, frames, together).dtype == torch.float32
            # Without eval mode, batch norm and dropout would make batches differ.
            torch.testing.assert_close(
                compute(classifier.train(), frames, together), compute(classifier.train(), frames, apart),
                rtol=1e-4 if precision == "fp32" else 0.05, atol=1e-4 if precision == "fp32" else 0.02,
            )  # fmt: skip


class Poisoned(MeanColour):
    """A classifier whose logits are NaN on rank 1 only."""

    def __init__(self, rank: int):
        super().__init__(2)
        self.factor = float("nan") if rank == 1 else 1.0

    def forward(self, video):
        return super().forward(video) * self.factor


def pixelwise() -> nn.Module:
    """A classifier without batch norm that depends on positions, so every clip's crop matters."""
    torch.manual_seed(1)
    return nn.Sequential(nn.Flatten(), nn.Linear(2 * 3 * 8 * 8, 8), nn.Tanh(), nn.Linear(8, 2))


# Batches of 7 and 8 of the 37 training clips: parts of unequal size. Of 3: too few clips for two ranks.
EXACT = {
    batch_size: recipe(batch_size=batch_size, max_epochs=4, lr=0.05, clip_norm=0.3, crop_padding=2, patience=1)
    for batch_size in (8, 3)
}
CLIPS = coloured_clips(43)


def video_clips() -> LabelledClips:
    frames = torch.randint(256, (21, 16, 32, 32, 3), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    return LabelledClips(frames, torch.arange(21) % 3, 3)


def _rank(rank: int, n_ranks: int, rendezvous: str, results: str) -> None:
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", init_method=f"file://{rendezvous}", rank=rank, world_size=n_ranks)
    parallel = {"wrap": DistributedDataParallel, "shard": Shard(rank, n_ranks)}
    found = {}
    for batch_size, exact in EXACT.items():
        classifier = pixelwise()
        history = fit(classifier, CLIPS, exact, seed=5, **parallel)
        found[batch_size] = {"history": list(map(vars, history)), "state": classifier.state_dict()}
    classifier, reported = tiny_resnet(), []
    fit(classifier, video_clips(), recipe(precision="bf16", max_epochs=3), 5, on_epoch=reported.append, **parallel)
    found["resnet"] = {"history": list(map(vars, reported)), "state": classifier.state_dict()}
    try:
        fit(Poisoned(rank), CLIPS, recipe(), seed=0, **parallel)
    except TrainingDiverged as error:
        found["diverged"] = (error.step, error.term)
    torch.save(found, f"{results}/{rank}.pt")
    torch.distributed.destroy_process_group()


@pytest.fixture(scope="module")
def two_ranks(tmp_path_factory) -> list[dict]:
    """The results of the fits on two ranks, one dict per rank."""
    folder = tmp_path_factory.mktemp("ranks")
    torch.multiprocessing.spawn(_rank, (2, str(folder / "rendezvous"), str(folder)), nprocs=2)
    return [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in range(2)]


@pytest.mark.parametrize("batch_size", EXACT)
def test_two_ranks_on_their_parts_of_the_batches_equal_one_process_on_the_whole(two_ranks, batch_size):
    whole = pixelwise()
    history = fit(whole, CLIPS, EXACT[batch_size], seed=5)
    assert len({epoch.loss for epoch in history}) == len(history) > 2, "the case must train"
    for found in two_ranks:
        for ours, theirs in zip(found[batch_size]["history"], history, strict=True):
            assert ours == pytest.approx(vars(theirs), rel=1e-5)
        for name, weight in whole.state_dict().items():
            torch.testing.assert_close(found[batch_size]["state"][name], weight, rtol=1e-5, atol=1e-5)


def test_ranks_end_with_one_classifier_bit_by_bit_with_batch_norm_dropout_and_bf16(two_ranks):
    first, second = (found["resnet"] for found in two_ranks)
    assert first["history"] == second["history"]
    assert [name for name in first["state"] if not torch.equal(first["state"][name], second["state"][name])] == []
    assert first["state"]["stem.1.num_batches_tracked"] > 0


def test_a_loss_that_is_not_finite_on_one_rank_ends_all(two_ranks):
    assert [found["diverged"] for found in two_ranks] == [(1, "classifier loss")] * 2
