"""Scores on features: near their best on real clips, far from it on noise, with warnings about their bias."""

import dataclasses
import json
import math

import pytest
import torch
import torch.nn.functional as F

from videogan.classifiers.fit import LabelledClips, features
from videogan.metrics.frechet import frechet_distance, moments
from videogan.metrics.kernel_distance import kernel_distance
from videogan.protocols import features as module
from videogan.protocols.classifier import fit_on_real
from videogan.protocols.features import FeatureProtocol, feature_score, kernel_look, sample_labels
from videogan.protocols.ladder import RUNGS


@pytest.fixture(scope="module")
def protocol_of(tiny):
    def protocol(metric: str, n_samples: int = 48, n_repeats: int = 2) -> FeatureProtocol:
        return FeatureProtocol(
            name=f"{metric}_tiny", metric=metric, classifier=tiny, n_samples=n_samples, n_repeats=n_repeats
        )

    return protocol


@pytest.fixture(scope="module")
def network(tiny, real):
    return real[0].network(tiny)


@pytest.fixture(scope="module")
def synthesise(coloured_frames):
    """Clips from the distribution of the real ones."""
    return lambda purpose, labels, seed: coloured_frames(labels, 1000 + seed)


@pytest.fixture(scope="module")
def score(protocol_of, network, train, test):
    def scored(metric: str, synthetic, **counts):
        return feature_score(protocol_of(metric, **counts), "d1", network, train, test, synthetic)

    return scored


def test_the_digest_changes_with_all_that_a_score_depends_on(protocol_of, facts):
    protocol = protocol_of("kvd")
    digest = protocol.digest(facts)
    assert digest == FeatureProtocol(**protocol.model_dump()).digest(facts)
    classifier = protocol.classifier.model_copy(update={"dropout": 0.1})
    changes = (
        {"name": "x"},
        {"metric": "fid"},
        {"n_samples": 49},
        {"n_repeats": 3},
        {"seed": 1},
        {"classifier": classifier},
    )
    others = [protocol.model_copy(update=change).digest(facts) for change in changes]
    others.append(protocol.digest(dataclasses.replace(facts, n_train=49)))
    assert len({digest, *others}) == 1 + len(others)


@pytest.mark.parametrize("metric", ["kvd", "fid", "fvd"])
def test_distances_are_small_for_clips_like_real_ones_and_far_larger_for_noise(metric, score, synthesise, train, test):
    alike, noise = score(metric, synthesise), score(metric, RUNGS["noise"](train, test))
    assert abs(alike.mean) < 0.15 * noise.mean
    assert abs(alike.real) < 0.15 * noise.mean
    assert alike.real == noise.real, "the floor depends on the data, not on the samples"


def test_the_kernel_distance_of_clips_like_real_ones_has_either_sign(score, synthesise):
    values = score("kvd", synthesise, n_samples=12, n_repeats=12).values
    assert min(values) < 0 < max(values)


def test_distances_are_those_of_all_samples_to_all_real_training_clips(
    score, network, tiny, coloured_frames, train, test
):
    drawn = {}

    def noted(purpose, labels, seed):
        drawn[seed] = coloured_frames(labels, seed)
        return drawn[seed]

    values = {metric: score(metric, noted, n_samples=40, n_repeats=1) for metric in ("fid", "fvd", "kvd")}
    assert list(drawn) == [0]
    for metric, layer in (("fid", "penultimate"), ("fvd", "logits"), ("kvd", "penultimate")):
        fake, real, other = (features(network, f, tiny.recipe, layer) for f in (drawn[0], train.frames, test.frames))
        distance = kernel_distance if metric == "kvd" else lambda x, y: frechet_distance(*moments(x), *moments(y))
        assert values[metric].mean == pytest.approx(distance(fake, real), rel=1e-6)
        assert values[metric].mean == pytest.approx(distance(real, fake), rel=1e-6), "it is symmetric"
        assert values[metric].real == pytest.approx(distance(other, real), rel=1e-6)
        assert values[metric].n_features == fake.shape[1]


