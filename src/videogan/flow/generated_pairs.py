"""Pairs of frames with their exact optical flow: textured shapes in layers, each with its own affine motion."""

from collections.abc import Iterable
from typing import Literal, NamedTuple

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from videogan.config import Config

HIGHEST_FREQUENCY = 0.2
"""Cycles per pixel: low enough that no motion here aliases a texture."""

SPLITS = ("train", "held_out")


class PairSettings(Config):
    """The appearance and motion of generated pairs; our own choice."""

    size: int = Field(64, ge=16, description="Height and width of a frame, pixels")
    n_shapes: int = Field(4, ge=0, description="Maximum number of shapes before the background; the number is uniform")
    max_motion: float = Field(10.0, gt=0, description="Longest translation of a layer, pixels; its length is uniform")
    max_rotation: float = Field(0.1, ge=0, lt=1, description="Largest rotation of a layer, radians")
    max_stretch: float = Field(0.05, ge=0, lt=0.5, description="Largest relative stretch and shear of a layer")
    still_background: float = Field(0.25, ge=0, le=1, description="Share of pairs whose background does not move")
    n_waves: int = Field(16, ge=1, description="Number of plane waves in a texture")


class FlowPairs(NamedTuple):
    """Frames (B, 3, H, W) in [-1, 1] and the flow (B, 2, H, W) of each pixel of `first`, u right, v down.

    The flow is also exact for pixels that the second frame hides or that leave the frame.
    """

    first: Tensor
    second: Tensor
    flow: Tensor


def generated_pairs(
    indices: Iterable[int], seed: int, settings: PairSettings, split: Literal["train", "held_out"] = "train"
) -> FlowPairs:
    """The pairs with these indices in the endless sequence of `seed` and `split`, float32.

    Exact, because nothing is resampled: a texture is a sum of plane waves, and an affine motion maps a plane wave to a
    plane wave; outlines are evaluated at the origin of each pixel.
    """
    pairs = [_pair(np.random.default_rng([seed, index, SPLITS.index(split)]), settings) for index in indices]
    return FlowPairs(*(torch.from_numpy(np.stack(column)) for column in zip(*pairs, strict=True)))


class _Layer:
    """A texture inside a wavy outline that moves by x -> centre + translation + matrix (x - centre)."""

    def __init__(self, rng: np.random.Generator, settings: PairSettings, is_background: bool) -> None:
        size, n = settings.size, settings.n_waves
        self.centre = np.full(2, (size - 1) / 2) if is_background else rng.uniform(0, size - 1, 2)
        self.radius = np.inf if is_background else size * rng.uniform(0.1, 0.35)
        harmonics = np.arange(2, 6)
        self.wobble = rng.uniform(0, 0.5) * rng.standard_normal(4) / harmonics, rng.uniform(0, 2 * np.pi, 4), harmonics
        frequency = np.exp(rng.uniform(np.log(1 / size), np.log(HIGHEST_FREQUENCY), n))
        direction = rng.uniform(0, 2 * np.pi, n)
        self.waves = 2 * np.pi * frequency * np.stack([np.cos(direction), np.sin(direction)])  # (2, n), radians a pixel
        self.phases = rng.uniform(0, 2 * np.pi, n)
        # Colours share most of their amplitudes, as in nature: a texture is mostly light and dark.
        amplitudes = rng.standard_normal((1, n)) + 0.5 * rng.standard_normal((3, n))
        self.amplitudes = amplitudes * np.exp(rng.uniform(np.log(0.05), np.log(0.6))) / np.sqrt(n / 2)
        self.colour = rng.uniform(-0.8, 0.8, 3)
        self._draw_motion(rng, settings, is_still=is_background and rng.random() < settings.still_background)

    def _draw_motion(self, rng: np.random.Generator, settings: PairSettings, is_still: bool) -> None:
        length, direction = settings.max_motion * rng.random(), rng.uniform(0, 2 * np.pi)
        angle = settings.max_rotation * rng.uniform(-1, 1)
        rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        stretch = np.eye(2) + settings.max_stretch * rng.uniform(-1, 1, (2, 2))
        self.translation = np.zeros(2) if is_still else length * np.array([np.cos(direction), np.sin(direction)])
        self.matrix = np.eye(2) if is_still else rotation @ stretch

    def flow(self, points: np.ndarray) -> np.ndarray:
        """The displacement of `points` (2, ...) of this layer from the first frame to the second."""
        offset = points - self.centre[:, None, None]
        return self.translation[:, None, None] + np.einsum("ij,j...->i...", self.matrix - np.eye(2), offset)

    def origin(self) -> tuple[np.ndarray, np.ndarray]:
        """(M, b) of q -> M q + b, the position in the first frame of the point that the second frame shows at q."""
        inverse = np.linalg.inv(self.matrix)
        return inverse, self.centre - inverse @ (self.centre + self.translation)

    def texture(self, size: int, matrix: np.ndarray, shift: np.ndarray) -> np.ndarray:
        """Colours (3, size, size) of the layer at M q + b for each pixel q.

        cos(ax + by + c) = cos(ax + c) cos(by) - sin(ax + c) sin(by): the sum over waves is a matrix product.
        """
        waves, phases = matrix.T @ self.waves, self.phases + shift @ self.waves
        pixels = np.arange(size)[:, None]
        x, y = pixels * waves[0] + phases, pixels * waves[1]
        columns, rows = np.hstack([np.cos(x), -np.sin(x)]), np.hstack([np.cos(y), np.sin(y)])
        weighted = np.hstack([self.amplitudes, self.amplitudes])[:, None, :] * rows
        return np.clip(self.colour[:, None, None] + weighted @ columns.T, -1, 1)

    def cover(self, points: np.ndarray) -> np.ndarray:
        """The share, in [0, 1], that the layer covers of each pixel at `points` (2, H, W) of the first frame."""
        if np.isinf(self.radius):
            return np.ones(points.shape[1:])
        x, y = points - self.centre[:, None, None]
        angle = np.arctan2(y, x)
        sizes, phases, harmonics = self.wobble
        outline = 1 + sum(s * np.cos(k * angle + p) for s, p, k in zip(sizes, phases, harmonics, strict=True))
        return np.clip(0.5 + self.radius * outline - np.hypot(x, y), 0, 1)


def _pair(rng: np.random.Generator, settings: PairSettings) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    size, n_shapes = settings.size, rng.integers(0, settings.n_shapes + 1)
    points = np.stack(np.meshgrid(np.arange(size), np.arange(size), indexing="xy")).astype(float)
    first, second, flow = np.zeros((3, size, size)), np.zeros((3, size, size)), np.zeros((2, size, size))
    for depth in range(n_shapes + 1):  # from the background to the foremost shape
        layer = _Layer(rng, settings, is_background=depth == 0)
        matrix, shift = layer.origin()
        cover = layer.cover(points)
        cover_after = layer.cover(np.einsum("ij,j...->i...", matrix, points) + shift[:, None, None])
        first += cover * (layer.texture(size, np.eye(2), np.zeros(2)) - first)
        second += cover_after * (layer.texture(size, matrix, shift) - second)
        flow = np.where(cover > 0.5, layer.flow(points), flow)
    return first.astype(np.float32), second.astype(np.float32), flow.astype(np.float32)
