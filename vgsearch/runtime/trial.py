"""One trial: it trains, looks, saves, and is scored; the same code inside the Tune trial and on Ray Train workers."""

import dataclasses
import json
import logging
import math
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from vgsearch.artifacts import TrialFolder
from vgsearch.records import Records
from vgsearch.runtime.inputs import Inputs
from videogan.config import parse_config
from videogan.protocols import S3Result, Synthesise, look, s3_evaluation
from videogan.sampling import sample_grid, sampling_copy, synthesise, write_gif, write_mp4
from videogan.training.checkpoint import Checkpoint, CheckpointFolder, generator_from
from videogan.training.divergence import TrainingDiverged
from videogan.training.loop import ClipSource, Progress, Shard, train
from videogan.training.run_config import RunConfig

LOGGER = logging.getLogger(__name__)
Report = Callable[[dict[str, Any]], None]
OpenClips = Callable[[RunConfig, int], AbstractContextManager[ClipSource]]
SAMPLES_PER_CLASS = 6
SECONDS_BETWEEN_REPORTS = 2.0


@dataclass(frozen=True)
class TrialSpec:
    """All a trial needs, in plain values that travel to any node; paths are on storage that all nodes share."""

    trial_id: str
    folder: str
    config: dict[str, Any]
    hyperparameters: dict[str, Any]
    stop_request: str
    inputs: Inputs

    def to_parameters(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    @classmethod
    def from_parameters(cls, parameters: dict[str, Any]) -> "TrialSpec":
        return cls(**{**parameters, "inputs": Inputs(**parameters["inputs"])})


class StopRequested(Exception):
    """The sweep is being stopped: save, and end as interrupted."""


def inline_trial(parameters: dict[str, Any]) -> None:
    """The Tune trial that trains by itself, in one process."""
    from ray import tune

    spec = TrialSpec.from_parameters(parameters)
    Trial(spec, tune.report, device=spec.inputs.device).run(
        lambda config, start: spec.inputs.training_clips(config, start)
    )


class Trial:
    """Iterates the training loop of one trial on one rank; rank 0 writes into the trial's folder, and nothing else."""

    def __init__(
        self,
        spec: TrialSpec,
        report: Report,
        wrap: Callable[[nn.Module], nn.Module] = lambda module: module,
        shard: Shard = Shard(),
        device: torch.device | str = "cpu",
    ) -> None:
        self.spec, self.wrap, self.shard, self.device = spec, wrap, shard, device
        self.report = report
        self.config = parse_config(RunConfig, spec.config, spec.trial_id)
        self.folder = TrialFolder(Path(spec.folder))
        self.checkpoints = CheckpointFolder(self.folder.checkpoints)

    def run(self, open_clips: OpenClips) -> None:
        """Trains and scores; every way to end is reported by its name. `open_clips(config, first batch)` opens the data."""
        # One thread a trial: two trials of one thread do more than one of two.
        torch.set_num_threads(1)
        # The log opens at the step of the checkpoint, so what is said of damaged ones waits for it.
        with warnings.catch_warnings(record=True) as damaged:
            warnings.simplefilter("always")
            start = self.checkpoints.newest()
        self._last = {"step": start.step if start else 0, "losses": {}}
        records = Records(self.folder, self._last["step"]) if self.shard.rank == 0 else nullcontext()
        with records as self._records:
            for warning in damaged:
                LOGGER.warning(warning.message)
            LOGGER.info("training from step %d to %d", self._last["step"], self.config.loop.n_steps)
            try:
                ended = self._train_and_score(start, open_clips)
            except TrainingDiverged as error:
                ended = {
                    "end": "diverged",
                    "reason": f"{error.term} is not finite; lower the learning rates",
                    "step": error.step,
                }
            except StopRequested:
                ended = {"end": "interrupted", "reason": "stopped; vgsearch resume goes on"}
            except Exception as error:
                # The sweep goes on, and the trial's log says where it happened. With several ranks the others wait for
                # this one, so Ray Train must see the failure and end them.
                LOGGER.error(traceback.format_exc())
                if self.shard.n_ranks > 1:
                    raise
                ended = {
                    "end": "failed",
                    "reason": f"{type(error).__name__}: {next(iter(str(error).splitlines()), '')}",
                }
            LOGGER.info("ended: %s", ended)
        self.report({**self._last, **ended})

    def _train_and_score(self, start: Checkpoint | None, open_clips: OpenClips) -> dict[str, Any]:
        judge = Judge(self.spec.inputs, self.config) if self.shard.rank == 0 else None
        with open_clips(self.config, self._last["step"] * self.config.loop.n_d) as clips:
            self._train(
                train(self.config, clips, start=start, wrap=self.wrap, shard=self.shard, device=self.device), judge
            )
        return self._score(judge) if judge else {"end": "done"}

    def _train(self, progresses: Iterator[Progress], judge: "Judge | None") -> None:
        """Logs, looks, saves and stops on request while the training goes on."""
        loop, reported = self.config.loop, time.monotonic()
        for progress in progresses:
            self._last = {"step": progress.step, "losses": progress.losses}
            if progress.step % loop.log_every == 0:
                self._log(progress)
            if progress.step % loop.look_every == 0 or progress.step == loop.n_steps:
                self._look(progress, judge)
                reported = time.monotonic()
            # Ranks reach a time apart, so with several of them only looks are reported.
            elif self.shard.n_ranks == 1 and time.monotonic() - reported > SECONDS_BETWEEN_REPORTS:
                self.report(dict(self._last))
                reported = time.monotonic()
            # After the look, which a resume from this step would not make up for.
            if progress.step % loop.log_every == 0:
                self._stop_if_requested(progress)

    def _log(self, progress: Progress) -> None:
        if self.shard.rank == 0:
            seconds = {"seconds_per_step": progress.seconds, "seconds_waiting": progress.seconds_waiting}
            self._records.write(progress.step, {**progress.losses, **seconds, "n_clips_seen": progress.n_clips_seen})

    def _look(self, progress: Progress, judge: "Judge | None") -> None:
        """Saves, looks and reports; every rank reports, for Ray Train waits for all."""
        self._last["look"] = 0.0
        if judge is not None:
            generator = judge.sampler(progress.training.sampling_generator)
            self._last["look"] = judge.look(generator)
            self.checkpoints.save(progress.checkpoint())
            self.checkpoints.mark_best(progress.step, self._last["look"])
            self._records.write(progress.step, {"look": self._last["look"]})
            self._records.board.video("samples", judge.grid(generator), progress.step)
        self.report(dict(self._last))

    def _stop_if_requested(self, progress: Progress) -> None:
        """On a stop request rank 0 saves and all ranks end; they agree by averaging what each has seen."""
        seen = torch.tensor([float(Path(self.spec.stop_request).exists())], device=self.device)
        if self.shard.averaged(seen).item() > 0:
            if self.shard.rank == 0:
                self.checkpoints.save(progress.checkpoint())
            raise StopRequested

    def _score(self, judge: "Judge") -> dict[str, Any]:
        """The full S3 of the last step's generator, and its samples."""
        path = self.checkpoints.path(self.config.loop.n_steps)
        generator = judge.sampler(generator_from(path)[0].to(self.device))
        self._write_samples(judge.grid(generator))
        LOGGER.info("scoring")
        try:
            score = judge.score(generator, self._while_scoring)
        except TrainingDiverged as error:
            return {"end": "unscored", "reason": f"a classifier of the score failed: {error}"}
        values = {name: getattr(score, name).mean for name in ("s3", "ser", "res", "rer", "s3_chance_corrected")}
        self._records.write(self.config.loop.n_steps, {f"score/{name}": value for name, value in values.items()})
        if not math.isfinite(values["s3"]):
            return {"end": "unscored", "reason": "S3 is undefined: the real-trained classifiers get no real clip right"}
        self._records.board.hparams(
            self.spec.hyperparameters, {f"hparam/{name}": value for name, value in values.items()}
        )
        return {"end": "done", "s3": values["s3"], "score": json.dumps(score.to_json())}

    def _while_scoring(self, done: int, total: int) -> None:
        if Path(self.spec.stop_request).exists():
            raise StopRequested

    def _write_samples(self, grid: Tensor) -> None:
        self.folder.samples.mkdir(exist_ok=True)
        write_gif(self.folder.samples / "grid.gif", grid)
        write_mp4(self.folder.samples / "grid.mp4", grid)


class Judge:
    """What judges a trial: the shared real-trained classifiers and the real clips of the protocol."""

    def __init__(self, inputs: Inputs, config: RunConfig) -> None:
        self.inputs, self.config, self.protocol = inputs, config, config.evaluation.s3_protocol
        self.real = inputs.real_classifiers(self.protocol)
        self.test = inputs.real_clips(config, "test")
        self._network = self.real[0].network(self.protocol)
        n_look = min(len(self.test), config.evaluation.n_look_clips)
        self._look_labels = self.test.labels[torch.linspace(0, len(self.test) - 1, n_look).long()]

    def sampler(self, generator: nn.Module) -> nn.Module:
        """A copy to sample from, with standing statistics."""
        n_batches = self.config.evaluation.standing_batches
        return sampling_copy(generator, self.config.model.n_classes, n_batches, seed=self.config.seed)

    def look(self, sampler: nn.Module) -> float:
        """ReS by the first real-trained classifier, on always the same codes."""
        return look(self.protocol, self._network, self._synthesise(sampler), self._look_labels, self.config.seed)

    def grid(self, sampler: nn.Module) -> Tensor:
        """Always the same codes, the same for every trial: uint8 (T, H', W', 3)."""
        return sample_grid(
            sampler, self.config.model.n_classes, SAMPLES_PER_CLASS, seed=0, n_frames=self.config.model.n_frames
        )

    def score(self, sampler: nn.Module, on_progress: Callable[[int, int], None]) -> S3Result:
        """The full S3 by the protocol."""
        train = self.inputs.real_clips(self.config, "train")
        digest = self.inputs.digest
        return s3_evaluation(self.protocol, digest, self.real, train, self.test, self._synthesise(sampler), on_progress)

    def _synthesise(self, sampler: nn.Module) -> Synthesise:
        """Synthetic clips at the precision the generator was trained at, which bf16 makes in three fifths of the time."""
        device, precision = next(sampler.parameters()).device, self.config.loop.precision

        def at_its_precision(labels: Tensor, seed: int) -> Tensor:
            with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16"):
                return synthesise(sampler, labels, seed)

        return at_its_precision
