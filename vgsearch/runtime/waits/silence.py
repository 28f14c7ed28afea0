"""Processes that give no sign of life: told after half a minute, ended after as long as a stalled trial."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from vgsearch.runtime.waits import beats
from vgsearch.runtime.waits.beats import Beat
from vgsearch.runtime.waits.processes import STOPPED
from vgsearch.runtime.waits.waiting import tell
from vgsearch.runtime.waits.workers import TRIAL
from vgsearch.terminal.words import duration

SECONDS_AT_LEAST = float(os.environ.get("VGSEARCH_STALLED_AFTER", 600))
"""Shortest silence, of a trial or a task, that counts as a stall."""
SECONDS_BEFORE_TOLD = 30.0
MOST_SECONDS_COUNTED = 10.0
"""Between two looks: a suspended driver counts no more silence."""
SECONDS_OF_AN_ANSWER = 20.0
UNREACHABLE = "?"


@dataclass
class _Pulse:
    beat: Beat
    silent: float = 0.0
    told: bool = False


class Silences:
    """The silence of each process that beats, counted only while the driver looks.

    `state_of` asks for a process's state on its node, `end` kills it there.
    """

    def __init__(self, state_of: Callable[[Beat], str], end: Callable[[Beat], object]) -> None:
        self._state_of, self._end = state_of, end
        self._pulses: dict[str, _Pulse] = {}
        self._looked: float | None = None
        self.ended: dict[str, str] = {}
        """Why the process of a task was ended, by the task's name."""

    def look(self, found: Mapping[str, Beat], now: float) -> list[str]:
        """Compare with the last look: tell who is silent, end who is silent for too long; returns keys to forget."""
        passed = 0.0 if self._looked is None else min(now - self._looked, MOST_SECONDS_COUNTED)
        self._looked = now
        before, self._pulses = self._pulses, {}
        over = []
        for key, beat in found.items():
            pulse = before.get(key) or _Pulse(beat)
            self._pulses[key] = pulse
            if beat.number != pulse.beat.number:
                self._lives(pulse, beat)
            else:
                pulse.silent += passed
            if pulse.silent >= SECONDS_BEFORE_TOLD and self._is_over(pulse):
                over.append(key)
                del self._pulses[key]
        return over

    def running(self, what: str) -> list[Beat]:
        """The processes that run tasks whose name starts with `what`."""
        return [pulse.beat for pulse in list(self._pulses.values()) if pulse.beat.what.startswith(what)]

    def tasks(self) -> list[str]:
        """The running tasks other than trials, each with its process."""
        return [f"{beat.what} runs in {beat.process}" for beat in self.running("") if not beat.what.startswith(TRIAL)]

    def _lives(self, pulse: _Pulse, beat: Beat) -> None:
        if pulse.told:
            tell(f"{beat.what}: {beat.process} continues after {duration(pulse.silent)}")
        pulse.beat, pulse.silent, pulse.told = beat, 0.0, False

    def _is_over(self, pulse: _Pulse) -> bool:
        """Tell of a silent process, once; end it after the limit. Returns whether it has ended."""
        beat = pulse.beat
        if pulse.told and pulse.silent < SECONDS_AT_LEAST:
            return False
        if not (state := self._state_of(beat)):
            return True  # it ended without deleting its signs: killed, or its node is gone
        silence = f"{beat.what}: no sign of life for {duration(pulse.silent)} from {beat.process}"
        if pulse.silent >= SECONDS_AT_LEAST and not beat.what.startswith(TRIAL):
            self.ended[beat.what] = f"{silence}; VGSEARCH_STALLED_AFTER=<seconds> waits longer"
            tell(f"{silence}; it is ended, and Ray starts the task again up to three times")
            self._end(beat)
            return True
        if not pulse.told:
            tell(f"{silence}{_why(state, beat)}. It is ended after {duration(SECONDS_AT_LEAST)}; Ctrl-C stops")
        pulse.told = True
        return False


def _why(state: str, beat: Beat) -> str:
    if state == UNREACHABLE:
        return ", whose node does not answer"
    return f", which is stopped; there `kill -CONT {beat.pid}` continues it" if state in STOPPED else ""


def state_on_node(beat: Beat) -> str:
    """The state of a process that beats, asked on its node; UNREACHABLE without an answer, empty if the node died."""
    alive = {node["NodeID"] for node in ray.nodes() if node["Alive"]}
    return _on_node(beat, beats.state_of_beat, UNREACHABLE) if beat.node in alive else ""


def kill_on_node(beat: Beat) -> None:
    """Kill a process that beats, on its node."""
    _on_node(beat, beats.kill, None)


def _on_node(beat: Beat, ask: Callable[[Beat], Any], otherwise: Any) -> Any:
    """`ask` of a process on its node, `otherwise` if the node does not answer. Any: what `ask` returns."""
    if beat.node == ray.get_runtime_context().get_node_id():
        return ask(beat)
    there = NodeAffinitySchedulingStrategy(beat.node, soft=False)
    asking: Any = ray.remote(ask)  # Any: Ray types no remote function that takes options
    task = asking.options(num_cpus=0, max_retries=0, scheduling_strategy=there).remote(beat)
    try:
        return ray.get(task, timeout=SECONDS_OF_AN_ANSWER)
    except ray.exceptions.RayError:
        return otherwise
