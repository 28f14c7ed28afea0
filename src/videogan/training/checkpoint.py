"""Checkpoints of a run: written atomically, loaded with `weights_only`, the newest two and the best kept."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from videogan.config import parse_config
from videogan.families import FAMILIES
from videogan.families.contract import AnyGAN, Generator
from videogan.storage.atomic import write_atomically
from videogan.storage.step_files import StepFiles, UnreadableCheckpoint, read_checkpoint
from videogan.training.run_config import RunConfig


@dataclass(frozen=True)
class Checkpoint:
    """The state of a run after `step`: weights, optimisers, the average of the generator's weights where one is kept.

    `trained_on` is the digest of the manifest whose train split the run saw: on another data set, or another split of the
    same files, its test clips may be among those.
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


def load_checkpoint(path: Path | str) -> Checkpoint:
    """Reads one checkpoint file onto the CPU.

    Raises UnreadableCheckpoint where it is truncated, something else, or from before checkpoints said what they were
    trained on: no score of such a generator could be trusted.
    """
    says_its_data, checkpoint = read_checkpoint(
        path, lambda stored: ("trained_on" in stored, Checkpoint(**{"trained_on": "", **stored}))
    )
    if not says_its_data:
        raise UnreadableCheckpoint(
            f"{path} does not say which data set it was trained on, as checkpoints of earlier versions did not; train it anew."
        )
    return checkpoint


def generator_from(path: Path | str) -> tuple[Generator, RunConfig]:
    """The generator to sample from (the average where one is kept), in eval mode, and the config it was trained with."""
    networks, config = networks_from(path)
    return networks.generator, config


def networks_from(path: Path | str) -> tuple[AnyGAN, RunConfig]:
    """A family's networks in eval mode, their generator the one to sample from, and the config they were trained with."""
    return networks_of(load_checkpoint(path), path)


def networks_of(checkpoint: Checkpoint, path: Path | str) -> tuple[AnyGAN, RunConfig]:
    """The same of a checkpoint that was read from `path`."""
    config = parse_config(RunConfig, checkpoint.config, source=str(path))
    networks = FAMILIES[config.model.family].build(config.model)
    if checkpoint.average is None:
        networks.generator.load_state_dict(checkpoint.generator)
    else:
        prefix = "module."
        average = {k.removeprefix(prefix): value for k, value in checkpoint.average.items() if k.startswith(prefix)}
        networks.generator.load_state_dict(average)
    for name, network in networks.discriminators.items():
        network.load_state_dict(checkpoint.discriminators[name])
        network.eval()
    networks.generator.eval()
    return networks, config


class CheckpointFolder(StepFiles[Checkpoint]):
    """The checkpoints of one run, and which of them looked best, which is kept beside the newest."""

    load = staticmethod(load_checkpoint)

    def save(self, checkpoint: Checkpoint) -> Path:
        """Writes `step<step>.pt` so that a reader sees all of it or nothing, then drops what retention no longer keeps."""
        best = self._best()
        return self.write(checkpoint.step, dict(_fields(checkpoint)), kept=() if best is None else (best["step"],))

    def mark_best(self, step: int, look: float) -> bool:
        """Remembers `step` as the best where its look exceeds all before; returns whether it does."""
        best = self._best()
        if best is not None and best["look"] >= look:
            return False
        payload = json.dumps({"step": step, "look": look}).encode()
        write_atomically(self.folder / "best.json", lambda stream: stream.write(payload))
        return True

    def best(self) -> Path | None:
        """The checkpoint with the best look, else the newest; none where nothing was saved."""
        best = self._best()
        if best is not None and self.path(best["step"]).exists():
            return self.path(best["step"])
        steps = self.steps()
        return self.path(steps[-1]) if steps else None

    def _best(self) -> dict[str, Any] | None:
        path = self.folder / "best.json"
        return json.loads(path.read_text()) if path.exists() else None


def _fields(checkpoint: Checkpoint) -> Iterator[tuple[str, Any]]:
    """The checkpoint's own fields; not `asdict`, which would copy every tensor."""
    return ((name, getattr(checkpoint, name)) for name in checkpoint.__dataclass_fields__)
