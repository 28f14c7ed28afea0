"""One trial: it trains, looks, saves, and is scored; the same code inside the Tune trial and on Ray Train workers."""

import dataclasses
import json
import logging
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from vgsearch.experiment.objective import COST, measured, parsed
from vgsearch.experiment.paths import SAMPLES_PER_CLASS, TrialFolder
from vgsearch.experiment.trial_records import TrialRecords, whole_lines
from vgsearch.object_store.retry import with_retries
from vgsearch.object_store.working_copy import used_copy
from vgsearch.runtime.feed.inputs import Inputs
from vgsearch.runtime.judging.judge import Judge, Looks, objective_scores, sampling_copy_of, summary_of, synthetic_set
from vgsearch.runtime.sweep.failures import end_of_error
from vgsearch.runtime.sweep.stop_request import StopRequest
from videogan.config import parse_config
from videogan.data.cache import local_cache_folder
from videogan.divergence import TrainingDiverged
from videogan.families import FAMILIES
from videogan.families.contract import Generator
from videogan.sampling.pictures import write_gif, write_mp4
from videogan.sampling.sampling import sample_grid
from videogan.shard import Shard
from videogan.storage.atomic import write_atomically
from videogan.storage.places import StorageError
from videogan.training.checkpoint import Checkpoint, CheckpointFolder, generator_from
from videogan.training.health import Course, Vitals, reason_to_stop, states
from videogan.training.loop import ClipSource, Progress, train
from videogan.training.run_config import RunConfig

LOGGER = logging.getLogger(__name__)
Report = Callable[[dict[str, Any]], None]
OpenClips = Callable[[RunConfig, int], AbstractContextManager[ClipSource]]
Ended = dict[str, Any]
AfterFirstSeed = Callable[["Trial", Ended, OpenClips], Ended]
"""Given a trial whose first training has ended, trains its further seeds; see `seeds.py`."""
SECONDS_BETWEEN_REPORTS = 2.0
NORM, HEALTH = "norm/", "health/"
"""What the names of norms and of vitals begin with in metrics.jsonl."""
SECONDS_BETWEEN_SIGNS = 30.0
"""Of life in the log while a trial is scored, for the driver to see."""


