"""Tests of this folder need a CUDA device; elsewhere they are skipped with the reason."""

import pytest

from tests.gpu.device import HAS_CUDA, NO_DEVICE, REHEARSES


@pytest.fixture(autouse=True)
def _on_a_device() -> None:
    if not (HAS_CUDA or REHEARSES):
        pytest.skip(NO_DEVICE)
