"""Seeds as a function of who asks: the same run, epoch and position always draw the same."""

from __future__ import annotations

import hashlib


def derive_seed(*parts: int | str) -> int:
    """A 63-bit seed that depends on every part and on their order.

    Args:
        parts: For example the run's seed, what the numbers are for, the epoch and the position.
    """
    text = "/".join(str(part) for part in parts).encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big") >> 1
