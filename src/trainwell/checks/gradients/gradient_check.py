"""Are the gradients those of the loss? Analytic ones against centred differences."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from trainwell.checks.gradients.batch_loss import (
    BatchLoss,
    CalledModule,
    Penalty,
    copy_for_batch,
    train_briefly,
)
from trainwell.checks.gradients.central_difference import Comparer, Problem
from trainwell.checks.gradients.culprits import (
    Call,
    Cuts,
    find_culprits,
    find_functions,
    isolate,
    name_of,
    record_calls,
    tensors_in,
)
from trainwell.checks.gradients.double_precision import (
    InDouble,
    Replay,
    as_double,
    copy_module,
    make_double,
    not_compiled,
)
from trainwell.checks.gradients.findings import (
    Order,
    Place,
    explain_function,
    explain_penalty,
    explain_wrong,
)
from trainwell.checks.gradients.report import GradientOf, GradientReport, allowed_error
from trainwell.checks.gradients.search import examine
from trainwell.checks.subject import Subject
from trainwell.checks.verdict import Verdict, skip
from trainwell.errors import ModelError
from trainwell.findings import Finding
from trainwell.nn.losses import Loss
from trainwell.nn.objective import OwnObjective
from trainwell.training.randomness import RunRandomness

CHECK = "gradients"
STEP_SIZE = 1e-5
DIMENSIONS = 4
EXAMPLES = 4
BURN_IN = 5


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
    task = copy_for_batch(model, loss_fn, batch, examples)
    with RunRandomness(seed, task.device), not_compiled():
        train_briefly(task, penalty, burn_in)
    task = task.in_double()
    replay = Replay(task.modules, seed, task.device)
    comparing = Comparing(dimensions, step_size, allowed_error(count_layers(task.model)), seed)
    with in_double(replay, task.device):
        refuse_rules(task)
        gradients = compare(task.parameters, lambda: replayed(task, replay)[1], comparing)
        findings = explain(task, replay, gradients, comparing)
        penalties: tuple[GradientOf, ...] = ()
        if penalty is not None:
            penalties = compare(task.parameters, lambda: penalty(task.model), comparing)
            findings += explain_penalty(differing(penalties), comparing.allowed)
    seconds = time.monotonic() - began
    return GradientReport(gradients, penalties, tuple(findings), comparing.allowed, seconds)


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
    comparing = Comparing(dimensions, step_size, allowed_error(0), seed)
    with in_double(replay, device):
        problem = isolate(Call("", name_of(function), module, as_double(inputs), {}), replay, seed)
        gradients = compare(problem.tensors, problem.compute, comparing)
    findings = explain_function(name_of(function), differing(gradients), comparing.allowed)
    seconds = time.monotonic() - began
    return GradientReport(gradients, (), tuple(findings), comparing.allowed, seconds)


def look_at_gradients(subject: Subject) -> Sequence[Verdict]:
    """The check of the suite: the gradients of a replica of the model on a few examples."""
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


@dataclass(frozen=True)
class Comparing:
    """How gradients are compared.

    Attributes:
        dimensions: Single numbers of a tensor that are tried where they are needed.
        step_size: Of the differences, at first.
        allowed: Relative error that passes.
        seed: Of all that is drawn.
    """

    dimensions: int
    step_size: float
    allowed: float
    seed: int


def compare(
    tensors: Mapping[str, Tensor], compute: Callable[[], Tensor], comparing: Comparing
) -> tuple[GradientOf, ...]:
    """How the gradient of a function with respect to each tensor comes out.

    Raises:
        ModelError: There is no tensor, or the function cannot be evaluated soundly.
    """
    if not tensors:
        raise ModelError(
            "there is nothing with respect to which a gradient is taken",
            remedy="Set requires_grad of what is to be trained, or give floating inputs",
        )
    comparer = Comparer(Problem(tensors, compute), comparing.step_size, comparing.seed)
    return examine(comparer, comparing.dimensions, comparing.allowed)


def differing(gradients: Sequence[GradientOf]) -> list[GradientOf]:
    """Those that are wrong."""
    return [gradient for gradient in gradients if gradient.outcome == "differs"]


def explain(
    task: BatchLoss, replay: Replay, gradients: Sequence[GradientOf], comparing: Comparing
) -> list[Finding]:
    """Findings: of what is wrong, and of custom functions that no parameter tells of.

    Args:
        task: In double precision.
        replay: Of its modules.
        gradients: Of its parameters.
        comparing: How modules are compared, each by itself.
    """
    wrong = differing(gradients)
    with torch.enable_grad():
        _, value = replayed(task.with_gradient(), replay)
    if not wrong and not find_functions(value, set()):
        return []
    calls, turns = record_calls(task, replay)
    suspects = [call for call in calls if call.functions or wrong]
    culprits = find_culprits(
        suspects, replay, comparing.allowed, comparing.step_size, comparing.seed
    )
    places = {name: _place(task.model, name, turns) for name in task.parameters}
    return explain_wrong(wrong, culprits, Order(places, turns), comparing.allowed)


def replayed(task: BatchLoss, replay: Replay) -> tuple[Any, Tensor]:
    """Outputs and loss, the same each time."""
    replay.rewind()
    return task.measure()


def refuse_rules(task: BatchLoss) -> None:
    """Refuses a model with an objective of its own whose value is not what is differentiated.

    Raises:
        ModelError: It is one.
    """
    if not isinstance(task.model, OwnObjective):
        return
    with Cuts() as cuts:
        task.measure()
    if cuts.noted:
        raise ModelError(
            f"{type(task.model).__name__} follows a rule of its own, which is not the gradient of "
            "the loss that it shows"
        )


def count_layers(model: nn.Module) -> int:
    """Layers with weights."""
    return sum(1 for parameter in model.parameters() if parameter.ndim > 1)


def _place(model: nn.Module, name: str, turns: Mapping[str, int]) -> Place:
    owner = "" if isinstance(model, CalledModule) else name.rpartition(".")[0]
    return Place(name, owner, type(model.get_submodule(owner)).__name__, turns.get(owner, -1))


@contextlib.contextmanager
def in_double(replay: Replay, device: torch.device) -> Iterator[None]:
    """Within, evaluations come out alike, and in double precision whatever the code asks for."""
    with replay.running(), torch.autocast(device.type, enabled=False), InDouble():
        yield
