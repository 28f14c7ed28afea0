"""Moving shapes: a generated, labelled data set whose classes differ only in motion."""

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from videogan.data.cache import staged
from videogan.data.decode import content_sha
from videogan.data.manifest import DataError, Manifest, read_manifest, write_manifest
from videogan.data.splits import split_by_group

DIRECTIONS = {"down": (0, 1), "left": (-1, 0), "right": (1, 0), "up": (0, -1)}  # class -> unit (x, y)
SHAPES = ("disc", "square", "triangle", "ring", "diamond", "cross")
RADII = (24, 26, 22, 28, 20, 30, 18, 32)  # in percent of the frame's side
N_GROUPS = len(SHAPES) * len(RADII)  # 24 for train, 12 for select, 12 for test
FPS = 25


def make_moving_shapes(
    folder: Path | str,
    seed: int = 0,
    n_clips_each: int = 4,
    n_frames: int = 32,
    size: int = 64,
    n_groups: int = N_GROUPS,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> Manifest:
    """Write `folder/<direction>/<shape>-<radius>_<n>.mp4` and the manifest: 48 groups x 4 classes x `n_clips_each`.

    A group is a shape of one size, with clips of every class, so test clips show unseen pairs; `n_groups` takes fewer
    of them: 16 are the first 4 shapes in the first 4 sizes. The shape moves on a torus from a uniform position, so in
    every class its position is uniform at any time. Frames are coded one by one (intra only, constant quantiser), so
    the coding reveals nothing about the motion.
    Same seed, same bytes. Raises DataError if `folder` exists, ValueError if there are not `n_groups` groups.
    """
    folder = Path(folder).absolute()
    if folder.exists():
        raise DataError(f"{folder} exists already. Choose another --out, or use this data set: --data {folder}")
    groups = _groups(n_groups)
    clips = [(label, group, n) for label in DIRECTIONS for group in groups for n in range(n_clips_each)]
    splits = split_by_group([clip[0] for clip in clips], [clip[1] for clip in clips], seed)
    with staged(folder) as staging:
        rows = []
        for index, ((label, group, n), split) in enumerate(zip(clips, splits, strict=True)):
            file = staging / label / f"{group}_{n:03d}.mp4"
            file.parent.mkdir(exist_ok=True)
            rng = np.random.default_rng([seed, index])
            _write_intra_mp4(file, _moving_shape(rng, label, group, n_frames, size))
            numbers = {"n_frames": n_frames, "fps": float(FPS), "width": size, "height": size, "codec": "h264"}
            rows.append(
                {"path": file, "label": label, "group": group, "split": split, "sha": content_sha(file)} | numbers
            )
            on_progress(index + 1, len(clips))
        write_manifest(staging, rows)
    return read_manifest(folder)


def _groups(n: int) -> list[str]:
    """The names of `n` groups: a square of the table of shapes and radii before any of its further cells."""
    if not 2 <= n <= N_GROUPS:
        raise ValueError(f"n_groups must be 2 to {N_GROUPS}, got {n}.")
    cells = [(i, j) for i in range(len(SHAPES)) for j in range(len(RADII))]
    return [f"{SHAPES[i]}-{RADII[j]}" for i, j in sorted(sorted(cells, key=lambda cell: (max(cell), cell))[:n])]


def _moving_shape(rng: np.random.Generator, label: str, group: str, n_frames: int, size: int) -> np.ndarray:
    """uint8 (T, size, size, 3): a light grey shape on dark grey, moving 1/24 to 1/12 of the frame a step.

    Without colours, because a small GAN gives each class its own long before it mixes them; a classifier trained on its
    samples then learns colours in place of motion, and S3 stays at chance.
    """
    shape, percent = group.split("-")
    ground, light = rng.uniform(0, 0.15), rng.uniform(0.75, 1)
    radius = size * int(percent) / 100
    velocity = size * rng.uniform(1 / 24, 1 / 12) * np.array(DIRECTIONS[label])
    centres = rng.uniform(0, size, 2) + np.arange(n_frames)[:, None] * velocity
    pixels = np.arange(size)
    # Offsets on the torus, (T, size): a shape that leaves on one side enters on the other.
    x, y = (((pixels - centres[:, axis, None] + size / 2) % size) - size / 2 for axis in (0, 1))
    cover = np.clip(0.5 - _distance(shape, x[:, None, :], y[:, :, None], radius), 0, 1)
    return np.round(255 * (ground + cover * (light - ground))).astype(np.uint8)[..., None].repeat(3, axis=-1)


def _distance(shape: str, x: np.ndarray, y: np.ndarray, radius: float) -> np.ndarray:
    """Signed distance in pixels to the shape's outline, negative inside; soft edges show motion below a pixel."""
    if shape == "disc":
        return np.hypot(x, y) - radius
    if shape == "ring":
        return np.abs(np.hypot(x, y) - 0.75 * radius) - 0.25 * radius
    if shape == "square":
        return np.maximum(np.abs(x), np.abs(y)) - 0.85 * radius
    if shape == "diamond":
        return (np.abs(x) + np.abs(y) - 1.25 * radius) / np.sqrt(2)
    if shape == "cross":
        along, across = np.maximum(np.abs(x), np.abs(y)), np.minimum(np.abs(x), np.abs(y))
        return np.maximum(along - 0.95 * radius, across - 0.35 * radius)
    return np.maximum(np.abs(x) * np.sqrt(3) / 2 - y / 2, y) - radius / 2  # an equilateral triangle, tip upwards


def _write_intra_mp4(path: Path, frames: np.ndarray) -> None:
    """H.264 in mp4 with every frame a keyframe at one quantiser: no frame depends on its neighbours."""
    _, height, width, _ = frames.shape
    with av.open(str(path), "w") as container:
        stream = container.add_stream(
            "libx264", rate=Fraction(FPS), options={"preset": "veryfast", "qp": "16", "g": "1"}
        )
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.codec_context.thread_count = 1
        for image in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())
