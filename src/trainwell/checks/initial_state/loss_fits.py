"""Whether the loss suits the outputs' shape, the targets and the task."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import torch
from torch import Tensor

from trainwell.checks.initial_state.first_pass import FirstPass, first_pass
from trainwell.checks.initial_state.known_loss import (
    CLASS_LOSSES,
    DISTANCES,
    KnownLoss,
    draw_like,
    know_loss,
    try_loss,
)
from trainwell.checks.subject import Subject
from trainwell.checks.verdict import Verdict, skip
from trainwell.findings import Code, Finding

CHECK = "loss and targets"
EXPECTED = "a loss that suits the outputs, the targets and the task"
FEWEST_OF_A_CLASS = 8
REFERENCE = "Goodfellow, Bengio & Courville, Deep Learning (2016), section 6.2"


def check_loss_fits(subject: Subject) -> Sequence[Verdict]:
    """Looks at shapes, types and values of outputs and targets, and how the loss pairs them.

    Args:
        subject: Whose model makes one pass on a replica.
    """
    first = subject.once(first_pass)
    if first.failed == "model":
        return [_model_failed(first)]
    outputs, targets = first.outputs, first.targets
    if outputs is None:
        return [skip(CHECK, "the model puts out no numbers")]
    if first.has_own_objective:
        return [skip(CHECK, "the model is trained by a rule of its own")]
    seen = f"outputs {tuple(outputs.shape)}, targets {tuple(targets.shape)} of {_type(targets)}"
    if first.failed == "loss":
        return [Verdict(CHECK, seen, EXPECTED, (_loss_failed(first, outputs, targets),))]
    if not isinstance(first.raw, Tensor):
        return [Verdict(CHECK, seen, EXPECTED)]
    known = know_loss(subject.loss, outputs, targets)
    found = (
        _find_broadcast(subject, known, outputs, targets)
        or _find_distance_of_classes(subject, known, outputs, targets)
        or _find_single_column(subject, known, outputs, targets)
        or _find_impossible_targets(known, outputs, targets)
        or _find_class_without_gradient(subject, known, outputs, targets)
    )
    return [Verdict(CHECK, seen, EXPECTED, tuple(found))]


def _type(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")


def _wrong(cause: str, remedy: str, **evidence: float) -> list[Finding]:
    return [
        Finding(
            "wrong_loss",
            "error",
            evidence=evidence,
            cause=cause,
            remedy=remedy,
            reference=REFERENCE,
        )
    ]


def _model_failed(first: FirstPass) -> Verdict:
    """A model that raises an error on a training batch."""
    weights = next((p.dtype for p in first.model.parameters()), torch.float32)
    inputs = first.inputs
    code: Code = "dtype_scale"
    remedy = "Give inputs of the shape and type that the model expects."
    if "more than 1 value per channel" in first.error:
        code = "batchnorm_misuse"
        remedy = "Use larger batches, or group or layer normalisation."
    elif inputs.is_floating_point() and inputs.dtype != weights:
        remedy = f"Convert the inputs to {str(weights).removeprefix('torch.')}, as the weights are."
    seen = f"inputs {tuple(inputs.shape)} of {_type(inputs)}"
    cause = f"The model fails on a training batch {tuple(inputs.shape)} of {_type(inputs)}: "
    finding = Finding(code, "error", cause=cause + first.error, remedy=remedy)
    return Verdict(CHECK, seen, "a model that takes the inputs", (finding,))


def _loss_failed(first: FirstPass, outputs: Tensor, targets: Tensor) -> Finding:
    code: Code = "wrong_loss"
    remedy = "Give outputs and targets the shape and type that the loss asks for."
    message = first.error
    if "between 0 and 1" in message:
        code = "output_activation"
        remedy = "Use binary_cross_entropy_with_logits, or put a sigmoid behind the last layer."
    elif "out of bounds" in message or "out of range" in message:
        code = "corrupted_labels"
        remedy = f"Give class numbers from 0 to {outputs.shape[-1] - 1}, or more outputs."
    elif targets.is_floating_point() and ("Long" in message or "Float" in message):
        remedy = "Give class numbers as whole numbers (torch.long) of the shape (N,)."
    elif outputs.shape != targets.shape and outputs.numel() == targets.numel():
        remedy = "Give outputs and targets the same shape, such as by outputs.squeeze(1)."
    cause = (
        f"The loss fails for outputs {tuple(outputs.shape)} and targets {tuple(targets.shape)} of "
        f"{_type(targets)}: {message}"
    )
    return Finding(code, "error", cause=cause, remedy=remedy, reference=REFERENCE)


def _find_broadcast(
    subject: Subject, known: KnownLoss, outputs: Tensor, targets: Tensor
) -> list[Finding]:
    """Shapes that are stretched to fit, so that each output meets the targets of others."""
    if outputs.shape == targets.shape or known.name in CLASS_LOSSES or len(outputs) < 2:
        return []
    together = f"outputs {tuple(outputs.shape)} and targets {tuple(targets.shape)}"
    if _mixes_examples(subject, outputs, targets):
        return _wrong(
            f"The {together} are stretched to fit each other: each output is compared with the "
            "targets of all examples, so that the best prediction is their mean.",
            "Give both the same shape, such as by outputs.squeeze(1) or targets.unsqueeze(1).",
            outputs=float(outputs.ndim),
            targets=float(targets.ndim),
        )
    if known.name in DISTANCES and outputs.numel() != targets.numel():
        return _wrong(
            f"The {together} differ in number: all outputs of an example are compared with the "
            "same target.",
            "Let the model put out as many numbers as there are targets.",
        )
    return []


def _mixes_examples(subject: Subject, outputs: Tensor, targets: Tensor) -> bool:
    """Whether another target of the last example changes the gradient of the first one."""
    differing = (targets != targets[-1]).flatten(1).any(1) if targets.ndim > 1 else None
    differing = (targets != targets[-1]) if differing is None else differing
    if not bool(differing[1:].any()):
        return False
    changed = targets.clone()
    changed[-1] = targets[1:][differing[1:].nonzero()[0, 0]]
    before, after = (_gradient(subject, outputs, wanted) for wanted in (targets, changed))
    if before is None or after is None:
        return False
    return bool((before[0] - after[0]).abs().max() > 1e-4 * before.abs().max() / len(outputs))


def _gradient(subject: Subject, outputs: Tensor, targets: Tensor) -> Tensor | None:
    """Of the loss by the outputs; None where there is none."""
    wanted = outputs.detach().double().requires_grad_(True)
    exact = targets.double() if targets.is_floating_point() else targets
    try:
        with warnings.catch_warnings(), torch.enable_grad():
            warnings.simplefilter("ignore")
            return torch.autograd.grad(subject.loss(wanted, exact).sum(), wanted)[0]
    except Exception:
        return None


def _find_distance_of_classes(
    subject: Subject, known: KnownLoss, outputs: Tensor, targets: Tensor
) -> list[Finding]:
    """Squared or absolute errors of class numbers."""
    if known.name not in DISTANCES or targets.numel() != len(targets):
        return []
    name = str(known.name).replace("_", " ")
    values = targets.unique()
    is_two = len(values) == 2 and values.tolist() == [0, 1]
    if subject.task == "multiclass" and len(values) > 2:
        return _wrong(
            f"The {name} treats {len(values)} class numbers as quantities: class 2 counts as lying "
            "between 1 and 3.",
            "Let the model put out one score for each class, and use cross_entropy.",
            classes=float(len(values)),
        )
    if outputs.numel() == len(outputs) and is_two and subject.task != "reconstruction":
        return [
            Finding(
                "wrong_loss",
                "warning",
                evidence={"classes": 2.0},
                cause=f"The targets are two classes, 0 and 1, and the loss is the {name}: its "
                "gradient vanishes where the model is surely wrong.",
                remedy="Use binary_cross_entropy_with_logits on the scores.",
                reference=REFERENCE,
            )
        ]
    return []


def _find_single_column(
    subject: Subject, known: KnownLoss, outputs: Tensor, targets: Tensor
) -> list[Finding]:
    if known.name not in CLASS_LOSSES or outputs.ndim < 2 or outputs.shape[1] != 1:
        return []
    # A hinge may be made for one score of two classes.
    if known.name == "hinge" and any(
        try_loss(subject.loss, drawn, targets) for drawn in draw_like(outputs, 2)
    ):
        return []
    return _wrong(
        "The cross-entropy of a single output is always 0: one class has all the probability.",
        "Use binary_cross_entropy_with_logits for one output, or two outputs.",
        outputs=1.0,
    )


def _find_impossible_targets(known: KnownLoss, outputs: Tensor, targets: Tensor) -> list[Finding]:
    """Targets that no output of a classifier can equal."""
    if known.name not in (
        *("cross_entropy", "binary_cross_entropy", "binary_cross_entropy_of_logits"),
    ):
        return []
    if not targets.is_floating_point() or not targets.numel():
        return []
    lowest, highest = float(targets.min()), float(targets.max())
    if lowest < 0 or highest > 1:
        return _wrong(
            f"The targets of a cross-entropy are probabilities; these go from {lowest:.3g} to "
            f"{highest:.3g}, and the loss has no lower bound.",
            "Give targets from 0 to 1; for more than two classes use cross_entropy with numbers.",
            lowest=lowest,
            highest=highest,
        )
    if targets.ndim != 2 or outputs.shape != targets.shape:
        return []
    sums = targets.sum(1)
    if known.name == "cross_entropy" and bool((sums - 1).abs().max() > 1e-2):
        return _wrong(
            f"The targets of each example sum to between {float(sums.min()):.3g} and "
            f"{float(sums.max()):.3g}: they are no probabilities of exclusive classes.",
            "Use binary_cross_entropy_with_logits where several classes can be right at once.",
        )
    return []


def _find_class_without_gradient(
    subject: Subject, known: KnownLoss, outputs: Tensor, targets: Tensor
) -> list[Finding]:
    """A class on whose examples a loss of the user's own never depends."""
    is_single = targets.numel() == len(targets)
    if known.name is not None or subject.task not in ("binary", "multiclass") or not is_single:
        return []
    generator = torch.Generator().manual_seed(0)
    drawn = 3 * torch.randn(outputs.shape, generator=generator).to(outputs)
    gradient = _gradient(subject, drawn, targets)
    if gradient is None or not bool(gradient.any()):
        return []
    felt = gradient.flatten(1).any(1) if gradient.ndim > 1 else gradient.bool()
    numbers = targets.flatten()
    silent = [float(n) for n in numbers.unique() if not bool(felt[numbers == n].any())]
    if not silent or bool((numbers == silent[0]).sum() < FEWEST_OF_A_CLASS):
        return []
    return _wrong(
        f"The loss does not depend on the outputs of examples with the target {silent[0]:g}: they "
        "have no gradient, whatever the outputs are.",
        "Give the loss the targets that it is made for, such as −1 and +1 for a hinge loss.",
        target=silent[0],
    )
