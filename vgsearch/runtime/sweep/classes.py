"""A trial of a model without labels that trains one generator for each class, so that S3 can be measured."""

import dataclasses
from typing import Any

import torch
from torch import Tensor

from vgsearch.experiment.end import End
from vgsearch.program.command import COMMAND
from vgsearch.runtime.judging.judge import Judge, synthetic_set
from vgsearch.runtime.sweep.attempt import Attempt, OpenClips
from vgsearch.runtime.sweep.program_trial import ProgramTrial
from vgsearch.runtime.sweep.spec import TrialSpec, own_copy_in_use
from vgsearch.runtime.sweep.trial import Trial
from videogan.data.clip_set import Joined
from videogan.protocols.s3 import SyntheticSet


class OnePerClassTrial(Trial):
    """Trains a generator on the clips of each class, one after the other, then scores all of them together.

    Each generator has a folder of its own with its checkpoints and looks; the trial itself has no looks, so it is not
    pruned. A resumed trial continues with the class that was interrupted.
    """

    def _make_and_score(self, open_clips: OpenClips) -> End:
        for number in range(self.spec.n_classes):
            training = self._training(number)
            end = training.finish(open_clips)
            if self.seen_by_any(not end.is_done):
                reason = end.reason or "on another rank"
                return dataclasses.replace(end, reason=f"class {number}: {reason}")
            self._seconds += training.seconds
        self._step = self.config.n_steps
        judge = Judge(self.spec.inputs, self.config.data, self.config.n_frames)
        end = self._scored_by_all(judge)
        return self._after_first_seed(self, end, open_clips)

    def _training(self, number: int) -> Trial:
        spec = self.spec
        data = spec.config["data"] | {"only_class": number}
        own = dataclasses.replace(
            spec, folder=str(self.folder.of_class(number)), config=spec.config | {"data": data}, n_seeds=1
        )

        def report(result: dict[str, Any]) -> None:
            # A sign of life; looks of one class say nothing about the others.
            n_steps = self.config.n_steps
            phase = f"class {number + 1} of {self.spec.n_classes}: {result['step']}/{n_steps}"
            self.report({"step": result["step"], "losses": result["losses"], "phase": phase})

        return Trial(own, report, self.wrap, self.shard, self.device)

    def _samples(self) -> tuple[SyntheticSet, Tensor]:
        """Each label's clips by the generator of its class, and a grid with a row for each class."""
        trainings = [self._training(number) for number in range(self.spec.n_classes)]
        samplers = []
        for training in trainings:
            with own_copy_in_use(training.folder):
                samplers.append(training.last_sampler())
        sets = [synthetic_set(sampler, self.config) for sampler in samplers]
        rows = [training._grid(sampler) for training, sampler in zip(trainings, samplers, strict=True)]
        synthetic: SyntheticSet = lambda purpose, labels, seed: Joined(  # noqa: E731 (a def could not be typed so)
            [of_class(purpose, labels, seed) for of_class in sets], labels
        )
        return synthetic, torch.cat(rows, 1)


def trial_type(spec: TrialSpec) -> type[Attempt]:
    """What makes a trial's clips: another program, one generator, or one for each class."""
    if COMMAND in spec.config:
        return ProgramTrial
    return OnePerClassTrial if spec.config["evaluation"].get("one_per_class") else Trial
