"""Decode video files of any kind, or stills, to uint8 frames at the networks' input size. No torch here."""

import hashlib
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np

from videogan.data.containers import open_container, video_stream
from videogan.data.deinterlacing import deinterlaced
from videogan.data.frame_times import EvenFrames, even_frames
from videogan.data.orientation import orientation_of
from videogan.data.preprocessing import Preprocessing
from videogan.data.source import MAX_FPS, Inspection, Limits, MissingVideo, UnreadableVideo, VideoInfo
from videogan.data.stills import StillsReader, is_stills, stills_sha
from videogan.data.thumbnails import Thumbnails

DECODER_VERSION = f"3-av{av.__version__}"  # part of every cache key: increase the number when decoding changes pixels
_HDR = {16: "PQ", 18: "HLG"}  # transfer functions of BT.2100, by the numbers of H.273
# Codecs in which each packet shows one frame, so a frame can be found without decoding all frames before it.
_SEEKABLE = {"h264", "hevc", "mpeg4", "mjpeg"}
_SEEKABLE_IN_AVI = {"mpeg4", "mjpeg"}  # only without B-frames: AVI has no timestamps to order them
_SKIPS_NONREF = {"h264", "hevc"}  # other codecs gain nothing
_NO_IMAGE = np.empty(0, np.uint8)  # in place of a source frame that an even frame rate passes over
_MAX_NVOP_BYTES = 19  # MPEG-4: a packet this small may show no frame (FFmpeg's mpeg4_unpack_bframes has the same bound)


def probe(path: Path | str, limits: Limits = Limits()) -> VideoInfo:
    """Read the header and the first frame. Raises UnreadableVideo."""
    with _opened(path, limits) as reader:
        return reader.info(next(iter(reader.frames()), None))


def inspect(path: Path | str, limits: Limits = Limits()) -> Inspection:
    """Decode the whole file, because headers can be wrong; only thumbnails are converted. Raises UnreadableVideo."""
    with _opened(path, limits) as reader:
        first, n_decoded, n_interlaced, thumbnails = None, 0, 0, Thumbnails()
        for frame in reader.frames():
            first = first or frame
            thumbnails.add(frame)
            n_decoded += 1
            n_interlaced += frame.interlaced_frame
        info, ticks = reader.info(first), reader.ticks
        n_frames = n_decoded if ticks is None else int((ticks < n_decoded).sum())
        found = [reader.warning(n_decoded), *reader.pauses(), _interlaced(n_interlaced, n_decoded), _hdr(first)]
        warning = "; ".join(text for text in found if text) or None
        return Inspection(info, n_frames, content_sha(path), warning, thumbnails.packed())


def decode(
    path: Path | str,
    preprocessing: Preprocessing,
    limits: Limits = Limits(),
    start: int = 0,
    n_frames: int | None = None,
) -> np.ndarray:
    """Decode frames [start, start + n_frames), by default all: uint8 (T, H, W, 3), H = W = `preprocessing.size`.

    swscale converts directly to the target size. The display matrix, the shape of the pixels and, if `preprocessing`
    says so, deinterlacing are applied. A variable or high frame rate is sampled evenly; frames after the first damaged
    one are left out. Raises UnreadableVideo, also if too few frames decode.
    """
    end = None if n_frames is None else start + n_frames
    with _opened(path, limits) as reader:
        # Source frames to keep: with a variable frame rate some occur twice and others never.
        wanted = None if reader.ticks is None else reader.ticks[start:end]
        first, last = (start, end) if wanted is None or not len(wanted) else (int(wanted[0]), int(wanted[-1]) + 1)
        kept = None if wanted is None else set(wanted.tolist())
        convert = _Converter(path, preprocessing, reader.pixel_aspect)
        images: list[np.ndarray] = []
        whole = preprocessing.deinterlaces  # then a frame depends on the one before it
        for frame in islice(deinterlaced(reader.frames()), first, None) if whole else reader.frames(first):
            is_kept = kept is None or first + len(images) in kept
            images.append(convert(frame) if is_kept else _NO_IMAGE)
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


def _interlaced(n_interlaced: int, n_decoded: int) -> str | None:
    if not n_interlaced:
        return None
    some = "" if n_interlaced == n_decoded else f"{n_interlaced} of {n_decoded} frames are "
    return f"{some}interlaced, moving edges look like combs: --set data.preprocessing=deinterlaced_<size> removes them"


def _hdr(first: av.VideoFrame | None) -> str | None:
    transfer = _HDR.get(first.color_trc) if first is not None else None
    return transfer and f"HDR ({transfer}), its colours are read without tone mapping and look pale"


def _opened(path: Path | str, limits: Limits) -> "_Reader | StillsReader":
    return StillsReader(path, limits) if is_stills(path) else _Reader(path, limits)


class _Packet(NamedTuple):
    """One frame as the container stores it."""

    pts: int
    is_keyframe: bool
    n_bytes: int


