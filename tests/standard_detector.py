"""A stand-in for the field's TorchScript I3D: the same call, and features that can be computed by hand."""

import hashlib
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from videogan.protocols.classifier import WeightsFile

LEAST_FRAMES = 10


class StandIn(torch.nn.Module):
    """Features (B, 2): the mean of a clip, and the mean of its last frame minus that of its first."""

    def forward(self, x: Tensor, rescale: bool = False, resize: bool = False, return_features: bool = False) -> Tensor:
        if x.shape[2] < 10:
            raise RuntimeError("a clip needs 10 frames")
        if resize:
            n, c, t, h, w = x.shape
            frames = x.permute(0, 2, 1, 3, 4).reshape(n * t, c, h, w)
            frames = F.interpolate(frames, size=[224, 224], mode="bilinear", align_corners=False)
            x = frames.reshape(n, t, c, 224, 224).permute(0, 2, 1, 3, 4)
        if rescale:
            x = x / 127.5 - 1
        features = torch.stack([x.flatten(1).mean(1), (x[:, :, -1] - x[:, :, 0]).flatten(1).mean(1)], 1)
        return features if return_features else features.softmax(1)


def saved(module: torch.nn.Module, path: Path) -> WeightsFile:
    """The file of a module, as torch.jit.save writes it."""
    torch.jit.script(module).save(str(path))
    return WeightsFile(path=str(path), sha256=hashlib.sha256(path.read_bytes()).hexdigest())
