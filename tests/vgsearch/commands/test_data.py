import json
import shlex
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from ray.cluster_utils import Cluster
from typer.testing import CliRunner

from vgsearch.commands.data import app
from vgsearch.experiment.paths import Experiment
from vgsearch.runtime.cluster.cluster import connect
from vgsearch.runtime.cluster.preflight import refuse_unusable_data
from vgsearch.runtime.feed.decode import build_cache
from vgsearch.runtime.sweep.request import SweepRequest, requested_space, requested_sweep
from vgsearch.space.space import parse_overrides
from videogan.amounts import n_of
from videogan.config import ConfigurationError
from videogan.data.clips import DataConfig, open_cache
from videogan.data.manifest import SPLITS, DataError, read_manifest
from videogan.data.synthetic import make_moving_shapes

SHARED = Path(__file__).parents[4] / "shared" / "data"


@pytest.fixture(scope="module", autouse=True)
def _running_ray():
    """One cluster for all commands of this module; without RAY_ADDRESS each would start its own."""
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 2, "include_dashboard": False})
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_ADDRESS", cluster.address)
        yield
    cluster.shutdown()


def vgsearch_data(*arguments) -> str:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_an_import_sets_limits_on_a_video_and_no_other_setting(tmp_path):
    make_moving_shapes(tmp_path / "shapes", n_clips_each=1, n_groups=16)
    limited = ["import", str(tmp_path / "shapes"), "--out", str(tmp_path / "out"), "--set"]
    with pytest.raises(DataError, match=r"data.max_pixels allows 4000"):
        CliRunner().invoke(app, [*limited, "data.max_pixels=4000"], catch_exceptions=False)
    printed = vgsearch_data(*limited, "data.max_pixels=5000")
    assert "scores will rest on 4 groups, fewer than 5" in printed, "16 groups: 8, 4 and 4"
    with pytest.raises(ConfigurationError, match=r"an import takes only data.max_pixels and data.max_seconds"):
        CliRunner().invoke(app, [*limited, "data.short_clips=repeat_last"], catch_exceptions=False)


def test_weizmann_imports_with_persons_as_groups(tmp_path):
    if not (SHARED / "weizmann4").is_dir():
        pytest.skip(f"no real clips at {SHARED}")
    printed = vgsearch_data("import", SHARED / "weizmann4", "--out", tmp_path)
    assert "scores will rest on 2 groups, fewer than 5" in printed
    assert "layout   plain\n40 clips  4 classes  7 groups (the part before the first underscore)" in printed
    manifest = read_manifest(tmp_path)
    assert manifest.classes == ["bend", "jack", "wave1", "wave2"]
    groups = {split: set(manifest.split(split)["group"].to_pylist()) for split in SPLITS}
    assert {split: len(names) for split, names in groups.items()} == {"train": 3, "select": 2, "test": 2}
    assert all(group.startswith("person") for group in set().union(*groups.values()))
    assert {split: len(manifest.split(split)) for split in SPLITS} == {"train": 24, "select": 8, "test": 8}
    assert "mirrored 28 copies: 12 beside their originals, 16 left out" in printed
    assert "skipped  16: mirrored copies in select or test would count twice (bend/person" in printed
    assert all(Path(path).is_absolute() for path in manifest.table["path"].to_pylist())


def test_make_writes_moving_shapes_with_enough_groups_for_three_splits(tmp_path):
    made = json.loads(vgsearch_data("make", "moving-shapes", "--out", tmp_path / "shapes", "--json"))
    parts = {split: (part["n_clips"], len(part["groups"])) for split, part in made["splits"].items()}
    assert parts == {"train": (384, 24), "select": (192, 12), "test": (192, 12)}
    assert (made["n_clips"], made["no_select"], made["skipped"]) == (768, None, {})


