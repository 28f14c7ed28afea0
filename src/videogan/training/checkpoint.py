"""Checkpoints of a run: written atomically, loaded with `weights_only`, the newest two and the best kept."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

import torch
from pydantic import ValidationError

from videogan.config import Config, parse_config, with_overrides
from videogan.families import FAMILIES
from videogan.families.contract import AnyGAN, Generator
from videogan.metrics import VERSION, earlier_version
from videogan.nets.initialisation import LoadedLater
from videogan.storage.atomic import write_atomically
from videogan.storage.set_aside import set_aside
from videogan.storage.step_files import StepFiles, UnreadableCheckpoint, read_checkpoint
from videogan.training.run_config import RunConfig

BEST = "best.json"
"""Beside the checkpoints: the step with the best look, and the look."""


class Best(Config):
    """The content of best.json."""

    step: int
    look: float


@dataclass(frozen=True)
class Checkpoint:
    """The state of a run after `step`: weights, optimisers, and the average of the generator's weights if there is one.

    trained_on: the digest of the manifest whose train split the run saw. Under another manifest its training clips may
    be test clips.
    """

    step: int
    n_clips_seen: int
    trained_on: str
    config: dict[str, Any]
    generator: dict[str, Any]
    discriminators: dict[str, dict[str, Any]]
    optimiser_g: dict[str, Any]
    optimiser_d: dict[str, Any]
    average: dict[str, Any] | None

    def __post_init__(self) -> None:
        """Raise TypeError for a field of another type, as a file of another program may have."""
        for name, kinds in _TYPES.items():
            value = getattr(self, name)
            if not isinstance(value, kinds) or isinstance(value, bool):
                raise TypeError(f"{name} must be {kinds}, got a {type(value).__name__}")

    def run_config(self, source: Path | str) -> RunConfig:
        """The run's configuration; errors name `source`.

        A protocol of an earlier version is read as today's of its name: scores of the checkpoint are measured anew.
        """
        written, evaluation = self.config, self.config.get("evaluation")
        protocol = evaluation.get("protocol") if isinstance(evaluation, dict) else None
        if isinstance(protocol, str) and (version := earlier_version(protocol)) is not None:
            written = with_overrides(written, {"evaluation.protocol": protocol.replace(f"_{version}", f"_{VERSION}")})
        return parse_config(RunConfig, written, source=str(source))


_TYPES = {
    "step": int, "n_clips_seen": int, "trained_on": str, "config": dict, "generator": dict, "discriminators": dict,
    "optimiser_g": dict, "optimiser_d": dict, "average": dict | None,
}  # fmt: skip


def load_checkpoint(path: Path | str) -> Checkpoint:
    """Read one checkpoint file onto the CPU.

    Raises UnreadableCheckpoint if it is truncated, is no checkpoint, or does not name its training data (as in
    earlier versions): scores of such a generator cannot be trusted.
    """
    says_its_data, checkpoint = read_checkpoint(
        path, lambda stored: ("trained_on" in stored, Checkpoint(**{"trained_on": "", **stored}))
    )
    if not says_its_data:
        raise UnreadableCheckpoint(
            f"{path} does not name the data set it was trained on, as checkpoints of earlier versions did not; "
            "train it again."
        )
    return checkpoint


def generator_from(path: Path | str) -> tuple[Generator, RunConfig]:
    """The generator to sample from (the average if there is one), in eval mode, and the run's configuration."""
    return generator_of(load_checkpoint(path), path)


def generator_of(checkpoint: Checkpoint, path: Path | str) -> tuple[Generator, RunConfig]:
    """The same for a checkpoint already read from `path`, of which only the generator's weights must be there.

    Raises UnreadableCheckpoint if they do not fit.
    """
    networks, config = _built(checkpoint, path)
    with _fitting(path):
        _load_generator_(networks.generator, checkpoint)
    return networks.generator.eval(), config


def networks_from(path: Path | str) -> tuple[AnyGAN, RunConfig]:
    """The networks in eval mode, with the generator to sample from, and the run's configuration."""
    return networks_of(load_checkpoint(path), path)


