"""One attempt at a trial, of a family or of another program: its records, its score, and how it ends."""

import gc
import json
import logging
import math
import time
import traceback
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import asdict
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from vgsearch.experiment.end import STOPPED, End
from vgsearch.experiment.metrics_lines import whole_lines
from vgsearch.experiment.objective import COST, compared_scores, parsed
from vgsearch.experiment.tensorboard import with_names
from vgsearch.experiment.trial_records import TrialRecords, set_wrong_kinds_aside, warnings_kept
from vgsearch.object_store.retry import with_retries
from vgsearch.runtime.judging.judge import Judge, needs_s3, objective_scores, score_of
from vgsearch.runtime.sweep.broken_device import refuse_broken
from vgsearch.runtime.sweep.failures import end_of_error, in_one_line, is_out_of_memory
from vgsearch.runtime.sweep.spec import TrialSpec, is_read_by_the_next_attempt, own_copy, own_copy_in_use
from vgsearch.runtime.sweep.stop_request import StopRequest
from videogan.divergence import TrainingDiverged
from videogan.protocols.copies import Copies
from videogan.protocols.s3 import SeedFindings, SyntheticSet
from videogan.sampling.pictures import write_gif, write_mp4
from videogan.shard import Shard
from videogan.storage.atomic import delete_parts, write_atomically
from videogan.storage.json_values import json_values
from videogan.storage.places import StorageError
from videogan.training.health import Vitals, reason_to_stop, states
from videogan.training.loop import ClipSource
from videogan.training.run_config import RunConfig
from videogan.training.scored_run import ScoredRun

LOGGER = logging.getLogger(__name__)
Report = Callable[[dict[str, Any]], None]
"""Is called with "step" and "losses", after a look also "look" and "health", while it is scored "phase", at the end
with `End.to_result`."""
OpenClips = Callable[[RunConfig, int], AbstractContextManager[ClipSource]]
"""(configuration, first batch) -> the training clips."""
AfterFirstSeed = Callable[["Attempt", End, OpenClips], End]
"""Trains the further seeds of a trial, given the end of its first training; see `seeds.py`."""
SECONDS_BETWEEN_REPORTS = 2.0
MEMORISATION = "memorisation/"
"""Prefix of the names of the share of copies, and of the ratio in features, in metrics.jsonl and TensorBoard."""
HEALTH = "health/"
"""Prefix of the names of vitals in metrics.jsonl."""
SECONDS_BETWEEN_SIGNS = 30.0
"""Interval of log lines while a trial is scored, which show the driver that it is alive."""


class StopRequested(Exception):
    """The sweep is being stopped: save, and end as interrupted."""


class TryAgain(Exception):
    """The trial is not to blame: Ray Tune starts it again, as after the death of its process."""


class Unhealthy(Exception):
    """The training has a state that `health.stop_on` names; the message says which and since when."""


