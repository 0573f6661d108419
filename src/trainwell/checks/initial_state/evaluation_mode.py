"""Whether the model in evaluation mode is a function of one example, the one that was trained."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase

from trainwell.checks.initial_state.first_pass import first_pass
from trainwell.checks.initial_state.recorder import Record, first_tensor, recording
from trainwell.checks.subject import Subject
from trainwell.checks.verdict import Verdict, skip
from trainwell.errors import first_line
from trainwell.findings import Code, Finding

CHECK = "evaluation mode"
EXPECTED = "outputs of each example alone, the same each time, as in training"
FAR, FAR_RATIO = 3.0, 50.0
SAME = 1e-3
"""Of the outputs' size; sums in another order differ by 1e-6 of it."""
PASSES = 8
FEWEST, EXAMPLES = 8, 64
LOW_SLOPE, HIGH_SLOPE, LOW_CORRELATION = 0.7, 1.45, 0.6
"""Of the mean training outputs over those in evaluation mode. Dropout that is not scaled gives its
share of kept units as slope, for each layer with dropout."""
REFERENCE = "Ioffe & Szegedy (2015); Srivastava et al. (2014)"


def check_evaluation_mode(subject: Subject) -> Sequence[Verdict]:
    """Evaluates examples twice, with others beside them, and against training mode.

    Args:
        subject: Whose replica is evaluated.
    """
    first = subject.once(first_pass)
    if first.outputs is None or len(first.inputs) < 4:
        return [skip(CHECK, first.error or "there are not four examples")]
    if len(first.outputs) != len(first.inputs):
        return [skip(CHECK, "the outputs are not one for each example")]
    model, inputs = subject.replica(), first.inputs[:EXAMPLES]
    is_random = bool(first.record.dropouts or first.record.random)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        training = _train_statistics(model, inputs, PASSES if is_random else 2)
        model.eval()
        try:
            with recording(model) as record:
                outputs = _run(model, inputs)
            again = _run(model, inputs)
            few, mixed = _with_others(model, inputs)
        except Exception as error:
            return [_evaluation_failed(error)]
    found = _find_left_in_training(model) or _find_random(
        record, outputs, again, inputs.numel(), subject.task == "reconstruction"
    )
    between = _difference(few, mixed)
    if not found:
        found = _find_influence(model, between)
    found = found or _find_foreign_statistics(subject.model, model)
    line = _compare(training, outputs)
    if not found and not first.has_own_objective:
        found = _find_gap(line, is_random)
    seen = f"others change outputs by {between:.1e}; slope to training mode {line.slope:.2f}"
    return [Verdict(CHECK, seen, EXPECTED, tuple(found))]


def _run(model: nn.Module, inputs: Tensor) -> Tensor:
    outputs = first_tensor(model(inputs))
    assert outputs is not None
    return outputs.detach().float().flatten(1) if outputs.ndim > 1 else outputs.float()[:, None]


def _train_statistics(model: nn.Module, inputs: Tensor, passes: int) -> Tensor:
    """Outputs of passes in training mode, which give batch normalisation its statistics."""
    norms = [m for m in model.modules() if isinstance(m, _NormBase) and m.track_running_stats]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        # Cumulative, so that a few passes suffice.
        norm.momentum = None
    outputs = torch.stack([_run(model, inputs) for _ in range(passes)])
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    return outputs


def _with_others(model: nn.Module, inputs: Tensor) -> tuple[Tensor, Tensor]:
    """Outputs of a quarter of the examples: by themselves, and among larger and flipped others."""
    count = len(inputs) // 4
    chosen, others = inputs[:count], inputs[count:]
    alone = _run(model, chosen)
    changed = 3 * others.flip(0) + 1 if others.is_floating_point() else others.flip(0)
    # In front, since a sequence layer that takes examples for steps looks back only.
    among = _run(model, torch.cat([changed.to(others.dtype), chosen]))[-count:]
    return alone, among


