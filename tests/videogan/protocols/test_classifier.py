"""Classifiers by protocol: their digest, their initial weights, and saved real-trained classifiers."""

import dataclasses
import math
import shutil
from pathlib import Path

import pytest
import torch

from tests.builders import real_clips
from videogan.classifiers import CLASSIFIERS
from videogan.classifiers.fit import features, predict
from videogan.config import ConfigurationError
from videogan.data.clip_set import LabelledClips, RealClips, all_windows
from videogan.data.clips import to_video
from videogan.metrics.s3 import accuracy
from videogan.protocols.classifier import (
    ClassifierProtocol,
    RealClassifier,
    ResizingClassifier,
    WeightsFile,
    cached_real_classifier,
    fit_on_real,
    load_real_classifier,
    real_classifier_path,
    save_real_classifier,
    weights_file,
)


@pytest.fixture
def file_of(tiny, tmp_path):
    """(name, seed, number of classes) -> a file of weights of the tiny classifier."""

    def written(name: str, seed: int, n_classes: int, classify: str = "classify.") -> WeightsFile:
        state = tiny.fresh(n_classes, seed).network.state_dict()
        state = {
            key.replace("classify.", classify): value for key, value in state.items() if classify or key[:3] != "cla"
        }
        torch.save(state, tmp_path / name)
        return weights_file(tmp_path / name)

    return written


def one_class(clips: LabelledClips) -> LabelledClips:
    return LabelledClips(clips.frames, torch.zeros_like(clips.labels), 1)


OTHER_FACTS = {
    "manifest_digest": "cd" * 32,
    "preprocessing": "plain_64",
    "n_classes": 4,
    "n_clips": (("train", 48), ("test", 25)),
    "every_nth": 2,
    "part": "half",
}


def test_the_digest_is_stable_and_changes_with_all_that_a_classifier_depends_on(tiny, facts):
    digest = tiny.digest(facts)
    assert digest == ClassifierProtocol(**tiny.model_dump()).digest(facts)
    assert len(digest) == 64
    others = []
    for field in dataclasses.fields(facts):
        others.append(tiny.digest(dataclasses.replace(facts, **{field.name: OTHER_FACTS[field.name]})))
    weights = WeightsFile(path="a.pt", sha256="cd" * 32)
    changes = ({"width": 8}, {"size": 64}, {"dropout": 0.1}, {"shortcut": "A"}, {"n_frames": 16}, {"weights": weights})
    changes += ({"test_windows": 5},)
    changes += ({"classifier": "tsn"}, {"weights": weights, "trained": False})
    others += [tiny.model_copy(update=change).digest(facts) for change in changes]
    for name, value in tiny.recipe.model_dump().items():
        changed = {bool: lambda v: not v, str: lambda v: "bf16", int: lambda v: v + 1}.get(
            type(value), lambda v: v / 2
        )(value)
        recipe = tiny.recipe.model_copy(update={name: changed})
        others.append(tiny.model_copy(update={"recipe": recipe}).digest(facts))
    assert len({digest, *others}) == 1 + len(others)


def test_a_weights_file_is_identified_by_its_content_not_its_path(tiny, facts, file_of, tmp_path):
    one, other = file_of("one.pt", 0, 3), file_of("other.pt", 1, 3)
    copy = weights_file(Path(shutil.copy(one.path, tmp_path / "copy.pt")))
    assert copy.path != one.path
    digests = [tiny.model_copy(update={"weights": weights}).digest(facts) for weights in (one, copy, other)]
    assert digests[0] == digests[1] != digests[2]


def test_settings_without_effect_are_refused(tiny):
    with pytest.raises(ValueError, match="not trained needs a weights file"):
        ClassifierProtocol(**tiny.model_dump() | {"trained": False})
    with pytest.raises(ValueError, match="shortcut A is only for r3d18, got tsn"):
        ClassifierProtocol(**tiny.model_dump() | {"classifier": "tsn", "shortcut": "A"})


