"""The next batch before the step asks for it: any clip source, one batch ahead in a thread of its own."""

from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Self

import torch
from torch import Tensor

from videogan.data.clips import ClipSource

Batch = tuple[Tensor, Tensor]


class PrefetchedClips:
    """A clip source that fetches batch index + 1 while the step computes on batch index.

    The batches are the source's own, bit for bit; on a machine with CUDA they lie in pinned memory. Only the one thread
    ever touches the source. What the source raises is raised by the call that asks for that batch, and by no other. A
    context manager: closing waits for the batch that is being fetched and ends the thread.
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
        """Ends the thread; RuntimeError from any later `batch`."""
        self._ahead = None
        self._thread.shutdown(wait=True, cancel_futures=True)

    def batch(self, index: int) -> Batch:
        """The source's batch `index`; waits only for what is not yet fetched."""
        ahead, self._ahead = self._ahead, None
        asked = ahead[1] if ahead and ahead[0] == index else self._thread.submit(self._fetch, index)
        batch = asked.result()
        self._ahead = (index + 1, self._thread.submit(self._fetch, index + 1))
        return batch

    def _fetch(self, index: int) -> Batch:
        frames, labels = self.source.batch(index)
        return (frames.pin_memory(), labels.pin_memory()) if self._pins else (frames, labels)
