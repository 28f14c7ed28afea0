"""vgsearch evaluate: from a request to scores in a table, in files, and in the trial's metrics.jsonl."""

import math
from dataclasses import replace

from rich.console import Console

from vgsearch.evaluation.folds import fold_manifests, print_folds, save_folds
from vgsearch.evaluation.measures import classifiers_of
from vgsearch.evaluation.pictures import write_ladder, write_neighbours
from vgsearch.evaluation.request import EVALUATIONS, EvaluationPlan, EvaluationRequest, planned
from vgsearch.evaluation.tables import Report, Scored, append_to_trial, print_scores, value_text
from vgsearch.runtime.cluster.cluster import Resources, connect, refuse_impossible_gpus
from vgsearch.runtime.cluster.node_gpus import least_gpu_memory
from vgsearch.runtime.judging.prepare import described, prepare, warn_of_guessing
from vgsearch.runtime.judging.subjects import subjects_of
from vgsearch.runtime.judging.tasks import Failure, Measurement, measured
from vgsearch.terminal.console import Terminal
from vgsearch.terminal.line import print_line
from vgsearch.terminal.words import shown
from videogan.config import ConfigurationError
from videogan.data.manifest import read_manifest
from videogan.protocols.blind_spots import Neighbours
from videogan.protocols.classifier import TrainPart
from videogan.protocols.own_metric import OwnResult


def evaluate(request: EvaluationRequest, address: str | None, as_json: bool, is_part: bool = False) -> list[Scored]:
    """Run an evaluation, print and return its scores; one that `is_part` of another prints no JSON of its own.

    Raises ConfigurationError, before anything starts, for an impossible request. Finished measurements are saved even
    if the rest fails or is interrupted.
    """
    console = Terminal(stderr=as_json or is_part)
    plan = planned(request)
    refuse_impossible_gpus(request.n_workers, request.gpus_per_worker or 0)
    console.print(_heading(request, plan), soft_wrap=True)
    for note in plan.notes:
        console.print(f"note: {note}", style="yellow", soft_wrap=True)
    manifest = plan.manifest
    report = Report(str(manifest.folder), manifest.digest, plan.preprocessing, manifest.classes, plan.data.every_nth)
    failures: list[Failure] = []
    try:
        with connect(address) as cluster:
            _measure(request, plan, cluster, report, failures, console)
    except KeyboardInterrupt:
        saved = f"; the scores measured so far are in {shown(plan.out)}" if report.rows else ""
        console.print(f"interrupted{saved}", soft_wrap=True)
        raise
    finally:
        if report.rows:
            report.save(plan.out)
            if plan.trial is not None:
                append_to_trial(plan.trial, plan.step, report.rows)
    if request.ladder is not None and report.rows:
        report.written += write_ladder(plan.out, report.rows)
    if as_json:
        print(report.to_json(), flush=True)
    else:  # on stderr if it is a part
        print_scores(report.rows, console)
    for path in report.written:
        console.print(shown(path), soft_wrap=True)
    if failures:
        raise ConfigurationError("\n".join(failure.reason for failure in failures)) from failures[0].error
    return report.rows


def evaluate_on_folds(request: EvaluationRequest, n_folds: int, address: str | None, as_json: bool) -> None:
    """Run an evaluation on each fold of its data set, and print the means over the folds, or folds.json.

    Raises ConfigurationError for an impossible request: a checkpoint was trained on the groups that folds test.
    """
    if request.checkpoint is not None:
        raise ConfigurationError("--folds: a checkpoint was trained on one split; use vgsearch train --folds.")
    folder = request.ladder or request.data
    if folder is None:
        raise ConfigurationError("--videos needs --data: the real clips to judge by.")
    console, manifest = Terminal(stderr=as_json), read_manifest(folder)
    parts = fold_manifests(manifest, n_folds)
    out = request.out or EVALUATIONS / f"{(request.videos or manifest.folder).absolute().name}-{n_folds}-folds"
    console.print(f"{n_folds} folds of {shown(manifest.folder)}, one after the other: classifiers are fitted on each")
    found: dict[str, list[float]] = {}
    for number, part in enumerate(parts, start=1):
        own = replace(request, out=out / f"fold-{number}")
        own = replace(own, ladder=part.folder) if request.ladder is not None else replace(own, data=part.folder)
        for row in evaluate(own, address, as_json=False, is_part=as_json):
            if math.isfinite(row.value):
                found.setdefault(f"{row.measure}  {row.subject}", []).append(row.value)
    print_folds(found, n_folds, console)
    save_folds(out / "folds.json", found, n_folds)
    console.print(shown(out / "folds.json"), soft_wrap=True)
    if as_json:
        print_line((out / "folds.json").read_text("utf-8").rstrip())


