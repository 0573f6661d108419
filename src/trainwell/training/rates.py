"""The learning rate of a whole training, known before its first update."""

from __future__ import annotations

from dataclasses import dataclass

from trainwell.optim.schedules import Plateau, build_schedule
from trainwell.training.recipe import Recipe
from trainwell.training.step import RatePlan

ADVISED_DECAY = 100
NEARLY_ADVISED = 0.9
"""An end at a hundredth is not quite reached by the last update."""
MOST_POINTS = 400


@dataclass(frozen=True)
class RateForecast:
    """What the rate will do.

    Attributes:
        points: Number of an update (from 1) and its rate, from the first update to the last.
        follows: What the rate follows where it cannot be planned: a sentence; empty where it can.
    """

    points: tuple[tuple[int, float], ...]
    follows: str = ""

    @property
    def start(self) -> float:
        """Rate of the first update."""
        return self.points[0][1]

    @property
    def highest(self) -> float:
        """Highest rate."""
        return max(rate for _, rate in self.points)

    @property
    def final(self) -> float:
        """Rate of the last update."""
        return self.points[-1][1]

    def describe_decay(self) -> str:
        """A sentence on how far the rate falls; the lectures advise a factor of about 100."""
        if self.follows:
            return self.follows
        if self.final == 0:
            return "The learning rate decays to zero by the end."
        factor = self.highest / self.final
        advice = f"; about {ADVISED_DECAY} or more is advised"
        shown = f"{factor:,.0f}" if factor >= ADVISED_DECAY else f"{factor:.3g}"
        enough = factor >= NEARLY_ADVISED * ADVISED_DECAY
        return (
            f"The learning rate decays by a factor of {shown} by the end{'' if enough else advice}."
        )


def plan_rates(recipe: Recipe, steps_per_epoch: int) -> RatePlan:
    """The rate of every update of a training.

    Args:
        recipe: Complete.
        steps_per_epoch: Updates in an epoch.
    """
    assert recipe.learning_rate and recipe.epochs and recipe.schedule is not None
    return RatePlan(
        recipe.learning_rate,
        build_schedule(recipe.schedule),
        recipe.warmup or 0.0,
        total_steps=recipe.epochs * steps_per_epoch,
        layer_decay=recipe.layer_decay or 1.0,
        unfreeze_steps=(recipe.unfreeze_every or 0) * steps_per_epoch or None,
        hold_steps=steps_per_epoch if recipe.schedule_unit == "epoch" else 1,
    )


def forecast_rates(recipe: Recipe, steps_per_epoch: int) -> RateForecast:
    """What the rate will do, as far as it can be known.

    Args:
        recipe: Complete.
        steps_per_epoch: Updates in an epoch.
    """
    plan = plan_rates(recipe, steps_per_epoch)
    points = tuple((step + 1, plan.at(step)) for step in _choose_steps(plan))
    if not isinstance(plan.schedule, Plateau):
        return RateForecast(points)
    follows = (
        f"The learning rate is multiplied by {plan.schedule.factor:g} whenever the validation "
        "loss has stopped falling, so how far it decays is not known before."
    )
    return RateForecast(points, follows)


def _choose_steps(plan: RatePlan) -> list[int]:
    """At most about `MOST_POINTS` updates, among them the first, the last and the warm-up's end."""
    last = plan.total_steps - 1
    count = min(MOST_POINTS, plan.total_steps)
    spread = {round(i * last / max(1, count - 1)) for i in range(count)}
    end_of_warmup = min(last, round(plan.warmup * plan.total_steps))
    return sorted(spread | {end_of_warmup})
