"""What was checked before the training, on the page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from trainwell.report.document import render_document
from trainwell.report.findings import show_findings
from trainwell.report.markup import figure, section, text

TITLE = "Before the training"


def show_checks(report: Mapping[str, Any]) -> str:
    """Each check with the number seen and the number expected.

    Args:
        report: As `CheckReport.to_dict` gives it; empty: nothing was checked.
    """
    if not report:
        return ""
    rows = "".join(map(_show_verdict, report["verdicts"]))
    head = "<tr><th>check</th><th></th><th>seen</th><th>expected</th></tr>"
    return section(TITLE, f'<div class="wide"><table class="checks">{head}{rows}</table></div>')


def write_check_page(
    report: Mapping[str, Any], pictures: Sequence[tuple[str, str]], path: Path
) -> None:
    """Writes the page of checks that were made without a training.

    Args:
        report: As `CheckReport.to_dict` gives it.
        pictures: Title and SVG of each.
        path: Of the file; what is there is replaced.

    Raises:
        OSError: It cannot be written.
    """
    made = [verdict for verdict in report["verdicts"] if not verdict["skipped"]]
    passed = sum(verdict["passed"] for verdict in made)
    headline = (
        f"<header><h1>{text(report['title'])}</h1>"
        f"<p>{passed} of {len(made)} checks passed in {report['seconds']:.1f} s.</p></header>"
    )
    drawn = "".join(figure(title, picture) for title, picture in pictures)
    body = headline + show_findings(report["findings"]) + show_checks(report)
    if drawn:
        body += section("Pictures", f'<div class="curves">{drawn}</div>')
    path.write_text(render_document(f"check of {report['title']}", body), encoding="utf-8")


def _show_verdict(verdict: Mapping[str, Any]) -> str:
    if verdict["skipped"]:
        kind, mark, seen = "skipped", "–", verdict["skipped"]
    else:
        kind, mark = ("passed", "✓") if verdict["passed"] else ("failed", "✗")
        seen = verdict["seen"]
    return (
        f'<tr class="{kind}"><th>{text(verdict["check"])}</th><td class="mark">{mark}</td>'
        f"<td>{text(seen)}</td><td>{text(verdict['expected'])}</td></tr>"
    )
