"""The memory of a step is the forecast one."""

import pytest
import torch

from tests.gpu.device import needs_cuda
from tests.gpu.measure import ARMS, SCALES, context_bytes, measured, run_of
from videogan.training.forecast import forecast
from videogan.training.gpus import Arithmetic

pytestmark = [pytest.mark.gpu, needs_cuda]


@pytest.mark.parametrize("arm", ARMS)
@pytest.mark.parametrize("scale", SCALES)
def test_a_process_takes_the_forecast_memory_within_a_tenth(scale: str, arm: Arithmetic):
    config = run_of(scale, arm)
    tensors, total = forecast(config).memory_bytes, torch.cuda.get_device_properties(0).total_memory
    if tensors + context_bytes() > 0.9 * total:
        pytest.skip(f"needs {(tensors + context_bytes()) / 1e9:.0f} GB")
    found = measured(config, n_steps=3)
    # The context grows while kernels are loaded, so both sides take that of the end.
    assert found.reserved_bytes + found.context_bytes == pytest.approx(tensors + found.context_bytes, rel=0.1)