@dataclass(frozen=True)
class TrialSpec:
    """All a trial needs, in plain values that travel to any node; places are on storage that all nodes share."""

    trial_id: str
    folder: str
    config: dict[str, Any]
    hyperparameters: dict[str, Any]
    stop_request: str
    inputs: Inputs
    keep: int = 2
    """Newest checkpoints that stay, beside the best."""
    n_seeds: int = 1
    """Trainings of the point, one after the other, whose mean is its score."""

    def to_parameters(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    @classmethod
    def from_parameters(cls, parameters: dict[str, Any]) -> "TrialSpec":
        return cls(**{**parameters, "inputs": Inputs(**parameters["inputs"])})


class StopRequested(Exception):
    """The sweep is being stopped: save, and end as interrupted."""


class Unhealthy(Exception):
    """The training shows what `health.stop_on` names; says what and since when."""


class Trial:
    """Iterates the training loop of one trial on one rank; rank 0 writes into the trial's folder, and nothing else."""

    def __init__(
        self,
        spec: TrialSpec,
        report: Report,
        wrap: Callable[[nn.Module], nn.Module] = lambda module: module,
        shard: Shard = Shard(),
        device: torch.device | str = "cpu",
        after_first_seed: AfterFirstSeed = lambda trial, ended, open_clips: ended,
    ) -> None:
        self.spec, self.wrap, self.shard, self.device = spec, wrap, shard, device
        self._after_first_seed = after_first_seed
        self.report = report
        self.config = parse_config(RunConfig, spec.config, spec.trial_id)
        self.folder = own_copy(spec, shard.rank)
        self.checkpoints = CheckpointFolder(self.folder.checkpoints, spec.keep)
        self._stop_request = StopRequest(spec.stop_request)

    def run(self, open_clips: OpenClips) -> None:
        """Trains and scores; every way to end is reported by its name. `open_clips(config, first batch)` opens the data."""
        # One thread a trial: two trials of one thread do more than one of two.
        torch.set_num_threads(1)
        with own_copy_in_use(self.folder):
            if self.shard.rank == 0:
                self.folder.working_copy.delete_partial_uploads()
            self.folder.working_copy.pull(is_needed_to_go_on)
            try:
                self._run(open_clips)
            finally:
                # Also the log of an attempt that raised, which must not hide behind a storage that is out of reach.
                with suppress(StorageError):
                    self._push()

    def _run(self, open_clips: OpenClips) -> None:
        # The log opens at the step of the checkpoint, so what is said of damaged ones waits for it.
        with warnings.catch_warnings(record=True) as damaged:
            warnings.simplefilter("always")
            start = self.checkpoints.newest()
        self._last = {"step": start.step if start else 0, "losses": {}}
        self._seconds, self._states_seen = 0.0, []
        self._course = Course(FAMILIES[self.config.model.family].losses_of_guessing(self.config.model))
        records = TrialRecords(self.folder, self._last["step"]) if self.shard.rank == 0 else nullcontext()
        try:
            with records as self._records:
                ended = self._run_recorded(start, [warning.message for warning in damaged], open_clips)
                LOGGER.info("ended: %s", ended)
            self._push()
        except OSError as error:
            # The records themselves found no space.
            ended = end_of_error(error)
            if self.shard.n_ranks > 1 or not ended.get("halts"):
                raise
        self.report({**self._last, **ended})

    def _run_recorded(
        self, start: Checkpoint | None, damaged: list[Warning | str], open_clips: OpenClips
    ) -> dict[str, Any]:
        """The end, by its name and with what belongs to it."""
        if self.shard.rank == 0:
            self._remember(self._records.lines())
            self._records.board.begins(self.spec.hyperparameters)
        for message in damaged:
            LOGGER.warning(message)
        self._tell_looks_before(start)
        LOGGER.info("training from step %d to %d", self._last["step"], self.config.loop.n_steps)
        try:
            return self._train_and_score(start, open_clips)
        except TrainingDiverged as error:
            reason = f"{error.term} is not finite; lower the learning rates"
            return {"end": "diverged", "reason": reason, "step": error.step}
        except Unhealthy as error:
            return {"end": "pruned", "reason": str(error)}
        except StopRequested:
            return {"end": "interrupted", "reason": "stopped; vgsearch resume goes on"}
        except StorageError:
            # No fault of the trial's: Ray Tune starts it again, from the newest checkpoint that is kept.
            LOGGER.error(traceback.format_exc())
            raise
        except Exception as error:
            # The sweep goes on, and the trial's log says where it happened. With several ranks the others wait for
            # this one, so Ray Train must see the failure and end them.
            LOGGER.error(traceback.format_exc())
            if self.shard.n_ranks > 1:
                raise
            return end_of_error(error)

    def _remember(self, lines: list[dict[str, float]]) -> None:
        """Takes over what earlier attempts wrote: how long they trained, their norms, what their looks saw."""
        for line in lines:
            self._seconds = line.get("seconds_training", self._seconds)
            if norms := _without(NORM, line):
                self._course.norms(norms)
            if vitals := _without(HEALTH, line):
                self._states_seen.append(states(Vitals.of(vitals)))

    def _tell_looks_before(self, start: Checkpoint | None) -> None:
        """Reports the looks of earlier attempts again: the driver may have been killed before it heard of the last.

        Every rank reports them, for Ray Train waits for all.
        """
        if start is not None:
            for line in whole_lines(self.folder.metrics):
                if "look" in line and line["step"] <= start.step:
                    health = _health(Vitals.of(_without(HEALTH, line)))
                    self.report({"step": line["step"], "look": line["look"], "losses": {}, "health": health})

    def _train_and_score(self, start: Checkpoint | None, open_clips: OpenClips) -> dict[str, Any]:
        config, judge = self.config, None
        if self.shard.rank == 0:
            judge = Judge(self.spec.inputs, config.data, config.model.n_frames)
        looks = Looks(judge, config) if judge else None
        with open_clips(config, self._last["step"] * config.loop.n_d) as clips:
            self._train(train(config, clips, start=start, wrap=self.wrap, shard=self.shard, device=self.device), looks)
        ended = self._score(judge) if judge else {"end": "done"}
        return self._after_first_seed(self, ended, open_clips)

    def _train(self, progresses: Iterator[Progress], looks: Looks | None) -> None:
        """Logs, looks, saves and stops on request while the training goes on."""
        loop, reported = self.config.loop, time.monotonic()
        for progress in progresses:
            self._last = {"step": progress.step, "losses": progress.losses}
            self._seconds += progress.seconds
            self._course.step(progress.losses)
            if progress.step % loop.log_every == 0:
                self._log(progress)
            if progress.step % loop.look_every == 0 or progress.step == loop.n_steps:
                self._look(progress, looks)
                reported = time.monotonic()
                self._stop_if_unhealthy(progress.step)
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
            seconds["seconds_training"] = self._seconds
            norms = progress.training.norms()
            self._course.norms(norms)
            told = {**progress.losses, **progress.measures, **seconds, "n_clips_seen": progress.n_clips_seen}
            told |= {f"{NORM}{name}": value for name, value in norms.items()}
            self._records.write(progress.step, told)
            self.folder.working_copy.push_seldom()

    def _look(self, progress: Progress, looks: Looks | None) -> None:
        """Saves, looks and reports; every rank reports, for Ray Train waits for all."""
        self._last["look"] = 0.0
        if looks is not None:
            sampler = sampling_copy_of(progress.training.sampling_generator, self.config)
            self._last["look"], of_samples = looks(synthetic_set(sampler, self.config))
            vitals = self._course.vitals(of_samples)
            measured_vitals = vitals.measured()
            self._states_seen.append(states(vitals))
            self._last["health"] = _health(vitals)
            told = {"look": self._last["look"], "seconds_training": self._seconds}
            self._records.write(progress.step, told | {f"{HEALTH}{name}": v for name, v in measured_vitals.items()})
            self._records.board.video("samples", self._grid(sampler), progress.step)
            self.checkpoints.mark_best(progress.step, self._last["look"])
            self._save(progress)
        self.report(dict(self._last))

    def _stop_if_unhealthy(self, step: int) -> None:
        """Ends all ranks where rank 0 has seen what `health.stop_on` names; who has trained to the end is scored."""
        if not self.config.health.stop_on or step == self.config.loop.n_steps:
            return
        reason = reason_to_stop(self._states_seen, self.config.health)
        if self.seen_by_any(reason is not None):
            raise Unhealthy(reason or "")

    def seen_by_any(self, seen: bool) -> bool:
        """Whether any rank has seen it; all ranks ask at the same step."""
        return self.shard.averaged(torch.tensor([float(seen)], device=self.device)).item() > 0

    def _stop_if_requested(self, progress: Progress) -> None:
        """On a stop request rank 0 saves and all ranks end."""
        if self.seen_by_any(self._stop_request.is_there):
            if self.shard.rank == 0:
                self._save(progress)
            raise StopRequested

    def _save(self, progress: Progress) -> None:
        """A checkpoint, after all records up to it: the attempt that goes on from there repeats none of them."""
        self._records.flush()
        self.checkpoints.save(progress.checkpoint())
        self._push()

    def _push(self) -> None:
        """Sends rank 0's files to where the trial is kept."""
        if self.shard.rank == 0:
            with_retries(self.folder.working_copy.push)

    def _score(self, judge: Judge) -> dict[str, Any]:
        """The scores of the last step's generator, and its samples."""
        path = self.checkpoints.path(self.config.loop.n_steps)
        sampler = sampling_copy_of(generator_from(path)[0].to(self.device), self.config)
        self._write_samples(self._grid(sampler))
        LOGGER.info("scoring")
        self._told = time.monotonic()
        try:
            results = objective_scores(self.config, judge, synthetic_set(sampler, self.config), self._while_scoring)
        except TrainingDiverged as error:
            return {"end": "unscored", "reason": f"a classifier of the score failed: {error}"}
        whole = {name: result.to_json() for name, result in results.items()}
        write_atomically(self.folder.scores, lambda stream: stream.write(json.dumps(whole, indent=1).encode()))
        summary = summary_of(results)
        scores = {**measured(summary), COST: self._seconds}
        self._records.write_scores(self.config.loop.n_steps, scores)
        objectives = parsed(self.config.evaluation.objective)
        undefined = [objective.name for objective in objectives if objective.name not in scores]
        if undefined:
            # Distances raise where they have no value, so it is a ratio to ReR.
            why = "the real-trained classifiers get no real clip right"
            return {"end": "unscored", "reason": f"{' and '.join(undefined)} undefined: {why}"}
        return {"end": "done", "scores": scores, "score": json.dumps(summary)}

    def _while_scoring(self, done: int, total: int) -> None:
        if self._stop_request.is_there:
            raise StopRequested
        if time.monotonic() - self._told > SECONDS_BETWEEN_SIGNS:
            LOGGER.info("scoring: %d of %d", done, total)
            self.folder.working_copy.push_seldom()
            self._told = time.monotonic()

    def _grid(self, sampler: Generator) -> Tensor:
        """Always the same codes, the same for every trial: uint8 (T, H', W', 3)."""
        n_rows, n_frames = self.config.n_conditions, self.config.model.n_frames
        return sample_grid(sampler, n_rows, SAMPLES_PER_CLASS, seed=0, n_frames=n_frames)

    def _write_samples(self, grid: Tensor) -> None:
        self.folder.samples.mkdir(parents=True, exist_ok=True)
        write_gif(self.folder.samples / "grid.gif", grid)
        write_mp4(self.folder.samples / "grid.mp4", grid)


@contextmanager
def own_copy_in_use(folder: TrialFolder) -> Iterator[None]:
    """For as long as a process works on its own copy; of a folder that nodes share nothing is deleted."""
    if folder.address is None:
        yield
    else:
        with used_copy(folder.folder.parents[2], local_cache_folder("trials")):
            yield


def own_copy(spec: TrialSpec, rank: int) -> TrialFolder:
    """A rank's own copy of the trial's folder, for ranks may share a node; the folder itself where nodes share a disk."""
    return TrialFolder.at(spec.folder, f"trials/rank{rank}")


def is_needed_to_go_on(name: str) -> bool:
    """What an attempt reads of those before it."""
    return not name.startswith(("attempts/", "evaluations/", "seeds/"))


def _without(prefix: str, line: dict[str, float]) -> dict[str, float]:
    """The values of a line whose names begin with `prefix`, by the rest of their names."""
    return {name.removeprefix(prefix): value for name, value in line.items() if name.startswith(prefix)}


def _health(vitals: Vitals) -> str:
    """What of the training is wrong, and what was measured, as a report may carry it."""
    return json.dumps({"states": states(vitals), "vitals": vitals.measured()})
