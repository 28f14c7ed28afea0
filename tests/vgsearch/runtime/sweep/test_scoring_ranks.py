"""Two ranks score a trial together, over gloo and without Ray: the score is that of one rank to the last digit."""

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.builders import tiny_sweep
from tests.cached_shapes import cached_shapes
from vgsearch.experiment.paths import TrialFolder
from vgsearch.runtime.judging.judge import Judge
from vgsearch.runtime.sweep.spec import TrialSpec
from vgsearch.runtime.sweep.trial import Trial
from videogan.classifiers.fit import Recipe
from videogan.data.clip_set import ClipSet
from videogan.divergence import TrainingDiverged
from videogan.protocols import PROTOCOLS
from videogan.protocols.classifier import cached_real_classifier
from videogan.protocols.s3 import Purpose, S3Protocol, SyntheticSet
from videogan.shard import Shard

pytestmark = pytest.mark.slow

RECIPE = Recipe(lr=0.05, batch_size=16, max_epochs=2, patience=2, clip_norm=5, n_windows=2)
NAME = "s3_r3d18_smoke_v2"


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> TrialSpec:
    """A trial of one step on moving shapes, whose real-trained classifiers are in the cache; S3 is made small."""
    folder = tmp_path_factory.mktemp("ranks")
    inputs = cached_shapes(folder, n_frames=16)
    overrides = {"model.channels": 2, "model.gru_hidden": 8, "loop.n_steps": 1, "loop.batch_size": 4,
                 "evaluation.protocol": NAME, "evaluation.n_look_clips": 8, "evaluation.objective": "s3"}  # fmt: skip
    sweep = tiny_sweep(overrides=overrides)
    config = sweep.run_config(sweep.paper_points[0], 0)
    assert config.evaluation.protocol == NAME
    return TrialSpec("t", str(folder / "t"), config.model_dump(mode="json"), {}, str(folder / "stop"), inputs)


@pytest.fixture(scope="module")
def small_protocol(spec: TrialSpec) -> Iterator[None]:
    """Named protocols take minutes; forked ranks see this one too."""
    named = PROTOCOLS[NAME]
    assert isinstance(named, S3Protocol)
    classifier = named.classifier.model_copy(update={"width": 2, "recipe": RECIPE})
    small = named.model_copy(update={"classifier": classifier, "n_samples": 24})
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(PROTOCOLS, NAME, small)
        trial = Trial(spec, print)
        judge = Judge(spec.inputs, trial.config.data, trial.config.n_frames)
        for seed in small.seeds:
            folder = spec.inputs.classifier_path(classifier, seed).parent
            cached_real_classifier(folder, classifier, judge.train, {"select": judge.scored}, seed)
        yield


def run(rank: int, n_ranks: int, spec: TrialSpec, kind: type[Trial], ends: str) -> None:
    """One rank of a trial; its end is written to a file."""
    shard, reports = Shard(rank, n_ranks), []
    if n_ranks > 1:
        meeting = f"file://{ends}/rendezvous"
        torch.distributed.init_process_group("gloo", init_method=meeting, rank=rank, world_size=n_ranks)
    kind(spec, reports.append, shard=shard).run(lambda config, start: spec.inputs.cached_clips(config, rank, n_ranks))
    Path(ends, f"{rank}.json").write_text(json.dumps(reports[-1]))


@pytest.fixture(scope="module")
def one(spec: TrialSpec, small_protocol: None) -> TrialFolder:
    """The trial, trained and scored by one rank."""
    Path(spec.folder).mkdir()
    run(0, 1, spec, Trial, spec.folder)
    return TrialFolder(Path(spec.folder))


@pytest.fixture
def ends_of_two(spec: TrialSpec, one: TrialFolder, tmp_path: Path) -> Callable[[type[Trial]], list[dict[str, Any]]]:
    """The ends of two ranks of a trial in tmp_path/t, which is trained and only scored."""

    def ends(kind: type[Trial]) -> list[dict[str, Any]]:
        shutil.copytree(one.checkpoints, TrialFolder(tmp_path / "t").checkpoints)
        own = replace(spec, folder=str(tmp_path / "t"), stop_request=str(tmp_path / "stop"))
        torch.multiprocessing.start_processes(run, (2, own, kind, str(tmp_path)), nprocs=2, start_method="fork")
        return [json.loads((tmp_path / f"{rank}.json").read_text()) for rank in range(2)]

    return ends


class Notes(Trial):
    """A trial that notes for which seeds each rank makes a synthetic training set."""

    def _samples(self) -> tuple[SyntheticSet, Tensor]:
        synthetic, grid = super()._samples()

        def noted(purpose: Purpose, labels: Tensor, seed: int) -> ClipSet:
            if purpose == "train":
                with open(self.folder.folder / f"seeds-{self.shard.rank}", "a") as seeds:
                    seeds.write(f"{seed} ")
            return synthetic(purpose, labels, seed)

        return noted, grid


def test_each_rank_fits_the_classifiers_of_its_seeds_and_the_score_is_that_of_one_rank(
    ends_of_two, one, tmp_path: Path
):
    assert [end["end"] for end in ends_of_two(Notes)] == ["done", "done"]
    two = TrialFolder(tmp_path / "t")
    assert [(two.folder / f"seeds-{rank}").read_text() for rank in range(2)] == ["0 2 ", "1 "]
    assert json.loads(two.scores.read_text()) == json.loads(one.scores.read_text())


class DivergesOnTheSecond(Trial):
    """A trial whose second rank fits a classifier that diverges."""

    def _while_scoring(self, done: int, total: int) -> None:
        if self.shard.rank == 1:
            raise TrainingDiverged(done, "classifier loss")


def test_a_classifier_that_diverges_on_another_rank_leaves_the_trial_unscored(ends_of_two):
    first, _ = ends_of_two(DivergesOnTheSecond)
    assert first["end"] == "unscored", first
    assert "classifier loss is not finite at step 1" in first["reason"]


class IsStoppedOnTheSecond(Trial):
    """A trial that is asked to stop while its second rank fits classifiers."""

    def _while_scoring(self, done: int, total: int) -> None:
        if self.shard.rank == 1:
            Path(self.spec.stop_request).touch()
        super()._while_scoring(done, total)


def test_a_stop_request_ends_all_ranks_that_score(ends_of_two):
    assert [end["end"] for end in ends_of_two(IsStoppedOnTheSecond)] == ["interrupted", "interrupted"]
