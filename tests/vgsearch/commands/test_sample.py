import av
import pytest
from PIL import Image
from typer.testing import CliRunner

from vgsearch.cli import app
from videogan.config import parse_config
from videogan.training.checkpoint import CheckpointFolder, UnreadableCheckpoint
from videogan.training.loop import Training
from videogan.training.run_config import RunConfig
from videogan.training.shard import Shard


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    model = {"family": "mvt", "variant": "mvt_tsa", "resolution": 32, "n_classes": 3, "channels": 8, "gru_hidden": 16}
    values = {"model": model, "evaluation": {"standing_batches": 1}}
    training = Training(parse_config(RunConfig, values), lambda module: module, Shard(), "cpu")
    return CheckpointFolder(tmp_path_factory.mktemp("trial") / "checkpoints").save(
        training.checkpoint(7, trained_on="a manifest")
    )


def sample(*arguments) -> str:
    result = CliRunner().invoke(app, ["sample", *map(str, arguments)], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_sample_writes_a_gif_an_mp4_and_a_sheet_beside_the_checkpoints(checkpoint):
    printed = sample(checkpoint, "--per-class", 2)
    folder = checkpoint.parent.parent / "samples"
    written = sorted(path.name for path in folder.iterdir())
    assert written == [f"step00000007-seed0.{suffix}" for suffix in ("gif", "mp4", "png")]
    assert all(str(folder / name) in printed.replace("\n", "") for name in written)
    with Image.open(folder / written[0]) as image:
        assert (image.n_frames, image.size) == (16, (2 * 32 + 2, 3 * 32 + 2 * 2))
    with av.open(str(folder / written[1])) as container:
        assert sum(1 for _ in container.decode(video=0)) == 16


def test_length_seed_and_folder_are_free_and_the_same_seed_gives_the_same_samples(checkpoint, tmp_path):
    for folder, seed in (("a", 3), ("b", 3), ("c", 4)):
        sample(checkpoint, "--per-class", 1, "--n-frames", 5, "--seed", seed, "--out", tmp_path / folder)
    gifs = [next((tmp_path / folder).glob("*.gif")).read_bytes() for folder in "abc"]
    assert gifs[0] == gifs[1] != gifs[2]
    with Image.open(tmp_path / "a" / "step00000007-seed3.gif") as image:
        assert image.n_frames == 5


def test_a_file_that_is_no_checkpoint_is_refused(tmp_path):
    (tmp_path / "step1.pt").write_bytes(b"no checkpoint")
    with pytest.raises(UnreadableCheckpoint, match="does not load"):
        sample(tmp_path / "step1.pt")
