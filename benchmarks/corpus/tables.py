"""What results come to: shares with their intervals, and which cause is taken for which."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from scipy.stats import binomtest

from benchmarks.corpus.running import Result


@dataclass(frozen=True)
class Share:
    """So many of so many, and what the issue asks for."""

    title: str
    count: int
    total: int
    bar: str

    @property
    def interval(self) -> tuple[float, float]:
        """The exact 95 % interval of Clopper and Pearson (1934); 0 to 1 where there are none."""
        if not self.total:
            return 0.0, 1.0
        interval = binomtest(self.count, self.total).proportion_ci(0.95, "exact")
        return interval.low, interval.high

    def __str__(self) -> str:
        low, high = self.interval
        share = self.count / self.total if self.total else float("nan")
        return (
            f"{self.title:32} {self.count:4} of {self.total:4}  {share:7.1%}"
            f"  [{low:6.1%}, {high:6.1%}]  asked: {self.bar}"
        )

    def to_dict(self) -> dict[str, Any]:
        low, high = self.interval
        return {"count": self.count, "total": self.total, "low": low, "high": high}


def summarise(results: Sequence[Result]) -> list[Share]:
    """A program that fails under the watcher is not detected, and a false alarm where healthy."""
    faulty = [result for result in results if result.causes]
    sound = [result for result in results if not result.causes]
    twins = [result for result in sound if result.kind == "twin"]
    suspicious = [result for result in sound if result.kind == "healthy"]

    def count_alarms(group: Sequence[Result]) -> int:
        return sum(result.is_detected or bool(result.error) for result in group)

    first = sum(result.names_a_cause(1) for result in faulty)
    first_three = sum(result.names_a_cause(3) for result in faulty)
    detected = sum(result.is_detected for result in faulty)
    return [
        Share("detected", detected, len(faulty), "at least 95 %"),
        Share("first finding is a true cause", first, len(faulty), "at least 75 %"),
        Share("a true cause in the first three", first_three, len(faulty), "at least 90 %"),
        Share("false alarms", count_alarms(sound), len(sound), "at most 2 %"),
        Share("  on healthy twins", count_alarms(twins), len(twins), ""),
        Share("  on suspicious healthy runs", count_alarms(suspicious), len(suspicious), ""),
    ]


def format_result(result: Result) -> str:
    """One line: the training, whether the watcher was right, and its first three findings."""
    if result.error:
        last = result.error.strip().splitlines()[-1]
        return f"FAILED     {result.kind:8} {result.name:46} {last}"
    if result.causes:
        verdict = "missed"
        if result.is_detected:
            verdict = "detected"
        if result.names_a_cause(3):
            verdict = "in three"
        if result.names_a_cause(1):
            verdict = "first"
    else:
        verdict = "FALSE" if result.is_detected else "quiet"
    named = ", ".join(f"{one.code} ({one.severity})" for one in result.findings[:3]) or "-"
    causes = f"  [{' or '.join(result.causes)}]" if result.causes else ""
    return f"{verdict:10} {result.kind:8} {result.name:46} {named}{causes}"


def confuse(results: Sequence[Result]) -> dict[str, Counter[str]]:
    """For each cause how often each code was the first alarm; `-` where there was none."""
    table: dict[str, Counter[str]] = {}
    for result in results:
        cause = result.causes[0] if result.causes else "(healthy)"
        first = result.alarms[0].code if result.alarms else "-"
        if result.names_a_cause(1):
            first = cause
        table.setdefault(cause, Counter())[first] += 1
    return dict(sorted(table.items()))


def format_confusion(table: dict[str, Counter[str]]) -> str:
    """A cause a line: first the right ones, then what it was taken for."""
    lines = ["cause                first alarm, and how often (another true name counts as right)"]
    for cause, firsts in table.items():
        named = ", ".join(f"{code} {count}" for code, count in firsts.most_common())
        lines.append(f"{cause:20} {named}")
    return "\n".join(lines)
