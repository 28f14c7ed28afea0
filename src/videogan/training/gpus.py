"""GPUs by name, from their makers' datasheets, and the hours that a counted cost takes on them, as a range."""

from dataclasses import dataclass
from typing import Literal

Arithmetic = Literal["fp32", "tf32", "bf16"]
MIB = 2**20
CONTEXT_BYTES = 0.6e9
"""Of a process on a GPU: the CUDA context and the libraries' handles. Assumed; it depends on driver and build."""
SPARE = 1.1
"""Memory over that of the tensors: kernels' workspaces, and the allocator's fragments. Assumed."""
FAST, SLOW = (0.7, 0.85), (0.3, 0.5)
"""Shares of the peak arithmetic and of the bandwidth between which a training is assumed to run. Fast: both at once;
slow: one after the other."""


@dataclass(frozen=True)
class GPU:
    """memory_mib: as nvidia-smi shows it; gb_per_s: memory bandwidth; tflops: peak by arithmetic, without sparsity."""

    name: str
    memory_mib: int
    gb_per_s: float
    tflops: dict[Arithmetic, float]

    @property
    def memory_bytes(self) -> int:
        """Bytes of its memory."""
        return self.memory_mib * MIB

    @property
    def has_bf16(self) -> bool:
        """Whether it computes in bf16; PyTorch emulates it elsewhere, slowly."""
        return "bf16" in self.tflops

    def seconds(self, flops: float, bytes_moved: float, arithmetic: Arithmetic) -> tuple[float, float] | None:
        """The least and most seconds of counted costs; None if it has no such arithmetic."""
        if arithmetic not in self.tflops:
            return None
        computing, moving = flops / (self.tflops[arithmetic] * 1e12), bytes_moved / (self.gb_per_s * 1e9)
        return max(computing / FAST[0], moving / FAST[1]), computing / SLOW[0] + moving / SLOW[1]


def needed_bytes(tensors: float) -> float:
    """GPU memory of a process whose tensors take so many bytes at their peak."""
    return CONTEXT_BYTES + SPARE * tensors


GPUS = {
    gpu.name: gpu
    for gpu in (
        GPU("T4", 15_360, 320, {"fp32": 8.1}),
        GPU("V100", 16_160, 900, {"fp32": 15.7}),
        GPU("V100-32GB", 32_510, 900, {"fp32": 15.7}),
        GPU("A10G", 23_028, 600, {"fp32": 31.2, "tf32": 35, "bf16": 70}),
        GPU("L4", 23_034, 300, {"fp32": 30.3, "tf32": 60, "bf16": 121}),
        GPU("L40S", 46_068, 864, {"fp32": 91.6, "tf32": 183, "bf16": 362}),
        GPU("A100-40GB", 40_536, 1_555, {"fp32": 19.5, "tf32": 156, "bf16": 312}),
        GPU("A100-80GB", 81_920, 2_039, {"fp32": 19.5, "tf32": 156, "bf16": 312}),
        GPU("H100", 81_559, 3_350, {"fp32": 66.9, "tf32": 494, "bf16": 989}),
        GPU("H200", 143_771, 4_800, {"fp32": 66.9, "tf32": 494, "bf16": 989}),
    )
}
