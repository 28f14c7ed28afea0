"""A trained generator to sample from."""

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import SupportsIndex

import torch
from torch import Tensor

from videogan.config import ConfigurationError, suggestion
from videogan.families.contract import Generator
from videogan.sampling.sampling import codes, render, sampling_copy
from videogan.training.checkpoint import generator_of, load_checkpoint
from videogan.training.exported_model import GENERATOR, exported_classes
from videogan.training.run_config import RunConfig


class Model:
    """A generator in eval mode, with standing statistics, and what is known of it."""

    def __init__(
        self, generator: Generator, config: RunConfig, classes: Sequence[str], trained_on: str, source: Path
    ) -> None:
        self.config, self.classes, self.trained_on, self.source = config, tuple(classes), trained_on, source
        standing = config.evaluation.standing_batches
        self.generator = sampling_copy(generator, config.model.n_classes, standing, seed=config.seed)

    def sample(
        self,
        n: int,
        labels: int | str | Sequence[int | str] | None = None,
        seed: int = 0,
        n_frames: int | None = None,
        truncation: float | None = None,
    ) -> Tensor:
        """`n` clips, uint8 (n, T, H, W, 3) on the CPU; clip i depends on the seed, i and its label only.

        labels: a class by number or name for all, or one for each clip; None: the classes in turn. truncation: redraws
        values beyond so many standard deviations. Raises ConfigurationError for what the model does not offer.
        """
        n, seed = _whole("n", n, 1), _whole("seed", seed, 0)
        n_frames = self.config.model.n_frames if n_frames is None else _whole("n_frames", n_frames, 1)
        if truncation is not None and not truncation > 0:
            raise ConfigurationError(f"truncation must be above 0 standard deviations, got {truncation}.")
        z = codes(self.generator, n, seed, n_frames=n_frames, truncation=truncation)
        return render(self.generator, z, self._labels(n, labels), n_frames)

    def _labels(self, n: int, labels: int | str | Sequence[int | str] | None) -> Tensor:
        if labels is None:
            return torch.arange(n) % self.config.n_conditions
        if not self.config.model.is_conditional:
            raise ConfigurationError(f"labels: this {self.config.model.family} generates without labels; leave it out.")
        each = [labels] * n if isinstance(labels, SupportsIndex | str) else list(labels)
        if len(each) != n:
            raise ConfigurationError(f"labels must be one for all clips, or {n}, one for each, got {len(each)}.")
        return torch.tensor([self._label(label) for label in each])

    def _label(self, label: int | str) -> int:
        if isinstance(label, str):
            if label not in self.classes:
                raise ConfigurationError(f"labels: no class '{label}'{suggestion(label, list(self.classes))}")
            return self.classes.index(label)
        if _whole("labels", label, 0) >= len(self.classes):
            raise ConfigurationError(f"labels must be from 0 to {len(self.classes) - 1}, got {label}.")
        return int(label)


def _whole(name: str, value: SupportsIndex, least: int) -> int:
    """A whole number of Python's or NumPy's; raises ConfigurationError for another value."""
    if isinstance(value, bool) or not isinstance(value, SupportsIndex) or value.__index__() < least:
        raise ConfigurationError(f"{name} must be a whole number of at least {least}, got {value!r}.")
    return value.__index__()


def load(path: Path | str, device: str | None = None) -> Model:
    """The model of a checkpoint file, or of a folder that `vgsearch export` wrote; on a GPU if there is one.

    Raises UnreadableCheckpoint, or ConfigurationError for a folder of something else.
    """
    source = Path(path)
    if source.is_dir() and not (source / GENERATOR).is_file():
        raise ConfigurationError(
            f"{source} contains no {GENERATOR}; give a checkpoint file, or export the experiment first: "
            f"vgsearch export {shlex.quote(str(source))} DIR."
        )
    source = source / GENERATOR if source.is_dir() else source
    checkpoint = load_checkpoint(source)
    generator, config = generator_of(checkpoint, source)
    n_classes = config.model.n_classes
    classes = exported_classes(source, n_classes) or [f"class {number}" for number in range(n_classes)]
    chosen = device or ("cuda" if torch.cuda.is_available() else "cpu")
    try:
        generator = generator.to(chosen)
    except (RuntimeError, AssertionError) as error:  # PyTorch raises either for a device that it has not
        raise ConfigurationError(f"device={chosen!r} cannot be used: {str(error).splitlines()[0]}") from None
    return Model(generator, config, classes, checkpoint.trained_on, source)
