"""What suits model, data and optimiser where the recipe leaves a field open, and why."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from trainwell.data.augment import names_of
from trainwell.data.dataset import Dataset
from trainwell.models.catalogue import ModelSpec, find_entry
from trainwell.optim.optimizers import GRADIENT_DESCENT, find_optimizer
from trainwell.training.metrics import is_classification
from trainwell.training.reasons import OF_DEFAULTS, OF_MODELS, OF_OPTIMIZERS
from trainwell.training.recipe import DEFAULT_OPTIMIZER, Recipe

FEWEST_UPDATES = 500
PLENTY_OF_UPDATES = 10_000
EPOCHS = (12, 20, 100)
BATCHES = (16, 128)
BATCHES_IN_SMALL_DATA = 16
LARGE_DATA = 40_000
BATCH_OF_LARGE_DATA = 256
SMALLEST_AUGMENTED = 16
"""Side in pixels: in smaller images a pixel is too much to move by."""
INPUTS_AT_USUAL_RATE = 270
"""Of a linear model, tried with up to 27,648 inputs (`shapes`)."""
TRUE_OF_ANY_IMAGE = frozenset({"shift", "rotate", "scale", "elastic"})
"""As models ask for them, a little, these leave digits and letters what they are."""

GIVEN, DEFAULT = "given by you", "trainwell's default"
OPEN_FIELDS: Mapping[str, Any] = {
    "optimizer": "nesterov",
    "schedule": "cosine",
    "warmup": 0.05,
    "augment": (),
}
"""What fields that are None become where nothing else suits."""


@dataclass(frozen=True)
class Choice:
    """The value of a recipe field and why it has it.

    Attributes:
        value: As the complete recipe holds it.
        source: `"given by you"`, `"suits the model ..."`, `"suits data of ..."`,
            `"suits a regression"` or the like, `"usual for ..."` an optimiser, or
            `"trainwell's default"`.
        reason: One sentence.
    """

    value: Any
    source: str
    reason: str

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON types."""
        value = list(self.value) if isinstance(self.value, tuple) else self.value
        return {"value": value, "source": self.source, "reason": self.reason}


Choices = dict[str, Choice]


def complete_recipe(recipe: Recipe, data: Dataset, spec: ModelSpec | None) -> Recipe:
    """The recipe with every open field filled, as `explain_recipe` says."""
    return recipe_of(explain_recipe(recipe, data, spec))


def recipe_of(choices: Mapping[str, Choice]) -> Recipe:
    """The complete recipe that choices make."""
    return Recipe(**{name: choice.value for name, choice in choices.items()})


def explain_recipe(recipe: Recipe, data: Dataset, spec: ModelSpec | None) -> Choices:
    """The value of every recipe field, and why: for the model first, then for the data.

    Args:
        recipe: As the user gave it. A field with its default value counts as left open, since
            the two cannot be told apart.
        data: What is trained on.
        spec: Of a model of the catalogue; None for one of the user's own.
    """
    # Whatever was chosen before stays: each rule only fills what is still open.
    chosen = _keep_given(recipe)
    if spec is not None:
        chosen = _suit_model(spec, data, recipe.optimizer) | chosen
    if not is_classification(data.task):
        chosen = _suit_squared_error(chosen, data) | chosen
    chosen = {"optimizer": _use_default("optimizer")} | chosen
    chosen = _suit_optimizer(chosen["optimizer"].value, len(data.train), recipe) | chosen
    if spec is not None and find_entry(spec.name).sums_inputs:
        chosen |= _suit_inputs(chosen, data)
    chosen = _suit_batch_size(len(data.train)) | chosen
    chosen = _suit_epochs(len(data.train), chosen["batch_size"].value * recipe.accumulate) | chosen
    return {
        field.name: chosen.get(field.name) or _use_default(field.name)
        for field in dataclasses.fields(Recipe)
    }


