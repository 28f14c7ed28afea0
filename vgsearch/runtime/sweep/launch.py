"""Run a request as a sweep; an impossible request is refused before anything starts."""

import importlib.metadata
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from rich.console import Console

from vgsearch.data_check.moving_shapes import moving_shapes
from vgsearch.evaluation.comparable import protocol_digest, refuse_other_protocol
from vgsearch.evaluation.confirmation import n_confirming_seeds
from vgsearch.evaluation.folds import search_manifest
from vgsearch.evaluation.initial_weights import as_override, notes_on_weights_of, weights_of
from vgsearch.experiment.ledger import Ledger, SweepRecord, read_ledger
from vgsearch.experiment.names import reserved_name
from vgsearch.experiment.objective import notes_of
from vgsearch.experiment.paths import DRIVEN, Experiment
from vgsearch.runtime.cluster import preflight
from vgsearch.runtime.cluster.cluster import Resources, connect, refuse_impossible_gpus
from vgsearch.runtime.cluster.gpu_forecast import read_prices
from vgsearch.runtime.cluster.gpu_share import with_usual_share
from vgsearch.runtime.cluster.memory import refuse_what_memory_cannot_hold
from vgsearch.runtime.cluster.node_gpus import least_gpu_memory
from vgsearch.runtime.cluster.nodes import refuse_unfit_nodes
from vgsearch.runtime.cluster.signals import REPEATABLE, on_ending_signal
from vgsearch.runtime.feed.inputs import Inputs
from vgsearch.runtime.judging.prepare import FloorTask, prepare_inputs
from vgsearch.runtime.study.proposal import Proposal
from vgsearch.runtime.study.samplers import refuse_unfit_sampler
from vgsearch.runtime.study.study import open_storage
from vgsearch.runtime.study.warm_start import as_entries, known_trials
from vgsearch.runtime.sweep import resuming
from vgsearch.runtime.sweep.driver import Driver
from vgsearch.runtime.sweep.dry_run import print_dry_run
from vgsearch.runtime.sweep.moving import AS_STARTED, SETTINGS_AS_STARTED, OtherSettings, OtherWorkers
from vgsearch.runtime.sweep.request import (
    SweepRequest,
    on_its_data_set,
    refuse_idle_gpu_hours,
    refuse_idle_race,
    refuse_unreachable_target,
    requested_space,
    requested_sweep,
)
from vgsearch.runtime.sweep.result import print_result
from vgsearch.runtime.sweep.tune import run_trials
from vgsearch.runtime.waits.watch import RayLost
from vgsearch.space.space import Space, parse_overrides
from vgsearch.space.sweep import Sweep, load_sweep
from vgsearch.terminal.console import Terminal
from vgsearch.terminal.line import print_line
from vgsearch.terminal.sweep_table import SweepView
from vgsearch.terminal.words import shown, typed
from vgsearch.trackers.contract import Search
from vgsearch.trackers.following import following, refuse_missing_trackers
from videogan.amounts import n_of
from videogan.config import ConfigurationError
from videogan.data.cache import cache_folder
from videogan.data.manifest import SPLITS, Manifest, read_manifest
from videogan.storage.places import Place, StorageError, place

EXIT_NO_USABLE_TRIAL, EXIT_INTERRUPTED = 3, 130
SECONDS_OF_GIT = 10


class SweepEnded(SystemExit):
    """The end of a sweep that was interrupted, or in which no trial succeeded, by its exit code."""

    def __init__(self, code: int, place: Place) -> None:
        super().__init__(code)
        self.place = place


def launch(request: SweepRequest, address: str | None, dry_run: bool, json_lines: bool) -> Place | None:
    """Run a new sweep to its end and return its place, None after a dry run.

    Raises ConfigurationError for a request that cannot work.
    """
    space, out = requested_space(request), place(request.out)
    with reserved_name(out, request.name, space.name, reserve=not dry_run) as name:
        experiment = Experiment.at(out / name, DRIVEN)
        _refuse_taken(experiment)
        return _launched(request, space, experiment, address, dry_run, json_lines)


