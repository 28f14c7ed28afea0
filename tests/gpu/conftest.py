"""Tests of this folder need a CUDA device; elsewhere they are skipped with the reason."""

from collections.abc import Iterator

import pytest

from tests.gpu.device import HAS_CUDA, NO_DEVICE, REHEARSES, tf32


@pytest.fixture(autouse=True)
def _on_a_device() -> Iterator[None]:
    """Skips without a device; computes in fp32, as CPUs do, where a test does not ask for less."""
    if not (HAS_CUDA or REHEARSES):
        pytest.skip(NO_DEVICE)
    with tf32(False):
        yield
