"""A trial of another program: it is started, its folders of samples are looks, and the last of them is scored."""

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vgsearch.experiment.end import End
from vgsearch.experiment.metrics_lines import whole_lines
from vgsearch.experiment.paths import SAMPLES_PER_CLASS
from vgsearch.program.command import Value, placeholders
from vgsearch.program.process import Exit, Program, inherited_environment, last_line
from vgsearch.program.run import ProgramRun, argument_list, environment
from vgsearch.program.samples import UnusableSamples, clips_in, refuse_unknown_classes
from vgsearch.program.step_folders import seconds_unchanged, step_folders
from vgsearch.program.training_videos import training_videos
from vgsearch.runtime.judging.judge import Judge, Looks
from vgsearch.runtime.sweep.attempt import (
    SECONDS_BETWEEN_REPORTS,
    Attempt,
    OpenClips,
    StopRequested,
    TryAgain,
    Unhealthy,
)
from vgsearch.runtime.sweep.failures import oom_kills
from vgsearch.runtime.sweep.spec import TrialSpec
from vgsearch.terminal.words import duration
from videogan.config import parse_config
from videogan.data.clip_set import all_windows
from videogan.data.manifest import read_manifest
from videogan.out_of_memory import is_out_of_memory
from videogan.protocols.s3 import SyntheticSet
from videogan.protocols.video_pool import VideoPool
from videogan.sampling.pictures import grid_frames
from videogan.storage.atomic import write_atomically
from videogan.training.health import Vitals

SECONDS_BETWEEN_CHECKS = 0.3
MOST_NAMED = 5
REMEDY = "provide it and resume, or correct the space and start a new search"


class ProgramDied(TryAgain):
    """Another process ended the program, so that it may go on from its checkpoint folder."""


class _Ended(Exception):
    """The program ended, or was ended, in a way that gives no score."""

    def __init__(self, end: End) -> None:
        super().__init__(end.reason)
        self.end = end


