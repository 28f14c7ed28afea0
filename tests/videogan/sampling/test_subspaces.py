"""Redrawing a subspace of the code changes only what depends on that subspace."""

import pytest
import torch
from torch import nn

from videogan.config import ConfigurationError
from videogan.families import FAMILIES
from videogan.sampling.sampling import ALONE, codes, render, sampling_copy
from videogan.sampling.subspaces import FIRST_FRESH, Resampled, resample, resample_subspaces

LABELS = torch.arange(30) % 3


def sampler(family: str, **settings) -> nn.Module:
    torch.manual_seed(0)
    kind = FAMILIES[family]
    config = kind.config_type(resolution=32, n_classes=3, **settings)
    return sampling_copy(kind.build(config).generator, 3, n_batches=2, batch_size=8)


@pytest.fixture(scope="module")
def mvt() -> nn.Module:
    return sampler("mvt", variant="mvt_var", channels=2, gru_hidden=8, sigma_b=1e-7)


@pytest.fixture(scope="module")
def found(mvt) -> Resampled:
    return resample_subspaces(mvt, LABELS, seed=3, n_frames=4, n_pictured=2)


def test_a_subspace_with_little_variance_changes_little_and_the_others_do(found):
    assert tuple(found.changes) == ("A", "B", "C", "all")
    assert found.changes["B"].appearance.mean == pytest.approx(0, abs=0.01)
    assert found.changes["B"].flow.mean == pytest.approx(0, abs=0.01)
    for name in ("A", "C", "all"):
        assert found.changes[name].appearance.low > 0.1
        assert found.changes[name].flow.low > 0.1


def test_the_wider_subspace_changes_more(found):
    a, c, whole = (found.changes[name].appearance for name in ("A", "C", "all"))
    assert a.high < c.low
    assert c.mean < whole.high


def test_pictures_show_the_base_codes_and_each_redrawn_subspace(mvt, found):
    assert found.clips.shape == (5, 2, 4, 32, 32, 3)
    z, fresh = codes(mvt, 1, 3, first=1), codes(mvt, 1, 3, first=FIRST_FRESH + 1)
    expected = [z, *(resample(z, fresh, part) for part in mvt.subspaces.values()), fresh]
    for clip, code in zip(found.clips[:, 1], expected, strict=True):
        assert torch.equal(clip, render(mvt, code, LABELS[1:2], 4, ALONE)[0])


def test_resampling_is_a_function_of_its_seed_and_reports_progress(mvt, found):
    progress = []
    again = resample_subspaces(mvt, LABELS, 3, 4, n_pictured=2, on_progress=lambda *done: progress.append(done))
    assert again.changes == found.changes
    assert progress == [(i, 30) for i in range(1, 31)]


def test_truncation_makes_every_change_smaller(mvt, found):
    tamed = resample_subspaces(mvt, LABELS, 3, 4, truncation=0.3)
    assert all(tamed.changes[name].appearance.high < found.changes[name].appearance.low for name in ("A", "C", "all"))


def test_mocogan_has_content_and_motion_and_longer_motion_for_longer_clips():
    found = resample_subspaces(sampler("mocogan", width=1 / 32), LABELS, seed=0, n_frames=18, n_pictured=1)
    assert tuple(found.changes) == ("content", "motion", "all")
    assert found.clips.shape == (4, 1, 18, 32, 32, 3)
    assert all(change.appearance.low > 0 for change in found.changes.values())


def test_families_with_one_code_and_clips_without_motion_are_refused(mvt):
    with pytest.raises(ConfigurationError, match="tgan has one code without subspaces"):
        resample_subspaces(sampler("tgan", width=1 / 32, dim_z=4), LABELS, seed=0)
    with pytest.raises(ConfigurationError, match="at least 2 frames, got n_frames = 1"):
        resample_subspaces(mvt, LABELS, seed=0, n_frames=1)
