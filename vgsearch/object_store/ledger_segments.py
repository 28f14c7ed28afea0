"""A ledger's lines on an object store, where nothing can be appended to: objects that never change, named by their lines."""

import re
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from vgsearch.object_store.lease import ExperimentInUse
from videogan.storage.places import RemotePath

MERGED = 64
"""Segments of one size that become one of that many times the size, so that a reader asks for few: 10,000 lines lie in at
most 127 objects."""
TRIES = 5
SECONDS_BETWEEN_TRIES = 0.2
READERS = 16  # requests at once: each waits for the network
Span = tuple[int, int]
"""First and last line, counted from 0."""


class MissingSegments(RuntimeError):
    """Lines of a ledger that no segment holds, though later ones are there."""


class Segments:
    """`<first>-<last>.jsonl` for spans of lines; where a merge leaves a line in several for a moment, all say the same."""

    def __init__(self, folder: RemotePath) -> None:
        self.folder = folder
        self._spans: list[Span] = []

    def lines_from(self, first: int) -> list[bytes]:
        """The lines from the given one on, without their ends. Raises MissingSegments."""
        for _ in range(TRIES):
            spans = self._listed()
            try:
                chosen = list(_cover(spans, first))
                with ThreadPoolExecutor(READERS) as pool:
                    contents = list(pool.map(lambda span: self._path(span).read_bytes(), chosen))
            except FileNotFoundError:  # merged since they were listed
                continue
            except MissingSegments:
                time.sleep(SECONDS_BETWEEN_TRIES)
                continue
            numbered: dict[int, bytes] = {}
            for (start, _), content in zip(chosen, contents, strict=True):
                numbered |= dict(enumerate(content.split(b"\n")[:-1], start))
            return [numbered[number] for number in sorted(numbered) if number >= first]
        raise MissingSegments(
            f"{self.folder} lacks the lines from {first} on that come before {max(spans)[1]}; restore its objects from a copy."
        )

    def open(self) -> None:
        """For the one who writes: takes stock, and deletes what a merge that was cut off left behind."""
        spans = self._listed()
        self._spans = list(_cover(spans, 0))
        for span in set(spans) - set(self._spans):
            self._path(span).unlink(missing_ok=True)

    def append(self, number: int, line: bytes) -> None:
        """Keeps a line. Raises ExperimentInUse where another driver has written it."""
        span = number, number
        later = [other for other in self._listed() if other[1] >= number]
        # A request that failed may have been done; merged segments are of more lines, and so another's.
        if later and not (later == [span] and self._path(span).read_bytes() == line):
            raise ExperimentInUse(
                f"{self._path(later[0])} was written by another driver: this one was out of reach for too long, and has lost "
                "the experiment."
            )
        self._path(span).put(line)
        self._spans.append(span)

    def merge(self, ledger: Path) -> None:
        """Makes one segment of as many of one size as should be one, with lines out of the local `ledger`."""
        while len(tail := self._spans[-MERGED:]) == MERGED and len({last - first for first, last in tail}) == 1:
            self._merge(tail, ledger)

    def _merge(self, tail: list[Span], ledger: Path) -> None:
        merged = tail[0][0], tail[-1][1]
        lines = ledger.read_bytes().split(b"\n")[merged[0] : merged[1] + 1]
        self._path(merged).put(b"".join(line + b"\n" for line in lines))
        self._spans[-MERGED:] = [merged]
        for span in tail:
            self._path(span).unlink(missing_ok=True)

    def _listed(self) -> list[Span]:
        found = (re.fullmatch(r"(\d+)-(\d+)\.jsonl", name) for name in self.folder.file_names())
        return [(int(name[1]), int(name[2])) for name in found if name]

    def _path(self, span: Span) -> RemotePath:
        return self.folder / f"{span[0]:09d}-{span[1]:09d}.jsonl"


def _cover(spans: Iterable[Span], first: int) -> Iterable[Span]:
    """The fewest spans that hold all lines from `first` on; raises MissingSegments for a hole."""
    left = sorted(span for span in spans if span[1] >= first)
    wanted = first
    while reaching := [span for span in left if span[0] <= wanted <= span[1]]:
        widest = max(reaching, key=lambda span: span[1])
        yield widest
        wanted = widest[1] + 1
        left = [span for span in left if span[1] >= wanted]
    if left:
        raise MissingSegments