def networks_of(checkpoint: Checkpoint, path: Path | str) -> tuple[AnyGAN, RunConfig]:
    """The same for a checkpoint already read from `path`; raises UnreadableCheckpoint if its weights do not fit."""
    if not checkpoint.discriminators:
        raise UnreadableCheckpoint(f"{path} holds a generator only, as vgsearch export writes it; give its checkpoint.")
    networks, config = _built(checkpoint, path)
    with _fitting(path):
        _load_generator_(networks.generator, checkpoint)
        for name, network in networks.discriminators.items():
            network.load_state_dict(checkpoint.discriminators[name])
    for network in networks.discriminators.values():
        network.eval()
    networks.generator.eval()
    return networks, config


def generator_only(checkpoint: Checkpoint) -> Checkpoint:
    """The checkpoint without all that only training needs; its generator is the one to sample from."""
    weights = checkpoint.generator if checkpoint.average is None else _averaged(checkpoint.average)
    return replace(checkpoint, generator=weights, average=None, discriminators={}, optimiser_g={}, optimiser_d={})


def save_checkpoint(checkpoint: Checkpoint, stream: BinaryIO) -> None:
    """Write a file that `load_checkpoint` reads."""
    torch.save(dict(_fields(checkpoint)), stream)


def _built(checkpoint: Checkpoint, path: Path | str) -> tuple[AnyGAN, RunConfig]:
    """The networks of a checkpoint before their weights, and the run's configuration."""
    config = checkpoint.run_config(path)
    with LoadedLater():
        return FAMILIES[config.model.family].build(config.model), config


@contextmanager
def _fitting(path: Path | str) -> Iterator[None]:
    """Raise UnreadableCheckpoint for weights that do not fit the networks."""
    try:
        yield
    # For a missing network, tensors of other names or shapes, or something else in the place of tensors.
    except (KeyError, RuntimeError, TypeError, AttributeError) as error:
        said = " ".join(str(error).split())[:300]
        raise UnreadableCheckpoint(f"{path} does not fit its own configuration ({said}); train it again.") from error


def _load_generator_(generator: Generator, checkpoint: Checkpoint) -> None:
    generator.load_state_dict(checkpoint.generator if checkpoint.average is None else _averaged(checkpoint.average))


def _averaged(average: Mapping[str, Any]) -> dict[str, Any]:
    prefix = "module."
    return {name.removeprefix(prefix): value for name, value in average.items() if name.startswith(prefix)}


class CheckpointFolder(StepFiles[Checkpoint]):
    """The checkpoints of one run: the newest two, and the one with the best look."""

    load = staticmethod(load_checkpoint)

    def save(self, checkpoint: Checkpoint) -> Path:
        """Write `step<step>.pt` atomically, then delete the checkpoints that are not kept."""
        best = self._best()
        return self.write(checkpoint.step, dict(_fields(checkpoint)), kept=() if best is None else (best.step,))

    def mark_best(self, step: int, look: float) -> bool:
        """Record `step` as the best if its look exceeds all earlier ones; returns whether it does."""
        best = self._best()
        if best is not None and best.look >= look:
            return False
        payload = json.dumps({"step": step, "look": look}).encode()
        write_atomically(self.folder / BEST, lambda stream: stream.write(payload))
        return True

    def best(self) -> Path | None:
        """The checkpoint with the best look, else the newest; None if there is none."""
        best = self._best()
        if best is not None and self.path(best.step).exists():
            return self.path(best.step)
        steps = self.steps()
        return self.path(steps[-1]) if steps else None

    def _best(self) -> Best | None:
        """The best look so far; a damaged best.json is set aside, and `mark_best` begins anew."""
        path = self.folder / BEST
        if not path.exists():
            return None
        try:
            return Best.model_validate_json(path.read_bytes())
        except (ValidationError, OSError) as error:
            said = str(error).splitlines()[0]
            set_aside(path, f"must hold a step and its look ({said})", "the best is found again from the looks")
            return None


def _fields(checkpoint: Checkpoint) -> Iterator[tuple[str, Any]]:
    """The fields of a checkpoint. `asdict` would copy every tensor."""
    return ((name, getattr(checkpoint, name)) for name in checkpoint.__dataclass_fields__)
