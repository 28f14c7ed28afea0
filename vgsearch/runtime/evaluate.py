"""vgsearch evaluate: from what was typed to scores in a table, in files, and in the trial's own records."""

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from rich.console import Console

from vgsearch.evaluation_plan import N_FRAMES, Plan, Request, classifiers_of, planned
from vgsearch.runtime.cluster import connect
from vgsearch.score_report import Scored, append_to_trial, tell, write_neighbours, write_scores
from videogan.metrics.gam import GAM
from videogan.protocols.blind_spots import Neighbours
from videogan.protocols.ladder import RUNGS

if TYPE_CHECKING:
    from vgsearch.runtime.scores import Measurement
    from vgsearch.runtime.subjects import Subject


def evaluate(request: Request, address: str | None, as_json: bool) -> None:
    """Judges what was asked for; raises ConfigurationError, before anything starts, for all that cannot work."""
    console = Console(stderr=as_json, highlight=False, markup=False)
    plan = planned(request)
    console.print(_heading(request, plan), soft_wrap=True)
    with connect(address) as cluster:
        gpus = (1.0 if cluster.n_gpus else 0.0) if request.gpus_per_worker is None else request.gpus_per_worker
        cluster.max_concurrent(request.n_workers, gpus)
        # Only now: Ray reads its environment, which connect sets, when it is imported.
        from vgsearch.runtime.evaluation import prepare
        from vgsearch.runtime.scores import Measurement, measured

        needed = classifiers_of(plan.measures)
        inputs = prepare(
            plan.manifest, plan.preprocessing, plan.data, N_FRAMES, needed, request.n_workers, gpus, console
        )
        subjects = _subjects(request, plan, inputs, console)
        measurements = [Measurement(subject, measure) for measure in plan.measures for subject in subjects]
        results = measured(measurements, inputs, plan.data, N_FRAMES, console)
    rows = [_scored(measurement, result) for measurement, result in zip(measurements, results, strict=True)]
    written = [write_scores(plan.out, rows, plan.manifest.classes)]
    for result in results:
        if isinstance(result, tuple) and isinstance(result[1], Neighbours):
            written += write_neighbours(plan.out, result[1])
    if plan.trial is not None:
        append_to_trial(plan.trial, plan.step, rows)
    if as_json:
        print(json.dumps([asdict(row) for row in rows]))
    else:
        tell(rows, console)
    for path in written:
        console.print(path, soft_wrap=True)


def _scored(measurement: "Measurement", result: Any) -> Scored:
    subject = measurement.subject.name
    if isinstance(result, GAM):
        return Scored(subject, measurement.name, result._asdict())
    found = result[0] if isinstance(result, tuple) else result
    return Scored(subject, measurement.name, found.to_json())


def _subjects(request: Request, plan: Plan, inputs: Any, console: Console) -> list["Subject"]:
    from vgsearch.runtime.subjects import CheckpointSubject, RungSubject, videos_subject

    if request.checkpoint is not None:
        return [CheckpointSubject(str(request.checkpoint.absolute()))]
    if request.ladder is not None:
        return [RungSubject(name) for name in RUNGS]
    return [videos_subject(request.videos, plan.manifest, inputs, plan.data, N_FRAMES, console)]


def _heading(request: Request, plan: Plan) -> str:
    judged = request.checkpoint or request.videos or f"calibration ladder, {len(RUNGS)} rungs"
    parts = {split: len(plan.manifest.split(split)) for split in ("train", "test")}
    return (
        f"vgsearch evaluate   {judged}   data {plan.manifest.folder.name} {parts['train']} train and {parts['test']} test "
        f"clips, {len(plan.manifest.classes)} classes   {plan.preprocessing}"
    )
