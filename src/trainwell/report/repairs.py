"""Repairs on the page: what was found, what was changed, what replays showed, how it ended."""

from __future__ import annotations

from collections.abc import Sequence

from trainwell.report.findings import show_finding
from trainwell.report.markup import facts, section, text
from trainwell.training.repairs import Repair


def show_repairs(repairs: Sequence[Repair]) -> str:
    """Each repair with the finding that it is of; nothing where there is none."""
    if not repairs:
        return ""
    return section("Repairs", "".join(map(_show_repair, repairs)))


def _show_repair(repair: Repair) -> str:
    """One repair."""
    origin = f"step {repair.goes_on_from}" if repair.goes_on_from else "the start"
    described = [
        ("changed", repair.describe_change()),
        ("found at step", repair.found_at),
        ("trained again from", origin),
        ("loss at the start of the replays", repair.replays.get("start")),
        ("in the end without it", repair.replays.get("end_without")),
        ("in the end with it", repair.replays.get("end_with")),
        ("steps of a replay", repair.replays.get("steps")),
        ("outcome", repair.describe_outcome() or None),
    ]
    return (
        f'<article class="note"><h3>{text(repair.finding.code)}<small>repair {repair.number}, '
        f"{text(repair.status)}</small></h3><p><b>Proof.</b> {text(repair.proof)}.</p>"
        f"{facts(described)}{show_finding(repair.finding.to_dict())}</article>"
    )