def test_import_reads_the_data_set_that_was_made(tmp_path):
    made = make_moving_shapes(tmp_path / "shapes", n_clips_each=1, n_groups=16)
    (tmp_path / "shapes" / "left" / "broken.mp4").write_text("no video")
    (tmp_path / "shapes" / "left" / "notes.txt").write_text("no clip")
    arguments = ("import", tmp_path / "shapes", "--out", tmp_path / "again")
    imported = json.loads(vgsearch_data(*arguments, "--json"))
    assert imported["classes"] == dict.fromkeys(made.classes, 16)
    assert imported["groups"] == dict.fromkeys(sorted(set(made.usable["group"].to_pylist())), 4)
    assert {split: part["n_clips"] for split, part in imported["splits"].items()} == {
        "train": 32, "select": 16, "test": 16,
    }  # fmt: skip
    assert imported["split_rule"] == "a quarter of the groups for test, a quarter for select"
    assert imported["n_mirrored"] == 0
    assert imported["skipped"] == {
        "not a video that FFmpeg reads (Invalid data found when processing input)": ["left/broken.mp4"]
    }
    assert imported["passed_over"] == {".txt": 1}
    with pytest.raises(DataError, match="1 of 65 videos cannot be used"):
        vgsearch_data(*arguments, "--strict")


def test_an_import_counts_in_words_and_tells_which_manifest_it_replaces(tmp_path):
    make_moving_shapes(tmp_path / "shapes", n_clips_each=1, n_groups=16)
    arguments = ("import", tmp_path / "shapes", "--out", tmp_path / "out")
    assert "replaced" not in vgsearch_data(*arguments)
    before = read_manifest(tmp_path / "out")
    assert "replaced" not in vgsearch_data(*arguments), "the same manifest"
    assert f"replaced manifest {before.digest[:6]}; " in vgsearch_data(*arguments, "--group", "each-file")
    assert read_manifest(tmp_path / "out").digest != before.digest
    assert (n_of(1, "class", "classes"), n_of(2, "class", "classes"), n_of(1, "clip")) == (
        "1 class", "2 classes", "1 clip",
    )  # fmt: skip


def test_a_folder_without_videos_is_refused_before_ray_starts(tmp_path):
    with pytest.raises(DataError, match=r"no video found .* in 1 folder\)"):
        vgsearch_data("import", tmp_path)


def test_split_by_file_needs_split_csv(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "a.mp4").touch()
    with pytest.raises(DataError, match=r"needs a split\.csv"):
        vgsearch_data("import", tmp_path, "--split-by", "file")


def test_an_unknown_layout_is_refused_before_ray_starts_with_the_nearest_name(tmp_path):
    (tmp_path / "a.mp4").touch()
    with pytest.raises(DataError, match="no layout is called 'ucf11'; did you mean 'ucf101'"):
        vgsearch_data("import", tmp_path, "--layout", "ucf11")
    with pytest.raises(DataError, match=r"it must be one of auto, csv, .*, weizmann"):
        vgsearch_data("import", tmp_path, "--layout", "zzz")


def test_an_option_without_effect_on_the_layout_is_refused_before_ray_starts(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "a.mp4").touch()
    with pytest.raises(DataError, match="--fold has no effect on the layout plain"):
        vgsearch_data("import", tmp_path, "--fold", 2)


def test_moving_mnist_is_generated_imported_and_decoded_into_the_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("VGSEARCH_CACHE", str(tmp_path / "cache"))
    arguments = ("make", "moving-mnist", "--out", tmp_path / "digits", "--clips", 8)
    output = vgsearch_data(*arguments)
    assert "digits   drawn glyphs, not MNIST; --digits CSV takes real ones" in output
    assert_next_is_possible(output)
    made = read_manifest(tmp_path / "digits")
    printed = vgsearch_data("import", tmp_path / "digits")
    assert "layout   moving_mnist" in printed
    assert "8 clips  1 class  8 groups (each sequence its own)" in printed
    assert read_manifest(tmp_path / "digits").digest == made.digest
    with connect():
        folder = build_cache(made, "plain_64", DataConfig())
        array = np.load(tmp_path / "digits" / "moving_mnist.npy")
        cached = open_cache(folder, made).files
        sha = made.usable["sha"][3].as_py()
        np.testing.assert_array_equal(cached.frames(sha)[..., 0], array[:, 3])
        array[:, 3] = 0
        np.save(tmp_path / "digits" / "moving_mnist.npy", array)
        monkeypatch.setenv("VGSEARCH_CACHE", str(tmp_path / "another"))
        with pytest.raises(DataError, match="changed since the manifest was made"):
            build_cache(made, "plain_64", DataConfig())


