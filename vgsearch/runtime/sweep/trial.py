"""A trial of a family: it trains, looks, saves, and is scored; the same in the Tune trial and on Ray Train workers."""

import time
from collections.abc import Iterator, Mapping, Sequence
from statistics import fmean
from typing import Any

from torch import Tensor

from vgsearch.experiment.end import End
from vgsearch.experiment.paths import SAMPLES_PER_CLASS
from vgsearch.runtime.judging.judge import Judge, Looks, sampling_copy_of, synthetic_set
from vgsearch.runtime.sweep.attempt import (
    SECONDS_BETWEEN_REPORTS,
    Attempt,
    OpenClips,
    StopRequested,
    Unhealthy,
    without,
)
from vgsearch.runtime.sweep.spec import TrialSpec
from videogan.config import parse_config
from videogan.families import FAMILIES
from videogan.families.contract import Generator
from videogan.protocols.s3 import SyntheticSet
from videogan.sampling.sampling import sample_grid
from videogan.training.checkpoint import Checkpoint, CheckpointFolder, generator_from
from videogan.training.health import Course
from videogan.training.loop import Progress, train
from videogan.training.run_config import RunConfig

NORM = "norm/"
"""Prefix of the names of norms in metrics.jsonl."""


class Trial(Attempt):
    """Runs the training loop of one trial on one rank."""

    config: RunConfig

    def __init__(self, spec: TrialSpec, *arguments: Any, **named: Any) -> None:
        """The arguments of `Attempt`."""
        super().__init__(spec, *arguments, **named)
        self.config = parse_config(RunConfig, spec.config, spec.trial_id)
        self.checkpoints = CheckpointFolder(self.folder.checkpoints, spec.keep)
        self._start: Checkpoint | None = None
        self._course = Course(FAMILIES[self.config.model.family].losses_of_guessing(self.config.model))

    def _resumed_step(self) -> int:
        self._start = self.checkpoints.newest()
        return self._start.step if self._start else 0

    def _restore(self, lines: Sequence[Mapping[str, float]]) -> None:
        """Read what earlier attempts wrote: also norms, and the best of their looks."""
        super()._restore(lines)
        for line in lines:
            if "look" in line and self.checkpoints.path(int(line["step"])).exists():
                self.checkpoints.mark_best(int(line["step"]), line["look"])  # changes nothing unless best.json was lost
            if norms := without(NORM, line):
                self._course.norms(norms)

    def _make_and_score(self, open_clips: OpenClips) -> End:
        config = self.config
        judge = Judge(self.spec.inputs, config.data, config.n_frames)
        looks = Looks(judge, config) if self.shard.rank == 0 else None
        with open_clips(config, self._step * config.loop.n_d) as clips:
            self._train(
                train(config, clips, start=self._start, wrap=self.wrap, shard=self.shard, device=self.device), looks
            )
        # One of several generators is not scored by itself.
        end = self._scored_by_all(judge if config.data.only_class is None else None)
        return self._after_first_seed(self, end, open_clips)

    def _train(self, progresses: Iterator[Progress], looks: Looks | None) -> None:
        """Log, look, save and stop on request while the training runs."""
        loop, reported = self.config.loop, time.monotonic()
        unread: list[Progress] = []
        for progress in progresses:
            self._step = progress.step
            self._seconds += progress.seconds
            unread.append(progress)
            # On a GPU at log lines and looks only: to read losses waits for the device.
            if progress.values.is_read:
                self._losses = progress.losses
                for each in unread:
                    self._course.step(each.losses)
                if progress.step % loop.log_every == 0:
                    self._log(unread)
                unread = []
            if progress.step % loop.look_every == 0 or progress.step == loop.n_steps:
                self._look(progress, looks)
                reported = time.monotonic()
                self._stop_if_unhealthy(progress.step)
            # Ranks are never at this line at the same time, so several of them report looks only.
            elif self.shard.n_ranks == 1 and time.monotonic() - reported > SECONDS_BETWEEN_REPORTS:
                self.report({"step": self._step, "losses": self._losses})
                reported = time.monotonic()
            # After the look: a resume from this step would not repeat it.
            if progress.step % loop.log_every == 0:
                self._stop_if_requested(progress)

    def _log(self, steps: Sequence[Progress]) -> None:
        """Write the last of these steps, with the mean seconds of all: they were read together."""
        if self._records is None:
            return
        progress = steps[-1]
        norms = progress.training.norms()
        self._course.norms(norms)
        values = {**progress.losses, **progress.measures}
        values |= {"seconds_per_step": fmean(step.seconds for step in steps)}
        values |= {"seconds_waiting": fmean(step.seconds_waiting for step in steps)}
        values |= {"seconds_training": self._seconds, "n_clips_seen": progress.n_clips_seen}
        self._records.write(progress.step, values | {f"{NORM}{name}": value for name, value in norms.items()})
        self.folder.working_copy.push_seldom()

    def _look(self, progress: Progress, looks: Looks | None) -> None:
        """Look, save and report; every rank reports, since Ray Train waits for all."""
        result: dict[str, Any] = {"step": self._step, "losses": self._losses, "look": 0.0}
        if looks is not None and self._records is not None:
            sampler = sampling_copy_of(progress.training.sampling_generator, self.config)
            look, of_samples = looks(synthetic_set(sampler, self.config))
            vitals = self._course.vitals(of_samples)
            result |= self._record_look(look, vitals, self._grid(sampler))
            self.checkpoints.mark_best(progress.step, look)
            self._save(progress)
        self.report(result)

    def _stop_if_requested(self, progress: Progress) -> None:
        """On a stop request save, on rank 0, and end all ranks: as pruned if the request is for this trial alone."""
        if not self.seen_by_any(self._stop_request.exists or self._own_stop_request.exists):
            return
        if self.shard.rank == 0:
            self._save(progress)
        if self.seen_by_any(self._own_stop_request.exists):
            raise Unhealthy("stopped by vgsearch stop")
        raise StopRequested

    def _save(self, progress: Progress) -> None:
        """Save a checkpoint, after all records up to it: the attempt that continues from it repeats none of them."""
        if self._records is not None:
            self._records.flush()
        self.checkpoints.save(progress.checkpoint())
        self._push()

    def _samples(self) -> tuple[SyntheticSet, Tensor]:
        """The clips of the last step's generator, and a grid of them."""
        sampler = self.last_sampler()
        return synthetic_set(sampler, self.config), self._grid(sampler)

    def last_sampler(self) -> Generator:
        """The last step's generator, ready to sample from."""
        path = self.checkpoints.path(self.config.loop.n_steps)
        if not path.exists():  # this process has a working copy of its own, and did not write the checkpoint
            self.folder.working_copy.pull(lambda name: name == f"{self.checkpoints.folder.name}/{path.name}")
        return sampling_copy_of(generator_from(path)[0].to(self.device), self.config)

    def _grid(self, sampler: Generator) -> Tensor:
        """Samples of the same codes at each look and for every trial: uint8 (T, H', W', 3)."""
        n_rows, n_frames = self.config.n_conditions, self.config.model.n_frames
        return sample_grid(sampler, n_rows, SAMPLES_PER_CLASS, seed=0, n_frames=n_frames)
