"""The field's FVD by a scripted stand-in of its detector, and by the real one where VGSEARCH_I3D names it."""

import hashlib
import math
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.standard_detector import LEAST_FRAMES, StandIn, saved
from videogan.config import ConfigurationError
from videogan.data.clip_set import LabelledClips, RealClips
from videogan.data.windows import Selection
from videogan.protocols.classifier import DataFacts, WeightsFile
from videogan.protocols.detector import detector_features, detector_input, detector_of
from videogan.protocols.standard_fvd import (
    RealMoments,
    StandardFVD,
    cached_moments,
    clip_moments,
    spread,
    standard_fvd,
)

FACTS = DataFacts("ab" * 32, "plain_32", 2, (("train", 6), ("test", 2)))


@pytest.fixture(scope="module")
def file(tmp_path_factory) -> WeightsFile:
    return saved(StandIn(), tmp_path_factory.mktemp("detector") / "i3d.pt")


def greys(levels: list[int], n_frames: int = 12, size: int = 8) -> LabelledClips:
    """Clips of one grey each."""
    frames = torch.tensor(levels, dtype=torch.uint8)[:, None, None, None, None]
    return LabelledClips(
        frames.expand(-1, n_frames, size, size, 3).contiguous(), torch.zeros(len(levels), dtype=torch.long), 1
    )


def columns(*levels: int) -> Tensor:
    """One clip of one square frame whose columns have these levels, repeated."""
    row = torch.tensor(levels, dtype=torch.uint8)
    return row[None, None, None, :, None].expand(1, 1, len(row), -1, 3)


def test_a_detector_sees_frames_of_224_pixels_between_the_source_pixels_without_rounding():
    # Pixel i of 224 lies at (i + 1/2) / 112 - 1/2 between two columns: 224 times that is 2 i - 111, held at the ends.
    seen = detector_input(columns(0, 224))
    assert (seen.shape, seen.dtype) == ((1, 3, 1, 224, 224), torch.float32)
    wanted = (2.0 * torch.arange(224) - 111).clamp(0, 224)
    assert torch.allclose(seen, wanted.expand(1, 3, 1, 224, -1), rtol=0, atol=1e-4)
    # Half as large: between two pixels. A third: on each third pixel, so nothing is smoothed before.
    assert (detector_input(columns(*[0, 255] * 224)) == 127.5).all()
    assert (detector_input(columns(*[0, 255, 0] * 224)) == 255).all()


def test_channels_and_frames_keep_their_order():
    clip = torch.arange(6, dtype=torch.uint8).reshape(1, 2, 1, 1, 3).expand(1, 2, 224, 224, 3)
    assert detector_input(clip)[0, :, :, 0, 0].tolist() == [[0, 3], [1, 4], [2, 5]]


def test_anything_but_frames_of_bytes_is_refused():
    for other in (torch.zeros(1, 2, 8, 8, 3), torch.zeros(1, 2, 3, 8, 8, dtype=torch.uint8)):
        with pytest.raises(ValueError, match=r"needs uint8 \(B, T, H, W, 3\), got"):
            detector_input(other)