def test_classifiers_start_from_their_seed_and_do_not_change_the_global_generator(tiny):
    state = torch.get_rng_state()
    first, again, other = (tiny.build(2, seed).classify.weight for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(state, torch.get_rng_state())


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_every_classifier_can_be_built_resizes_and_has_the_given_classes(name, tiny):
    size = 112 if name == "c3d" else 32
    protocol = tiny.model_copy(update={"classifier": name, "width": 2, "size": size, "n_frames": 16})
    network = protocol.build(5, seed=0).eval()
    with torch.no_grad():
        assert network(torch.zeros(1, 16, 3, 40, 40)).shape == (1, 5)
    assert network.classify.out_features == 5


def test_frames_are_resized_to_the_classifiers_size_and_unchanged_at_that_size():
    seen = []

    class Seen(torch.nn.Identity):
        def features(self, video):
            return seen.append(video)

    video = torch.full((2, 8, 3, 32, 32), 0.5)
    torch.testing.assert_close(ResizingClassifier(Seen(), 48)(video), torch.full((2, 8, 3, 48, 48), 0.5))
    assert ResizingClassifier(Seen(), 32)(video) is video
    assert ResizingClassifier(Seen(), None)(video) is video
    ResizingClassifier(Seen(), 48).features(video)
    assert seen[0].shape == (2, 8, 3, 48, 48)


def test_a_saved_classifier_predicts_bit_for_bit_the_same(tmp_path, tiny, train, test):
    protocol = tiny.model_copy(update={"recipe": tiny.recipe.model_copy(update={"precision": "bf16", "max_epochs": 2})})
    fitted = fit_on_real(protocol, train, {"test": test}, seed=0)
    path = real_classifier_path(tmp_path / "digest", 0)
    save_real_classifier(path, fitted)
    again = load_real_classifier(path)
    assert (again.seed, again.n_classes, again.rer) == (0, 3, fitted.rer)
    said = [features(c.network(protocol), test.frames, protocol.recipe, "logits") for c in (fitted, again)]
    assert torch.equal(*said)
    assert fitted.predictions["test"].shape == (protocol.test_windows, 24)
    assert torch.equal(said[1].argmax(1).expand(protocol.test_windows, -1), fitted.predictions["test"])
    stem = again.network(protocol).network.stem[0].weight
    assert stem.is_contiguous(memory_format=torch.channels_last_3d), "another memory layout would round differently"
    assert accuracy(fitted.predictions["test"][0], test.labels) == fitted.rer["test"]


def test_a_fit_depends_only_on_its_seed(tiny, train, test, real):
    again = fit_on_real(tiny, train, {"test": test}, seed=0)
    assert all(torch.equal(value, again.weights[name]) for name, value in real[0].weights.items())
    assert not torch.equal(real[0].weights["network.classify.weight"], real[1].weights["network.classify.weight"])


def test_a_real_classifier_is_fitted_once_and_then_read(tmp_path, tiny, train, test):
    epochs, once = [], tiny.model_copy(update={"recipe": tiny.recipe.model_copy(update={"max_epochs": 1})})
    held_back = {"test": test}
    said = [cached_real_classifier(tmp_path, once, train, held_back, 0, epochs.append) for _ in range(2)]
    assert len(epochs) == 1
    assert torch.equal(*(classifier.predictions["test"] for classifier in said))
    assert [path.name for path in tmp_path.iterdir()] == ["real-0.pt"]


def test_a_classifier_that_cannot_be_written_leaves_no_partial_file(tmp_path):
    unwritable = RealClassifier(0, 2, {"test": torch.zeros(1, 1)}, {"test": 1.0}, {"weight": lambda: None})
    with pytest.raises(Exception, match="pickle"):
        save_real_classifier(tmp_path / "real-0.pt", unwritable)
    assert not list(tmp_path.iterdir())


def test_under_the_papers_schedule_the_test_clips_decide_and_no_training_clip_is_held_out(tiny, train, test):
    recipe = tiny.recipe.model_copy(update={"paper_protocol": True, "max_epochs": 2})
    epochs = []
    fitted = fit_on_real(tiny.model_copy(update={"recipe": recipe}), train, {"test": test}, 0, epochs.append)
    assert fitted.rer["test"] == max(epoch.accuracy for epoch in epochs)


@pytest.fixture(scope="module")
def videos(coloured_frames) -> RealClips:
    """24 real clips of 12 frames, so 5 windows of 8 each: frames get darker with time."""
    labels = torch.arange(24) % 3
    frames = torch.cat([coloured_frames(labels, 4), coloured_frames(labels, 5)[:, :4]], 1)
    darker = frames.float() * torch.linspace(1, 0.4, 12)[:, None, None, None]
    return real_clips(list(darker.to(torch.uint8)), labels.tolist(), [f"v{i // 3}" for i in range(24)], n_frames=8)


def test_a_real_classifier_predicts_evenly_spaced_windows_of_every_split_it_was_not_fitted_on(
    tiny, train, test, videos
):
    fitted = fit_on_real(tiny, train, {"select": test, "test": videos}, seed=0)
    network = fitted.network(tiny)
    windows = torch.stack([all_windows(videos.spaced(tiny.test_windows), draw) for draw in range(tiny.test_windows)])
    expected = torch.stack([predict(network, frames, tiny.recipe) for frames in windows])
    assert torch.equal(fitted.predictions["test"], expected)
    assert fitted.rer["test"] == (expected == videos.labels).double().mean().item()
    assert fitted.rer["select"] == accuracy(predict(network, test.frames, tiny.recipe), test.labels)
    assert set(fitted.predictions) == set(fitted.rer) == {"select", "test"}, "none of the training clips"


def test_a_fit_shows_a_random_window_of_each_real_clip_in_each_epoch(tiny, videos, test):
    shown: list[tuple[int, int]] = []

    def read(selection, windows, n_frames):
        def noted():
            for clips, starts in windows:
                shown.extend(zip(clips.tolist(), starts.tolist(), strict=True))
                yield clips, starts

        return videos.read(selection, noted(), n_frames)

    recipe = tiny.recipe.model_copy(update={"max_epochs": 12, "patience": 12, "n_windows": 12, "batch_size": 24})
    fit_on_real(tiny.model_copy(update={"recipe": recipe}), dataclasses.replace(videos, read=read), {"test": test}, 0)
    starts_of = {clip: {start for other, start in shown if other == clip} for clip in range(24)}
    trained_on = [starts for clip, starts in starts_of.items() if len(starts) > 1]
    assert len(trained_on) >= 18, "all but the validation part, which keeps its windows"
    assert set.union(*trained_on) == set(range(5)), "the first and the last start among them"


def test_clips_of_another_length_are_refused(tiny, train, test):
    longer = LabelledClips(train.frames.repeat(1, 2, 1, 1, 1), train.labels, 3)
    with pytest.raises(ValueError, match="needs clips of 8 frames, got 16"):
        fit_on_real(tiny, longer, {"test": test}, 0)


def test_with_one_class_only_batch_norm_statistics_change(tiny, train, test):
    state, clips = torch.get_rng_state(), one_class(train)
    fitted = fit_on_real(tiny.model_copy(update={"dropout": 0.5}), clips, {"test": one_class(test)}, seed=3)
    assert torch.equal(state, torch.get_rng_state())
    fresh = tiny.fresh(1, 3)
    for name, value in fresh.named_parameters():
        assert torch.equal(fitted.weights[name], value), name
    with torch.no_grad():
        stem = fresh.network.stem[0](to_video(clips.frames).transpose(1, 2))
    torch.testing.assert_close(fitted.weights["network.stem.1.running_mean"], stem.mean((0, 2, 3, 4)))
    # The mean variance of batches of 8 is below the variance of all clips by the small variance of the batch means.
    torch.testing.assert_close(
        fitted.weights["network.stem.1.running_var"], stem.var((0, 2, 3, 4)), rtol=0.05, atol=1e-4
    )
    assert not fitted.network(tiny).training


def test_statistics_of_one_class_replace_those_of_a_weights_file(tiny, train, test, tmp_path):
    network = tiny.fresh(1, 0).network
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm3d):
            module.running_mean.fill_(50.0)
            module.num_batches_tracked.fill_(1000)
    torch.save(network.state_dict(), tmp_path / "w.pt")
    own = tiny.model_copy(update={"weights": weights_file(tmp_path / "w.pt")})
    of_file, of_seed = (fit_on_real(p, one_class(train), {"test": one_class(test)}, 0).weights for p in (own, tiny))
    assert all(torch.equal(value, of_file[name]) for name, value in of_seed.items())


