"""Wires one training: from a recipe, a model and data to a loop that can run and be resumed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import nn

from trainwell.data.augment import compose
from trainwell.data.batches import Batch, Batches, open_reader
from trainwell.data.dataset import Dataset, Split
from trainwell.errors import (
    NonFiniteError,
)
from trainwell.nn.losses import Loss
from trainwell.nn.objective import make_objective
from trainwell.optim.averaging import WeightAverage, build_averaging, has_batch_norm
from trainwell.optim.optimizers import build_optimizer, find_optimizer
from trainwell.optim.penalties import Penalty, multiplying
from trainwell.optim.schedules import Plateau, build_schedule
from trainwell.training.dropout_plan import DropoutPlan
from trainwell.training.early_stop import EarlyStop
from trainwell.training.evaluation import Evaluator
from trainwell.training.loop import Loop, NonFiniteStep, Recorder
from trainwell.training.metrics import Totals
from trainwell.training.nonfinite import explain_non_finite
from trainwell.training.observer import Observer
from trainwell.training.precision import Resolved
from trainwell.training.randomness import RunRandomness
from trainwell.training.rates import plan_rates
from trainwell.training.recipe import Recipe, micro_batch_of
from trainwell.training.searching_step import SearchingStep
from trainwell.training.selection import Selection
from trainwell.training.signals import StopRequest
from trainwell.training.state import (
    ModuleState,
    OptimizerState,
    Position,
    ScalerState,
    Stateful,
    TotalsState,
    TrainingState,
)
from trainwell.training.step import TrainingStep
from trainwell.training.transfer import depths_from_output

EVALUATION_BATCH = 256


@dataclass(frozen=True)
class Setting:
    """What a training is made of.

    Attributes:
        recipe: Complete.
        model: On the device.
        data: Fits the model.
        loss: Mean over a batch.
        resolved: Precision, memory layout, and whether the model is compiled.
        device: Where it runs.
        own_loss: The loss as the user gave it; None: that of the task.
    """

    recipe: Recipe
    model: nn.Module
    data: Dataset
    loss: Loss
    resolved: Resolved
    device: torch.device
    own_loss: Loss | None = None

    def batches(self, split: Split, *, train: bool) -> Batches:
        """The batches of a split, shuffled and augmented for the training."""
        recipe, micro_batch = self.recipe, micro_batch_of(self.recipe)
        size = micro_batch * recipe.accumulate if train else max(micro_batch, EVALUATION_BATCH)
        return Batches(
            open_reader(split, self.device, recipe.seed, recipe.workers),
            count=len(split),
            size=min(size, len(split)),
            preprocess=self.data.preprocess.to(self.device),
            device=self.device,
            augment=compose(recipe.augment or ()) if train else None,
            mixup=recipe.mixup if train else None,
            shuffle_seed=recipe.seed if train else None,
            merge_single=train and has_batch_norm(self.model),
            memory_format=self.resolved.layout,
            reconstructs=self.data.task == "reconstruction",
        )

    def evaluator(self, split: Split, should_stop: Callable[[], bool] = lambda: False) -> Evaluator:
        """Measures a model on a split."""
        return Evaluator(
            self.data.task,
            self.batches(split, train=False),
            split.targets,
            self.loss,
            self.data.preprocess,
            lambda: self.resolved.context(self.device),
            should_stop,
        )


@dataclass
class Session:
    """A training that can run: its loop, the state that is saved, and what it is made of."""

    setting: Setting
    loop: Loop
    state: TrainingState
    randomness: RunRandomness

    @classmethod
    def open(
        cls,
        setting: Setting,
        stop: StopRequest,
        recorder_of: Callable[[TrainingState, Position], Recorder],
        observers: Sequence[Observer],
    ) -> Session:
        """Builds every part at its start.

        Args:
            setting: What the training is made of.
            stop: Raised by signals.
            recorder_of: Makes the recorder once the state exists.
            observers: Told of every reading.
        """
        recipe, data, device = setting.recipe, setting.data, setting.device
        batches = setting.batches(data.train, train=True)
        average = None
        if recipe.average is not None:
            average = build_averaging(recipe.average)(setting.model, recipe.epochs or 0)
        step = build_step(setting, len(batches), average)
        epoch_totals = Totals(data.task, device)
        position, early_stop = Position(), EarlyStop(recipe.early_stop)
        selection = Selection(
            setting.model,
            average,
            early_stop,
            setting.evaluator(data.valid, lambda: stop.is_raised),
            batches,
            lambda: setting.resolved.context(device),
        )
        randomness = RunRandomness(recipe.seed, device)
        parts: dict[str, Stateful] = {
            "weights": ModuleState(setting.model),
            "optimizer": OptimizerState(step.optimizer),
            "position": position,
            "window": TotalsState(step.totals),
            "epoch": TotalsState(epoch_totals),
            "early_stop": early_stop,
            "randomness": randomness,
        }
        if average is not None:
            parts |= {"average": average, "selection": selection}
        if isinstance(step.rates.schedule, Plateau):
            parts["schedule"] = step.rates.schedule
        if step.scaler is not None:
            parts["scaler"] = ScalerState(step.scaler)
        state = TrainingState(parts)
        loop = Loop(
            recipe=recipe,
            model=setting.model,
            batches=batches,
            selection=selection,
            step=step,
            position=position,
            window=step.totals,
            epoch=epoch_totals,
            early_stop=early_stop,
            dropout=plan_dropout(setting),
            recorder=recorder_of(state, position),
            stop=stop,
            observers=observers,
        )
        return cls(setting, loop, state, randomness)

    def train(self) -> str:
        """Runs the loop; says why it ended.

        Raises:
            NonFiniteError: A loss or gradient was not finite; names step, batch and rows.
        """
        try:
            return self.loop.train()
        except NonFiniteStep as refused:
            raise self._explain(refused) from None
        finally:
            if self.loop.dropout is not None:
                self.loop.dropout.restore()

    def _explain(self, refused: NonFiniteStep) -> NonFiniteError:
        batches, split = self.loop.batches, self.setting.data.train
        positions = batches.positions(refused.epoch)[refused.batch]
        batch: Batch = next(iter(batches.read(refused.epoch, first=refused.batch)))
        return explain_non_finite(
            self.setting.model,
            self.setting.loss,
            batch,
            split.ids[positions],
            self.setting.resolved.context(self.setting.device),
            step=refused.step,
            batch_number=refused.batch + 1,
        )


def build_step(
    setting: Setting, steps_per_epoch: int, average: WeightAverage | None
) -> TrainingStep:
    """The step function of a training."""
    recipe, model = setting.recipe, setting.model
    assert recipe.optimizer and recipe.learning_rate
    uses_depth = recipe.layer_decay is not None or recipe.unfreeze_every is not None
    optimizer = build_optimizer(
        recipe.optimizer,
        model,
        learning_rate=recipe.learning_rate,
        weight_decay=recipe.weight_decay or 0.0,
        momentum=recipe.momentum,
        depths=depths_from_output(model) if uses_depth else None,
    )
    make = TrainingStep
    if find_optimizer(recipe.optimizer).kind.searches:
        make = partial(
            SearchingStep,
            weight_decay=recipe.weight_decay or 0.0,
            randomness=RunRandomness(recipe.seed, setting.device),
        )
    return make(
        model,
        make_objective(
            model,
            setting.loss,
            compiled_for=micro_batch_of(recipe) if setting.resolved.compiled else None,
        ),
        setting.loss,
        optimizer,
        plan_rates(recipe, steps_per_epoch),
        Totals(setting.data.task, setting.device),
        micro_batch=micro_batch_of(recipe),
        resolved=setting.resolved,
        clip_norm=recipe.clip_norm,
        average=average,
        penalty=plan_penalty(recipe, model),
        max_norm=recipe.max_norm,
    )


def plan_penalty(recipe: Recipe, model: nn.Module) -> Penalty | None:
    """The penalty that a recipe asks for."""
    if not (recipe.l1 or recipe.l2):
        return None
    trained = (p for p in model.parameters() if p.requires_grad)
    return Penalty(multiplying(trained), recipe.l1, recipe.l2)


def plan_dropout(setting: Setting) -> DropoutPlan | None:
    """The plan of how much is dropped that a recipe asks for."""
    recipe = setting.recipe
    if recipe.dropout_schedule is None:
        return None
    schedule = build_schedule(recipe.dropout_schedule, what="dropout_schedule")
    return DropoutPlan(setting.model, schedule, recipe.epochs or 0)
