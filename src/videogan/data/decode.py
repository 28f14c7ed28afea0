"""Decode video files of any kind, or stills, to uint8 frames at the networks' input size. No torch here."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np

from videogan.data.preprocessing import Preprocessing
from videogan.data.source import MAX_FPS, Inspection, Limits, MissingVideo, UnreadableVideo, VideoInfo
from videogan.data.stills import StillsReader, is_stills, stills_sha
from videogan.data.thumbnails import Thumbnails

DECODER_VERSION = f"2-av{av.__version__}"  # part of every cache key: increase the number when decoding changes pixels
# Only video containers: FFmpeg would render a text file as a terminal, and follow playlists to other files.
_CONTAINERS = "avi,mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,gif,mpeg,mpegts,flv,asf,ogg,mpegvideo,h264,hevc,m4v"
# Codecs in which each packet shows one frame, so a frame can be found without decoding all frames before it.
_SEEKABLE = {"h264", "hevc", "mpeg4", "mjpeg"}
_SEEKABLE_IN_AVI = {"mpeg4", "mjpeg"}  # only without B-frames: AVI has no timestamps to order them
_SKIPS_NONREF = {"h264", "hevc"}  # other codecs gain nothing
_MAX_NVOP_BYTES = 19  # MPEG-4: a packet this small may show no frame (FFmpeg's mpeg4_unpack_bframes has the same bound)


def probe(path: Path | str, limits: Limits = Limits()) -> VideoInfo:
    """Read the header and the first frame. Raises UnreadableVideo."""
    with _opened(path, limits) as reader:
        return reader.info(next(iter(reader.frames()), None))


def inspect(path: Path | str, limits: Limits = Limits()) -> Inspection:
    """Decode the whole file, because headers can be wrong; only thumbnails are converted. Raises UnreadableVideo."""
    with _opened(path, limits) as reader:
        first, n_decoded, thumbnails = None, 0, Thumbnails()
        for frame in reader.frames():
            first = first or frame
            thumbnails.add(frame)
            n_decoded += 1
        info, ticks = reader.info(first), reader.ticks
        n_frames = n_decoded if ticks is None else int((ticks < n_decoded).sum())
        return Inspection(info, n_frames, content_sha(path), reader.warning(n_decoded), thumbnails.packed())


def decode(
    path: Path | str,
    preprocessing: Preprocessing,
    limits: Limits = Limits(),
    start: int = 0,
    n_frames: int | None = None,
) -> np.ndarray:
    """Decode frames [start, start + n_frames), by default all: uint8 (T, H, W, 3), H = W = `preprocessing.size`.

    swscale converts directly to the target size; rotation is applied; a variable frame rate is sampled at its median
    rate; frames after the first damaged one are left out. Raises UnreadableVideo, also if too few frames decode.
    """
    end = None if n_frames is None else start + n_frames
    with _opened(path, limits) as reader:
        # Source frames to keep: with a variable frame rate some occur twice and others never.
        wanted = None if reader.ticks is None else reader.ticks[start:end]
        first, last = (start, end) if wanted is None or not len(wanted) else (int(wanted[0]), int(wanted[-1]) + 1)
        convert, images = _Converter(path, preprocessing), []
        for frame in reader.frames(first):
            images.append(convert(frame))
            if last is not None and first + len(images) >= last:
                break
    if wanted is not None:
        images = [images[index - first] for index in wanted if index - first < len(images)]
    if not images or (n_frames is not None and len(images) < n_frames):
        at_most = "at most " if start and not images else ""  # the window starts beyond the last frame that decodes
        raise UnreadableVideo(path, f"{at_most}{start + len(images)} frames decode, {end or start + 1} are needed")
    return np.stack(images)


def content_sha(path: Path | str) -> str:
    """The sha256 (hex) of the content of a video file, of pictures or of an array's clip. Raises MissingVideo."""
    if is_stills(path):
        return stills_sha(path)
    if not Path(path).is_file():
        raise MissingVideo(path, "no such file")
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _opened(path: Path | str, limits: Limits) -> "_Reader | StillsReader":
    return StillsReader(path, limits) if is_stills(path) else _Reader(path, limits)


class _Packet(NamedTuple):
    """One frame as the container stores it."""

    pts: int
    is_keyframe: bool
    n_bytes: int


