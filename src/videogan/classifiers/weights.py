"""Loads a user's weights file, for example of ImageNet or Kinetics, into a classifier."""

import warnings
from pathlib import Path

from torch import Tensor, nn

from videogan.config import ConfigurationError
from videogan.storage.weights_file import StoredWeights, read_weights, refuse_other_weights

CLASSIFICATION_LAYER = "classify."
# Its names in public files: torchvision's ResNet-50, the PyTorch I3D.
PUBLIC_NAMES_OF_IT = ("fc.", "logits.conv3d.")


def load_weights_(network: nn.Module, path: Path | str) -> str:
    """Load the weights of the file at `path` into a classifier; return the file's sha256 (hex).

    The file is a state dict, or a dict with one under "state_dict", written by torch.save; a "module." prefix is
    dropped. If the classification layer is missing or has another number of classes, ours keeps its initial weights,
    with a UserWarning. Raises ConfigurationError and leaves the network unchanged if the file cannot be read or any
    other tensor is missing, unexpected, of another shape or not finite.
    """
    stored = _read(path)
    found = _as_ours(stored.state)
    expected = network.state_dict()
    ours, theirs = _classification_layer(expected), _classification_layer(found)
    is_another = _shapes(ours) != _shapes(theirs)
    if is_another:
        found = {name: value for name, value in found.items() if name not in theirs} | ours
    refuse_other_weights(
        found,
        expected,
        f"{path}: classifier weights must be those of a {type(network).__name__} of this width",
        "choose the protocol these weights belong to, or another file.",
    )
    if is_another:
        warnings.warn(
            f"{path}: the classification layer must be {_shapes(ours)}, got {_shapes(theirs) or 'none'}; ours stays as "
            "initialised, all other weights come from the file.",
            UserWarning,
            stacklevel=2,
        )
    network.load_state_dict(expected | found)
    return stored.sha256


def n_classes_of(path: Path | str) -> int:
    """The number of classes of the file's classification layer. Raises ConfigurationError if the file has none."""
    layer = _classification_layer(_as_ours(_read(path).state))
    if f"{CLASSIFICATION_LAYER}weight" not in layer:
        known = ", ".join(f"{prefix}weight" for prefix in (CLASSIFICATION_LAYER, *PUBLIC_NAMES_OF_IT))
        raise ConfigurationError(
            f"{path}: weights that are not trained further must include a classification layer ({known}), got none; "
            "save the file with that layer, or train the classifier."
        )
    return len(layer[f"{CLASSIFICATION_LAYER}weight"])


def _read(path: Path | str) -> StoredWeights:
    return read_weights(path, "classifier weights", "copy it again, or save network.state_dict() alone.")


def _as_ours(state: dict[str, Tensor]) -> dict[str, Tensor]:
    ours = {}
    for name, value in state.items():
        public = next((prefix for prefix in PUBLIC_NAMES_OF_IT if name.startswith(prefix)), None)
        if public:
            name = CLASSIFICATION_LAYER + name.removeprefix(public)
            # the PyTorch I3D classifies with a 1x1x1 convolution
            value = value.flatten(1) if value.dim() > 1 else value
        ours[name] = value
    return ours


def _classification_layer(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: value for name, value in state.items() if name.startswith(CLASSIFICATION_LAYER)}


def _shapes(state: dict[str, Tensor]) -> dict[str, tuple[int, ...]]:
    return {name: tuple(value.shape) for name, value in state.items()}
