"""A metric and a data layout in other installed packages, as their pages in docs/ show them."""

import json
import re
import sys
import tomllib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tests.contracts.installed_package import python, write_entry_points
from tests.contracts.source_code import ROOT
from tests.end_to_end.machine import TINY
from vgsearch.evaluation import request
from vgsearch.experiment.ledger import read_ledger
from vgsearch.experiment.paths import Experiment
from vgsearch.space.space import parse_space
from videogan.config import ConfigurationError
from videogan.data.clip_set import LabelledClips
from videogan.data.formats import FORMATS, plain_folders
from videogan.data.formats.contract import ImportOptions
from videogan.data.formats.installed import Layouts
from videogan.data.manifest import DataError
from videogan.data.synthetic import make_moving_shapes
from videogan.plug_ins import installed_packages
from videogan.protocols import own_metric
from videogan.protocols.classifier import DataFacts
from videogan.protocols.own_metric import RESERVED, Metrics, OwnMetric, own_scores
from videogan.protocols.s3 import RealSide
from videogan.sampling.pictures import write_mp4

ACTIONS = ("hop", "sit")
FACTS = DataFacts("ab" * 32, "plain_32", 2, (("train", 6), ("test", 2)))
CLI = "from vgsearch.cli import main; main()"


def install(page: str, folder: Path) -> None:
    """Lay out the package that a page of docs/ shows."""
    text = (ROOT / "docs" / page).read_text()
    code, toml = (re.search(rf"```{kind}\n(.*?)```", text, re.DOTALL)[1] for kind in ("python", "toml"))
    project = tomllib.loads(toml)["project"]
    (folder / re.match(r"# (\S+)\n", code)[1]).write_text(code)
    write_entry_points(folder, project["name"], project["entry-points"])


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with both packages, on the path of this process."""
    folder = tmp_path / "site"
    folder.mkdir()
    install("your-own-metric.md", folder)
    install("your-own-layout.md", folder)
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setattr(own_metric, "METRICS", Metrics({}, RESERVED))
    yield folder
    for module in ("flicker", "diary"):
        sys.modules.pop(module, None)


def diary(folder: Path, n_people: int = 4) -> Path:
    """DIR/<person>/<action>_<take>.mp4 beside diary.txt."""
    for person in range(n_people):
        for number, action in enumerate(ACTIONS):
            path = folder / f"p{person}" / f"{action}_1.mp4"
            path.parent.mkdir(parents=True, exist_ok=True)
            write_mp4(path, torch.full((16, 32, 32, 3), 30 * person + 15 * number, dtype=torch.uint8))
    (folder / "diary.txt").touch()
    return folder


def test_the_layout_of_another_package_is_recognised_before_plain_folders_and_gives_labels_and_groups(
    installed, tmp_path
):
    layouts = Layouts({"plain": plain_folders})
    folder = diary(tmp_path / "diary")
    assert layouts["diary"].recognises(folder)
    assert not layouts["diary"].recognises(tmp_path)
    found = layouts["diary"].find(folder, ImportOptions())
    assert {(video.label, video.group) for video in found.videos} == {(a, f"p{n}") for a in ACTIONS for n in range(4)}
    with pytest.raises(DataError, match="no video found"):
        layouts["diary"].find(tmp_path, ImportOptions())
    space = "{extends: mvt, name: x, title: x, data_sets: {%s: {}}}"
    assert "diary" in parse_space(space % "diary", "x.yaml").data_sets
    with pytest.raises(ConfigurationError) as refused:
        parse_space(space % "diry", "x.yaml")
    assert "no import has the layout 'diry'; did you mean 'diary'" in str(refused.value)


def greys(levels: list[int], last: int = 0) -> LabelledClips:
    """Clips of 4 frames of one grey each, the last frame by `last` brighter."""
    frames = torch.tensor(levels, dtype=torch.uint8)[:, None].repeat(1, 4)
    frames[:, -1] += last
    pixels = frames[:, :, None, None, None].expand(-1, -1, 8, 8, 3).contiguous()
    return LabelledClips(pixels, torch.arange(len(levels)) % 2, 2)


def test_the_metric_of_another_package_is_measured_on_samples_and_on_real_clips(installed):
    real = RealSide([], greys([1, 2]), greys([10, 20, 30, 40], last=3), "test", greys([1, 2]))
    protocol = OwnMetric(name="flicker", package="flicker-metric 1.0", n_clips=8)

    def synthesise(purpose, labels, seed):
        return LabelledClips(greys([100] * len(labels), last=3 * seed + 6).frames, labels, 2)

    flicker, change = own_scores(protocol, "abc", real, synthesise)
    # Three differences, one of them 6, 9 and 12 for the three seeds; that of the scored clips is 3.
    assert flicker.values == [1, 2, 3]
    assert change.values == [2, 3, 4]
    assert (flicker.mean, flicker.better, change.better) == (2, "lower", "higher")
    assert (flicker.real, change.real) == (1, 0)
    assert flicker.low < 2 < flicker.high
    assert change.low == pytest.approx(3 - 4.303 / 3**0.5, abs=1e-3)


def test_labels_are_those_of_both_clips_and_frames_have_the_documented_shape(installed, monkeypatch):
    seen = []

    def watch(generated, real, labels, seed):
        seen.append(
            (generated.shape, real.shape, generated.dtype, (real[:, 0, 0, 0, 0] == 10 * labels + 10).all().item())
        )
        return {"x": (0.0, "lower")}

    metrics = Metrics({"watch": own_metric.InstalledMetric(watch, "here")})
    monkeypatch.setattr(own_metric, "METRICS", metrics)
    real = RealSide([], greys([10, 20]), greys([10, 20]), "test", greys([10, 20]))
    own_scores(
        OwnMetric(name="watch", package="here", n_clips=5, seeds=(0,)),
        "",
        real,
        lambda purpose, labels, seed: LabelledClips(greys([0] * len(labels)).frames, labels, 2),
    )
    assert seen == [((5, 4, 3, 8, 8), (5, 4, 3, 8, 8), torch.uint8, True)] * 2


def returning(values: str) -> str:
    return f"def made(generated, real, labels, seed):\n    return {values}\n"


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (returning("1 / 0"), "failed: ZeroDivisionError: division by zero"),
        (returning("3.0"), r"must return values by name, such as .*, got 3\.0"),
        (returning("{'x': 0.5}"), r"x must be a float with \"higher\" or \"lower\", whichever is better, got 0\.5"),
        (returning("{'x': (float('nan'), 'lower')}"), "x must be a finite float, got nan"),
        (returning("{str(seed): (1.0, 'lower')}"), "must return the same values in each call"),
        ("made = 3", "must be a function as videogan.metrics.contract.Metric, got 3"),
        ("raise RuntimeError('no\\nlicence')", "cannot be imported: RuntimeError: no licence. Fix or uninstall"),
    ],
)
def test_a_broken_metric_is_an_error_of_one_line_that_names_its_package(tmp_path, monkeypatch, code, message):
    module = tmp_path.name  # differs from test to test, because modules are imported once
    (tmp_path / f"{module}.py").write_text(code)
    write_entry_points(tmp_path, "broken-metric", {"vgsearch.metrics": {"made": f"{module}:made"}})
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(own_metric, "METRICS", Metrics({}, RESERVED))
    real = RealSide([], greys([1, 2]), greys([1, 2]), "test", greys([1, 2]))
    with pytest.raises(ConfigurationError, match=message) as error:
        own_scores(
            OwnMetric(name="made", package=own_metric.METRICS["made"].package, n_clips=2),
            "",
            real,
            lambda purpose, labels, seed: LabelledClips(greys([0] * len(labels)).frames, labels, 2),
        )
    assert str(error.value).startswith("broken-metric")
    assert "\n" not in str(error.value)


LAYOUT = "NAME, TAKES = 'made', frozenset()\ndef recognises(folder): {}\ndef find(folder, options): {}\n"


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("NAME = 'made'", "lacks TAKES, recognises, find; see videogan.data.formats.contract"),
        (LAYOUT.replace("'made'", "'other'"), "must have the name of its entry point as NAME, got 'other'"),
        (LAYOUT.replace("frozenset()", "('fold',)"), "must have a frozenset of fold, group, split_by as TAKES"),
        (LAYOUT.format("return 1 / 0", "pass"), "raised ZeroDivisionError: division by zero. Fix or uninstall"),
        (LAYOUT.format("return True", "return []"), r"must find videogan.data.formats.contract.Found, got \[\]"),
    ],
)
def test_a_broken_layout_is_an_error_of_one_line_that_names_its_package(tmp_path, monkeypatch, code, message):
    module = tmp_path.name
    (tmp_path / f"{module}.py").write_text(code.replace("{}", "return True"))
    write_entry_points(tmp_path, "broken-layout", {"videogan.layouts": {"made": module}})
    monkeypatch.syspath_prepend(str(tmp_path))

    def used() -> None:
        layout = Layouts({"plain": plain_folders})["made"]
        assert layout.recognises(tmp_path)
        layout.find(tmp_path, ImportOptions())

    with pytest.raises(ConfigurationError, match=message) as error:
        used()
    assert str(error.value).startswith("broken-layout: its layout 'made' (")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("group", "name", "read"),
    [
        ("vgsearch.metrics", "kvd", lambda: Metrics({}, RESERVED)["kvd"]),
        ("vgsearch.metrics", "standard_fvd", lambda: Metrics({}, RESERVED)["s3"]),
        ("videogan.layouts", "plain", lambda: Layouts(dict(FORMATS))["plain"]),
    ],
)
def test_our_own_names_are_taken(tmp_path, monkeypatch, group: str, name: str, read: Callable[[], object]):
    FORMATS["plain"]  # read before the package is there
    write_entry_points(tmp_path, "twin", {group: {name: "json"}})
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(ConfigurationError, match=rf"^twin: its \w+ '{name}' is already in vgsearch\. Rename one"):
        read()


@pytest.mark.slow
def test_both_are_used_through_the_command_line_and_in_rays_workers(installed, tmp_path, monkeypatch):
    monkeypatch.setenv("VGSEARCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    folder = diary(tmp_path / "diary", n_people=8)
    imported = json.loads(python(installed, "-c", CLI, "data", "import", str(folder), "--json"))
    assert imported["layout"] == "diary"
    for action in ACTIONS:
        for take in range(2):
            made = tmp_path / "made" / action / f"{take}.mp4"
            made.parent.mkdir(parents=True, exist_ok=True)
            write_mp4(made, torch.full((16, 32, 32, 3), 100, dtype=torch.uint8))
    command = ["evaluate", "--videos", str(tmp_path / "made"), "--data", str(folder), "--metrics", "flicker"]
    found = json.loads(python(installed, "-c", CLI, *command, "--out", str(tmp_path / "out"), "--json"))
    assert [row["measure"] for row in found["scores"]] == ["flicker", "flicker/change"]
    assert found["scores"][0]["found"]["package"] == "flicker-metric 1.0"
    assert found["scores"][0]["found"]["mean"] < 1  # nothing moves, but for coding

    settings = ["loop.n_steps=2", "loop.look_every=1", "evaluation.objective=-metric:flicker"]
    runs = ["--data", str(folder), "--out", str(tmp_path / "runs"), "--name", "s", "--trials", "2", *TINY]
    python(installed, "-c", CLI, "tune", "mvt_tsa", *runs, *(part for each in settings for part in ("--set", each)))
    record = read_ledger(Experiment(tmp_path / "runs" / "s").ledger)
    assert [str(objective) for objective in record.objectives] == ["-metric:flicker"]
    scores = [trial.scores["metric:flicker"] for trial in record.trials.values()]
    assert all(score > 0 for score in scores)
    assert record.best.scores["metric:flicker"] == min(scores)
    assert record.floor.score.interval("metric:flicker").mean > 0
    # Where the package is not installed, the search can still be looked at.
    bare = tmp_path / "bare"
    bare.mkdir()
    status = python(bare, "-c", CLI, "status", str(tmp_path / "runs" / "s"))
    assert "flicker" in status


def test_a_metric_of_another_package_can_be_asked_for_and_a_wrong_name_is_told_the_nearest(
    installed, tmp_path, monkeypatch
):
    monkeypatch.setattr(request, "METRICS", own_metric.METRICS)
    data = make_moving_shapes(tmp_path / "shapes", n_clips_each=1, n_groups=4, n_frames=16).folder
    ladder = request.EvaluationRequest(ladder=data, metrics="kvd,flicker")
    measure = request.planned(ladder).measures[1]
    assert (measure.name, measure.package) == ("flicker", "flicker-metric 1.0")
    assert measure.digest(FACTS, "test") != measure.model_copy(update={"package": "flicker-metric 1.1"}).digest(
        FACTS, "test"
    )
    assert installed_packages() == ["diary-layout", "flicker-metric"]
    with pytest.raises(ConfigurationError, match=r"^--metrics: 'flickr' is unknown; did you mean 'flicker'\?$"):
        request.planned(replace(ladder, metrics="flickr"))
