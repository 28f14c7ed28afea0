"""Parts of networks that two or more families share."""

from typing import Any

import torch

# On GPUs torch computes fp32 convolutions with TF32's 10 bits of mantissa by default. Here fp32 means fp32, in scores
# and constraints always; only `precision.tf32` allows it, for a training that asks.
_backends: Any = torch.backends  # torch types cudnn as a plain module
for _part in (_backends.cudnn.conv, _backends.cudnn.rnn, _backends.cuda.matmul):
    _part.fp32_precision = "ieee"
