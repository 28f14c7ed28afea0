"""No text moves a cursor, hides, or changes its direction once it is printable."""

import sys
import unicodedata

from videogan.printable import printable


def test_controls_are_written_out_and_all_other_text_stays():
    assert printable("\x1b[2J\x1b]0;title\x07") == r"\x1b[2J\x1b]0;title\x07"
    assert printable("ab\rcd") == r"ab\rcd"
    assert printable("\u202eexe.mp4\udce9\x9b31m") == r"\u202eexe.mp4\udce9\x9b31m"
    kept = "walk [bold] :smile: 3 % ▁▂▃ ü 走る\n\tnext"
    assert printable(kept) == kept
    assert printable(printable("\x1b")) == printable("\x1b")


def test_every_control_direction_separator_and_lone_byte_of_unicode_is_written_out():
    harmful = [chr(n) for n in range(sys.maxunicode + 1) if unicodedata.category(chr(n)) in ("Cc", "Cs", "Zl", "Zp")]
    harmful += [chr(n) for n in (*range(0x200B, 0x2010), *range(0x202A, 0x202F), *range(0x2066, 0x206A), 0xFEFF, 0xAD)]
    assert {letter for letter in harmful if printable(letter) == letter} == {"\n", "\t"}
    assert all(printable(letter).isascii() for letter in harmful)
