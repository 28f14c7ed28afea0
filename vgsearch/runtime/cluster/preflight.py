"""Checks and a forecast before a sweep starts."""

import json
import math
import re
import shlex
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.text import Text

from vgsearch.experiment.paths import Experiment
from vgsearch.program.command import OF_THE_TRIAL, Value
from vgsearch.program.run import argument_list, environment
from vgsearch.program.training_videos import refuse_names_of_no_folder
from vgsearch.runtime.cluster.cluster import Resources
from vgsearch.runtime.cluster.gpu_forecast import gpu_forecast, gpu_lines, settings_for_smaller_gpus, settings_lines
from vgsearch.runtime.feed import stream
from vgsearch.space.sweep import Sweep
from vgsearch.terminal.words import size
from videogan.config import ConfigurationError, flattened
from videogan.data.cache import clip_cache_folder, decoded_bytes, is_complete, mirror_folder
from videogan.data.manifest import Manifest
from videogan.data.preprocessing import preprocessing_named
from videogan.data.windows import select_clips
from videogan.training.forecast import checkpoint_bytes, forecast
from videogan.training.run_config import LEAST_CLIPS
from videogan.training.scored_run import ScoredRun

SIDES = {"left", "right", "leftward", "rightward", "leftwards", "rightwards"}
TURNS = {"clockwise", "counterclockwise", "anticlockwise"}
"""Words of a class that a mirror image turns into another class."""
_WORD = re.compile("[A-Z]?[a-z]+|[A-Z]+")
"""A word of a class's name, also of SwipeLeft."""
BEST_KEPT = 1  # each trial keeps its best checkpoint in addition to the newest


def tell_what_data_sets(sweep: Sweep, console: Console) -> None:
    """Print which settings follow from the data set: those that neither the budget nor the user replaces."""
    taken = flattened(sweep.run_config(sweep.paper_points[0], 0).model_dump(mode="json"))
    for name, settings in sweep.space.data_sets.items():
        told = [f"{path}={value}" for path, value in settings.items() if taken.get(path) == value]
        if told:
            console.print(f"data set {name}: the paper's {', '.join(told)}; --set changes them", soft_wrap=True)
    if sweep.makes_grey_clips:
        console.print("grey clips: networks of one colour; --set model.n_colours=3 gives them three", soft_wrap=True)


def refuse_unusable_data(sweep: Sweep, manifest: Manifest) -> None:
    """Raise ConfigurationError if a split has no clip that the run can use, or mirrored clips would change class."""
    config = _paper_config(sweep)
    _refuse_flips_between_classes(config, manifest.classes)
    named = preprocessing_named(config.preprocessing)
    for split in dict.fromkeys(("train", manifest.search_split, "test")):
        select_clips(manifest, split, named, config.n_frames, config.data.short_clips, every_nth=config.data.every_nth)


def refusals(sweep: Sweep, manifest: Manifest, experiment: Experiment) -> list[str]:
    """What a start refuses of the sweep, as far as no cluster is needed to tell."""
    checks = [lambda: refuse_unusable_data(sweep, manifest), lambda: refuse_full_disk(sweep, manifest, experiment)]
    if not sweep.space.is_of_program:
        checks.append(lambda: _refuse_uneven_batches(sweep))
    refused = []
    for check in checks:
        try:
            check()
        except ConfigurationError as error:
            refused.append(str(error))
    return refused


def _refuse_flips_between_classes(config: ScoredRun, classes: Sequence[str]) -> None:
    """A generator without labels may see mirrored clips of any class: they are still clips of the data set."""
    if not config.data.flip or not (config.n_conditions > 1 or config.evaluation.one_per_class):
        return
    sided = [name for name in classes if (SIDES | TURNS) & set(map(str.lower, _WORD.findall(name)))]
    if sided:
        raise ConfigurationError(
            f"data.flip must be false for classes that a mirror image changes, such as {sided[0]!r}: half of its clips "
            "would show another motion under its label. Remove data.flip."
        )