def _launched(
    request: SweepRequest, space: Space, experiment: Experiment, address: str | None, dry_run: bool, json_lines: bool
) -> Place | None:
    console = Terminal(stderr=json_lines)
    prices = read_prices(request.prices)
    if prices and not dry_run:
        raise ConfigurationError("--price is for the forecast of --dry-run; add it, or leave out --price.")
    refuse_impossible_gpus(request.n_workers, request.gpus_per_worker or 0)
    overrides = parse_overrides(request.overrides)
    if request.one_per_class:
        overrides = {"evaluation.objective": ["s3"], **overrides, "evaluation.one_per_class": True}
    if request.classifier_weights is not None:
        overrides |= as_override(request.classifier_weights)
    manifest = moving_shapes(console) if request.data is None else read_manifest(request.data)
    if request.folds is not None:
        manifest = search_manifest(manifest, request.folds)
    space = on_its_data_set(request, space, overrides, manifest.layout)
    sweep = requested_sweep(request, space, overrides, manifest, experiment)
    preflight.tell_what_data_sets(sweep, console)
    sweep.refuse_impossible_domains()
    refuse_idle_race(sweep)
    refuse_unreachable_target(sweep)
    refuse_unfit_sampler(sweep)
    refuse_missing_trackers(sweep.log)
    for note in notes_on_weights_of(sweep):
        print_line(f"note: {note}", error=True)
    if dry_run:
        print_dry_run(sweep, manifest, experiment, console, json_lines, prices)
        return None
    preflight.refuse_unusable_data(sweep, manifest)
    if sweep.storage is not None:
        open_storage(experiment.study, sweep)
    preflight.refuse_full_disk(sweep, manifest, experiment)
    with experiment.lock(), _resume_command_printed(experiment, console), connect(address) as cluster:
        _refuse_taken(experiment)  # again: another sweep may have had the lock since
        if request.gpus_per_worker is None:
            sweep = sweep.model_copy(update={"gpus_per_worker": 1.0 if cluster.n_gpus else 0.0})
        refuse_idle_gpu_hours(sweep)
        preflight.refuse_what_no_node_fits(sweep, manifest, cluster)
        refuse_unfit_nodes(shared_folders(experiment, sweep), weights_of(sweep))
        preflight.refuse_small_disk_budget(sweep, manifest, cluster)
        least_gpu = least_gpu_memory(sweep.gpus_per_worker, console)
        if request.gpus_per_worker is None:
            sweep = with_usual_share(sweep, cluster, least_gpu, console)
        refuse_what_memory_cannot_hold(sweep, manifest, cluster, console, least_gpu)
        experiment.withdraw_stop_request()  # a deleted sweep of this name may have left a stop request
        _save(sweep, experiment)
        waiting = resuming.left_to_do(SweepRecord(), sweep)
        _run(experiment, sweep, manifest, waiting, cluster, console, json_lines)
    return experiment.place


def resume(
    folder: Path,
    trials: str | None,
    retry: str,
    address: str | None,
    json_lines: bool,
    workers: OtherWorkers = AS_STARTED,
    settings: OtherSettings = SETTINGS_AS_STARTED,
) -> None:
    """Resume a sweep: finished trials stay, interrupted ones continue, the remaining ones are proposed."""
    console = Terminal(stderr=json_lines)
    experiment = Experiment.at(folder, DRIVEN)
    experiment.refuse_missing()
    with experiment.lock(), _resume_command_printed(experiment, console):
        record = read_ledger(experiment.events)
        resuming.refuse_earlier_version(experiment, record)
        before = resuming.sweep_to_resume(experiment, record, trials)
        sweep = workers.of(settings.of(before))
        refuse_idle_gpu_hours(sweep)
        refuse_unreachable_target(sweep)
        for note in resuming.notes_of_space(sweep):
            print_line(note, error=True)
        refuse_unfit_sampler(sweep)
        refuse_missing_trackers(sweep.log)
        manifest = unchanged_data(experiment, sweep)
        waiting = resuming.left_to_do(record, sweep, retry)
        if resuming.is_over(record, sweep, waiting):
            print_result(record, experiment, console)
            console.print(
                "all trials have ended; --trials +8 adds trials, --retry failed|diverged retries some",
                soft_wrap=True,
            )
            return
        notes_on_weights_of(sweep)
        with connect(address) as cluster:
            for note in workers.notes(before, cluster.n_gpus):
                print_line(note, error=True)
            preflight.refuse_what_no_node_fits(sweep, manifest, cluster)
            refuse_unfit_nodes(shared_folders(experiment, sweep), weights_of(sweep))
            least_gpu = least_gpu_memory(sweep.gpus_per_worker, console)
            if sweep.disk_budget_bytes != before.disk_budget_bytes:
                preflight.refuse_small_disk_budget(sweep, manifest, cluster)
            if sweep != before:
                refuse_what_memory_cannot_hold(sweep, manifest, cluster, console, least_gpu)
            experiment.withdraw_stop_request()
            _run(experiment, sweep, manifest, waiting, cluster, console, json_lines)


