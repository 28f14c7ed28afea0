"""A protocol says which size a classifier sees, and which part of it: the centre is cropped after the resize."""

import pytest
import torch

from videogan.protocols.classifier import ClassifierProtocol, DataFacts, ResizingClassifier

FACTS = DataFacts("ab" * 32, "plain_32", n_classes=3, n_clips=(("train", 48), ("test", 24)))


class Seen(torch.nn.Module):
    """Returns what the classifier sees, in place of logits and of features."""

    def forward(self, video: torch.Tensor) -> torch.Tensor:
        return video

    def features(self, video: torch.Tensor) -> torch.Tensor:
        return video


def test_the_centre_is_cropped_after_the_resize():
    video = torch.rand(1, 2, 3, 32, 32)
    resized, cropping = ResizingClassifier(Seen(), 128)(video), ResizingClassifier(Seen(), 128, 112)
    assert cropping(video).equal(resized[..., 8:120, 8:120])
    assert cropping.features(video).equal(cropping(video))
    assert cropping(resized).equal(resized[..., 8:120, 8:120]), "frames of that size are not resized again"


def test_a_squeezed_frame_is_not_the_cropped_one():
    video = torch.rand(1, 2, 3, 64, 64)
    squeezed, cropped = ResizingClassifier(Seen(), 112)(video), ResizingClassifier(Seen(), 128, 112)(video)
    assert squeezed.shape == cropped.shape == (1, 2, 3, 112, 112)
    assert not torch.allclose(squeezed, cropped, atol=0.1)


@pytest.mark.parametrize(("size", "crop"), [(None, 112), (100, 112)])
def test_a_crop_larger_than_the_resized_frame_is_refused(tiny, size, crop):
    with pytest.raises(ValueError, match="crop must be at most size, got 112"):
        ClassifierProtocol(**{**tiny.model_dump(), "size": size, "crop": crop})


def test_the_digest_knows_the_crop_and_a_built_classifier_has_it(tiny):
    plain, cropped = (tiny.model_copy(update={"size": 64, "crop": crop}) for crop in (None, 32))
    assert plain.digest(FACTS) != cropped.digest(FACTS)
    assert (cropped.fresh(3, seed=0).size, cropped.fresh(3, seed=0).crop) == (64, 32)
