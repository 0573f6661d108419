"""Folds effects under their cause, and puts the likeliest root cause first."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from trainwell.findings import SEVERITIES, Code, Finding

_GOES_WRONG: tuple[Code, ...] = (
    "exploding_or_nan",
    "lr_too_high",
    "dying_relu",
    "saturated_units",
    "vanishing_gradient",
    "underfitting",
    "lr_too_low",
    "batchnorm_misuse",
    "class_imbalance",
    "over_regularised",
)
"""What a training that is steered wrongly may show as well."""

EFFECTS: Mapping[Code, tuple[Code, ...]] = {
    "gradient_ascent": (*_GOES_WRONG, "wrong_loss", "loss_reduction", "momentum_too_high",
                        "lr_schedule"),
    "wrong_backward": _GOES_WRONG,
    "missing_zero_grad": (*_GOES_WRONG, "momentum_too_high", "lr_schedule"),
    "detach_inplace": ("underfitting", "dying_relu", "saturated_units", "vanishing_gradient",
                       "frozen_params", "lr_too_low"),
    "frozen_params": ("underfitting", "vanishing_gradient", "lr_too_low"),
    "wrong_loss": (*_GOES_WRONG, "output_activation"),
    "output_activation": ("vanishing_gradient", "lr_too_low", "underfitting", "dying_relu"),
    "loss_reduction": ("lr_too_high", "exploding_or_nan", "lr_too_low", "dying_relu",
                       "saturated_units", "momentum_too_high"),
    "dtype_scale": ("exploding_or_nan", "dying_relu", "saturated_units", "vanishing_gradient",
                    "lr_too_high", "lr_too_low", "unnormalised_inputs", "underfitting"),
    "unnormalised_inputs": ("exploding_or_nan", "dying_relu", "saturated_units",
                            "vanishing_gradient", "lr_too_high", "lr_too_low", "underfitting"),
    "no_shuffle": ("batchnorm_misuse", "underfitting", "lr_too_high", "exploding_or_nan",
                   "dying_relu"),
    "over_regularised": ("lr_too_high", "underfitting", "vanishing_gradient", "dying_relu",
                         "lr_too_low", "class_imbalance"),
    "bad_init": ("vanishing_gradient", "exploding_or_nan", "saturated_units", "dying_relu",
                 "lr_too_low", "lr_too_high", "underfitting"),
    "momentum_too_high": ("lr_too_high", "exploding_or_nan", "dying_relu", "saturated_units",
                          "underfitting", "vanishing_gradient"),
    "lr_schedule": ("lr_too_high", "lr_too_low", "exploding_or_nan", "underfitting"),
    "lr_too_high": ("exploding_or_nan", "dying_relu", "saturated_units", "vanishing_gradient",
                    "underfitting", "batchnorm_misuse", "class_imbalance"),
    "dying_relu": ("vanishing_gradient", "underfitting", "lr_too_low"),
    "saturated_units": ("vanishing_gradient", "underfitting", "lr_too_low"),
    "vanishing_gradient": ("underfitting", "lr_too_low"),
    "corrupted_labels": ("overfitting", "underfitting"),
    "eval_mode_bug": ("batchnorm_misuse", "overfitting"),
    "bad_augmentation": ("underfitting",),
    "lr_too_low": ("underfitting",),
    "class_imbalance": ("underfitting",),
}  # fmt: skip
"""What may follow from what. `not_learning` follows from everything."""

_ORDER: tuple[Code, ...] = tuple(EFFECTS)


def rank(findings: Iterable[Finding], given: Sequence[Finding] = ()) -> list[Finding]:
    """One finding for each root cause, its effects folded under it, the likeliest first.

    What is seen in the wiring of a training is surer than what is concluded from its course, and
    a cause that explains more of what was seen is likelier than one that explains less.

    Args:
        findings: Of the watcher.
        given: Of the checks before training; of a code that both have, theirs stays.
    """
    known = {finding.code for finding in given}
    everything = [*given, *(f for f in findings if f.code not in known)]
    roots = _fold(everything)
    return sorted(roots, key=_key)


def _fold(findings: Sequence[Finding]) -> list[Finding]:
    """Puts each effect under the first of its causes; a cause is as severe as its effects."""
    serious = [f.code for f in findings if f.severity != "note"]
    roots: list[Finding] = []
    for finding in sorted(findings, key=_place):
        causes = [f for f in roots if f.severity != "note" and finding.code in _follows(f.code)]
        if not causes or (finding.code == "not_learning" and len(set(serious)) == 1):
            roots.append(finding)
            continue
        k = roots.index(causes[0])
        severity = min(causes[0].severity, finding.severity, key=SEVERITIES.index)
        roots[k] = replace(causes[0], effects=(*causes[0].effects, finding), severity=severity)
    return roots


def _follows(code: Code) -> tuple[Code, ...]:
    return (*EFFECTS.get(code, ()), "not_learning")


def _place(finding: Finding) -> int:
    """Causes come before their effects."""
    if finding.code == "not_learning":
        return len(_ORDER) + 1
    return _ORDER.index(finding.code) if finding.code in _ORDER else len(_ORDER)


def _key(finding: Finding) -> tuple[int, int]:
    return SEVERITIES.index(finding.severity), _place(finding)
