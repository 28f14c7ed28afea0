"""Parts of networks that two or more families share."""

import torch

# On GPUs torch computes fp32 convolutions with TF32's 10 bits of mantissa by default. Here fp32 means fp32, in scores
# and constraints always; only `precision.tf32` allows it, for a training that asks.
for _part in (torch.backends.cudnn.conv, torch.backends.cudnn.rnn, torch.backends.cuda.matmul):
    _part.fp32_precision = "ieee"
