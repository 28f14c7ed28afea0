"""A file of PWC-Net weights, the published ones or those of `fit_flow`, as a network."""

import hashlib
import io
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from videogan.config import ConfigurationError
from videogan.flow.pwc_net import PWCNet

N_NAMED = 3


def pwc_net_from(path: Path | str) -> tuple[PWCNet, str]:
    """The network of the file at `path`, in eval mode and frozen, and the sha256 (hex) of the file.

    The file is what torch.save wrote of a state dict, or of a dict with one under "state_dict" and the network's "width"
    beside it; without, the width is 1. Names are those of the PyTorch reimplementation, `netTwo...` as in its code or
    `moduleTwo...` as in its published file; a "module." before every name is dropped. Raises ConfigurationError where the
    file cannot be read or anything is missing, unexpected, of another shape or not finite.
    """
    content = _content(path)
    state, width = _state_and_width(content, path)
    with torch.device("meta"):
        network = PWCNet(width)
    _refuse_others(state, network.state_dict(), width, path)
    network.load_state_dict({name: value.float() for name, value in state.items()}, assign=True)
    return network.eval().requires_grad_(False), hashlib.sha256(content).hexdigest()


def _content(path: Path | str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise ConfigurationError(
            f"{path}: flow weights must be a file that can be read, got {error.strerror or error}; check the path."
        ) from None


def _state_and_width(content: bytes, path: Path | str) -> tuple[dict[str, Tensor], float]:
    try:
        stored: Any = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    # torch reports a damaged or foreign file as RuntimeError, UnpicklingError, EOFError, KeyError or OSError, by where
    # it stumbles.
    except Exception as error:
        reason = next(iter(str(error).splitlines()), "")
        raise ConfigurationError(
            f"{path}: flow weights must be a whole file of torch.save with nothing but tensors and numbers in it, "
            f"got one of {len(content):,} bytes that does not load ({type(error).__name__}: {reason[:200]}); "
            "copy it again, or make one with vgsearch flow fit."
        ) from error
    state, width = stored, 1.0
    if isinstance(stored, dict) and "state_dict" in stored:
        state, width = stored["state_dict"], stored.get("width", 1.0)
    if not isinstance(state, dict) or not state or not all(isinstance(value, Tensor) for value in state.values()):
        held = f"a dict with {_some(state)}" if isinstance(state, dict) else f"a {type(state).__name__}"
        raise ConfigurationError(
            f"{path}: flow weights must be a dict of tensors by name, alone or under 'state_dict', got {held}; "
            "save network.state_dict()."
        )
    return {_as_ours(str(name)): value for name, value in state.items()}, float(width)


def _as_ours(name: str) -> str:
    return name.removeprefix("module.").replace("module", "net")


def _refuse_others(found: dict[str, Tensor], expected: dict[str, Tensor], width: float, path: Path | str) -> None:
    shared = [name for name in expected if name in found]
    kinds = {
        "missing": [name for name in expected if name not in found],
        "unexpected": [name for name in found if name not in expected],
        "misshapen": [
            f"{name} {tuple(found[name].shape)} instead of {tuple(expected[name].shape)}"
            for name in shared
            if found[name].shape != expected[name].shape
        ],
        "not finite": [name for name in shared if not found[name].isfinite().all()],
    }
    problems = [f"{len(names)} {what} ({_some(names)})" for what, names in kinds.items() if names]
    if problems:
        raise ConfigurationError(
            f"{path}: flow weights must be those of a PWC-Net of width {width:g}, got {', '.join(problems)}; "
            "choose another file, or put the width it was fitted with under 'width' in it."
        )


def _some(names: Any) -> str:
    shown = [str(name) for name in names]
    return ", ".join(shown[:N_NAMED]) + (", ..." if len(shown) > N_NAMED else "") if shown else "nothing"
