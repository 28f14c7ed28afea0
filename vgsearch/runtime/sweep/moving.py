"""A sweep that continues on other machines: with other workers or GPUs per trial than it started with."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from vgsearch.experiment.stop_when import StopWhen
from vgsearch.runtime.cluster.cluster import refuse_impossible_gpus
from vgsearch.space.amounts import bytes_of, hours_of
from vgsearch.space.sweep import Sweep
from vgsearch.trackers.following import checked_trackers
from videogan.storage.places import place


@dataclass(frozen=True)
class OtherWorkers:
    """The workers of each trial from now on; None: as the sweep has them."""

    n_workers: int | None = None
    gpus_per_worker: float | None = None

    def of(self, sweep: Sweep) -> Sweep:
        """The sweep with these workers; raises ConfigurationError for workers that cannot train."""
        sweep = sweep.model_copy(update={name: value for name, value in asdict(self).items() if value is not None})
        refuse_impossible_gpus(sweep.n_workers, sweep.gpus_per_worker)
        return sweep

    @property
    def options(self) -> str:
        """As options of a command, each with a space before it."""
        workers = "" if self.n_workers is None else f" --workers-per-trial {self.n_workers}"
        return workers + ("" if self.gpus_per_worker is None else f" --gpus-per-worker {self.gpus_per_worker:g}")

    def notes(self, before: Sweep, n_gpus: float) -> list[str]:
        """What the move changes for trials from now on, on a cluster of `n_gpus` GPUs."""
        now, notes = self.of(before), []
        if bool(now.gpus_per_worker) != bool(before.gpus_per_worker):
            old, new = ("GPUs" if sweep.gpus_per_worker else "CPUs" for sweep in (before, now))
            notes.append(f"note: trials train on {new} from now on, before on {old}; begun ones continue there")
        if not now.gpus_per_worker and n_gpus and self.gpus_per_worker is None:
            notes.append(
                f"note: trials train on CPUs, as the sweep started, and leave {n_gpus:g} GPUs idle; "
                "--gpus-per-worker 1 uses them"
            )
        if now.n_workers != before.n_workers:
            notes.append(
                f"note: {now.n_workers} workers train a trial from now on, before {before.n_workers}; batch norm sees "
                "a worker's part of each batch, so scores before and after differ by more than chance"
            )
        return notes


@dataclass(frozen=True)
class OtherSettings:
    """Settings of a sweep from now on that leave its trials comparable; None: as the sweep has them."""

    data: str | None = None
    max_concurrent: int | None = None
    time_budget_hours: float | None = None
    gpu_hours: float | None = None
    stop_when: str | None = None
    disk_budget_bytes: float | None = None
    log: list[str] | None = None

    @classmethod
    def of_options(
        cls,
        data: Path | None,
        max_concurrent: int | None,
        time_budget: str | None,
        gpu_hours: float | None,
        stop_when: str | None,
        disk_budget: str | None,
        log: Sequence[str] | None = None,
    ) -> "OtherSettings":
        """Those of a command; raises ConfigurationError for one that cannot be read."""
        if stop_when is not None:
            StopWhen.parse(stop_when)
        return cls(
            None if data is None else str(place(data).absolute()),
            max_concurrent,
            None if time_budget is None else hours_of(time_budget, "--time-budget"),
            gpu_hours,
            stop_when,
            None if disk_budget is None else bytes_of(disk_budget, "--disk-budget"),
            None if log is None else checked_trackers(log),
        )

    def of(self, sweep: Sweep) -> Sweep:
        """The sweep with these settings."""
        return sweep.model_copy(update={name: value for name, value in asdict(self).items() if value is not None})


AS_STARTED, SETTINGS_AS_STARTED = OtherWorkers(), OtherSettings()
