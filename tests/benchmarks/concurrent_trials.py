"""Compare one with two threads per trial: `python -m tests.benchmarks.concurrent_trials` prints the ratio.

Runs the MVT-GAN-TSA step of the laptop budget (32 px, a = 8, bf16, channels last) in separate processes on two cores:
two parallel trials of one thread against one trial of two threads. The two arms take turns, so a busy machine slows
both equally. The ratio of steps per second is computed for each turn; its median over turns is printed.
"""

import argparse
import os
import statistics
import subprocess
import sys
import time

RESOLUTION = 32


def play(n_threads: int) -> None:
    """Run a trial: read a number of steps from each line of stdin, train them, print done."""
    import torch

    from tests.benchmarks.step import FAST, FixedClips, training

    torch.set_num_threads(n_threads)
    player, clips, step = training(RESOLUTION, {**FAST, "reuse_fakes": True}, {}), FixedClips(RESOLUTION, True), 0
    for line in sys.stdin:
        for _ in range(int(line)):
            step += 1
            player.step_(step, clips)
        print("done", flush=True)


class Trial:
    """A process that runs `play`, and the pipes to it."""

    def __init__(self, n_threads: int) -> None:
        command = [sys.executable, "-m", "tests.benchmarks.concurrent_trials", "--play", str(n_threads)]
        environment = {**os.environ, "OMP_NUM_THREADS": str(n_threads)}
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )

    def begin(self, n_steps: int) -> None:
        self.process.stdin.write(f"{n_steps}\n")
        self.process.stdin.flush()

    def end(self) -> None:
        assert self.process.stdout.readline() == "done\n"


def seconds(trials: list[Trial], n_steps: int) -> float:
    """Seconds in which all of `trials`, in parallel, train `n_steps` each."""
    began = time.perf_counter()
    for trial in trials:
        trial.begin(n_steps)
    for trial in trials:
        trial.end()
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--steps", type=int, default=10, help="steps of a trial in a turn")
    parser.add_argument("--play", type=int, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:2])
    if chosen.play:
        play(chosen.play)
        return
    arms = {1: [Trial(1), Trial(1)], 2: [Trial(2)]}  # threads per trial -> parallel trials
    for trials in arms.values():
        seconds(trials, 3)
    rates: dict[int, list[float]] = {n_threads: [] for n_threads in arms}
    for turn in range(chosen.rounds):
        for n_threads in sorted(arms, reverse=turn % 2 == 1):
            taken = seconds(arms[n_threads], chosen.steps)
            rates[n_threads].append(len(arms[n_threads]) * chosen.steps / taken)
    ratios = [two / one for two, one in zip(rates[1], rates[2], strict=True)]
    print(f"{chosen.rounds} turns of {chosen.steps} steps per trial, load {os.getloadavg()[0]:.1f}")
    print("| two trials of one thread, steps/s | one trial of two threads, steps/s | ratio | from, to | target |")
    print("|---" * 5 + "|")
    one, two = (statistics.median(rates[n_threads]) for n_threads in (1, 2))
    spread = f"{min(ratios):.2f}, {max(ratios):.2f}"
    print(f"| {one:.2f} | {two:.2f} | {statistics.median(ratios):.2f} | {spread} | >= 1.25 |")
    for trials in arms.values():
        for trial in trials:
            trial.process.stdin.close()
            trial.process.wait()


if __name__ == "__main__":
    main()
