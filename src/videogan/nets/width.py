"""How the option `width` scales a network's channels."""


def scaled(channels: int, width: float) -> int:
    """A published number of `channels` at `width`, 1 being the paper's; at least one is left."""
    return max(1, round(channels * width))
