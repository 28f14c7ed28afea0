"""Sets of clips: windows are functions of (seed, draw, clip), whatever the batches; and memory stays flat."""

import dataclasses
import tracemalloc

import numpy as np
import pytest
import torch

from tests.builders import numbered_clips
from videogan.data.clip_set import (
    Changed,
    ClipSet,
    Grouped,
    Joined,
    LabelledClips,
    RealClips,
    Spooled,
    Subset,
    all_windows,
    in_batches,
)
from videogan.data.manifest import DataError
from videogan.data.windows import halves_by_group, random_starts, spaced_starts

LENGTHS = [4, 5, 9, 20, 20, 33]
N_FRAMES = 4
N_STARTS = [1, 2, 6, 17, 17, 30]


@pytest.fixture
def real() -> RealClips:
    return numbered_clips(LENGTHS, [0, 1, 2, 0, 1, 2], list("aabbcc"), N_FRAMES)


def clips_and_starts(frames: torch.Tensor) -> list[tuple[int, int]]:
    """The number of the clip and of the first frame of each window (m, T, 1, 1, 3)."""
    return [tuple(pixel) for pixel in frames[:, 0, 0, 0, :2].tolist()]


def draws(clips: ClipSet, n: int) -> list[torch.Tensor]:
    return [all_windows(clips, draw) for draw in range(n)]


REQUESTS = [([5, 0], 2), ([3], 0), ([1, 2, 4], 1), ([5], 2), ([2, 2], 0), ([0, 1, 2, 3, 4, 5], 3)]


def shown_as_in(clips: ClipSet, whole: list[torch.Tensor]) -> None:
    """The windows of REQUESTS equal those of the `whole` draws."""
    asked = [(torch.tensor(rows), draw) for rows, draw in REQUESTS]
    for (rows, draw), frames in zip(asked, clips.windows(asked), strict=True):
        assert frames.dtype == torch.uint8
        assert torch.equal(frames, whole[draw][rows])


def test_a_random_window_is_a_function_of_seed_draw_and_clip_whatever_the_batches(real):
    whole = draws(real.random(7), 4)
    shown_as_in(real.random(7), whole)
    assert [clip for clip, _ in clips_and_starts(whole[0])] == list(range(6))
    assert len({frames.numpy().tobytes() for frames in [*whole, *draws(real.random(8), 4)]}) == 8


def test_a_window_is_adjacent_frames_of_its_clip(real):
    for frames in draws(real.random(1), 5):
        assert (frames[..., 0] == frames[:, :1, ..., 0]).all()
        assert (frames[:, 1:, ..., 1].long() - frames[:, :-1, ..., 1].long() == 1).all()


def test_over_many_draws_every_valid_start_occurs_equally_often_and_no_other(real):
    n = 6000
    starts = np.stack([random_starts(real.selection, N_FRAMES, (3, draw)) for draw in range(n)])
    for clip, n_starts in enumerate(N_STARTS):
        counts = np.bincount(starts[:, clip], minlength=n_starts)
        assert len(counts) == n_starts
        expected = n / n_starts
        chi_square = ((counts - expected) ** 2 / expected).sum()
        # Mean n_starts - 1 and standard deviation sqrt(2 (n_starts - 1)).
        assert chi_square <= n_starts - 1 + 5 * np.sqrt(2 * max(1, n_starts - 1))


def test_windows_of_a_draw_do_not_follow_each_other(real):
    starts = np.stack([random_starts(real.selection, N_FRAMES, (3, draw)) for draw in range(4000)])
    between = np.corrcoef(starts[:, 2:].T) - np.eye(4)
    over_time = [np.corrcoef(starts[:-1, clip], starts[1:, clip])[0, 1] for clip in range(2, 6)]
    assert max(np.abs(between).max(), np.abs(over_time).max()) < 5 / np.sqrt(4000)