class _Reader:
    """An open video file: its first video stream, decoded in display order up to the first damaged frame."""

    def __init__(self, path: Path | str, limits: Limits) -> None:
        self.path, self.limits = Path(path), limits
        self.damage: str | None = None
        self.container = self._open()
        try:
            self.stream = self._first_video_stream()
            self._check_header()
            # Known without decoding, in file order; empty if the timestamps are unreliable.
            self.packets = self._packets_of_avi() if self._is_avi else self._packets()
            self.shown = sorted(packet.pts for packet in self.packets)  # timestamps in display order
            self.ticks = self._ticks()
        except BaseException:
            self.container.close()
            raise

    def __enter__(self) -> "_Reader":
        return self

    def __exit__(self, *_: object) -> None:
        self.container.close()

    def _open(self) -> av.container.InputContainer:
        if self.path.is_symlink() and not self.path.exists():
            raise MissingVideo(self.path, "symbolic link that leads to no file")
        if not self.path.is_file():
            raise MissingVideo(self.path, "no such file")
        if self.path.stat().st_size == 0:
            raise UnreadableVideo(self.path, "empty file")
        # max_pixels: FFmpeg decodes at least one frame to open a file, before our own checks.
        options = {
            "format_whitelist": _CONTAINERS, "protocol_whitelist": "file", "max_pixels": str(self.limits.max_pixels),
        }  # fmt: skip
        self._at_start = True
        try:
            # "file:" because names may contain colons; "replace" because real HMDB clips have non-UTF-8 metadata.
            return av.open(f"file:{self.path.absolute()}", metadata_errors="replace", options=options)
        except (av.error.FFmpegError, OSError) as error:
            raise UnreadableVideo(self.path, f"not a video that FFmpeg reads ({error.strerror})") from None

    def _first_video_stream(self) -> av.VideoStream:
        pictures = av.stream.Disposition.attached_pic  # FFmpeg lists a song's cover as a video stream
        streams = [stream for stream in self.container.streams.video if not stream.disposition & pictures]
        if not streams:
            raise UnreadableVideo(self.path, "no video stream")
        context = streams[0].codec_context
        if context is not None:
            context.thread_count = 1  # files are decoded in parallel; more threads per file would only wait
            context.options = {"max_pixels": str(self.limits.max_pixels)}
        return streams[0]

    def _reopen(self) -> None:
        if not self._at_start:
            self.container.close()
            self.container = self._open()
            self.stream = self._first_video_stream()

    @property
    def _is_avi(self) -> bool:
        return "avi" in self.container.format.name

    def _check_header(self) -> None:
        if self.stream.codec_context is None or self.stream.codec_context.name in ("", "none"):
            raise UnreadableVideo(self.path, "no decoder for its video stream")
        self.limits.check_pixels(self.path, self.stream.width, self.stream.height)
        duration = self.container.duration
        self._check_seconds(0.0 if duration is None else duration / av.time_base)

    def _check_seconds(self, seconds: float) -> None:
        if seconds > self.limits.max_seconds:
            raise UnreadableVideo(
                self.path, f"{seconds:.0f} s long, data.max_seconds allows {self.limits.max_seconds:g}"
            )

    def _packets(self) -> list[_Packet]:
        """The stream's packets, read but not decoded; empty if a timestamp is missing, repeated or not shown."""
        self._at_start, packets = False, []
        try:
            for packet in self.container.demux(self.stream):
                if packet.size:
                    if packet.pts is None or packet.is_discard or packet.is_corrupt:
                        return []
                    packets.append(_Packet(packet.pts, packet.is_keyframe, packet.size))
                    self._check_count(len(packets))
        except av.error.FFmpegError:
            return []  # damaged file: the frames before the damage are decoded one by one
        return packets if len({packet.pts for packet in packets}) == len(packets) else []

    def _packets_of_avi(self) -> list[_Packet]:
        """An AVI's packets from its index; empty if B-frames change their order, since AVI has no timestamps."""
        self._check_count(len(self.stream.index_entries))
        if self.stream.codec_context.name not in _SEEKABLE_IN_AVI or self.stream.codec_context.has_b_frames:
            return []
        entries = [_Packet(entry.timestamp, entry.is_keyframe, entry.size) for entry in self.stream.index_entries]
        return entries if [packet.pts for packet in entries] == list(range(len(entries))) else []

    def _check_count(self, n_frames: int) -> None:
        if n_frames > self.limits.most_frames:
            reason = f"more than {self.limits.most_frames} frames ({MAX_FPS} fps for data.max_seconds)"
            raise UnreadableVideo(self.path, reason)

    def _ticks(self) -> np.ndarray | None:
        """For a variable frame rate, the source frame shown at each tick of the median rate; None for a constant rate.

        AVI files always have a constant rate.
        """
        time_base = self.stream.time_base
        if self._is_avi or time_base is None or len(self.packets) < 3:
            return None
        seconds = np.array([pts - self.shown[0] for pts in self.shown]) * float(time_base)
        period = max(float(np.median(np.diff(seconds))), 1 / MAX_FPS)
        self._check_seconds(seconds[-1])
        if np.abs(np.diff(seconds) - period).max() <= period / 2:
            return None
        self.period = period
        clock = np.arange(0, seconds[-1] + period / 2, period)
        return np.searchsorted(seconds, clock + period / 2, side="right") - 1

    def frames(self, first: int = 0) -> Iterator[av.VideoFrame]:
        """Undamaged frames from index `first` on, in display order; stops at the first damaged one and sets `damage`.

        With `first` > 0 decoding starts at an earlier keyframe if that gives the same frames; damage before that
        keyframe is not noticed.
        """
        for frame in self._frames_after_keyframe(first):
            yield frame
            first += 1
        # Seeking was not possible or stopped early: decode from the start, which is always right.
        self._reopen()
        for index, frame in enumerate(self._frames_from_start()):
            if index >= first:
                yield frame

    def _frames_from_start(self) -> Iterator[av.VideoFrame]:
        self._at_start = False
        try:
            for index, frame in enumerate(self.container.decode(self.stream)):
                if frame.is_corrupt:
                    self.damage = f"frame {index + 1} is damaged"
                    return
                self.limits.check_pixels(self.path, frame.width, frame.height)
                self._check_count(index + 1)
                yield frame
        except av.error.FFmpegError as error:
            self.damage = error.strerror

    def _frames_after_keyframe(self, first: int) -> Iterator[av.VideoFrame]:
        """Frames from index `first` on, decoded from an earlier keyframe; stops at an unexpected timestamp."""
        keyframe = self._keyframe_before(first)
        if keyframe is None:
            return
        landed = False
        for frame in self._sought(keyframe, self.shown[first]):
            if frame.pts is None or frame.is_corrupt:
                return
            if not landed and frame.pts >= keyframe.pts:
                # H.264 also marks as key a frame that starts a line-by-line refresh, complete only frames later.
                landed = frame.pts == keyframe.pts and frame.pict_type == av.video.frame.PictureType.I
                if not landed:
                    return
            if frame.pts < self.shown[first]:
                continue
            if frame.pts != self.shown[first]:
                return
            self.limits.check_pixels(self.path, frame.width, frame.height)
            yield frame
            first += 1
            if first == len(self.shown):
                return

    def _sought(self, keyframe: _Packet, start: int) -> Iterator[av.VideoFrame]:
        """Frames decoded from a keyframe on, without frames before timestamp `start` that no other frame needs."""
        context, self._at_start = self.stream.codec_context, False
        try:
            self.container.seek(keyframe.pts, stream=self.stream)
            for packet in self.container.demux(self.stream):
                if context.name in _SKIPS_NONREF and packet.size:
                    is_before = packet.pts is not None and packet.pts < start
                    context.skip_frame = "NONREF" if is_before else "DEFAULT"
                yield from packet.decode()
        except av.error.FFmpegError:
            return  # decoding from the start will find the damage

    def _keyframe_before(self, first: int) -> _Packet | None:
        """The keyframe to seek to for frame `first`; None if seeking is unsafe or useless."""
        name = self.stream.codec_context.name
        if not 0 < first < len(self.shown) or name not in _SEEKABLE or not self.packets[0].is_keyframe:
            return None
        before = [packet for packet in self.packets if packet.pts <= self.shown[first]]
        if name == "mpeg4" and min(packet.n_bytes for packet in before) <= _MAX_NVOP_BYTES:
            return None
        return max((packet for packet in before if packet.is_keyframe), key=lambda packet: packet.pts)

    def info(self, first: av.VideoFrame | None) -> VideoInfo:
        if first is None:
            raise UnreadableVideo(self.path, f"no frame decodes ({self.damage or 'the stream is empty'})")
        turned = round(first.rotation / 90) % 2
        width, height = (first.height, first.width) if turned else (first.width, first.height)
        rate = self.stream.average_rate or self.stream.guessed_rate
        fps = 1 / self.period if self.ticks is not None else float(rate or 0)
        return VideoInfo(self.stream.codec_context.name, width, height, fps, self.stream.frames)

    def warning(self, n_decoded: int) -> str | None:
        """How many frames are missing, and the damage; HMDB's AVIs lack one announced frame, which is fine."""
        announced = self.stream.frames
        of = f" of {announced}" if announced > n_decoded else ""
        if self.damage is None and n_decoded >= announced - 1:
            return None
        return f"{n_decoded}{of} frames decode" + (f" ({self.damage})" if self.damage else "")


class _Converter:
    """Converts frames of one file to uint8 (size, size, 3); one reformatter keeps swscale's tables between frames."""

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
        # Planar RGB keeps the full chroma (swscale's rgb24 halves it at even widths) and takes half the time; but
        # without scaling it leaves the last columns unwritten if the width is not a multiple of 8.
        layout = "rgb24" if stored == (frame.width, frame.height) else "gbrp"
        small = self.reformatter.reformat(frame, *stored, format=layout, interpolation="BILINEAR", threads=1)
        image = np.rot90(small.to_ndarray(), quarter_turns)
        left, top = self.preprocessing.corner(width, height)
        return image[top : top + size, left : left + size]
