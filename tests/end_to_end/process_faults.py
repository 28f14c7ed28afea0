"""Signals to each kind of process of a sweep at random moments: it survives, or ends within a minute by name.

python -m tests.end_to_end.process_faults [SEED] [MOMENTS] [ENDS] [PART...] [--minutes N] [--into FILE]

It prints a table and fails if anything is wrong. Parts: sweep (driver, trial, raylet, gcs of a sweep of millisecond
trials), tasks (data worker, fit, floor of real tiny preparations), stalls (trials that stay stopped). Each signal comes
at MOMENTS moments; one that ends the driver, which must then start again, at ENDS. In the end the sweeps must be as
without faults. After N minutes no more faults begin; the next run into the same FILE goes on with those that are left.
"""

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from tests.checkout import commit
from tests.end_to_end.fake_preparation import DONE
from tests.end_to_end.fake_sweep import assert_whole, outcome
from tests.end_to_end.fault_table import Fault, FaultTable, Moment
from tests.end_to_end.machine import Machine, command_of, processes_of, within
from tests.waiting import wait_until
from vgsearch.experiment.ledger import SweepRecord, read_ledger
from vgsearch.experiment.paths import Experiment

N_MOMENTS, N_ENDS, N_TRIALS, N_MINUTES = 20, 3, 30, 22.0
SWEEP, PREPARATION = "tests.end_to_end.fake_sweep", "tests.end_to_end.fake_preparation"
NAMES = {
    "trial": "ray::ImplicitFunc",
    "raylet": "raylet/raylet ",
    "gcs": "gcs_server ",
    "data worker": "ray::Map",
    "fit": "ray::_fit_in_this_process",
    "floor": "ray::_measure_floor",
}
"""A part of the command line of each kind of process but the driver's."""
CONTINUED = "SIGSTOP, then SIGCONT"
OF_THE_DRIVER = {("driver", fault) for fault in ("SIGKILL", "SIGTERM", "SIGHUP")}
ENDING = OF_THE_DRIVER | {(kind, fault) for kind in ("raylet", "gcs") for fault in ("SIGKILL", "SIGTERM", "SIGSTOP")}
"""What ends the driver; those of Ray end it only after Ray's start, which is tried again."""
SECONDS_TOLD = 75.0
"""A minute, and what is between two looks of the thread that tells."""
SECONDS_TO_GO_ON = 600.0
"""A limit for hangs: what survives starts processes again."""
SECONDS_LEFT = 20.0
"""Until no process of an ended sweep is left."""


class Drill:
    """One machine, its driver that runs or has ended, and the table."""

    shuffles = True

    def __init__(self, part: str, seed: int, table: FaultTable) -> None:
        self.part, self.table = part, table
        self.draw = random.Random(f"{seed} {table.n_of(part)}")
        self.machine = Machine(Path(tempfile.mkdtemp(prefix="faults-")) / "machine", "")
        self.machine.own |= {"VGSEARCH_CACHE": str(self.machine.folder / "clips"), "PYTHONUNBUFFERED": "1"}
        self.driver: subprocess.Popen[str] | None = None

    def pid_of(self, kind: str) -> int | None:
        """The newest process of a kind."""
        assert self.driver is not None
        if kind == "driver":
            return self.driver.pid
        return max((pid for pid in processes_of(self.machine) if NAMES[kind] in command_of(pid)), default=None)

    def signalled(self, kind: str, fault: str, at: float) -> int:
        """Sends a fault to a process `at` seconds after there is one; returns its id, 0 if the driver has ended."""
        while self.runs():
            if (pid := self.pid_of(kind)) is None:
                time.sleep(0.05)
                continue
            time.sleep(at)
            if self.pid_of(kind) != pid:
                continue
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP if fault == CONTINUED else signal.Signals[fault])
                if fault == CONTINUED:
                    time.sleep(self.draw.uniform(0.2, 3))
                    os.kill(pid, signal.SIGCONT)
                return pid
        return 0

    def runs(self) -> bool:
        return self.driver is not None and self.driver.poll() is None

    def note(self, kind: str, fault: str, seconds: float, wrong: str = "") -> None:
        """Writes one moment down."""
        self.table.add(Moment(self.part, kind, fault, round(seconds, 1), self.runs(), wrong))

    def within(self, seconds: float, reached: Callable[[], object]) -> float | None:
        return within(self.machine, seconds, reached)

    def inject_each(self, numbers: dict[Fault, int], seconds: float) -> None:
        """Injects what is left of the faults, until a moment, so that a busy machine's drill is bounded too."""
        due = time.monotonic() + seconds
        for fault in self.table.left(self.part, numbers, self.draw if self.shuffles else None):
            if time.monotonic() > due:
                break
            self.inject(*fault)
        print(f"{self.part}: {self.table.n_of(self.part)} of {sum(numbers.values())} faults", flush=True)

    def inject(self, kind: str, fault: str) -> None:
        raise NotImplementedError

    def leftovers(self) -> str:
        """The processes that are left although the driver has ended a while ago; empty if none."""
        if self.within(SECONDS_LEFT, lambda: not processes_of(self.machine)) is not None:
            return ""
        return f"left: {[command_of(pid)[:80] for pid in processes_of(self.machine)]}"

    def clear(self) -> None:
        """Kill what is left."""
        for pid in processes_of(self.machine):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


