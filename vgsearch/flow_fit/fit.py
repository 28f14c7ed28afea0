"""Fits PWC-Net, from its first step or its newest checkpoint, and measures its errors on held-out pairs."""

import json
import logging
import math
import time
from collections.abc import Mapping
from pathlib import Path

import torch

from vgsearch.experiment.paths import Experiment, TrialFolder
from vgsearch.experiment.trial_records import TrialRecords, warnings_kept
from vgsearch.flow_fit.picture import ShownPair, write_flow_picture
from vgsearch.flow_fit.progress import FITTED, FitView
from videogan.config import ConfigurationError
from videogan.flow.fit import FlowCheckpoints, FlowProgress, fit_flow
from videogan.flow.generated_pairs import PairSettings, generated_pairs
from videogan.flow.held_out import SLOW_LAYERS, TEXTURED, Flow, held_out_errors, zero_flow
from videogan.flow.lucas_kanade import LucasKanade
from videogan.flow.pwc_net import PWCNet
from videogan.flow.recipe import FlowRecipe
from videogan.flow.weights import pwc_net_from
from videogan.storage.atomic import write_atomically

LOGGER = logging.getLogger(__name__)
N_HELD_OUT = 128  # pairs of each kind
N_SHOWN = 2  # pairs of each kind in the picture: the first ones, not the best
N_ROWS = 200  # in metrics.jsonl, over a complete fit
SAVING_SHARE = 50  # saving a checkpoint takes at most 1/50 of the time since the last one
ZERO = "zero flow"
Errors = dict[str, dict[str, dict[str, float]]]


def fit_into(out: Path, recipe: FlowRecipe, view: FitView) -> None:
    """Fit by `recipe` in the folder `out`, from its newest readable checkpoint if any, and evaluate the result.

    Writes flow.pt (weights and width, for `pwc_net_from`), flow.json, flow.png and the records of a trial.
    Raises ExperimentInUse, ConfigurationError if `out` holds a fit by another recipe, TrainingDiverged.
    """
    with Experiment(out).lock():
        spent = _fit(TrialFolder(out), recipe, view)
        view.print_event({"event": "judging", "n_held_out_pairs": N_HELD_OUT})
        network, sha256 = _written_weights(out)
        # x3: all iterations at the finest level too, which the default omits for speed: the stricter baseline
        weight_free = {"Lucas-Kanade": LucasKanade(), "Lucas-Kanade x3": LucasKanade(n_at_finest=3)}
        estimators: dict[str, Flow] = {ZERO: zero_flow, **weight_free, FITTED: network}
        report = {
            "recipe": recipe.model_dump(mode="json"),
            "n_parameters": sum(parameter.numel() for parameter in network.parameters()),
            "weights_sha256": sha256,
            "n_held_out_pairs": N_HELD_OUT,
            "endpoint_errors_px": judged(estimators, _kinds(recipe), recipe.seed),
            "n_threads": torch.get_num_threads(),
            **spent,
        }
        write_atomically(out / "flow.json", lambda stream: stream.write(json.dumps(report, indent=1).encode()))
        write_flow_picture(out / "flow.png", shown_pairs(estimators, _kinds(recipe), recipe.seed))
    view.print_result(out, report)


def _fit(folder: TrialFolder, recipe: FlowRecipe, view: FitView) -> dict[str, float]:
    """Train the remaining steps; returns the seconds of all steps, earlier attempts included."""
    checkpoints = FlowCheckpoints(folder.checkpoints)
    with warnings_kept() as kept:
        start = checkpoints.newest()
    device, first = "cuda" if torch.cuda.is_available() else "cpu", start.step if start else 0
    try:
        steps = fit_flow(recipe, start, device)
    except ConfigurationError as error:
        raise ConfigurationError(f"{folder.folder}: {error}") from None
    with TrialRecords(folder, first) as records, view.live(first):
        damaged = [str(warning.message) for warning in kept]
        for reason in damaged:
            LOGGER.warning(reason)
        for reason in (*damaged, *records.damaged):
            view.print_event({"event": "damaged", "reason": reason})
        view.print_event({"event": "started", "step": first, "device": device, "folder": str(folder.folder)})
        watch, saver, rows = Stopwatch(records), Saver(checkpoints, records), Rows(recipe.n_steps)
        for progress in steps:
            view.advance(progress.step)
            if row := rows.row(progress):
                records.write(progress.step, row | watch.read())
                view.print_event({"event": "step", "step": progress.step, **row})
            # After the row: if the process is killed in between, resuming removes the row together with its step.
            saver.save_if_due(progress, is_last=progress.step == recipe.n_steps)
        last = records.lines()[-1]
        return {name: last[name] for name in watch.read()}


