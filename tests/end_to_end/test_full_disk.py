"""A full disk is told in one line with the file that could not be written; what was written before stays."""

import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from tests.builders import manifest_row, tiny_sweep
from tests.end_to_end.conftest import fill
from vgsearch import cli
from vgsearch.evaluation.tables import Report
from vgsearch.experiment.ledger import Ledger, read_events
from vgsearch.experiment.paths import Experiment, TrialFolder
from vgsearch.experiment.tensorboard import TrialBoard, write_columns
from vgsearch.experiment.trial_records import TrialRecords
from vgsearch.report.blocks import Page
from vgsearch.report.writing import write_html, write_markdown
from vgsearch.runtime.study.rebuild import study_of
from vgsearch.runtime.sweep.tune import files_told
from vgsearch.sampling.pictures import Picture, PictureSettings
from vgsearch.sampling.sample import SampleRequest, write_files
from videogan.data.cache import planned_shards, write_index, write_shard
from videogan.data.clip_set import LabelledClips, Spooled
from videogan.data.journal import journal_writer
from videogan.data.manifest import read_manifest, write_manifest
from videogan.data.moving_mnist import make_moving_mnist
from videogan.data.preprocessing import preprocessing_named
from videogan.data.synthetic import make_moving_shapes
from videogan.protocols.classifier import RealClassifier, save_real_classifier
from videogan.storage.atomic import write_atomically
from videogan.training.checkpoint import Checkpoint, CheckpointFolder

