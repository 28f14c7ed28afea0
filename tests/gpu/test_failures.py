"""What a device does when it fails: memory comes back after an error, and a broken context ends its process only."""

import gc
import subprocess
import sys
from collections.abc import Iterator

import pytest
import torch

from tests.builders import NoiseClips
from tests.gpu.device import losses_on, needs_cuda, small_config, training_on
from videogan.classifiers.fit import Recipe, features
from videogan.classifiers.resnet3d import ResNet3D18
from videogan.out_of_memory import is_out_of_memory

pytestmark = [pytest.mark.gpu, needs_cuda]
SMALL_BYTES = 1.5e9
BROKEN = """
import torch
from vgsearch.runtime.sweep.broken_device import BrokenDevice, refuse_broken
refuse_broken("cuda", ValueError("an error of the trial"))
try:
    torch.zeros(3, device="cuda")[torch.tensor([7], device="cuda")].sum().item()
except Exception as error:
    try:
        refuse_broken("cuda", error)
    except BrokenDevice as broken:
        print("broken:", broken)
"""


@pytest.fixture
def small_device() -> Iterator[None]:
    """This process may take 1.5 GB of the device's memory, besides its context."""
    total = torch.cuda.get_device_properties(0).total_memory
    gc.collect()
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction(SMALL_BYTES / total)
    yield
    torch.cuda.set_per_process_memory_fraction(1.0)


@pytest.mark.usefixtures("small_device")
def test_a_step_that_lacks_memory_says_so_and_a_smaller_one_runs_after_it():
    large = small_config({"channels": 64, "resolution": 64}, batch_size=64)
    with pytest.raises(RuntimeError) as lacks:
        training_on("cuda", large).step_(1, NoiseClips.of(large))
    assert is_out_of_memory(lacks.value)
    del lacks
    gc.collect()
    assert torch.cuda.memory_allocated() < 1e8
    assert losses_on("cuda", small_config())


@pytest.mark.usefixtures("small_device")
def test_a_batch_that_does_not_fit_is_scored_in_halves(caplog: pytest.LogCaptureFixture):
    network = ResNet3D18(3, width=64).cuda().eval()
    frames = torch.randint(256, (128, 16, 96, 96, 3), dtype=torch.uint8)
    whole, parts = Recipe(batch_size=128, precision="fp32"), Recipe(batch_size=4, precision="fp32")
    found = features(network, frames, whole, "logits")
    assert "out of memory with 128 clips" in caplog.text
    torch.testing.assert_close(found, features(network, frames, parts, "logits"), rtol=1e-3, atol=1e-4)


def test_a_broken_context_is_told_from_an_error_of_the_trial_and_leaves_other_processes_alone():
    told = subprocess.run([sys.executable, "-c", BROKEN], capture_output=True, text=True, timeout=300)
    assert told.stdout.startswith("broken: GPU "), told.stderr
    assert torch.ones(1, device="cuda").item() == 1
