"""The adversarial training loop: an iterator of Progress. Its caller reports, prunes and saves."""

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.parallel import DistributedDataParallel
from torch.nn.utils import get_total_norm
from torch.optim.swa_utils import AveragedModel

from videogan.amounts import n_of
from videogan.config import ConfigurationError
from videogan.data.clips import ClipSource, flipped, to_video
from videogan.device import on_device
from videogan.families import FAMILIES
from videogan.families.contract import AnyGAN, Draws, Fakes, Generator, Losses
from videogan.losses import total
from videogan.nets.initialisation import LoadedLater
from videogan.nets.layer_noise import NOISE_DRAWS
from videogan.nets.layout import lay_channels_last_
from videogan.nets.precision import arithmetic, fixed_shapes, tf32
from videogan.nets.recomputation import recompute_activations_
from videogan.seeds import seed_of
from videogan.shard import Shard
from videogan.training.checkpoint import Checkpoint
from videogan.training.compilation import compiled
from videogan.training.run_config import LoopConfig, RunConfig
from videogan.training.step_values import StepValues, refuse_divergence


class TimedClips:
    """A clip source that measures the seconds spent waiting for its batches."""

    def __init__(self, clips: ClipSource) -> None:
        self._clips, self.seconds = clips, 0.0
        self.label_counts, self.manifest_digest = clips.label_counts, clips.manifest_digest

    def batch(self, index: int) -> tuple[Tensor, Tensor]:
        """Batch `index` of the source."""
        began = time.perf_counter()
        batch = self._clips.batch(index)
        self.seconds += time.perf_counter() - began
        return batch


@dataclass(frozen=True)
class Progress:
    """One finished step: its losses, its seconds, and the training it belongs to.

    seconds: on a GPU those until the step was queued; the wait for all queued steps belongs to the step that is read.
    seconds_waiting: the part of `seconds` spent waiting for real clips. trained_on: the digest of their manifest.
    """

    step: int
    n_clips_seen: int
    values: StepValues
    seconds: float
    seconds_waiting: float
    trained_on: str
    training: "Training"

    @property
    def losses(self) -> dict[str, float]:
        """By term: "d_image", "g_video"."""
        return self.values.losses

    @property
    def measures(self) -> dict[str, float]:
        """Other numbers by name, such as "motion_pairs", the C of the motion constraint."""
        return self.values.measures

    def checkpoint(self) -> Checkpoint:
        """The state after this step. Call it before the next step."""
        return self.training.checkpoint(self.step, self.trained_on)


def train(
    config: RunConfig,
    clips: ClipSource,
    *,
    start: Checkpoint | None = None,
    wrap: Callable[[nn.Module], nn.Module] = lambda module: module,
    shard: Shard = Shard(),
    device: torch.device | str = "cpu",
) -> Iterator[Progress]:
    """Train from `start` (or from scratch) to `config.loop.n_steps`.

    `wrap` makes a network data-parallel. All random numbers are a function of (seed, step), so a run that starts from a
    checkpoint continues bit for bit (CPU, fp32). Raises TrainingDiverged for the first loss that is not finite: at its
    step, or on a GPU at the next log line or look, since to read a loss waits for the device. Raises ConfigurationError
    if `start` was trained on another manifest.
    """
    if start is not None and start.trained_on != clips.manifest_digest:
        raise ConfigurationError(
            f"a run must continue on the data it started with: the checkpoint of step {start.step} was trained on "
            f"manifest {start.trained_on[:6]}, got {clips.manifest_digest[:6]}. Restore that data set, or start "
            "a new run."
        )
    with nullcontext() if start is None else LoadedLater():
        training = Training(config, wrap, shard, torch.device(device))
    if start is not None:
        training.load_(start)
    unread: list[StepValues] = []
    for step in range((start.step if start else 0) + 1, config.loop.n_steps + 1):
        began, timed = time.perf_counter(), TimedClips(clips)
        values = training.step_(step, timed)
        unread.append(values)
        if _are_read(step, config.loop, training.device):
            refuse_divergence(unread)
            unread = []
        seconds = time.perf_counter() - began
        seen = training.n_clips_seen(step)
        yield Progress(step, seen, values, seconds, timed.seconds, clips.manifest_digest, training)


def _are_read(step: int, loop: LoopConfig, device: torch.device) -> bool:
    """Whether the losses of a step are read at once: on CPUs always, on GPUs where a trial logs or looks."""
    return device.type == "cpu" or step == loop.n_steps or 0 in (step % loop.log_every, step % loop.look_every)


