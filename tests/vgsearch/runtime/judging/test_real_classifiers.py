"""Real-trained classifiers on a real Ray: fitted once, by one process or several workers; failures are reported."""

import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from rich.console import Console
from rich.progress import Progress

from vgsearch.runtime.feed.decode import build_cache
from vgsearch.runtime.feed.inputs import Inputs
from vgsearch.runtime.judging.prepare import prepare, warn_of_guessing
from vgsearch.runtime.judging.real_classifiers import fit_real_classifiers
from vgsearch.runtime.waits.failed_task import TaskFailed
from videogan.classifiers.fit import Recipe
from videogan.data.clip_set import all_windows
from videogan.data.clips import DataConfig
from videogan.data.manifest import SPLITS
from videogan.data.synthetic import make_moving_shapes
from videogan.protocols.classifier import ClassifierProtocol, load_real_classifier, save_real_classifier

RECIPE = Recipe(lr=0.05, batch_size=16, max_epochs=8, patience=8, min_updates_per_epoch=10, clip_norm=5, crop_padding=4)
SEED = 2
"""With 8 clips a rank, batch norm is noisy: two workers reach 34, 66 and 78 % on test clips with seeds 0, 1 and 2."""
ONE_EPOCH = RECIPE.model_copy(update={"max_epochs": 1})
TINY = ClassifierProtocol(classifier="r3d18", width=4, dropout=0.0, size=None, recipe=RECIPE)


@pytest.fixture(scope="module")
def inputs_of(ray_cluster, tmp_path_factory) -> Callable[..., Inputs]:
    """Inputs on 128 clips of moving shapes, each with its own classifier folder."""
    manifest = make_moving_shapes(tmp_path_factory.mktemp("data") / "shapes", n_clips_each=2, n_groups=16, n_frames=16)
    made = Inputs(
        data=str(manifest.folder),
        preprocessing="plain_32",
        cache=str(build_cache(manifest, "plain_32", DataConfig())),
        manifest_digest=manifest.digest,
        n_classes=len(manifest.classes),
        n_clips=tuple((split, len(manifest.split(split))) for split in SPLITS),
    )
    return lambda **given: replace(made, classifiers=str(tmp_path_factory.mktemp("classifiers")), **given)


def fitted(inputs: Inputs, needed: dict[ClassifierProtocol, tuple[int, ...]]) -> float:
    """Fits the missing classifiers; returns the count of the progress bar."""
    bars = Progress(disable=True)
    fit_real_classifiers(inputs, DataConfig(), 16, needed, bars)
    assert bars.finished
    return bars.tasks[0].completed


def written(inputs: Inputs) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in Path(inputs.classifiers).glob("*/real-*.pt")}


@pytest.mark.parametrize("n_workers", [1, 2])
def test_a_fit_leaves_its_classifier_above_chance_and_is_not_repeated(inputs_of, n_workers):
    inputs = inputs_of(n_workers=n_workers)
    assert fitted(inputs, {TINY: (SEED,)}) == 1
    found = load_real_classifier(inputs.classifier_path(TINY, SEED))
    assert found.rer["test"] > 0.4, "chance is 0.25"
    n_clips = dict(inputs.n_clips)
    assert {split: tuple(said.shape) for split, said in found.predictions.items()} == {
        split: (TINY.test_windows, n_clips[split]) for split in ("select", "test")
    }
    before = written(inputs)
    assert list(before) == [inputs.classifier_path(TINY, SEED)]
    assert fitted(inputs, {TINY: (SEED,)}) == 1
    assert written(inputs) == before


def test_classifiers_that_only_guess_are_warned_of(inputs_of):
    inputs, said = inputs_of(), io.StringIO()
    fitted(inputs, {TINY: (SEED,)})
    warn_of_guessing(inputs.real_classifiers(TINY, (SEED,)), "test", Console(file=said))
    assert not said.getvalue()
    path = inputs.classifier_path(TINY, SEED)
    save_real_classifier(path, replace(load_real_classifier(path), rer={"select": 0.9, "test": 0.25}))
    warn_of_guessing(inputs.real_classifiers(TINY, (SEED,)), "test", Console(file=said))
    assert "recognise 25 % of the real test clips, and guessing among 4 classes 25 %" in said.getvalue()


def test_another_frame_stride_has_its_own_classifiers_on_its_own_frames(tmp_path, monkeypatch):
    monkeypatch.setenv("VGSEARCH_CACHE", str(tmp_path / "cache"))
    manifest = make_moving_shapes(tmp_path / "shapes", n_clips_each=1, n_groups=16, n_frames=31)
    quiet, needed = Console(quiet=True), {TINY.model_copy(update={"recipe": ONE_EPOCH}): (0,)}
    made = [prepare(manifest, "plain_32", DataConfig(every_nth=n), 16, needed, 1, 0, quiet) for n in (1, 2)]
    paths = [inputs.classifier_path(protocol, 0) for inputs in made for protocol in needed]
    assert all(path.exists() for path in paths)
    assert paths[0].parent != paths[1].parent
    shown = [inputs.real_clips(DataConfig(every_nth=n), 16, "test").spaced(1) for n, inputs in enumerate(made, 1)]
    clips = [all_windows(centre) for centre in shown]
    assert not torch.equal(*clips)
    assert torch.equal(clips[0][:, 1::2], clips[1][:, 4:12]), "frames 8, 10 .. 22 of 31, which both show"


def test_only_missing_classifiers_are_fitted(inputs_of):
    inputs = inputs_of()
    short = TINY.model_copy(update={"recipe": ONE_EPOCH})
    narrow = short.model_copy(update={"width": 2})
    assert fitted(inputs, {short: (3,)}) == 1
    before = written(inputs)
    assert fitted(inputs, {short: (3, 4), narrow: (3,)}) == 3
    assert before.items() < written(inputs).items()
    assert set(written(inputs)) == {inputs.classifier_path(*one) for one in ((short, 3), (short, 4), (narrow, 3))}


# With several workers Ray Train tries a second time before it gives up.
@pytest.mark.parametrize("n_workers", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_a_failed_fit_names_its_data_and_the_reason(inputs_of, n_workers):
    inputs = inputs_of(n_workers=n_workers)
    diverging = TINY.model_copy(update={"recipe": RECIPE.model_copy(update={"lr": 1e30, "min_updates_per_epoch": 1})})
    with pytest.raises(TaskFailed, match=r"classifiers of .*shapes could not be fitted: .*loss is not finite at step"):
        fitted(inputs, {diverging: (0,)})
    assert not written(inputs)
