"""Opens a page in the user's browser."""

import webbrowser
from pathlib import Path

from vgsearch.terminal.line import print_line


def open_page(page: Path) -> None:
    """Open `page` in the browser that the system or $BROWSER names; without one, say so: the page is written anyway."""
    if not webbrowser.open(page.absolute().as_uri()):
        print_line(f"note: --open found no browser on this machine; open {page.absolute()}", error=True)
