"""A device that an error left unusable: every later call in the process fails too, so the process must end."""

from dataclasses import dataclass

import ray
import torch

from vgsearch.runtime.sweep.failures import in_one_line


@dataclass(frozen=True)
class Gpu:
    """A GPU of a cluster."""

    node: str
    """Ray's id of the node."""
    host: str
    number: str
    """As Ray counts the node's GPUs."""

    def __str__(self) -> str:
        return f"GPU {self.number} of {self.host}"


class BrokenDevice(RuntimeError):
    """After an illegal access or a fault of the hardware no call of this process to its GPU succeeds any more."""

    def __init__(self, gpu: Gpu, reason: str) -> None:
        super().__init__(gpu, reason)
        self.gpu, self.reason = gpu, reason

    def __str__(self) -> str:
        return f"{self.gpu} is unusable in this process: {self.reason}"


def refuse_broken(device: torch.device | str, error: BaseException) -> None:
    """Raise BrokenDevice from `error` if the device does not answer; nothing for a CPU."""
    if isinstance(error, BrokenDevice):
        raise error
    if torch.device(device).type != "cuda":
        return
    try:
        torch.cuda.synchronize(device)
    except Exception:  # noqa: BLE001 (torch without CUDA and a missing driver have other classes than a CUDA error)
        raise BrokenDevice(this_gpu(), in_one_line(error)) from error


def this_gpu() -> Gpu:
    """The first of this process's GPUs; number "?" outside of a task or actor of Ray with a GPU."""
    if not ray.is_initialized():
        return Gpu("", "this machine", "?")
    context = ray.get_runtime_context()
    numbers = context.get_accelerator_ids().get("GPU", [])
    return Gpu(context.get_node_id(), ray.util.get_node_ip_address(), numbers[0] if numbers else "?")
