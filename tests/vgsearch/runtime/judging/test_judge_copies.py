"""The judge finds copies among samples by what it computes once for a data set."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.cached_shapes import cached_shapes
from vgsearch.runtime.feed.inputs import Inputs
from vgsearch.runtime.judging.judge import Judge
from videogan.classifiers.fit import Recipe
from videogan.data.clips import DataConfig
from videogan.protocols.classifier import ClassifierProtocol, cached_real_classifier
from videogan.protocols.ladder import RealParts, held_back_clips, training_clips

N_FRAMES = 16
RECIPE = Recipe(lr=0.1, batch_size=16, max_epochs=1, patience=1, clip_norm=1, precision="fp32")
PROTOCOL = ClassifierProtocol(classifier="r3d18", width=4, dropout=0.0, size=None, n_frames=N_FRAMES, recipe=RECIPE)


@pytest.fixture(scope="module")
def inputs(tmp_path_factory) -> Inputs:
    return cached_shapes(tmp_path_factory.mktemp("copies"), n_frames=24)


@pytest.fixture(scope="module")
def judge(inputs) -> Callable[[], Judge]:
    def new() -> Judge:
        return Judge(inputs, DataConfig(), N_FRAMES)

    clips = new()
    folder = inputs.classifier_path(PROTOCOL, 0).parent
    cached_real_classifier(folder, PROTOCOL, clips.train, {"select": clips.scored}, seed=0)
    return new


def test_training_windows_are_copies_and_unseen_clips_are_not(judge, inputs):
    unseen = inputs.real_clips(DataConfig(), N_FRAMES, "test")
    parts = RealParts(judge().train, judge().scored, unseen)
    copied, honest = (judge().copies(PROTOCOL, rung(parts)) for rung in (training_clips, held_back_clips))
    assert (copied.share, copied.distance, copied.split) == (1, 0, "select")
    assert copied.features < 0.5
    assert honest.share <= honest.limit
    assert honest.n_samples == copied.n_samples == 200


def test_what_is_prepared_is_not_computed_again(judge, inputs, monkeypatch):
    judge().prepare_copies(PROTOCOL)
    files: list[Path] = [inputs.windows_path(N_FRAMES), inputs.features_path(PROTOCOL)]
    assert all(file.exists() for file in files)
    monkeypatch.setattr("vgsearch.runtime.judging.judge.training_windows", None)
    monkeypatch.setattr("vgsearch.runtime.judging.judge.training_features", None)
    parts = RealParts(judge().train, judge().scored, judge().scored)
    assert judge().copies(PROTOCOL, training_clips(parts)).share == 1


def test_the_windows_of_other_lengths_and_parts_have_files_of_their_own(inputs):
    paths = {inputs.windows_path(16), inputs.windows_path(8), replace(inputs, part="half").windows_path(16)}
    assert len(paths) == 3
    assert inputs.windows_path(16) == replace(inputs, scored="test").windows_path(16)