def _written_weights(out: Path) -> tuple[PWCNet, str]:
    """Write flow.pt from the newest checkpoint; returns the network and the digest as read from it."""
    newest = FlowCheckpoints(TrialFolder(out).checkpoints).newest()
    assert newest is not None, "a finished fit has its last checkpoint"
    content = {"state_dict": newest.state_dict, "width": newest.width, "recipe": newest.recipe}
    write_atomically(out / "flow.pt", lambda stream: torch.save(content, stream))
    return pwc_net_from(out / "flow.pt")


class Stopwatch:
    """Seconds and CPU seconds of this process, added to those of earlier attempts."""

    def __init__(self, records: TrialRecords) -> None:
        last = {"seconds": 0.0, "cpu_seconds": 0.0} if not (rows := records.lines()) else rows[-1]
        self._start = time.monotonic() - last["seconds"], time.process_time() - last["cpu_seconds"]

    def read(self) -> dict[str, float]:
        return {"seconds": time.monotonic() - self._start[0], "cpu_seconds": time.process_time() - self._start[1]}


class Saver:
    """Saves after the first step, the last step, and whenever 50 times the duration of the last saving has passed."""

    def __init__(self, checkpoints: FlowCheckpoints, records: TrialRecords) -> None:
        self._checkpoints, self._records = checkpoints, records
        self._saved, self._took = -math.inf, 0.0

    def save_if_due(self, progress: FlowProgress, is_last: bool) -> None:
        start = time.monotonic()
        if is_last or start - self._saved >= SAVING_SHARE * self._took:
            self._records.flush()
            self._checkpoints.save(progress.checkpoint())
            self._saved = time.monotonic()
            self._took = self._saved - start


class Rows:
    """Rows of metrics.jsonl: means over the steps since the last row, because a single batch is noisy."""

    def __init__(self, n_steps: int) -> None:
        self._every, self._n_steps = -(-n_steps // N_ROWS), n_steps
        self._seen: list[tuple[float, float]] = []

    def row(self, progress: FlowProgress) -> dict[str, float] | None:
        """loss, endpoint_error in pixels and lr; None if no row is due after this step."""
        self._seen.append((progress.loss, progress.endpoint_error))
        if progress.step % self._every and progress.step != self._n_steps:
            return None
        loss, error = (sum(values) / len(values) for values in zip(*self._seen, strict=True))
        self._seen = []
        return {"loss": loss, "endpoint_error": error, "lr": progress.lr}


def judged(estimators: Mapping[str, Flow], kinds: Mapping[str, PairSettings], seed: int) -> Errors:
    """The mean endpoint error in pixels over held-out pairs and its standard error, by kind of pair and estimator."""
    return {
        kind: {
            name: {"mean": errors.mean().item(), "standard_error": (errors.std() / len(errors) ** 0.5).item()}
            for name, errors in held_out_errors(estimators, settings, seed, N_HELD_OUT).items()
        }
        for kind, settings in kinds.items()
    }


@torch.no_grad()
def shown_pairs(estimators: Mapping[str, Flow], kinds: Mapping[str, PairSettings], seed: int) -> list[ShownPair]:
    """The first held-out pairs of each kind, with the flow by each estimator except zero flow."""
    rows = []
    for kind, settings in kinds.items():
        pairs = generated_pairs(range(N_SHOWN), seed, settings, "held_out")
        found = {name: flow(pairs.first, pairs.second) for name, flow in estimators.items() if name != ZERO}
        for i in range(N_SHOWN):
            own = {name: flow[i] for name, flow in found.items()}
            rows.append(ShownPair(kind, pairs.first[i], pairs.second[i], pairs.flow[i], own))
    return rows


def _kinds(recipe: FlowRecipe) -> dict[str, PairSettings]:
    fitted = f"layers, up to {recipe.pairs.max_motion:g} px, as fitted"
    return {"textured, up to 4 px": TEXTURED, "layers, up to 4 px": SLOW_LAYERS, fitted: recipe.pairs}