def untrained(config: RunConfig) -> AnyGAN:
    """The networks of a run before its first step, equal on every rank.

    Each rank builds from the seed: data parallelism does not synchronise buffers, such as spectral norm's u and v."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed_of("initialisation", config.seed))
        return FAMILIES[config.model.family].build(config.model)


@dataclass(frozen=True)
class Batch:
    """This rank's clips of one update: videos (b, T, 3, R, R), labels (b,), and the random inputs of its fakes."""

    real: Tensor
    labels: Tensor
    draws: Draws

    def part(self, i: int, k: int) -> "Batch":
        """Part i of k equal ones."""
        part = Shard(i, k)
        return Batch(part.of(self.real), part.of(self.labels), {name: part.of(t) for name, t in self.draws.items()})


class Training:
    """The generator and discriminators of one run, their optimisers, and the average of the generator's weights."""

    def __init__(self, config: RunConfig, wrap: Callable, shard: Shard, device: torch.device) -> None:
        if config.loop.batch_size % shard.n_ranks:
            raise ValueError(
                f"loop.batch_size must be a multiple of the {shard.n_ranks} workers, got {config.loop.batch_size}."
            )
        self.config, self.shard, self.device = config, shard, device
        self.networks = untrained(config)
        self.generator, self.discriminators = self.networks.generator, dict(self.networks.discriminators)
        for network in (self.generator, *self.discriminators.values()):
            network.to(device).train()
            if config.loop.channels_last:
                lay_channels_last_(network)
            if config.loop.checkpoint_activations:
                recompute_activations_(network)
        for network in self.networks.frozen:
            network.to(device)
        decay = config.loop.ema_decay
        self.average = None if decay is None else _Average(self.generator, decay)
        self.called_generator = self._called(self.generator)
        self.called_discriminators = {name: self._called(network) for name, network in self.discriminators.items()}
        self.wrapped_generator = wrap(self.called_generator)
        self.wrapped_discriminators = {name: wrap(network) for name, network in self.called_discriminators.items()}
        self.optimiser_g = _optimiser(config, config.optimiser.rate_g, [self.generator])
        self.optimiser_d = _optimiser(config, config.optimiser.rate_d, list(self.discriminators.values()))

    def _called(self, network: nn.Module) -> nn.Module:
        """What a step calls in place of `network`."""
        return compiled(network, self.device) if self.config.loop.compile else network

    def step_(self, step: int, clips: ClipSource) -> StepValues:
        """`n_d` discriminator updates, each on fresh real clips and fresh fakes, then one generator update.

        The generator's update uses fresh fakes too, unless `reuse_fakes` is set: then those of the last discriminator
        update.
        """
        self.networks.begin_step_(self.n_clips_seen(step - 1))
        loop, fakes = self.config.loop, None
        self._set_rates_(step)
        for update in range(loop.n_d):
            frames, labels = clips.batch((step - 1) * loop.n_d + update)
            all_labels = self._of_all_ranks(labels)
            frames = self.as_trained_on(frames, (step - 1) * loop.n_d + update)
            real, labels = to_video(self._moved(frames)), self._moved(labels)
            draws = self._draws(f"d{update}", step, clips, all_labels)
            batch = Batch(real, labels, draws)
            with tf32(loop.tf32), fixed_shapes():
                terms_d, fakes = self._update_discriminators_(batch, loop.reuse_fakes and update == loop.n_d - 1)
            self.networks.constrain_update_()
        # Gamma clipping reads running variances, which differ by rank; all ranks take rank 0's.
        layers = (layer for network in self.discriminators.values() for layer in network.modules())
        self.shard.take_first_ranks_(b for layer in layers if isinstance(layer, _BatchNorm) for b in layer.buffers())
        self.networks.constrain_(step)
        if not loop.reuse_fakes:
            batch, fakes = Batch(real, labels, self._draws("g", step, clips, all_labels)), None
        with tf32(loop.tf32), fixed_shapes():
            terms_g, measures = self._update_generator_(step, batch, fakes)
        if self.average is not None:
            self.average.update_parameters(self.generator)
        terms = {f"d_{name}": term for name, term in terms_d.items()} | {
            f"g_{name}": term for name, term in terms_g.items()
        }
        means = self.shard.averaged(torch.stack([term.detach().float() for term in terms.values()]))
        numbers = torch.cat([means.double(), *(value.double().view(1) for value in measures.values())])
        return StepValues(step, tuple(terms), tuple(measures), numbers)

    def as_trained_on(self, frames: Tensor, index: int) -> Tensor:
        """This rank's frames of batch `index`, some of them mirrored if `data.flip` is set."""
        if frames.shape[-1] != self.config.model.colours:
            raise ValueError(
                f"clips for networks of {n_of(self.config.model.colours, 'colour')} have {frames.shape[-1]}."
            )
        if not self.config.data.flip:
            return frames
        rng = torch.Generator().manual_seed(seed_of("flip", self.config.seed, index))
        coins = torch.randint(2, (self.config.loop.batch_size,), generator=rng, dtype=torch.bool)
        return flipped(frames, self.shard.of(coins))

    def _set_rates_(self, step: int) -> None:
        """This run's rates, also after loading another's checkpoint, as population based training does."""
        settings = self.config.optimiser
        left = 1 - (step - 1) / self.config.loop.n_steps if settings.decay == "linear" else 1.0
        for optimiser, rate in ((self.optimiser_g, settings.rate_g), (self.optimiser_d, settings.rate_d)):
            for group in optimiser.param_groups:
                group["lr"] = rate * left

    def _fakes(self, draws: Draws, for_generator: bool) -> Fakes:
        """Generate fakes from the draws; the generator's update needs their graph, and so the data-parallel wrapper."""
        with self._precision(), torch.set_grad_enabled(for_generator):
            fakes: Fakes = self.networks.generate(
                self.wrapped_generator if for_generator else self.called_generator, draws
            )
            return fakes

    def _update_discriminators_(self, batch: Batch, keep_graph: bool) -> tuple[Losses, Fakes]:
        """Update the discriminators; returns the losses, and the fakes of the last part, with their graph if asked."""
        self.optimiser_d.zero_grad(set_to_none=True)
        losses = []
        for part, averaged in self._parts(batch, list(self.wrapped_discriminators.values())):
            with averaged:
                fakes = self._fakes(part.draws, for_generator=keep_graph)
                with self._precision():
                    terms = self.networks.discriminator_losses(
                        self.wrapped_discriminators, part.real, part.labels, fakes, part.draws
                    )
                self._backward(terms)
            losses.append(terms)
        self.optimiser_d.step()
        return _mean(losses), fakes

    def _update_generator_(self, step: int, batch: Batch, fakes: Fakes | None) -> tuple[Losses, dict[str, Tensor]]:
        """Update the generator, by the `fakes` of the whole batch or by new ones; returns the losses and measures."""
        for network in self.discriminators.values():
            network.requires_grad_(False)
        self.optimiser_g.zero_grad(set_to_none=True)
        losses, measures = [], {}
        for part, averaged in self._parts(batch, [self.wrapped_generator]):
            with averaged:
                made = self._fakes(part.draws, for_generator=True) if fakes is None else fakes
                with self._precision():
                    terms = self.networks.generator_losses(self.called_discriminators, made, part.draws)
                    motion = self.networks.motion_loss(
                        part.real, part.labels, made, part.draws, step, self.shard.gathered
                    )
                if motion is not None:
                    terms["motion"], measures["motion_pairs"] = motion
                self._backward(terms)
            losses.append(terms)
        self.optimiser_g.step()
        for network in self.discriminators.values():
            network.requires_grad_(True)
        return _mean(losses), measures

    def _backward(self, terms: Losses) -> None:
        (total(terms.values()) / self.config.loop.accumulate).backward()

    def _parts(self, batch: Batch, wrapped: list[nn.Module]) -> Iterator[tuple[Batch, AbstractContextManager[object]]]:
        """The `accumulate` parts of a batch; only the last one's backward pass averages gradients over the ranks."""
        k = self.config.loop.accumulate
        for i in range(k):
            local = ExitStack()
            for network in wrapped if i < k - 1 else ():
                if isinstance(network, DistributedDataParallel):
                    local.enter_context(network.no_sync())
            yield batch.part(i, k), local

    def _draws(self, purpose: str, step: int, clips: ClipSource, real_labels: Tensor) -> dict[str, Tensor]:
        """This rank's part of z, fake labels and frame choices; they are drawn for the global batch on every rank."""
        rng = torch.Generator().manual_seed(seed_of(purpose, self.config.seed, step))
        draws = self.networks.draw(self.config.loop.batch_size, rng, clips.label_counts, real_labels)
        own = {name: self.shard.of(tensor) for name, tensor in draws.items()}
        return {name: tensor if name in NOISE_DRAWS else self._moved(tensor) for name, tensor in own.items()}

    def _moved(self, tensor: Tensor) -> Tensor:
        return on_device(tensor, self.device)

    def _of_all_ranks(self, labels: Tensor) -> Tensor:
        """The labels of the global batch, on the CPU; a single rank has them there already."""
        return (labels if self.shard.n_ranks == 1 else self.shard.gathered(self._moved(labels))).cpu()

    def _precision(self) -> AbstractContextManager[object]:
        return arithmetic(self.config.loop.precision, self.device)

    def norms(self) -> dict[str, float]:
        """Norms of the weights of G and D, and of the gradients of their last updates."""
        norms: dict[str, Tensor] = {}
        for player, networks in (("g", [self.generator]), ("d", self.discriminators.values())):
            weights = [parameter for network in networks for parameter in network.parameters()]
            gradients = [weight.grad for weight in weights if weight.grad is not None]
            norms[f"gradient_{player}"] = get_total_norm(gradients)
            norms[f"weight_{player}"] = get_total_norm([weight.detach() for weight in weights])
        return dict(zip(norms, torch.stack(list(norms.values())).tolist(), strict=True))  # one wait for the device

    def n_clips_seen(self, step: int) -> int:
        """Number of real clips that the discriminators have seen by the end of `step`, over all ranks."""
        return step * self.config.loop.n_d * self.config.loop.batch_size

    @property
    def sampling_generator(self) -> Generator:
        """The generator to sample from: the average if there is one."""
        return self.generator if self.average is None else cast(Generator, self.average.module)

    def checkpoint(self, step: int, trained_on: str) -> Checkpoint:
        """The state from which a run resumes after `step`; batch-norm statistics are this rank's (rank 0 saves)."""
        return Checkpoint(
            step=step,
            n_clips_seen=self.n_clips_seen(step),
            trained_on=trained_on,
            config=self.config.model_dump(mode="json"),
            generator=self.generator.state_dict(),
            discriminators={name: network.state_dict() for name, network in self.discriminators.items()},
            optimiser_g=self.optimiser_g.state_dict(),
            optimiser_d=self.optimiser_d.state_dict(),
            average=None if self.average is None else self.average.state_dict(),
        )

    def load_(self, checkpoint: Checkpoint) -> None:
        """Load the state of a checkpoint of the same model."""
        self.generator.load_state_dict(checkpoint.generator)
        for name, network in self.discriminators.items():
            network.load_state_dict(checkpoint.discriminators[name])
        self.optimiser_g.load_state_dict(checkpoint.optimiser_g)
        self.optimiser_d.load_state_dict(checkpoint.optimiser_d)
        if self.average is not None:
            if checkpoint.average is None:
                raise ConfigurationError(
                    f"the checkpoint of step {checkpoint.step} has no average of the generator's weights, which "
                    "loop.ema_decay asks for. Leave loop.ema_decay out, or start a new run."
                )
            self.average.load_state_dict(checkpoint.average)


