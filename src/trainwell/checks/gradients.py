"""Are the gradients those of the loss? Analytic ones against centred differences."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from trainwell.checks.central_difference import Comparer, Problem
from trainwell.checks.culprits import (
    Call,
    find_culprits,
    is_own_code,
    isolate,
    record_calls,
    tensors_in,
)
from trainwell.checks.double_precision import (
    InDouble,
    Replay,
    as_double,
    copy_module,
    make_double,
)
from trainwell.checks.gradient_findings import Place, explain_penalty, explain_wrong
from trainwell.checks.gradient_report import GradientOf, GradientReport, allowed_error
from trainwell.checks.gradient_search import examine
from trainwell.checks.subject import Subject
from trainwell.checks.verdict import Verdict, skip
from trainwell.errors import ModelError, first_line
from trainwell.nn.losses import Loss
from trainwell.nn.objective import OwnObjective
from trainwell.training.randomness import RunRandomness

CHECK = "gradients"
STEP_SIZE = 1e-5
DIMENSIONS = 4
EXAMPLES = 4
BURN_IN = 5
BURN_IN_RATE = 1e-3
"""Of Adam: all weights leave their special initial values, such as zero, and go nowhere."""

Penalty = Callable[[nn.Module], Tensor]


def check_gradients(
    model: nn.Module | Callable[..., Any],
    loss_fn: Loss,
    batch: tuple[Any, Any],
    *,
    dimensions: int = DIMENSIONS,
    step_size: float = STEP_SIZE,
    examples: int = EXAMPLES,
    burn_in: int = BURN_IN,
    penalty: Penalty | None = None,
    seed: int = 0,
) -> GradientReport:
    """Compares the gradients of a model's loss with centred differences of it.

    All is done on a copy in double precision, in the modes (training or evaluation) that the
    modules have; model, gradients and global random numbers are left as they are. Dropout and other
    randomness is the same in every evaluation, buffers such as running statistics start from the
    same values. Derivatives are taken along directions that move all numbers of several parameters
    at once; where one does not come out right, of each parameter and of single numbers of it. A
    kink (a ReLU, pool, hinge or comparison whose winner changes between the two evaluations) is
    avoided by smaller steps; what still crosses one is reported apart and is no failure.

    The relative error is |fa − fn| / max(|fa|, |fn|). With kinks avoided and in double precision it
    is about 1e-8 where all is well; up to 1e-4 passes, somewhat more in networks of more than ten
    layers.

    Args:
        model: Called with the inputs. A callable that is no module has no parameters: then the
            gradient with respect to the inputs is checked.
        loss_fn: Called with outputs and targets; gives one number.
        batch: Inputs `(N, ...)`, or a tuple of them, and targets `(N, ...)`.
        dimensions: Single numbers that are tried of a parameter where moving all of it crosses
            kinks: half those with the largest gradient, half at random.
        step_size: At which the differences begin.
        examples: So many of the batch are used, from its beginning: few have few kinks.
        burn_in: Steps of Adam on the copy before the check: at the initial weights some parts may
            not have a gradient yet.
        penalty: Of the model, added to the loss in training; its gradient is checked apart, as one
            of the two may hide the other. None: there is none.
        seed: Of directions, of the numbers chosen, and of dropout.

    Raises:
        ModelError: The model follows a rule that is no gradient of its loss, cannot be copied or
            run in double precision, or its loss is not one finite number and always the same.
    """
    began = time.monotonic()
    if isinstance(model, OwnObjective):
        raise ModelError(
            f"{type(model).__name__} has an objective of its own, whose gradient need not be that "
            "of its value",
            remedy="Check its parts with check_function_gradient",
        )
    few = _take(batch, examples)
    module = model if isinstance(model, nn.Module) else _Called(model)
    device = _device_of(module, few)
    copied, loss = copy_module(module), _copy_loss(loss_fn)
    with RunRandomness(seed, device), torch.compiler.set_stance("force_eager"):
        _burn_in(copied, loss, few, penalty, burn_in)
    for part in (copied, loss):
        if isinstance(part, nn.Module):
            make_double(part)
    inputs, targets = as_double(few)
    task = _Task(copied, loss, inputs, targets, penalty, dimensions, step_size, seed, device)
    with _in_double(task.replay, device):
        report = task.report()
    return GradientReport(
        report.gradients,
        report.penalties,
        report.findings,
        report.allowed,
        time.monotonic() - began,
    )


def check_function_gradient(
    function: Callable[..., Any],
    *inputs: Any,
    dimensions: int = DIMENSIONS,
    step_size: float = STEP_SIZE,
    seed: int = 0,
) -> GradientReport:
    """Compares the gradient of a bare function, such as `MyFunction.apply`, with differences of it.

    As `check_gradients` does, with respect to all its floating inputs and, of a module, its
    parameters. Outputs that are not one number are added up with random weights.

    Args:
        function: Called with the inputs; a module is copied and left as it is.
        inputs: Tensors, and anything else that it takes. Floating tensors go in as float64.
        dimensions, step_size, seed: As of `check_gradients`.

    Raises:
        ModelError: It has no floating input, fails in double precision, or its outputs are not
            finite and always the same.
    """
    began = time.monotonic()
    module = function
    if isinstance(function, nn.Module):
        module = copy_module(function)
        make_double(module)
    modules = [module] if isinstance(module, nn.Module) else []
    device = next((t.device for t in tensors_in(inputs).values()), torch.device("cpu"))
    replay = Replay(modules, seed, device)
    with _in_double(replay, device):
        call = Call("", module, as_double(inputs), {})
        problem = isolate(call, replay, seed)
        if not problem.tensors:
            raise ModelError("the function has no floating tensor among its inputs")
        allowed = allowed_error(0)
        gradients = examine(Comparer(problem, step_size, seed), dimensions, allowed)
        name = getattr(function, "__name__", type(function).__name__)
        owner = getattr(function, "__self__", None)
        name = owner.__name__ if isinstance(owner, type) else name
        places = {g.name: Place(g.name, "", name, 0) for g in gradients}
        wrong = [g for g in gradients if g.outcome == "differs"]
        findings = explain_wrong(wrong, [], places, {}, allowed)
    return GradientReport(gradients, (), tuple(findings), allowed, time.monotonic() - began)


def look_at_gradients(subject: Subject) -> Sequence[Verdict]:
    """The check of the suite: the gradients of a replica of the model on a few examples."""
    if isinstance(subject.model, OwnObjective):
        return [skip(CHECK, "the model follows a rule of its own, not the gradient of its loss")]
    if not any(parameter.requires_grad for parameter in subject.model.parameters()):
        return [skip(CHECK, "no parameter has a gradient")]
    report = check_gradients(
        subject.replica(),
        subject.loss,
        subject.batch(EXAMPLES, CHECK),
        penalty=subject.penalty,
        seed=subject.seed,
    )
    expected = f"at most {report.allowed:.1g}"
    return [Verdict(CHECK, report.summary(), expected, report.findings)]


class _Called(nn.Module):
    """A function as a module."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self.function = function

    def forward(self, *inputs: Any) -> Any:
        return self.function(*inputs)


