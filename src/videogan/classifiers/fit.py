"""Train a video classifier with the recipe of MVT-GAN, App. B.1, and the optimiser of the ECO scripts."""

import copy
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from pydantic import Field, model_validator
from torch import Tensor, nn

from videogan.classifiers.contract import VideoClassifier
from videogan.classifiers.validation import validation_split
from videogan.config import Config
from videogan.data.clip_set import ClipSet, Request, Spooled, Subset
from videogan.data.clips import to_video
from videogan.device import has_room, on_device
from videogan.divergence import TrainingDiverged
from videogan.nets.layout import lay_channels_last_
from videogan.nets.precision import arithmetic
from videogan.out_of_memory import in_halves
from videogan.shard import Shard

Layer = Literal["penultimate", "logits"]


class Recipe(Config):
    """App. B.1: the learning rate drops tenfold after `patience` epochs in a row without a new best accuracy.

    Batch 32, learning rate 0.001 and patience 4 are the paper's values for the 3-D ResNet-18. It does not name the
    optimiser; ours is that of the ECO scripts: SGD with Nesterov momentum .9, weight decay 5e-4, gradient norm clipped
    at 50. The stop (`patience` epochs after the third drop, or 60 epochs), the held-out validation part and
    `min_updates_per_epoch` are our own, as is `schedule = cosine` for small data.
    """

    optimiser: Literal["sgd", "adam"] = "sgd"
    """adam: with decoupled weight decay (AdamW), betas .9 and .999; `momentum` is SGD's."""
    schedule: Literal["plateau", "cosine"] = "plateau"
    """plateau: App. B.1, by the accuracy on a validation part. cosine: the rate rises for a tenth of all updates, then
    falls to 0 along half a cosine; nothing is held out, and the last weights are kept. A validation part of 3 clips, as
    15 % of a small data set are, chooses an epoch by chance."""

    lr: float = Field(0.001, gt=0)
    batch_size: int = Field(32, ge=2)
    max_epochs: int = Field(60, ge=1)
    min_updates_per_epoch: int = Field(1, ge=1)
    """A data set with fewer batches is passed through several times within an epoch, in whole passes."""
    patience: int = Field(4, ge=1)
    n_drops: int = Field(3, ge=0)
    momentum: float = Field(0.9, gt=0, lt=1)
    weight_decay: float = Field(5e-4, ge=0)
    clip_norm: float = Field(50.0, gt=0)
    n_windows: int = Field(8, ge=1)
    """Windows of each training clip that a fit of `max_epochs` sees, one after the other. For real clips they start at
    random; as many synthetic clips are made for each real one."""
    validation_fraction: float = Field(0.15, gt=0, lt=1)
    crop_padding: int = Field(0, ge=0)
    """Random crops, as in Hara's training: each clip is shifted by up to this many pixels and its border repeated."""
    paper_protocol: bool = False
    """Schedule on test accuracy, as the paper does: a leak that inflates all its rows equally."""
    precision: Literal["fp32", "bf16"] = "bf16"
    """bf16: autocast, with weights, their update and the loss in fp32. Both use the channels-last layout."""

    @model_validator(mode="after")
    def _refuse_settings_without_effect(self) -> "Recipe":
        inert = [*(("momentum",) if self.optimiser == "adam" else ())]
        inert += ["patience", "n_drops", "validation_fraction", "paper_protocol"] if self.schedule == "cosine" else []
        changed = [name for name in inert if getattr(self, name) != type(self).model_fields[name].default]
        if changed:
            kind = "optimiser adam" if changed[0] == "momentum" else "schedule cosine"
            raise ValueError(
                f"recipe.{changed[0]} = {getattr(self, changed[0])} has no effect under {kind}; remove it."
            )
        return self

    @property
    def for_half(self) -> "Recipe":
        """The recipe for half of the clips: on a cosine twice the epochs, so that as many updates are taken as on all
        of them; a plateau is waited for however many clips there are."""
        return self.model_copy(update={"max_epochs": 2 * self.max_epochs}) if self.schedule == "cosine" else self


@dataclass(frozen=True)
class Epoch:
    """Results of one epoch: mean training loss, accuracy on the part used for the schedule (NaN without one), last
    learning rate."""

    number: int
    loss: float
    accuracy: float
    lr: float