def test_training_clips_have_frechet_distance_zero_and_a_negative_kernel_distance(score, protocol_of, train, test):
    def same(purpose, labels, seed):
        return train.frames

    assert score("fid", same, n_samples=48).mean == pytest.approx(0, abs=1e-5)
    assert score("kvd", same, n_samples=48).mean < 0


def test_the_inception_score_is_between_one_and_the_number_of_classes(score, synthesise, train, test):
    alike, noise = score("is", synthesise), score("is", RUNGS["noise"](train, test))
    assert 1 <= noise.mean < 1.3 < alike.mean <= 3
    assert 1 < alike.real <= 3
    assert alike.n_features == 3


def test_an_inception_score_above_the_real_clips_gets_a_warning(score, train, test, network, tiny):
    surest = features(network, train.frames, tiny.recipe, "logits").softmax(1)
    exemplars = torch.stack([surest[:, label].argmax() for label in range(3)])
    result = score("is", lambda purpose, labels, seed: train.frames[exemplars[torch.arange(len(labels)) % 3]])
    assert result.mean > result.real
    assert any("the classifier is more certain about samples than about real clips" in w for w in result.warnings)


def test_each_repeat_draws_new_samples_and_labels_and_progress_counts_them(
    protocol_of, network, train, test, synthesise, monkeypatch
):
    monkeypatch.setattr(module, "SAMPLES_AT_ONCE", 20)
    requests, reported = [], []

    def noted(purpose, labels, seed):
        requests.append((purpose, seed, labels))
        return synthesise(purpose, labels, seed)

    result = feature_score(
        protocol_of("kvd", n_repeats=3), "d1", network, train, test, noted, lambda *counts: reported.append(counts)
    )
    assert {purpose for purpose, _, _ in requests} == {"samples"}
    assert len({seed for _, seed, _ in requests}) == len(requests) == 9, "48 samples by 20, three times: nine seeds"
    assert [len(labels) for _, _, labels in requests] == 3 * [20, 20, 8]
    of_repeat = [torch.cat([labels for _, _, labels in requests[i : i + 3]]) for i in (0, 3, 6)]
    assert all(torch.equal(labels, sample_labels(train, 48, seed)) for seed, labels in enumerate(of_repeat))
    assert not torch.equal(of_repeat[0], of_repeat[1])
    assert reported == [(n, 144) for n in (20, 40, 48, 68, 88, 96, 116, 136, 144)]
    assert len(set(result.values)) == 3


def test_mean_and_spread_are_the_repeats_and_one_repeat_has_no_spread(score, synthesise):
    three, one = score("kvd", synthesise, n_repeats=3), score("kvd", synthesise, n_repeats=1)
    values = torch.tensor(three.values, dtype=torch.float64)
    assert three.mean == pytest.approx(values.mean().item())
    assert three.spread == pytest.approx(values.std(correction=0).item())
    assert one.values == three.values[:1]
    assert math.isnan(one.spread)
    assert json.loads(json.dumps(one.to_json(), allow_nan=False))["spread"] is None


def test_a_score_depends_only_on_its_protocol(score, synthesise):
    torch.rand(3)  # other draws must not matter
    assert score("fid", synthesise) == score("fid", synthesise)


def test_singular_covariances_and_unequal_counts_get_warnings(score, synthesise):
    by_32_features = score("fid", synthesise, n_samples=32).warnings
    assert "32 samples for 32 features: their covariance is singular, the distance biased." in by_32_features
    assert "24 real test clips for 32 features: their covariance is singular, the distance biased." in by_32_features
    assert not any("48 real train clips" in warning for warning in by_32_features)
    assert "biased by the number of clips: 32 samples, but 24 real test clips." in by_32_features
    assert score("fvd", synthesise, n_samples=24).warnings == []
    assert score("kvd", synthesise, n_samples=32).warnings == []