def _difference(first: Tensor, second: Tensor) -> float:
    """The largest difference, as a share of the outputs' size."""
    if first.shape != second.shape:
        return float("inf")
    size = first.abs().max().clamp(min=1e-12)
    return float((first - second).abs().max() / size)


def _evaluation_failed(error: Exception) -> Verdict:
    finding = Finding(
        "eval_mode_bug",
        "error",
        cause=f"The model fails in evaluation mode: {type(error).__name__}: {first_line(error)}",
        remedy="Let the model take batches of any size in evaluation mode.",
    )
    return Verdict(CHECK, "it fails", EXPECTED, (finding,))


def _find_left_in_training(model: nn.Module) -> list[Finding]:
    """Modules that `eval()` does not reach."""
    left = [name for name, m in model.named_modules() if m.training and _depends_on_mode(m)]
    if not left:
        return []
    return _bug(
        "eval_mode_bug",
        f"After eval() {len(left)} modules are still in training mode, {left[0] or 'the model'} "
        "among them.",
        "Let your train() call super().train(mode), and don't call train() within forward.",
        left[0],
    )


def _depends_on_mode(module: nn.Module) -> bool:
    return isinstance(module, _NormBase | nn.modules.dropout._DropoutNd) or not list(
        module.children()
    )


def _bug(code: Code, cause: str, remedy: str, where: str = "", **evidence: float) -> list[Finding]:
    return [Finding(code, "error", where, None, evidence, cause, remedy, REFERENCE)]


def _find_random(
    record: Record, outputs: Tensor, again: Tensor, values: int, is_reconstruction: bool
) -> list[Finding]:
    """Outputs that differ between two evaluations.

    Args:
        record: Of the first one.
        outputs, again: Of both.
        values: That went in.
        is_reconstruction: Whether the model may draw codes.
    """
    difference = _difference(outputs, again)
    if difference <= SAME:
        return []
    active = [d for d in record.dropouts if d.is_active and d.probability > 0]
    if active:
        return _bug(
            "eval_mode_bug",
            f"Dropout {active[0].where} drops in evaluation mode too: two evaluations of the same "
            f"examples differ by {100 * difference:.0f} % of the outputs' size.",
            "Use nn.Dropout, or functional.dropout(x, p, training=self.training).",
            active[0].where,
            difference=difference,
        )
    drawn = [name for name, _, _ in record.random]
    if drawn:
        # A variational autoencoder draws codes, which are fewer than the inputs, on purpose.
        is_code = is_reconstruction and all(n < values for _, _, n in record.random)
        return [
            Finding(
                "eval_mode_bug",
                "note" if is_code else "error",
                record.random[0][1],
                evidence={"difference": difference},
                cause=f"The model draws random numbers ({drawn[0]}) in evaluation mode: two "
                "evaluations differ.",
                remedy="Draw only where self.training is true, unless it is meant so.",
            )
        ]
    return _bug(
        "eval_mode_bug",
        f"Two evaluations of the same examples differ by {100 * difference:.0f} % of the outputs' "
        "size: the model changes itself, or keeps a state between batches.",
        "Let forward depend on its inputs and the weights alone in evaluation mode.",
        difference=difference,
    )


def _find_influence(model: nn.Module, difference: float) -> list[Finding]:
    if difference <= SAME:
        return []
    without = [
        name
        for name, m in model.named_modules()
        if isinstance(m, nn.modules.batchnorm._BatchNorm) and m.running_mean is None
    ]
    if without:
        return _bug(
            "batchnorm_misuse",
            f"{without[0]} keeps no running statistics: in evaluation mode each output depends on "
            "the other examples of the batch.",
            "Leave track_running_stats at True.",
            without[0],
            difference=difference,
        )
    return _bug(
        "eval_mode_bug",
        f"With other examples beside them, outputs change by {100 * difference:.0f} % of their "
        "size in evaluation mode: examples influence each other.",
        "Look for batch statistics, a softmax or mean over dimension 0, a reshape that mixes "
        "examples, or a sequence layer without batch_first=True.",
        difference=difference,
    )