def fit(
    classifier: VideoClassifier,
    train: ClipSet,
    recipe: Recipe,
    seed: int,
    test: ClipSet | None = None,
    on_epoch: Callable[[Epoch], None] | None = None,
    wrap: Callable[[nn.Module], nn.Module] = lambda module: module,
    shard: Shard = Shard(),
) -> list[Epoch]:
    """Train `classifier` in place with `recipe`; afterwards it is in eval mode with the weights of its best epoch, or
    of its last under the cosine schedule.

    Each epoch shows one draw of `train`, the `n_windows` draws one after the other, and is judged on draw 0 of the
    validation part if the schedule needs one. Of equally good epochs the last wins, because a small validation part
    soon reaches 100 %. `test` replaces the validation part of `train` and is given only with `paper_protocol`. Raises
    TrainingDiverged.
    Randomness: the validation part, the order of the clips, their crops and dropout follow from `seed`; torch's global
    generator is restored.

    `wrap` makes the classifier data-parallel. All ranks get the same arguments and all clips, train on their part of
    each batch, call `on_epoch` with the same epochs and end with bit-identical classifiers. Order and crops are those
    of one process, so R ranks differ from one process in two ways: dropout is drawn per rank, and batch norm normalises
    with the statistics of a rank's part. The running statistics, used to judge each epoch, are rank 0's.
    """
    if recipe.paper_protocol != (test is not None):
        raise ValueError("test clips must be given if and only if recipe.paper_protocol is true.")
    rng = torch.Generator().manual_seed(seed)
    held_out = test
    if test is None and recipe.schedule == "plateau":
        train, held_out = validation_split(train, recipe.validation_fraction, rng)
    device = next(classifier.parameters()).device
    if has_room(device, len(train) * math.prod(train.shape)):
        train = Spooled(train, device)
    with torch.random.fork_rng():
        torch.manual_seed(seed + (shard.rank << 32))
        run = _Fit(classifier, wrap, shard, recipe, rng)
        on_epoch = on_epoch or (lambda epoch: None)
        if held_out is None:
            return run.on_cosine(train, on_epoch)
        # Each epoch judges the same windows: they are read, or generated, once.
        return run.on_plateau(train, Spooled(held_out, device), on_epoch)


