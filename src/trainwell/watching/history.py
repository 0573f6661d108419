"""All that was read of a training so far: what the rules look at."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from trainwell.tracing.origin import Origin
from trainwell.watching.data_facts import DataFacts
from trainwell.watching.facts import Facts
from trainwell.watching.growth import Growth
from trainwell.watching.loss_graph import LossGraph
from trainwell.watching.probing import Probe
from trainwell.watching.readings import EpochReading, OutputReading, Reading, UnitReading
from trainwell.watching.trend import Trend, measure_trend


@dataclass(frozen=True)
class Modes:
    """In which mode the model was called.

    Attributes:
        steps: Updates seen.
        steps_in_eval: Updates whose forward pass ran with the whole model in evaluation mode.
        passes_in_eval: Forward passes without gradients in evaluation mode.
        passes_in_training: Forward passes without gradients in training mode.
        occasions: Updates after which such passes were made.
        updates_read: Updates of the optimiser on the steps that were read.
        passes_per_update: Forward passes with gradients for each update of the optimiser.
        relapses: Occasions on which a pass in evaluation mode of other examples went before.
        traced: Occasions on which a pass was recorded for good in training mode.
        updates: Of the optimiser, so far; 0 where it does not tell.
        since_update: Steps told since the last of them.
        longest_wait: The most steps told between two of them.
        piled_up: Backward passes since then, of those looked at, that added to what was there.
    """

    steps: int = 0
    steps_in_eval: int = 0
    passes_in_eval: int = 0
    passes_in_training: int = 0
    occasions: int = 0
    updates_read: int = 0
    passes_per_update: float = 1.0
    relapses: int = 0
    traced: int = 0
    updates: int = 0
    since_update: int = 0
    longest_wait: int = 0
    piled_up: int = 0


@dataclass(frozen=True)
class NanOrigin:
    """Where the first value that is not finite came from.

    Attributes:
        step: Whose loss was the first that was not finite, from 0.
        origin: The first operation, parameter or part of the batch; None where unknown.
        spoilt_at: Step whose backward pass spoilt the weights; None where the forward pass did.
        spoilt: Names of the parameters whose gradients were not finite there.
        growth: Of the loss before, where it was growing weights that overflowed.
    """

    step: int
    origin: Origin | None = None
    spoilt_at: int | None = None
    spoilt: tuple[str, ...] = ()
    growth: Growth | None = None

    @property
    def is_fault(self) -> bool:
        """Whether something in code or data is known to be the cause, not how training went."""
        known = self.origin is not None and self.origin.kind != "weights"
        return known and self.growth is None


@dataclass(frozen=True)
class History:
    """Readings and facts of one training.

    Attributes:
        facts: What holds for the whole training.
        losses: `(step, loss)`, thinned out evenly when they become many.
        rates: `(step, learning rate)`, the same steps.
        readings: In order.
        windows: Units of each window, in order.
        epochs: In order.
        modes: Counts of forward passes.
        graph: What the loss is made of; None where its graph was not seen.
        data: What the data given or seen says; None when it was not looked at.
        probe: What extra passes on a copy said; None when none were made.
        nan: Set when the loss was not finite.
        eval_inputs: `(mean, standard deviation)` of inputs of passes without gradients.
        called: Layers with weights whose forward pass ran with gradients.
        detached: Layers after which a tensor was cut from its graph.
        straight_through: Whether a difference was, as in a straight-through estimator.
        repeated_cuts: How often in one pass that happened after the same layer, to what the next
            weights got.
        made_anew: Parameters of the first losses that belong to nobody and were gone later.
        lines: Of the user's code, by kind and layer; see `sources`.
        initial_rate: The learning rate that a scheduler started from; not-a-number without one.
        top_rate: What a one-cycle schedule is to rise to; not-a-number without one.
        one_schedule: Whether all groups have the same share of the rate that they began with.
        hidden: Attributes with parameters that got a gradient, but of which neither model nor
            optimiser knows.
    """

    facts: Facts
    losses: Sequence[tuple[int, float]] = ()
    rates: Sequence[tuple[int, float]] = ()
    readings: Sequence[Reading] = ()
    windows: Sequence[Sequence[UnitReading]] = ()
    epochs: Sequence[EpochReading] = ()
    modes: Modes = field(default_factory=Modes)
    graph: LossGraph | None = None
    data: DataFacts | None = None
    probe: Probe | None = None
    nan: NanOrigin | None = None
    eval_inputs: Sequence[tuple[float, float]] = ()
    called: frozenset[str] = frozenset()
    detached: tuple[str, ...] = ()
    straight_through: bool = False
    repeated_cuts: int = 0
    made_anew: int = 0
    lines: Mapping[tuple[str, str], str] = field(default_factory=dict[tuple[str, str], str])
    hidden: tuple[str, ...] = ()
    initial_rate: float = math.nan
    top_rate: float = math.nan
    one_schedule: bool = True

    @property
    def step(self) -> int:
        """Of the last loss, from 0; −1 before the first."""
        return self.losses[-1][0] if self.losses else -1

    @property
    def diverged(self) -> bool:
        """Whether the loss was not finite, for no fault in code or data that is known."""
        return self.trend.broken and not (self.nan is not None and self.nan.is_fault)

    @cached_property
    def trend(self) -> Trend:
        """Of the losses; where several are added up, its level is that of the outputs alone."""
        trend = measure_trend([loss for _, loss in self.losses], self.chance)
        known = [o.standard_loss for o in self.late_outputs() if math.isfinite(o.standard_loss)]
        several = self.graph is not None and self.graph.losses > 1
        if not (several and known and self._standard_chance > 0):
            return trend
        return replace(trend, level=statistics.median(known) / self._standard_chance)

    @cached_property
    def outputs(self) -> list[OutputReading]:
        """Output readings with finite outputs, in order."""
        found = [r.outputs for r in self.readings if r.outputs is not None]
        return [o for o in found if math.isfinite(o.minimum) and math.isfinite(o.maximum)]

    @cached_property
    def zero_at_start(self) -> frozenset[str]:
        """Parameters whose values were all zero when they were first read."""
        first = self.readings[0].parameters if self.readings else ()
        return frozenset(p.name for p in first if p.weight == 0)

    @cached_property
    def class_counts(self) -> list[float]:
        """Examples of each class over all readings; empty for regressions."""
        return _add(o.target_counts for o in self.outputs)

    @cached_property
    def is_classification(self) -> bool:
        """Whether classes are predicted, as far as can be told."""
        if self.facts.task:
            return self.facts.task in ("multiclass", "binary")
        if self.graph is not None and self.graph.is_classification:
            return True
        return bool(self.class_counts)

    @cached_property
    def chance(self) -> float:
        """Loss of the best constant prediction; not-a-number where unknown.

        The entropy of the classes for a cross-entropy, the variance of the targets for squared
        error; times what this loss is of the standard one at first, for one that is weighted or
        summed up.
        """
        return self._standard_chance * self.loss_factor

    @cached_property
    def loss_factor(self) -> float:
        """The loss over the mean standard loss on the first readings; 1 where unknown.

        Of a loss that something is added to, such as a penalty, the factor of its gradient: what is
        added is no part of it.
        """
        scales = sorted(o.scale for o in self.outputs[:4] if o.scale > 0)
        if scales and self.graph is not None and "add" in self.graph.around:
            return scales[len(scales) // 2]
        losses = dict(self.losses)
        factors = [
            losses[r.step] / r.outputs.standard_loss
            for r in self.readings[:4]
            if r.outputs is not None and r.step in losses and r.outputs.standard_loss > 0
        ]
        finite = sorted(f for f in factors if math.isfinite(f) and f > 0)
        return finite[len(finite) // 2] if finite else 1.0

    @cached_property
    def _standard_chance(self) -> float:
        graph = self.graph
        counts = self.class_counts
        kind = graph.kind if graph is not None else _guess_kind(self.facts.loss_name)
        if kind in ("cross_entropy", "nll", "bce", "bce_logits", "custom_cross_entropy"):
            if len(counts) > 1 and sum(counts) > 0:
                return _entropy(counts)
            if graph is not None and graph.far:
                return math.nan
            columns = max((o.columns for o in self.outputs), default=0)
            if kind in ("bce", "bce_logits"):
                return math.log(2)
            return math.log(columns) if columns > 1 else math.nan
        if kind == "mse":
            known = [o for o in self.outputs if math.isfinite(o.target_std)]
            if known:
                mean = sum(o.target_mean for o in known) / len(known)
                square = sum(o.target_std**2 + o.target_mean**2 for o in known) / len(known)
                return max(square - mean**2, 0.0) or math.nan
        return math.nan

    def late_outputs(self, count: int = 6) -> list[OutputReading]:
        """The last output readings."""
        return self.outputs[-count:]


def _guess_kind(name: str) -> str:
    plain = name.lower().replace("_", "")
    for pattern, kind in (
        ("bcewithlogits", "bce_logits"),
        ("binarycrossentropywithlogits", "bce_logits"),
        ("bceloss", "bce"),
        ("binarycrossentropy", "bce"),
        ("crossentropy", "cross_entropy"),
        ("nll", "nll"),
        ("mse", "mse"),
    ):
        if pattern in plain:
            return kind
    return ""


def _entropy(counts: Sequence[float]) -> float:
    total = sum(counts)
    return -sum(c / total * math.log(c / total) for c in counts if c > 0) or math.nan


def _add(rows: Iterable[Sequence[float]]) -> list[float]:
    total: list[float] = []
    for row in rows:
        if len(row) > len(total):
            total += [0.0] * (len(row) - len(total))
        for k, value in enumerate(row):
            total[k] += value
    return total
