"""What a sweep and a local Ray take of a machine: memory that the nodes must have, and ports on loopback only."""

import io
from typing import Any

import psutil
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
from vgsearch.space.space import installed_spaces, load_space
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
    return make_moving_shapes(tmp_path_factory.mktemp("data") / "shapes", n_clips_each=1, n_groups=16, size=16)


def printed_by(sweep: Sweep, manifest: Manifest, memory: float) -> str:
    output = io.StringIO()
    cluster = Resources((Node(2, memory_bytes=memory),))
    refuse_what_memory_cannot_hold(sweep, manifest, cluster, Console(file=output, width=300))
    return output.getvalue()


def test_the_largest_trial_has_every_size_at_its_maximum_and_the_papers_other_values():
    widths = {"model.channels": {"type": "choice", "choices": [4, 16, 8]}}
    corner = largest_corner(a_sweep(domains=widths))
    assert (corner.model.channels, corner.model.n_frames_image, corner.model.alpha) == (16, 16, 10.0)
    assert corner.optimiser.lr_g == 5e-5
    assert corner.model.constraint_d_video == "spectral_norm"


def test_of_unordered_choices_the_largest_checkpoint_counts():
    kinds = {"model.d_video": {"type": "choice", "choices": ["mocogan", "released"]}}
    sweep = a_sweep(domains=kinds)
    sizes = {kind: checkpoint_bytes(a_sweep(overrides={"model.d_video": kind}).run_config({}, 0)) for kind in (
        "mocogan", "released"
    )}  # fmt: skip
    assert largest_corner(sweep, checkpoint_bytes).model.d_video == max(sizes, key=sizes.get)


def test_for_a_tiny_trial_the_estimate_suffices_and_no_worker_starts(manifest: Manifest):
    text = printed_by(a_sweep(), manifest, 24 * GB)
    assert text.startswith("memory: a trial takes less than ")
    assert "of 12.0 GB (estimate)" in text
    assert not ray.is_initialized()


@pytest.mark.slow
@pytest.mark.parametrize("space", [name for name in installed_spaces() if not load_space(name).is_of_program])
@pytest.mark.parametrize("budget", ["smoke", "paper"])
def test_no_shipped_network_exceeds_the_estimate(space: str, budget: str):
    corner = largest_corner(tiny_sweep(space, budget))
    assert forecast(corner).memory_bytes < generous_estimate(corner) - PROCESS_BYTES


@pytest.mark.usefixtures("ray_cluster")
def test_a_step_of_the_largest_trial_is_measured_and_fewer_trials_are_proposed_if_two_exceed_a_node(
    manifest: Manifest,
):
    sweep = a_sweep(overrides={"model.channels": 2, "model.gru_hidden": 8})
    text = printed_by(sweep, manifest, 2.6 * GB)
    assert "memory: training one step of the largest trial" in text
    takes, _, unit = text.split("largest trial takes ")[1].partition(" ")
    assert unit.startswith(("GB of 1.3 GB of memory", "MB of 1.3 GB of memory"))
    peak = float(takes) * (GB if unit.startswith("GB") else 1e6)
    with pytest.raises(ConfigurationError) as refused:
        printed_by(sweep, manifest, 1.5 * peak)
    assert "the largest trial (loop.batch_size = 8, model.n_frames_image = 16, model.fold_div = 16" in str(
        refused.value
    )
    assert "with 2 trials in parallel each has" in str(refused.value)
    assert "Use --max-concurrent 1, or lower its size, e.g. --set loop.batch_size=4." in str(refused.value)


def test_a_ray_of_our_own_serves_no_metrics(ray_cluster: Resources):
    assert [node["MetricsExportPort"] for node in ray.nodes()] == [-1]


def test_a_local_ray_can_be_reached_from_this_machine_only(ray_cluster: Resources):
    ray.get(ray.remote(lambda: 1).remote())  # a worker listens too
    processes = [psutil.Process(), *psutil.Process().children(recursive=True)]
    names = {process.name() for process in processes}
    assert names >= {"gcs_server", "raylet"}
    listening = [socket for process in processes for socket in process.net_connections() if socket.status == "LISTEN"]
    assert len(listening) > 5
    assert {socket.laddr.ip.removeprefix("::ffff:") for socket in listening} == {"127.0.0.1"}
