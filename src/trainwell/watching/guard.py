"""Watching is never a reason for a training to fail."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

logger = logging.getLogger("trainwell.watching")


class Guard:
    """Calls what reads a training; whatever fails once is given up, with one warning."""

    def __init__(self) -> None:
        self._broken: set[str] = set()

    def has_given_up(self, reading: str) -> bool:
        """Whether a kind of reading has failed before."""
        return reading in self._broken

    def __call__(
        self, reading: str, function: Callable[..., Any], *args: Any, **kwargs: Any
    ) -> Any:
        """What the function returns; None if it fails or has failed before.

        Args:
            reading: What the user is told that watching goes on without.
            function: Called with the other arguments.
            args: Of it.
            kwargs: Of it.
        """
        if reading in self._broken:
            return None
        try:
            return function(*args, **kwargs)
        except Exception as error:
            self._broken.add(reading)
            logger.warning("watching goes on without %s: %s", reading, error, exc_info=False)
            logger.debug("the failure", exc_info=True)
            return None
