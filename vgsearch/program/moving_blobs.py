"""A program that vgsearch can search without a GPU in seconds: it "learns" which way the blob of each class moves.

It stands for any trainer: it reads hyperparameters, saves and resumes checkpoints, and writes samples as it goes. The
search space `moving_blobs` runs it, so it is also an example of what a program must do.

    python -m vgsearch.program.moving_blobs --data DIR --out DIR --checkpoints DIR --rate 0.1 --speed 4 --noise 10
"""

import argparse
import json
import math
import os
from pathlib import Path

import av
import numpy as np

DIRECTIONS = {"down": (0, 1), "left": (-1, 0), "right": (1, 0), "up": (0, -1)}
SIDE, RADIUS, N_FRAMES, FPS = 64, 15, 16, 25
DARK, LIGHT = 40, 200


def clip(direction: tuple[int, int], speed: float, noise: float, rng: np.random.Generator) -> np.ndarray:
    """uint8 (T, H, W, 3): a light disc that moves `speed` pixels a frame on a dark torus, under Gaussian noise."""
    start, pixels = rng.uniform(0, SIDE, 2), np.arange(SIDE) + 0.5
    frames = np.empty((N_FRAMES, SIDE, SIDE, 3))
    for t in range(N_FRAMES):
        x, y = ((pixels - start[i] - direction[i] * speed * t + SIDE / 2) % SIDE - SIDE / 2 for i in (0, 1))
        frames[t] = np.where(np.hypot(x[None, :], y[:, None]) < RADIUS, LIGHT, DARK)[..., None]
    return (frames + rng.normal(0, noise, frames.shape[:3])[..., None]).clip(0, 255).astype(np.uint8)


def write(path: Path, frames: np.ndarray) -> None:
    """One mp4 file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=FPS, options={"preset": "ultrafast", "crf": "12"})
        stream.width = stream.height = SIDE
        stream.codec_context.thread_count = 1
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name, kind in {
        "data": Path,
        "out": Path,
        "checkpoints": Path,
        "rate": float,
        "speed": float,
        "noise": float,
    }.items():
        parser.add_argument(f"--{name}", type=kind, required=True)
    for name, default in {"steps": 30, "every": 10, "clips": 16, "seed": 0}.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    given = parser.parse_args()
    state, classes = given.checkpoints / "state.json", sorted(folder.name for folder in given.data.iterdir())
    first = json.loads(state.read_text("utf-8"))["step"] if state.exists() else 0
    print(json.dumps({"classes": classes, "from": first, "to": given.steps}), flush=True)
    for step in range(first + given.every, given.steps + 1, given.every):
        rng = np.random.default_rng([given.seed, step])
        skill = 1 - math.exp(-given.rate * step)
        for name in classes:
            for number in range(given.clips):
                knows = rng.random() < skill and name in DIRECTIONS
                direction = DIRECTIONS[name] if knows else list(DIRECTIONS.values())[rng.integers(4)]
                write(
                    given.out / f"samples/step_{step}/{name}/{number:03d}.mp4",
                    clip(direction, given.speed, given.noise, rng),
                )
        (whole := state.with_suffix(".new")).write_text(json.dumps({"step": step}), "utf-8")
        os.replace(whole, state)  # whole, or not at all
        print(json.dumps({"step": step, "share that moves as its class": skill}), flush=True)


if __name__ == "__main__":
    main()
