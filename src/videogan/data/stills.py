"""Stills: clips stored as pictures or arrays, read as the frames that a video file would give. No torch here.

The path determines the kind: a folder holds one picture per frame (Jester), a picture holds the frames side by side
(MoCoGAN) or stacked (VGAN's golf), `file.npy#17` is clip 17 of an array whose first axis is time (moving MNIST).
"""

import hashlib
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import av
import numpy as np
from PIL import Image

from videogan.data.orientation import orientation_of
from videogan.data.source import MAX_FPS, Limits, MissingVideo, UnreadableVideo, VideoInfo

IMAGE_SUFFIXES = ("jpg", "jpeg", "png")
_CODECS = {"jpeg": "mjpeg", "png": "png"}  # Pillow's names -> FFmpeg's names of the formats behind these suffixes
_FramesFrom = Callable[[int], Iterator[av.VideoFrame]]
_ROW = re.compile(r"(.+\.npy)#(\d+)", re.DOTALL)


def is_stills(path: Path | str) -> bool:
    """Whether a path names pictures or an array's clip rather than a video file."""
    return _ROW.fullmatch(str(path)) is not None or is_image_name(path) or os.path.isdir(path)


def is_image_name(path: Path | str) -> bool:
    return Path(path).suffix.lower().removeprefix(".") in IMAGE_SUFFIXES


def holder(path: Path) -> Path:
    """The file or folder that holds a clip: the array of `file.npy#17`, else the path itself."""
    row = _ROW.fullmatch(str(path))
    return Path(row[1] if row else path)


def row_of(file: Path, index: int, n_rows: int) -> Path:
    """The path of clip `index` of an array with `n_rows` clips; padded digits make names sort like numbers."""
    return Path(f"{file}#{index:0{len(str(n_rows - 1))}d}")


class StillsReader:
    """Reads the frames of one clip of stills in order, up to the first damaged one, as the reader of video files does.

    The frame rate is unknown and reported as 0. Raises UnreadableVideo.
    """

    ticks = None  # no timestamps: each frame is shown once
    pixel_aspect = 1.0

    def __init__(self, path: Path | str, limits: Limits) -> None:
        self.path, self.limits = Path(path), limits
        self.damage: str | None = None
        row = _ROW.fullmatch(str(path))
        if row is not None:
            self.codec, self.n_promised, self._frames_from = "npy", *self._array(Path(row[1]), int(row[2]))
        elif self.path.is_dir():
            self.codec, self.n_promised, self._frames_from = self._folder()
        else:
            self.codec, self.n_promised, self._frames_from = self._strip()

    def __enter__(self) -> "StillsReader":
        return self

    def __exit__(self, *_: object) -> None:
        pass  # files are open only while they are read

    def frames(self, first: int = 0) -> Iterator[av.VideoFrame]:
        """Undamaged frames from index `first` on; stops at the first damaged one and sets `damage`."""
        try:
            yield from self._frames_from(first)
        except _DamagedPicture as error:
            self.damage = str(error)

    def info(self, first: av.VideoFrame | None) -> VideoInfo:
        if first is None:
            raise UnreadableVideo(self.path, f"no frame decodes ({self.damage})")
        return VideoInfo(self.codec, *orientation_of(first).sides(first.width, first.height), 0.0, self.n_promised)

    def warning(self, n_decoded: int) -> str | None:
        """How many frames are missing, and the damage."""
        if self.damage is None:
            return None
        return f"{n_decoded} of {self.n_promised} frames decode ({self.damage})"

    def pauses(self) -> list[str]:
        return []

    def _folder(self) -> tuple[str, int, _FramesFrom]:
        files = frame_files(self.path)
        if not files:
            raise UnreadableVideo(self.path, f"no picture in the folder ({' '.join(IMAGE_SUFFIXES)})")
        self._check_length(len(files))
        kind, *_ = self._header(files[0])
        return f"{kind}_frames", len(files), lambda first: (self._picture(file) for file in files[first:])

    def _strip(self) -> tuple[str, int, _FramesFrom]:
        if not self.path.is_file():
            raise MissingVideo(self.path, "no such file")
        kind, width, height = self._header(self.path)
        side, length = min(width, height), max(width, height)
        if length % side:
            raise UnreadableVideo(
                self.path, f"{width}x{height} pixels: a strip of square frames is a whole number of them long"
            )
        n_frames, upright = length // side, height > width
        self._check_length(n_frames)

        def slices(first: int) -> Iterator[av.VideoFrame]:
            # One picture: if it is damaged, no frame of it is known to be undamaged.
            picture = self._picture(self.path)
            pixels = orientation_of(picture).shown(picture.to_ndarray(format="rgb24"))
            for frame in np.split(pixels, n_frames, axis=int(pixels.shape[1] > pixels.shape[0]))[first:]:
                yield av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")

        return f"{kind}_{'stack' if upright else 'strip'}", n_frames, slices

    def _picture(self, file: Path) -> av.VideoFrame:
        """Decode one picture with FFmpeg, which reports damage that Pillow fills with grey. Raises _DamagedPicture."""
        try:
            kind, *_ = self._header(file)
            context = av.CodecContext.create(_CODECS[kind], "r")
            assert isinstance(context, av.VideoCodecContext)
            context.thread_count = 1  # more threads would hold back the only frame
            context.options = {"err_detect": "explode"}
            (frame,) = context.decode(av.Packet(file.read_bytes()))
        except (OSError, ValueError, av.error.FFmpegError) as error:
            reason = error.reason if isinstance(error, UnreadableVideo) else getattr(error, "strerror", None)
            raise _DamagedPicture(f"{file.name}: {reason or 'no picture in it'}") from None
        return frame

    def _header(self, file: Path) -> tuple[str, int, int]:
        """The format (jpeg or png), width and height, read without decoding and checked against the limits."""
        try:
            with Image.open(file, formats=list(_CODECS)) as image:
                kind, (width, height) = (image.format or "").lower(), image.size
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
            reason = "empty file" if file.is_file() and not file.stat().st_size else "not a JPEG or PNG picture"
            raise UnreadableVideo(self.path, f"{reason} ({type(error).__name__})") from None
        self.limits.check_pixels(self.path, width, height)
        return kind, width, height

    def _array(self, file: Path, index: int) -> tuple[int, _FramesFrom]:
        clips = open_clips(file)
        n_frames, n_clips, height, width = clips.shape
        if index >= n_clips:
            raise MissingVideo(self.path, f"clip {index} of an array that holds {n_clips}, counted from 0")
        self.limits.check_pixels(self.path, width, height)
        self._check_length(n_frames)
        # Copy the clip once: its frames are far apart in the file.
        frames = np.ascontiguousarray(clips[:, index])
        return n_frames, lambda first: (av.VideoFrame.from_ndarray(frame, format="gray") for frame in frames[first:])

    def _check_length(self, n_frames: int) -> None:
        most = self.limits.most_frames
        if n_frames > most:
            raise UnreadableVideo(
                self.path, f"{n_frames} frames, data.max_seconds allows {most} ({MAX_FPS} fps at the most)"
            )