def _run(
    experiment: Experiment,
    sweep: Sweep,
    manifest: Manifest,
    waiting: list[Proposal],
    cluster: Resources,
    console: Console,
    json_lines: bool,
) -> None:
    """Prepare the shared inputs, run the trials, print the result, and exit with its code."""
    ledger = Ledger.of(experiment)
    console.print(_heading(experiment, sweep, manifest, cluster), soft_wrap=True)
    first = sweep.run_config(sweep.paper_points[0], 0)
    if sweep.confirm_best:
        n = n_confirming_seeds(sweep.n_trials)
        console.print(
            f"at the end the best point and the paper's are trained again, {n} times each, to tell them apart on "
            "clips that the search has not seen; --no-confirm-best leaves that out",
            soft_wrap=True,
        )
    if first.evaluation.one_per_class:
        costs = f"{sweep.n_classes} trainings of {first.n_steps} steps"
        console.print(f"one generator for each class: every trial is {costs}, and none is pruned", soft_wrap=True)
    lack = manifest.lack_of_select
    notes = notes_of(sweep.objectives(), sweep.limits.pruning.pruner != "none")
    for note in [*notes, f"note: {lack}"] if lack else notes:
        print_line(note, error=True)
    inputs = prepare_inputs(sweep, manifest, sweep.scored_split(manifest), console)
    view = SweepView(console, ledger.record, sweep.n_trials, json_lines)
    _record_start(experiment, sweep, inputs, ledger, view, lack)
    trackers = following(
        sweep.log, _search(experiment, sweep), lambda trial: experiment.trial(trial).samples / "grid.gif"
    )
    with trackers as follow, stop_on_interrupt(experiment, console), view.live():
        driver = Driver(experiment, sweep, inputs, ledger, view, follow)
        driver.make_up_statuses()
        is_unknown = ledger.record.floor is None or ledger.record.floor.reason  # an earlier driver could not measure it
        if sweep.has_floor and is_unknown:
            driver.floor = FloorTask(sweep, inputs)
        # Workers that start all at once, and streams, must not wait for the CPU that the floor holds.
        if sweep.n_workers > 1 or inputs.cache is None:
            driver.await_floor()
        run_trials(driver, waiting, cluster)
        driver.await_floor()
    interrupted = driver.stopping  # before the stop request is withdrawn
    how = "interrupted" if interrupted else "finished"
    view.print_event(ledger.append("sweep_ended", how=how))
    experiment.withdraw_stop_request()
    if not json_lines:
        print_result(driver.record, experiment, console)
    _exit(driver, interrupted, console)


def _search(experiment: Experiment, sweep: Sweep) -> Search:
    """What trackers tell of the search."""
    facts = {"space": sweep.space.name, "budget": sweep.budget, "data": sweep.data, "sweep_seed": sweep.seed}
    return Search(experiment.name, str(experiment.place), facts)


def _record_start(
    experiment: Experiment, sweep: Sweep, inputs: Inputs, ledger: Ledger, view: SweepView, lack_of_select: str | None
) -> None:
    """Write the sweep, and the known trials of other experiments, to the ledger; then sweep.yaml."""
    refuse_other_protocol(experiment, sweep, inputs.facts, ledger.record, inputs.scored)
    digest = protocol_digest(sweep, inputs.facts, inputs.scored)
    known, notes = known_trials(sweep, digest) if ledger.record.known is None else ([], [])
    view.print_event(
        ledger.append("sweep_started", space=sweep.space.name, budget=sweep.budget, data=sweep.data, seed=sweep.seed,
                      n_trials=sweep.n_trials, objective=[str(objective) for objective in sweep.objectives()],
                      best_may_copy=sweep.best_may_copy(),
                      protocol=digest, split=inputs.scored, lack_of_select=lack_of_select,
                      resumed=bool(ledger.record.trials), argv=sys.argv, versions=_versions(),
                      sweep=sweep.model_dump(mode="json"))
    )  # fmt: skip
    # After the ledger, with which the next resume compares it.
    _save(sweep, experiment)
    if known:
        view.print_event(ledger.append("warm_started", trials=as_entries(known)))
    for note in notes:
        view.console.print(note, soft_wrap=True)


def _exit(driver: Driver, interrupted: bool, console: Console) -> None:
    """Raise SweepEnded with 130 if the sweep was interrupted, with 3 if no trial succeeded."""
    if driver.halted:
        console.print(f"stopped: {driver.halted}", style="red", soft_wrap=True)
    if interrupted:
        console.print(f"stopped; resume with: vgsearch resume {typed(driver.experiment.place)}", soft_wrap=True)
        raise SweepEnded(EXIT_INTERRUPTED, driver.experiment.place)
    if not driver.record.done:
        raise SweepEnded(EXIT_NO_USABLE_TRIAL, driver.experiment.place)


