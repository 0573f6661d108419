"""The values of the inputs: finite, of a type that the model takes, and not all the same."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from trainwell.checks.data.class_numbers import name_column
from trainwell.checks.data.first_weights import EMBEDDINGS, looks_up_tokens
from trainwell.checks.data.run_model import run_or_none
from trainwell.checks.data.sampling import affordable
from trainwell.checks.subject import Part, Subject
from trainwell.checks.verdict import Verdict
from trainwell.findings import Finding

SAMPLE = 2000
LARGEST_FLOAT32 = 3.4e38
REFERENCE = "Google, Machine Learning Crash Course: Numerical data (2024)"


def check_values(subject: Subject) -> list[Verdict]:
    """Finite inputs, a type that the model takes, columns that are not constant."""
    parts = _parts(subject)
    finite = [finding for name, part in parts for finding in _find_not_finite(subject, name, part)]
    bad = sum(int(f.evidence["values"]) for f in finite)
    count = sum(part.inputs.numel() for _, part in parts)
    return [
        Verdict("finite inputs", f"{bad} of {count:,} values are not", "none", tuple(finite)),
        _check_type(subject),
        _check_constant(subject),
    ]


def _parts(subject: Subject) -> list[tuple[str, Part]]:
    return [
        (name, part)
        for name, part in (("train", subject.train), ("valid", subject.valid))
        if part is not None
    ]


def _find_not_finite(subject: Subject, name: str, part: Part) -> Iterator[Finding]:
    """What is not finite when the model sees it: a gap that is filled in is none."""
    rows = _suspicious_rows(part.inputs)
    if not len(rows):
        return
    seen = subject.prepare(part.inputs[rows])
    bad = ~torch.isfinite(seen.float()).reshape(len(seen), -1)
    hurt = bad.any(1)
    if not bool(hurt.any()):
        return
    columns = bad.any(0).nonzero().flatten()
    share = int(hurt.sum()) / len(part)
    yield Finding(
        "exploding_or_nan",
        "error",
        where=name,
        evidence={
            "values": float(bad.sum()),
            "examples": float(hurt.sum()),
            "share": share,
            "columns": float(len(columns)),
            "first_example": float(rows[int(hurt.nonzero()[0, 0])]),
        },
        cause=f"{int(bad.sum()):,} input values of {int(hurt.sum()):,} examples in {name} are NaN "
        f"or infinite, the first in example {int(rows[int(hurt.nonzero()[0, 0])])}, column "
        f"{int(columns[0])}: one such value makes the loss and every weight NaN.",
        remedy="Fill them in (with the median of the column, say) or leave out these examples.",
        reference=REFERENCE,
    )


def _suspicious_rows(inputs: Tensor) -> Tensor:
    if not inputs.is_floating_point():
        return torch.zeros(0, dtype=torch.long)
    low, high = torch.aminmax(inputs)
    if bool(torch.isfinite(low) & torch.isfinite(high)) and max(-low, high) < LARGEST_FLOAT32:
        return torch.zeros(0, dtype=torch.long)
    flat = inputs.reshape(len(inputs), -1)
    return (~(flat.abs() < LARGEST_FLOAT32)).any(1).nonzero().flatten()


def _check_type(subject: Subject) -> Verdict:
    """The model is run on two examples as they are, and again in its own type where that fails."""
    parameter = next((p for p in subject.model.parameters() if p.is_floating_point()), None)
    wanted = torch.float32 if parameter is None else parameter.dtype
    inputs, _ = subject.examples(subject.train.take(torch.arange(min(2, len(subject.train)))))
    seen = _name(inputs.dtype)
    findings: list[Finding] = []
    if looks_up_tokens(subject, inputs):
        findings += _find_unknown_tokens(subject)
        wanted = inputs.dtype
    elif inputs.dtype != wanted:
        findings += _find_wrong_type(subject, inputs, wanted)
    if subject.valid is not None and subject.valid.inputs.dtype != subject.train.inputs.dtype:
        other = _name(subject.valid.inputs.dtype)
        findings.append(
            Finding(
                "dtype_scale",
                "warning",
                where="valid",
                cause=f"Training inputs are {_name(subject.train.inputs.dtype)}, validation inputs "
                f"{other}: they did not go through the same preparation.",
                remedy="Prepare both splits by the same function.",
            )
        )
    return Verdict("type of inputs", seen, _name(wanted), tuple(findings))


def _find_wrong_type(subject: Subject, inputs: Tensor, wanted: torch.dtype) -> list[Finding]:
    failure = _failure(subject, inputs)
    if not failure or _failure(subject, inputs.to(wanted)):
        return []
    return [
        Finding(
            "dtype_scale",
            "error",
            where="train",
            cause=f"The inputs are {_name(inputs.dtype)} and the weights {_name(wanted)}; the "
            f"model refuses them ({failure}).",
            remedy=f"Convert the inputs to {_name(wanted)}, and bytes and other whole numbers to "
            "zero mean and unit variance as well.",
        )
    ]


def _find_unknown_tokens(subject: Subject) -> list[Finding]:
    """Numbers that the only embedding has no row for."""
    embeddings = [m for m in subject.model.modules() if isinstance(m, EMBEDDINGS)]
    if len(embeddings) != 1:
        return []
    findings: list[Finding] = []
    known = embeddings[0].num_embeddings
    for name, part in _parts(subject):
        low, high = (int(value) for value in torch.aminmax(subject.prepare(part.inputs)))
        if low >= 0 and high < known:
            continue
        finding = Finding(
            "dtype_scale",
            "error",
            where=name,
            evidence={"lowest": low, "highest": high, "known": known},
            cause=f"Tokens in {name} are numbered from {low} to {high}, and the embedding has rows "
            f"for 0 to {known - 1}: looking others up fails.",
            remedy="Number the tokens from 0, and give the embedding a row for each.",
        )
        findings.append(finding)
    return findings


def _failure(subject: Subject, inputs: Tensor) -> str:
    return run_or_none(subject, inputs)[1]


def _check_constant(subject: Subject) -> Verdict:
    sample = affordable(subject, subject.train, SAMPLE, "constant columns")
    inputs, _ = subject.examples(sample)
    flat = inputs.reshape(len(inputs), -1)
    constant = (flat == flat[:1]).all(0)
    count, width = int(constant.sum()), flat.shape[1]
    findings: list[Finding] = []
    if len(flat) > 2 and count == width:
        findings.append(_all_alike(len(flat), flat))
    elif len(flat) > 2 and count:
        findings.append(_some_constant(constant, subject))
    seen = f"{count} of {width} columns in {len(flat):,} examples"
    return Verdict("constant columns", seen, "none", tuple(findings))


def _all_alike(count: int, flat: Tensor) -> Finding:
    return Finding(
        "dtype_scale",
        "error",
        where="train",
        evidence={"examples": float(count), "value": float(flat.float().mean())},
        cause=f"All {count:,} examples looked at are the same, with a mean of "
        f"{float(flat.float().mean()):.3g}: whole numbers divided into whole numbers become zero, "
        "and a reader that fails may give blanks.",
        remedy="Look at some inputs just before the model; convert to float before dividing.",
    )


def _some_constant(constant: Tensor, subject: Subject) -> Finding:
    columns = constant.nonzero().flatten().tolist()
    names = ", ".join(name_column(subject, column) for column in columns[:5])
    more = f" and {len(columns) - 5} more" if len(columns) > 5 else ""
    return Finding(
        "unnormalised_inputs",
        "note",
        where=names + more,
        evidence={"columns": float(len(columns)), "share": len(columns) / len(constant)},
        cause=f"{len(columns)} of {len(constant)} input columns never change: they carry nothing, "
        "and dividing by their deviation would give NaN.",
        remedy="Leave them out, or see that nothing divides by a deviation of zero.",
    )


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
