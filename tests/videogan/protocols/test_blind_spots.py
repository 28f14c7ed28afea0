"""Blind spots: scores miss copies, stills and collapse; each is detected by its own measure."""

import json
import math
from functools import partial

import pytest
import torch

from videogan.data.clip_set import LabelledClips
from videogan.metrics.frame_repeats import frame_errors, frame_repeats, repeat_threshold, t_psnr
from videogan.protocols.blind_spots import Seen, blind_spots
from videogan.protocols.classifier import fit_on_real
from videogan.protocols.copies import copies, training_windows
from videogan.protocols.ladder import RUNGS
from videogan.protocols.training_features import training_features


def measured(tiny, network, train, scored, synthetic):
    windows = training_windows(train, {"test": scored})
    find = partial(copies, windows=windows, train=train, split="test")
    seen = Seen(training_features(network, train, tiny.recipe), find)
    return blind_spots(tiny, network, train, scored, synthetic, seen)


@pytest.fixture(scope="module")
def found(tiny, real, train, test):
    network = real[0].network(tiny)
    return lambda synthetic: measured(tiny, network, train, test, synthetic)


@pytest.fixture(scope="module")
def fresh_frames(coloured_frames):
    return lambda purpose, labels, seed: coloured_frames(labels, 77 + seed)


@pytest.fixture(scope="module")
def fresh(made_of, fresh_frames):
    return made_of(fresh_frames)


def test_clips_like_real_ones_get_no_warning(found, fresh, real):
    result, _ = found(fresh)
    assert 0.5 < result.memorisation_features < 2
    assert result.memorisation_pixels == pytest.approx(1, abs=0.05)
    assert result.copies == 0
    assert result.motion.synthetic == pytest.approx(result.motion.real, rel=0.05)
    assert result.flow_ratio == pytest.approx(result.flow.synthetic / result.flow.real)
    assert result.flow_ratio == pytest.approx(1, abs=0.1)
    assert (result.freezing_rate.synthetic, result.looping_rate.synthetic) == (0, 0)
    assert result.repeats.synthetic == pytest.approx(result.repeats.real, abs=0.1)
    assert result.t_psnr.synthetic == pytest.approx(result.t_psnr.real, rel=0.05)
    assert result.t_dssim.synthetic == pytest.approx(result.t_dssim.real, rel=0.1)
    assert result.res.real == real[0].rer["test"]
    assert result.res.synthetic > 0.9
    assert result.class_diversity == pytest.approx([1, 1, 1], abs=0.5)
    assert result.warnings == []
    assert result.n_synthetic == 24


def test_copied_training_clips_are_detected_in_features_and_in_pixels(found, parts):
    result, _ = found(RUNGS["training clips, other windows"](parts))
    assert result.memorisation_features == pytest.approx(0, abs=1e-3)
    assert result.memorisation_pixels == 0
    assert result.copies == 1
    assert "memorisation: 100 % of the samples copy a window of a training clip." in result.warnings
    assert any(w.startswith("memorisation: by features, samples are 0.00 times as far") for w in result.warnings)
    assert any(w.startswith("memorisation: by pixels, samples are 0.00 times as far") for w in result.warnings)


def test_frozen_clips_are_reported_as_frozen(found, parts):
    result, _ = found(RUNGS["single frames"](parts))
    assert (result.freezing_rate.synthetic, result.freezing_rate.real) == (1, 0)
    assert result.motion.synthetic == 0 < result.motion.real
    assert result.flow.synthetic == result.flow_ratio == 0 < result.flow.real
    assert "motion: the samples move 0.00 times as fast as real clips (optical flow)." in result.warnings
    assert "100 % of the samples hardly move." in result.warnings


def test_clips_that_return_to_earlier_frames_are_reported_as_looping(found, made_of, fresh_frames):
    result, _ = found(made_of(lambda *asked: fresh_frames(*asked)[:, [0, 1, 2, 3, 0, 1, 2, 3]]))
    assert (result.looping_rate.synthetic, result.looping_rate.real) == (1, 0)
    assert "100 % of the samples loop." in result.warnings


def test_clips_that_stop_halfway_repeat_frames_though_no_fixed_lag_shows_it(found, made_of, fresh_frames):
    result, _ = found(made_of(lambda *asked: fresh_frames(*asked)[:, [0, 1, 2, 3, 4, 4, 4, 4]]))
    assert (result.freezing_rate.synthetic, result.looping_rate.synthetic) == (0, 0)
    assert result.repeats.synthetic == pytest.approx(3 / 7, abs=0.1)
    assert any("of the samples' frames repeat an earlier frame" in warning for warning in result.warnings)


