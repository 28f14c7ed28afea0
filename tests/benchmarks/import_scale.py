"""Measure time and memory of `vgsearch data import` for growing data sets: `python -m tests.benchmarks.import_scale`.

The clips are like UCF-101's: 320x240, 180 frames, mpeg4 in AVI, 25 groups per class. A few dozen are encoded; the
others are copies, each with a different chunk at the end, so no two files have the same content and each is decoded.
Memory is the proportional set size of the command, Ray and all workers, in which shared pages count once. For the
command alone it is the memory that it allocated itself, because shared pages become its own when its workers end. A
line through the measured points is extended to UCF-101's 13,320 clips: that number is computed, not measured.
`--frames 16 --sizes 13320` really imports as many files, but short ones: memory per file does not depend on its length.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
import psutil

WIDTH, HEIGHT, FPS = 320, 240, 25
SIZES = (100, 300, 600, 1332)
UCF101 = 13_320
CLIPS_PER_CLASS, N_GROUPS = 133, 25
SECONDS_BETWEEN_SAMPLES = 0.5


@dataclass(frozen=True)
class Measured:
    """One import: clips, seconds, and peaks in MB of all its processes together and of the command alone."""

    n_clips: int
    seconds: float
    peak_mb: float
    command_mb: float
    n_samples: int


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument("--distinct", type=int, default=24, help="clips that are encoded; the others are copies")
    parser.add_argument("--frames", type=int, default=180, help="of a clip")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="import-scale-") as folder:
        start = time.perf_counter()
        encoded = [
            encode(Path(folder) / "encoded" / f"{seed}.avi", seed, options.frames) for seed in range(options.distinct)
        ]
        mean = sum(path.stat().st_size for path in encoded) / len(encoded)
        print(
            f"{len(encoded)} clips encoded in {time.perf_counter() - start:.0f} s, {mean / 1e3:.0f} kB each", flush=True
        )
        print("  clips  seconds  clips/s  peak MB  of the command  samples", flush=True)
        measured = []
        for n_clips in options.sizes:
            result = measure(Path(folder) / str(n_clips), encoded, n_clips)
            measured.append(result)
            print(
                f"{result.n_clips:7}{result.seconds:9.1f}{result.n_clips / result.seconds:9.1f}{result.peak_mb:9.0f}"
                f"{result.command_mb:16.0f}{result.n_samples:9}",
                flush=True,
            )
    if len(measured) < 3:
        return
    print_line("seconds", [(result.n_clips, result.seconds) for result in measured])
    print_line("peak MB", [(result.n_clips, result.peak_mb) for result in measured])
    print_line("command MB", [(result.n_clips, result.command_mb) for result in measured])


def encode(path: Path, seed: int, n_frames: int) -> Path:
    """Encode a drifting textured scene with a little noise, detailed enough that frames cost as much as real ones."""
    path.parent.mkdir(exist_ok=True)
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (HEIGHT // 8 + 40, WIDTH // 8 + 40, 3), dtype=np.uint8)
    scene = coarse.repeat(8, axis=0).repeat(8, axis=1)
    noise = rng.integers(0, 12, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=FPS)
        stream.width, stream.height, stream.pix_fmt, stream.bit_rate = WIDTH, HEIGHT, "yuv420p", 400_000
        for index in range(n_frames):
            view = scene[index : index + HEIGHT, index : index + WIDTH] // 2 + np.roll(noise, index * 7, axis=1)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(view), format="rgb24")))
        container.mux(stream.encode())
    return path


def measure(folder: Path, encoded: list[Path], n_clips: int) -> Measured:
    """Import `n_clips` new files with the command, in new processes with an empty cache."""
    for number in range(n_clips):
        label, clip = f"Class{number // CLIPS_PER_CLASS:02d}", number % CLIPS_PER_CLASS
        file = folder / "videos" / label / f"v_{label}_g{clip % N_GROUPS + 1:02d}_c{clip // N_GROUPS + 1:02d}.avi"
        file.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(encoded[number % len(encoded)], file)
        with file.open("ab") as stream:
            stream.write(b"JUNK" + (8).to_bytes(4, "little") + number.to_bytes(8, "little"))
    cache = str(folder / "cache")
    program = [sys.executable, "-c", "from vgsearch.cli import main; main()"]
    command = [*program, "data", "import", str(folder / "videos"), "--layout", "plain", "--split-by", "group", "--json"]
    environment = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
    start, peak, own, n_samples = time.perf_counter(), 0.0, 0.0, 0
    process = subprocess.Popen(command, env=environment | {"VGSEARCH_CACHE": cache}, stdout=subprocess.PIPE)
    while process.poll() is None:
        peak = max(peak, sum(memory_mb(pid, "Pss:") for pid in at_work_for(cache)))
        own = max(own, memory_mb(process.pid, "Pss_Anon:"))
        n_samples += 1
        time.sleep(SECONDS_BETWEEN_SAMPLES)
    seconds, output = time.perf_counter() - start, process.stdout.read().decode()
    if process.returncode or f'"n_clips": {n_clips}' not in output:
        raise RuntimeError(f"the import of {n_clips} clips ended with {process.returncode}: {output[:2000]}")
    shutil.rmtree(folder)
    return Measured(n_clips, seconds, peak, own, n_samples)


def at_work_for(cache: str) -> list[int]:
    """Process ids of the command, of Ray and of all workers, which all inherit VGSEARCH_CACHE."""
    pids = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("VGSEARCH_CACHE") == cache:
                pids.append(process.pid)
        except (psutil.Error, OSError):
            continue
    return pids


def memory_mb(pid: int, kind: str) -> float:
    """The line `kind` of a process's smaps_rollup in MB; 0 if it ended. Pss counts a page of n processes as 1/n."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1e3 for line in lines if line.startswith(kind)), 0.0)


def print_line(what: str, points: list[tuple[int, float]]) -> None:
    """Print the least-squares line through the points, their distance from it, and its extrapolation to UCF-101."""
    n_clips, values = np.array(points, dtype=float).T
    slope, start = np.polyfit(n_clips, values, 1)
    off = values - (start + slope * n_clips)
    spread = ((values - values.mean()) ** 2).sum()
    linear = 1 - (off**2).sum() / spread if spread else 1.0
    print(
        f"{what:<10} = {start:.1f} + {1000 * slope:.1f} per 1000 clips, R2 {linear:.4f}, farthest point "
        f"{np.abs(off).max():.1f} off; EXTRAPOLATED to {UCF101:,} clips: {start + slope * UCF101:.0f}"
    )


if __name__ == "__main__":
    main()
