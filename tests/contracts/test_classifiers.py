"""The contract of every classifier: sizes, seeds, precision, layout, independence of clips."""

import pytest
import torch
from torch import Tensor, nn

from videogan.classifiers import CLASSIFIERS
from videogan.classifiers.fit import Recipe, classes_of
from videogan.nets.layout import lay_channels_last_

SIZE = {"r3d18": 32, "tsn": 32, "eco_lite": 32, "c3d": 112, "i3d": 32}
DROPOUT = {"r3d18": 0.6, "tsn": 0.8, "eco_lite": 0.6, "c3d": 0.5, "i3d": 0.5}
FEATURES_AT_64 = {"r3d18": 512, "tsn": 2048, "eco_lite": 512, "c3d": 4096, "i3d": 1024}
BLIND_TO_FRAME_ORDER = {"tsn"}


def built(name: str, seed: int = 0, n_classes: int = 3, **settings: float) -> nn.Module:
    torch.manual_seed(seed)
    return CLASSIFIERS[name](n_classes, **{"width": 4, **settings})


def clips(name: str, n: int = 2) -> Tensor:
    rng = torch.Generator().manual_seed(0)
    return torch.rand(n, 16, 3, SIZE[name], SIZE[name], generator=rng) * 2 - 1


def test_every_classifier_is_covered_by_the_contract_tests():
    assert set(SIZE) == set(DROPOUT) == set(FEATURES_AT_64) == set(CLASSIFIERS)


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_eval_logits_are_the_last_layer_on_the_features(name: str):
    classifier, video = built(name).eval(), clips(name)
    with torch.no_grad():
        features, logits = classifier.features(video), classifier(video)
    assert features.shape == (2, classifier.n_features)
    assert logits.shape == (2, 3)
    torch.testing.assert_close(logits, classifier.classify(features), rtol=1e-5, atol=1e-6)
    recipe = Recipe(precision="fp32")
    assert classes_of(classifier.train(), features, recipe).equal(logits.argmax(1))


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_width_scales_the_features_and_one_channel_is_enough(name: str):
    for width, expected in ((64, FEATURES_AT_64[name]), (128, 2 * FEATURES_AT_64[name])):
        with torch.device("meta"):
            assert built(name, width=width).n_features == expected
    narrow = built(name, width=1).eval()
    with torch.no_grad():
        assert narrow.features(clips(name, 1)).shape == (1, narrow.n_features)


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_the_same_seed_makes_the_same_weights_and_another_seed_others(name: str):
    first, second, other = (built(name, seed).state_dict() for seed in (0, 0, 1))
    assert all(torch.equal(value, second[key]) for key, value in first.items())
    assert not torch.equal(first["classify.weight"], other["classify.weight"])


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_a_reloaded_state_gives_the_same_bits(name: str):
    first, other, video = built(name).eval(), built(name, seed=1).eval(), clips(name)
    other.load_state_dict(first.state_dict())
    with torch.no_grad():
        assert torch.equal(first(video), other(video))


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_eval_logits_of_a_clip_do_not_depend_on_the_others(name: str):
    classifier, video = built(name).eval(), clips(name, 3)
    with torch.no_grad():
        torch.testing.assert_close(classifier(video)[1:2], classifier(video[1:2]), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_only_tsn_is_blind_to_the_order_of_frames(name: str):
    classifier, video = built(name).eval(), clips(name)
    shuffled = video[:, torch.randperm(16, generator=torch.Generator().manual_seed(1))]
    with torch.no_grad():
        logits, of_shuffled = classifier(video), classifier(shuffled)
    change = ((logits - of_shuffled).norm() / logits.norm()).item()
    assert (change < 1e-5) == (name in BLIND_TO_FRAME_ORDER), change


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_dropout_is_the_papers_and_acts_in_training_only(name: str):
    classifier, video = built(name), clips(name)
    assert classifier.dropout.p == DROPOUT[name]
    with torch.no_grad():
        assert not torch.equal(classifier(video), classifier(video))
        classifier.eval()
        assert torch.equal(classifier(video), classifier(video))
        without = built(name, dropout=0.0)
        assert torch.equal(without(video), without(video))


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_layout_changes_no_logit(name: str):
    classifier, video = built(name).eval(), clips(name)
    with torch.no_grad():
        expected = classifier(video)
        torch.testing.assert_close(lay_channels_last_(classifier)(video), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_bf16_and_channels_last_give_every_parameter_a_finite_gradient(name: str):
    # Large numbers in freed memory reveal a gradient that was never written.
    classifier, video = lay_channels_last_(built(name, dropout=0.0)), clips(name, 3)
    with torch.autocast("cpu", torch.bfloat16):
        logits = classifier(video)
    blocks = [torch.full((n,), 3e38) for n in (100, 1000, 4000, 16_000, 64_000) for _ in range(5)]
    del blocks
    nn.functional.cross_entropy(logits.float(), torch.arange(3)).backward()
    gradients = {key: parameter.grad for key, parameter in classifier.named_parameters()}
    assert not [key for key, gradient in gradients.items() if gradient is None or not gradient.isfinite().all()]
    assert max(gradient.abs().max().item() for gradient in gradients.values()) < 1e3