def test_the_frames_of_each_set_are_compared_once(found, fresh, train, test, monkeypatch):
    sets = []
    monkeypatch.setattr(
        "videogan.protocols.blind_spots.frame_errors", lambda frames: (sets.append(frames), frame_errors(frames))[1]
    )
    result, _ = found(fresh)
    synthetic, real = sets
    assert torch.equal(real, test.frames)
    threshold = repeat_threshold(frame_errors(real))
    assert result.repeats.real == frame_repeats(frame_errors(real), threshold).repeats
    assert result.repeats.synthetic == frame_repeats(frame_errors(synthetic), threshold).repeats
    assert (result.t_psnr.synthetic, result.t_psnr.real) == (
        t_psnr(frame_errors(synthetic)),
        t_psnr(frame_errors(real)),
    )


def test_one_repeated_clip_per_class_has_no_diversity(found, made_of, fresh_frames):
    result, _ = found(made_of(lambda purpose, labels, seed: fresh_frames(purpose, torch.arange(3), seed)[labels]))
    assert result.class_diversity == pytest.approx([0, 0, 0], abs=1e-3)
    assert result.res.synthetic > 0.9, "the collapse does not lower the score"
    assert any(w.startswith("collapse within 3 of 3 classes") for w in result.warnings)


def test_the_order_of_frames_has_no_effect_if_colours_determine_the_class(found, fresh):
    result, _ = found(fresh)
    assert result.res_of_shuffled_frames == result.res


def test_neighbours_are_the_eight_nearest_samples_with_three_training_clips_each(found, train, parts):
    _, neighbours = found(RUNGS["training clips, other windows"](parts))
    clip = tuple(train.frames.shape[1:])
    assert neighbours.synthetic.shape == (8, *clip)
    assert neighbours.by_features.shape == neighbours.by_pixels.shape == (8, 3, *clip)
    assert torch.equal(neighbours.by_features[:, 0], neighbours.synthetic), "a copy is nearest to its original"
    assert torch.equal(neighbours.by_pixels[:, 0], neighbours.synthetic)
    assert not torch.equal(neighbours.by_pixels[:, 1], neighbours.synthetic)


def test_fewer_training_clips_than_neighbours_give_fewer_neighbours(tiny, real, train, test, fresh):
    few, asked = (LabelledClips(c.frames[:n], c.labels[:n], 3) for c, n in ((train, 2), (test, 5)))
    _, neighbours = measured(tiny, real[0].network(tiny), few, asked, fresh)
    assert neighbours.by_features.shape[:2] == neighbours.by_pixels.shape[:2] == (5, 2)


def test_unknown_values_are_null_in_json(tiny, real, train, test, fresh):
    still = LabelledClips(test.frames[:, :1].expand_as(test.frames).contiguous(), test.labels, 3)
    few = [0, 3, 1]
    lonely = LabelledClips(
        still.frames[few], still.labels[few], 3
    )  # two clips of class 0, one of class 1, none of class 2
    result, _ = measured(tiny, real[0].network(tiny), train, lonely, fresh)
    values = json.loads(json.dumps(result.to_json(), allow_nan=False))
    assert values["freezing_rate"] == {"synthetic": None, "real": None}
    assert values["flow"]["real"] == 0
    assert values["flow_ratio"] is None
    assert [value is None for value in values["class_diversity"]] == [False, True, True]


def test_with_one_class_there_is_no_accuracy_and_all_else_is_measured(tiny, train, test, fresh):
    one, other = (LabelledClips(c.frames, torch.zeros_like(c.labels), 1) for c in (train, test))
    network = fit_on_real(tiny, one, {"test": other}, seed=0).network(tiny)
    result, _ = measured(tiny, network, one, other, fresh)
    assert all(map(math.isnan, (result.res.synthetic, result.res.real, result.res_of_shuffled_frames.real)))
    assert result.memorisation_pixels == pytest.approx(1, abs=0.3)


def test_blind_spots_depend_only_on_the_seed(found, fresh):
    (result, neighbours), (again, same) = found(fresh), found(fresh)
    assert result == again
    assert torch.equal(neighbours.by_features, same.by_features)