@dataclass
class _Task:
    """One check: a copy in double precision, and what it is checked with."""

    model: nn.Module
    loss: Loss
    inputs: Any
    targets: Any
    penalty: Penalty | None
    dimensions: int
    step_size: float
    seed: int
    device: torch.device

    def __post_init__(self) -> None:
        parts = [part for part in (self.model, self.loss) if isinstance(part, nn.Module)]
        self.replay = Replay(parts, self.seed, self.device)
        self.arguments = self.inputs if isinstance(self.inputs, tuple) else (self.inputs,)
        self.tensors = {n: p for n, p in self.model.named_parameters() if p.requires_grad}
        if isinstance(self.model, _Called):
            self.tensors = {
                f"input {place}": tensor.requires_grad_()
                for place, tensor in enumerate(self.arguments)
                if tensor.is_floating_point()
            }
        if not self.tensors:
            raise ModelError(
                "no parameter has a gradient", remedy="Set requires_grad of what is to be trained"
            )

    def report(self) -> GradientReport:
        """What is found."""
        allowed = allowed_error(sum(1 for p in self.model.parameters() if p.ndim > 1))
        gradients = self._examine(self._data_loss, allowed)
        wrong = [gradient for gradient in gradients if gradient.outcome == "differs"]
        findings = self._explain(wrong, allowed)
        penalties: tuple[GradientOf, ...] = ()
        if self.penalty is not None:
            penalty = self.penalty
            penalties = self._examine(lambda: penalty(self.model), allowed)
            findings += explain_penalty([g for g in penalties if g.outcome == "differs"], allowed)
        return GradientReport(gradients, penalties, tuple(findings), allowed)

    def _data_loss(self) -> Tensor:
        self.replay.rewind()
        return self.loss(self.model(*self.arguments), self.targets)

    def _examine(self, compute: Callable[[], Tensor], allowed: float) -> tuple[GradientOf, ...]:
        problem = Problem(self.tensors, compute)
        return examine(Comparer(problem, self.step_size, self.seed), self.dimensions, allowed)

    def _explain(self, wrong: Sequence[GradientOf], allowed: float) -> list[Any]:
        """Findings: of what is wrong, and of custom functions that no parameter tells of."""
        self.replay.rewind()
        calls = record_calls(
            self.model, self.arguments, lambda outputs: self.loss(outputs, self.targets)
        )
        suspects = [call for call in calls if call.functions or (wrong and is_own_code(call))]
        culprits = find_culprits(suspects, self.replay, allowed, self.step_size, self.seed)
        turns = {call.name: turn for turn, call in enumerate(calls)}
        places = {name: self._place(name, turns) for name in self.tensors}
        return explain_wrong(wrong, culprits, places, turns, allowed)

    def _place(self, name: str, turns: dict[str, int]) -> Place:
        owner = name.rpartition(".")[0] if name in dict(self.model.named_parameters()) else ""
        return Place(
            name, owner, type(self.model.get_submodule(owner)).__name__, turns.get(owner, -1)
        )