def _measure(
    request: EvaluationRequest,
    plan: EvaluationPlan,
    cluster: Resources,
    report: Report,
    failures: list[Failure],
    console: Console,
) -> None:
    """Prepare the classifiers, and add each score to `report`, in the order of the measures."""
    gpus = (1.0 if cluster.n_gpus else 0.0) if request.gpus_per_worker is None else request.gpus_per_worker
    feed = plan.data.chosen_feed(plan.manifest, plan.preprocessing)
    cluster.max_concurrent(request.n_workers, gpus, reserved_cpus=0 if feed == "cache" else 1)
    least_gpu_memory(gpus, console)
    needed = classifiers_of(plan.measures)
    workers = request.n_workers, gpus
    # The ladder needs real clips that neither a fit nor a test sees: half of the groups of train and select.
    part: TrainPart = "all" if request.ladder is None else "half"
    inputs = prepare(plan.manifest, plan.preprocessing, plan.data, plan.n_frames, needed, *workers, console, part)
    for protocol, seeds in needed.items():
        trained = inputs.real_classifiers(protocol, seeds)
        console.print(f"judge  {described(trained, protocol, inputs.scored)}", soft_wrap=True)
        warn_of_guessing(trained, inputs.scored, console)
    subjects = subjects_of(request, plan, inputs, plan.n_frames, console)
    measurements = [Measurement(subject, measure) for measure in plan.measures for subject in subjects]
    done = 0
    for number, result in measured(measurements, inputs, plan.data, plan.n_frames, console):
        measurement = measurements[number]
        if isinstance(result, Failure):
            failures.append(result)
            continue
        done += 1
        found, neighbours = result if isinstance(result, tuple) else (result, None)
        results = found if isinstance(found, list) else [found]
        for place, one in enumerate(results):
            row = Scored(measurement.subject.name, _measure_name(measurement, one), one.to_json())
            report.add((number, place), row)
            if not console.is_terminal:
                # A file shows no progress bar.
                line = f"{row.measure}  {row.subject}  {value_text(row)}".rstrip()
                console.print(f"{done + len(failures)}/{len(measurements)}  {line}", soft_wrap=True)
        if isinstance(neighbours, Neighbours) and request.ladder is None:  # the ladder's neighbours are known
            report.written += write_neighbours(plan.out, neighbours)


def _measure_name(measurement: Measurement, result: object) -> str:
    """The name of a score: that of its measure, and of the value if a package's metric calls it otherwise."""
    if not isinstance(result, OwnResult) or result.metric == measurement.name:
        return measurement.name
    return f"{measurement.name}/{result.metric}"


def _heading(request: EvaluationRequest, plan: EvaluationPlan) -> str:
    judged = request.checkpoint or request.videos or f"calibration ladder, {len(plan.rungs)} rungs"
    parts = {split: len(plan.manifest.split(split)) for split in ("train", "test")}
    n_classes = len(plan.manifest.classes)
    halved = (
        "   real classifiers are fitted on half of the groups of train and select" if request.ladder is not None else ""
    )
    rate = "" if plan.data.every_nth == 1 else f"   every_nth {plan.data.every_nth}"
    return (
        f"vgsearch evaluate   {judged}   data {shown(plan.manifest.folder)} "
        f"{parts['train']} train and {parts['test']} test clips, "
        f"{n_classes} {'classes' if n_classes > 1 else 'class'}   {plan.preprocessing}{rate}{halved}"
    )