def assert_next_is_possible(printed: str) -> None:
    """Fails unless nothing refuses the search that `printed` recommends, up to the start of Ray."""
    _, name, space, _, data, *settings = shlex.split(printed.splitlines()[-1].removeprefix("next"))
    assert (name, space) == ("tune", "mvt_tsa")
    request = SweepRequest(space, "laptop", Path("runs"), data=Path(data), overrides=settings[1::2])
    manifest = read_manifest(request.data)
    overrides = parse_overrides(request.overrides)
    sweep = requested_sweep(request, requested_space(request), overrides, manifest, Experiment.at("runs/next"))
    sweep.refuse_impossible_domains()
    refuse_unusable_data(sweep, manifest)


def test_options_of_another_embedded_data_set_are_refused(tmp_path):
    with pytest.raises(ConfigurationError, match="belong to moving-mnist"):
        vgsearch_data("make", "moving-shapes", "--out", tmp_path / "shapes", "--clips", 8)


def test_strips_are_imported_and_a_broken_one_is_skipped(tmp_path):
    levels = np.arange(20, dtype=np.uint8) * 10
    for label in ("0", "1"):
        (tmp_path / "actions" / label).mkdir(parents=True)
        for number, person in enumerate(("daria", "ido", "moshe")):
            strip = np.repeat(levels + 3 * number + int(label), 64)[None, :, None] * np.ones((64, 1, 3), np.uint8)
            Image.fromarray(strip).save(tmp_path / "actions" / label / f"{person}_x.jpg")
    bad = tmp_path / "actions" / "1" / "moshe_x.jpg"
    bad.write_bytes(bad.read_bytes()[:-200])
    summary = json.loads(vgsearch_data("import", tmp_path / "actions", "--json"))
    assert (summary["layout"], summary["n_clips"], summary["classes"]) == ("strips", 5, {"0": 3, "1": 2})
    assert [reason.partition(" (")[0] for reason in summary["skipped"]] == ["no frame decodes"]
    rows = read_manifest(tmp_path / "actions").usable.to_pylist()
    assert {(row["n_frames"], row["width"], row["height"], row["codec"]) for row in rows} == {
        (20, 64, 64, "jpeg_strip")
    }


def test_the_manifest_of_a_csv_list_is_written_beside_it(tmp_path):
    make_moving_shapes(tmp_path / "shapes", n_clips_each=1, n_groups=16, n_frames=4)
    clips = [f"shapes/{label}/{group}_000.mp4" for label in ("left", "up") for group in ("disc-24", "ring-28")]
    lines = [
        f"{clip},{clip.split('/')[1]},{clip.split('/')[2][:4]},{'test' if 'ring' in clip else 'train'}"
        for clip in clips
    ]
    (tmp_path / "mine.csv").write_text("\n".join(["file,label,group,split", *lines]))
    printed = vgsearch_data("import", tmp_path / "mine.csv")
    assert "layout   csv\n4 clips  2 classes  2 groups (the column group)" in printed
    assert "split    the column split" in printed
    assert [row["split"] for row in read_manifest(tmp_path).usable.to_pylist()] == ["train", "test"] * 2


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"n_trials": 0}, "n_trials: .* got 0"),
        ({"stop_when": "targt:3"}, "stop_when: --stop-when must be no-improvement:10"),
        ({"time_budget": ""}, "--time-budget must look like 8h"),
    ],
)
def test_a_wrong_setting_of_a_search_is_explained_and_nothing_counts_as_not_given(tmp_path, given: dict, said: str):
    manifest = make_moving_shapes(tmp_path / "shapes", n_clips_each=1, n_groups=16, n_frames=4, size=32)
    request = SweepRequest("mvt_tsa", "laptop", tmp_path, **given)
    with pytest.raises(ConfigurationError, match=said):
        requested_sweep(request, requested_space(request), {}, manifest, Experiment.at(tmp_path / "x"))
