"""Samples follow from seeds alone, standing statistics are averages, and what is written can be read again."""

import io

import av
import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from videogan.data.clips import to_frames
from videogan.families import FAMILIES
from videogan.sampling import (
    codes,
    contact_sheet,
    grid_frames,
    render,
    sample_grid,
    sampling_copy,
    synthesise,
    write_gif,
    write_mp4,
)


@pytest.fixture(scope="module")
def generator() -> nn.Module:
    torch.manual_seed(0)
    family = FAMILIES["mvt"]
    config = family.config_type(variant="mvt_tsa", resolution=32, n_classes=3, channels=8, gru_hidden=32)
    return family.build(config).generator


@pytest.fixture(scope="module")
def sampler(generator) -> nn.Module:
    return sampling_copy(generator, 3, n_batches=2, batch_size=8)


def nearly_equal(a: torch.Tensor, b: torch.Tensor) -> bool:
    """Equal but for rounding, which may differ with the size of the batch."""
    return a.shape == b.shape and (a.int() - b.int()).abs().max().item() <= 1


class OneNorm(nn.Module):
    """A generator that is one batch norm over noise of mean 3 and standard deviation 2."""

    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm1d(5)

    def sample_z(self, n, generator=None):
        return 3 + 2 * torch.randn(n, 5, generator=generator)

    def forward(self, z, y, n_frames=16):
        return self.norm(z)


def test_standing_statistics_are_the_plain_average_over_the_sampling_batches():
    copy = sampling_copy(OneNorm(), 1, n_batches=4, batch_size=25, seed=7)
    batches = codes(copy, 100, seed=7).split(25)
    torch.testing.assert_close(copy.norm.running_mean, torch.stack([z.mean(0) for z in batches]).mean(0))
    torch.testing.assert_close(copy.norm.running_var, torch.stack([z.var(0) for z in batches]).mean(0))
    assert copy.norm.momentum == 0.1
    assert not copy.norm.training


def test_sampling_copy_leaves_the_generator_and_its_power_iterations_alone(generator, sampler):
    before = {name: value.clone() for name, value in generator.state_dict().items()}
    generator.train()
    copy = sampling_copy(generator, 3, n_batches=1, batch_size=4)
    assert generator.training
    assert all(torch.equal(before[name], value) for name, value in generator.state_dict().items())
    assert not any(module.training for module in copy.modules())
    vectors = [name for name in before if name.endswith(("._u", "._v"))]
    assert vectors, "the generator is spectrally normalised"
    assert all(torch.equal(before[name], copy.state_dict()[name]) for name in vectors)


def test_clip_i_follows_from_seed_index_and_label_whatever_the_number_and_the_batch(sampler):
    labels = torch.tensor([0, 1, 2, 0, 1, 2, 0])
    clips = synthesise(sampler, labels, seed=3, batch_size=7)
    assert clips.dtype == torch.uint8
    assert clips.shape == (7, 16, 32, 32, 3)
    assert torch.equal(clips, synthesise(sampler, labels, seed=3, batch_size=7))
    assert nearly_equal(clips, synthesise(sampler, labels, seed=3, batch_size=2))
    assert nearly_equal(clips[:3], synthesise(sampler, labels[:3], seed=3))
    assert not nearly_equal(clips, synthesise(sampler, labels, seed=4))
    assert torch.equal(codes(sampler, 2, seed=3, first=4), codes(sampler, 6, seed=3)[4:])


def test_samples_are_the_generators_own_videos(sampler):
    z = codes(sampler, 2, seed=0)
    y = torch.tensor([2, 0])
    with torch.no_grad():
        expected = to_frames(sampler(z, y, 20))
    assert torch.equal(render(sampler, z, y, n_frames=20), expected)


def test_a_generator_in_train_mode_is_refused(generator):
    generator.train()
    with pytest.raises(ValueError, match="use sampling_copy"):
        synthesise(generator, torch.tensor([0, 1]), seed=0)


def test_grid_has_classes_in_rows_and_one_code_in_each_column(sampler):
    grid = sample_grid(sampler, n_classes=3, n_per_class=2, seed=5)
    assert grid.shape == (16, 3 * 32 + 2 * 2, 2 * 32 + 2, 3)
    z = codes(sampler, 2, seed=5)
    row_1 = render(sampler, z, torch.tensor([1, 1]))
    assert nearly_equal(grid[:, 34:66, :32], row_1[0])
    assert nearly_equal(grid[:, 34:66, 34:], row_1[1])


def test_grid_places_videos_row_by_row_with_black_gaps_and_an_incomplete_last_row():
    videos = torch.arange(1, 4, dtype=torch.uint8).view(3, 1, 1, 1, 1).expand(3, 2, 4, 6, 3)
    grid = grid_frames(videos, n_columns=2, gap=1)
    assert grid.shape == (2, 9, 13, 3)
    picture = grid[1, :, :, 0]
    assert torch.equal(picture[:4, :6].unique(), torch.tensor([1], dtype=torch.uint8))
    assert torch.equal(picture[:4, 7:].unique(), torch.tensor([2], dtype=torch.uint8))
    assert torch.equal(picture[5:, :6].unique(), torch.tensor([3], dtype=torch.uint8))
    assert not picture[4].any()
    assert not picture[:, 6].any()
    assert not picture[5:, 7:].any()


def test_contact_sheet_shows_the_first_and_the_last_frame():
    frames = torch.arange(16, dtype=torch.uint8).view(16, 1, 1, 1).expand(16, 4, 4, 3)
    sheet = contact_sheet(frames, n_shown=4, gap=0)
    assert sheet.shape == (4, 16, 3)
    assert sheet[0, ::4, 0].tolist() == [0, 5, 10, 15]


def moving_bar(height: int = 33, width: int = 47) -> torch.Tensor:
    frames = torch.zeros(12, height, width, 3, dtype=torch.uint8)
    for t in range(12):
        frames[t, :, 2 * t : 2 * t + 8] = torch.tensor([250, 200, 40], dtype=torch.uint8)
    return frames


def test_mp4_decodes_to_the_frames_with_even_sides(tmp_path):
    frames = moving_bar()
    write_mp4(tmp_path / "bar.mp4", frames, fps=10)
    with av.open(str(tmp_path / "bar.mp4")) as container:
        assert container.streams.video[0].average_rate == 10
        decoded = np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])
    assert decoded.shape == (12, 34, 48, 3)
    assert np.abs(decoded[:, :33, :47].astype(int) - frames.numpy()).mean() < 6


def test_gif_repeats_for_ever_and_holds_every_frame(tmp_path):
    frames = moving_bar()
    write_gif(tmp_path / "bar.gif", frames, fps=10)
    stream = io.BytesIO()
    write_gif(stream, frames, fps=10)
    assert stream.getvalue() == (tmp_path / "bar.gif").read_bytes()
    with Image.open(tmp_path / "bar.gif") as image:
        assert (image.n_frames, image.info["loop"], image.info["duration"]) == (12, 0, 100)
        image.seek(11)
        assert np.abs(np.asarray(image.convert("RGB")).astype(int) - frames[11].numpy()).max() < 8