def refuse_what_no_node_fits(sweep: Sweep, manifest: Manifest, cluster: Resources) -> None:
    """Raise ConfigurationError if no node fits a trial's workers, decoding has no CPU, or the batch splits unevenly."""
    if sweep.space.is_of_program:
        _refuse_workers_of_a_program(sweep, manifest)
    else:
        _refuse_uneven_batches(sweep)
    config, n_workers = _paper_config(sweep), sweep.n_workers
    if sweep.seeds_per_trial > 1 and n_workers > 1 and _streams(sweep, manifest):
        raise ConfigurationError(
            "--seeds-per-trial: workers that stream clips can train only one seed. Use --set data.feed=cache."
        )
    if config.evaluation.one_per_class and n_workers > 1 and _streams(sweep, manifest):
        raise ConfigurationError(
            "--one-per-class: workers that stream clips can train only one generator. Use --set data.feed=cache."
        )
    if _streams(sweep, manifest):
        stream.refuse_starved_stream(cluster.n_cpus, n_workers)
    n_fit, population = n_parallel_trials(sweep, manifest, cluster), sweep.limits.pbt.size
    if sweep.limits.sampler == "pbt" and n_fit < population:
        raise ConfigurationError(
            f"sampler pbt trains its {population} members in parallel, but only {n_fit} fit; lower pbt.size, or add nodes."
        )


def _refuse_workers_of_a_program(sweep: Sweep, manifest: Manifest) -> None:
    refuse_names_of_no_folder(manifest.classes)
    if sweep.n_workers > 1:
        raise ConfigurationError(
            f"--workers-per-trial {sweep.n_workers}: a program starts its own workers; leave it out, and give its GPUs "
            "with --gpus-per-worker, which the command reads as {n_gpus}."
        )


def _refuse_uneven_batches(sweep: Sweep) -> None:
    loop, n_workers = sweep.family_config(sweep.paper_points[0]).loop, sweep.n_workers
    batch_size, k = loop.batch_size, loop.accumulate
    n_parts = n_workers * k
    if batch_size % n_parts or batch_size // n_parts < LEAST_CLIPS:
        parts = f"{n_workers} workers" if k == 1 else f"{n_workers} workers' {k} parts (loop.accumulate)"
        raise ConfigurationError(
            f"loop.batch_size must give each of the {parts} the same {LEAST_CLIPS} or more clips, "
            f"got {batch_size}; --set loop.batch_size={max(LEAST_CLIPS, batch_size // n_parts) * n_parts}."
        )


def n_parallel_trials(sweep: Sweep, manifest: Manifest, cluster: Resources) -> int:
    """Number of trials that will run in parallel; raises ConfigurationError if none ever fits."""
    reserved = 1 if _streams(sweep, manifest) else 0
    n_fit = cluster.max_concurrent(sweep.n_workers, sweep.gpus_per_worker, reserved_cpus=reserved)
    return min(n_fit, sweep.max_concurrent or n_fit)


def refuse_full_disk(sweep: Sweep, manifest: Manifest, experiment: Experiment) -> None:
    """Raise ConfigurationError if the checkpoints or the decoded clips do not fit on their disks."""
    checkpoints, clips, cache = _disk_bytes(sweep, manifest)
    disks = [(cache, clips, "Set VGSEARCH_CACHE to a larger disk, or --set data.feed=stream.")]
    if experiment.address is None:  # an object store is never full
        remedy = "Lower --trials or --keep, set --disk-budget, or choose another --out."
        disks.append((experiment.folder, checkpoints, remedy))
    for folder, needed, remedy in disks:
        free = shutil.disk_usage(next(parent for parent in folder.absolute().parents if parent.exists())).free
        if needed > free:
            raise ConfigurationError(f"disk: {folder} needs {size(needed)}, {size(free)} are free. {remedy}")


