"""Signals to each kind of process of a sweep at random moments: it survives, or ends within a minute by name.

`make drills` runs it: python -m tests.end_to_end.process_faults [SEED] [MOMENTS] [ENDS] [PART...] prints a table and
fails if anything is wrong. Parts: sweep (driver, trial, raylet, gcs of a sweep of millisecond trials), tasks (data
worker, fit, floor of real tiny preparations), stalls (processes that stay stopped). Each signal comes at MOMENTS
moments; one that ends the driver, which must then start again, at ENDS. In the end the sweep must be as without faults.
"""

import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.checkout import commit
from tests.end_to_end.fake_preparation import DONE
from tests.end_to_end.fake_sweep import assert_whole, outcome
from tests.end_to_end.machine import Machine, command_of, processes_of
from tests.waiting import wait_until
from vgsearch.experiment.ledger import SweepRecord, read_ledger
from vgsearch.experiment.paths import Experiment

N_MOMENTS, N_ENDS, N_TRIALS = 20, 3, 30
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
SECONDS_OF_SWEEPS, SECONDS_OF_TASKS = 900.0, 420.0
"""After these no more faults begin: with the stalls and the last sweep the drill takes at most about 25 minutes."""
SECONDS_TOLD = 75.0
"""A minute, and the time in which a busy machine's processes get their turn."""
SECONDS_TO_GO_ON = 600.0
"""A limit for hangs: what survives starts processes again, on a busy machine slowly."""
SECONDS_LEFT = 20.0
"""Until no process of an ended sweep is left."""


@dataclass
class Row:
    """What happened at the moments of one fault."""

    survived: int = 0
    ended: int = 0
    longest: float = 0.0
    wrong: list[str] = field(default_factory=list)


class Drill:
    """One machine, its driver that runs or has ended, and the rows of the table."""

    def __init__(self, seed: int, rows: dict[tuple[str, str], Row]) -> None:
        self.rows, self.draw = rows, random.Random(seed)
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
                time.sleep(0.02)
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
        """Counts one moment."""
        row = self.rows.setdefault((kind, fault), Row())
        row.longest = max(row.longest, seconds)
        if wrong:
            row.wrong.append(wrong)
        elif self.runs():
            row.survived += 1
        else:
            row.ended += 1
        print(f"{kind} {fault}: {seconds:.0f} s {wrong or ('survived' if self.runs() else 'ended')}", flush=True)

    def leftovers(self) -> str:
        """The processes that are left although the driver has ended a while ago; empty if none."""
        try:
            wait_until(lambda: not processes_of(self.machine), lambda: "", SECONDS_LEFT)
        except AssertionError:
            return f"left: {[command_of(pid)[:80] for pid in processes_of(self.machine)]}"
        return ""

    def clear(self) -> None:
        """Kill what is left."""
        for pid in processes_of(self.machine):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def within(seconds: float, reached: Callable[[], object]) -> float | None:
    """After how many seconds `reached()` was true; None if it was not."""
    began = time.monotonic()
    while time.monotonic() - began < seconds:
        if reached():
            return time.monotonic() - began
        time.sleep(0.05)
    return None


def deadline(seconds: float) -> float:
    return time.monotonic() + seconds


def until(due: float, faults: list[tuple[str, str]], inject: Callable[[tuple[str, str]], None]) -> int:
    """Injects faults until a moment, so that the drill is bounded on a busy machine too; returns how many."""
    for number, fault in enumerate(faults):
        if time.monotonic() > due:
            return number
        inject(fault)
    return len(faults)


def in_rounds(numbers: dict[tuple[str, str], int], draw: random.Random) -> list[tuple[str, str]]:
    """Each fault as often as its number says, shuffled, but a second time only after each other had its first."""
    faults: list[tuple[str, str]] = []
    for number in range(max(numbers.values())):
        one_round = [fault for fault, n in numbers.items() if n > number]
        draw.shuffle(one_round)
        faults += one_round
    return faults


class SweepDrill(Drill):
    """Faults in sweeps of millisecond trials, each resumed after each end, and the next one begun when it is over."""

    def __init__(self, seed: int, rows: dict[tuple[str, str], Row]) -> None:
        super().__init__(seed, rows)
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
        is_ending = (kind, fault) in ENDING and before > self.n_lines_at_start
        limit = SECONDS_TOLD if is_ending else SECONDS_TO_GO_ON
        seconds = within(limit, lambda: self.is_over(before, (kind, fault)))
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

    def is_over(self, n_lines: int, fault: tuple[str, str]) -> bool:
        """Whether a fault has had its effect: the driver has ended, or two more events show that it goes on."""
        return not self.runs() or (self.n_lines() > n_lines + 1 and fault not in OF_THE_DRIVER)

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


def sweep_part(seed: int, n_moments: int, n_ends: int, rows: dict[tuple[str, str], Row]) -> None:
    """Faults of all kinds, shuffled, in sweeps that must come out as an undisturbed one."""
    drill, undisturbed = SweepDrill(seed, rows), SweepDrill(seed, {})
    kinds = [(kind, fault) for kind in ("driver", "trial", "raylet", "gcs")
             for fault in ("SIGKILL", "SIGTERM", "SIGHUP", "SIGSTOP", CONTINUED)
             if (kind, fault) not in (("driver", "SIGSTOP"), ("trial", "SIGSTOP"))]  # fmt: skip
    faults = in_rounds({each: n_ends if each in ENDING else n_moments for each in kinds}, drill.draw)
    n_injected = until(deadline(SECONDS_OF_SWEEPS), faults, lambda fault: drill.inject(*fault))
    drill.finish()
    undisturbed.finish()
    expected = outcome(undisturbed.record())
    for folder in drill.folders:
        record = read_ledger(Experiment(folder).ledger)
        assert_whole(folder, record)
        if outcome(record) != expected:
            rows.setdefault(("sweep", "all"), Row()).wrong.append(f"{folder} is not as without faults")
    print(f"{len(drill.folders)} sweeps of {N_TRIALS} trials had {n_injected} of {len(faults)} faults", flush=True)


