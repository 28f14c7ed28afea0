"""Moving MNIST, generated: two digits that bounce off the edges of a 64 x 64 frame (Srivastava et al. 2015).

Direction and speed of each digit are random, as the TGAN paper says of its clips (sec. 6.1).
"""

import gzip
from collections.abc import Callable
from pathlib import Path

import numpy as np

from videogan.data.cache import staged
from videogan.data.manifest import DataError, Manifest, read_manifest, write_manifest
from videogan.data.splits import split_by_group
from videogan.data.stills import row_of, stills_sha
from videogan.storage.atomic import named, reserve

LABEL = "digits"  # the data set has one class
SIZE, DIGIT_SIZE, N_DIGITS = 64, 28, 2
RANGE = SIZE - DIGIT_SIZE  # largest coordinate of a digit's upper left corner
SPEEDS = (2.0, 5.0)  # pixels per frame, drawn: TGAN, sec. 6.1; a tenth of the range, 3.6, in Srivastava's code
ARRAY_NAME = "moving_mnist.npy"
# The lines of a seven-segment 8, as pairs of corners (x, y) of a 1 x 2 box; and the lines of each digit.
_SEGMENTS = np.array(
    [[0, 0, 1, 0], [1, 0, 1, 1], [1, 1, 1, 2], [0, 2, 1, 2], [0, 1, 0, 2], [0, 0, 0, 1], [0, 1, 1, 1]], dtype=float
)
_LIT = ("012345", "12", "01346", "01236", "1256", "02356", "023456", "012", "0123456", "012356")


