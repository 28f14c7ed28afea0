"""The only console: all text that rich draws on a terminal passes through it.

Names of classes, files, trials and spaces, and reasons in ledgers, may come from strangers.
"""

from collections.abc import Iterable

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from videogan.printable import printable

WIDTH_OF_A_FILE = 200
"""Characters of a line in a pipe or a file, which has no width to fit."""


class Terminal(Console):
    """A console that prints text as it is: no markup, no emoji codes, no guessed colours, no control characters."""

    def __init__(self, stderr: bool = False, quiet: bool = False) -> None:
        super().__init__(stderr=stderr, quiet=quiet, highlight=False, markup=False, emoji=False)
        if not self.is_terminal:
            self.width = WIDTH_OF_A_FILE

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """What rich would draw; only rich's own controls, which move the cursor under a live table, stay controls."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(printable(segment.text), segment.style)