def _mean(losses: list[Losses]) -> Losses:
    """The mean of each term over the parts of a batch."""
    if len(losses) == 1:
        return losses[0]
    return {name: torch.stack([terms[name].detach().float() for terms in losses]).mean() for name in losses[0]}


def _optimiser(config: RunConfig, lr: float, networks: list[nn.Module]) -> torch.optim.Optimizer:
    settings = config.optimiser
    parameters = [parameter for network in networks for parameter in network.parameters()]
    eps, decay = settings.eps, settings.weight_decay
    if settings.name == "rmsprop":
        # torch 2.13 has no fused one; on CUDA its default updates all weights in few launches (foreach).
        return torch.optim.RMSprop(parameters, lr, settings.alpha, eps, decay)
    return torch.optim.Adam(parameters, lr, (settings.beta1, settings.beta2), eps, decay, fused=True)


class _Average(AveragedModel):
    """An exponential moving average of the weights; buffers, such as spectral norm's unit vectors, are copied.

    As torch's, which in each update copies its counter to the device, and waits for that.
    """

    def __init__(self, generator: nn.Module, decay: float) -> None:
        super().__init__(generator)
        self._weight = 1 - decay

    @torch.no_grad()
    def update_parameters(self, model: nn.Module) -> None:
        """Take up the weights of `model`: the first ones whole."""
        ours, theirs = ([weight.detach() for weight in network.parameters()] for network in (self.module, model))
        if self.n_averaged == 0:  # on the CPU
            torch._foreach_copy_(ours, theirs)
        else:
            torch._foreach_lerp_(ours, theirs, self._weight)
        for own, other in zip(self.module.buffers(), model.buffers(), strict=True):
            own.copy_(other)
        self.n_averaged += 1
