"""Subjects of an evaluation: videos of another program, a checkpoint's generator, a rung of the ladder."""

import io
from pathlib import Path

import pytest
import torch
from rich.console import Console

from vgsearch.evaluation.measures import N_FRAMES
from vgsearch.evaluation.request import EvaluationPlan, EvaluationRequest, planned
from vgsearch.runtime.feed.inputs import Inputs
from vgsearch.runtime.judging.judge import Judge
from vgsearch.runtime.judging.prepare import prepare
from vgsearch.runtime.judging.subjects import CheckpointSubject, RungSubject, VideosSubject, videos_subject
from videogan.config import parse_config
from videogan.data.clip_set import RealClips, all_windows
from videogan.data.manifest import DataError
from videogan.data.synthetic import make_moving_shapes
from videogan.sampling.pictures import write_mp4
from videogan.shard import Shard
from videogan.training.checkpoint import CheckpointFolder
from videogan.training.loop import Training
from videogan.training.run_config import RunConfig

pytestmark = pytest.mark.usefixtures("ray_cluster")
CLASSES = ("down", "left", "right", "up")
STEP = 8  # between the greys of two clips: what coding changes is less
BRIGHTNESS = dict(zip(CLASSES, (20, 80, 140, 200), strict=True))


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    return make_moving_shapes(tmp_path_factory.mktemp("data") / "shapes", n_clips_each=1, n_groups=16).folder


@pytest.fixture(scope="module")
def inputs(data) -> Inputs:
    plan = planned(EvaluationRequest(ladder=data))
    return prepare(plan.manifest, "plain_32", plan.data, N_FRAMES, {}, 1, 0, Console(file=io.StringIO()), part="half")


@pytest.fixture(scope="module")
def judge(inputs, data) -> Judge:
    return Judge(inputs, planned(EvaluationRequest(ladder=data)).data, N_FRAMES)


def video(path: Path, level: int, n_frames: int = N_FRAMES) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_mp4(path, torch.full((n_frames, 32, 32, 3), level, dtype=torch.uint8))


def folder_of(path: Path, n_each: int) -> Path:
    """Clips of one grey, another for each class."""
    for label, level in BRIGHTNESS.items():
        for i in range(n_each):
            video(path / label / f"{i}.mp4", level + STEP * i)
    return path


def opened(folder: Path, data: Path, inputs: Inputs) -> tuple[VideosSubject, EvaluationPlan, str]:
    """The subject, its plan, and the notes that were printed."""
    console = Console(file=io.StringIO(), width=200)
    plan = planned(EvaluationRequest(videos=folder, data=data))
    return videos_subject(folder, plan, inputs, N_FRAMES, console), plan, console.file.getvalue()


def test_each_video_replaces_real_clips_of_its_class_in_one_split_only(tmp_path, data, inputs, judge):
    subject, _, notes = opened(folder_of(tmp_path / "made", 3), data, inputs)
    assert subject.name == "made"
    assert "fewer videos than real clips" in notes
    n_real = sum(dict(inputs.n_clips)[split] for split in ("train", "test")) // len(CLASSES)
    assert f"down 3 of {n_real}, left 3 of {n_real}" in notes
    synthetic = subject.opened(judge, "cpu")
    seen: dict[str, set[tuple[int, int]]] = {}
    for purpose, real in (("train", judge.train), ("test", judge.scored)):
        clips = all_windows(synthetic(purpose, real.labels, 0))
        assert clips.shape == (len(real), N_FRAMES, 32, 32, 3)
        above = clips.flatten(1).double().mean(1) - torch.tensor(list(BRIGHTNESS.values()))[real.labels]
        which = (above / STEP).round().int()
        assert set(which.tolist()) <= {0, 1, 2}
        seen[purpose] = set(zip(real.labels.tolist(), which.tolist(), strict=True))
    assert not seen["train"] & seen["test"]
    assert len(seen["train"] | seen["test"]) == 12


