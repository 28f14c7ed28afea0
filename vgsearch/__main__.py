"""python -m vgsearch: the same as the command vgsearch."""

from vgsearch.cli import main

main()