class _Fit:
    """One fit on one rank: the classifier, its data-parallel wrapper and the optimiser."""

    def __init__(
        self,
        classifier: VideoClassifier,
        wrap: Callable[[nn.Module], nn.Module],
        shard: Shard,
        recipe: Recipe,
        rng: torch.Generator,
    ) -> None:
        lay_channels_last_(classifier)
        self.classifier, self.shard, self.recipe, self.rng = classifier, shard, recipe, rng
        self.wrapped = wrap(classifier)
        self.device = next(classifier.parameters()).device
        self.optimiser = _optimiser(classifier, recipe)
        self.n_updates = 0
        """Updates so far."""

    def on_cosine(self, train: ClipSet, on_epoch: Callable[[Epoch], None]) -> list[Epoch]:
        history: list[Epoch] = []
        for number in range(1, self.recipe.max_epochs + 1):
            loss = self._train_epoch(train, number)
            history.append(Epoch(number, loss, math.nan, self.optimiser.param_groups[0]["lr"]))
            on_epoch(history[-1])
        self.shard.take_first_ranks_(self.classifier.buffers())
        self.classifier.eval()
        return history

    def on_plateau(self, train: ClipSet, held_out: ClipSet, on_epoch: Callable[[Epoch], None]) -> list[Epoch]:
        recipe, best, n_unbeaten, n_dropped = self.recipe, -math.inf, 0, 0
        best_state: dict[str, Tensor] = {}
        history: list[Epoch] = []
        for number in range(1, recipe.max_epochs + 1):
            lr = self.optimiser.param_groups[0]["lr"]
            loss = self._train_epoch(train, number)
            self.shard.take_first_ranks_(self.classifier.buffers())
            epoch = Epoch(number, loss, self._accuracy(held_out), lr)
            history.append(epoch)
            on_epoch(epoch)
            if epoch.accuracy >= best:
                best_state = copy.deepcopy(self.classifier.state_dict())
            if epoch.accuracy > best:
                best, n_unbeaten = epoch.accuracy, 0
                continue
            n_unbeaten += 1
            if n_unbeaten == recipe.patience:
                if n_dropped == recipe.n_drops:
                    break
                self.optimiser.param_groups[0]["lr"] /= 10
                n_unbeaten, n_dropped = 0, n_dropped + 1
        self.classifier.load_state_dict(best_state)
        self.classifier.eval()
        return history

    def _train_epoch(self, train: ClipSet, epoch: int) -> float:
        """Train one epoch; return the mean loss over the clips of all ranks."""
        self.wrapped.train()
        n_batches = math.ceil(len(train) / self.recipe.batch_size)
        n_passes = math.ceil(self.recipe.min_updates_per_epoch / n_batches)
        n_updates = self.recipe.max_epochs * n_passes * n_batches
        # A draw is shown in consecutive epochs, so that synthetic clips are made once.
        draw = (epoch - 1) * self.recipe.n_windows // self.recipe.max_epochs
        plan = [self._part(b) for _ in range(n_passes) for b in _shuffled_batches(len(train), n_batches, self.rng)]
        # Summed where the losses are: to read each would wait for the device.
        total = torch.zeros((), dtype=torch.float64, device=self.device)
        for part, frames in zip(plan, train.windows((part.clips, draw) for part in plan), strict=True):
            loss = self._loss(frames, train.labels[part.clips], part)
            total += part.n_of_batch * self.shard.averaged(loss.detach().clone()).double()
            self.optimiser.zero_grad(set_to_none=True)
            loss.backward()
            # Gradients are already averaged over ranks, so every rank clips by the same norm.
            nn.utils.clip_grad_norm_(self.classifier.parameters(), self.recipe.clip_norm)
            if self.recipe.schedule == "cosine":
                self.optimiser.param_groups[0]["lr"] = self.recipe.lr * cosine_share(self.n_updates, n_updates)
            self.optimiser.step()
            self.n_updates += 1
        mean = total.item() / (n_passes * len(train))
        if not math.isfinite(mean):
            raise TrainingDiverged(epoch, "classifier loss")
        return mean

    def _part(self, batch: Tensor) -> "_Part":
        """This rank's part of a global batch, with its random shifts."""
        shifts = random_shifts(len(batch), self.recipe.crop_padding, self.rng)
        # Batch norm cannot train on a single clip.
        rows = self.shard.uneven_part(len(batch), at_least=2)
        weight = self.shard.n_ranks * len(rows) / len(batch)
        if not len(rows):
            # Other ranks wait for this one's gradients: compute them on two clips of the batch, with weight 0.
            rows = torch.arange(len(batch))[:2]
        return _Part(batch[rows], shifts[rows], weight, len(batch))

    def _loss(self, frames: Tensor, labels: Tensor, part: "_Part") -> Tensor:
        """This rank's loss, weighted so that the mean over ranks is the mean of the global batch."""
        with arithmetic(self.recipe.precision, self.device):
            logits = self.wrapped(to_video(shifted(on_device(frames, self.device), part.shifts)))
        return part.weight * F.cross_entropy(logits.float(), on_device(labels, self.device))

    def _accuracy(self, clips: ClipSet) -> float:
        """Accuracy on draw 0 of `clips`; each rank predicts its part."""
        rows = self.shard.uneven_part(len(clips))
        n_right = torch.zeros((), dtype=torch.float64, device=self.device)
        if len(rows):
            n_right += (
                predict_windows(self.classifier, Subset(clips, rows), self.recipe)[0] == clips.labels[rows]
            ).sum()
        return self.shard.averaged(n_right).item() * self.shard.n_ranks / len(clips)


def _optimiser(classifier: VideoClassifier, recipe: Recipe) -> torch.optim.Optimizer:
    parameters, lr, decay = list(classifier.parameters()), recipe.lr, recipe.weight_decay
    fused = True if parameters[0].is_cuda else None  # one kernel; None: torch's own choice on CPUs
    if recipe.optimiser == "adam":
        return torch.optim.AdamW(parameters, lr, weight_decay=decay, fused=fused)
    return torch.optim.SGD(parameters, lr, recipe.momentum, weight_decay=decay, nesterov=True, fused=fused)


WARM_UP = 0.1
"""The share of all updates over which the rate rises under the cosine schedule."""


def cosine_share(update: int, n_updates: int) -> float:
    """The share of the full rate at `update`, from 0 to `n_updates` - 1: (1 + cos(pi update / n_updates)) / 2, and
    before the first tenth's end also times the share of that tenth."""
    rising = min(1.0, (update + 1) / max(1.0, WARM_UP * n_updates))
    return rising * (1 + math.cos(math.pi * update / n_updates)) / 2


@dataclass(frozen=True)
class _Part:
    """A rank's part of a global batch."""

    clips: Tensor
    """(m,) positions in the training set."""
    shifts: Tensor
    """(m, 2)"""
    weight: float
    n_of_batch: int
    """Clips of the global batch."""


