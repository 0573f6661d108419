"""What one check says: the number seen, the number expected, and what is wrong."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from trainwell.findings import Finding

FAILING = ("error", "warning")


@dataclass(frozen=True)
class Verdict:
    """The outcome of one check.

    Attributes:
        check: What was looked at, such as `"initial loss"`.
        seen: What was found, with its number, such as `"2.31"`.
        expected: What a healthy training has, such as `"about ln 10 = 2.303"`.
        findings: What is wrong, each with its cause and remedy; empty where nothing is.
        skipped: Why the check was not made; empty where it was.
    """

    check: str
    seen: str
    expected: str
    findings: tuple[Finding, ...] = ()
    skipped: str = ""

    @property
    def passed(self) -> bool:
        """Whether nothing was found that is worse than a note."""
        return not any(finding.severity in FAILING for finding in self.findings)

    def to_dict(self) -> dict[str, Any]:
        """This verdict as plain JSON types."""
        return {
            "check": self.check,
            "passed": self.passed,
            "seen": self.seen,
            "expected": self.expected,
            "skipped": self.skipped,
            "findings": [finding.to_dict() for finding in self.findings],
        }


def skip(check: str, reason: str) -> Verdict:
    """The verdict of a check that was not made."""
    return Verdict(check, "", "", skipped=reason)


SEVERITY_ORDER = {"error": 0, "warning": 1, "note": 2}


@dataclass(frozen=True)
class CheckReport:
    """What all checks say; printed, it is a table.

    Attributes:
        verdicts: In the order in which the checks were made.
        title: Of what was checked, such as `"mlp on digits"`.
        seconds: How long it took.
    """

    verdicts: tuple[Verdict, ...]
    title: str = ""
    seconds: float = 0.0

    @property
    def findings(self) -> list[Finding]:
        """All findings, the gravest first; among equals in the order of the checks."""
        found = [finding for verdict in self.verdicts for finding in verdict.findings]
        return sorted(found, key=lambda finding: SEVERITY_ORDER[finding.severity])

    @property
    def passed(self) -> bool:
        """Whether every check passed."""
        return all(verdict.passed for verdict in self.verdicts)

    def to_dict(self) -> dict[str, Any]:
        """This report as plain JSON types."""
        return {
            "title": self.title,
            "passed": self.passed,
            "seconds": round(self.seconds, 3),
            "verdicts": [verdict.to_dict() for verdict in self.verdicts],
            "findings": [finding.to_dict() for finding in self.findings],
        }

    def __str__(self) -> str:
        return "\n".join([*_table(self.verdicts), *_explain(self.findings), self.summary()])

    def summary(self) -> str:
        """One line: how many checks passed, and what the others found."""
        made = [verdict for verdict in self.verdicts if not verdict.skipped]
        failed = [verdict for verdict in made if not verdict.passed]
        if not failed:
            return f"All {len(made)} checks passed ({self.seconds:.1f} s)."
        codes = dict.fromkeys(f.code for f in self.findings if f.severity in FAILING)
        return f"{len(failed)} of {len(made)} checks failed: {', '.join(codes)}."


def _table(verdicts: Sequence[Verdict]) -> list[str]:
    rows = [("check", "", "seen", "expected")]
    for verdict in verdicts:
        state = "-" if verdict.skipped else "ok" if verdict.passed else "FAILED"
        rows.append((verdict.check, state, verdict.seen or verdict.skipped, verdict.expected))
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    return [
        "  ".join(
            [*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[-1]]
        ).rstrip()
        for row in rows
    ]


def _explain(findings: Sequence[Finding]) -> list[str]:
    lines: list[str] = []
    for finding in findings:
        where = f" at {finding.where}" if finding.where else ""
        lines += ["", f"{finding.severity}: {finding.code}{where}"]
        lines += [f"  {text}" for text in (finding.cause, finding.remedy) if text]
    return [*lines, ""]
