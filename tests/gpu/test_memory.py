"""The memory of a step is the forecast one."""

import pytest
import torch

from tests.gpu.device import needs_cuda
from tests.gpu.measure import ARMS, SCALES, context_bytes, measured, run_of
from videogan.training.forecast import forecast

pytestmark = [pytest.mark.gpu, needs_cuda]


@pytest.mark.parametrize("arm", ARMS)
@pytest.mark.parametrize("scale", SCALES)
def test_a_process_takes_the_forecast_memory_within_a_tenth(scale: str, arm: str):
    config = run_of(scale, arm)
    needed = forecast(config).memory_bytes + context_bytes()
    if needed > 0.9 * torch.cuda.get_device_properties(0).total_memory:
        pytest.skip(f"needs {needed / 1e9:.0f} GB")
    found = measured(config, n_steps=3)
    # The context grows while kernels are loaded, so both sides take that of the end.
    needed = forecast(config).memory_bytes + found.context_bytes
    assert found.reserved_bytes + found.context_bytes == pytest.approx(needed, rel=0.1)
