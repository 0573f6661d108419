"""The outcomes as text for a terminal and as Markdown for the documentation."""

from __future__ import annotations

from collections.abc import Sequence

from tests.checks.planted.outcomes import NONE, Outcome, confusion, share, totals
from tests.checks.planted.registry import find


def line_of(outcome: Outcome) -> str:
    """One case for the terminal."""
    state = "ok    " if outcome.is_named else "MISSED"
    alarm = "  FALSE ALARM" if outcome.is_false_alarm else ""
    seconds = f"{outcome.seconds_faulty:.1f} + {outcome.seconds_twin:.1f} s"
    return (
        f"{state} {outcome.family}/{outcome.name}: planted {' or '.join(outcome.codes)}; "
        f"found {_listed(outcome.faulty)}; twin {_listed(outcome.twin)}{alarm} ({seconds})"
    )


def totals_as_text(outcomes: Sequence[Outcome]) -> str:
    """The shares with their intervals."""
    counts = totals(outcomes)
    count = counts["planted"]
    return "\n".join(
        [
            f"faults named rightly: {share(counts['named'], count)}",
            f"  as the first code:  {share(counts['named_first'], count)}",
            f"false alarms on twins: {share(counts['false_alarms'], count)}",
        ]
    )


def confusion_as_text(outcomes: Sequence[Outcome]) -> str:
    """A line a planted code: what was found, most often first."""
    lines = []
    for code, row in confusion(outcomes).items():
        found = ", ".join(f"{name} {number}" for name, number in row.most_common())
        lines.append(f"{code:20} {found}")
    return "\n".join(lines)


def markdown(outcomes: Sequence[Outcome]) -> str:
    """The table of cases, the confusion matrix and the totals."""
    return "\n\n".join(
        [_totals_as_markdown(outcomes), _confusion_as_markdown(outcomes), _cases(outcomes)]
    )


def _totals_as_markdown(outcomes: Sequence[Outcome]) -> str:
    return "\n".join(f"- {line.strip()}" for line in totals_as_text(outcomes).splitlines())


def _confusion_as_markdown(outcomes: Sequence[Outcome]) -> str:
    table = confusion(outcomes)
    found = sorted({code for row in table.values() for code in row} - {NONE})
    columns = [*found, NONE]
    lines = [_row("planted", *(f"`{c}`" for c in columns)), _row(*["---"] * (len(columns) + 1))]
    lines += [
        _row(f"`{code}`", *(str(row[c]) if row[c] else "" for c in columns))
        for code, row in table.items()
    ]
    return "\n".join(lines)


def _cases(outcomes: Sequence[Outcome]) -> str:
    lines = [_row("case", "fault", "right code", "found", "found on the twin")]
    lines.append(_row(*["---"] * 5))
    lines += [
        _row(o.name, find(o.name).about, ", ".join(o.codes), _listed(o.faulty), _listed(o.twin))
        for o in outcomes
    ]
    return "\n".join(lines)


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def _listed(codes: Sequence[str]) -> str:
    return ", ".join(codes) or NONE
