"""Prefetching: a thread reads the next batch of a clip source while the step computes."""

from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Self

import torch
from torch import Tensor

from videogan.data.clips import ClipSource

Batch = tuple[Tensor, Tensor]


class PrefetchedClips:
    """A clip source that reads batch index + 1 of another source while the step computes on batch index.

    Batches are bit for bit the source's own, in pinned memory on a machine with CUDA. Only the thread uses the source.
    An error of the source is raised by the call that asks for that batch. As a context manager, it waits for the batch
    being read and stops the thread when it closes.
    """

    def __init__(self, source: ClipSource) -> None:
        self.source, self.label_counts, self.manifest_digest = source, source.label_counts, source.manifest_digest
        self._pins = torch.cuda.is_available()
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="prefetch")
        self._ahead: tuple[int, Future[Batch]] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stop the thread; `batch` then raises RuntimeError."""
        self._ahead = None
        self._thread.shutdown(wait=True, cancel_futures=True)

    def batch(self, index: int) -> Batch:
        """The source's batch `index`; waits only if it is not read yet."""
        ahead, self._ahead = self._ahead, None
        pending = ahead[1] if ahead and ahead[0] == index else self._thread.submit(self._fetch, index)
        batch = pending.result()
        self._ahead = (index + 1, self._thread.submit(self._fetch, index + 1))
        return batch

    def _fetch(self, index: int) -> Batch:
        frames, labels = self.source.batch(index)
        return (frames.pin_memory(), labels.pin_memory()) if self._pins else (frames, labels)