def test_a_broken_or_short_video_is_skipped_by_name(tmp_path, data, inputs):
    folder = folder_of(tmp_path / "made", 2)
    (folder / "up" / "broken.mp4").write_text("no video")
    video(folder / "down" / "short.mp4", 30, n_frames=9)
    _, _, notes = opened(folder, data, inputs)
    assert "broken.mp4: not a video that FFmpeg reads" in notes
    assert "short.mp4: 9 frames decode, 16 are needed" in notes
    assert notes.count("skipped") == 2


def test_a_class_with_fewer_than_two_usable_videos_is_refused_by_name(tmp_path, data, inputs):
    folder = folder_of(tmp_path / "made", 2)
    (folder / "left" / "1.mp4").write_text("no video")
    with pytest.raises(DataError, match=r"at least 2 usable videos, .* got 1 of left"):
        opened(folder, data, inputs)


def test_a_changed_folder_is_read_again(tmp_path, data, inputs, judge):
    folder = folder_of(tmp_path / "made", 2)
    labels = torch.zeros(2, dtype=torch.long)
    before = all_windows(opened(folder, data, inputs)[0].opened(judge, "cpu")("samples", labels, 0))
    for i in range(2):
        video(folder / "down" / f"{i}.mp4", 250)
    after = all_windows(opened(folder, data, inputs)[0].opened(judge, "cpu")("samples", labels, 0))
    assert before.double().mean() < 30 < 240 < after.double().mean()


def test_a_checkpoint_generates_the_same_clips_for_a_seed_and_others_per_split(tmp_path, judge):
    values = {
        "model": {"family": "mvt", "variant": "mvt", "resolution": 32, "n_classes": 4, "channels": 2, "gru_hidden": 8},
        "evaluation": {"standing_batches": 1},
    }
    training = Training(parse_config(RunConfig, values), lambda module: module, Shard(), "cpu")
    path = CheckpointFolder(tmp_path).save(training.checkpoint(7, trained_on="a manifest"))
    subject = CheckpointSubject(str(path))
    assert subject.name == "step00000007"
    labels = torch.arange(4)
    first, again = (subject.opened(judge, "cpu") for _ in range(2))
    made = all_windows(first("train", labels, 0))
    assert torch.equal(made, all_windows(again("train", labels, 0)))
    others = (first("test", labels, 0), first("samples", labels, 0), first("train", labels, 1))
    assert not any(torch.equal(made, all_windows(other)) for other in others)


def windows_of(clips: RealClips) -> list[tuple[int, bytes]]:
    """Every window of every clip, with its label."""
    n_starts = clips.selection.n_starts(N_FRAMES).max()
    found = []
    for start in range(n_starts):
        (frames,) = clips.at([(torch.arange(len(clips)), torch.full((len(clips),), start))])
        found += [(label, clip.numpy().tobytes()) for label, clip in zip(clips.labels.tolist(), frames, strict=True)]
    return found


def test_held_back_clips_are_windows_of_groups_that_neither_fit_nor_test_sees(judge):
    real = RungSubject("held-back clips, other windows").opened(judge, "cpu")
    parts = {name: windows_of(clips) for name, clips in
             (("held back", judge.held_back), ("fitted", judge.train), ("tested", judge.scored))}  # fmt: skip
    groups = [set(clips.groups) for clips in (judge.train, judge.scored, judge.held_back)]
    assert sum(map(len, groups)) == len(set.union(*groups))
    for purpose, like in (("train", judge.train), ("test", judge.scored)):
        shown = real(purpose, like.labels, 0)
        clips = [(label, clip.numpy().tobytes()) for label, clip in
                 zip(like.labels.tolist(), all_windows(shown), strict=True)]  # fmt: skip
        assert set(clips) <= set(parts["held back"])
        assert not {clip for _, clip in clips} & {clip for name in ("fitted", "tested") for _, clip in parts[name]}
