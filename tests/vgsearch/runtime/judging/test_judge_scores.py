"""The judge measures the field's FVD and other packages' metrics of videos and of checkpoints."""

import pytest

from tests.cached_shapes import cached_shapes
from tests.standard_detector import StandIn, saved
from vgsearch.runtime.feed.inputs import Inputs
from vgsearch.runtime.judging.judge import Judge, objective_scores, score_of
from vgsearch.runtime.judging.subjects import CheckpointSubject, VideosSubject
from videogan.config import ConfigurationError, parse_config
from videogan.data.clips import DataConfig
from videogan.protocols import own_metric
from videogan.protocols.ladder import RealParts, noise
from videogan.protocols.own_metric import InstalledMetric, Metrics
from videogan.protocols.standard_fvd import RealPart, StandardFVD
from videogan.shard import Shard
from videogan.training.checkpoint import CheckpointFolder
from videogan.training.loop import Training
from videogan.training.run_config import RunConfig

LENGTH = 12  # other than the 16 frames of all other protocols
N_SAMPLES = 8
DATA = DataConfig()
VALUES = {
    "model": {"family": "mvt", "variant": "mvt", "resolution": 32, "n_classes": 4, "channels": 2, "gru_hidden": 8},
    "evaluation": {"protocol": "s3_r3d18_smoke_v2", "standing_batches": 1},
}


@pytest.fixture(scope="module")
def inputs(tmp_path_factory) -> Inputs:
    """Clips of one window each."""
    found = cached_shapes(tmp_path_factory.mktemp("scores"), n_frames=LENGTH)
    return Inputs(**{**found.__dict__, "scored": "test"})


@pytest.fixture(scope="module")
def detector(tmp_path_factory):
    return saved(StandIn(), tmp_path_factory.mktemp("detector") / "i3d.pt")


def measured(judge: Judge, protocol: StandardFVD, subject):
    done: list[tuple[int, int]] = []
    result = judge.standard_fvd(protocol, subject.opened(judge, "cpu"), lambda *progress: done.append(progress))
    n = protocol.n_samples
    assert done[-1] == (3 * n, 3 * n)
    return result, len(done)


def test_the_training_clips_themselves_are_at_no_distance_and_real_clips_are_read_once(inputs, detector):
    judge = Judge(inputs, DATA, LENGTH)
    protocol = StandardFVD(detector=detector, n_samples=N_SAMPLES, n_frames=LENGTH)
    unlabelled, labelled = (VideosSubject("made", inputs, DATA, LENGTH, each) for each in (False, True))
    found, n_batches = measured(judge, protocol, unlabelled)
    assert found.mean < 1e-9 < found.real
    assert (found.split, found.n_real, found.n_samples) == ("train", N_SAMPLES, N_SAMPLES)
    assert found.warnings == []
    again, n_later = measured(Judge(inputs, DATA, LENGTH), protocol, labelled)
    assert (again.mean, again.real, again.digest) == (found.mean, found.real, found.digest)
    assert n_later * 3 == n_batches, "the moments of real clips are read from the cache, and labels play no part"


@pytest.mark.parametrize(("part", "splits"), [("test", ("test",)), ("all", ("train", "select", "test"))])
def test_other_real_clips_can_be_compared_with(inputs, detector, part: RealPart, splits):
    judge = Judge(inputs, DATA, LENGTH)
    protocol = StandardFVD(detector=detector, n_samples=4, n_frames=LENGTH, real=part)
    assert len(judge._part(part)) == sum(dict(inputs.n_clips)[split] for split in splits)
    found = judge.standard_fvd(protocol, noise(RealParts(judge.train, judge.scored, judge.held_back)), lambda *_: None)
    assert found.split == part
    assert (found.real != found.real) == (part == "all"), "no clips are left to take the place of samples"


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory) -> str:
    training = Training(parse_config(RunConfig, VALUES), lambda module: module, Shard(), "cpu")
    folder = CheckpointFolder(tmp_path_factory.mktemp("checkpoints"))
    return str(folder.save(training.checkpoint(1, trained_on="")))


def test_a_model_is_sampled_at_the_length_that_is_asked_for(inputs, detector, checkpoint):
    judge = Judge(inputs, DATA, LENGTH)
    protocol = StandardFVD(detector=detector, n_samples=4, n_frames=LENGTH)
    found, _ = measured(judge, protocol, CheckpointSubject(checkpoint))
    assert found.mean > found.real
    assert CheckpointSubject(checkpoint).opened(judge, "cpu")("samples", judge.scored.labels, 0).shape[0] == LENGTH


def pixels(generated, real, labels, seed):
    assert generated.shape == real.shape == (256, LENGTH, 3, 32, 32)
    assert generated.shape[0] == len(labels)
    far = (generated.float().mean() - real.float().mean()).abs().item()
    return {"pixels": (far, "lower"), "mean": (generated.float().mean().item(), "higher")}


def test_a_search_can_have_a_packages_metric_as_its_objective(inputs, monkeypatch):
    monkeypatch.setattr(own_metric, "METRICS", Metrics({"pixels": InstalledMetric(pixels, "toy 1.0")}))
    judge = Judge(inputs, DATA, LENGTH)
    clips = noise(RealParts(judge.train, judge.scored, judge.held_back))

    def scored(objective: str):
        values = VALUES | {"evaluation": VALUES["evaluation"] | {"objective": objective}}
        return score_of(objective_scores(parse_config(RunConfig, values), judge, clips))

    score = scored("-metric:pixels")
    found = score.features["metric:pixels"]
    assert found.mean > found.of_real.mean >= 0
    assert score.means == {"metric:pixels": found.mean}
    assert found.low < found.mean < found.high
    assert found.covers == "3 draws of 256 samples"
    for wrong, why in {
        "metric:pixels": "needs a value 'pixels' whose higher values are better, .* returns pixels .lower., mean",
        "-metric:mean": "the metric 'mean' is not installed on this machine",
    }.items():
        with pytest.raises(ConfigurationError, match=why):
            scored(wrong)