def test_one_spaced_window_is_the_centre_window_and_so_is_that_of_a_set_without_a_choice(real):
    centre = [(n - 4) // 2 for n in LENGTHS]
    for clips in (real, real.spaced(1)):
        assert clips_and_starts(all_windows(clips)) == list(enumerate(centre))
    assert real.selection.centre_starts(N_FRAMES).tolist() == centre


@pytest.mark.parametrize("n_windows", [2, 4, 7])
def test_spaced_windows_are_sorted_within_the_clip_and_evenly_apart(real, n_windows):
    starts = np.stack([spaced_starts(real.selection, N_FRAMES, number, n_windows) for number in range(n_windows)])
    assert clips_and_starts(all_windows(real.spaced(n_windows), n_windows - 1)) == list(enumerate(starts[-1]))
    last = np.array(N_STARTS) - 1
    assert (np.diff(starts, axis=0) >= 0).all()
    assert (starts >= 0).all()
    assert (starts <= last).all()
    gap = last / n_windows
    assert (np.abs(np.diff(starts, axis=0) - gap) < 1).all(), "apart by a part of the clip, up to rounding"
    assert (np.abs(starts[0] + starts[-1] - last) <= 1).all(), "as far from the beginning as from the end"
    longest = starts[:, 5]
    assert len(set(longest.tolist())) == n_windows


def test_a_spaced_window_beyond_the_number_is_refused(real):
    with pytest.raises(ValueError, match="must be from 0 to 3, got 4"):
        all_windows(real.spaced(4), 4)


def test_windows_respect_each_clips_stride():
    strided = numbered_clips([4, 7, 20], [0, 1, 2], list("abc"), N_FRAMES, stride=2)
    starts = np.stack([random_starts(strided.selection, N_FRAMES, (0, draw)) for draw in range(500)])
    assert [set(column) for column in starts.T.tolist()] == [{0}, {0}, set(range(14))]
    frames = all_windows(strided.random(0))[:, :, 0, 0, 1]
    assert frames[0].tolist() == [0, 2, 3, 3], "a clip that is too short repeats its last frame"
    assert frames[2].diff().tolist() == [2, 2, 2]


def test_clips_in_memory_have_one_window_in_every_draw_and_choice():
    clips = LabelledClips(torch.randint(256, (3, 2, 4, 4, 3), dtype=torch.uint8), torch.arange(3), 3)
    for chosen in (clips, clips.random(5), clips.spaced(4)):
        assert torch.equal(all_windows(chosen, 3), clips.frames)
    with pytest.raises(ValueError, match=r"got \[2, 3\]"):
        LabelledClips(clips.frames, clips.labels[:2], 3)
    with pytest.raises(ValueError, match=r"got \[1, 3\]"):
        LabelledClips(clips.frames, clips.labels, 3, ("a",))
    with pytest.raises(ValueError, match=r"got \[0\]"):
        LabelledClips(clips.frames[:0], clips.labels[:0], 3)


def test_a_subset_has_the_windows_of_its_rows_and_their_labels_and_groups(real):
    rows = torch.tensor([4, 0, 3])
    subset = Subset(real.random(7), rows)
    whole = draws(real.random(7), 3)
    for draw in range(3):
        assert torch.equal(all_windows(subset, draw), whole[draw][rows])
    assert subset.labels.tolist() == [1, 0, 0]
    assert subset.groups == ("c", "a", "b")
    assert Subset(Subset(real, rows), torch.tensor([2, 0])).labels.tolist() == [0, 1]
    with pytest.raises(ValueError, match="at least 1 clip, got none"):
        Subset(real, rows[:0])


def test_a_repeated_row_of_a_subset_shows_other_windows_which_no_batch_changes(real):
    subset = Subset(real.random(7), torch.tensor([5] * 5 + [4]))
    whole = draws(subset, 4)
    shown_as_in(subset, whole)
    shown = [window for frames in whole for window in clips_and_starts(frames)[:5]]
    assert {clip for clip, _ in shown} == {5}
    assert len(set(shown)) > 12, "20 draws out of 30 starts, not 4 of them five times"
    assert torch.equal(whole[2][0], all_windows(real.random(7), 2)[5]), "the first is the clip's own"


class Counted:
    """A set that counts the windows read."""

    def __init__(self, whole: ClipSet) -> None:
        self.whole, self.n_read = whole, 0
        self.labels, self.n_classes, self.groups, self.shape = whole.labels, whole.n_classes, whole.groups, whole.shape

    def __len__(self) -> int:
        return len(self.whole)

    def windows(self, requests):
        for frames in self.whole.windows(requests):
            self.n_read += len(frames)
            yield frames


def test_spooled_windows_are_those_of_the_set_in_any_order_and_read_once_while_the_draw_lasts(real):
    counted = Counted(real.random(7))
    spooled, whole = Spooled(counted), draws(real.random(7), 4)
    shown_as_in(spooled, whole)
    assert counted.n_read == 6 * 6, "six requests, each of another draw than the one before"
    for _ in range(3):
        assert torch.equal(all_windows(spooled, 3), whole[3])
    assert counted.n_read == 6 * 6
    assert (len(spooled), spooled.labels.tolist(), spooled.groups) == (6, real.labels.tolist(), real.groups)


def test_spooled_windows_are_copies_that_a_later_draw_leaves_alone(real):
    spooled, whole = Spooled(real.random(7)), draws(real.random(7), 2)
    first = all_windows(spooled, 0)
    all_windows(spooled, 1)
    assert torch.equal(first, whole[0])


def test_an_error_while_a_draw_is_read_leaves_no_half_filled_draw(real):
    class Failing(Counted):
        def windows(self, requests):
            yield from list(super().windows(requests))[:-1] if self.n_read == 0 else super().windows(requests)

    n = 130
    clips = LabelledClips(
        torch.arange(n, dtype=torch.uint8).view(n, 1, 1, 1, 1).expand(n, 4, 1, 1, 3), torch.zeros(n).long(), 1
    )
    spooled = Spooled(Failing(clips))
    with pytest.raises(ValueError, match="zip"):
        all_windows(spooled)
    assert torch.equal(all_windows(spooled), clips.frames)


class Expensive:
    """A large set whose windows are made when they are read."""

    groups, n_classes, shape = None, 2, (16, 64, 64, 3)

    def __init__(self, n: int) -> None:
        self.labels = torch.arange(n) % 2

    def __len__(self) -> int:
        return len(self.labels)

    def windows(self, requests):
        for rows, draw in requests:
            frames = np.empty((len(rows), *self.shape), dtype=np.uint8)  # numpy's memory is traced, torch's is not
            frames[:] = ((rows + draw) % 251).numpy()[:, None, None, None, None]
            yield torch.from_numpy(frames)


def test_spooled_windows_lie_in_a_file_not_in_memory():
    spooled = Spooled(Expensive(600))  # 118 MB
    resident = anonymous_bytes()
    tracemalloc.start()
    for rows, frames in zip(torch.arange(600).split(20), spooled.windows(in_batches(600, 20, 3)), strict=True):
        assert torch.equal(frames[:, 0, 0, 0, 0].long(), (rows + 3) % 251)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 40e6, "64 clips at a time"
    assert anonymous_bytes() - resident < 60e6, "the mapping of the file is shared, so it is not the process's own"
    assert "vgsearch-clips-" in mappings(), "the file is mapped"


def mappings() -> str:
    with open("/proc/self/maps") as lines:
        return lines.read()


def anonymous_bytes() -> int:
    """The process's own memory, without mapped files."""
    with open("/proc/self/status") as lines:
        (kilobytes,) = (line.split()[1] for line in lines if line.startswith("RssAnon"))
    return 1024 * int(kilobytes)


def test_changed_windows_know_their_rows_and_draw(real):
    labels = torch.tensor([1, 1, 1, 0, 0, 0])

    def marked(frames, rows, draw):
        return torch.stack(
            [frame.clone().fill_(10 * draw + row) for frame, row in zip(frames, rows.tolist(), strict=True)]
        )

    changed = Changed(real.random(7), marked, labels)
    frames = next(changed.windows([(torch.tensor([4, 2]), 3)]))
    assert frames[:, 0, 0, 0, 0].tolist() == [34, 32]
    assert (changed.labels.tolist(), changed.n_classes, changed.groups, changed.shape) == (
        labels.tolist(), 3, None, real.shape
    )  # fmt: skip


def test_grouped_windows_are_those_of_the_set_in_other_groups(real):
    grouped = Grouped(real.random(7), tuple("uvwxyz"))
    shown_as_in(grouped, draws(real.random(7), 4))
    assert grouped.groups == tuple("uvwxyz")
    assert torch.equal(grouped.labels, real.labels)


def test_joined_clips_of_a_class_are_those_of_its_set_at_the_same_positions(real):
    sets = [real.random(seed) for seed in (1, 2)]
    labels = torch.tensor([0, 1, 1, 0, 1, 0])
    joined, of_set = Joined(sets, labels), [draws(clips, 4) for clips in sets]
    whole = [torch.stack([of_set[label][draw][row] for row, label in enumerate(labels.tolist())]) for draw in range(4)]
    shown_as_in(joined, whole)
    assert (len(joined), joined.n_classes, joined.shape, joined.groups) == (6, 2, real.shape, None)


def test_the_chosen_clips_of_a_selection_keep_their_fields_and_windows(real):
    chosen = np.array([True, False, False, True, False, True])
    part = real.selection.where(chosen)
    assert part.labels.tolist() == [0, 0, 2]
    assert (part.groups, part.shas, part.paths) == (("a", "b", "c"), ("0", "3", "5"), ("0", "3", "5"))
    assert part.lengths.tolist() == [4, 20, 33]
    assert part.n_classes == 3
    kept = dataclasses.replace(real, selection=part)
    assert [clip for clip, _ in clips_and_starts(all_windows(kept.random(0)))] == [0, 3, 5]


@pytest.mark.parametrize("n_groups", [4, 9, 16])
def test_halves_share_no_group_and_both_have_every_class(n_groups):
    labels = [clip % 3 for clip in range(6 * n_groups)]
    groups = [f"g{clip // 6}" for clip in range(6 * n_groups)]
    selection = numbered_clips([8] * len(labels), labels, groups, N_FRAMES).selection
    one, other = halves_by_group(selection)
    assert (one ^ other).all()
    in_one, in_other = ({group for group, kept in zip(groups, mask, strict=True) if kept} for mask in (one, other))
    assert not in_one & in_other
    assert len(in_one) == n_groups // 2
    for mask in (one, other):
        assert set(selection.labels[mask]) == {0, 1, 2}
    assert np.array_equal(halves_by_group(selection)[0], one)
    assert not np.array_equal(halves_by_group(selection, seed=1)[0], one)


def test_halves_are_as_equal_as_groups_of_one_class_allow():
    # Four groups of class 0 with 10 clips each, four of class 1 with 2: two of each on either side.
    labels = [0] * 40 + [1] * 8
    groups = [f"a{clip // 10}" for clip in range(40)] + [f"b{clip // 2}" for clip in range(8)]
    one, other = halves_by_group(numbered_clips([8] * 48, labels, groups, N_FRAMES).selection)
    assert [np.bincount(np.array(labels)[mask]).tolist() for mask in (one, other)] == [[20, 4], [20, 4]]


def test_a_class_with_one_group_cannot_be_halved():
    selection = numbered_clips([8] * 6, [0, 0, 0, 0, 1, 1], list("aabbcc"), N_FRAMES).selection
    with pytest.raises(DataError, match="the 3 groups cannot be halved so that both halves have every class"):
        halves_by_group(selection)


def test_joined_selections_have_the_clips_of_both_in_order(real):
    selection = real.selection
    odd = np.arange(len(selection)) % 2 == 1
    both = selection.where(~odd).joined(selection.where(odd))
    order = np.concatenate([np.flatnonzero(~odd), np.flatnonzero(odd)])
    assert both.shas == tuple(np.array(selection.shas)[order])
    assert both.groups == tuple(np.array(selection.groups)[order])
    assert (both.labels == selection.labels[order]).all()
    assert (both.n_starts(N_FRAMES) == selection.n_starts(N_FRAMES)[order]).all()


def test_batches_are_all_clips_in_order():
    requests = list(in_batches(7, 3, draw=2))
    assert [rows.tolist() for rows, _ in requests] == [[0, 1, 2], [3, 4, 5], [6]]
    assert {draw for _, draw in requests} == {2}


@pytest.mark.parametrize("rows", [[2, 0, 1], [2, 0, 2]], ids=["each once", "one twice"])
def test_windows_of_a_subset_stay_on_the_device_of_the_whole(rows: list[int]):
    there = LabelledClips(torch.zeros(3, 4, 8, 8, 3, dtype=torch.uint8, device="meta"), torch.arange(3), 3)
    (windows,) = Subset(there, torch.tensor(rows)).windows([(torch.arange(3), 0)])
    assert windows.is_meta
    assert windows.shape == (3, 4, 8, 8, 3)
