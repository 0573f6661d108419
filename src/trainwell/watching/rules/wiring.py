"""How loop and graph are wired: gradients that are kept, and layers that are cut off."""

from __future__ import annotations

from collections.abc import Iterable

from trainwell.findings import Finding
from trainwell.watching.history import History
from trainwell.watching.rules.evidence import skill


def judge_wiring(history: History) -> Iterable[Finding]:
    """Faults of the loop and of the graph."""
    yield from _kept_gradients(history)
    yield from _piled_up_gradients(history)
    yield from list(_cut_graph(history)) or list(_stairs(history)) or _cut_in_steps(history)


def _kept_gradients(history: History) -> Iterable[Finding]:
    seen = [r.kept_gradient for r in history.readings if r.kept_gradient is not None]
    kept = sum(seen)
    if kept >= 3 and kept >= 0.4 * len(seen):
        yield Finding(
            code="missing_zero_grad",
            severity="error",
            step=history.step,
            evidence={"steps_looked_at": len(seen), "with_old_gradient": kept},
            cause=f"On {kept} of {len(seen)} steps the gradient of the update before was still "
            "there when the backward pass began, so each update sums up the gradients of all "
            "steps before it.",
            remedy="Call optimizer.zero_grad() once before each backward pass whose gradients "
            "make an update of their own.",
            reference="Zhang et al. 2018 (TensorFlow bugs); PyTorch documentation of zero_grad",
        )


def _piled_up_gradients(history: History) -> Iterable[Finding]:
    """Updates that are skipped for good, while their gradients are not cleared."""
    modes = history.modes
    waited, updates = modes.since_update, modes.updates
    usual = (modes.steps - waited) / updates if updates else 0.0
    if modes.piled_up < 30 or updates < 10 or waited < max(60, 5 * usual, 3 * modes.longest_wait):
        return
    yield Finding(
        code="missing_zero_grad",
        severity="error",
        step=history.step,
        evidence={"steps_since_update": waited, "steps_per_update_before": usual},
        cause=f"The optimiser has made no update for {waited} steps, after {updates} updates that "
        "came more often, and each backward pass adds its gradient to those before.",
        remedy="Call optimizer.zero_grad() for a batch whose update is skipped, too.",
        reference="PyTorch documentation of zero_grad",
    )


def _cut_graph(history: History) -> Iterable[Finding]:
    readings = [r for r in history.readings if r.parameters]
    if len(readings) < 3:
        return
    trained = set(history.facts.trainable)
    without = {p.name for p in readings[-1].parameters if p.name in trained}
    for reading in readings:
        without &= {p.name for p in reading.parameters if not p.has_gradient}
    ran = [n for n in without if not history.called or _module_of(n) in history.called]
    order = [p.name for p in readings[-1].parameters if p.name in ran]
    if not order:
        return
    everything = len(without) == len(trained)
    where = order[-1]
    cut = ", ".join(repr(name) for name in history.detached if name)
    after = f" A tensor is cut from its graph after layer {cut}." if cut else ""
    yield Finding(
        code="detach_inplace",
        severity="error",
        where=where,
        step=history.step,
        evidence={"parameters_without_gradient": len(order), "trained_parameters": len(trained)},
        cause=f"{'No parameter' if everything else f'{order[0]} to {where}: no parameter'} ever "
        "gets a gradient although the layers run in the forward pass: the graph is cut between "
        f"them and the loss.{after}",
        remedy="Take detach(), .data, .item(), torch.no_grad() or the round trip through NumPy "
        "out of the way from these layers to the loss.",
        reference="PyTorch documentation, autograd mechanics",
    )


def _stairs(history: History) -> Iterable[Finding]:
    """A function whose slope is zero wherever it has one."""
    name = history.graph.stairs if history.graph is not None else ""
    rows = [p for r in history.readings for p in r.parameters if p.is_weight and p.has_gradient]
    if not name or len(rows) < 3 or sum(p.gradient == 0 for p in rows) < 0.5 * len(rows):
        return
    yield Finding(
        code="detach_inplace",
        severity="error",
        step=history.step,
        evidence={"weights_without_slope": sum(p.gradient == 0 for p in rows) / len(rows)},
        cause=f"{name}() is on the way to the loss: it is a staircase, whose slope is zero, and so "
        "are the gradients of what comes before it.",
        remedy=f"Leave {name}() out of the training, or pass its gradient straight through: "
        f"x + (x.{name}() - x).detach().",
        reference="Bengio, Léonard & Courville 2013 (straight-through estimator)",
    )


def _cut_in_steps(history: History) -> Iterable[Finding]:
    """A recurrence whose state is cut from its graph before each of its steps."""
    times = history.repeated_cuts
    if times < 4 or skill(history) > 0.95:
        return
    yield Finding(
        code="detach_inplace",
        severity="warning",
        where=", ".join(name for name in history.detached if name),
        step=history.step,
        evidence={"cuts_in_one_pass": times},
        cause=f"In one forward pass the state of a recurrent cell is cut from its graph {times} "
        "times, at most of its steps: no step learns what a later one needs.",
        remedy="Detach the state between sequences, or every few dozen steps, not at each step.",
        reference="Williams & Peng 1990 (truncated backpropagation through time)",
    )


def _module_of(parameter: str) -> str:
    return parameter.rpartition(".")[0]