def make_moving_mnist(
    folder: Path | str,
    digits: Path | None = None,
    seed: int = 0,
    n_clips: int = 1000,
    n_frames: int = 20,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> Manifest:
    """Write `folder/moving_mnist.npy`, uint8 (n_frames, n_clips, 64, 64) as published, and the manifest.

    There is one class, and each sequence is its own group. Digits come from the CSV file `digits`, else they are drawn.
    Same seed and digits, same bytes. Raises DataError if `folder` exists or the CSV file holds no digits.
    """
    folder = Path(folder).absolute()
    if folder.exists():
        raise DataError(f"{folder} exists already. Choose another --out, or use this data set: --data {folder}")
    images = None if digits is None else read_digits(digits)
    groups = [row_of(folder / ARRAY_NAME, index, n_clips).name.partition("#")[2] for index in range(n_clips)]
    splits = split_by_group([LABEL] * n_clips, groups, seed)
    numbers = {"n_frames": n_frames, "fps": 0.0, "width": SIZE, "height": SIZE, "codec": "npy", "label": LABEL}
    with staged(folder) as staging:
        file, rows = staging / ARRAY_NAME, []
        with named(file):
            clips = np.lib.format.open_memmap(file, "w+", np.uint8, (n_frames, n_clips, SIZE, SIZE))
        reserve(file, file.stat().st_size)
        for index in range(n_clips):
            rng = np.random.default_rng([seed, index])
            clips[:, index] = moving_digits(rng, n_frames, images)
        clips.flush()
        for index, (group, split) in enumerate(zip(groups, splits, strict=True)):
            path = row_of(file, index, n_clips)
            rows.append({"path": path, "group": group, "split": split, "sha": stills_sha(path)} | numbers)
            on_progress(index + 1, n_clips)
        write_manifest(staging, rows, layout="moving_mnist")
    return read_manifest(folder)


def moving_digits(rng: np.random.Generator, n_frames: int, images: np.ndarray | None = None) -> np.ndarray:
    """uint8 (n_frames, 64, 64): two digits from `images` (n, 28, 28), or drawn ones, at uniform starts.

    Where they overlap, the brighter pixel is shown.
    """
    frames = np.zeros((n_frames, SIZE, SIZE), np.uint8)
    for _ in range(N_DIGITS):
        digit = drawn_digit(rng, int(rng.integers(10))) if images is None else images[rng.integers(len(images))]
        places = bounced(rng.uniform(0, RANGE, 2), drawn_velocity(rng), n_frames)
        for frame, (x, y) in zip(frames, places.astype(int), strict=True):
            patch = frame[y : y + DIGIT_SIZE, x : x + DIGIT_SIZE]
            np.maximum(patch, digit, out=patch)
    return frames


def drawn_velocity(rng: np.random.Generator) -> np.ndarray:
    """(2,) pixels per frame: a uniform direction, and a speed that is uniform within SPEEDS."""
    angle = rng.uniform(0, 2 * np.pi)
    return rng.uniform(*SPEEDS) * np.array([np.cos(angle), np.sin(angle)])


def bounced(start: np.ndarray, velocity: np.ndarray, n_frames: int) -> np.ndarray:
    """(n_frames, 2) positions in [0, RANGE]. At a wall the position is reflected and that component of the velocity
    changes sign, so the speed stays the same.
    """
    places = np.empty((n_frames, 2))
    place, velocity = np.array(start, float), np.array(velocity, float)
    for frame in range(n_frames):
        places[frame] = place
        place = place + velocity
        beyond = (place < 0) | (place > RANGE)
        place = np.where(place < 0, -place, np.where(place > RANGE, 2 * RANGE - place, place))
        velocity = np.where(beyond, -velocity, velocity)
    return places


def drawn_digit(rng: np.random.Generator, number: int) -> np.ndarray:
    """uint8 (28, 28): a seven-segment digit with soft edges; size, slant and stroke differ from clip to clip."""
    height, width = rng.uniform(8, 10), rng.uniform(8, 12)
    slant, radius = rng.uniform(-0.15, 0.35), rng.uniform(1.2, 2.2)
    lines = _SEGMENTS[[int(line) for line in _LIT[number]]].reshape(-1, 2, 2)
    y = (lines[..., 1] - 1) * height
    ends = np.stack([(lines[..., 0] - 0.5) * width - slant * y, y], -1) + (DIGIT_SIZE - 1) / 2  # (n, 2, 2)
    pixels = np.stack(np.meshgrid(np.arange(DIGIT_SIZE), np.arange(DIGIT_SIZE)), -1)[:, :, None]  # (28, 28, 1, 2) x, y
    along = ends[:, 1] - ends[:, 0]
    share = np.clip(((pixels - ends[:, 0]) * along).sum(-1) / (along**2).sum(-1), 0, 1)
    distance = np.linalg.norm(pixels - ends[:, 0] - share[..., None] * along, axis=-1).min(-1)
    return np.round(255 * np.clip(radius + 0.5 - distance, 0, 1)).astype(np.uint8)


def read_digits(file: Path) -> np.ndarray:
    """The digits of a CSV file, gzipped or not, as uint8 (n, 28, 28). Each line: 784 pixels in 0..255 and the label.

    Raises DataError for any other content.
    """
    if not file.is_file():
        raise DataError(f"--digits {file}: no such file.")
    opened = gzip.open if file.read_bytes()[:2] == b"\x1f\x8b" else open
    images = []
    try:
        with opened(file, "rt", encoding="utf-8-sig") as lines:
            for number, line in enumerate(lines, 1):
                try:
                    cells = np.array(line.split(","), dtype=np.float64)
                except ValueError:
                    cells = np.empty(0)
                if len(cells) != DIGIT_SIZE**2 + 1 or not ((cells >= 0) & (cells <= 255)).all():
                    raise DataError(f"--digits {file.name} line {number}: expected 784 pixels in 0..255 and a label.")
                images.append(cells[:-1].astype(np.uint8).reshape(DIGIT_SIZE, DIGIT_SIZE))
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise DataError(f"--digits {file}: not a CSV file, or damaged ({error}).") from None
    if not images:
        raise DataError(f"--digits {file}: the file holds no digits.")
    return np.stack(images)
