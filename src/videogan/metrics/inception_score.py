"""The inception score (Salimans et al. 2016; MVT-GAN eq. 7, which omits the expectation over x)."""

import torch
from torch import Tensor
from torch.special import xlogy

ROW_SUM_TOLERANCE = 1e-4  # float32 softmax of 400 classes is off by 1e-6; bfloat16 by 1e-2, which changes the score


def inception_score(probabilities: Tensor) -> float:
    """IS = exp(E_x KL(p(y|x) || p(y))), where p(y) is the mean of p(y|x) over the same clips; between 1 and K.

    `probabilities` (n, K): one row p(y|x) for each clip. Logarithms are exact with 0 log 0 = 0; the papers' pipeline
    adds 1e-7 inside them, which changes log IS by less than 1e-7 K. Few clips bias it downwards (one clip scores 1), so
    compare only at equal n. It detects neither memorisation nor classes with a single clip each (K exemplars score K).
    Raises ValueError if rows are not probabilities.
    """
    if probabilities.ndim != 2 or not probabilities.numel():
        raise ValueError(f"probabilities must be (n clips, K classes), got {tuple(probabilities.shape)}.")
    p = probabilities.double()
    off = (p.sum(1) - 1).abs()
    if not ((p >= 0).all() and (off <= ROW_SUM_TOLERANCE).all()):  # written this way, NaN is refused too
        raise ValueError(
            "each row of probabilities must be non-negative and sum to 1, got a smallest entry of "
            f"{p.min().item():.3g} and a sum {off.max().item():.3g} off 1; pass the float32 softmax of the logits."
        )
    divergence = (xlogy(p, p) - xlogy(p, p.mean(0))).sum(1)
    return torch.exp(divergence.mean()).item()
