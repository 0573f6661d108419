"""Findings: what is wrong with a training, in words that every layer shares."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

Severity = Literal["error", "warning", "note"]

Code = Literal[
    "vanishing_gradient",
    "exploding_or_nan",
    "dying_relu",
    "saturated_units",
    "lr_too_low",
    "lr_too_high",
    "momentum_too_high",
    "lr_schedule",
    "overfitting",
    "underfitting",
    "over_regularised",
    "bad_init",
    "unnormalised_inputs",
    "dtype_scale",
    "output_activation",
    "wrong_loss",
    "loss_reduction",
    "corrupted_labels",
    "label_leak",
    "train_val_leak",
    "class_imbalance",
    "no_shuffle",
    "bad_augmentation",
    "missing_zero_grad",
    "gradient_ascent",
    "frozen_params",
    "detach_inplace",
    "wrong_backward",
    "batchnorm_misuse",
    "eval_mode_bug",
    "not_learning",
]

CODES: tuple[Code, ...] = get_args(Code)
SEVERITIES: tuple[Severity, ...] = get_args(Severity)


@dataclass(frozen=True)
class Finding:
    """One problem, with its evidence, root cause and remedy.

    Attributes:
        code: What kind of problem; one of `CODES`. `not_learning` is a symptom only.
        severity: `"error"` (training is useless until mended), `"warning"` or `"note"`.
        where: Names of the layer, parameter, column or class; empty for the whole run.
        step: The step at which it was seen; None before training.
        evidence: The numbers it rests on.
        cause: The root cause, as a sentence.
        remedy: What to do, as a sentence.
        reference: Where the rule comes from (author, year).
        effects: Findings that follow from this one.
        source: File and line of the user's code that made it, such as `"model.py:31"`; empty
            where that is not known.

    Raises:
        ValueError: The code or the severity is not of the closed vocabulary.
    """

    code: Code
    severity: Severity
    where: str = ""
    step: int | None = None
    evidence: Mapping[str, float] = field(default_factory=dict)
    cause: str = ""
    remedy: str = ""
    reference: str = ""
    effects: tuple[Finding, ...] = ()
    source: str = ""

    def __post_init__(self) -> None:
        if self.code not in CODES:
            raise ValueError(f"unknown finding code {self.code!r}")
        if self.severity not in SEVERITIES:
            raise ValueError(f"unknown severity {self.severity!r}")

    def to_dict(self) -> dict[str, Any]:
        """This finding as plain JSON types, effects included."""
        return {
            "code": self.code,
            "severity": self.severity,
            "where": self.where,
            "step": self.step,
            "evidence": dict(self.evidence),
            "cause": self.cause,
            "remedy": self.remedy,
            "reference": self.reference,
            "effects": [effect.to_dict() for effect in self.effects],
            "source": self.source,
        }

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Finding:
        """The finding that `to_dict` wrote."""
        effects = tuple(cls.from_dict(effect) for effect in fields.get("effects", ()))
        return cls(**{**fields, "effects": effects})
