"""Measure decoding: `python -m tests.benchmarks.decode` prints clips/s of one thread as ratios within one run.

Each clip is 16 frames from a random start of a 320x240, 180-frame file, at 64x64. decord and OpenCV are measured if
they are installed. Seconds are the process's CPU time over all its threads. The readers take turns, so a busy machine
slows all equally; medians over rounds are printed.
"""

import argparse
import importlib.util
import multiprocessing
import os
import re
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

# One thread each: read by the libraries when they are imported, which the readers below do.
os.environ.update({"OMP_NUM_THREADS": "1", "OPENCV_FFMPEG_CAPTURE_OPTIONS": "threads;1"})

import av
import numpy as np
from PIL import Image

from videogan.data.cache import CachedFiles, ClipShard, write_index, write_shard
from videogan.data.decode import decode
from videogan.data.preprocessing import preprocessing_named

WIDTH, HEIGHT, LENGTH, WINDOW, SIZE = 320, 240, 180, 16, 64
PLAIN = preprocessing_named(f"plain_{SIZE}")
ENCODINGS = {
    "mpeg4 AVI": ("mpeg4.avi", "mpeg4", {"b": "1000000"}),
    "H.264, one keyframe": ("long.mp4", "libx264", {"g": "1000", "sc_threshold": "0"}),
    "H.264, GOP 16": ("gop16.mp4", "libx264", {"g": "16"}),
}
Read = Callable[[Path, int], object]


