"""Open a video file with any demuxer of FFmpeg that reads one file of moving pictures. No torch here."""

import functools
from pathlib import Path

import av

from videogan.data.source import Limits, MissingVideo, UnreadableVideo

# Demuxers that read no video from the file itself: they follow a list to other files or addresses, open a device, draw
# text as pictures, or take any bytes for pixels. Those that end in _pipe read one picture.
_NOT_VIDEO = {
    "adf", "alsa", "bin", "bitpacked", "concat", "dash", "data", "fbdev", "ffmetadata", "hls", "ico", "idf", "image2",
    "image2pipe", "imf", "kmsgrab", "lavfi", "oss", "rawvideo", "rtp", "rtsp", "sap", "sdp", "tty", "v210", "v210x",
    "video4linux2,v4l2", "webm_dash_manifest", "x11grab", "xbin",
}  # fmt: skip


@functools.cache
def _demuxers() -> str:
    names = (name for name in av.formats_available if name not in _NOT_VIDEO and not name.endswith("_pipe"))
    return ",".join(sorted(names))


def open_container(path: Path, limits: Limits) -> av.container.InputContainer:
    """Open a local file as a video. Raises UnreadableVideo, and MissingVideo without a file.

    FFmpeg recognises the container by its content first. It opens no other file.
    """
    if path.is_symlink() and not path.exists():
        raise MissingVideo(path, "symbolic link that leads to no file")
    if not path.is_file():
        raise MissingVideo(path, "no such file")
    if path.stat().st_size == 0:
        raise UnreadableVideo(path, "empty file")
    # max_pixels: FFmpeg decodes at least one frame to open a file, before our own checks.
    options = {
        "format_whitelist": _demuxers(), "protocol_whitelist": "file", "max_pixels": str(limits.max_pixels),
    }  # fmt: skip
    try:
        # "file:" because names may contain colons; "replace" because real HMDB clips have non-UTF-8 metadata.
        return av.open(f"file:{path.absolute()}", metadata_errors="replace", options=options)
    except (av.error.FFmpegError, OSError) as error:
        raise UnreadableVideo(path, f"not a video that FFmpeg reads ({error.strerror})") from None


def video_stream(container: av.container.InputContainer) -> av.VideoStream | None:
    """The video stream that FFmpeg and players show: the default one, else that of the most data; None if none.

    A song's cover, which FFmpeg lists as a video stream, is none.
    """
    pictures = av.stream.Disposition.attached_pic
    best = container.streams.best("video")
    if isinstance(best, av.VideoStream) and not best.disposition & pictures:
        return best
    return next((stream for stream in container.streams.video if not stream.disposition & pictures), None)


def holds_video(path: Path) -> bool:
    """Whether FFmpeg finds a video stream in a file, whatever its name; no frame is converted."""
    try:
        with open_container(path, Limits()) as container:
            return video_stream(container) is not None
    except UnreadableVideo:
        return False
