"""Plans of streams whose decoding kills its process. Ray Data's workers import this file, so it imports no torch."""

import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from vgsearch.runtime.feed.stream import StreamPlan


@dataclass(frozen=True)
class OnceKilledPlan(StreamPlan):
    """A plan whose worker is killed in the middle of batch 2, once, as the kernel does when memory is short."""

    killed: str

    def decoded(self, positions: np.ndarray) -> Iterator[tuple[np.ndarray, int]]:
        for position, decoded in zip(positions, super().decoded(positions), strict=True):
            if position == 20 and not os.path.exists(self.killed):
                open(self.killed, "x").close()
                os.kill(os.getpid(), signal.SIGKILL)
            yield decoded


@dataclass(frozen=True)
class CrashingPlan(StreamPlan):
    """A plan with a file in it on which the decoder crashes with its process, each time."""

    def decoded(self, positions: np.ndarray) -> Iterator[tuple[np.ndarray, int]]:
        if 20 in positions:
            os.kill(os.getpid(), signal.SIGSEGV)
        return super().decoded(positions)
