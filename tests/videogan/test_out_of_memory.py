"""Lack of memory is known by every library's words, and a batch that does not fit is computed in halves."""

import pytest
import torch
from torch import Tensor

from tests.videogan.classifiers.test_fit import MeanColour, coloured_clips
from videogan.classifiers.fit import Recipe, features
from videogan.out_of_memory import in_halves, is_out_of_memory

TEXTS = {
    "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 21.98 GiB": True,
    "CUDA error: out of memory\nCUDA kernel errors might be asynchronously reported": True,
    "cuDNN error: CUDNN_STATUS_ALLOC_FAILED": True,
    "cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED": True,
    "cusolver error: CUSOLVER_STATUS_ALLOC_FAILED, when calling `cusolverDnCreate(handle)`": True,
    "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`": True,
    "NCCL error: unhandled cuda error. Last error: Cuda failure 2 'out of memory'": True,
    "[enforce fail at alloc_cpu.cpp:114] DefaultCPUAllocator: can't allocate memory": True,
    "CUDA error: an illegal memory access was encountered": False,
    "CUDA error: device-side assert triggered": False,
    "CUDA error: CUBLAS_STATUS_EXECUTION_FAILED when calling `cublasSgemm`": False,
}


@pytest.mark.parametrize(("text", "means_it"), TEXTS.items())
def test_lack_of_memory_is_known_by_its_words(text: str, means_it: bool):
    assert is_out_of_memory(RuntimeError(text)) is means_it


class Small(MeanColour):
    """A classifier on a device that holds `most` clips."""

    most = 3

    def forward(self, video: Tensor) -> Tensor:
        if len(video) > self.most:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return super().forward(video)


def test_a_batch_that_does_not_fit_has_the_same_features_in_halves():
    clips, recipe = coloured_clips(20), Recipe(batch_size=8, precision="fp32")
    large, small = MeanColour(2), Small(2)
    small.load_state_dict(large.state_dict())
    for network in (large, small):
        torch.nn.init.constant_(network.linear.weight, 0.5)
    assert features(small, clips.frames, recipe, "logits").equal(features(large, clips.frames, recipe, "logits"))
    small.most = 0
    with pytest.raises(torch.OutOfMemoryError):
        features(small, clips.frames, recipe, "logits")


def test_another_error_is_not_tried_again():
    sizes = []

    def fails(rows: Tensor) -> Tensor:
        sizes.append(len(rows))
        raise RuntimeError("CUDA error: an illegal memory access was encountered")

    with pytest.raises(RuntimeError, match="illegal"):
        in_halves(fails, torch.arange(8))
    assert sizes == [8]


def test_rows_of_several_batches_stay_together():
    def joined(a: Tensor, b: Tensor) -> Tensor:
        if len(a) > 2:
            raise MemoryError
        return 10 * a + b

    rows = torch.arange(7)
    assert in_halves(joined, rows, rows).equal(11 * rows)