def _refuse_taken(experiment: Experiment) -> None:
    """Raise ConfigurationError if the experiment holds a sweep already, or the ledger of one without its sweep.yaml."""
    experiment.working_copy.pull(lambda name: name == experiment.sweep.name)
    if experiment.sweep.exists():
        taken_by = f"a sweep of '{load_sweep(experiment.sweep).space.name}'"
    elif experiment.has_events:
        written = read_ledger(experiment.events).header.get("space", "an unknown space")
        taken_by = f"the ledger of a sweep of '{written}' ({experiment.sweep.name} is missing)"
    else:
        return
    raise ConfigurationError(
        f"{experiment.place} already holds {taken_by}. "
        f"Resume it with vgsearch resume {typed(experiment.place)}, or choose another --name."
    )


def _save(sweep: Sweep, experiment: Experiment) -> None:
    sweep.save(experiment.sweep)
    experiment.working_copy.push(lambda name: name == experiment.sweep.name)


def unchanged_data(experiment: Experiment, sweep: Sweep) -> Manifest:
    """The sweep's manifest; raises ConfigurationError if it has changed since the sweep started."""
    manifest = read_manifest(sweep.data)
    if manifest.digest != sweep.manifest_digest:
        raise ConfigurationError(
            f"{sweep.data} has changed since {experiment.name} started (manifest {manifest.digest[:6]}, was "
            f"{sweep.manifest_digest[:6]}). Scores on other data are not comparable: restore it, or start a new sweep."
        )
    return manifest


@contextmanager
def _resume_command_printed(experiment: Experiment, console: Console) -> Iterator[None]:
    """Print how to resume after an error of storage or Ray, or a Ctrl-C that stops at once (a second, or no trials)."""
    try:
        yield
    except (StorageError, RayLost):
        if experiment.sweep.exists():
            console.print(f"resume with: vgsearch resume {typed(experiment.place)}", soft_wrap=True)
        raise
    except KeyboardInterrupt:
        if not experiment.sweep.exists():
            raise
        console.print(f"stopped at once; resume with: vgsearch resume {typed(experiment.place)}", soft_wrap=True)
        sys.exit(EXIT_INTERRUPTED)


@contextmanager
def stop_on_interrupt(experiment: Experiment, console: Console) -> Iterator[None]:
    """On an ending signal ask every trial to save and end; on a second Ctrl-C or SIGTERM end this process at once."""

    pressed: list[int] = []

    def ask(signum: int) -> None:
        if pressed and signum not in REPEATABLE:
            raise KeyboardInterrupt
        if signum not in REPEATABLE:
            pressed.append(signum)
        experiment.ask_to_stop()
        console.print("saving and stopping (Ctrl-C again: stop at once; a resume starts from the newest checkpoints)")

    with on_ending_signal(ask):
        yield


def _heading(experiment: Experiment, sweep: Sweep, manifest: Manifest, cluster: Resources) -> str:
    usable, splits = manifest.usable, [split for split in SPLITS if len(manifest.split(split))]
    groups = [len(set(manifest.split(split)["group"].to_pylist())) for split in splits]
    return (
        f"vgsearch {sweep.space.name} ({sweep.budget})   exp {shown(experiment.place)}   data {manifest.folder.name} "
        f"{n_of(len(usable), 'clip')} {n_of(len(manifest.classes), 'class', 'classes')} {n_of(sum(groups), 'group')} "
        f"({', '.join(f'{n} {split}' for n, split in zip(groups, splits, strict=True))})\n"
        f"{_nodes(cluster)}   "
        f"resume: vgsearch resume {typed(experiment.place)}"
    )


def shared_folders(experiment: Experiment, sweep: Sweep) -> dict[str, Place]:
    """The folders that every node must see, by the option that names them."""
    folder = sweep.program_run(sweep.paper_points[0]).command.folder if sweep.space.is_of_program else None
    of_program = {} if folder is None else {"command.folder": place(folder)}
    shared = {"--out": experiment.place, "--data": place(sweep.data), "VGSEARCH_CACHE": cache_folder("clips").parent}
    return shared | of_program


def _nodes(cluster: Resources) -> str:
    yet = f" ({len(cluster.addable)} of them not started yet)" if cluster.addable else ""
    return f"{n_of(cluster.n_nodes, 'node')}{yet}, {cluster.n_cpus:g} CPUs, {cluster.n_gpus:g} GPUs"


def _versions() -> dict[str, str]:
    """Versions of the packages that a score may depend on; also the commit, if this code is in a checkout."""
    versions = {name: importlib.metadata.version(name) for name in ("vgsearch", "torch", "ray", "optuna")}
    root = Path(__file__).parents[3]
    if (root / ".git").exists() and (git := shutil.which("git")):
        command = [git, "-C", str(root), "rev-parse", "--short", "HEAD"]
        with suppress(subprocess.TimeoutExpired):  # a checkout on a disk that does not answer
            head = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS_OF_GIT)
            versions |= {"commit": head.stdout.strip()} if head.returncode == 0 else {}
    return versions