@contextlib.contextmanager
def _in_double(replay: Replay, device: torch.device):
    with replay.running(), torch.autocast(device.type, enabled=False), InDouble():
        yield


def _take(batch: tuple[Any, Any], examples: int) -> tuple[Any, Any]:
    inputs, targets = batch
    if isinstance(inputs, tuple | list):
        return tuple(part[:examples] for part in inputs), targets[:examples]
    return inputs[:examples], targets[:examples]


def _device_of(module: nn.Module, batch: tuple[Any, Any]) -> torch.device:
    tensors = [*module.parameters(), *tensors_in(batch).values()]
    return tensors[0].device if tensors else torch.device("cpu")


def _copy_loss(loss: Loss) -> Loss:
    return copy_module(loss) if isinstance(loss, nn.Module) else loss


def _burn_in(
    model: nn.Module, loss: Loss, batch: tuple[Any, Any], penalty: Penalty | None, steps: int
) -> None:
    parameters = [p for p in model.parameters() if p.requires_grad]
    if not parameters or not steps:
        return
    inputs, targets = batch
    before = [parameter.detach().clone() for parameter in parameters]
    optimizer = torch.optim.Adam(parameters, lr=BURN_IN_RATE)
    try:
        with torch.enable_grad():
            for _ in range(steps):
                outputs = model(*inputs) if isinstance(inputs, tuple) else model(inputs)
                value = loss(outputs, targets)
                if penalty is not None:
                    value = value + penalty(model)
                optimizer.zero_grad()
                if value.requires_grad:
                    # Adam cannot tell gradients below 1e-8 from zero: the loss is scaled to one.
                    (value / value.detach().abs().clamp(min=1e-30)).backward()
                optimizer.step()
    except Exception as error:
        raise ModelError(
            f"the model or its loss fails: {first_line(error)}",
            remedy="Give a batch and a loss that the model can be trained with",
        ) from error
    optimizer.zero_grad()
    if not all(bool(torch.isfinite(parameter).all()) for parameter in parameters):
        with torch.no_grad():
            for parameter, value in zip(parameters, before, strict=True):
                parameter.copy_(value)