def test_copies_among_samples_get_a_warning(score, synthesise, train, test):
    result = score("kvd", RUNGS["real"](train, test))
    assert result.warnings == ["only 24 of 48 samples differ: the others are copies of them."]


@pytest.mark.parametrize("metric", ["is", "fvd"])
def test_metrics_that_need_classes_are_refused_with_one_class(metric, protocol_of, network, train, test, synthesise):
    one, other = (LabelledClips(c.frames, torch.zeros_like(c.labels), 1) for c in (train, test))
    with pytest.raises(ValueError, match=f"{metric}_tiny needs a classifier of at least 2 classes, got 1"):
        feature_score(protocol_of(metric), "d1", network, one, other, synthesise)


def test_random_features_separate_one_class_from_noise(protocol_of, tiny, train, test, synthesise):
    one, other = (LabelledClips(c.frames, torch.zeros_like(c.labels), 1) for c in (train, test))
    network = fit_on_real(tiny, one, other, seed=0).network(tiny)

    def alike(purpose, labels, seed):
        return synthesise(purpose, torch.arange(len(labels)) % 3, seed)

    scores = [
        feature_score(protocol_of("kvd"), "d", network, one, other, s) for s in (alike, RUNGS["noise"](one, other))
    ]
    assert abs(scores[0].mean) < 0.05 * scores[1].mean


def test_one_real_test_clip_has_no_distance(protocol_of, network, train, test, synthesise):
    with pytest.raises(ValueError, match="at least 2"):
        feature_score(protocol_of("kvd"), "d1", network, train, test.subset(torch.tensor([0])), synthesise)


def test_clips_of_another_shape_than_the_real_ones_are_refused(score, synthesise):
    with pytest.raises(ValueError, match=r"must be uint8 \(48, 8, 32, 32, 3\)"):
        score("kvd", lambda *asked: synthesise(*asked)[:, :, ::2, ::2])


def clips_labelled(labels: list[int], n_classes: int) -> LabelledClips:
    return LabelledClips(torch.zeros(len(labels), 8, 1, 1, 3, dtype=torch.uint8), torch.tensor(labels), n_classes)


def test_labels_of_samples_have_the_frequencies_of_the_training_clips():
    train, n = clips_labelled([0] * 5 + [1] * 3 + [3] * 2, 4), 10_000
    labels = sample_labels(train, n, seed=0)
    for label, p in enumerate((0.5, 0.3, 0.0, 0.2)):
        assert (labels == label).double().mean() == pytest.approx(p, abs=5 * math.sqrt(p * (1 - p) / n))
    assert torch.equal(labels, sample_labels(train, n, seed=0))
    assert not torch.equal(labels, sample_labels(train, n, seed=1))


def test_labels_of_samples_leave_the_kernel_distance_unbiased():
    train = clips_labelled([0, 1, 2] * 200, 3)
    perfect = F.one_hot(train.labels).float()
    distances = torch.tensor(
        [kernel_distance(F.one_hot(sample_labels(train, 9, seed), 3).float(), perfect) for seed in range(225)]
    )
    error = distances.std() / 15
    assert abs(distances.mean()) < 3 * error
    in_equal_shares = kernel_distance(perfect[:9], perfect)
    assert in_equal_shares < -6 * error, "the biased distance of a perfect generator if labels had exact shares"


def test_a_look_at_the_distance_is_larger_for_better_clips(tiny, network, train, test, synthesise):
    real_features = features(network, train.frames, tiny.recipe, "penultimate")
    samples = synthesise("look", test.labels, 5).float()
    fading = [(samples * (1 - by) + 110 * by).to(torch.uint8) for by in (0.0, 0.3, 0.6)]
    looks = [kernel_look(features(network, rung, tiny.recipe, "penultimate"), real_features) for rung in fading]
    assert looks[0] > looks[1] > looks[2]