def scene() -> Iterator[np.ndarray]:
    """Frames of a panning textured background with film grain and a square that moves over it."""
    rng = np.random.default_rng(0)
    small = Image.fromarray(rng.integers(0, 255, (HEIGHT // 8 + 20, WIDTH // 8 + 20, 3), dtype=np.uint8))
    ground = np.asarray(small.resize((WIDTH + 160, HEIGHT + 160), Image.Resampling.BICUBIC)).astype(np.float32)
    grain = rng.normal(0, 4, (HEIGHT, WIDTH, 3)).astype(np.float32)
    for t in range(LENGTH):
        top, left = int(70 + 60 * np.cos(t / 22)), int(70 + 60 * np.sin(t / 15))
        frame = ground[top : top + HEIGHT, left : left + WIDTH] + np.roll(grain, 7 * t, axis=1)
        y, x = int(95 + 70 * np.sin(t / 9)), int(135 + 110 * np.cos(t / 13))
        frame[y : y + 50, x : x + 50] = (220, 40, 40)
        yield frame.clip(0, 255).astype(np.uint8)


def write(path: Path, codec: str, options: dict[str, str]) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25, options=options)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for tick, image in enumerate(scene()):
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts = tick
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def naive(path: Path, start: int) -> object:
    """Decode from frame 0, take the window as full-size RGB, resize it with torch."""
    import torch

    torch.set_num_threads(1)
    with av.open(str(path)) as container:
        container.streams.video[0].codec_context.thread_count = 1
        images = []
        for index, frame in enumerate(container.decode(video=0)):
            if index >= start:
                images.append(frame.to_ndarray(format="rgb24"))
            if len(images) == WINDOW:
                break
    frames = torch.from_numpy(np.stack(images)).movedim(-1, 1).float()
    small = torch.nn.functional.interpolate(frames, (SIZE, SIZE * WIDTH // HEIGHT), mode="bilinear", antialias=True)
    return small[..., 10 : 10 + SIZE].byte()


def ours(path: Path, start: int) -> object:
    return decode(path, PLAIN, start=start, n_frames=WINDOW)


def ours_from_frame_zero(path: Path, start: int) -> object:
    return decode(path, PLAIN, n_frames=start + WINDOW)[start:]


def decode_only(path: Path, start: int) -> object:
    """The lower limit: open, seek to the keyframe, decode the window's frames with known timestamps; no conversion."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        context = stream.codec_context
        context.thread_count = 1
        step = round(1 / (stream.average_rate * stream.time_base))
        container.seek(start * step, stream=stream)
        n_kept = 0
        for packet in container.demux(stream):
            if context.name == "h264" and packet.size:
                context.skip_frame = "NONREF" if packet.pts < start * step else "DEFAULT"
            for frame in packet.decode():
                n_kept += frame.pts >= start * step
                if n_kept == WINDOW:
                    return None
    raise RuntimeError(f"{path}: {n_kept} frames from {start}")


def decord(path: Path, start: int) -> object:
    import decord as library

    reader = library.VideoReader(str(path), library.cpu(0), SIZE * WIDTH // HEIGHT, SIZE, num_threads=1)
    return reader.get_batch(range(start, start + WINDOW)).asnumpy()[:, :, 10 : 10 + SIZE]


def opencv(path: Path, start: int) -> object:
    import cv2

    cv2.setNumThreads(1)
    capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
    capture.set(cv2.CAP_PROP_POS_FRAMES, start)
    images = []
    for _ in range(WINDOW):
        read, image = capture.read()
        if not read:
            raise RuntimeError(f"{path}: OpenCV read {len(images)} frames from {start}")
        small = cv2.resize(image, (SIZE * WIDTH // HEIGHT, SIZE), interpolation=cv2.INTER_LINEAR)
        images.append(cv2.cvtColor(small, cv2.COLOR_BGR2RGB)[:, 10 : 10 + SIZE])
    capture.release()
    return np.stack(images)


def readers() -> dict[str, Read]:
    peers = {"decord": decord, "opencv": opencv}
    found = {name: peers[name] for name, module in (("decord", "decord"), ("opencv", "cv2")) if has(module)}
    return {
        "naive": naive, "ours": ours, "ours from frame 0": ours_from_frame_zero, "decode only": decode_only, **found,
    }  # fmt: skip


def has(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


def rates(read_by: dict[str, Read], path: Path, starts: list[int], n_rounds: int) -> dict[str, float]:
    """Clips/s of each reader: the median of `n_rounds`, in which the readers take turns at every window."""
    for read in read_by.values():
        read(path, starts[0])  # imports, page cache
    seconds = np.zeros((n_rounds, len(read_by)))
    for done in range(n_rounds):
        for start in starts:
            for column, read in enumerate(read_by.values()):
                began = time.process_time()
                read(path, start)
                seconds[done, column] += time.process_time() - began
    return dict(zip(read_by, (len(starts) / np.median(seconds, axis=0)).tolist(), strict=True))


def fetches(files: CachedFiles) -> dict[str, Read]:
    """The same window from the memory-mapped cache: as stored, and as training gets it, float in [-1, 1]."""
    import torch

    from videogan.data.clips import to_video

    torch.set_num_threads(1)

    def stored(path: Path, start: int) -> torch.Tensor:
        return torch.from_numpy(files.frames(path.name)[start : start + WINDOW].copy())

    return {"uint8": stored, "float": lambda path, start: to_video(stored(path, start)[None])}


def cached(folder: Path, paths: list[Path]) -> CachedFiles:
    shard = ClipShard(tuple(path.name for path in paths))
    write_shard(folder, shard, ((path.name, decode(path, PLAIN)) for path in paths))
    write_index(folder, PLAIN, [shard])
    return CachedFiles(folder)


def peak_mb(name: str, path: Path) -> float:
    """Peak growth in MB of a new process that reads a window from the file's middle, twice."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_growth_mb, (name, path))


def _growth_mb(name: str, path: Path) -> float:
    read = readers()[name]
    read(path, 0)  # exclude the memory of the library itself
    before = _most_mb()
    read(path, LENGTH // 2)
    read(path, LENGTH // 2)
    return _most_mb() - before


def _most_mb() -> float:
    # Not getrusage: its maximum survives exec, so that a child starts with its parent's.
    return int(re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())[1]) / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--clips", type=int, default=16, help="windows in each round")
    chosen = parser.parse_args()
    starts = np.random.default_rng(0).integers(0, LENGTH - WINDOW + 1, chosen.clips).tolist()
    read_by = readers()
    with tempfile.TemporaryDirectory() as folder:
        paths = {}
        for encoding, (file, codec, options) in ENCODINGS.items():
            paths[encoding] = Path(folder) / file
            write(paths[encoding], codec, options)
            np.testing.assert_array_equal(ours(paths[encoding], 90), ours_from_frame_zero(paths[encoding], 90))
        measured = {encoding: rates(read_by, path, starts, chosen.rounds) for encoding, path in paths.items()}
        files = cached(Path(folder) / "cache", list(paths.values()))
        fetched = rates(fetches(files), paths["mpeg4 AVI"], starts * 50, chosen.rounds)
        memory = {name: peak_mb(name, paths["H.264, one keyframe"]) for name in read_by}
    print(f"| clips/s, one thread | {' | '.join(ENCODINGS)} | peak MB above the library |")
    print("|---" * (len(ENCODINGS) + 2) + "|")
    for name in read_by:
        row = " | ".join(f"{measured[encoding][name]:.1f}" for encoding in ENCODINGS)
        print(f"| {name} | {row} | {memory[name]:.1f} |")
    for name in read_by:
        if name != "ours":
            row = " | ".join(f"{measured[encoding]['ours'] / measured[encoding][name]:.2f}" for encoding in ENCODINGS)
            print(f"| **ours / {name}** | {row} | |")
    for kind, rate in fetched.items():
        row = " | ".join(f"{rate / measured[encoding]['ours']:.0f}" for encoding in ENCODINGS)
        print(f"| **cache fetch, {kind} ({rate:.0f} clips/s) / ours** | {row} | |")


if __name__ == "__main__":
    main()
