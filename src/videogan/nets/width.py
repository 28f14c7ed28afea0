"""The option `width`, which scales a network's channels."""


def scaled(channels: int, width: float) -> int:
    """A published number of `channels` times `width` (the paper's is 1), at least 1."""
    return max(1, round(channels * width))