def refuse_small_disk_budget(sweep: Sweep, manifest: Manifest, cluster: Resources) -> None:
    """Raise ConfigurationError if the checkpoints that are never deleted may exceed the disk budget."""
    if sweep.disk_budget_bytes is None:
        return
    n_running = n_parallel_trials(sweep, manifest, cluster)
    n_kept = min(len(sweep.paper_points) + 1 + n_running, sweep.n_trials)
    # A running trial writes its newest checkpoint before it deletes the oldest.
    n_checkpoints = n_kept * _n_checkpoints_per_trial(sweep) + n_running
    needed = n_checkpoints * _checkpoint_bytes(sweep)
    if needed > sweep.disk_budget_bytes:
        raise ConfigurationError(
            f"--disk-budget must hold the paper's point, the best trial and {n_running} running trials: "
            f"{n_checkpoints} checkpoints, {size(needed)}, got {size(sweep.disk_budget_bytes)}. "
            "Raise it, or lower --keep or --max-concurrent."
        )


def print_forecast(
    sweep: Sweep, manifest: Manifest, console: Console, json_lines: bool, prices: Mapping[str, float]
) -> None:
    """Print parameters, memory, FLOPs and disk of the sweep, counted at the paper's point.

    With `prices` of an hour of named GPUs also what it costs on them; raises ConfigurationError if that is unknown.
    """
    if sweep.space.is_of_program:
        if prices:
            raise ConfigurationError("--price: what another program costs is unknown; leave it out.")
        _print_program(sweep, manifest, console, json_lines)
        return
    config = sweep.family_config(sweep.paper_points[0])
    cost, loop = forecast(config, sweep.n_workers), config.loop
    checkpoints, clips, _ = _disk_bytes(sweep, manifest)
    flops, trials, seeds = cost.flops_per_step * sweep.n_generators, sweep.n_trials, sweep.seeds_per_trial
    needs_gpus = sweep.budget == "paper" or sweep.gpus_per_worker or prices
    on_gpus = gpu_forecast(config, sweep, prices) if needs_gpus else {}
    if json_lines:
        totals = {"disk_bytes": checkpoints + clips, "n_trials": trials, "n_steps": loop.n_steps}
        totals["n_generators"] = sweep.n_generators
        smaller = settings_for_smaller_gpus(on_gpus, config, sweep.n_workers) if needs_gpus else {}
        print(json.dumps({**asdict(cost), **totals, "gpus": on_gpus, "settings_for_smaller_gpus": smaller}))
        return
    of_each = f" of each of {sweep.n_generators} generators" if sweep.n_generators > 1 else ""
    rows = [(name, f"{n:,}", "parameters") for name, n in cost.parameters.items()]
    rows += [
        ("memory per worker", size(cost.memory_bytes), f"weights, gradients, moments, activations in {loop.precision}"),
        (
            "per step",
            f"{cost.flops_per_step / 1e12:.2f} TFLOP",
            f"{loop.n_d} D updates and 1 G update, batch {loop.batch_size}",
        ),
        ("", size(cost.bytes_moved_per_step), "of memory traffic, if no operations are fused"),
        ("per trial", f"{flops * loop.n_steps / 1e15:.2f} PFLOP", f"{loop.n_steps:,} steps{of_each}"),
        (
            "whole sweep",
            f"{flops * loop.n_steps * trials * seeds / 1e15:.2f} PFLOP",
            f"{trials} trials{f' of {seeds} seeds' if seeds > 1 else ''}, without pruning and scoring",
        ),
        (
            "checkpoints",
            size(checkpoints),
            f"{_n_checkpoints_per_trial(sweep)} per trial, {size(cost.checkpoint_bytes)} each"
            + (f", at most --disk-budget {size(sweep.disk_budget_bytes)}" if sweep.disk_budget_bytes else ""),
        ),
        (
            "decoded clips",
            size(clips),
            f"of {manifest.folder.name}, " + ("to be decoded" if clips else "decoded already"),
        ),
    ]
    console.print(f"{sweep.space.name} ({sweep.budget}), the paper's point; counted, nothing was trained")
    for name, amount, meaning in rows:
        console.print(f"  {name:22}{amount:>16}  {meaning}", soft_wrap=True)
    if not needs_gpus:
        return
    for line in gpu_lines(on_gpus):
        console.print(line, soft_wrap=True, highlight=False)
    for line in settings_lines(settings_for_smaller_gpus(on_gpus, config, sweep.n_workers)):  # takes seconds
        console.print(line, soft_wrap=True, highlight=False)


