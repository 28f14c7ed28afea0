"""A space's largest trial is tried before the sweep: refused where nodes cannot hold as many as would run."""

import io
from typing import Any

import pytest
import ray
from rich.console import Console

from tests.builders import space_values, tiny_sweep
from vgsearch.runtime.cluster.cluster import Node, Resources
from vgsearch.runtime.cluster.memory import (
    PROCESS_BYTES,
    generous_estimate,
    largest_corner,
    refuse_what_memory_cannot_hold,
)
from vgsearch.space.space import shipped_spaces
from vgsearch.space.sweep import Sweep
from videogan.config import ConfigurationError
from videogan.data.manifest import Manifest
from videogan.data.synthetic import make_moving_shapes
from videogan.training.forecast import checkpoint_bytes, forecast

GB = 1e9


def a_sweep(budget: str = "smoke", domains: dict[str, Any] | None = None, **settings: Any) -> Sweep:
    values = space_values(domains=domains)
    for point in values["paper_points"]:
        point |= {path: domain["choices"][0] for path, domain in (domains or {}).items()}
    return tiny_sweep(values, budget, **settings)


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    return make_moving_shapes(tmp_path_factory.mktemp("data") / "shapes", n_clips_each=1, size=16)


def tried(sweep: Sweep, manifest: Manifest, memory: float) -> str:
    told = io.StringIO()
    cluster = Resources((Node(2, memory_bytes=memory),))
    refuse_what_memory_cannot_hold(sweep, manifest, cluster, Console(file=told, width=300))
    return told.getvalue()


def test_the_largest_corner_has_every_number_at_its_largest_and_keeps_what_does_not_matter():
    widths = {"model.channels": {"type": "choice", "choices": [4, 16, 8]}}
    corner = largest_corner(a_sweep(domains=widths))
    assert (corner.model.channels, corner.model.n_frames_image, corner.model.alpha) == (16, 16, 10.0)
    assert corner.optimiser.lr_g == 5e-5
    assert corner.model.constraint_d_video == "spectral_norm"


def test_choices_without_order_are_counted():
    kinds = {"model.d_video": {"type": "choice", "choices": ["mocogan", "released"]}}
    sweep = a_sweep(domains=kinds)
    sizes = {kind: checkpoint_bytes(a_sweep(overrides={"model.d_video": kind}).run_config({}, 0)) for kind in (
        "mocogan", "released"
    )}  # fmt: skip
    assert largest_corner(sweep, checkpoint_bytes).model.d_video == max(sizes, key=sizes.get)


def test_a_tiny_trial_is_not_tried_and_no_worker_is_asked(manifest: Manifest):
    told = tried(a_sweep(), manifest, 24 * GB)
    assert told.startswith("memory: a trial surely takes less than ")
    assert "of 12.0 GB, not tried" in told
    assert not ray.is_initialized()


@pytest.mark.slow
@pytest.mark.parametrize("space", shipped_spaces())
@pytest.mark.parametrize("budget", ["smoke", "paper"])
def test_no_shipped_network_keeps_more_than_the_estimate_says(space: str, budget: str):
    corner = largest_corner(tiny_sweep(space, budget))
    assert forecast(corner).memory_bytes < generous_estimate(corner) - PROCESS_BYTES


@pytest.mark.usefixtures("ray_cluster")
def test_a_step_of_the_largest_trial_is_taken_on_a_worker_and_fewer_are_proposed_where_two_exceed_a_node(
    manifest: Manifest,
):
    sweep = a_sweep(overrides={"model.channels": 2, "model.gru_hidden": 8})
    told = tried(sweep, manifest, 2.6 * GB)
    assert "memory: trying one step of the largest trial" in told
    takes, _, unit = told.split("largest trial takes ")[1].partition(" ")
    assert unit.startswith(("GB of 1.3 GB of memory", "MB of 1.3 GB of memory"))
    peak = float(takes) * (GB if unit.startswith("GB") else 1e6)
    with pytest.raises(ConfigurationError) as refused:
        tried(sweep, manifest, 1.5 * peak)
    assert "the largest trial (loop.batch_size = 16, model.n_frames_image = 16, model.fold_div = 16" in str(
        refused.value
    )
    assert "2 side by side leave each" in str(refused.value)
    assert "Use --max-concurrent 1, or lower what makes it large, e.g. --set loop.batch_size=8." in str(refused.value)