def _fields_for_another(chosen: str | None, model: Mapping[str, Any]) -> tuple[str, ...]:
    """Fields that suit a model with the optimiser that it names, but not with the chosen one."""
    if chosen is None:
        return ()
    optimizer = find_optimizer(chosen)
    name, kind = optimizer.name, optimizer.kind
    usual = find_optimizer(model.get("optimizer", DEFAULT_OPTIMIZER)).name
    dropped: tuple[str, ...] = ()
    if name != usual and not {name, usual} <= set(GRADIENT_DESCENT):
        dropped = ("learning_rate", "momentum", "weight_decay")
    if kind.searches:
        dropped = (*dropped, "clip_norm")
    if not kind.follows_rate:
        dropped = (*dropped, "schedule", "warmup", "weight_decay")
    if kind.whole_split:
        dropped = (*dropped, "batch_size")
    return dropped


def choose_batch_size(count: int) -> int:
    """128, or a power of two that leaves about 16 batches of fewer examples.

    256 for 40,000 examples or more: an epoch still has over 150 updates, and each costs less an
    example.
    """
    if count >= LARGE_DATA:
        return BATCH_OF_LARGE_DATA
    few, many = BATCHES
    wanted = max(1, count // BATCHES_IN_SMALL_DATA)
    return min(many, max(few, 2 ** round(math.log2(wanted))))


def choose_epochs(steps_per_epoch: int) -> int:
    """20; as many more as small data needs for 500 updates, or down to 12 where 10,000 are made."""
    few, usual, many = EPOCHS
    needed = math.ceil(FEWEST_UPDATES / steps_per_epoch)
    plenty = math.ceil(PLENTY_OF_UPDATES / steps_per_epoch)
    return max(min(needed, many), min(usual, max(few, plenty)))


def _keep_given(recipe: Recipe) -> Choices:
    values = {field: getattr(recipe, field.name) for field in dataclasses.fields(Recipe)}
    return {
        field.name: Choice(value, GIVEN, "You asked for it, and that goes before everything else.")
        for field, value in values.items()
        if value is not None and value != field.default
    }


def _suit_model(spec: ModelSpec, data: Dataset, optimizer: str | None) -> Choices:
    entry = find_entry(spec.name)
    source = f"suits the model {spec.name} ({entry.source} {entry.year})"
    dropped = _fields_for_another(optimizer, entry.recipe)
    chosen = {
        name: Choice(value, source, OF_MODELS.get(name, ""))
        for name, value in entry.recipe.items()
        if name not in dropped
    }
    wished = entry.recipe.get("augment", ())
    kept = tuple(text for text in wished if _leaves_true(names_of((text,))[0], data))
    if kept != wished:
        reason = "Mirrored or cut, digits, letters and small drawings may become something else."
        chosen["augment"] = Choice(kept, f"suits the data {data.name}", reason)
    return chosen


def _leaves_true(augmentation: str, data: Dataset) -> bool:
    """Whether images stay what they are: colour photos are flipped and cropped, others are not."""
    shape = data.input_shape
    if data.kind != "image" or min(shape[1:]) < SMALLEST_AUGMENTED:
        return False
    return shape[0] == 3 or augmentation in TRUE_OF_ANY_IMAGE


def _suit_squared_error(chosen: Choices, data: Dataset) -> Choices:
    """The gradient of a squared error grows with the error, so the rate that suits a bounded
    cross-entropy gradient diverges.
    """
    source = f"suits a {data.task}"
    why = "The gradient of a squared error grows with the error"
    if "optimizer" not in chosen:
        return {
            "optimizer": Choice("adamw", source, f"{why}, and AdamW's steps do not."),
            "learning_rate": Choice(
                3e-3, source, "AdamW learns standardised values well at this rate."
            ),
        }
    optimizer = find_optimizer(chosen["optimizer"].value)
    if optimizer.name in GRADIENT_DESCENT:
        rate = optimizer.kind.learning_rate / 10
        reason = f"{why}: a tenth of the rate that is usual for {optimizer.name} stays stable."
        return {"learning_rate": Choice(rate, source, reason)}
    return {}


def _suit_inputs(chosen: Choices, data: Dataset) -> Choices:
    """A weighted sum of more inputs curves the loss more, as the sum of their squares does.

    The largest stable rate of such a model is inverse to that sum (Widrow & Stearns 1985); 270
    inputs take the usual one well.
    """
    rate, inputs = chosen["learning_rate"], math.prod(data.input_shape)
    follows = find_optimizer(chosen["optimizer"].value).name in GRADIENT_DESCENT
    if rate.source == GIVEN or not follows or inputs <= INPUTS_AT_USUAL_RATE:
        return {}
    value = float(f"{rate.value * INPUTS_AT_USUAL_RATE / inputs:.2g}")
    reason = f"A sum of {inputs:,} inputs takes shorter steps than one of {INPUTS_AT_USUAL_RATE}."
    return {"learning_rate": Choice(value, f"suits data of {inputs:,} inputs", reason)}


def _suit_batch_size(count: int) -> Choices:
    size = choose_batch_size(count)
    reasons = {
        BATCH_OF_LARGE_DATA: "An epoch still has over 150 updates, and each costs less an example.",
        BATCHES[1]: "Large enough for a fast step, and an epoch still has many updates.",
        BATCHES[0]: "Fewer examples in a batch would make the gradients too noisy.",
    }
    reason = reasons.get(size, "The power of two that leaves about 16 updates in an epoch.")
    return {"batch_size": Choice(size, f"suits data of {count:,} examples", reason)}


def _suit_epochs(count: int, examples_per_update: int) -> Choices:
    steps = math.ceil(count / examples_per_update)
    epochs = choose_epochs(steps)
    _, usual, many = EPOCHS
    if epochs == many:
        reason = f"At {steps:,} updates an epoch more are needed; more passes overfit."
    elif epochs > usual:
        reason = f"So many make {FEWEST_UPDATES} updates at {steps:,} an epoch."
    else:
        reason = f"At {steps:,} updates an epoch that is usually enough."
    return {"epochs": Choice(epochs, f"suits data of {count:,} examples", reason)}


def _suit_optimizer(text: str, count: int, recipe: Recipe) -> Choices:
    """What is usual for an optimiser, and what it cannot do without.

    Args:
        text: The optimiser as the recipe writes it.
        count: Training examples.
        recipe: As the user gave it.
    """
    optimizer = find_optimizer(text)
    name, kind, source = optimizer.name, optimizer.kind, f"usual for {optimizer.name}"
    usual = {
        "learning_rate": kind.learning_rate,
        "weight_decay": kind.weight_decay,
        "momentum": kind.momentum,
    }
    chosen = {
        field: Choice(
            value,
            source,
            OF_OPTIMIZERS[field] if value is not None else f"{name} has no {field}.",
        )
        for field, value in usual.items()
    }
    if not kind.follows_rate:
        reason = "Its steps have lengths of their own, which no rate that falls should shorten."
        chosen |= {
            "schedule": Choice("constant", source, reason),
            "warmup": Choice(0.0, source, reason),
        }
    if kind.searches:
        reason = "A search compares losses that differ in their last digits."
        chosen["precision"] = Choice("float32", source, reason)
        reason = "It takes few steps, and compiling would take longer than they do."
        chosen["compile"] = Choice(False, source, reason)
    if kind.whole_split:
        size = math.ceil(count / recipe.accumulate)
        reason = "Its steps are meant for one function: the loss of the whole training split."
        chosen["batch_size"] = Choice(size, source, reason)
    return chosen


def _use_default(name: str) -> Choice:
    value = OPEN_FIELDS.get(name, Recipe.__dataclass_fields__[name].default)
    return Choice(value, DEFAULT, OF_DEFAULTS.get(name, ""))