def _find_foreign_statistics(model: nn.Module, fitted: nn.Module) -> list[Finding]:
    """Running statistics that many steps have made, but of other data or another network.

    Args:
        model: As it was given.
        fitted: A replica with statistics of the examples at hand.
    """
    modules = dict(fitted.named_modules())
    for name, norm in model.named_modules():
        if not isinstance(norm, _NormBase) or norm.momentum is None:
            continue
        steps = norm.num_batches_tracked
        if norm.running_var is None or norm.running_mean is None or steps is None:
            continue
        if (1 - norm.momentum) ** int(steps) > 0.05:
            continue
        other = modules[name]
        assert isinstance(other.running_mean, Tensor) and isinstance(other.running_var, Tensor)
        away = (norm.running_mean - other.running_mean).abs() / (other.running_var + 1e-8).sqrt()
        ratio = (norm.running_var + 1e-8) / (other.running_var + 1e-8)
        distance = float(away.median())
        if distance > FAR or not 1 / FAR_RATIO < float(ratio.median()) < FAR_RATIO:
            return _bug(
                "batchnorm_misuse",
                f"The running statistics of {name or 'the model'} are not those of these examples: "
                f"means lie {distance:.2g} deviations away, variances are "
                f"{float(ratio.median()):.2g} times as large.",
                "Call reset_running_stats(), or load the statistics with the weights.",
                name,
                distance=distance,
                ratio=float(ratio.median()),
            )
    return []


@dataclass(frozen=True)
class Line:
    """Training outputs as a line over evaluation outputs, both without column means.

    Attributes:
        slope: 1 where both modes compute the same on average.
        uncertainty: Standard error of the slope, from the differences between passes.
        correlation: Between them; low also where training draws at random.
    """

    slope: float = 1.0
    uncertainty: float = 0.0
    correlation: float = 1.0


def _compare(training: Tensor, outputs: Tensor) -> Line:
    """Compares outputs in training mode `(passes, N, ...)` with those in evaluation mode."""
    if training.shape[1:] != outputs.shape:
        return Line(float("nan"))
    x, y = outputs - outputs.mean(0), training - training.mean(1, keepdim=True)
    variance, other = float(x.square().sum()), float(y.mean(0).square().sum())
    size = float(outputs.square().sum())
    # Outputs that are nearly alike for all examples say nothing.
    if variance <= 1e-6 * size or other <= 1e-12 * size or len(x) < FEWEST:
        return Line()
    slopes = (x * y).flatten(1).sum(1) / variance
    slope = float(slopes.mean())
    error = float(slopes.std() / len(slopes) ** 0.5) if len(slopes) > 1 else 0.0
    return Line(slope, error, slope * (variance / other) ** 0.5)


def _find_gap(line: Line, is_random: bool) -> list[Finding]:
    low, high = line.slope - 3 * line.uncertainty, line.slope + 3 * line.uncertainty
    is_unlike = line.correlation < LOW_CORRELATION
    # Strong dropout in a deep network hides what the outputs are on average.
    if is_random and is_unlike:
        return []
    if high >= LOW_SLOPE and low <= HIGH_SLOPE and not is_unlike:
        return []
    return [
        Finding(
            "eval_mode_bug",
            "warning",
            evidence={"slope": line.slope, "correlation": line.correlation},
            cause=f"The outputs in training mode are on average {line.slope:.2g} times those in "
            f"evaluation mode (correlation {line.correlation:.2f}), with batch statistics fitted "
            "to the same examples: the two modes compute different functions.",
            remedy="Scale by 1 / (1 - p) where units are dropped in training, and let nothing else "
            "depend on self.training.",
            reference=REFERENCE,
        )
    ]
