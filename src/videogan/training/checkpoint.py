"""Checkpoints of a run: written atomically, loaded with `weights_only`, the newest two and the best kept."""

import json
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from videogan.atomic import write_atomically
from videogan.config import parse_config
from videogan.families import FAMILIES
from videogan.training.run_config import RunConfig

N_NEWEST = 2


class UnreadableCheckpoint(RuntimeError):
    """A file that is no whole checkpoint; says which and why."""


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
    try:
        stored = torch.load(path, map_location="cpu", weights_only=True)
        says_its_data = "trained_on" in stored
        checkpoint = Checkpoint(**{"trained_on": "", **stored})
    except FileNotFoundError:
        raise UnreadableCheckpoint(
            f"{path} does not exist; give a file such as .../checkpoints/step00001000.pt."
        ) from None
    # torch reports a damaged file as RuntimeError, UnpicklingError, EOFError, KeyError or OSError, by where the damage is.
    except Exception as error:
        raise UnreadableCheckpoint(
            f"{path} does not load ({type(error).__name__}: {str(error).splitlines()[0]})."
        ) from error
    if not says_its_data:
        raise UnreadableCheckpoint(
            f"{path} does not say which data set it was trained on, as checkpoints of earlier versions did not; train it anew."
        )
    return checkpoint


def generator_from(path: Path | str) -> tuple[nn.Module, RunConfig]:
    """The generator to sample from (the average where one is kept), in eval mode, and the config it was trained with."""
    networks, config = networks_from(path)
    return networks.generator, config


def networks_from(path: Path | str) -> tuple[Any, RunConfig]:
    """A family's networks in eval mode, their generator the one to sample from, and the config they were trained with."""
    return networks_of(load_checkpoint(path), path)


def networks_of(checkpoint: Checkpoint, path: Path | str) -> tuple[Any, RunConfig]:
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


class CheckpointFolder:
    """The checkpoints of one run, and which of them looked best."""

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder)

    def save(self, checkpoint: Checkpoint) -> Path:
        """Writes `step<step>.pt` so that a reader sees all of it or nothing, then drops what retention no longer keeps."""
        path = self.path(checkpoint.step)
        write_atomically(path, lambda stream: torch.save(dict(_fields(checkpoint)), stream))
        self._drop_old()
        return path

    def path(self, step: int) -> Path:
        return self.folder / f"step{step:08d}.pt"

    def newest(self) -> Checkpoint | None:
        """The newest checkpoint that loads; warns for each newer one that does not."""
        for step in reversed(self.steps()):
            try:
                return load_checkpoint(self.path(step))
            except UnreadableCheckpoint as error:
                warnings.warn(f"{error} Using the one before it.", RuntimeWarning, stacklevel=2)
        return None

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

    def steps(self) -> list[int]:
        return sorted(int(path.stem.removeprefix("step")) for path in self.folder.glob("step*.pt"))

    def _best(self) -> dict[str, Any] | None:
        path = self.folder / "best.json"
        return json.loads(path.read_text()) if path.exists() else None

    def _drop_old(self) -> None:
        best = self._best()
        for step in self.steps()[:-N_NEWEST]:
            if best is None or step != best["step"]:
                self.path(step).unlink()


def _fields(checkpoint: Checkpoint) -> Iterator[tuple[str, Any]]:
    """The checkpoint's own fields; not `asdict`, which would copy every tensor."""
    return ((name, getattr(checkpoint, name)) for name in checkpoint.__dataclass_fields__)
