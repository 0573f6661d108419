"""Lengths in images, as options of augmentations give them."""

from __future__ import annotations


def count_pixels(length: float, side: int) -> int:
    """A length in pixels.

    Args:
        length: Pixels; below 1, a share of the side, which is at least one pixel unless it is 0.
        side: Of the image, in pixels.
    """
    if length >= 1:
        return int(length)
    return max(1, int(length * side)) if length else 0


def require_length(name: str, length: float) -> None:
    """Checks an option that is a length.

    Raises:
        ValueError: It is negative, or more than one pixel and no whole number.
    """
    if not (0 <= length < 1 or length == int(length) >= 1):
        raise ValueError(f"{name} must be a share below 1 or whole pixels, not {length:g}")
