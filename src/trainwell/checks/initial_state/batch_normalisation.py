"""Whether batch normalisation can do its work: batches, momentum, statistics, place."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch.nn.modules.batchnorm import _BatchNorm

from trainwell.checks.initial_state.first_pass import first_pass
from trainwell.checks.initial_state.initial_weights import names_of
from trainwell.checks.initial_state.output_range import find_end
from trainwell.checks.subject import Subject
from trainwell.checks.verdict import Verdict, skip
from trainwell.findings import Finding, Severity

CHECK = "batch normalisation"
EXPECTED = "batches of several examples, running statistics with momentum near 0.1"
SMALLEST_BATCH = 3
HIGH_MOMENTUM = 0.6
LAST_BATCH_ONLY = 0.999
EPOCHS = 5
LARGE_EPSILON = 0.1
REFERENCE = "Ioffe & Szegedy (2015)"


def check_batch_normalisation(subject: Subject) -> Sequence[Verdict]:
    """Looks at the settings of each batch normalisation, the batch size and the last layer.

    Args:
        subject: Whose model is read.
    """
    norms = {n: m for n, m in subject.model.named_modules() if isinstance(m, _BatchNorm)}
    if not norms:
        return [skip(CHECK, "the model has none")]
    findings = [
        *_find_small_batch(subject, list(norms)),
        *_find_single_rest(subject, list(norms)),
        *_find_momentum(subject, norms),
        *_find_no_statistics(norms),
        *_find_broken_statistics(norms),
        *_find_large_epsilon(norms),
        *_find_at_the_end(subject, list(norms)),
    ]
    momenta = sorted({norm.momentum for norm in norms.values() if norm.momentum is not None})
    told = ", ".join(f"{momentum:g}" for momentum in momenta) or "none"
    seen = f"{len(norms)} layers, momentum {told}, batches of {subject.batch_size}"
    return [Verdict(CHECK, seen, EXPECTED, tuple(findings))]


def _found(
    severity: Severity, names: Sequence[str], cause: str, remedy: str, **evidence: float
) -> list[Finding]:
    where = names_of(names)
    return [Finding("batchnorm_misuse", severity, where, None, evidence, cause, remedy, REFERENCE)]


def _find_small_batch(subject: Subject, names: Sequence[str]) -> list[Finding]:
    if subject.batch_size >= SMALLEST_BATCH:
        return []
    return _found(
        "error" if subject.batch_size == 1 else "warning",
        names,
        f"Batches have {subject.batch_size} examples: mean and variance of so few are noise, and "
        "differ from the running ones that are used in evaluation.",
        "Use batches of 16 or more, or group or layer normalisation (Wu & He 2018).",
        batch_size=float(subject.batch_size),
    )


def _find_single_rest(subject: Subject, names: Sequence[str]) -> list[Finding]:
    """A last batch of one example, which layers behind flattened values refuse."""
    # trainwell itself trains such a batch with others.
    if subject.is_prepared or subject.batch_size < SMALLEST_BATCH:
        return []
    if len(subject.train) % subject.batch_size != 1:
        return []
    inputs, _ = subject.batch(1, CHECK)
    try:
        with torch.no_grad():
            subject.replica()(inputs)
    except ValueError:
        return _found(
            "warning",
            names,
            f"{len(subject.train)} examples in batches of {subject.batch_size} leave a last batch "
            "of one, which has no variance: the training fails at the end of the first epoch.",
            "Use drop_last=True or another batch size.",
            batch_size=float(subject.batch_size),
            examples=float(len(subject.train)),
        )
    return []


def _find_momentum(subject: Subject, norms: dict[str, _BatchNorm]) -> list[Finding]:
    tracked = {
        name: norm.momentum
        for name, norm in norms.items()
        if norm.track_running_stats and norm.momentum is not None
    }
    steps = EPOCHS * max(1, len(subject.train) // max(1, subject.batch_size))
    still = [name for name, momentum in tracked.items() if momentum * steps < 1]
    if still:
        momentum = tracked[still[0]]
        return _found(
            "error" if momentum <= 0 else "warning",
            still,
            f"With momentum {momentum:g} the running statistics hardly move from mean 0 and "
            f"variance 1 in {steps} steps ({EPOCHS} epochs): evaluation will differ from training.",
            "Leave momentum at 0.1: it is the weight of the newest batch.",
            momentum=momentum,
        )
    hasty = [name for name, momentum in tracked.items() if momentum > HIGH_MOMENTUM]
    if hasty:
        momentum = tracked[hasty[0]]
        return _found(
            "error" if momentum > LAST_BATCH_ONLY else "warning",
            hasty,
            f"With momentum {momentum:g} the running statistics are those of the last batch: in "
            "torch it is the weight of the newest batch, elsewhere that of the past.",
            "Use momentum 0.1 (elsewhere 0.9).",
            momentum=momentum,
        )
    return []


def _find_no_statistics(norms: dict[str, _BatchNorm]) -> list[Finding]:
    without = [name for name, norm in norms.items() if norm.running_mean is None]
    if not without:
        return []
    return _found(
        "error",
        without,
        f"{len(without)} layers keep no running statistics: in evaluation mode each output depends "
        "on the other examples of its batch, and one example alone cannot be predicted.",
        "Leave track_running_stats at True.",
        layers=float(len(without)),
    )


def _find_broken_statistics(norms: dict[str, _BatchNorm]) -> list[Finding]:
    broken = []
    for name, norm in norms.items():
        mean, variance = norm.running_mean, norm.running_var
        if mean is None or variance is None:
            continue
        if not bool(torch.isfinite(mean).all()) or not bool((variance >= 0).all()):
            broken.append(name)
    if not broken:
        return []
    return _found(
        "error",
        broken,
        f"The running statistics of {len(broken)} layers are not finite or negative.",
        "Call reset_running_stats() on them.",
        layers=float(len(broken)),
    )


def _find_large_epsilon(norms: dict[str, _BatchNorm]) -> list[Finding]:
    large = [name for name, norm in norms.items() if norm.eps >= LARGE_EPSILON or norm.eps <= 0]
    if not large:
        return []
    epsilon = norms[large[0]].eps
    return _found(
        "warning",
        large,
        f"eps is {epsilon:g}: it is added to the variance, which it hides or does not protect.",
        "Leave eps at 1e-5.",
        eps=epsilon,
    )


def _find_at_the_end(subject: Subject, names: Sequence[str]) -> list[Finding]:
    outputs = subject.once(first_pass).outputs
    if outputs is None or find_end(outputs).name != "batch_norm":
        return []
    return _found(
        "warning",
        names[-1:],
        "Batch normalisation stands behind the last layer: the outputs of a batch always have mean "
        "0 and deviation 1 times its own scale, whatever the examples are.",
        "Leave it out behind the last layer.",
    )