def random_shifts(n: int, padding: int, rng: torch.Generator) -> Tensor:
    """Draw a shift (down, right) of up to `padding` pixels in either direction for each of n clips, int64 (n, 2)."""
    return torch.randint(-padding, padding + 1, (n, 2), generator=rng) if padding else torch.zeros(n, 2).long()


def shifted(frames: Tensor, shifts: Tensor) -> Tensor:
    """Shift each clip of `frames` uint8 (B, T, H, W, C) by its row of `shifts` (B, 2), repeating the border."""
    if not shifts.any():
        return frames
    n, n_frames, height, width, _ = frames.shape
    top, left = on_device(shifts, frames.device).unbind(1)
    rows = (top[:, None] + torch.arange(height, device=frames.device)).clamp(0, height - 1)
    columns = (left[:, None] + torch.arange(width, device=frames.device)).clamp(0, width - 1)
    clip, time = (torch.arange(length, device=frames.device) for length in (n, n_frames))
    return frames[clip[:, None, None, None], time[:, None, None], rows[:, None, :, None], columns[:, None, None, :]]


def predict(classifier: VideoClassifier, frames: Tensor, recipe: Recipe) -> Tensor:
    """Predicted labels (n,), on the CPU, of `frames` uint8 (n, T, H, W, C), in eval mode and the recipe's precision."""
    return features(classifier, frames, recipe, "logits").argmax(1)


def probabilities(classifier: VideoClassifier, frames: Tensor, recipe: Recipe) -> Tensor:
    """Class probabilities, float32 (n, K) on the CPU, of `frames` uint8 (n, T, H, W, C); otherwise like `predict`."""
    return features(classifier, frames, recipe, "logits").softmax(1)


def features(classifier: VideoClassifier, frames: Tensor, recipe: Recipe, layer: Layer) -> Tensor:
    """The output of a classifier's `layer` for `frames` uint8 (n, T, H, W, C): float32 (n, d) on the CPU.

    "penultimate" is the input of the last linear layer (`classifier.features`), "logits" its output. Computed in eval
    mode, batch by batch, in the recipe's precision.
    """
    return torch.cat(list(_outputs(classifier, frames.split(recipe.batch_size), recipe, layer))).cpu()


def window_features(
    classifier: VideoClassifier, clips: ClipSet, recipe: Recipe, layer: Layer, n_windows: int = 1
) -> Tensor:
    """`features` of the first `n_windows` draws of a set, float32 (n_windows, n, d); the clips are read in batches."""
    requests = list(_requests(len(clips), recipe.batch_size, n_windows))
    outputs = torch.cat(list(_outputs(classifier, clips.windows(requests), recipe, layer))).cpu()
    return outputs.unflatten(0, (n_windows, len(clips)))


def predict_windows(classifier: VideoClassifier, clips: ClipSet, recipe: Recipe, n_windows: int = 1) -> Tensor:
    """Predicted labels (n_windows, n), on the CPU, of the first `n_windows` draws of a set."""
    return window_features(classifier, clips, recipe, "logits", n_windows).argmax(2)


def _requests(n: int, size: int, n_windows: int) -> Iterator[Request]:
    return ((rows, draw) for draw in range(n_windows) for rows in torch.arange(n).split(size))


@torch.no_grad()
def _outputs(classifier: VideoClassifier, batches: Iterable[Tensor], recipe: Recipe, layer: Layer) -> Iterator[Tensor]:
    """They stay on the device: to read each batch's would wait for it."""
    classifier.eval()
    device = next(classifier.parameters()).device
    layers = classifier.features if layer == "penultimate" else classifier

    def compute(frames: Tensor) -> Tensor:
        with arithmetic(recipe.precision, device):
            return layers(to_video(on_device(frames, device))).float()

    for batch in batches:
        yield in_halves(compute, batch)


@torch.no_grad()
def classes_of(classifier: VideoClassifier, penultimate: Tensor, recipe: Recipe) -> Tensor:
    """Predicted labels (n,), on the CPU, from `penultimate` features (n, d); otherwise like `predict`."""
    classifier.eval()
    device = next(classifier.parameters()).device
    with arithmetic(recipe.precision, device):
        return classifier.classify(penultimate.to(device)).argmax(1).cpu()


def _shuffled_batches(n: int, n_batches: int, rng: torch.Generator) -> tuple[Tensor, ...]:
    """A random order of n clips in batches of nearly equal size, because batch norm cannot train on a single clip."""
    return torch.randperm(n, generator=rng).tensor_split(n_batches)
