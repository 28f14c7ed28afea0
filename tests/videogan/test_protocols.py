"""Protocols: what their digest tells, real-trained classifiers kept whole, and S3 as trained and tested."""

import json
import math

import pytest
import torch

from videogan.classifiers.fit import LabelledClips, Recipe, predict
from videogan.metrics.s3 import accuracy
from videogan.protocols import (
    PROTOCOLS,
    RealClassifier,
    ResizeFrames,
    S3Protocol,
    cached_real_classifier,
    fit_on_real,
    load_real_classifier,
    look,
    real_classifier_path,
    s3_evaluation,
    save_real_classifier,
)

TINY = S3Protocol(
    name="tiny",
    width=4,
    dropout=0.0,
    size=None,
    n_frames=8,
    recipe=Recipe(lr=0.02, batch_size=8, max_epochs=6, patience=6, precision="fp32"),
    seeds=(0, 1),
)
DATA = {"manifest_digest": "ab" * 32, "preprocessing": "plain_32", "n_train": 192, "n_test": 64}


def coloured_frames(labels: torch.Tensor, seed: int) -> torch.Tensor:
    """Class 0 is red, class 1 is blue, with noise."""
    rng = torch.Generator().manual_seed(seed)
    frames = torch.randint(0, 100, (len(labels), 8, 32, 32, 3), generator=rng, dtype=torch.uint8)
    frames[labels == 0, ..., 0] += 120
    frames[labels == 1, ..., 2] += 120
    return frames


def coloured_clips(n: int, seed: int) -> LabelledClips:
    labels = torch.arange(n) % 2
    return LabelledClips(coloured_frames(labels, seed), labels, 2)


@pytest.fixture(scope="module")
def train() -> LabelledClips:
    return coloured_clips(48, seed=1)


@pytest.fixture(scope="module")
def test() -> LabelledClips:
    return coloured_clips(24, seed=2)


@pytest.fixture(scope="module")
def real(train, test) -> list[RealClassifier]:
    return [fit_on_real(TINY, train, test, seed) for seed in TINY.seeds]


def test_digest_is_stable_and_changes_with_all_that_a_score_depends_on():
    digest = TINY.digest(**DATA)
    assert digest == S3Protocol(**TINY.model_dump()).digest(**DATA)
    assert len(digest) == 64
    others = [TINY.digest(**DATA | change) for change in ({"manifest_digest": "cd"}, {"preprocessing": "plain_64"})]
    others += [TINY.digest(**DATA | change) for change in ({"n_train": 191}, {"n_test": 65})]
    changes = ({"width": 8}, {"size": 64}, {"seeds": (0, 2)}, {"dropout": 0.1}, {"shortcut": "A"}, {"n_frames": 16})
    others += [TINY.model_copy(update=change).digest(**DATA) for change in changes]
    for field in ({"lr": 0.03}, {"precision": "bf16"}, {"paper_protocol": True}, {"crop_padding": 1}):
        recipe = TINY.recipe.model_copy(update=field)
        others.append(TINY.model_copy(update={"recipe": recipe}).digest(**DATA))
    assert len({digest, *others}) == 1 + len(others)


def test_the_paper_protocol_is_app_b1_and_scaled_ones_bear_other_names():
    paper = PROTOCOLS["s3_r3d18_v1"]
    assert (paper.width, paper.size, paper.n_frames, paper.dropout) == (64, 112, 16, 0.6)
    assert (paper.recipe.lr, paper.recipe.batch_size, paper.recipe.patience, paper.recipe.max_epochs) == (
        0.001,
        32,
        4,
        60,
    )
    assert all(name == protocol.name and len(protocol.seeds) == 3 for name, protocol in PROTOCOLS.items())
    assert all("_laptop_" in name or "_smoke_" in name for name, p in PROTOCOLS.items() if p.width < 64)