class SweepDrill(Drill):
    """Faults in sweeps of millisecond trials, each resumed after each end, and the next one begun when it is over."""

    def __init__(self, part: str, seed: int, table: FaultTable) -> None:
        super().__init__(part, seed, table)
        self.folders = [self.machine.folder / "runs" / "s0"]
        self.log = self.machine.folder / f"{SWEEP}.log"
        self.expected_end, self.n_lines_at_start = False, 0

    @property
    def folder(self) -> Path:
        """The sweep that runs."""
        return self.folders[-1]

    def n_lines(self) -> int:
        ledger = Experiment(self.folder).ledger
        return ledger.read_bytes().count(b"\n") if ledger.exists() else 0

    def record(self) -> SweepRecord:
        return read_ledger(Experiment(self.folder).ledger) if self.n_lines() else SweepRecord()

    def start(self) -> None:
        """Resumes the sweep, or begins the next one."""
        if self.record().ended == "finished":
            self.folders.append(self.folder.with_name(f"s{len(self.folders)}"))
        self.n_lines_at_start = self.n_lines()
        self.driver = self.machine.start_module(SWEEP, self.folder, str(N_TRIALS))

    def finish(self) -> None:
        """Lets the sweep come to its end."""
        while self.record().ended != "finished":
            if not self.runs():
                self.start()
            assert self.driver is not None
            assert self.driver.wait(1500) in (0, 130), self.log.read_text()[-3000:]

    def inject(self, kind: str, fault: str) -> None:
        """One fault after up to five events, or while Ray starts."""
        while not (pid := self.signalled_after_events(kind, fault)):
            code = self.driver.wait() if self.driver else 0
            # After an end by a fault the sweep is resumed; here it must have come to its own end.
            assert code == 0 or self.expected_end, f"ended with {code}: {self.log.read_text()[-3000:]}"
            self.expected_end = False
            self.start()
        before, finished = self.n_lines(), self.record().done
        is_ending = (kind, fault) in OF_THE_DRIVER or ((kind, fault) in ENDING and before > self.n_lines_at_start)
        limit = SECONDS_TOLD if is_ending else SECONDS_TO_GO_ON
        seconds = self.within(limit, lambda: not self.runs() or (self.n_lines() > before + 1 and not is_ending))
        if seconds is None:
            wrong = f"neither survived nor ended: {self.last_line()}"
        elif self.runs() or (self.record().ended == "finished" and self.driver and self.driver.wait() == 0):
            wrong = ""
        else:
            wrong = self.wrong_end(kind, fault, pid) or self.leftovers()
            self.expected_end = True
        kept = self.record().trials
        if any(kept[trial.trial_id].scores != trial.scores for trial in finished):
            wrong = wrong or "a finished trial has changed"
        self.note(kind, fault, seconds or limit, wrong)
        if wrong:
            self.clear()
            self.expected_end = True

    def signalled_after_events(self, kind: str, fault: str) -> int:
        """The process that got the fault; 0 if the sweep has ended before."""
        if not self.runs():
            return 0
        at_start = fault not in ("SIGSTOP", "SIGHUP") and not self.draw.randrange(4)
        due = self.n_lines() + (0 if at_start else self.draw.randrange(1, 6))
        wait_until(lambda: not self.runs() or (self.n_lines() >= due and self.pid_of("raylet")), self.log.read_text)
        return self.signalled(kind, fault, self.draw.uniform(0, 0.2))

    def wrong_end(self, kind: str, fault: str, pid: int) -> str:
        """What is wrong with the way in which the driver has ended; empty if nothing is."""
        assert self.driver is not None
        code = self.driver.wait()
        if (kind, fault) in OF_THE_DRIVER:
            expected = -signal.SIGKILL if fault == "SIGKILL" else 130
            right = code == expected and "Traceback" not in self.log.read_text()
        else:
            right = (kind, fault) in ENDING and code == 1 and f"(process {pid})" in self.last_line()
        return "" if right else f"ended with {code}: {self.last_line()}"

    def last_line(self) -> str:
        return (self.log.read_text().strip().splitlines() or ["nothing"])[-1][:200]


def sweep_part(drill: SweepDrill, n_moments: int, n_ends: int, seconds: float) -> None:
    """Faults of all kinds, shuffled, in sweeps that must come out as an undisturbed one."""
    kinds = [(kind, fault) for kind in ("driver", "trial", "raylet", "gcs")
             for fault in ("SIGKILL", "SIGTERM", "SIGHUP", "SIGSTOP", CONTINUED)
             if (kind, fault) not in (("driver", "SIGSTOP"), ("trial", "SIGSTOP"))]  # fmt: skip
    drill.inject_each({each: n_ends if each in ENDING else n_moments for each in kinds}, seconds)
    drill.finish()
    undisturbed = SweepDrill(drill.part, 0, drill.table)
    undisturbed.finish()
    expected = outcome(undisturbed.record())
    for folder in drill.folders:
        record = read_ledger(Experiment(folder).ledger)
        assert_whole(folder, record)
        if outcome(record) != expected:
            wrong = f"{folder} is not as without faults"
            drill.table.add(Moment(drill.part, "sweep", "all together", 0.0, survived=False, wrong=wrong))
    print(f"{len(drill.folders)} sweeps of {N_TRIALS} trials had these faults", flush=True)


