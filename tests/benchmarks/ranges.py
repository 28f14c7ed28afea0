"""Try random points of every shipped search space for 50 steps: `make ranges` writes reports/ranges/.

A space's domains are useful at a budget only if most of their points train. For each space and each of its budgets
that shrinks the network, this draws 16 points, trains each on moving shapes, and writes what happened into points.csv
and a table into README.md. Budgets that differ only after the first 50 steps share their points. At the paper's size
the points are built, and one step is traced, on the meta device. A run that was stopped goes on with the points that
are missing; points of an earlier version of a space are replaced.
"""

import csv
import functools
import hashlib
import itertools
import json
import multiprocessing
import os
import random
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"  # read by torch when it is imported

import torch
from rich.console import Console

from tests.checkout import commit
from vgsearch.data_check.moving_shapes import moving_shapes
from vgsearch.runtime.cluster.cluster import connect
from vgsearch.runtime.feed.decode import build_cache
from vgsearch.runtime.judging.judge import sampling_copy_of
from vgsearch.space.space import installed_spaces, load_space
from vgsearch.space.sweep import Sweep
from videogan.config import ConfigurationError
from videogan.data.clips import TrainingClips, open_cache
from videogan.divergence import TrainingDiverged
from videogan.families import FAMILIES
from videogan.sampling.sampling import sample_grid
from videogan.training.forecast import forecast
from videogan.training.health import Course, states
from videogan.training.loop import train
from videogan.training.run_config import RunConfig

REPORT = Path("reports/ranges")
N_POINTS, N_STEPS = 16, 50
N_JUDGED = 20
"""D counts as saturated by its mean loss over so many last steps."""
MOST_BROKEN = 0.25
TRAINS, BUILDS = "trains", "builds"
LEAST_SPREAD = 2.0
"""Samples are the same picture below this mean deviation between them, in grey levels of 255."""
_NOT_OF_50_STEPS = ("loop.n_steps", "loop.look_every", "loop.log_every", "loop.ema_decay")
"""Settings of a budget that do not change the weights of the first steps; those of `evaluation` neither.

But for rates that fall over n_steps: a twentieth more within 50 of 400 steps than within 50 of 800.
"""


@dataclass(frozen=True)
class Point:
    """One random point of a space at a budget, and what became of it."""

    space: str
    budgets: str
    """The names of the budgets that share it, with a space between them."""
    digest: str
    """Of the space at these budgets; see `digest_of`."""
    number: int
    values: str
    """The values of the searched domains, as JSON."""
    outcome: str
    """`trains`, `builds` (at the paper's size), `refused`, `diverged`, or a state of health."""
    evidence: str
    seconds: float


@dataclass(frozen=True)
class Task:
    """A point before it is tried."""

    space: str
    budgets: tuple[str, ...]
    digest: str
    number: int

    @property
    def sweep(self) -> Sweep:
        return sweep_of(self.space, self.budgets[0])


@functools.cache
def sweep_of(space: str, budget: str) -> Sweep:
    """A sweep of a shipped space on moving shapes."""
    found = load_space(space)
    return Sweep(space=found, budget=budget, data="", manifest_digest="0" * 64, n_classes=4, n_trials=1)


def digest_of(sweep: Sweep) -> str:
    """The first 12 digits of the sha256 of all that decides what a point's first steps do: domains and settings."""
    settings = {path: v for path, v in sweep.limits.overrides.items() if not path.startswith("evaluation.")}
    facts = {
        "base": {name: value for name, value in sweep.space.base.items() if name != "evaluation"},
        "overrides": {path: value for path, value in settings.items() if path not in _NOT_OF_50_STEPS},
        "domains": {path: domain.model_dump(mode="json") for path, domain in sweep.domains.items()},
        "constraints": sweep.space.constraints,
        "points": N_POINTS,
        "steps": N_STEPS,
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:12]


def tasks() -> list[Task]:
    """Every point of every shipped space, budgets of equal digest together."""
    found: dict[tuple[str, str], list[str]] = {}
    spaces = {name: load_space(name) for name in installed_spaces()}
    for name in (name for name, space in spaces.items() if not space.is_of_program):
        for budget in spaces[name].budgets:
            found.setdefault((name, digest_of(sweep_of(name, budget))), []).append(budget)
    return [
        Task(name, tuple(budgets), digest, number)
        for (name, digest), budgets in found.items()
        for number in range(N_POINTS)
    ]


def values_of(task: Task) -> dict[str, Any]:
    """The values of a random point that satisfies the space's constraints: a function of (space, number)."""
    searched, rng = task.sweep.searched, random.Random(f"{task.space}/{task.number}")
    drawn: Iterator[dict[str, Any]] = iter(lambda: searched.draw(rng), None)
    return next(values for values in drawn if not searched.broken_by(values))


def tried(task: Task, cache: str, data: str) -> Point:
    """The point of a task, with what became of it."""
    torch.set_num_threads(1)
    began, values = time.perf_counter(), values_of(task)
    try:
        config = task.sweep.run_config(values, task.number)
        outcome, evidence = _built(config) if task.budgets == ("paper",) else _trained(config, cache, data)
    except ConfigurationError as error:
        outcome, evidence = "refused", str(error)
    except TrainingDiverged as error:
        outcome, evidence = "diverged", str(error)
    seconds, written = round(time.perf_counter() - began, 1), json.dumps(values)
    return Point(task.space, " ".join(task.budgets), task.digest, task.number, written, outcome, evidence, seconds)


