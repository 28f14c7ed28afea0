"""A finding of a rule: where, what must hold, what the file has, what to do."""

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Finding:
    """One line of the report. A note only informs, e.g. of a placeholder; any other finding fails the file."""

    rule: str
    line: int
    must: str
    came: str
    remedy: str
    is_note: bool = False

    def __str__(self) -> str:
        return f"{self.must}, got {self.came}. {self.remedy}"

    def record(self, file: str) -> dict[str, Any]:
        """The finding as `--json` prints it."""
        return {"file": file, **asdict(self)}