FRAMES = torch.randint(256, (16, 64, 64, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
WEIGHTS = {"weight": torch.zeros(100_000)}
(SHARD,) = planned_shards(["a"])
Write = Callable[[], object]


def ledger(disk: Path) -> Write:
    written = Ledger(disk / "ledger.jsonl")
    written.append("floor", score={"reason": "none"})
    return lambda: [written.append("floor", score={"reason": "x" * 5000}) for _ in range(9)]


def study(disk: Path) -> Write:
    def opened() -> None:
        with files_told(Experiment(disk), tiny_sweep()):
            study_of(disk / "optuna.db", tiny_sweep(), [])

    return opened


def checkpoint(disk: Path) -> Write:
    folder = CheckpointFolder(disk / "checkpoints")
    folder.save(Checkpoint(1, 2, "0a", {}, {}, {}, {}, {}, None))
    return lambda: folder.save(Checkpoint(2, 4, "0a", {}, WEIGHTS, {}, {}, {}, None))


def records(disk: Path) -> Write:
    opened = TrialRecords(TrialFolder(disk), 0).__enter__()
    return lambda: [opened.write(step, {"loss": 1.0}) for step in range(500)]


def board(disk: Path) -> Write:
    opened = TrialBoard(disk / "tb", 1)

    def write() -> None:
        opened.video("samples", FRAMES, 1)
        opened.flush()

    return write


def index(disk: Path) -> Write:
    write_shard(disk, SHARD, [("a", FRAMES.numpy())])
    return lambda: write_index(disk, preprocessing_named("plain_64"), [SHARD])


def pictures(disk: Path) -> Write:
    settings = PictureSettings({}, n_codes=1, n_steps=1, seed=0, n_frames=16)
    return lambda: write_files(Picture(FRAMES, "a grid"), disk, SampleRequest(Path("step.pt")), settings)


def journal(disk: Path) -> Write:
    def write() -> None:
        with journal_writer(disk) as written:
            written("a.mp4", "x" * 5000, {})

    return write


def spooled(disk: Path) -> Write:
    clips = Spooled(LabelledClips(FRAMES.repeat(200, 1, 1, 1).view(-1, 16, 64, 64, 3), torch.zeros(200).long(), 1))
    return lambda: list(clips.windows([(torch.arange(2), 0)]))


def plain(write: Callable[[Path], object]) -> Callable[[Path], Write]:
    return lambda disk: lambda: write(disk)


WRITES: dict[str, tuple[str, Callable[[Path], Write]]] = {
    "sweep.yaml": ("sweep.yaml", plain(lambda disk: tiny_sweep().save(disk / "sweep.yaml"))),
    "ledger": ("ledger.jsonl", ledger),
    "study": ("", study),
    "checkpoint": ("checkpoints/step00000002.pt", checkpoint),
    "status": (
        "status.json",
        plain(lambda disk: write_atomically(disk / "status.json", lambda stream: stream.write(b"x" * 5000))),
    ),
    "metrics": ("metrics.jsonl", records),
    "TensorBoard": ("tb", board),
    "TensorBoard's columns": ("tb", plain(lambda disk: write_columns(disk / "tb", {"a" * 9000: [1]}, []))),
    "shard": (SHARD.name, plain(lambda disk: write_shard(disk, SHARD, [("a", FRAMES.numpy())]))),
    "index": ("index.json", index),
    "real classifier": (
        "real-0.pt",
        plain(lambda disk: save_real_classifier(disk / "real-0.pt", RealClassifier(0, 2, {}, {}, WEIGHTS))),
    ),
    "report": ("report.html", plain(lambda disk: write_html(Page("s", "x" * 9000), disk / "report.html"))),
    "report in Markdown": ("README.md", plain(lambda disk: write_markdown(Page("s", "x" * 9000), disk))),
    "sample": ("step-grid-seed0.gif", pictures),
    "scores": ("scores.json", plain(lambda disk: Report("data", "0a", "plain_64", ["x" * 9000], 1).save(disk))),
    "data make": ("shapes.building-", plain(lambda disk: make_moving_shapes(disk / "shapes", n_groups=2))),
    "data make moving-mnist": ("mnist.building-", plain(lambda disk: make_moving_mnist(disk / "mnist", n_clips=50))),
    "data import": ("manifest.parquet", plain(lambda disk: write_manifest(disk, [manifest_row("a.mp4", "g", None)]))),
    "inspected videos": ("", journal),
    "clips in the folder of temporary files": ("vgsearch-clips-", spooled),
}


@pytest.mark.parametrize("name", WRITES)
def test_a_write_to_a_full_disk_is_one_line_with_its_file(
    small_disk: Path, name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.delenv("VGSEARCH_TRACEBACK", raising=False)
    file, prepared = WRITES[name]
    if name.startswith("clips"):
        monkeypatch.setattr(tempfile, "tempdir", str(small_disk))
    write = prepared(small_disk)
    before = {path: path.read_bytes() for path in small_disk.rglob("*") if path.suffix in (".pt", ".arrow")}
    fill(small_disk / "hog")
    monkeypatch.setattr(cli, "app", write)
    with pytest.raises(SystemExit):
        cli.main()
    (line,) = capsys.readouterr().err.splitlines()
    assert "no space left" in line.lower()
    assert f"{small_disk / file}" in line
    assert "traceback" not in line
    assert "Free some space there" in line
    assert {path: path.read_bytes() for path in before} == before
    assert not list(small_disk.rglob("*.part"))
    assert not list(small_disk.glob("*.building-*"))
    if name == "ledger":
        assert len(list(read_events(small_disk / "ledger.jsonl"))) >= 1
    (small_disk / "hog").unlink()


@pytest.mark.parametrize("name", ["real classifier", "report", "sample", "data import", "data make", "status"])
def test_a_read_only_place_is_one_line_with_its_file(
    small_disk: Path, name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.delenv("VGSEARCH_TRACEBACK", raising=False)
    write_manifest(small_disk / "data", [manifest_row("a.mp4", "g", "train")])
    write = WRITES[name][1](small_disk)
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    monkeypatch.setattr(cli, "app", write)
    with pytest.raises(SystemExit):
        cli.main()
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: {small_disk}/")
    assert "Read-only file system. Make it usable, or choose another place" in line
    assert len(read_manifest(small_disk / "data").table) == 1
