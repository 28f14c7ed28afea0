"""Weights files that a user supplies: read with `weights_only`; errors name the tensors that do not fit."""

import hashlib
import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from videogan.config import ConfigurationError

N_NAMED = 3


@dataclass(frozen=True)
class StoredWeights:
    """The content of a file: tensors by name, the entries beside "state_dict", and the file's sha256 (hex)."""

    state: dict[str, Tensor]
    beside: dict[str, Any]
    sha256: str


def read_weights(path: Path | str, what: str, remedy: str) -> StoredWeights:
    """Read a state dict, or a dict that holds one under "state_dict", from a file written by torch.save.

    `what` names the file in errors ("classifier weights"); `remedy` says where to get a complete one. A "module."
    prefix of names is dropped. Raises ConfigurationError if the file cannot be read or holds anything else.
    """
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise ConfigurationError(
            f"{path}: {what} must be a readable file, got {error.strerror or error}; check the path."
        ) from None
    stored = _loaded(content, f"{path}: {what}", remedy)
    has_beside = isinstance(stored, dict) and "state_dict" in stored
    state = stored["state_dict"] if has_beside else stored
    if not isinstance(state, dict) or not state or not all(isinstance(value, Tensor) for value in state.values()):
        held = f"a dict with {_some(state)}" if isinstance(state, dict) else f"a {type(state).__name__}"
        raise ConfigurationError(
            f"{path}: {what} must be a dict of tensors by name, alone or under 'state_dict', got {held}; "
            "save network.state_dict()."
        )
    named = {str(name).removeprefix("module."): value for name, value in state.items()}
    beside = {name: value for name, value in stored.items() if name != "state_dict"} if has_beside else {}
    return StoredWeights(named, beside, hashlib.sha256(content).hexdigest())


def _loaded(content: bytes, subject: str, remedy: str) -> Any:  # what torch.load returns, not yet checked
    try:
        return torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    # torch raises RuntimeError, UnpicklingError, EOFError, KeyError or OSError for a damaged or foreign file.
    except Exception as error:
        reason = next(iter(str(error).splitlines()), "")
        raise ConfigurationError(
            f"{subject} must be a complete torch.save file of tensors and numbers, got {len(content):,} bytes "
            f"that does not load ({type(error).__name__}: {reason[:200]}); {remedy}"
        ) from error


def refuse_other_weights(found: Mapping[str, Tensor], expected: Mapping[str, Tensor], must: str, remedy: str) -> None:
    """Raise ConfigurationError if any tensor is missing, unexpected, of another shape or not finite; names them.

    `must` starts the message ("w.pt: classifier weights must be those of a TSN"), `remedy` ends it. A missing
    num_batches_tracked is allowed: files from before torch 0.4 lack it, and nothing here reads it.
    """
    shared = [name for name in expected if name in found]
    kinds = {
        "missing": [name for name in expected if name not in found and not name.endswith(".num_batches_tracked")],
        "unexpected": [name for name in found if name not in expected],
        "misshapen": [
            f"{name} {tuple(found[name].shape)} instead of {tuple(expected[name].shape)}"
            for name in shared
            if found[name].shape != expected[name].shape
        ],
        "not finite": [name for name in shared if not found[name].isfinite().all()],
    }
    problems = [f"{len(names)} {kind} ({_some(names)})" for kind, names in kinds.items() if names]
    if problems:
        raise ConfigurationError(f"{must}, got {', '.join(problems)}; {remedy}")


def _some(names: Iterable[Any]) -> str:
    shown = [str(name) for name in names]
    return ", ".join(shown[:N_NAMED]) + (", ..." if len(shown) > N_NAMED else "") if shown else "nothing"
