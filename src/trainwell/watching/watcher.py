"""Watches any PyTorch training and names what is wrong with it, the root cause first."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from trainwell.errors import ModelError
from trainwell.findings import Finding
from trainwell.tracing.tensors import first_tensor
from trainwell.watching.activations import ForwardProbe
from trainwell.watching.announcing import Announcer, print_finding
from trainwell.watching.assemble import assemble
from trainwell.watching.batch_reader import BatchReader
from trainwell.watching.batch_ring import BatchRing
from trainwell.watching.budget import Budget
from trainwell.watching.causes import rank
from trainwell.watching.examples import Examples
from trainwell.watching.facts import Facts, collect_facts
from trainwell.watching.guard import Guard
from trainwell.watching.hidden_modules import find_hidden
from trainwell.watching.history import History, Modes, NanOrigin
from trainwell.watching.ledger import Ledger
from trainwell.watching.made_anew import MadeAnew
from trainwell.watching.nan_origin import Broken, find_nan_origin
from trainwell.watching.passes import HookedPasses, Passes, RepeatedPasses, runs_compiled
from trainwell.watching.probing import Probe, probe
from trainwell.watching.rates import (
    has_one_schedule,
    read_initial_rate,
    read_rate,
    read_top_rate,
)
from trainwell.watching.readings import EpochReading
from trainwell.watching.recorder import Recorder
from trainwell.watching.rules import judge
from trainwell.watching.snapshots import Snapshots
from trainwell.watching.undisturbed import copy_loss, untouched_randomness
from trainwell.watching.updates import UpdateProbe

PATIENCE = 64
"""Calls of `step` to wait for an update of the optimiser, as with accumulated gradients."""


class Watcher:
    """Reads a training while it runs and judges it; changes nothing of it.

    Weights, gradients, modes, buffers and random numbers are what they are without it. A reading
    that fails on an odd model is given up with one warning; the training goes on.

    Args:
        model: Any module.
        optimizer: Any optimiser of torch.
        loss_fn: Called with outputs and targets.
        train: Training data as `(X, y)`, or a dataset.
        valid: Validation data, likewise.
        task: `"multiclass"`, `"binary"`, `"regression"` or `"reconstruction"`.
        check: A report of the checks before training; its findings are folded in.
        on_finding: Told of each kind of finding once. None: one line on standard error.
        budget: Of time; 3 % by default.
        is_compiled: Whether the model runs as compiled code; None: as the model itself says.

    Attributes:
        budget: What watching may cost and has cost.
    """

    def __init__(
        self,
        model: nn.Module,
        optimizer: Any,
        loss_fn: Callable[..., Any] | None = None,
        train: Any = None,
        valid: Any = None,
        task: str | None = None,
        check: Any = None,
        *,
        on_finding: Callable[[Finding], object] | None = None,
        budget: Budget | None = None,
        is_compiled: bool | None = None,
    ) -> None:
        self.budget = budget or Budget()
        self._model, self._optimizer, self._loss_fn = model, optimizer, loss_fn
        self._check = check
        self._facts: Facts = collect_facts(model, optimizer, loss_fn, task)
        self._ledger, self._guard = Ledger(), Guard()
        self._forward = ForwardProbe(model, self._ledger)
        self._updates = UpdateProbe(model, optimizer, self._ledger, self._guard)
        self._recorder = Recorder()
        self._examples = Examples(train, valid)
        self._batches = BatchReader(
            self._ledger, self._guard, self._examples, self._facts.recurrent
        )
        self._made_anew = MadeAnew(model, optimizer)
        self._announcer = Announcer(on_finding or print_finding, self._guard)
        self._nan: NanOrigin | None = None
        self._snapshots = Snapshots(model)
        self._ring = BatchRing()
        self._judged: tuple[int, list[Finding]] | None = None
        self._judging_cost = 0.002
        self._count = self._first = self._waited = 0
        self._window = 16
        self._losses: list[Any] = []
        self._rates: list[float] = []
        self._steps_in_eval = 0
        self._armed = False
        self._updates_seen = self._update_count = 0
        self._updated_at = self._longest_wait = self._piled_up = 0
        self._passes: Passes = HookedPasses(model, self._forward, self._guard)
        if runs_compiled(model) if is_compiled is None else is_compiled:
            self._repeat_passes()
        self._update_hook: Any = None
        self._attach()

    @property
    def overhead(self) -> float:
        """Time spent on watching as a share of the time spent on training."""
        return self.budget.overhead

    def step(self, loss: Any, inputs: Any = None, outputs: Any = None, targets: Any = None) -> None:
        """Tells of one step; to be called after `optimizer.step()`.

        Args:
            loss: A scalar tensor or a number.
            inputs: What the model was called with. None: as its hook saw it.
            outputs: What it gave. None: as its hook saw it.
            targets: `(N,)` or `(N, ...)`; None where there are none.

        Raises:
            ModelError: There is no loss.
        """
        if loss is None:
            raise ModelError(
                "watcher.step() got None where it takes the loss",
                remedy="Give it the loss of the step, a tensor or a number.",
            )
        number = self._count
        self._count = number + 1
        # A number that is on this side already is no wait for the device.
        value = loss
        if isinstance(loss, Tensor):
            value = loss.item() if _is_here(loss) else loss.detach()
        self._losses.append(value)
        self._rates.append(read_rate(self._optimizer))
        if not self._passes.was_training:
            self._steps_in_eval += 1
        self._ring.keep(number, self._passes.call, inputs, targets)
        broken = self._nan is None and isinstance(value, float) and not math.isfinite(value)
        if self._armed or broken or len(self._losses) >= self._window:
            with self.budget.metered():
                self._look(number, broken, loss, inputs, outputs, targets)
        reads = not self._armed and not self._guard.has_given_up("readings")
        if reads and self.budget.wants_reading(self._count):
            with self.budget.metered():
                self._arm()

    def _look(
        self, number: int, broken: bool, loss: Any, inputs: Any, outputs: Any, targets: Any
    ) -> None:
        """What is not done on every step."""
        if self._armed:
            self._guard("readings", self._collect, loss, inputs, outputs, targets)
            if self._guard.has_given_up("readings"):
                self._disarm()
        if broken:
            self._flush()
            self._guard("the origin of the NaN", self._trace_nan, number, loss)
        elif len(self._losses) >= self._window:
            self._end_window()

    def epoch(
        self,
        train_loss: Any = None,
        train_metric: Any = None,
        valid_loss: Any = None,
        valid_metric: Any = None,
    ) -> None:
        """Tells of the end of an epoch; all numbers are optional.

        Args:
            train_loss: Mean over the epoch.
            train_metric: Such as the accuracy, from 0 to 1.
            valid_loss: After the epoch.
            valid_metric: Likewise.
        """
        told = {
            "train_loss": train_loss,
            "train_metric": train_metric,
            "valid_loss": valid_loss,
            "valid_metric": valid_metric,
        }
        values = {name: float(value) for name, value in told.items() if value is not None}
        self._recorder.epochs.append(EpochReading(self._count, values))

    def findings(self) -> list[Finding]:
        """What is wrong, most likely root cause first; empty when nothing is."""
        key = self._count + len(self._recorder.epochs)
        if self._judged is None or self._judged[0] != key:
            with self.budget.metered():
                self._flush()
                probed = self._guard("extra passes", self._probe)
                given = list(getattr(self._check, "findings", None) or [])
                self._judged = key, rank(judge(self._history(probed)), given)
        return list(self._judged[1])

    def detach(self) -> None:
        """Takes all hooks away; `findings` still answers."""
        self._disarm()
        self._passes.detach()
        if self._update_hook is not None:
            self._update_hook.remove()
            self._update_hook = None
        self._updates.forget()

    def __enter__(self) -> Watcher:
        return self

    def __exit__(self, *error: object) -> None:
        self.detach()

    def __deepcopy__(self, memo: object) -> Watcher:
        return self

    def _repeat_passes(self) -> None:
        """The layers are seen in passes of the watcher's own from now on."""
        self._passes.detach()
        self._passes = RepeatedPasses(self._model, self._forward, self._guard, self._loss_fn)

    def _attach(self) -> None:
        if self._updates.can_wait:
            self._update_hook = self._optimizer.register_step_post_hook(self._after_update)
        self._guard("snapshots", self._snapshots.take)
        if self.budget.wants_reading(0):
            self._arm()

    def _after_update(self, optimizer: Any, args: Any, kwargs: Any) -> None:
        self._passes.is_fresh = True
        self._update_count += 1
        self._longest_wait = max(self._longest_wait, self._count + 1 - self._updated_at)
        self._updated_at, self._piled_up = self._count + 1, 0

    # Readings

    def _arm(self) -> None:
        self._armed, self._waited = True, 0
        self._passes.arm(self._count)
        self._guard("updates", self._updates.arm, self._count, self._passes.is_fresh)

    def _disarm(self) -> None:
        self._armed = False
        self._passes.disarm()
        self._updates.disarm()

    def _collect(self, loss: Any, inputs: Any, outputs: Any, targets: Any) -> None:
        start = self.budget.meter()
        self._waited += 1
        if not self._updates.updates and self._waited < PATIENCE and self._updates.can_wait:
            return
        if not self._passes.hears:
            self._repeat_passes()
        self._passes.look(inputs, outputs, targets)
        try:
            self._read_batch(loss, inputs, outputs, targets)
        finally:
            inside = self._forward.spent + self._updates.spent
            self._forward.spent = self._updates.spent = 0.0
            self.budget.spent += inside
            self._disarm()
            self.budget.note_reading(inside + self.budget.meter() - start)

    def _read_batch(self, loss: Any, inputs: Any, outputs: Any, targets: Any) -> None:
        step = self._updates.step
        self._updates_seen += self._updates.updates
        if not self._updates.updates:
            self._piled_up = max(self._piled_up, self._updates.count_kept())
        kept = self._updates.kept_gradient()
        if kept is not None and step > 0:
            as_tensor = kept if isinstance(kept, Tensor) else torch.tensor(float(kept))
            self._ledger.put(step, "kept", (as_tensor,))
        self._guard("layers made in the pass", self._made_anew.look, loss)
        self._batches.read(step, self._passes.call, loss, inputs, outputs, targets)
        if self._batches.count % 4 == 1:
            self._guard("snapshots", self._snapshots.take)

    # Windows

    def _flush(self) -> None:
        """Brings over what has been read since the last window."""
        losses, self._losses = self._losses, []
        rates, self._rates = self._rates, []
        broken = self._recorder.add_losses(self._first, losses, rates)
        if broken is None:
            self._snapshots.approve()
        self._first = self._count
        self._window = min(max(48, self._count // 8), 2000)
        self._guard("validation inputs", self._read_validation)
        if len(self._ledger):
            readings = assemble(
                self._ledger.take(), self._updates.tracked, self._updates.without_gradient
            )
            units = self._guard("units", self._forward.take_units) or []
            self._recorder.add_readings(readings, units)

    def _read_validation(self) -> None:
        """Scale of what the model saw in a pass without gradients."""
        args, self._passes.evaluated = self._passes.evaluated, None
        values = first_tensor(args)
        if values is not None and values.is_floating_point():
            self._recorder.add_evaluation(values)

    def _end_window(self) -> None:
        if not self.budget.affords(self._judging_cost):
            self._window = len(self._losses) + 16  # asking on every step would cost more
            return
        start = self.budget.meter()
        self._flush()
        losses = self._recorder.losses
        if self._nan is None and losses and not math.isfinite(losses[-1][1]):
            broken = next(step for step, loss in losses if not math.isfinite(loss))
            self._guard("the origin of the NaN", self._trace_nan, broken, None)
        self._announcer.announce(rank(judge(self._history(None)), ()))
        self._judging_cost = self.budget.meter() - start

    def _trace_nan(self, step: int, loss: Any) -> None:
        self._nan = NanOrigin(step)
        self._nan = find_nan_origin(
            Broken(
                model=self._model,
                optimizer=self._optimizer,
                loss_fn=copy_loss(self._loss_fn),
                batches=list(self._ring.newest_first()),
                state=self._snapshots.newest_whole(),
                step=step,
                loss=loss,
                losses=self._recorder.losses,
                rates=self._recorder.rates,
                first_sizes=self._facts.first_sizes,
            )
        )
        self._announcer.announce(rank(judge(self._history(None)), ()), at_once=True)

    def _history(self, probed: Probe | None) -> History:
        recorder, counts = self._recorder, self._passes.counts
        graph = self._batches.graph
        classes = graph.is_classification if graph else None
        return History(
            facts=self._facts,
            losses=recorder.losses,
            rates=recorder.rates,
            readings=recorder.readings,
            windows=recorder.windows,
            epochs=recorder.epochs,
            modes=Modes(
                steps=self._count,
                steps_in_eval=self._steps_in_eval,
                passes_in_eval=counts.in_evaluation,
                passes_in_training=counts.in_training,
                occasions=counts.occasions,
                updates_read=self._updates_seen if self._updates.can_wait else self._count,
                passes_per_update=counts.per_update(self._update_count),
                relapses=counts.relapses,
                traced=counts.traced,
                updates=self._update_count,
                since_update=self._count - self._updated_at if self._update_count else 0,
                longest_wait=self._longest_wait,
                piled_up=self._piled_up,
            ),
            graph=graph,
            data=self._guard("data", self._examples.look, self._facts.task, classes),
            probe=probed,
            nan=self._nan,
            eval_inputs=recorder.eval_inputs,
            called=frozenset(self._forward.called),
            detached=tuple(self._forward.detached),
            straight_through=self._forward.straight_through,
            repeated_cuts=self._forward.repeated_cuts,
            made_anew=self._made_anew.count,
            lines=self._forward.lines,
            initial_rate=read_initial_rate(self._optimizer),
            top_rate=read_top_rate(self._optimizer),
            one_schedule=has_one_schedule(self._optimizer),
            hidden=self._guard(
                "hidden layers", find_hidden, self._model, self._optimizer, self._passes.call.args
            )
            or (),
        )

    def _probe(self) -> Probe:
        graph = self._batches.graph
        custom = bool(graph is not None and graph.custom) or bool(self._forward.detached)
        kind = graph.kind if graph is not None else ""
        with untouched_randomness():
            return probe(
                self._model,
                kind,
                self._examples.seen(),
                self._examples.as_seen(),
                self._loss_fn,
                check_gradient=custom,
                recurrent=self._facts.recurrent,
            )


def _is_here(loss: Tensor) -> bool:
    return loss.device.type == "cpu" and loss.numel() == 1
