"""Features cover every clip densely, the nearest window is that of all pairs, and pictures show different clips."""

from itertools import pairwise

import torch

from tests.moving_textures import T, real_clips, textures
from videogan.data.clip_set import all_windows
from videogan.protocols.training_features import (
    TrainingFeatures,
    dense_windows,
    load_training_features,
    nearest_by_features,
    save_training_features,
)


def features_of(rows, seed=0):
    rng = torch.Generator().manual_seed(seed)
    starts = torch.arange(len(rows))
    return TrainingFeatures(torch.randn(len(rows), 6, generator=rng), torch.tensor(rows), starts)


def test_windows_start_every_quarter_of_their_length_and_the_last_is_one():
    clips = real_clips(textures(8, seed=0, lengths=(5, 30)), stride=2)
    windows = dense_windows(clips)
    for row, n_starts in enumerate(clips.selection.n_starts(T).tolist()):
        starts = windows.starts[windows.rows == row].tolist()
        assert (starts[0], starts[-1]) == (0, n_starts - 1)
        assert all(0 < b - a <= 2 * T // 4 for a, b in pairwise(starts))
    assert all_windows(windows)[5].equal(next(clips.at([(windows.rows[5:6], windows.starts[5:6])]))[0])


def test_the_nearest_window_is_that_of_all_pairs_also_of_the_mirrored_clip():
    found, rng = features_of([0, 0, 1, 2, 2, 3] * 5), torch.Generator().manual_seed(1)
    learnt, mirrored = torch.randn(2, 10, 6, generator=rng)
    distances = torch.stack([1 - torch.cosine_similarity(x.double()[:, None], found.features.double()[None], dim=2)
                             for x in (learnt, mirrored)], 1)  # fmt: skip
    near = nearest_by_features(learnt, mirrored, found)
    torch.testing.assert_close(near.distances[:, 0], distances.flatten(1).amin(1))
    best = distances.flatten(1).argmin(1)
    assert near.mirrored[:, 0].equal(best >= len(found.rows))
    assert near.starts[:, 0].equal(best % len(found.rows))


def test_three_different_clips_are_shown_though_many_windows_of_one_are_nearer():
    found = TrainingFeatures(
        torch.tensor([[1.0, 0.01 * i] for i in range(8)] + [[0.0, 1.0], [-1.0, 0.0]]),
        torch.tensor([0] * 8 + [1, 2]), torch.arange(10),
    )  # fmt: skip
    near = nearest_by_features(torch.tensor([[1.0, 0.0]]), torch.tensor([[1.0, 0.0]]), found)
    assert near.clips.tolist() == [[0, 1, 2]]


def test_what_is_cached_is_read_back(tmp_path):
    found = features_of([0, 1, 1])
    save_training_features(tmp_path / "features.pt", found)
    read = load_training_features(tmp_path / "features.pt")
    assert all(torch.equal(getattr(read, name), getattr(found, name)) for name in ("features", "rows", "starts"))