def test_statistics_need_two_clips(tiny, train):
    alone = LabelledClips(train.frames[:1], torch.zeros(1, dtype=torch.int64), 1)
    with pytest.raises(ValueError, match="at least 2 training clips, got 1"):
        fit_on_real(tiny, alone, {"test": alone}, 0)


@pytest.mark.parametrize("classify", ["classify.", "module.fc."])
def test_untrained_weights_are_unchanged_and_predict_the_files_classes(tiny, train, test, file_of, classify, recwarn):
    protocol = tiny.model_copy(update={"weights": file_of("w.pt", 7, 11, classify), "trained": False})
    fitted = fit_on_real(protocol, train, {"test": test}, seed=0)
    assert fitted.n_classes == 11
    assert math.isnan(fitted.rer["test"]), "the file's eleven classes are not these three"
    expected = tiny.fresh(11, 7).state_dict()
    assert all(torch.equal(value, fitted.weights[name]) for name, value in expected.items())
    assert not recwarn, "no layer is replaced, so there is no warning"


def test_an_untrained_file_with_the_data_sets_number_of_classes_has_a_rer(tiny, train, test, file_of):
    protocol = tiny.model_copy(update={"weights": file_of("w.pt", 7, 3), "trained": False})
    fitted = fit_on_real(protocol, train, {"test": test}, seed=0)
    assert fitted.rer["test"] == accuracy(predict(tiny.fresh(3, 7), test.frames, tiny.recipe), test.labels)


