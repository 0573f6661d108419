"""Findings on the page: evidence, cause and remedy of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from trainwell.report.markup import facts, section, text


def show_findings(findings: Sequence[Mapping[str, Any]]) -> str:
    """Each finding with evidence, cause and remedy."""
    if not findings:
        return section("Findings", '<p class="quiet">No findings were recorded.</p>')
    return section("Findings", "".join(map(show_finding, findings)))


def show_finding(finding: Mapping[str, Any]) -> str:
    """One finding, with its effects inside it."""
    severity = finding["severity"] if finding["severity"] in ("error", "warning") else "note"
    effects = "".join(map(show_finding, finding.get("effects", ())))
    where = f" in {text(finding['where'])}" if finding.get("where") else ""
    source = f", {text(finding['source'])}" if finding.get("source") else ""
    since = f", step {text(finding['step'])}" if finding.get("step") is not None else ""
    return (
        f'<article class="{severity}"><h3>{text(finding["code"])}<small>{severity}{where}{source}'
        f"{since}</small></h3><p>{text(finding.get('cause'))}</p><p><b>Remedy.</b> "
        f"{text(finding.get('remedy'))}</p>{facts(finding.get('evidence', {}).items())}"
        f"{effects}</article>"
    )