def _print_program(sweep: Sweep, manifest: Manifest, console: Console, json_lines: bool) -> None:
    """Print the command of the first point; what it costs is unknown."""
    _refuse_workers_of_a_program(sweep, manifest)
    run = sweep.program_run(sweep.paper_points[0])
    known: dict[str, Value] = {
        "seed": run.seed,
        "n_steps": run.n_steps,
        "n_frames": run.n_frames,
        "n_classes": run.n_classes,
    }
    known |= {"resolution": run.resolution, "python": sys.executable}
    shown = {name: known.get(name, name.upper()) for name in OF_THE_TRIAL}
    arguments, (_, clips, _) = argument_list(run, shown), _disk_bytes(sweep, manifest)
    if json_lines:
        print(json.dumps({"arguments": arguments, "n_trials": sweep.n_trials, "n_steps": run.n_steps,
                          "disk_bytes": clips}))  # fmt: skip
        return
    console.print(f"{sweep.space.name} ({sweep.budget}), the first point; nothing was started", soft_wrap=True)
    console.print(Text(f"  {shlex.join(arguments)}"), soft_wrap=True)
    to_decode = f"{size(clips)}, to be decoded" if clips else "decoded already"
    console.print(
        f"  {sweep.n_trials} trials of {run.n_steps:,} steps; the program's time, memory and disk are unknown; clips of "
        f"{manifest.folder.name}: {to_decode}",
        soft_wrap=True,
    )
    if lacking := _lacking(run.command.folder, arguments[0], environment(run, shown).get("PATH")):
        console.print(Text(f"note: {lacking} on this machine; each node needs it", style="yellow"), soft_wrap=True)


def _lacking(folder: str | None, program: str, path: str | None) -> str:
    """What of a command is not here: its working folder, or its program; empty if both are."""
    if folder is not None and not Path(folder).is_dir():
        return f"there is no folder {folder}"
    is_here = (Path(folder or "") / program).is_file() if "/" in program else shutil.which(program, path=path)
    return "" if is_here else f"there is no program {program}"


def _checkpoint_bytes(sweep: Sweep) -> float:
    """Bytes of a checkpoint; 0 for a program's, which are unknown before it writes one."""
    return 0 if sweep.space.is_of_program else checkpoint_bytes(sweep.family_config(sweep.paper_points[0]))


def _paper_config(sweep: Sweep) -> ScoredRun:
    return sweep.run_config(sweep.paper_points[0], 0)


def _streams(sweep: Sweep, manifest: Manifest) -> bool:
    config = _paper_config(sweep)
    return config.data.chosen_feed(manifest, config.preprocessing) == "stream"


def _disk_bytes(sweep: Sweep, manifest: Manifest) -> tuple[float, float, Path]:
    """Bytes of all trials' checkpoints, bytes of the clips not decoded yet, and the folder for those."""
    config = _paper_config(sweep)
    named = preprocessing_named(config.preprocessing)
    cache = clip_cache_folder(manifest, named)
    decoded = is_complete(cache) or config.data.chosen_feed(manifest, config.preprocessing) == "stream"
    clips = 0 if decoded else decoded_bytes(manifest, named)
    checkpoints = sweep.n_trials * _n_checkpoints_per_trial(sweep) * _checkpoint_bytes(sweep)
    return min(checkpoints, sweep.disk_budget_bytes or math.inf), clips, mirror_folder(cache)


def _n_checkpoints_per_trial(sweep: Sweep) -> int:
    return sweep.n_generators * (sweep.keep + BEST_KEPT)
