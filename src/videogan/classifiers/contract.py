"""The interface of video classifiers, for their fit and the scores."""

from abc import ABC, abstractmethod

from torch import Tensor, nn


class VideoClassifier(nn.Module, ABC):
    """A network that classifies video (B, T, 3, H, W) in [-1, 1]; `forward` gives the class logits (B, K).

    Subclasses are built as C(n_classes, width=64, dropout=the paper's). `width` scales every layer.
    """

    classify: nn.Linear
    """The last layer: features (B, n_features) to logits (B, K)."""

    @abstractmethod
    def features(self, video: Tensor) -> Tensor:
        """Penultimate features (B, n_features), which `classify` reads."""
