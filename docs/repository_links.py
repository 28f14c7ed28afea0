"""For mkdocs: a link to a file outside docs/ becomes that file's name, since the site holds these pages only."""

import re
from typing import Any

LINK = re.compile(r"\[([^\]]+)\]\(\.\./([^)#]+)[^)]*\)")


def on_page_markdown(markdown: str, **unused: Any) -> str:
    """The page with such links as names in code."""
    return LINK.sub(r"`\2`", markdown)