def test_the_adapter_gives_what_the_fields_call_gives_on_frames_as_they_are(file):
    frames = torch.randint(0, 256, (3, 12, 20, 30, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    detector = detector_of(file, "cpu")
    raw = frames.permute(0, 4, 1, 2, 3).float()
    theirs = detector(raw, rescale=True, resize=True, return_features=True)
    ours = detector_features(detector, frames, file.path, "cpu")
    assert torch.allclose(ours, theirs, atol=1e-6)
    # Black is -1 and white 1.
    ends = detector_features(detector, greys([0, 255]).frames, file.path, "cpu")
    assert ends[:, 0].tolist() == [-1, 1]


def test_the_distance_is_that_of_the_levels(file):
    """Of greys the mean is the only feature that varies: (m - m')^2 + (s - s')^2 by hand, s with n - 1."""
    protocol = StandardFVD(detector=file, n_samples=6, n_frames=12)
    real, fake, other = [0, 50, 100, 150, 200, 250], [10, 20, 30, 40, 50, 60], [5, 55, 105, 155, 205, 255]
    found = standard_fvd(
        protocol,
        protocol.digest(FACTS),
        RealMoments(*(clip_moments(protocol, greys(levels), "cpu") for levels in (real, other)), "train"),
        clip_moments(protocol, greys(fake), "cpu"),
    )

    def by_hand(one: list[int], two: list[int]) -> float:
        a, b = (np.array(levels) / 127.5 - 1 for levels in (one, two))
        return float((a.mean() - b.mean()) ** 2 + (a.std(ddof=1) - b.std(ddof=1)) ** 2)

    assert found.mean == pytest.approx(by_hand(real, fake), rel=1e-5)
    assert found.real == pytest.approx(by_hand(real, other), rel=1e-4)
    assert (found.metric, found.split, found.n_real, found.n_features) == ("fvd", "train", 6, 2)
    assert math.isnan(found.low)
    assert found.warnings == []


def test_the_name_tells_detector_counts_and_real_clips_and_the_digest_all_that_matters(file, tmp_path):
    protocol = StandardFVD(detector=file)
    assert protocol.name == f"fvd_2048x16_train+{file.sha256[:6]}"
    elsewhere = protocol.model_copy(update={"detector": WeightsFile(path="other.pt", sha256=file.sha256)})
    assert elsewhere.digest(FACTS) == protocol.digest(FACTS)
    changes = (
        {"n_samples": 512},
        {"n_frames": 12},
        {"real": "test"},
        {"detector": saved(torch.nn.Tanh(), tmp_path / "t")},
    )
    others = {protocol.model_copy(update=change).digest(FACTS) for change in changes}
    assert len(others | {protocol.digest(FACTS)}) == 5
    assert protocol.digest(DataFacts("ab" * 32, "plain_64", 2, FACTS.n_clips)) not in others | {protocol.digest(FACTS)}


def long_clips(n: int, length: int, n_frames: int) -> RealClips:
    """Clips whose frame t has the level t."""
    selection = Selection(
        ("",) * n, ("",) * n, np.zeros(n, np.int64), ("",) * n, np.full(n, length), np.ones(n, np.int64), 1, ()
    )

    def read(selection, windows, n_frames):
        for _, starts in windows:
            levels = torch.from_numpy(starts)[:, None] + torch.arange(n_frames)
            yield levels.to(torch.uint8)[:, :, None, None, None].expand(-1, -1, 8, 8, 3)

    return RealClips(selection, n_frames, 8, read)


def test_each_clip_is_used_once_while_there_are_enough_and_then_equally_often_by_other_windows():
    clips = long_clips(10, length=200, n_frames=4)
    assert len(spread(clips, 6, seed=0).rows.unique()) == 6
    many = spread(clips, 34, seed=0)
    assert sorted(many.rows.bincount().tolist()) == [3] * 6 + [4] * 4
    starts = torch.cat([frames[:, 0, 0, 0, 0] for frames in many.windows([(torch.arange(34), 0)])])
    of_first = starts[many.rows == 0]
    assert len(of_first.unique()) > 1
    assert torch.equal(spread(clips, 34, seed=0).rows, many.rows)
    assert not torch.equal(spread(clips, 34, seed=1).rows, many.rows)


def test_statistics_of_real_clips_are_kept_and_the_detector_runs_once(file, tmp_path):
    protocol, clips = StandardFVD(detector=file, n_samples=4, n_frames=12), greys([0, 100, 200])
    done: list[int] = []
    first = cached_moments(tmp_path / "m.pt", protocol, clips, "cpu", lambda n, total: done.append(n))
    assert done == [4]
    gone = protocol.model_copy(update={"detector": WeightsFile(path=str(tmp_path / "gone.pt"), sha256=file.sha256)})
    again = cached_moments(tmp_path / "m.pt", gone, clips, "cpu", lambda n, total: done.append(n))
    assert done == [4]
    assert torch.equal(first.mean, again.mean)
    assert torch.equal(first.covariance, again.covariance)
    assert (again.n_clips, again.n_different) == (3, 3)
    assert gone.digest_of_moments(FACTS, "train") == protocol.digest_of_moments(FACTS, "train")
    assert gone.digest_of_moments(FACTS, "test") != protocol.digest_of_moments(FACTS, "train")


def test_too_few_clips_and_copies_are_told(file):
    protocol = StandardFVD(detector=file, n_samples=2, n_frames=12)
    few = clip_moments(protocol, spread(greys([0]), 2, seed=0), "cpu")
    found = standard_fvd(protocol, "", RealMoments(few, None, "all"), few)
    assert math.isnan(found.real)
    assert found.warnings == [
        "2 clips for 2 features: their covariance is singular, the distance biased.",
        "2 windows of 1 real clips: published values take one window of each of 2.",
        "2 windows of 1 videos: published values take one window of each of 2.",
        "only 1 of 2 real windows differ: the others are copies of them.",
        "only 1 of 2 samples differ: the others are copies of them.",
    ]


class OneNumber(torch.nn.Module):
    def forward(self, x: Tensor, rescale: bool, resize: bool, return_features: bool) -> Tensor:
        return x.mean()


class NotFinite(torch.nn.Module):
    def forward(self, x: Tensor, rescale: bool, resize: bool, return_features: bool) -> Tensor:
        return x.flatten(1)[:, :2] / 0


class OtherCall(torch.nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x


@pytest.mark.parametrize(
    ("module", "n_frames", "message"),
    [
        (
            StandIn(),
            LEAST_FRAMES - 1,
            "of clips of 9 frames failed: .*a clip needs 10 frames. Give another --fvd-frames",
        ),
        (OneNumber(), 12, r"must return features \(2, d\), got \(\)"),
        (NotFinite(), 12, "must be finite, got NaN"),
        (OtherCall(), 12, "failed: .*expected at most 2 arg"),
    ],
)
def test_a_detector_that_cannot_be_called_so_is_an_error_of_one_line(tmp_path, module, n_frames, message):
    file = saved(module, tmp_path / "d.pt")
    with pytest.raises(ConfigurationError, match=message) as error:
        detector_features(detector_of(file, "cpu"), greys([0, 1], n_frames).frames, file.path, "cpu")
    assert "\n" not in str(error.value)


def test_a_file_that_is_missing_or_changed_or_no_torchscript_is_an_error_of_one_line(file, tmp_path):
    state = tmp_path / "state.pt"
    torch.save({"weight": torch.zeros(1)}, state)
    pickled = WeightsFile(path=str(state), sha256=hashlib.sha256(state.read_bytes()).hexdigest())
    for wrong, message in (
        (WeightsFile(path=str(tmp_path / "gone.pt"), sha256=""), "cannot read this detector"),
        (WeightsFile(path=file.path, sha256="cd" * 32), "the file has changed, or differs on this machine"),
        (pickled, "this is no TorchScript file"),
    ):
        with pytest.raises(ConfigurationError, match=message) as error:
            detector_of(wrong, "cpu")
        assert "\n" not in str(error.value)


@pytest.mark.skipif("VGSEARCH_I3D" not in os.environ, reason="VGSEARCH_I3D names no i3d_torchscript.pt")
def test_the_fields_own_file_gives_400_features_of_clips_of_16_frames_and_ranks_noise_last():
    from videogan.protocols.classifier import weights_file

    protocol = StandardFVD(detector=weights_file(Path(os.environ["VGSEARCH_I3D"])), n_samples=8)
    rng = torch.Generator().manual_seed(0)
    levels = torch.randint(0, 256, (2, 8), generator=rng).tolist()
    real, other = (clip_moments(protocol, greys(each, 16, 64), "cpu") for each in levels)
    noise = torch.randint(0, 256, (8, 16, 64, 64, 3), generator=rng, dtype=torch.uint8)
    samples = clip_moments(protocol, LabelledClips(noise, torch.zeros(8, dtype=torch.long), 1), "cpu")
    found = standard_fvd(protocol, protocol.digest(FACTS), RealMoments(real, other, "train"), samples)
    assert found.n_features == 400
    assert found.mean > 2 * found.real
