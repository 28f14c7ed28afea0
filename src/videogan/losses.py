"""Adversarial losses: pure functions of the discriminator's outputs, each averaged over all elements.

They compute in fp32 also under autocast (fp64 stays): a mean in bf16 has two digits, so that a Wasserstein loss of .002
between scores near 1 would be 0.
"""

import functools
import math
from collections.abc import Callable, Iterable

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid, relu

from videogan.nets.precision import without_autocast

HINGE_OF_GUESSING = 2.0
"""The hinge loss of a discriminator that outputs 0 for every clip; the loss is 0 once it is certain of all."""
CROSS_ENTROPY_OF_GUESSING = 2 * math.log(2)
"""The cross entropy of a discriminator that outputs 1/2 for every clip; near 0 once it is certain of all."""


def total(terms: Iterable[Tensor]) -> Tensor:
    """The sum of at least one loss term, in their order."""
    return functools.reduce(torch.add, terms)


def hinge_discriminator_loss(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """Hinge loss of a discriminator, E[relu(1 - D(x))] + E[relu(1 + D(G(z)))] (MVT-GAN eq. 2, first sign corrected).

    As printed, eq. 2 lacks a minus sign before the first term and would push D(real) down.
    real_logits, fake_logits: any shapes, each averaged over all its elements. Returns a scalar to minimise.
    """
    return relu(1 - _at_least_fp32(real_logits)).mean() + relu(1 + _at_least_fp32(fake_logits)).mean()


def hinge_generator_loss(fake_logits: Tensor) -> Tensor:
    """Hinge loss of the generator, -E[D(G(z))] (MVT-GAN eq. 3).

    fake_logits: any shape. Returns a scalar to minimise.
    """
    return -_at_least_fp32(fake_logits).mean()


def wasserstein_discriminator_loss(real_scores: Tensor, fake_scores: Tensor) -> Tensor:
    """Wasserstein loss of a discriminator, E[D(G(z))] - E[D(x)] (WGAN alg. 1; minus the inner maximum of TGAN eq. 2).

    Its negative estimates K times the Wasserstein distance if D is K-Lipschitz and trained to convergence.
    real_scores, fake_scores: any shapes, unbounded. Returns a scalar to minimise.
    """
    return _at_least_fp32(fake_scores).mean() - _at_least_fp32(real_scores).mean()


def wasserstein_generator_loss(fake_scores: Tensor) -> Tensor:
    """Wasserstein loss of the generator, -E[D(G(z))] (WGAN alg. 1; TGAN eq. 2).

    fake_scores: any shape, unbounded. Returns a scalar to minimise.
    """
    return -_at_least_fp32(fake_scores).mean()


def non_saturating_discriminator_loss(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """Binary cross entropy of a normal GAN's discriminator, -E[ln D(x)] - E[ln(1 - D(G(z)))] (Goodfellow et al. 2014,
    eq. 1; TGAN eq. 1).

    real_logits, fake_logits: any shapes; D is their sigmoid, and 1 - sigmoid(l) = sigmoid(-l). Returns a scalar to
    minimise.
    """
    return -logsigmoid(_at_least_fp32(real_logits)).mean() - logsigmoid(-_at_least_fp32(fake_logits)).mean()


def non_saturating_generator_loss(fake_logits: Tensor) -> Tensor:
    """Non-saturating loss of a normal GAN's generator, -E[ln D(G(z))] (Goodfellow et al. 2014, sec. 3).

    Unlike eq. 1's E[ln(1 - D(G(z)))], its gradient does not vanish where D is sure of the fakes.
    fake_logits: any shape; D is their sigmoid. Returns a scalar to minimise.
    """
    return -logsigmoid(_at_least_fp32(fake_logits)).mean()


def r1_penalty(judge: Callable[..., Tensor], clips: Tensor, *others: Tensor) -> tuple[Tensor, Tensor]:
    """Scores judge(clips, *others) of real clips (b, ...), (b,), and the mean of |d score / d clip|^2 over the clips.

    R1 of Mescheder et al. 2018 (arXiv 1801.04406, eq. 9) without its factor, as TGANv2 uses it. Both have a gradient
    into the judge's weights, not into the clips. In full precision also under autocast: the penalty's gradient is a
    second derivative.
    """
    clips = clips.detach().requires_grad_()
    with torch.enable_grad(), without_autocast(clips):
        scores = judge(clips, *others)
        (slopes,) = torch.autograd.grad(scores.sum(), clips, create_graph=True)
    return scores, slopes.square().flatten(1).sum(1).mean()


def _at_least_fp32(scores: Tensor) -> Tensor:
    return scores.to(torch.promote_types(scores.dtype, torch.float32))
