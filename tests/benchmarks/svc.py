"""Measure singular value clipping: `python -m tests.benchmarks.svc` prints its ratio to the SVD and share of a step.

Both are measured on TGAN's discriminator at the paper's size, on one thread. Seconds are the process's CPU time; the
methods take turns on the same weights, and medians over rounds are printed. Spectra: "few" has four singular values
per layer above 1; "He" is the paper's initialisation, where all are above 1; "1/sqrt(n)" is a Gaussian weight with
about half above 1; "Gaussian" has singular values |N(0, 1)|. The step is one update of the discriminator: real and fake
clips forward, both backward, RMSProp. A clipping follows every n_clip-th update, on the spectra of that training.
"""

import argparse
import os
import time
from collections.abc import Callable

os.environ["OMP_NUM_THREADS"] = "1"  # read by torch when it is imported

import torch
from torch import Tensor, nn

from videogan.constraints import clip_singular_values_, singular_value_clipping_
from videogan.losses import wasserstein_discriminator_loss
from videogan.nets.chainer_initialisation import he_normal_
from videogan.nets.layout import lay_channels_last_
from videogan.nets.volume_discriminator import VolumeDiscriminator

WIDTHS, RESOLUTION, N_FRAMES, N_ABOVE = (64, 128, 256, 512), 64, 16, 4


def discriminator() -> VolumeDiscriminator:
    torch.manual_seed(0)
    return he_normal_(VolumeDiscriminator(WIDTHS, RESOLUTION))


def matrices(spectrum: str) -> list[Tensor]:
    """The discriminator's weights as matrices with the given spectrum."""
    weights = [p.detach() for p in discriminator().parameters() if p.ndim > 1]
    return [_with_spectrum(weight.flatten(1), spectrum) for weight in weights]


def _with_spectrum(weight: Tensor, spectrum: str) -> Tensor:
    m, n = weight.shape
    if spectrum == "He":
        return weight.clone()
    if spectrum == "1/sqrt(n)":
        return weight / weight.std() / n**0.5 if m > 1 else weight.clone()
    s = torch.randn(m).abs()
    if spectrum == "few":
        s = torch.linspace(0.99, 0.05, m)
        s[:N_ABOVE] = torch.linspace(1.2, 1.02, min(m, N_ABOVE))
    u, _, vh = torch.linalg.svd(weight, full_matrices=False)
    return (u * s) @ vh


def by_svd_(weight: Tensor) -> None:
    """Clip by the SVD, as in the paper, in the weight's precision."""
    u, s, vh = torch.linalg.svd(weight, full_matrices=False)
    weight.copy_((u * s.clamp(max=1)) @ vh)


def gram_products(weight: Tensor) -> None:
    """The minimum cost of any method with Gram matrices: half of W W^T."""
    half = len(weight) // 2
    _ = weight[:half] @ weight[:half].T
    _ = weight[half:] @ weight[half:].T if half else None
    _ = weight[half:] @ weight[:half].T


def seconds(clip_: Callable[[Tensor], object], weights: list[Tensor]) -> float:
    copies = [weight.clone() for weight in weights]
    began = time.process_time()
    for copy in copies:
        clip_(copy)
    return time.process_time() - began


def largest_error(weights: list[Tensor]) -> float:
    """The largest singular value of (ours - the SVD's in fp64), over all layers."""
    errors = []
    for weight in weights:
        exact, ours = weight.double(), weight.clone()
        by_svd_(exact)
        clip_singular_values_(ours)
        errors.append(torch.linalg.matrix_norm(ours.double() - exact, 2).item())
    return max(errors)


def compare(n_rounds: int) -> None:
    print("| spectrum | above 1, largest layer | SVD, ms | ours, ms | SVD / ours | Gram alone, ms | error |")
    print("|---|---|---|---|---|---|---|")
    for spectrum in ("few", "He", "1/sqrt(n)", "Gaussian"):
        weights = matrices(spectrum)
        methods = (by_svd_, clip_singular_values_, gram_products)
        took = torch.tensor([[seconds(method, weights) for method in methods] for _ in range(n_rounds)])
        svd, ours, gram = (1e3 * took.median(0).values).tolist()
        n_above = (torch.linalg.svdvals(max(weights, key=len)) > 1).sum().item()
        print(
            f"| {spectrum} | {n_above} of {max(map(len, weights))} | {svd:.0f} | {ours:.0f} | **{svd / ours:.1f}** | "
            f"{gram:.0f} | {largest_error(weights):.0e} |",
            flush=True,
        )


def step_(network: nn.Module, optimiser: torch.optim.Optimizer, real: Tensor, fake: Tensor, bf16: bool) -> None:
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        loss = wasserstein_discriminator_loss(network(real), network(fake))
    optimiser.zero_grad(set_to_none=True)
    loss.backward()
    optimiser.step()


def share(batch_size: int, n_clip: int, n_clippings: int, bf16: bool) -> tuple[float, float]:
    """Median CPU seconds of an update and of a clipping, in a training that clips after every n_clip-th update."""
    network = lay_channels_last_(discriminator())
    optimiser = torch.optim.RMSprop(network.parameters(), lr=5e-5, alpha=0.99, eps=1e-8)
    rng = torch.Generator().manual_seed(0)
    shape = (batch_size, N_FRAMES, 3, RESOLUTION, RESOLUTION)
    of_steps, of_clippings = [], []
    for t in range(1, n_clip * n_clippings + 2):
        real, fake = (torch.rand(shape, generator=rng) * 2 - 1 for _ in range(2))
        began = time.process_time()
        step_(network, optimiser, real, fake, bf16)
        stepped = time.process_time()
        of_steps.append(stepped - began)
        if t % n_clip == 1 % n_clip:
            singular_value_clipping_(network)
            of_clippings.append(time.process_time() - stepped)
    # The first update and clipping warm up caches and clip the initialisation, which a training does only once.
    return torch.tensor(of_steps[1:]).median().item(), torch.tensor(of_clippings[1:]).median().item()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batch", type=int, default=32, help="clips of a discriminator's update (paper: 32)")
    parser.add_argument("--n-clip", type=int, default=5)
    parser.add_argument("--clippings", type=int, default=3, help="clippings to measure in a training")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    compare(chosen.rounds)
    print()
    print(
        f"| discriminator's update, {chosen.batch} clips | update, s | clipping, s | share at n_clip = {chosen.n_clip} |"
    )
    print("|---|---|---|---|")
    for bf16 in (False, True):
        step, clipping = share(chosen.batch, chosen.n_clip, chosen.clippings, bf16)
        part = clipping / (chosen.n_clip * step + clipping)
        print(f"| {'bf16' if bf16 else 'fp32'} | {step:.2f} | {clipping:.3f} | **{100 * part:.2f} %** |", flush=True)


if __name__ == "__main__":
    main()
