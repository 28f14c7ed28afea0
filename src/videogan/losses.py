"""Adversarial losses: pure functions of logits."""

from torch import Tensor
from torch.nn.functional import relu


def hinge_discriminator_loss(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """Hinge loss of a discriminator, E[relu(1 - D(x))] + E[relu(1 + D(G(z)))] (MVT-GAN eq. 2, its first sign mended).

    As printed, eq. 2 lacks a minus sign before the first term and would push D(real) down.
    real_logits, fake_logits: any shapes, each averaged over all its elements. Returns a scalar to minimise.
    """
    return relu(1 - real_logits).mean() + relu(1 + fake_logits).mean()


def hinge_generator_loss(fake_logits: Tensor) -> Tensor:
    """Hinge loss of the generator, -E[D(G(z))] (MVT-GAN eq. 3).

    fake_logits: any shape. Returns a scalar to minimise.
    """
    return -fake_logits.mean()