class TasksDrill(Drill):
    """Faults in preparations, which go on until told that they are enough."""

    shuffles = False  # a round has the tasks in the order of their faults

    def __init__(self, part: str, seed: int, table: FaultTable) -> None:
        super().__init__(part, seed, table)
        self.machine.own |= {"VGSEARCH_STALLED_AFTER": "40"}
        self.driver = self.machine.start_module(PREPARATION, self.machine.folder)

    def text(self) -> str:
        return self.machine.log(PREPARATION)

    def inject(self, kind: str, fault: str) -> None:
        """One fault; the task must then be done."""
        pid, n_done = self.signalled(kind, fault, self.draw.uniform(0, 0.3)), self.text().count(DONE)
        seconds = self.within(SECONDS_TO_GO_ON, lambda: not self.runs() or self.text().count(DONE) > n_done)
        wrong = "" if seconds is not None and self.runs() else f"stuck, or ended: {self.text()[-300:]}"
        if fault == "SIGSTOP" and not wrong and f"from process {pid} on" not in self.text():
            wrong = f"process {pid} was not named"
        self.note(kind, fault, seconds or SECONDS_TO_GO_ON, wrong)


def tasks_part(drill: TasksDrill, n_moments: int, n_ends: int, seconds: float) -> None:
    """Faults in the tasks that prepare a sweep; each must find what an undisturbed one finds."""
    wait_until(lambda: not drill.runs() or "and round 1" in drill.text(), drill.text)
    numbers = {(kind, fault): 1 if fault == "SIGSTOP" else n_moments
               for fault in ("SIGKILL", "SIGTERM", "SIGHUP", CONTINUED, "SIGSTOP")
               for kind in ("data worker", "fit", "floor")}  # fmt: skip
    drill.inject_each(numbers, seconds)
    (drill.machine.folder / "enough").touch()
    assert drill.driver is not None
    assert drill.driver.wait(1500) == 0, drill.text()[-3000:]


class StallsDrill(SweepDrill):
    """Trials that stay stopped are told and ended by name, and the sweep goes on."""

    def inject(self, kind: str, fault: str) -> None:
        due = self.n_lines() + self.draw.randrange(1, 6)
        wait_until(lambda: not self.runs() or self.n_lines() >= due, self.log.read_text)
        n_stalled = self.record().count("stalled")
        pid = self.signalled(kind, fault, self.draw.uniform(0, 0.05))
        seconds = self.within(SECONDS_TOLD, lambda: not self.runs() or self.record().count("stalled") > n_stalled)
        told = f"from process {pid} on" in self.log.read_text()
        wrong = "" if seconds is not None and told else f"not ended, or not told: {self.last_line()}"
        self.note(kind, fault, seconds or SECONDS_TOLD, wrong)


def stalls_part(drill: StallsDrill, n_moments: int, n_ends: int, seconds: float) -> None:
    """Trials that stay stopped, in one sweep."""
    drill.machine.own |= {"VGSEARCH_STALLED_AFTER": "40"}
    drill.start()
    drill.inject_each({("trial", "SIGSTOP"): n_ends}, seconds)
    assert drill.driver is not None
    assert drill.driver.wait(1500) == 0, drill.log.read_text()[-3000:]


PARTS: dict[str, tuple[Callable[..., Drill], Callable[..., None], int]] = {
    "sweep": (SweepDrill, sweep_part, 3),
    "tasks": (TasksDrill, tasks_part, 2),
    "stalls": (StallsDrill, stalls_part, 1),
}
"""The drill of each part, its faults, and its share of the time."""


def main() -> None:
    parser = argparse.ArgumentParser()
    for name, default in (("seed", 0), ("moments", N_MOMENTS), ("ends", N_ENDS)):
        parser.add_argument(name, nargs="?", type=int, default=default)
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], default=[])
    parser.add_argument("--minutes", type=float, default=N_MINUTES)
    parser.add_argument("--into", type=Path, default=Path(tempfile.mkdtemp(prefix="faults-")) / "moments.jsonl")
    given = parser.parse_args()
    parts, table, began = given.parts or list(PARTS), FaultTable(given.into), time.monotonic()
    for part in parts:
        drill, faults, share = PARTS[part]
        seconds = 60 * given.minutes * share / sum(PARTS[each][2] for each in parts)
        faults(drill(part, given.seed, table), given.moments, given.ends, seconds)
    print(f"seed {given.seed}, {given.moments} moments, {given.ends} of faults that end the driver; "
          f"parts {', '.join(parts)}; commit {commit()}; {(time.monotonic() - began) / 60:.0f} min; "
          f"moments in {given.into}\n\n{table.markdown()}")  # fmt: skip
    sys.exit(1 if table.wrong else 0)


if __name__ == "__main__":
    main()