def _built(config: RunConfig) -> tuple[str, str]:
    counted = forecast(config)
    return BUILDS, f"{sum(counted.parameters.values()) / 1e6:.0f} M parameters"


def _trained(config: RunConfig, cache: str, data: str) -> tuple[str, str]:
    store = open_cache(cache, data)
    clips = TrainingClips(store, config.loop.batch_size, config.model.n_frames, config.seed)
    course = Course(FAMILIES[config.model.family].losses_of_guessing(config.model))
    for progress in itertools.islice(train(config, clips), N_STEPS):
        if progress.step == N_STEPS - N_JUDGED:
            course.vitals({})  # forgets the losses so far
        course.step(progress.losses)
        course.norms(progress.training.norms())
    found = states(course.vitals({}))
    if found:
        return next(iter(found.items()))
    sampler = sampling_copy_of(progress.training.generator, config)
    grid = sample_grid(sampler, config.n_conditions, 4, seed=0, n_frames=config.model.n_frames)
    spread = grid.float().std().item()
    if not spread >= LEAST_SPREAD:
        return "flat", f"pixels of samples deviate by {spread:.2f} of 255"
    return TRAINS, "  ".join(f"{name} {value:.3g}" for name, value in progress.losses.items())


def kept_points(path: Path) -> dict[tuple[str, str, int], Point]:
    """The points of points.csv by (space, digest, number); empty without the file."""
    if not path.exists():
        return {}
    with path.open(newline="") as file:
        rows = [{**row, "number": int(row["number"]), "seconds": float(row["seconds"])} for row in csv.DictReader(file)]
    points = [Point(**row) for row in rows]
    return {(point.space, point.digest, point.number): point for point in points}


def write_points(path: Path, points: list[Point]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(Point.__dataclass_fields__), lineterminator="\n")
        writer.writeheader()
        writer.writerows(asdict(point) for point in points)


def table(points: list[Point]) -> list[str]:
    """For each space and network a row: how many points trained, and why the others did not."""
    rows = ["| space | budgets | trains or builds | broken |", "|---|---|---|---|"]
    groups: dict[tuple[str, str], list[Point]] = {}
    for point in points:
        groups.setdefault((point.space, point.budgets), []).append(point)
    for (space, budgets), members in groups.items():
        counts = Counter(point.outcome for point in members)
        fine = counts.pop(TRAINS, 0) + counts.pop(BUILDS, 0)
        broken = ", ".join(f"{n} {outcome}" for outcome, n in counts.most_common()) or "-"
        rows.append(f"| {space} | {budgets.replace(' ', ', ')} | {fine} of {len(members)} | {broken} |")
    return rows


def is_broken(point: Point) -> bool:
    return point.outcome not in (TRAINS, BUILDS)


def _report(points: list[Point]) -> str:
    hours = sum(point.seconds for point in points) / 3600
    lines = [
        "# Which points of the search spaces train",
        "",
        f"`make ranges`, {date.today()}, commit {commit()}, {os.cpu_count()} CPUs, {hours:.1f} hours of one of them. For",
        f"each shipped space {N_POINTS} random points are trained for {N_STEPS} steps on moving shapes, with the seeds 0 to",
        f"{N_POINTS - 1}. Budgets that differ only later share their points. At the paper's size a point is built, and one",
        "step traced, without memory for its numbers.",
        "",
        "A point is broken if its configuration is refused, a loss is not finite, a norm explodes, D is saturated",
        f"(its loss over the last {N_JUDGED} steps below 1 % of that of guessing, or G's gradient below 1 % of the run's "
        "median),",
        f"or all its samples are flat. At most {MOST_BROKEN:.0%} of a space's points should be broken; points.csv has every",
        "point.",
        "",
        *table(points),
        "",
    ]
    return "\n".join(lines)


def main() -> None:
    console = Console(highlight=False)
    REPORT.mkdir(parents=True, exist_ok=True)
    path, wanted = REPORT / "points.csv", tasks()
    manifest = moving_shapes(console)
    with connect():
        first = sweep_of("mvt", "smoke")
        config = first.run_config(first.paper_points[0], 0)
        cache = str(build_cache(manifest, config.preprocessing, config.data))
    kept = kept_points(path)
    missing = [task for task in wanted if (task.space, task.digest, task.number) not in kept]
    console.print(f"{len(wanted)} points, {len(wanted) - len(missing)} of them are in {path}")
    # Started anew: a fork would share the threads of Ray and torch.
    with ProcessPoolExecutor(os.cpu_count(), multiprocessing.get_context("spawn")) as pool:
        running = [pool.submit(tried, task, cache, str(manifest.folder)) for task in missing]
        for n_done, future in enumerate(as_completed(running), start=1):
            point = future.result()
            kept[point.space, point.digest, point.number] = point
            console.print(f"{n_done}/{len(missing)}  {point.space} {point.number}: {point.outcome}, {point.evidence}")
            write_points(
                path, [kept[key] for task in wanted if (key := (task.space, task.digest, task.number)) in kept]
            )
    points = [kept[task.space, task.digest, task.number] for task in wanted]
    (REPORT / "README.md").write_text(_report(points))
    console.print("\n".join(table(points)))


if __name__ == "__main__":
    main()
