"""What moves from the CPU to a device, and whether the device has room for it."""

import torch
from torch import Tensor

CPU = torch.device("cpu")
SHARE_FOR_CLIPS = 0.25
"""Of a GPU's free memory: the rest is for activations, whose peak is not known yet."""


def on_device(tensor: Tensor, device: torch.device) -> Tensor:
    """`tensor`, of the CPU, on `device`; the CPU does not wait for a GPU's earlier work."""
    if device.type != "cuda" or tensor.is_cuda:
        return tensor.to(device)
    return tensor.pin_memory().to(device, non_blocking=True)  # pin_memory returns pinned memory as it is


def has_room(device: torch.device, n_bytes: int) -> bool:
    """Whether clips of `n_bytes` may stay on `device`: a GPU, of whose free memory they are a quarter at most."""
    if device.type != "cuda":
        return False
    unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)  # kept by torch, and free
    return n_bytes <= SHARE_FOR_CLIPS * (torch.cuda.mem_get_info(device)[0] + unused)
