"""Files of weights that a user brings: read with `weights_only`, refused by name where they do not fit."""

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
    """What a file holds: tensors by name, what stands beside a "state_dict", and the sha256 (hex) of the file."""

    state: dict[str, Tensor]
    beside: dict[str, Any]
    sha256: str


def read_weights(path: Path | str, what: str, remedy: str) -> StoredWeights:
    """The file at `path`, as torch.save wrote it of a state dict, or of a dict with one under "state_dict".

    `what` names it in errors ("classifier weights"), `remedy` tells where to get a whole one. A "module." before every name
    is dropped. Raises ConfigurationError where the file cannot be read or holds anything else.
    """
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise ConfigurationError(
            f"{path}: {what} must be a file that can be read, got {error.strerror or error}; check the path."
        ) from None
    try:
        stored: Any = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    # torch reports a damaged or foreign file as RuntimeError, UnpicklingError, EOFError, KeyError or OSError, by where
    # it stumbles.
    except Exception as error:
        reason = next(iter(str(error).splitlines()), "")
        raise ConfigurationError(
            f"{path}: {what} must be a whole file of torch.save with nothing but tensors and numbers in it, "
            f"got one of {len(content):,} bytes that does not load ({type(error).__name__}: {reason[:200]}); {remedy}"
        ) from error
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


def refuse_other_weights(found: Mapping[str, Tensor], expected: Mapping[str, Tensor], must: str, remedy: str) -> None:
    """Raises ConfigurationError where anything is missing, unexpected, of another shape or not finite, and names it.

    `must` says where and what it must be ("w.pt: classifier weights must be those of a TSN"), `remedy` what to do. Files
    from before torch 0.4 do not count batches, and nothing here reads that count.
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
