"""Tells of findings while a training runs: each kind once, and none that was there by chance."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence

from trainwell.findings import Finding
from trainwell.watching.guard import Guard


def print_finding(finding: Finding) -> None:
    """One line on standard error."""
    where = f" at {finding.where}" if finding.where else ""
    source = f" ({finding.source})" if finding.source else ""
    line = f"trainwell: {finding.code}{where}{source}: {finding.cause} {finding.remedy}"
    print(line, file=sys.stderr, flush=True)


class Announcer:
    """Says each kind of finding once, when it was the first of two windows in a row.

    Args:
        on_finding: Told of it; may fail.
        guard: Calls it.
    """

    def __init__(self, on_finding: Callable[[Finding], object], guard: Guard) -> None:
        self._on_finding, self._guard = on_finding, guard
        self._announced: set[str] = set()
        self._suspected: set[str] = set()

    def announce(self, findings: Sequence[Finding], at_once: bool = False) -> None:
        """Takes what a window found, the most likely first.

        Args:
            findings: Notes are never announced.
            at_once: Without waiting for another window.
        """
        serious = [f for f in findings if f.severity != "note"]
        for finding in serious[:1]:
            confirmed = at_once or finding.code in self._suspected
            if confirmed and finding.code not in self._announced:
                self._announced.add(finding.code)
                self._guard("announcements", self._on_finding, finding)
        self._suspected = {f.code for f in serious}
