"""A 3-D convolution over a video and a constant volume of its label, without the volume."""

import torch
from torch import Tensor, nn
from torch.nn.functional import conv1d, conv3d


class LabelledConv3d(nn.Conv3d):
    """Conv3d, kernel 4, stride 2, padding 1, of [x; v]: x with v, broadcast to x's size, as channels (TGAN sec. 5.2).

    v is constant over the volume, so a kernel's response to it is, per axis, the sum of the taps inside the padding.
    Three small products replace a convolution of V more channels, with the same result. forward: x (B, C, T, H, W), v
    (B, V) -> (B, n_out, T / 2, H / 2, W / 2). `weight` is (n_out, C + V, 4, 4, 4).
    """

    def __init__(self, n_in: int, n_labels: int, n_out: int) -> None:
        super().__init__(n_in + n_labels, n_out, 4, 2, 1)
        self._n_in = n_in

    def forward(self, x: Tensor, v: Tensor) -> Tensor:  # type: ignore[override]  # a label beside the video
        of_video, of_label = self.weight[:, : self._n_in], self.weight[:, self._n_in :]
        kernels = torch.einsum("bv,ovijk->boijk", v.to(of_label), of_label)
        t, h, w = (_taps_inside(size).to(of_label) for size in x.shape[2:])
        label = torch.einsum("boijk,it,jh,kw->bothw", kernels, t, h, w)
        return conv3d(x, of_video, self.bias, self.stride, self.padding) + label


def _taps_inside(size: int) -> Tensor:
    """(4, size / 2): 1 if tap k of a kernel at output position o reads the input, 0 if it reads padding."""
    return conv1d(torch.ones(1, 1, size), torch.eye(4)[:, None], stride=2, padding=1)[0]
