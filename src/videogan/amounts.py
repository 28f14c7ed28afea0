"""Numbers of things in words."""


def n_of(n: int, one: str, many: str = "") -> str:
    """1 clip, 2 clips, 1,000 clips; `many`: the plural that is not the word with an s."""
    return f"{n:,} {one if n == 1 else many or f'{one}s'}"
