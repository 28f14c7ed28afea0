"""The convolution with a label volume is exact without building the volume."""

import pytest
import torch
from torch.nn.functional import conv3d, one_hot

from videogan.nets.label_volume import LabelledConv3d


@pytest.mark.parametrize("v", [one_hot(torch.tensor([4, 0, 1]), 5).double(), torch.rand(3, 5, dtype=torch.double)])
def test_the_result_is_the_convolution_of_the_video_with_its_broadcast_label_as_channels(v):
    torch.manual_seed(0)
    layer, x = LabelledConv3d(3, 5, 7).double(), torch.randn(3, 3, 8, 6, 4, dtype=torch.double)
    volume = v[:, :, None, None, None].expand(-1, -1, *x.shape[2:])
    literal = conv3d(torch.cat([x, volume], 1), layer.weight, layer.bias, stride=2, padding=1)
    assert torch.allclose(layer(x, v), literal, rtol=1e-12, atol=1e-12)
