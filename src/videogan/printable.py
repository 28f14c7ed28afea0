"""Text of files and of strangers, made harmless for a terminal, a page or a log."""

import re

# Controls except line feed and tab (an escape sequence moves the cursor, retitles the window or clears it; a carriage
# return overwrites the line), invisible and direction-changing characters, separators, bytes that are no text.
_UNPRINTABLE = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    r"\ud800-\udfff\U000e0000-\U000e007f]"
)


def printable(text: str) -> str:
    """The text with each such character written out, as \\x1b for escape; what prints, line feeds and tabs stay."""
    return _UNPRINTABLE.sub(lambda found: found[0].encode("unicode_escape").decode(), text)
