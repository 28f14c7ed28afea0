"""Measure the motion constraint: `python -m tests.benchmarks.motion` prints ratios within one run, on one thread.

Compares the label-pair cosines as one masked matrix product with the double loop, value and gradient, at the paper's
batch. Measures the cost of one pair of frames for each flow, forward and backward into the frames, and the endpoint
error of each flow on held-out generated pairs. PWC-Net has random weights unless a file is given; the weights do not
change its time. Seconds are the process's CPU time. The arms take turns, so a busy machine slows all equally; medians
over rounds are printed.
"""

import argparse
import os
import time
from collections.abc import Callable
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"  # read by torch when it is imported

import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity

from videogan.flow.generated_pairs import PairSettings
from videogan.flow.held_out import SLOW_LAYERS, TEXTURED, held_out_errors, zero_flow
from videogan.flow.lucas_kanade import LucasKanade
from videogan.flow.pwc_net import PWCNet
from videogan.flow.video_flow import FlowEstimator, video_flow
from videogan.flow.weights import pwc_net_from
from videogan.motion import motion_similarity

BATCH, N_FRAMES = 40, 16
Arm = Callable[[], object]


def by_double_loop(real: Tensor, fake: Tensor, real_labels: Tensor, fake_labels: Tensor) -> Tensor:
    """Eq. 5, term by term."""
    terms = [
        cosine_similarity(real[j].flatten(), fake[i].flatten(), dim=0)
        for i in range(len(fake))
        for j in range(len(real))
        if fake_labels[i] == real_labels[j]
    ]
    return torch.stack(terms).mean()


def medians(arms: dict[str, Arm], n_rounds: int) -> dict[str, float]:
    """CPU seconds of one call of each arm."""
    seconds: dict[str, list[float]] = {name: [] for name in arms}
    for arm in arms.values():
        arm()
    for _ in range(n_rounds):
        for name, arm in arms.items():
            began = time.process_time()
            arm()
            seconds[name].append(time.process_time() - began)
    return {name: sorted(taken)[n_rounds // 2] for name, taken in seconds.items()}


def compare_cosines(size: int, n_classes: int, n_rounds: int) -> None:
    rng = torch.Generator().manual_seed(0)
    real, fake = (torch.randn(BATCH, N_FRAMES - 1, 2, size, size, generator=rng) for _ in range(2))
    labels = torch.arange(BATCH) % n_classes
    fake.requires_grad_()
    arms = {
        "double loop": lambda: torch.autograd.grad(by_double_loop(real, fake, labels, labels), fake)[0],
        "one product": lambda: torch.autograd.grad(motion_similarity(real, fake, labels, labels)[0], fake)[0],
    }
    assert torch.allclose(*(arm() for arm in arms.values()), rtol=1e-3, atol=1e-8)
    taken = medians(arms, n_rounds)
    loop, product = taken.values()
    print(
        f"pair cosines, B = {BATCH}, {n_classes} classes, flow {size} px, value and gradient: "
        f"double loop {loop * 1e3:.1f} ms, one product {product * 1e3:.1f} ms, {loop / product:.1f}x"
    )


def constraint(estimator: FlowEstimator, size: int, **options: int) -> Arm:
    videos = torch.rand(1, N_FRAMES, 3, size, size, generator=torch.Generator().manual_seed(0)) * 2 - 1
    videos.requires_grad_()
    return lambda: torch.autograd.grad(video_flow(estimator, videos, **options).sum(), videos)


def pair_by_pair(network: PWCNet, size: int) -> Arm:
    videos = torch.rand(1, N_FRAMES, 3, size, size, generator=torch.Generator().manual_seed(0)) * 2 - 1
    videos.requires_grad_()
    return lambda: torch.autograd.grad(network(videos[0, :-1], videos[0, 1:]).sum(), videos)


def in_bf16(arm: Arm) -> Arm:
    def run() -> object:
        with torch.autocast("cpu", torch.bfloat16):
            return arm()

    return run


def compare_flows(network: PWCNet, size: int, n_rounds: int) -> None:
    arms = {
        "PWC-Net, pair by pair": pair_by_pair(network, size),
        "PWC-Net, features shared": constraint(network, size),
        "PWC-Net, features shared, bf16": in_bf16(constraint(network, size)),
        "PWC-Net, every third pair (another loss)": constraint(network, size, stride=3),
        "Lucas-Kanade": constraint(LucasKanade(), size),
    }
    taken = medians(arms, n_rounds)
    baseline = taken["PWC-Net, pair by pair"]
    for name, seconds in taken.items():
        per_pair = seconds * 1e3 / (N_FRAMES - 1)
        print(f"{size} px, 15 pairs, gradient into them: {name}: {per_pair:.1f} ms a pair, {baseline / seconds:.2f}x")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--weights", type=Path, help="a file of PWC-Net weights, as of vgsearch flow fit")
    arguments = parser.parse_args()
    for size in (arguments.size // 4, arguments.size):
        for n_classes in (4, 10):
            compare_cosines(size, n_classes, arguments.rounds)
    network = PWCNet().eval().requires_grad_(False) if arguments.weights is None else pwc_net_from(arguments.weights)[0]
    compare_flows(network, arguments.size, arguments.rounds)
    estimators = {"zero flow": zero_flow, "Lucas-Kanade": LucasKanade()}
    if arguments.weights is not None:
        estimators["PWC-Net"] = network
    kinds = {
        "textured, up to 4 px": TEXTURED,
        "layers, up to 4 px": SLOW_LAYERS,
        "layers, as fitted on": PairSettings(),
    }
    for kind, settings in kinds.items():
        found = held_out_errors(estimators, settings, seed=0).items()
        errors_by_name = ", ".join(f"{name} {errors.mean():.3f}" for name, errors in found)
        print(f"held-out endpoint error, {kind}, px: {errors_by_name}")


if __name__ == "__main__":
    main()