def test_untrained_weights_need_a_classification_layer_in_the_file(tiny, file_of):
    protocol = tiny.model_copy(update={"weights": file_of("w.pt", 7, 3, ""), "trained": False})
    with pytest.raises(ConfigurationError, match=r"must include a classification layer .*, got none"):
        protocol.build(3, 0)


def test_training_starts_from_the_weights_file(tiny, file_of):
    built = tiny.model_copy(update={"weights": file_of("w.pt", 7, 3)}).build(3, seed=0)
    assert torch.equal(built.classify.weight, tiny.fresh(3, 7).classify.weight)


def test_a_weights_file_that_has_changed_since_it_was_named_is_refused(tiny, file_of):
    named = file_of("w.pt", 7, 3)
    file_of("w.pt", 8, 3)
    with pytest.raises(ConfigurationError, match=r"must have sha256 .* the file has changed"):
        tiny.model_copy(update={"weights": named}).build(3, 0)


def test_a_saved_classifier_no_longer_needs_its_weights_file(tiny, train, test, file_of, tmp_path):
    protocol = tiny.model_copy(update={"weights": file_of("w.pt", 7, 11), "trained": False})
    fitted = fit_on_real(protocol, train, {"test": test}, seed=0)
    (tmp_path / "w.pt").unlink()
    assert torch.equal(predict(fitted.network(protocol), test.frames, tiny.recipe), fitted.predictions["test"][0])


def test_a_missing_weights_file_is_an_error_with_its_name(tmp_path):
    with pytest.raises(ConfigurationError, match=r"w\.pt: cannot read this file of classifier weights \(No such"):
        weights_file(tmp_path / "w.pt")
