"""Damaged inputs in numbers: each is read, or refused by an error of our own that says why; anything else is a defect.

`make drills` runs it: python -m tests.fuzzing.fuzz [N_INPUTS] [SEED] writes reports/fuzzing/README.md and fails on any
defect. An input is a function of (seed, kind, number), so a defect can be repeated alone.
"""

import contextlib
import io
import os
import random
import sys
import tempfile
import time
import traceback
import warnings
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # read by torch when it is imported

from tests.checkout import commit
from tests.fuzzing.inputs import KINDS
from vgsearch.terminal.line import is_own

N_INPUTS, REPORT = 5000, Path("reports/fuzzing/README.md")


@dataclass
class Outcome:
    """What happened to the inputs of one kind."""

    n_read: int = 0
    n_refused: int = 0
    seconds: float = 0.0
    defects: list[str] = field(default_factory=list)
    """Number of the input and traceback of each exception that is none of our own."""


def fuzz(n_inputs: int = N_INPUTS, seed: int = 0) -> dict[str, Outcome]:
    """Make and read about `n_inputs` inputs; the outcome of each kind."""
    return {name: _of_kind(name, max(1, n_inputs * percent // 100), seed) for name, (_, percent) in KINDS.items()}


def _of_kind(name: str, n_inputs: int, seed: int) -> Outcome:
    outcome, began = Outcome(), time.monotonic()
    for number in range(n_inputs):
        error = _error_of(name, number, seed)
        if error is None:
            outcome.n_read += 1
        elif is_own(error) and str(error).strip():
            outcome.n_refused += 1
        else:
            outcome.defects.append(f"{name} {number}: {''.join(traceback.format_exception(error))}")
    outcome.seconds = time.monotonic() - began
    return outcome


def _error_of(name: str, number: int, seed: int) -> Exception | None:
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with contextlib.redirect_stdout(io.StringIO()):
            try:
                KINDS[name][0](random.Random(f"{seed}/{name}/{number}"), Path(folder))
            except Exception as error:  # noqa: BLE001 (the outcome of an input)
                return error
    return None


def table(outcomes: dict[str, Outcome]) -> str:
    """The outcomes as a Markdown table."""
    rows = [
        f"| {name} | {each.n_read} | {each.n_refused} | {len(each.defects)} | {each.seconds:.0f} |"
        for name, each in outcomes.items()
    ]
    return "\n".join(["| kind | read | refused | defects | seconds |", "|---|---|---|---|---|", *rows]) + "\n"


def main() -> None:
    n_inputs, seed = ([*map(int, sys.argv[1:]), *(N_INPUTS, 0)[len(sys.argv) - 1 :]])[:2]
    outcomes = fuzz(n_inputs, seed)
    defects = [defect for each in outcomes.values() for defect in each.defects]
    # A kind of which nothing is read would test no more than its first check.
    defects += [f"{name}: none was read" for name, each in outcomes.items() if n_inputs >= N_INPUTS and not each.n_read]
    print("\n".join(defects), file=sys.stderr)
    total = sum(each.n_read + each.n_refused + len(each.defects) for each in outcomes.values())
    REPORT.parent.mkdir(parents=True, exist_ok=True)
    head = f"# Damaged inputs\n\n`python -m tests.fuzzing.fuzz {n_inputs} {seed}`, {date.today()}, commit {commit()}: {total} "
    head += "inputs.\nEach is read, or refused by an error that says why; any other exception is a defect.\n\n"
    REPORT.write_text(head + table(outcomes), "utf-8")
    print(table(outcomes))
    sys.exit(1 if defects else 0)


if __name__ == "__main__":
    main()