def stills_sha(path: Path | str) -> str:
    """The sha256 (hex) of the content of an `is_stills` path. Raises MissingVideo if there is none."""
    row, digest = _ROW.fullmatch(str(path)), hashlib.sha256()
    if row is not None:
        clips, index = open_clips(Path(row[1])), int(row[2])
        if index >= clips.shape[1]:
            raise MissingVideo(path, f"clip {index} of an array that holds {clips.shape[1]}, counted from 0")
        digest.update(f"{(clips.shape[0], *clips.shape[2:])}".encode())
        digest.update(np.ascontiguousarray(clips[:, index]).data)
        return digest.hexdigest()
    folder = Path(path).is_dir()
    for file in frame_files(Path(path)) if folder else [Path(path)]:
        try:
            content = file.read_bytes()
        except FileNotFoundError:
            raise MissingVideo(path, "no such file") from None
        except OSError as error:
            raise UnreadableVideo(path, f"{file.name} cannot be read ({error.strerror})") from None
        digest.update(len(content).to_bytes(8) if folder else b"")  # so that frame boundaries matter
        digest.update(content)
    return digest.hexdigest()


def frame_files(folder: Path) -> list[Path]:
    """The pictures of a folder in the order of the numbers in their names: 2.jpg before 10.jpg."""
    with os.scandir(folder) as entries:
        names = [entry.name for entry in entries if is_image_name(entry.name) and not entry.name.startswith(".")]
    parts = {name: re.split(r"(\d+)", name) for name in names}
    # Odd parts are numbers, even parts are text, so numbers compare with numbers.
    return [
        folder / name
        for name in sorted(names, key=lambda name: [int(p) if i % 2 else p for i, p in enumerate(parts[name])] + [name])
    ]


def open_clips(file: Path) -> np.ndarray:
    """Memory-map an array of grey clips, uint8 (T, n, H, W), time first. Raises UnreadableVideo, MissingVideo."""
    if not file.is_file():
        raise MissingVideo(file, "no such file")
    try:
        # Not np.load: it would also read an archive, or a pickle. A damaged header raises almost anything.
        clips = np.lib.format.open_memmap(file, mode="r")
    except Exception as error:
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise UnreadableVideo(file, f"not an array that numpy reads ({reason[:100]})") from error
    if clips.ndim != 4 or clips.dtype != np.uint8 or 0 in clips.shape:
        raise UnreadableVideo(file, f"{clips.dtype} {clips.shape}, expected uint8 (T, n, H, W): time first")
    return clips


class _DamagedPicture(Exception):
    """A picture cannot be decoded; the message names the file and the reason."""
