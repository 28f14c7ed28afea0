"""Video files as FFmpeg finds them in the wild -> uint8 frames at the size the networks see. No torch here."""

import hashlib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np

DECODER_VERSION = (
    f"1-av{av.__version__}"  # part of every cache key: raise the number when the same file gives other pixels
)
MAX_FPS = 120  # bounds the frames of a file whose timestamps ask for more
# Only containers of video: FFmpeg would render a text file as a terminal, and follow playlists to other files.
_CONTAINERS = "avi,mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,gif,mpeg,mpegts,flv,asf,ogg,mpegvideo,h264,hevc,m4v"


class UnreadableVideo(ValueError):
    """A file that cannot serve as a video, with the reason in words."""

    def __init__(self, path: Path | str, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path, self.reason = str(path), reason

    def __reduce__(self) -> tuple:
        return type(self), (self.path, self.reason)


class MissingVideo(UnreadableVideo):
    """No file where one should be: nothing is known about its content."""


@dataclass(frozen=True)
class Limits:
    """What one file may ask for, checked on its header before decoding and on each frame after."""

    max_pixels: int = 4096 * 2304
    max_seconds: float = 300.0


@dataclass(frozen=True)
class VideoInfo:
    """A file as its header and first frame tell it; width and height as displayed, i.e. after rotation."""

    codec: str
    width: int
    height: int
    fps: float
    n_frames_header: int  # 0: not told


@dataclass(frozen=True)
class Inspection:
    """A file that was decoded from end to end: `n_frames` clean frames, and what is wrong with the rest."""

    info: VideoInfo
    n_frames: int
    sha: str
    warning: str | None


@dataclass(frozen=True)
class Preprocessing:
    """A named way from a frame of any size to (size, size) pixels: resize, then centre crop.

    `resized` maps the displayed (width, height) and the size to (width, height) before the crop.
    """

    name: str
    size: int
    resized: Callable[[int, int, int], tuple[int, int]]

    def problem(self, width: int, height: int) -> str | None:
        """Why a source of this size cannot be used; nothing is ever enlarged silently."""
        if min(width, height) < self.size:
            return f"{width}x{height} pixels, {self.name} needs at least {self.size} on the short side"
        return None

    def __reduce__(self) -> tuple:
        return preprocessing_named, (self.name,)


def _short_side(width: int, height: int, size: int) -> tuple[int, int]:
    short = min(width, height)
    return max(size, round(width * size / short)), max(size, round(height * size / short))


PREPROCESSINGS = {"plain": _short_side}


def preprocessing_named(name: str) -> Preprocessing:
    """`plain_<size>`: short side to `size`, then the centre `size` x `size` pixels. ValueError for other names."""
    match = re.fullmatch(r"([a-z0-9_]+)_([1-9]\d*)", name)
    if match is None or match[1] not in PREPROCESSINGS:
        known = ", ".join(f"{kind}_<size>" for kind in PREPROCESSINGS)
        raise ValueError(f"preprocessing must be one of {known}, got {name!r}.")
    return Preprocessing(name, int(match[2]), PREPROCESSINGS[match[1]])


def probe(path: Path | str, limits: Limits = Limits()) -> VideoInfo:
    """What the header and the first frame say. Raises UnreadableVideo."""
    with _Reader(path, limits) as reader:
        return reader.info(next(iter(reader.frames()), None))


def inspect(path: Path | str, limits: Limits = Limits()) -> Inspection:
    """Decodes the whole file without converting it: only what decodes counts, headers lie. Raises UnreadableVideo."""
    with _Reader(path, limits) as reader:
        first, n_decoded = None, 0
        for frame in reader.frames():
            first = first or frame
            n_decoded += 1
        info, ticks = reader.info(first), reader.ticks
        n_frames = n_decoded if ticks is None else int((ticks < n_decoded).sum())
        return Inspection(info, n_frames, file_sha(path), reader.warning(n_decoded))


def decode(
    path: Path | str,
    preprocessing: Preprocessing,
    limits: Limits = Limits(),
    start: int = 0,
    n_frames: int | None = None,
) -> np.ndarray:
    """The frames [start, start + n_frames) of a file, by default all: uint8 (T, H, W, 3), H = W = `preprocessing.size`.

    swscale goes straight to the target size, rotation is applied, a variable frame rate is sampled at its median rate,
    frames after the first damaged one are left out. Raises UnreadableVideo, also where too few decode.
    """
    end = None if n_frames is None else start + n_frames
    with _Reader(path, limits) as reader:
        # Source frames to keep: ticks of a variable frame rate name some of them twice and others never.
        wanted = None if reader.ticks is None else reader.ticks[start:end]
        first, last = (start, end) if wanted is None or not len(wanted) else (int(wanted[0]), int(wanted[-1]) + 1)
        convert, images = _Converter(path, preprocessing), []
        for index, frame in enumerate(reader.frames()):
            if index >= first:
                images.append(convert(frame))
            if last is not None and index + 1 >= last:
                break
    if wanted is not None:
        images = [images[index - first] for index in wanted if index - first < len(images)]
    if not images or (n_frames is not None and len(images) < n_frames):
        raise UnreadableVideo(path, f"{start + len(images)} frames decode, {end or start + 1} are needed")
    return np.stack(images)


def file_sha(path: Path | str) -> str:
    """The sha256 of a file's content, in hex."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class _Reader:
    """One open video file: its first video stream, decoded in display order up to the first damage."""

    def __init__(self, path: Path | str, limits: Limits) -> None:
        self.path, self.limits, self.damage = Path(path), limits, None
        self.container = self._open()
        try:
            if not self.container.streams.video:
                raise UnreadableVideo(path, "no video stream")
            self.stream = self.container.streams.video[0]
            self.stream.codec_context.thread_count = 1  # files are decoded side by side; threads within one only wait
            self._check_header()
            self.ticks = self._ticks()
        except BaseException:
            self.container.close()
            raise

    def __enter__(self) -> "_Reader":
        return self

    def __exit__(self, *_) -> None:
        self.container.close()

    def _open(self) -> av.container.InputContainer:
        if self.path.is_symlink() and not self.path.exists():
            raise MissingVideo(self.path, "symbolic link that leads to no file")
        if not self.path.is_file():
            raise MissingVideo(self.path, "no such file")
        if self.path.stat().st_size == 0:
            raise UnreadableVideo(self.path, "empty file")
        options = {"format_whitelist": _CONTAINERS, "protocol_whitelist": "file"}
        try:
            # "file:": a colon in a name is no protocol. "replace": real HMDB clips carry non-UTF-8 metadata.
            return av.open(f"file:{self.path.absolute()}", metadata_errors="replace", container_options=options)
        except (av.error.FFmpegError, OSError) as error:
            raise UnreadableVideo(self.path, f"not a video that FFmpeg reads ({error.strerror})") from None

    def _check_header(self) -> None:
        if self.stream.codec_context is None or self.stream.codec_context.name in ("", "none"):
            raise UnreadableVideo(self.path, "no decoder for its video stream")
        self._check_pixels(self.stream.width, self.stream.height)
        duration = self.container.duration
        self._check_seconds(0.0 if duration is None else duration / av.time_base)

    def _check_pixels(self, width: int, height: int) -> None:
        if width * height > self.limits.max_pixels:
            raise UnreadableVideo(
                self.path, f"{width}x{height} pixels, data.max_pixels allows {self.limits.max_pixels}"
            )

    def _check_seconds(self, seconds: float) -> None:
        if seconds > self.limits.max_seconds:
            raise UnreadableVideo(
                self.path, f"{seconds:.0f} s long, data.max_seconds allows {self.limits.max_seconds:g}"
            )

    def _ticks(self) -> np.ndarray | None:
        """For a variable frame rate, the source frame shown at each tick of the median rate; None for a constant rate.

        Timestamps come from the packets, so nothing is decoded. AVI has none: FFmpeg guesses them, out of order.
        """
        if "avi" in self.container.format.name:
            return None
        try:
            times = [packet.pts for packet in self.container.demux(self.stream) if packet.size]
        except av.error.FFmpegError:
            times = [None]  # damage: what decodes before it is taken frame by frame
        self.container.close()
        self.container = self._open()
        self.stream = self.container.streams.video[0]
        self.stream.codec_context.thread_count = 1
        if len(times) < 3 or None in times:
            return None
        seconds = np.sort(np.array(times, dtype=np.float64)) * float(self.stream.time_base)
        seconds -= seconds[0]
        period = max(float(np.median(np.diff(seconds))), 1 / MAX_FPS)
        self._check_seconds(seconds[-1])
        if np.abs(np.diff(seconds) - period).max() <= period / 2:
            return None
        self.period = period
        clock = np.arange(0, seconds[-1] + period / 2, period)
        return np.searchsorted(seconds, clock + period / 2, side="right") - 1

    def frames(self) -> Iterator[av.VideoFrame]:
        """Clean frames in display order; the first damaged one ends them and is remembered in `damage`."""
        most = int(self.limits.max_seconds * MAX_FPS)
        try:
            for index, frame in enumerate(self.container.decode(self.stream)):
                if frame.is_corrupt:
                    self.damage = f"frame {index + 1} is damaged"
                    return
                self._check_pixels(frame.width, frame.height)
                if index >= most:
                    raise UnreadableVideo(self.path, f"more than {most} frames ({MAX_FPS} fps for data.max_seconds)")
                yield frame
        except av.error.FFmpegError as error:
            self.damage = error.strerror

    def info(self, first: av.VideoFrame | None) -> VideoInfo:
        if first is None:
            raise UnreadableVideo(self.path, f"no frame decodes ({self.damage or 'the stream is empty'})")
        turned = round(first.rotation / 90) % 2
        width, height = (first.height, first.width) if turned else (first.width, first.height)
        rate = self.stream.average_rate or self.stream.guessed_rate
        fps = 1 / self.period if self.ticks is not None else float(rate or 0)
        return VideoInfo(self.stream.codec_context.name, width, height, fps, self.stream.frames)

    def warning(self, n_decoded: int) -> str | None:
        """What the file promised and did not hold; one frame less than the header says is how HMDB's AVIs are."""
        promised = self.stream.frames
        of = f" of {promised}" if promised > n_decoded else ""
        if self.damage is None and n_decoded >= promised - 1:
            return None
        return f"{n_decoded}{of} frames decode" + (f" ({self.damage})" if self.damage else "")


class _Converter:
    """Frames of one file -> uint8 (size, size, 3); one reformatter keeps swscale's tables between frames."""

    def __init__(self, path: Path | str, preprocessing: Preprocessing) -> None:
        self.path, self.preprocessing = path, preprocessing
        self.reformatter = av.video.reformatter.VideoReformatter()

    def __call__(self, frame: av.VideoFrame) -> np.ndarray:
        size = self.preprocessing.size
        quarter_turns = round(frame.rotation / 90) % 4  # counter-clockwise, as np.rot90 turns
        turned = quarter_turns % 2
        displayed = (frame.height, frame.width) if turned else (frame.width, frame.height)
        problem = self.preprocessing.problem(*displayed)
        if problem:
            raise UnreadableVideo(self.path, problem)
        width, height = self.preprocessing.resized(*displayed, size)
        stored = (height, width) if turned else (width, height)
        small = self.reformatter.reformat(frame, *stored, format="rgb24", interpolation="BILINEAR", threads=1)
        image = np.rot90(small.to_ndarray(), quarter_turns)
        top, left = (height - size) // 2, (width - size) // 2
        return image[top : top + size, left : left + size]
