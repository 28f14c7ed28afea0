"""What happened at each moment of the drill of faults, in a file, so that a later run goes on where one ended."""

import json
import random
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

Fault = tuple[str, str]
"""A kind of process and what it got."""


@dataclass(frozen=True)
class Moment:
    """One fault and its effect; `part` is the part of the drill, `wrong` is empty if nothing was."""

    part: str
    kind: str
    fault: str
    seconds: float
    survived: bool
    wrong: str = ""


class FaultTable:
    """The moments of a drill, those of earlier runs into the same file included."""

    def __init__(self, file: Path) -> None:
        self.file = file
        lines = file.read_text("utf-8").splitlines() if file.exists() else []
        self.moments = [Moment(**json.loads(line)) for line in lines]

    def add(self, moment: Moment) -> None:
        """Write a moment down, and print it."""
        self.moments.append(moment)
        with self.file.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(asdict(moment)) + "\n")
        effect = moment.wrong or ("survived" if moment.survived else "ended")
        print(f"{moment.kind} {moment.fault}: {moment.seconds:.0f} s {effect}", flush=True)

    def n_of(self, part: str) -> int:
        return sum(moment.part == part for moment in self.moments)

    def left(self, part: str, numbers: Mapping[Fault, int], draw: random.Random | None) -> list[Fault]:
        """Each fault as often as its number says and it has not yet come, shuffled by `draw`.

        A fault comes a second time only after each other has come once.
        """
        faults: list[Fault] = []
        done = [(moment.kind, moment.fault) for moment in self.moments if moment.part == part]
        for number in range(max(numbers.values())):
            one_round = [fault for fault, n in numbers.items() if done.count(fault) <= number < n]
            if draw is not None:
                draw.shuffle(one_round)
            faults += one_round
        return faults

    @property
    def wrong(self) -> list[str]:
        return [moment.wrong for moment in self.moments if moment.wrong]

    def markdown(self) -> str:
        """A row for each fault."""
        lines = ["| process | signal | survived | ended by name | longest, s | wrong |", "|---|---|---|---|---|---|"]
        for kind, fault in sorted({(moment.kind, moment.fault) for moment in self.moments}):
            of = [moment for moment in self.moments if (moment.kind, moment.fault) == (kind, fault)]
            right = [moment.survived for moment in of if not moment.wrong]
            longest = max(moment.seconds for moment in of)
            wrong = "; ".join(moment.wrong for moment in of if moment.wrong) or "nothing"
            lines.append(f"| {kind} | {fault} | {sum(right)} | {len(right) - sum(right)} | {longest:.0f} | {wrong} |")
        return "\n".join(lines)
