"""The layout of an evaluation's pictures."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageColor

from vgsearch.evaluation.pictures import BLUE, GROUP_GAP, write_ladder, write_neighbours
from vgsearch.evaluation.tables import Scored
from videogan.protocols.blind_spots import Neighbours
from videogan.sampling.pictures import LINE

LADDER = ("held-back clips, other windows", "shuffled frames", "noise")


def of_s3(mean: float | None, rung: str) -> Scored:
    interval = {"mean": mean, "low": mean, "high": mean}
    return Scored(rung, "s3_r3d18_smoke_v2", {"s3": interval, "s3_of_guessing": 0.27, "digest": "abcdef0123"})


def of_kvd(mean: float, rung: str) -> Scored:
    found = {"metric": "kvd", "mean": mean, "low": mean - 1, "high": mean + 1, "real": 0.84, "digest": "987654aa"}
    return Scored(rung, "kvd_r3d18_smoke_v2", found)


def neighbours(side: int, n: int = 2, k: int = 3) -> Neighbours:
    """Samples red, nearest in features green, nearest in pixels blue; brighter from frame to frame."""
    bright = torch.arange(100, 116, dtype=torch.uint8).view(16, 1, 1)

    def clips(channel: int, *shape: int) -> torch.Tensor:
        frames = torch.zeros(*shape, 16, side, side, 3, dtype=torch.uint8)
        frames[..., channel] = bright.expand(16, side, side)
        return frames

    return Neighbours(clips(0, n), clips(1, n, k), clips(2, n, k))


def test_neighbours_are_beside_their_samples_in_three_named_groups(tmp_path):
    gif, png = write_neighbours(tmp_path, neighbours(64))
    assert (gif.name, png.name) == ("neighbours.gif", "neighbours.png")
    with Image.open(gif) as image:
        group = 3 * 64 + 2 * 2
        assert image.size == (64 + 2 * group + 2 * GROUP_GAP, LINE + 2 * 64 + 2)
        assert image.n_frames == 16
        pixels = np.array(image.convert("RGB")).astype(int)
    row = LINE + 64 // 2
    starts = (0, 64 + GROUP_GAP, 64 + GROUP_GAP + group + GROUP_GAP)
    assert [pixels[row, start + 5].argmax() for start in starts] == [0, 1, 2]
    for start in starts:
        header = pixels[:LINE, start : start + 60]
        assert header.max() > 200  # a name in white
        assert not pixels[LINE:, start - GROUP_GAP : start].any() or start == 0


def test_the_still_shows_the_first_and_the_last_frame(tmp_path):
    _, png = write_neighbours(tmp_path, neighbours(64))
    pixels = np.array(Image.open(png).convert("RGB"))
    middle = 2 * LINE + 32
    half = pixels.shape[1] // 2
    assert (pixels[middle, 5, 0], pixels[middle, half + 3 * GROUP_GAP // 2 + 5, 0]) == (100, 115)


def test_small_clips_are_enlarged_to_the_size_of_others(tmp_path):
    sizes = set()
    for side in (16, 32, 64):
        _, png = write_neighbours(tmp_path / str(side), neighbours(side))
        with Image.open(png) as image:
            sizes.add(image.size)
    assert len(sizes) == 1


def bars(path: Path) -> list[int]:
    """The lengths in pixels of the blue bars of a ladder, from the top."""
    blue = (np.array(Image.open(path).convert("RGB")) == ImageColor.getrgb(BLUE)).all(-1).sum(1)
    starts = np.flatnonzero((blue[1:] > 0) & (blue[:-1] == 0)) + 1
    return [int(blue[start + 5]) for start in starts]


def test_the_ladder_has_a_bar_for_each_rung_as_long_as_its_score(tmp_path):
    rows = [of_s3(score, rung) for rung, score in zip(LADDER, (0.8, 0.4, 0.2), strict=True)]
    lengths = bars(*write_ladder(tmp_path, rows))
    assert np.allclose(np.array(lengths) / lengths[0], (1.0, 0.5, 0.25), atol=0.02)


def test_a_line_over_each_bar_spans_the_interval_of_a_distance(tmp_path):
    """Its ends, in pixels of the axis that the bars' lengths give."""
    rows = [of_kvd(score, rung) for rung, score in zip(LADDER, (4.0, 10.0, 20.0), strict=True)]
    (path,) = write_ladder(tmp_path, rows)
    lengths = bars(path)
    picture = np.array(Image.open(path).convert("RGB")).astype(int)
    blue = (picture == ImageColor.getrgb(BLUE)).all(-1)
    rows_of_bars = np.flatnonzero(blue.sum(1) > 0)
    right = np.flatnonzero(blue[rows_of_bars[-1]]).max() + 1  # the end of the longest bar, at 20
    unit = lengths[-1] / 20
    last = picture[rows_of_bars[0] : rows_of_bars[-1]]
    dark = np.flatnonzero((last.max(-1) < 40).any(0))
    assert dark.max() == pytest.approx(right + unit, abs=0.2 * unit)


def test_each_protocol_has_a_panel_distances_may_be_negative_and_an_undefined_score_has_no_bar(tmp_path):
    distances = [of_kvd(score, rung) for rung, score in zip(LADDER, (-2.0, 3.0, 28.0), strict=True)]
    (path,) = write_ladder(tmp_path, distances)
    alone = Image.open(path).size[1]
    assert len(bars(path)) == 3
    scores = [of_s3(score, rung) for rung, score in zip(LADDER, (1.0, 0.5, None), strict=True)]
    (path,) = write_ladder(tmp_path, [*distances, *scores])
    assert alone < Image.open(path).size[1] <= 2 * alone
    assert len(bars(path)) == 3 + 2
    assert write_ladder(tmp_path, [of_s3(None, "noise")]) == []
