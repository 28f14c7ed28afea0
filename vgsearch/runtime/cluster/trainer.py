"""Ray Train's trainer without the actor that frees placement groups; see `runtime/sweep/placement_groups.py`."""

from typing import Any

from ray.train.torch import TorchTrainer

# Internals of Ray 2.60, which pyproject.toml pins. Ray starts a detached actor per trial to free the placement group of
# a stopped trial's workers. It needs the dashboard's State API, and gives up if two Rays run on one machine; a pruned
# trial then keeps its CPUs forever. We mark the groups and free them ourselves (PlacementGroupReaper).
from ray.train.v2._internal.callbacks.placement_group_callback import PlacementGroupCleanerCallback

MAX_WORKER_FAILURES = 1
MAX_CONTROLLER_FAILURES = 2


class Trainer(TorchTrainer):
    """TorchTrainer without the cleaner actor; PlacementGroupReaper does its work."""

    def _create_default_callbacks(self) -> list[Any]:
        callbacks: list[Any] = super()._create_default_callbacks()  # type: ignore[misc]  # hidden from type checkers
        return [c for c in callbacks if not isinstance(c, PlacementGroupCleanerCallback)]
