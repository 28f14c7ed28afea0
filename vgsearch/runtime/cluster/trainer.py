"""Ray Train's trainer without the actor that should free placement groups: see `runtime/sweep/placement_groups.py`."""

from typing import Any

from ray.train.torch import TorchTrainer

# Internals of Ray 2.60, which pyproject.toml pins: Ray frees the workers' placement group of a stopped trial through a
# detached actor a trial, which needs the dashboard's State API and gives up where it sees two Rays on a machine. A pruned
# trial then keeps its CPUs for ever. We mark the groups and free them ourselves (PlacementGroupReaper).
from ray.train.v2._internal.callbacks.placement_group_callback import PlacementGroupCleanerCallback

MAX_WORKER_FAILURES = 1
MAX_CONTROLLER_FAILURES = 2


class Trainer(TorchTrainer):
    """TorchTrainer without the cleaner actor, whose work the reaper does."""

    def _create_default_callbacks(self) -> list[Any]:
        return [c for c in super()._create_default_callbacks() if not isinstance(c, PlacementGroupCleanerCallback)]