class ProgramTrial(Attempt):
    """Runs the program of one trial, and ends it with the trial."""

    config: ProgramRun

    def __init__(self, spec: TrialSpec, *arguments: Any, **named: Any) -> None:
        """The arguments of `Attempt`."""
        super().__init__(spec, *arguments, **named)
        self.config = parse_config(ProgramRun, spec.config, spec.trial_id)
        self._manifest = read_manifest(spec.inputs.data)
        self._waits_for_more: set[int] = set()
        """Steps whose folder has not changed for a while, but lacks usable videos."""
        self._left_over = frozenset[int]()
        """Steps whose folder an earlier attempt wrote."""
        self._pool: VideoPool | None = None

    def _resumed_step(self) -> int:
        """The step of the last look. Later samples stay: a program whose checkpoint is later writes them no more."""
        return max((int(line["step"]) for line in whole_lines(self.folder.metrics) if "look" in line), default=0)

    def _make_and_score(self, open_clips: OpenClips) -> End:
        judge = Judge(self.spec.inputs, self.config.data, self.config.n_frames)
        try:
            if not self.folder.program_ended.exists():
                self._run_program(judge)
            self._step = json.loads(self.folder.program_ended.read_bytes())["step"]
            if (samples := self._sample_folders().get(self._step)) is None:
                raise UnusableSamples(f"samples/step_{self._step}, the program's last samples, are gone")
            with self._videos(samples, judge) as self._pool:
                end = self._scored_by_all(judge)
        except _Ended as ended:
            return ended.end
        except UnusableSamples as error:
            return End("failed", str(error))
        return self._after_first_seed(self, end, open_clips)

    def _run_program(self, judge: Judge) -> None:
        """Run the program to its end, with a look at each new whole folder of samples; note its last step."""
        looks, before, began, reported = Looks(judge, self.config), self._seconds, time.monotonic(), 0.0
        kills_before, self._left_over = oom_kills(), frozenset(self._sample_folders())
        with self._started() as program:
            while program.exit is None:
                time.sleep(SECONDS_BETWEEN_CHECKS)
                self._seconds = before + time.monotonic() - began
                self._look_at_new(looks, judge)
                if self._own_stop_request.exists:
                    raise Unhealthy("stopped by vgsearch stop")
                if self._stop_request.exists:
                    raise StopRequested
                self._refuse_silence(program)
                if time.monotonic() - reported > SECONDS_BETWEEN_REPORTS:
                    self.report({"step": self._step, "losses": {}})
                    self.folder.working_copy.push_seldom()
                    reported = time.monotonic()
            self._refuse_failure(program.exit, program.last_lines(), oom_kills() > kills_before)
        self._refuse_no_samples()
        self._look_at_new(looks, judge, is_over=True)
        ended = json.dumps({"step": max(self._sample_folders())}).encode()
        write_atomically(self.folder.program_ended, lambda stream: stream.write(ended))
        self._push()

    def _started(self) -> Program:
        """The running program; a wrong working folder would end every trial, so it halts the sweep."""
        command, values = self.config.command, self._of_the_trial()
        folder = self.folder.program if command.folder is None else Path(command.folder)
        if not folder.is_dir():
            raise _Ended(End("interrupted", f"command.folder {folder} is no folder; {REMEDY}", halts=True))
        variables = inherited_environment(environment(self.config, values), self.spec.inputs.gpus_per_worker)
        arguments = argument_list(self.config, values)
        return Program(arguments, folder, variables, self.folder.log, command.seconds_to_end)

    def _of_the_trial(self) -> dict[str, Value]:
        """The values of the placeholders that every command may use."""
        n_gpus, config = self.spec.inputs.gpus_per_worker, self.config
        for folder in (self.folder.program, self.folder.checkpoints):
            folder.mkdir(parents=True, exist_ok=True)
        return {
            "out": str(self.folder.program.absolute()),
            "checkpoint_folder": str(self.folder.checkpoints.absolute()),
            "data": str(training_videos(self._manifest)) if "data" in placeholders(config.command) else "",
            "seed": config.seed,
            "n_steps": config.n_steps,
            "n_frames": config.n_frames,
            "n_classes": config.n_classes,
            "resolution": config.resolution,
            "n_gpus": int(n_gpus) if float(n_gpus).is_integer() else n_gpus,
            "python": sys.executable,
        }

    def _sample_folders(self) -> dict[int, Path]:
        return step_folders(self.folder.program / "samples")

    @contextmanager
    def _videos(self, folder: Path, judge: Judge) -> Iterator[VideoPool]:
        """The videos of one step; raises UnusableSamples."""
        config = self.config
        with clips_in(folder, self._manifest.classes, config.data, config.preprocessing, config.n_frames,
                      config.command.fewest_clips) as clips:  # fmt: skip
            yield VideoPool(clips, judge.train, judge.scored)

    def _look_at_new(self, looks: Looks, judge: Judge, is_over: bool = False) -> None:
        """Look at each whole folder of samples after the last look; raises UnusableSamples for one without enough."""
        folders = self._sample_folders()
        for step, folder in folders.items():
            is_whole = is_over or step < max(folders)
            if step <= self._step or not (is_whole or self._is_settled(step, folder)):
                continue
            try:
                with self._videos(folder, judge) as pool:
                    look, of_samples = looks(pool)
                    grid = self._grid(pool)
            except UnusableSamples:
                if is_whole:
                    raise
                refuse_unknown_classes(folder, self._manifest.classes)
                self._waits_for_more.add(step)
                continue
            self._step = step
            self.report({"step": step, "losses": {}, **self._record_look(look, Vitals(**of_samples), grid)})
            self._push()
            self._stop_if_unhealthy(step)

    def _is_settled(self, step: int, folder: Path) -> bool:
        """Whether nothing has changed for a while; samples that an ended attempt may have cut do not count."""
        may_be_cut = step in self._left_over or step in self._waits_for_more
        return not may_be_cut and seconds_unchanged(folder) > self.config.command.seconds_settled

    def _refuse_silence(self, program: Program) -> None:
        """End a program that has printed and written nothing for too long."""
        limit = self.config.command.seconds_of_silence
        if program.seconds_of_silence < limit:
            return
        if min(map(seconds_unchanged, (self.folder.program, self.folder.checkpoints))) < limit:
            program.heard()
            return
        said = last_line(program.last_lines())
        why = f"the program printed and wrote nothing for {duration(limit)} (command.seconds_of_silence) and was ended"
        raise _Ended(End("stalled", f"{why}; it last said: {said}" if said else f"{why}; it has said nothing"))

    def _refuse_failure(self, how: Exit, said: str, memory_was_short: bool) -> None:
        """Raise for any end but code 0; the reason has the program's last line, and its last lines are in the log."""
        if how.is_success:
            return
        if how.error:
            raise _Ended(End("interrupted", f"the program {how}; {REMEDY}", halts=True))
        reason = f"the program {how}: {last_line(said) or 'it printed nothing'}"
        if is_out_of_memory(RuntimeError(said)) or (how.is_from_outside and memory_was_short):
            raise _Ended(End("out_of_memory", reason))
        if how.is_from_outside:
            raise ProgramDied(reason)
        raise _Ended(End("failed", reason))

    def _refuse_no_samples(self) -> None:
        if self._sample_folders():
            return
        samples = self.folder.program / "samples"
        found = sorted(path.name for path in samples.iterdir())[:MOST_NAMED] if samples.is_dir() else []
        beside = f"samples/ holds {', '.join(found)}" if found else "it has no samples/" if not samples.is_dir() else ""
        raise _Ended(
            End("failed", f"the program ended with code 0, but {samples.parent} must hold samples/step_<n>/<class>/; "
                          f"{beside or 'samples/ is empty'}")
        )  # fmt: skip

    def _samples(self) -> tuple[SyntheticSet, Tensor]:
        assert self._pool is not None, "only called while the pool is open"
        return self._pool, self._grid(self._pool)

    def _grid(self, pool: VideoPool) -> Tensor:
        """A row of samples for each class: uint8 (T, H', W', 3)."""
        labels = torch.arange(self.config.n_classes).repeat_interleave(SAMPLES_PER_CLASS)
        return grid_frames(all_windows(pool("samples", labels, 0)), SAMPLES_PER_CLASS)