class TasksDrill(Drill):
    """Faults in preparations, which go on until told that they are enough."""

    def __init__(self, seed: int, rows: dict[tuple[str, str], Row]) -> None:
        super().__init__(seed, rows)
        self.machine.own |= {"VGSEARCH_STALLED_AFTER": "40"}
        self.driver = self.machine.start_module(PREPARATION, self.machine.folder)

    def text(self) -> str:
        return self.machine.log(PREPARATION)

    def inject(self, kind: str, fault: str) -> None:
        """One fault; the task must then be done."""
        pid, n_done = self.signalled(kind, fault, self.draw.uniform(0, 0.3)), self.text().count(DONE)
        seconds = within(SECONDS_TO_GO_ON, lambda: not self.runs() or self.text().count(DONE) > n_done)
        wrong = "" if seconds is not None and self.runs() else f"stuck, or ended: {self.text()[-300:]}"
        if fault == "SIGSTOP" and not wrong and f"from process {pid} on" not in self.text():
            wrong = f"process {pid} was not named"
        self.note(kind, fault, seconds or SECONDS_TO_GO_ON, wrong)


def tasks_part(seed: int, n_moments: int, n_ends: int, rows: dict[tuple[str, str], Row]) -> None:
    """Faults in the tasks that prepare a sweep; each must find what an undisturbed one finds."""
    drill = TasksDrill(seed, rows)
    wait_until(lambda: not drill.runs() or "and round 1" in drill.text(), drill.text)
    kinds = ("data worker", "fit", "floor")  # in the order in which a round has them
    faults = [(kind, fault) for turn in range(n_moments)
              for fault in ("SIGKILL", "SIGTERM", "SIGHUP", CONTINUED, *(("SIGSTOP",) if turn < 1 else ()))
              for kind in kinds]  # fmt: skip
    n_injected = until(deadline(SECONDS_OF_TASKS), faults, lambda fault: drill.inject(*fault))
    print(f"the tasks had {n_injected} of {len(faults)} faults", flush=True)
    (drill.machine.folder / "enough").touch()
    assert drill.driver is not None
    assert drill.driver.wait(1500) == 0, drill.text()[-3000:]


def stalls_part(seed: int, n_moments: int, n_ends: int, rows: dict[tuple[str, str], Row]) -> None:
    """A trial that stays stopped is told and ended by name, and the sweep goes on."""
    drill = SweepDrill(seed, rows)
    drill.machine.own |= {"VGSEARCH_STALLED_AFTER": "40"}
    drill.start()
    for _ in range(n_ends):
        due = drill.n_lines() + drill.draw.randrange(1, 6)
        wait_until(lambda due=due: not drill.runs() or drill.n_lines() >= due, drill.log.read_text)
        n_stalled = drill.record().count("stalled")
        pid = drill.signalled("trial", "SIGSTOP", drill.draw.uniform(0, 0.05))
        seconds = within(SECONDS_TOLD, lambda n=n_stalled: not drill.runs() or drill.record().count("stalled") > n)
        told = f"from process {pid} on" in drill.log.read_text()
        wrong = "" if seconds is not None and told else f"not ended, or not told: {drill.last_line()}"
        drill.note("trial", "SIGSTOP", seconds or SECONDS_TOLD, wrong)
    assert drill.driver is not None
    assert drill.driver.wait(1500) == 0, drill.log.read_text()[-3000:]


PARTS = {"sweep": sweep_part, "tasks": tasks_part, "stalls": stalls_part}


def table(rows: dict[tuple[str, str], Row]) -> str:
    """The rows as a Markdown table."""
    lines = [
        f"| {kind} | {fault} | {row.survived} | {row.ended} | {row.longest:.0f} | {'; '.join(row.wrong) or 'nothing'} |"
        for (kind, fault), row in sorted(rows.items())
    ]
    head = ["| process | signal | survived | ended by name | longest, s | wrong |", "|---|---|---|---|---|---|"]
    return "\n".join([*head, *lines])


def main() -> None:
    numbers = [int(each) for each in sys.argv[1:] if each.isdigit()]
    seed, n_moments, n_ends = [*numbers, *(0, N_MOMENTS, N_ENDS)[len(numbers) :]]
    parts = [each for each in sys.argv[1:] if not each.isdigit()] or list(PARTS)
    rows: dict[tuple[str, str], Row] = {}
    began = time.monotonic()
    for part in parts:
        PARTS[part](seed, n_moments, n_ends, rows)
    print(f"seed {seed}, {n_moments} moments, {n_ends} of faults that end the driver; parts {', '.join(parts)}; "
          f"commit {commit()}; {(time.monotonic() - began) / 60:.0f} min\n\n{table(rows)}")  # fmt: skip
    sys.exit(1 if any(row.wrong for row in rows.values()) else 0)


if __name__ == "__main__":
    main()
