"""How the option `width` scales a classifier's channels."""


def scaled(channels: int, width: int) -> int:
    """A published number of `channels` at `width`, the channels after the stem; the paper's where `width` is 64."""
    return max(1, round(channels * width / 64))
