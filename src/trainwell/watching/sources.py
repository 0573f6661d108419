"""Which line of the user's code a finding comes from."""

from __future__ import annotations

import dataclasses

from trainwell.findings import Finding
from trainwell.watching.history import History
from trainwell.watching.source_kinds import CALL, CUT

_KINDS = {
    "dying_relu": ("relu",),
    "saturated_units": ("sigmoid", "tanh", "softmax"),
    "detach_inplace": (CUT,),
}
"""Of lines that are nearer to the fault than the call of the layer."""


def locate(finding: Finding, history: History) -> Finding:
    """The finding with the line of the layer that it names, where that was seen.

    Args:
        finding: Of a rule.
        history: That the rule judged.
    """
    source = finding.source or _find(finding, history)
    return dataclasses.replace(finding, source=source) if source else finding


def _find(finding: Finding, history: History) -> str:
    lines, nan = history.lines, history.nan
    if finding.code == "exploding_or_nan" and nan is not None and nan.origin is not None:
        return nan.origin.line
    kinds = _KINDS.get(finding.code, ())
    if finding.code == "detach_inplace":
        cuts = (lines.get((CUT, name), "") for name in history.detached)
        return next(filter(None, cuts), "") or _of_layer(finding.where, (), history)
    return _of_layer(finding.where, kinds, history)


def _of_layer(where: str, kinds: tuple[str, ...], history: History) -> str:
    """Of the first layer, or the layer of the first parameter, that is named."""
    first = where.partition(", ")[0]
    names = (first, first.rpartition(".")[0])
    known = (history.lines.get((kind, name), "") for kind in (*kinds, CALL) for name in names)
    return next(filter(None, known), "")
