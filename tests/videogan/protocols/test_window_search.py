"""Every window of every training clip is searched: each frame is read, and each window is found by its copy."""

import numpy as np
import pytest
import torch

from tests.moving_textures import T, real_clips, textures
from videogan.data.clip_set import LabelledClips
from videogan.metrics.window_distance import coarse_frames, contrast
from videogan.protocols.window_search import WINDOWS_AT_ONCE, coarse_frames_of, nearest_windows


def labelled(frames):
    return LabelledClips(frames, torch.zeros(len(frames), dtype=torch.int64), 1)


def every_window(clips):
    """(row, start) of each window of each clip, (m, 2)."""
    counts = clips.selection.n_starts(T)
    return torch.tensor([(row, start) for row, n in enumerate(counts.tolist()) for start in range(n)])


@pytest.mark.parametrize("stride", [1, 2, 3])
def test_coarse_frames_have_every_window_also_with_strides_and_of_short_clips(stride):
    clips = real_clips(textures(9, seed=0, lengths=(3, 40)), stride)
    index, places = coarse_frames_of(clips), every_window(clips)
    held = torch.cat([windows for row in range(len(clips)) for _, windows in index.windows(row)])
    assert held.equal(coarse_frames(next(clips.at([(places[:, 0], places[:, 1])]))))


@pytest.mark.parametrize("block", [3, WINDOWS_AT_ONCE])
def test_the_copy_of_any_window_is_found_at_distance_zero(block, monkeypatch):
    monkeypatch.setattr("videogan.protocols.window_search.WINDOWS_AT_ONCE", block)
    clips = real_clips(textures(6, seed=1, lengths=(8, 24)))
    places = every_window(clips)
    frames = next(clips.at([(places[:, 0], places[:, 1])]))
    found = nearest_windows(labelled(frames), coarse_frames_of(clips), clips)
    assert not found.distances[:, 0].any()
    assert found.clips[:, 0].equal(places[:, 0])
    assert found.starts[:, 0].equal(places[:, 1])
    assert not found.mirrored[:, 0].any()
    mirrored = nearest_windows(labelled(frames.flip(3)), coarse_frames_of(clips), clips)
    assert not mirrored.distances[:, 0].any()
    assert mirrored.mirrored[:, 0].all()


def test_the_nearest_clips_are_those_of_all_pairs_of_coarse_windows():
    clips, others = real_clips(textures(15, seed=2)), real_clips(textures(6, seed=3, lengths=(8, 8)))
    frames = next(others.at([(torch.arange(6), torch.zeros(6, dtype=torch.int64))]))
    places = every_window(clips)
    windows = next(clips.at([(places[:, 0], places[:, 1])]))
    both = torch.stack([contrast(coarse_frames(w).flatten(1)) for w in (windows, windows.flip(3))])
    correlations = (contrast(coarse_frames(frames).flatten(1)) @ both.transpose(1, 2)).amax(0)
    of_clips = torch.stack([correlations[:, places[:, 0] == row].amax(1) for row in range(15)], 1)
    found = nearest_windows(labelled(frames), coarse_frames_of(clips), clips, k=4)
    assert found.clips.sort(1).values.equal(of_clips.topk(4).indices.sort(1).values)
    assert (found.distances.diff(dim=1) >= 0).all()


def test_neighbours_are_shown_as_the_clip_resembles_them():
    clips = real_clips(textures(5, seed=4))
    frames = next(clips.at([(torch.arange(5), torch.zeros(5, dtype=torch.int64))]))
    found = nearest_windows(labelled(frames.flip(3)), coarse_frames_of(clips), clips)
    assert found.frames(clips)[:, 0].equal(frames.flip(3))
    assert found.frames(clips).shape == (5, 3, *frames.shape[1:])


def test_clips_in_memory_have_one_window():
    frames = torch.from_numpy(np.stack(textures(4, seed=5, lengths=(T, T))))
    clips = labelled(frames)
    found = nearest_windows(clips, coarse_frames_of(clips), clips)
    assert found.clips[:, 0].tolist() == [0, 1, 2, 3]
    assert not found.distances[:, 0].any()
    assert nearest_windows(clips, coarse_frames_of(clips), clips, k=9).clips.shape == (4, 4), "no more than clips"
