"""A user's file of classifier weights, such as ImageNet or Kinetics ones, loaded into a classifier."""

import hashlib
import io
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from videogan.config import ConfigurationError

CLASSIFICATION_LAYER = "classify."
# What public files call it: torchvision's ResNet-50, the PyTorch I3D.
PUBLIC_NAMES_OF_IT = ("fc.", "logits.conv3d.")
N_NAMED = 3


def load_weights_(network: nn.Module, path: Path | str) -> str:
    """Puts the weights of the file at `path` into a classifier; returns the sha256 (hex) of the file.

    The file is what torch.save wrote of a state dict, or of a dict with one under "state_dict"; a "module." before every
    name is dropped. A classification layer that is absent or of another number of classes stays as initialised, which a
    UserWarning tells. Raises ConfigurationError, with the network as it was, where the file cannot be read or
    anything else is missing, unexpected, of another shape or not finite.
    """
    content = _content(path)
    found = _as_ours(_state_dict(content, path))
    expected = network.state_dict()
    ours, theirs = _classification_layer(expected), _classification_layer(found)
    is_another = _shapes(ours) != _shapes(theirs)
    if is_another:
        found = {name: value for name, value in found.items() if name not in theirs} | ours
    _refuse_others(found, expected, type(network).__name__, path)
    if is_another:
        warnings.warn(
            f"{path}: the classification layer must be {_shapes(ours)}, got {_shapes(theirs) or 'none'}; ours stays as "
            "initialised, the other weights are the file's.",
            UserWarning,
            stacklevel=2,
        )
    # Files from before torch 0.4 do not count batches, and nothing here reads that count.
    network.load_state_dict(expected | found)
    return hashlib.sha256(content).hexdigest()


def _content(path: Path | str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise ConfigurationError(
            f"{path}: classifier weights must be a file that can be read, got {error.strerror or error}; check the path."
        ) from None


def _state_dict(content: bytes, path: Path | str) -> dict[str, Tensor]:
    try:
        stored: Any = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    # torch reports a damaged or foreign file as RuntimeError, UnpicklingError, EOFError, KeyError or OSError, by where
    # it stumbles.
    except Exception as error:
        reason = next(iter(str(error).splitlines()), "")
        raise ConfigurationError(
            f"{path}: classifier weights must be a whole file of torch.save with nothing but tensors in it, "
            f"got one of {len(content):,} bytes that does not load ({type(error).__name__}: {reason[:200]}); "
            "copy it again, or save network.state_dict() alone."
        ) from error
    state = stored.get("state_dict", stored) if isinstance(stored, dict) else stored
    if not isinstance(state, dict) or not state or not all(isinstance(value, Tensor) for value in state.values()):
        held = f"a dict with {_some(state)}" if isinstance(state, dict) else f"a {type(state).__name__}"
        raise ConfigurationError(
            f"{path}: classifier weights must be a dict of tensors by name, alone or under 'state_dict', got {held}; "
            "save network.state_dict()."
        )
    return {str(name): value for name, value in state.items()}


def _as_ours(state: dict[str, Tensor]) -> dict[str, Tensor]:
    ours = {}
    for name, value in state.items():
        name = name.removeprefix("module.")
        public = next((prefix for prefix in PUBLIC_NAMES_OF_IT if name.startswith(prefix)), None)
        if public:
            name = CLASSIFICATION_LAYER + name.removeprefix(public)
            # the PyTorch I3D classifies by a 1x1x1 convolution
            value = value.flatten(1) if value.dim() > 1 else value
        ours[name] = value
    return ours


def _classification_layer(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: value for name, value in state.items() if name.startswith(CLASSIFICATION_LAYER)}


def _shapes(state: dict[str, Tensor]) -> dict[str, tuple[int, ...]]:
    return {name: tuple(value.shape) for name, value in state.items()}


def _refuse_others(found: dict[str, Tensor], expected: dict[str, Tensor], kind: str, path: Path | str) -> None:
    missing = [name for name in expected if name not in found and not name.endswith(".num_batches_tracked")]
    unexpected = [name for name in found if name not in expected]
    shared = [name for name in expected if name in found]
    misshapen = [
        f"{name} {tuple(found[name].shape)} instead of {tuple(expected[name].shape)}"
        for name in shared
        if found[name].shape != expected[name].shape
    ]
    not_finite = [name for name in shared if not found[name].isfinite().all()]
    kinds = {"missing": missing, "unexpected": unexpected, "misshapen": misshapen, "not finite": not_finite}
    problems = [f"{len(names)} {what} ({_some(names)})" for what, names in kinds.items() if names]
    if problems:
        raise ConfigurationError(
            f"{path}: classifier weights must be those of a {kind} of this width, got {', '.join(problems)}; "
            "choose the protocol these weights belong to, or another file."
        )


def _some(names: Any) -> str:
    shown = [str(name) for name in names]
    return ", ".join(shown[:N_NAMED]) + (", ..." if len(shown) > N_NAMED else "") if shown else "nothing"