def test_classifiers_start_from_their_seed_and_leave_the_global_generator_alone():
    state = torch.get_rng_state()
    first, again, other = (TINY.build_classifier(2, seed).classify.weight for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(state, torch.get_rng_state())


def test_frames_are_resized_for_the_classifier_and_left_alone_at_its_size():
    video = torch.full((2, 8, 3, 32, 32), 0.5)
    torch.testing.assert_close(ResizeFrames(48)(video), torch.full((2, 8, 3, 48, 48), 0.5))
    assert ResizeFrames(32)(video) is video
    resizing = TINY.model_copy(update={"size": 48}).build_classifier(2, seed=0)
    assert resizing(video).shape == (2, 2)


def test_a_kept_classifier_says_what_it_said_before(tmp_path, real, test):
    path = real_classifier_path(tmp_path / "digest", 0)
    save_real_classifier(path, real[0])
    again = load_real_classifier(path)
    assert (again.seed, again.n_classes, again.rer) == (real[0].seed, 2, real[0].rer)
    predictions = [predict(c.network(TINY), test.frames, TINY.recipe) for c in (real[0], again)]
    assert torch.equal(*predictions)
    assert accuracy(predictions[1], test.labels) == again.rer


def test_a_real_classifier_is_fitted_once_and_then_read(tmp_path, train, test):
    epochs = []
    for _ in range(2):
        cached_real_classifier(tmp_path, TINY, train, test, 0, epochs.append)
    assert len(epochs) == TINY.recipe.max_epochs
    assert [path.name for path in tmp_path.iterdir()] == ["real-0.pt"]


def test_a_classifier_that_cannot_be_written_leaves_no_partial_file(tmp_path):
    unwritable = RealClassifier(0, 2, 1.0, {"weight": lambda: None})
    with pytest.raises(Exception, match="pickle"):
        save_real_classifier(tmp_path / "real-0.pt", unwritable)
    assert not list(tmp_path.iterdir())


def test_clips_of_the_real_kind_score_near_one_and_report_what_they_are_worth(real, train, test):
    told, asked = [], []

    def synthesise(labels, seed):
        asked.append((len(labels), seed))
        return coloured_frames(labels, seed)

    result = s3_evaluation(TINY, "d1", real, train, test, synthesise, lambda done, total: told.append((done, total)))
    assert result.rer.mean > 0.9
    assert result.s3.mean == pytest.approx(1, abs=0.1)
    assert result.s3_chance_corrected.mean > 0.8
    assert result.s3_of_guessing == pytest.approx(0.5 / result.rer.mean)
    assert sorted(n for n, _ in asked) == [24, 24, 48, 48]
    assert len({seed for _, seed in asked}) == 4, "every synthetic set is drawn afresh"
    assert told[-1] == (12, 12)
    assert told == sorted(told)
    assert (result.n_train, result.n_test, result.seeds, result.protocol, result.digest) == (
        48,
        24,
        [0, 1],
        "tiny",
        "d1",
    )


def test_noise_teaches_nothing_and_the_result_warns_of_it(real, train, test):
    def noise(labels, seed):
        rng = torch.Generator().manual_seed(seed)
        return torch.randint(0, 255, (len(labels), 8, 32, 32, 3), generator=rng, dtype=torch.uint8)

    result = s3_evaluation(TINY, "d1", real, train, test, noise)
    assert abs(result.res.mean - 0.5) < 0.2
    assert result.ser.low <= 0.5
    assert any("SeR's interval" in warning and "includes chance (0.500)" in warning for warning in result.warnings)


def test_s3_is_undefined_where_no_real_clip_is_classified_and_json_says_null(real, train, test):
    hopeless = [RealClassifier(c.seed, c.n_classes, 0.0, c.weights) for c in real]
    result = s3_evaluation(TINY, "d1", hopeless, train, test, coloured_frames)
    assert math.isnan(result.s3.mean)
    assert any("below 0.9" in warning for warning in result.warnings)
    plain = json.loads(json.dumps(result.to_json(), allow_nan=False))
    assert plain["s3"] == {"mean": None, "low": None, "high": None}
    assert plain["rer"]["mean"] == 0
    assert plain["per_seed"]["s3"] == [None, None]


def test_a_single_seed_has_no_interval_and_says_so(real, train, test):
    result = s3_evaluation(TINY, "d1", real[:1], train, test, coloured_frames)
    assert math.isnan(result.s3.low)
    assert "one classifier seed: the scores have no interval." in result.warnings


def test_look_is_the_accuracy_of_a_real_trained_classifier_on_synthetic_clips(real, test):
    network = real[0].network(TINY)
    assert look(TINY, network, coloured_frames, test.labels, seed=9) > 0.9
    assert look(TINY, network, lambda labels, seed: coloured_frames(1 - labels, seed), test.labels, seed=9) < 0.1


def test_clips_of_another_length_are_refused(real, train, test):
    longer = LabelledClips(train.frames.repeat(1, 2, 1, 1, 1), train.labels, 2)
    with pytest.raises(ValueError, match="tiny needs clips of 8 frames, got 16"):
        fit_on_real(TINY, longer, test, 0)
