"""Trials that end in every way without a step of training.

Ray's workers import this file, so it imports neither torch nor optuna: each trial that dies costs a new process.
"""

import json
import os
import signal
import time
from pathlib import Path
from typing import Any

from ray import tune

FAULTS = {1: "raises", 2: "is killed", 3: "lacks memory", 4: "dies once", 5: "diverges"}
SILENT = {1: "hangs", 2: "never reports"}
SCORE = json.dumps({name: {"mean": 0.6, "low": 0.5, "high": 0.7} for name in ("s3", "ser", "res")})
HEALTH = json.dumps({"states": {}, "vitals": {}})


def fake_trial(parameters: dict[str, Any], faults: dict[int, str] = FAULTS) -> None:
    """Two looks and a score, without a step of training; some trials fail between the looks."""
    fault, folder = faults.get(int(parameters["trial_id"][1:5])), Path(parameters["folder"])
    if fault == "never reports":
        time.sleep(600)
    (folder / "log.txt").write_text("what happened last\n")
    tune.report({"step": 10, "look": 0.1, "losses": {}, "health": HEALTH})
    first = not (folder / "attempted").exists()
    (folder / "attempted").touch()
    if fault == "raises":
        raise ValueError("no such thing")
    if fault == "is killed" or (fault == "dies once" and first):
        os.kill(os.getpid(), signal.SIGKILL)
    if fault == "hangs":
        os.kill(os.getpid(), signal.SIGSTOP)
    if fault == "lacks memory" and parameters["config"]["loop"]["batch_size"] == 16:
        return tune.report({"step": 10, "losses": {}, "end": "out_of_memory", "reason": "MemoryError"})
    if fault == "diverges":
        return tune.report({"step": 12, "losses": {}, "end": "diverged", "reason": "d_video is not finite"})
    tune.report({"step": 20, "look": 0.2, "losses": {}, "health": HEALTH})
    return tune.report({"step": 20, "losses": {}, "end": "done", "scores": {"s3": 0.6}, "score": SCORE})


def sound_trial(parameters: dict[str, Any]) -> None:
    fake_trial(parameters, {})


def leaves_slowly(parameters: dict[str, Any]) -> None:
    """The first trial is good; the others are pruned at their look, and then take time, as to upload their files."""
    is_first = parameters["trial_id"].startswith("t0000")
    try:
        tune.report({"step": 10, "look": 0.9 if is_first else 0.1, "losses": {}, "health": HEALTH})
        tune.report({"step": 20, "losses": {}, "end": "done", "scores": {"s3": 0.6}, "score": SCORE})
    finally:
        time.sleep(0 if is_first else 3)  # Ray Tune would wait for 2 s


def silent_trial(parameters: dict[str, Any]) -> None:
    fake_trial(parameters, SILENT)


def fills_disk(parameters: dict[str, Any]) -> None:
    halts = {"end": "interrupted", "reason": "no space left for x", "halts": True}
    tune.report({"step": 10, "losses": {}, **halts})
