"""Synthetic sweeps for reports, written through the ledger itself, with a simulated clock."""

import math
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.builders import tiny_sweep
from vgsearch.experiment.ledger import Ledger
from vgsearch.experiment.paths import Experiment
from vgsearch.space.domains import ChoiceDomain
from vgsearch.space.sweep import Sweep
from videogan.sampling.pictures import grid_frames, write_gif

WriteSweep = Callable[..., Experiment]
N_STEPS, N_LOOKS = 200, 8
LOSSES = {"d_image": 1.2, "d_video": 1.4, "g_image": 0.3, "g_video": 0.1}
ENDS = [("done", ""), ("pruned", ""), ("diverged", "g_image is not finite; lower the learning rates"),
        ("failed", "OutOfMemoryError: 3.2 GiB"), ("unscored", "s3 undefined: ReR is 0")]  # fmt: skip


def summary(s3: float, rng: random.Random, margin: float = 0.05) -> dict[str, Any]:
    """The result of an evaluation of S3."""

    def seeds(mean: float) -> dict[str, float]:
        return {"mean": mean, "low": mean - margin, "high": mean + margin}

    rer, tilt = 0.95, rng.uniform(0.7, 1.4)
    ser, res = s3 * rer * tilt, s3 * rer / tilt
    return {
        "split": "select", "covers": "3 groups of 16 clips, 3 classifier seeds",
        "s3": seeds(s3), "ser": seeds(ser), "res": seeds(res), "rer": seeds(rer), "s3_of_guessing": 0.26,
        "bootstrap": {"s3": seeds(s3)}, "protocol": "s3_r3d18_smoke_v2", "digest": "08ec25" + "0" * 58,
        "warnings": ["SeR's interval [15.4, 51.3] % includes chance (25.0 %)."] if s3 < 0.3 else [],
    }  # fmt: skip


def drawn(sweep: Sweep, index: int, rng: random.Random) -> dict[str, Any]:
    """The paper's point, then values of each domain at random."""
    if index == 0:
        return sweep.paper_points[0]
    chosen: dict[str, Any] = {}
    for path, domain in sweep.domains.items():
        if any(chosen.get(other) != value for other, value in domain.when.items()):
            continue
        if isinstance(domain, ChoiceDomain):
            chosen[path] = rng.choice(domain.choices)
        elif getattr(domain, "or_off", None) is not None and rng.random() < 0.5:
            chosen[path] = domain.or_off
        else:
            chosen[path] = math.exp(rng.uniform(math.log(domain.low), math.log(domain.high)))
    return chosen


@pytest.fixture
def write_sweep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> WriteSweep:
    """Writes an experiment: `ends` are the states of its trials in order, by default all done."""
    monkeypatch.setenv("VGSEARCH_CACHE", str(tmp_path / "no-cache"))

    def write(
        name: str,
        n_trials: int,
        ends: list[tuple[str, str]] = ENDS[:1],
        objective: str = "s3",
        finished: bool = True,
        space: str = "mvt_tsa",
        samples: bool = False,
        seed: int = 0,
        split: str = "select",
        lack: str | None = None,
    ) -> Experiment:
        rng, experiment, clock = random.Random(seed), Experiment(tmp_path / name), iter_clock(monkeypatch)
        overrides = {"evaluation.objective": [objective]}
        sweep = tiny_sweep(space, data=str(tmp_path / "data"), n_trials=max(n_trials, 1), overrides=overrides)
        sweep.save(experiment.sweep)
        ledger = Ledger(experiment.ledger)
        ledger.append("sweep_started", space=space, budget="smoke", data=sweep.data, seed=0, n_trials=n_trials,
                      objective=[objective], protocol="08ec25" + "0" * 58, split=split, lack_of_select=lack,
                      resumed=False,
                      argv=["/usr/bin/vgsearch", "tune", space, "--name", name], versions={"torch": "2.13.0"})  # fmt: skip
        if n_trials:
            floor = {"kvd": {"mean": 0.9}} if objective == "-kvd" else summary(0.27, rng)
            ledger.append("floor", score=floor)
        for index in range(n_trials):
            trial, (state, reason) = f"t{index:04d}-{index:06x}", ends[index % len(ends)]
            one_trial(ledger, experiment, trial, index, drawn(sweep, index, rng), state, reason, objective, rng, clock)
            if samples:
                write_samples(experiment.trial(trial).samples, rng)
        if finished:
            ledger.append("sweep_ended", how="finished")
        return experiment

    return write


def iter_clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A clock that the caller moves: [now]."""
    now = [1_800_000_000.0]
    monkeypatch.setattr("vgsearch.experiment.ledger.time.time", lambda: now[0])
    monkeypatch.setattr("vgsearch.experiment.ledger.os.fsync", lambda handle: None)
    return now


def one_trial(
    ledger: Ledger, experiment: Experiment, trial: str, index: int, overrides: dict[str, Any], state: str, reason: str,
    objective: str, rng: random.Random, clock: list[float],
) -> None:  # fmt: skip
    clock[0] += 5
    ledger.append("trial_started", trial=trial, index=index, overrides=overrides, is_paper_point=index == 0,
                  n_steps=N_STEPS)  # fmt: skip
    folder = experiment.trial(trial)
    folder.folder.mkdir(parents=True)
    folder.config.write_text(f"seed: {index}\nmodel: {{variant: mvt_tsa}}\n")
    quality = 0.35 + 0.25 * math.exp(-abs(math.log(overrides.get("optimiser.lr_g", 1e-4) / 8e-5))) + rng.gauss(0, 0.05)
    n_looks = N_LOOKS if state in ("done", "unscored", "running") else rng.randrange(1, N_LOOKS)
    for number in range(1, n_looks + 1):
        clock[0] += rng.uniform(10, 25)
        reached = quality * (1 - math.exp(-number / 3)) + rng.gauss(0, 0.02)
        look = -1 / (0.1 + max(reached, 0.01)) if objective == "-kvd" else reached
        ledger.append("look", trial=trial, step=25 * number, look=look, losses=LOSSES)
    if state == "running":
        return
    clock[0] += 20
    fields: dict[str, Any] = {"reason": reason}
    if state == "done":
        fields = {"score": summary(quality, rng), "scores": {"s3": quality}}
        if objective == "-kvd":
            kvd = 1 - quality
            protocol = {"protocol": "kvd_r3d18_smoke_v2", "digest": "c" * 64}
            measured = {"mean": kvd, "low": kvd - 0.01, "high": kvd + 0.01, "per_seed": [kvd] * 3, "real": 0.001}
            measured |= {"split": "select", **protocol}
            fields = {"score": {"kvd": measured}, "scores": {"kvd": kvd}}
        else:
            fields["scores"] |= {part: fields["score"][part]["mean"] for part in ("ser", "res")}
        fields["scores"]["cost"] = 60 + 200 * rng.random() + 150 * quality
    ledger.append("trial_ended", trial=trial, state=state, step=25 * n_looks, **fields)


def write_samples(folder: Path, rng: random.Random) -> None:
    """A grid of 4 classes and 6 codes, as trials write it: bars that move."""
    folder.mkdir()
    clips = np.zeros((24, 16, 32, 32, 3), np.uint8)
    colour = [rng.randrange(80, 255) for _ in range(3)]
    for clip in range(24):
        for frame in range(16):
            clips[clip, frame, :, (2 * frame + clip) % 28 : (2 * frame + clip) % 28 + 5] = colour
    write_gif(folder / "grid.gif", grid_frames(torch.from_numpy(clips), 6))