class _Reader:
    """An open video file: its best video stream, decoded in display order up to the first damaged frame."""

    def __init__(self, path: Path | str, limits: Limits) -> None:
        self.path, self.limits = Path(path), limits
        self.damage: str | None = None
        self.container = self._open()
        try:
            self.stream = self._chosen_stream()
            self.pixel_aspect = float(self.stream.sample_aspect_ratio or 1)  # width of a pixel by its height
            self._check_header()
            # Known without decoding, in file order; empty if the timestamps are unreliable.
            self.packets = self._packets_of_avi() if self._is_avi else self._packets()
            self.shown = sorted(packet.pts for packet in self.packets)  # timestamps in display order
            self.even = self._even_frames()
            self.ticks = None if self.even is None else self.even.frames
        except BaseException:
            self.container.close()
            raise

    def __enter__(self) -> "_Reader":
        return self

    def __exit__(self, *_: object) -> None:
        self.container.close()

    def _open(self) -> av.container.InputContainer:
        self._at_start = True
        return open_container(self.path, self.limits)

    def _chosen_stream(self) -> av.VideoStream:
        stream = video_stream(self.container)
        if stream is None:
            raise UnreadableVideo(self.path, "no video stream")
        context = stream.codec_context
        if context is not None:
            context.thread_count = 1  # files are decoded in parallel; more threads per file would only wait
            context.options = {"max_pixels": str(self.limits.max_pixels)}
        return stream

    def _reopen(self) -> None:
        if not self._at_start:
            self.container.close()
            self.container = self._open()
            self.stream = self._chosen_stream()

    @property
    def _is_avi(self) -> bool:
        return "avi" in self.container.format.name

    def _check_header(self) -> None:
        if self.stream.codec_context is None or self.stream.codec_context.name in ("", "none"):
            raise UnreadableVideo(self.path, "no decoder for its video stream")
        self._check_size(self.stream.width, self.stream.height)
        if self.stream.duration is not None and self.stream.time_base is not None:
            self._check_seconds(float(self.stream.duration * self.stream.time_base))
        elif self.container.duration is not None and len(self.container.streams) == 1:
            # Not with other streams: the container is as long as its longest one. The timestamps then tell.
            self._check_seconds(self.container.duration / av.time_base)

    def _check_size(self, width: int, height: int) -> None:
        self.limits.check_pixels(self.path, width, height)
        self.limits.check_pixels(self.path, *_square_pixels(width, height, self.pixel_aspect))

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

    def _even_frames(self) -> EvenFrames | None:
        """The even sampling of the frames by their timestamps; None if these are unknown, as in AVI files."""
        time_base = self.stream.time_base
        if self._is_avi or time_base is None or len(self.packets) < 3:
            return None
        self._check_seconds(float((self.shown[-1] - self.shown[0]) * time_base))
        return even_frames(np.array(self.shown), float(time_base))

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
                self._check_size(frame.width, frame.height)
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
            self._check_size(frame.width, frame.height)
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
        width, height = _displayed(first, self.pixel_aspect)
        rate = self.stream.average_rate or self.stream.guessed_rate
        # Headers know a usual rate best; DV's tell 60,000 fps.
        fps = float(rate or 0)
        if self.even is not None and (self.ticks is not None or not 0 < fps <= MAX_FPS):
            fps = self.even.fps
        return VideoInfo(self.stream.codec_context.name, width, height, fps, self.stream.frames)

    def warning(self, n_decoded: int) -> str | None:
        """How many frames are missing, and the damage; HMDB's AVIs lack one announced frame, which is fine."""
        announced = self.stream.frames
        of = f" of {announced}" if announced > n_decoded else ""
        if self.damage is None and n_decoded >= announced - 1:
            return None
        return f"{n_decoded}{of} frames decode" + (f" ({self.damage})" if self.damage else "")

    def pauses(self) -> list[str]:
        """What to say about the longest pause of the source; its frame is repeated through it."""
        if self.even is None or not self.even.pauses:
            return []
        frame, seconds = max(self.even.pauses, key=lambda pause: pause[1])
        more = f", and {len(self.even.pauses) - 1} more pauses" if len(self.even.pauses) > 1 else ""
        return [
            f"frame {frame + 1} is shown for {seconds:.3g} s, as {round(seconds * self.even.fps)} equal frames{more}"
        ]


def _square_pixels(width: int, height: int, pixel_aspect: float) -> tuple[int, int]:
    """The size of a stored frame in square pixels: players change the width."""
    return max(1, round(width * pixel_aspect)), height


def _displayed(frame: av.VideoFrame, pixel_aspect: float) -> tuple[int, int]:
    """(width, height) of a frame as it is shown."""
    return orientation_of(frame).sides(*_square_pixels(frame.width, frame.height, pixel_aspect))


class _Converter:
    """Converts frames of one file to uint8 (size, size, 3); one reformatter keeps swscale's tables between frames."""

    def __init__(self, path: Path | str, preprocessing: Preprocessing, pixel_aspect: float) -> None:
        self.path, self.preprocessing, self.pixel_aspect = path, preprocessing, pixel_aspect
        self.reformatter = av.video.reformatter.VideoReformatter()

    def __call__(self, frame: av.VideoFrame) -> np.ndarray:
        size, orientation = self.preprocessing.size, orientation_of(frame)
        displayed = orientation.sides(*_square_pixels(frame.width, frame.height, self.pixel_aspect))
        problem = self.preprocessing.problem(*displayed)
        if problem:
            raise UnreadableVideo(self.path, problem)
        width, height = self.preprocessing.resized(*displayed, size)
        stored = orientation.sides(width, height)
        # Planar RGB keeps the full chroma (swscale's rgb24 halves it at even widths) and takes half the time; but
        # without scaling it leaves the last columns unwritten if the width is not a multiple of 8.
        layout = "rgb24" if stored == (frame.width, frame.height) else "gbrp"
        small = self.reformatter.reformat(frame, *stored, format=layout, interpolation="BILINEAR", threads=1)
        image = orientation.shown(small.to_ndarray())
        left, top = self.preprocessing.corner(width, height)
        return image[top : top + size, left : left + size]
