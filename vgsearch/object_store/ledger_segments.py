"""A ledger on an object store, where nothing can be appended: objects that never change, named by line numbers."""

import re
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from vgsearch.object_store.conditional import Changed, create
from vgsearch.object_store.lease import ExperimentInUse
from videogan.storage.places import RemotePath

MERGED = 64
"""This many segments of equal size are merged into one, so that readers request few objects: at most 127 for 10,000
lines."""
TRIES = 5
SECONDS_BETWEEN_TRIES = 0.2
READERS = 16  # parallel requests; each mostly waits for the network
Span = tuple[int, int]
"""Numbers of the first and last line, from 0."""


class MissingSegments(RuntimeError):
    """Some lines are in no segment, although later lines are."""


class Segments:
    """The objects `<first>-<last>.jsonl` of one ledger.

    During a merge a line may be in two of them, with the same content.
    """

    def __init__(self, folder: RemotePath) -> None:
        self.folder = folder
        self._spans: list[Span] = []

    def lines_from(self, first: int) -> list[bytes]:
        """All lines from number `first` on, without line ends; raises MissingSegments."""
        for _ in range(TRIES):
            spans = self._listed()
            try:
                chosen = list(_cover(spans, first))
                with ThreadPoolExecutor(READERS) as pool:
                    contents = list(pool.map(lambda span: self._path(span).read_bytes(), chosen))
            except FileNotFoundError:  # merged after they were listed
                continue
            except MissingSegments:
                time.sleep(SECONDS_BETWEEN_TRIES)
                continue
            numbered: dict[int, bytes] = {}
            for (start, _), content in zip(chosen, contents, strict=True):
                numbered |= dict(enumerate(content.split(b"\n")[:-1], start))
            return [numbered[number] for number in sorted(numbered) if number >= first]
        raise MissingSegments(
            f"{self.folder} lacks lines between {first} and {max(spans)[1]}; restore its objects from a copy."
        )

    def open(self) -> None:
        """List the segments before writing, and delete those that an interrupted merge left behind."""
        spans = self._listed()
        self._spans = list(_cover(spans, 0))
        for span in set(spans) - set(self._spans):
            self._path(span).unlink(missing_ok=True)

    def append(self, number: int, line: bytes) -> None:
        """Store one line; raises ExperimentInUse if another driver has written that number, also while this one writes.

        The storage refuses to replace a line. If another driver has already merged it, the list shows that afterwards,
        and readers take the merged one.
        """
        span = number, number
        try:
            create(self._path(span), line)
        except Changed:
            # Our own request may have succeeded although it reported an error.
            if not self._is_stored(span, line):
                raise self._taken_over(span) from None
        if others := [other for other in self._listed() if other[1] >= number and other != span]:
            self._path(span).unlink(missing_ok=True)
            raise self._taken_over(others[0])
        self._spans.append(span)

    def _is_stored(self, span: Span, line: bytes) -> bool:
        try:
            return self._path(span).read_bytes() == line
        except FileNotFoundError:  # merged by the other driver
            return False

    def _taken_over(self, span: Span) -> ExperimentInUse:
        return ExperimentInUse(
            f"{self._path(span)}: another driver took over this experiment while this one was suspended or could not "
            "reach the storage; stopping. What the other wrote is kept, and this one's last event is not."
        )

    def merge(self, ledger: Path) -> None:
        """Merge the last segments while MERGED of them have one size, with lines from the local `ledger`."""
        while len(tail := self._spans[-MERGED:]) == MERGED and len({last - first for first, last in tail}) == 1:
            self._merge(tail, ledger)

    def _merge(self, tail: list[Span], ledger: Path) -> None:
        merged = tail[0][0], tail[-1][1]
        lines = ledger.read_bytes().split(b"\n")[merged[0] : merged[1] + 1]
        with suppress(Changed):  # by an earlier try, with the same lines
            create(self._path(merged), b"".join(line + b"\n" for line in lines))
        self._spans[-MERGED:] = [merged]
        for span in tail:
            self._path(span).unlink(missing_ok=True)

    def _listed(self) -> list[Span]:
        found = (re.fullmatch(r"(\d+)-(\d+)\.jsonl", name) for name in self.folder.file_names())
        return [(int(name[1]), int(name[2])) for name in found if name]

    def _path(self, span: Span) -> RemotePath:
        return self.folder / f"{span[0]:09d}-{span[1]:09d}.jsonl"


def _cover(spans: Iterable[Span], first: int) -> Iterable[Span]:
    """The fewest spans that cover all lines from `first` on; raises MissingSegments for a gap."""
    left = sorted(span for span in spans if span[1] >= first)
    wanted = first
    while reaching := [span for span in left if span[0] <= wanted <= span[1]]:
        widest = max(reaching, key=lambda span: span[1])
        yield widest
        wanted = widest[1] + 1
        left = [span for span in left if span[1] >= wanted]
    if left:
        raise MissingSegments