class Attempt(ABC):
    """What trials of every kind share, on one rank; only rank 0 writes, and only into the trial's folder.

    A kind of trial says where an attempt continues (`_resumed_step`), makes and looks (`_make_and_score`), and hands
    over the clips to score (`_samples`).
    """

    config: ScoredRun

    def __init__(
        self,
        spec: TrialSpec,
        report: Report,
        wrap: Callable[[nn.Module], nn.Module] = lambda module: module,
        shard: Shard = Shard(),
        device: torch.device | str = "cpu",
        after_first_seed: AfterFirstSeed = lambda trial, end, open_clips: end,
    ) -> None:
        self.spec, self.wrap, self.shard, self.device = spec, wrap, shard, device
        self._after_first_seed = after_first_seed
        self.report = report
        self.folder = own_copy(spec, shard.rank)
        self._stop_request, self._own_stop_request = StopRequest(spec.stop_request), StopRequest(spec.own_stop_request)
        self._records: TrialRecords | None = None
        """Rank 0's records while it runs."""
        self._step, self._losses = 0, dict[str, float]()
        self._seconds, self._states_seen = 0.0, list[Mapping[Any, str]]()
        """Seconds of training in all attempts; the health problems that each look found."""

    @abstractmethod
    def _resumed_step(self) -> int:
        """The step that this attempt continues from; 0 at the beginning."""

    @abstractmethod
    def _make_and_score(self, open_clips: OpenClips) -> End:
        """Train, or run the program, with looks; then score."""

    @abstractmethod
    def _samples(self) -> tuple[SyntheticSet, Tensor]:
        """The clips to score, and a grid of them."""

    @property
    def seconds(self) -> float:
        """Seconds of training in all attempts."""
        return self._seconds

    def run(self, open_clips: OpenClips) -> None:
        """Train and score, then report the end."""
        end = self.finish(open_clips)
        self.report({"step": self._step, "losses": self._losses, **end.to_result()})

    def finish(self, open_clips: OpenClips) -> End:
        """Train and score. Raises StorageError, BrokenDevice and, of several ranks, all that Ray Train must see."""
        # One thread per trial: two trials with one thread each are faster than one trial with two.
        torch.set_num_threads(1)
        with own_copy_in_use(self.folder):
            if self.shard.rank == 0:
                self.folder.working_copy.delete_partial_uploads()
            self.folder.working_copy.pull(is_read_by_the_next_attempt)
            try:
                return self._finish(open_clips)
            finally:
                # Upload the log of a failed attempt too; an unreachable storage must not hide the attempt's error.
                with suppress(StorageError):
                    self._push()

    def _finish(self, open_clips: OpenClips) -> End:
        # The log opens at the step of the checkpoint, so warnings of damaged checkpoints wait for it.
        with warnings_kept() as damaged:
            if self.shard.rank == 0:
                set_wrong_kinds_aside(self.folder)
                delete_parts(self.folder.folder)
            self._step = self._resumed_step()
        try:
            with TrialRecords(self.folder, self._step) if self.shard.rank == 0 else nullcontext() as self._records:
                for warning in damaged:
                    LOGGER.warning(warning.message)
                end = self._end(open_clips)
                self._compare(end)
                LOGGER.info("ended: %s %s", end.state, end.reason)
            self._push()
        except OSError as error:
            # The disk was full even for the records.
            end = end_of_error(error)
            if self.shard.n_ranks > 1 or not end.halts:
                raise
        return end

    def _end(self, open_clips: OpenClips) -> End:
        if self._records is not None:
            self._restore(self._records.lines())
            self._records.board.add_hyperparameters(self.spec.hyperparameters)
        self._report_looks_before()
        LOGGER.info("training from step %d to %d", self._step, self.config.n_steps)
        try:
            return self._make_and_score(open_clips)
        except TrainingDiverged as error:
            return End("diverged", f"{error.term} is not finite; lower the learning rates", error.step)
        except Unhealthy as error:
            return End("pruned", str(error))
        except StopRequested:
            return End("interrupted", STOPPED)
        except (StorageError, TryAgain):
            # Not the trial's fault: Ray Tune starts it again, from the newest checkpoint on the storage.
            LOGGER.error(traceback.format_exc())
            raise
        except Exception as error:
            # The sweep continues, and the trial's log says where it happened. With several ranks the others wait for
            # this one, so Ray Train must see the failure and end them.
            LOGGER.error(traceback.format_exc())
            refuse_broken(self.device, error)
            if self.shard.n_ranks > 1:
                raise
            return end_of_error(error)

    def _compare(self, end: End) -> None:
        """Write what TensorBoard compares trials by; a generator of a single class is no trial."""
        if self._records is not None and end.state != "interrupted" and self.config.data.only_class is None:
            names = compared_scores(parsed(self.config.evaluation.objective))
            self._records.board.compare({COST: self._seconds, **end.scores}, names, self._step)

    def _restore(self, lines: Sequence[Mapping[str, float]]) -> None:
        """Read what earlier attempts wrote: the seconds of training, and the health at their looks."""
        for line in lines:
            self._seconds = line.get("seconds_training", self._seconds)
            if vitals := without(HEALTH, line):
                self._states_seen.append(states(Vitals.of(vitals)))

    def _report_looks_before(self) -> None:
        """Report the looks of earlier attempts again: the driver may have been killed before it got the last.

        Every rank reports them, since Ray Train waits for all.
        """
        for line in whole_lines(self.folder.metrics) if self._step else ():
            if "look" in line and line["step"] <= self._step:
                health = health_of(Vitals.of(without(HEALTH, line)))
                self.report({"step": line["step"], "look": line["look"], "losses": {}, "health": health})

    def _record_look(self, look: float, vitals: Vitals, grid: Tensor) -> dict[str, Any]:
        """Write a look of this step to the records, on rank 0; returns what is reported of it."""
        assert self._records is not None, "only rank 0 looks"
        self._states_seen.append(states(vitals))
        values = {"look": look, "seconds_training": self._seconds}
        values |= {f"{HEALTH}{name}": value for name, value in vitals.measured().items()}
        self._records.write(self._step, values)
        # A model without labels has one row.
        names = self.spec.class_names if self.config.n_conditions == len(self.spec.class_names) else ()
        self._records.board.video("samples", with_names(grid, names), self._step)
        return {"look": look, "health": health_of(vitals)}

    def _stop_if_unhealthy(self, step: int) -> None:
        """End all ranks if rank 0 saw a state that `health.stop_on` names; a training at its last step is scored."""
        if not self.config.health.stop_on or step == self.config.n_steps:
            return
        reason = reason_to_stop(self._states_seen, self.config.health)
        if self.seen_by_any(reason is not None):
            raise Unhealthy(reason or "")

    def seen_by_any(self, seen: bool) -> bool:
        """Whether any rank has seen it; all ranks must call this at the same step."""
        if self.shard.n_ranks == 1:
            return seen  # without a wait for a GPU
        return self.shard.averaged(torch.tensor([float(seen)], device=self.device)).item() > 0

    def _push(self) -> None:
        """Copy rank 0's files to the trial's address, if it has one."""
        if self.shard.rank == 0:
            with_retries(self.folder.working_copy.push)

    def _scored_by_all(self, judge: Judge | None) -> End:
        """Score, if there is a judge: every rank fits S3's classifiers of its seeds, then rank 0 does the rest.

        The others wait for it; a stop request ends all of them.
        """
        end, is_stopped = End("done"), False
        if judge is not None:
            self.shard.wait_for_first(f"trained {self._event}")  # the others read its last checkpoint
            try:
                end = self._scored(judge)
            except StopRequested:
                is_stopped = True
        self.shard.wait_for_first(f"scored {self._event}")
        if self.seen_by_any(is_stopped):
            raise StopRequested
        return end

    @property
    def _event(self) -> str:
        """Names this training among those of a process group."""
        return f"{self.config.seed} {self.config.data.only_class}"

    def _scored(self, judge: Judge) -> End:
        """Score; if memory does not suffice for that, the training is kept, and no smaller batch would help."""
        gc.collect()  # the trained networks refer to themselves in circles, and fill the device
        try:
            return self._score(judge)
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            LOGGER.error(traceback.format_exc())
            why = "out of memory while it was scored; the training is kept, and resume --retry failed scores it again"
            return End("failed", f"{why}: {in_one_line(error)}")

    def _score(self, judge: Judge) -> End:
        """Score the last step's generator, and write its samples; ranks other than the first have no score."""
        synthetic, grid = self._samples()
        if self.shard.rank == 0:
            self._write_samples(grid)
        LOGGER.info("scoring")
        self._signed = self._reported = time.monotonic()
        try:
            found = self._findings(judge, synthetic)
            if self.shard.rank > 0:
                return End("done")
            results = objective_scores(self.config, judge, synthetic, self._while_scoring, found)
        except TrainingDiverged as error:
            return End("unscored", f"a classifier of the score failed: {error}")
        LOGGER.info("looking for copies")
        copied = judge.copies(self.config.evaluation.s3_protocol.classifier, synthetic)
        whole = {name: result.to_json() for name, result in results.items()} | {"copies": json_values(asdict(copied))}
        write_atomically(self.folder.scores, lambda stream: stream.write(json.dumps(whole, indent=1).encode()))
        score = score_of(results, copied)
        scores = {**score.means, COST: self._seconds}
        if self._records is not None:
            self._records.write_scores(self._step, scores, memorisation(copied))
        objectives = parsed(self.config.evaluation.objective)
        undefined = [objective.name for objective in objectives if objective.name not in scores]
        if undefined:
            # A distance without a value raises, so these are ratios to ReR.
            why = "the real-trained classifiers get no real clip right"
            return End("unscored", f"{' and '.join(undefined)} undefined: {why}")
        return End("done", scores=scores, score=score)

    def _findings(self, judge: Judge, synthetic: SyntheticSet) -> dict[int, SeedFindings]:
        """What the ranks find for S3, each by the classifiers of its seeds; a single rank finds it while it scores."""
        if self.shard.n_ranks == 1 or not needs_s3(self.config):
            return {}
        protocol = self.config.evaluation.s3_protocol
        own: dict[int, SeedFindings] | Exception
        try:
            seeds = protocol.seeds[self.shard.rank :: self.shard.n_ranks]
            own = judge.findings(protocol, synthetic, seeds, self._while_scoring)
        except Exception as error:
            # These end every rank in the same way; after any other error Ray Train ends the others.
            if not (isinstance(error, StopRequested | TrainingDiverged) or is_out_of_memory(error)):
                raise
            own = error
        found: dict[int, SeedFindings] = {}
        waits = partial(self._show_life, "waiting for the other workers' classifiers")
        for part in self.shard.collected(own, f"found {self._event}", waits):
            if isinstance(part, Exception):
                raise part
            found |= part
        return found

    def _while_scoring(self, done: int, total: int) -> None:
        if self._stop_request.exists:
            raise StopRequested
        # Of several ranks the others wait for the score, and Ray Train would wait for their reports.
        if self.shard.n_ranks == 1 and time.monotonic() - self._reported > SECONDS_BETWEEN_REPORTS:
            self.report({"step": self._step, "losses": self._losses, "phase": f"scoring {done}/{total}"})
            self._reported = time.monotonic()
        self._show_life(f"scoring: {done} of {total}")

    def _show_life(self, does: str) -> None:
        """Log what rank 0 does, now and then: the driver sees the log grow."""
        if self.shard.rank == 0 and time.monotonic() - self._signed > SECONDS_BETWEEN_SIGNS:
            LOGGER.info(does)
            self.folder.working_copy.push_seldom()
            self._signed = time.monotonic()

    def _write_samples(self, grid: Tensor) -> None:
        write_atomically(self.folder.samples / "grid.gif", lambda stream: write_gif(stream, grid))
        write_atomically(self.folder.samples / "grid.mp4", lambda stream: write_mp4(stream, grid))


def memorisation(found: Copies) -> dict[str, float]:
    """The share of copies, and the ratio in features if it has a value, by the names of metrics.jsonl."""
    measured = {"copies": found.share, "features": found.features}
    return {f"{MEMORISATION}{name}": value for name, value in measured.items() if math.isfinite(value)}


def without(prefix: str, line: Mapping[str, float]) -> dict[str, float]:
    """The values of a line whose names begin with `prefix`, by the rest of their names."""
    return {name.removeprefix(prefix): value for name, value in line.items() if name.startswith(prefix)}


def health_of(vitals: Vitals) -> str:
    """The training's health and vitals as JSON, because Ray Tune flattens dicts."""
    return json.dumps({"states": states(vitals), "vitals": vitals.measured()})
