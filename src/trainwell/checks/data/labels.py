"""The labels: finite, of the type and in the range that the loss and the outputs ask for."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from trainwell.checks.data.run_model import run_or_none
from trainwell.checks.subject import Part, Subject
from trainwell.checks.verdict import Verdict
from trainwell.findings import Code, Finding, Severity

CROSS_ENTROPIES = (nn.CrossEntropyLoss, nn.NLLLoss)
PROBABILITY_LOSSES = (nn.BCELoss, nn.BCEWithLogitsLoss)
IGNORED = -100


def check_labels(subject: Subject) -> list[Verdict]:
    """Labels that can be learnt at all: not NaN, within the classes, of the right type."""
    if not subject.train.targets.numel():
        return []
    parts = {"train": subject.train}
    if subject.valid is not None:
        parts["valid"] = subject.valid
    outputs, _ = run_or_none(subject, subject.examples(_two(subject.train))[0])
    findings: list[Finding] = []
    for name, part in parts.items():
        found = _find_not_finite(name, part.targets)
        if found is None and subject.task in ("binary", "multiclass"):
            found = _find_out_of_range(subject, name, part.targets, outputs)
        elif found is None:
            found = _find_constant(name, part.targets)
        if found is not None:
            findings.append(found)
    if not findings and outputs is not None:
        findings += _find_wrong_type(subject, outputs)
    seen = _range(subject.train.targets)
    return [Verdict("labels", seen, _expected(subject, outputs), tuple(findings))]


def _two(part: Part) -> Part:
    return part.take(torch.arange(min(2, len(part))))


def _range(targets: Tensor) -> str:
    if targets.is_floating_point() and not bool(torch.isfinite(targets).all()):
        return "not all finite"
    return f"{float(targets.min()):.4g} to {float(targets.max()):.4g}"


def _expected(subject: Subject, outputs: Tensor | None) -> str:
    if subject.task == "binary":
        return "0 and 1"
    classes = _classes_of(subject, outputs)
    if subject.task == "multiclass" and classes:
        return f"0 to {classes - 1}, as the {classes} outputs"
    return "finite numbers that differ"


def _classes_of(subject: Subject, outputs: Tensor | None) -> int | None:
    """How many classes the outputs tell apart; None where that cannot be told."""
    if outputs is None or outputs.ndim < 2 or outputs.shape[1] < 2:
        return None
    return outputs.shape[1]


def _find_not_finite(name: str, targets: Tensor) -> Finding | None:
    if not targets.is_floating_point():
        return None
    bad = ~torch.isfinite(targets.reshape(len(targets), -1)).all(1)
    if not bool(bad.any()):
        return None
    return _finding(
        "corrupted_labels",
        "error",
        name,
        {"examples": float(bad.sum()), "share": float(bad.float().mean())},
        f"{int(bad.sum())} of {len(targets):,} labels in {name} are NaN or infinite, the first of "
        f"example {int(bad.nonzero()[0, 0])}: the loss and then every weight become NaN.",
        "Leave out the examples without a label, or correct them.",
    )


def _find_out_of_range(
    subject: Subject, name: str, targets: Tensor, outputs: Tensor | None
) -> Finding | None:
    if subject.task == "binary":
        return _find_not_binary(subject, name, targets)
    classes = _classes_of(subject, outputs)
    if targets.is_floating_point() and targets.ndim > 1 and targets.shape[1] > 1:
        return _find_no_distribution(name, targets, classes)
    ignored = getattr(subject.loss, "ignore_index", IGNORED)
    counted = targets[targets != ignored]
    if not counted.numel():
        return None
    low, high = float(counted.min()), float(counted.max())
    if low < 0 or (classes is not None and high >= classes):
        bad = (counted < 0) | (counted >= (classes or high + 1))
        allowed = f"0 to {classes - 1}" if classes else "0 and above"
        return _finding(
            "corrupted_labels",
            "error",
            name,
            {
                "labels": float(bad.sum()),
                "lowest": low,
                "highest": high,
                "outputs": float(classes or 0),
            },
            f"{int(bad.sum())} labels in {name} lie outside {allowed}: they reach from {low:.0f} "
            f"to {high:.0f}, and the model has {classes or 'too few'} outputs.",
            "Number the classes from 0, and give the model one output for each.",
        )
    if targets.is_floating_point() and not bool((counted == counted.round()).all()):
        return _not_whole(name, counted)
    return None


def _not_whole(name: str, counted: Tensor) -> Finding:
    share = float((counted != counted.round()).float().mean())
    return _finding(
        "corrupted_labels",
        "error",
        name,
        {"share": share},
        f"{share:.0%} of the class numbers in {name} are not whole.",
        "Give whole numbers from 0, or state that this is a regression.",
    )


def _find_not_binary(subject: Subject, name: str, targets: Tensor) -> Finding | None:
    values = targets.double()
    low, high = float(values.min()), float(values.max())
    is_margin = bool(((values == 1) | (values == -1)).all())
    if low >= 0 and high <= 1:
        return None
    if is_margin and not _asks_for_probabilities(subject):
        return None
    bad = (values < 0) | (values > 1)
    return _finding(
        "corrupted_labels",
        "error",
        name,
        {
            "labels": float(bad.sum()),
            "share": float(bad.double().mean()),
            "lowest": low,
            "highest": high,
        },
        f"{int(bad.sum())} labels in {name} lie outside 0 and 1, from {low:.4g} to {high:.4g}: the "
        "cross-entropy of two classes has no minimum for them.",
        "Encode the two classes as 0 and 1.",
    )


def _asks_for_probabilities(subject: Subject) -> bool:
    name = getattr(subject.loss, "__name__", "")
    return isinstance(subject.loss, PROBABILITY_LOSSES) or "cross_entropy" in name


def _find_no_distribution(name: str, targets: Tensor, classes: int | None) -> Finding | None:
    """Soft labels that are no distribution over the classes."""
    if classes is not None and targets.shape[1] != classes:
        return _finding(
            "corrupted_labels",
            "error",
            name,
            {"columns": float(targets.shape[1]), "outputs": float(classes)},
            f"A label in {name} has {targets.shape[1]} columns, and the model {classes} outputs.",
            "Give one column and one output for each class.",
        )
    sums = targets.sum(1)
    bad = ((sums - 1).abs() > 0.01).reshape(len(targets), -1).any(1)
    bad |= (targets < 0).reshape(len(targets), -1).any(1)
    if not bool(bad.any()):
        return None
    return _finding(
        "corrupted_labels",
        "error" if float(bad.float().mean()) > 0.5 else "warning",
        name,
        {"examples": float(bad.sum()), "lowest_sum": float(sums.min())},
        f"{int(bad.sum())} labels in {name} are no distribution over the classes: they sum to "
        f"{float(sums.min()):.3g} up to {float(sums.max()):.3g}.",
        "Let each label sum to one, or use a loss with a sigmoid for each output.",
    )


def _find_constant(name: str, targets: Tensor) -> Finding | None:
    flat = targets.reshape(len(targets), -1)
    constant = (flat == flat[:1]).all(0)
    if len(targets) < 3 or name != "train" or not bool(constant.all()):
        return None
    return _finding(
        "corrupted_labels",
        "error",
        name,
        {"value": float(flat.flatten()[0]), "examples": float(len(targets))},
        f"All {len(targets):,} targets in {name} are {float(flat.flatten()[0]):.4g}: there is "
        "nothing to be learnt from the inputs.",
        "See which column is taken as the target, and how it is read.",
    )


def _find_wrong_type(subject: Subject, outputs: Tensor) -> list[Finding]:
    """A type of labels that the loss refuses, though it takes the same numbers in another type."""
    if subject.is_prepared or subject.task == "reconstruction":
        return []
    targets = subject.examples(_two(subject.train))[1]
    wanted = torch.long if subject.task == "multiclass" else outputs.dtype
    if targets.dtype == wanted or _refusal(subject, outputs, targets) == "":
        return []
    refusal = _refusal(subject, outputs, targets)
    if _refusal(subject, outputs, targets.to(wanted)):
        return []
    name = str(wanted).removeprefix("torch.")
    return [
        _finding(
            "dtype_scale",
            "error",
            "train",
            {},
            f"The labels are {str(targets.dtype).removeprefix('torch.')}, and the loss refuses "
            f"them ({refusal}).",
            f"Convert them to {name}.",
        )
    ]


def _refusal(subject: Subject, outputs: Tensor, targets: Tensor) -> str:
    try:
        with torch.no_grad():
            subject.loss(outputs.clone(), targets)
    except Exception as error:
        return type(error).__name__
    return ""


def _finding(
    code: Code, severity: Severity, where: str, evidence: dict[str, float], cause: str, remedy: str
) -> Finding:
    return Finding(code, severity, where=where, evidence=evidence, cause=cause, remedy=remedy)
