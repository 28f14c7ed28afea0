"""What a rule found: where, what must hold, what came, what to do."""

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Finding:
    """One line of a report. A note is to be known, e.g. a placeholder left to fill in; anything else must be mended."""

    rule: str
    line: int
    must: str
    came: str
    remedy: str
    is_note: bool = False

    def __str__(self) -> str:
        return f"{self.must}, got {self.came}. {self.remedy}"

    def record(self, file: str) -> dict[str, Any]:
        """As `--json` prints it."""
        return {"file": file, **asdict(self)}
