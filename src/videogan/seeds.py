"""Seeds by purpose: the networks, each training step's draws and each set of codes have their own."""

import hashlib

LARGEST_SEED = 2**62
"""The largest seed of a run; torch takes 64 bits, and a retry adds to the seed."""


def seed_of(purpose: str, seed: int, step: int = 0) -> int:
    """The seed, below 2^56, of one purpose in a run, or for a classifier, of seed `seed`; training also counts steps.

    It is a hash, so no two of (purpose, seed, step) have equal draws, even where the seeds of a sweep's trials, of
    their retries and of `confirm` are apart by round numbers.
    """
    return int.from_bytes(hashlib.sha256(f"{seed}/{purpose}/{step}".encode()).digest()[:7], "big")
