"""The recipe: everything one run is told, in one frozen dataclass, to and from TOML."""

from __future__ import annotations

import dataclasses
import difflib
import functools
import math
import tomllib
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy
import tomli_w

from trainwell.data.augment import compose
from trainwell.errors import RecipeError
from trainwell.named_call import require_name, split_calls
from trainwell.nn.losses import LOSSES
from trainwell.optim.averaging import build_averaging
from trainwell.optim.optimizers import ChosenOptimizer, find_optimizer
from trainwell.optim.schedules import Unit, build_schedule

DEFAULT_OPTIMIZER = "nesterov"

Precision = Literal["auto", "float32", "bfloat16", "float16"]

LARGEST_INTEGER = 2**63 - 1
"""Of TOML, and no more than torch takes for a seed."""


@dataclass(frozen=True)
class Recipe:
    """What one run is told.

    A field left None is chosen for the model and the data, else for the optimiser, as
    `trainwell.explain` tells; the recipe in the run folder says what was chosen.

    Attributes:
        epochs: Passes over the training split.
        batch_size: Examples in one forward pass; None: 128, fewer for small data and
            more for large.
        optimizer: A name of `trainwell.optim.optimizers.OPTIMIZERS`, with options, such as
            `"adam(beta2=0.995)"`. Those that find the length of a step themselves (lbfgs, bfgs,
            newton, rprop) begin at the learning rate and take no schedule.
        learning_rate: The highest rate; the schedule takes shares of it.
        momentum: Of optimisers that have one, in [0, 1).
        weight_decay: Of parameters with two or more dimensions.
        schedule: As `trainwell.optim.schedules.build_schedule` takes it: a name with options, or
            several one after the other; None: what suits the model, else cosine.
        schedule_unit: Whether the rate changes at every `"step"` or once an `"epoch"`.
        warmup: Share of the training in which the rate rises linearly, in [0, 1); None: what
            suits the model, else 0.05.
        precision: `"auto"` measures bfloat16 where the processor has it, and takes the faster.
        compile: Whether the model is compiled with `torch.compile`; `"auto"`: where the training
            is long and it was measured to be faster.
        clip_norm: Gradients are scaled down to this norm; None: not clipped.
        accumulate: Batches whose gradients are averaged into one update.
        average: Of the weights, as `trainwell.optim.averaging.build_averaging` takes it:
            `"exponential(decay=0.995)"`, `"stochastic"`, `"checkpoints"`; a number is the decay of
            an exponential one. The average is validated, and kept if it validates better than the
            trained weights. None: no average.
        l1: Of a penalty l1 · Σ|w| on weights with two or more dimensions, at least 0.
        l2: Of a penalty l2 / 2 · Σw² on them, at least 0.
        max_norm: To which the incoming weights of each unit are limited; None: not.
        dropout_schedule: Shares of the model's dropout probabilities, written as a `schedule`, such
            as `"linear(start=0, end=1)"`; None: all the time as the model says.
        early_stop: Epochs to look ahead for a better validation loss before stopping and going
            back to the best weights; None: train to the end.
        augment: Names of `trainwell.data.augment.AUGMENTATIONS`, with options, in order, such as
            `("flip", "rotate(degrees=10)")`.
        label_smoothing: Probability spread over all classes, in [0, 1).
        mixup: Each example is mixed with another of its batch, in a share from Beta(mixup, mixup)
            (Zhang et al. 2018, with 0.2 to 1); of a classification only. The training accuracy
            counts the dominant class. None: examples stay as they are.
        start_from: A run folder or safetensors file with the weights to begin with; what does not
            fit, such as a head for other classes, starts fresh.
        freeze: Patterns of names of parameters that are not trained, such as `"blocks.0.*"`.
        layer_decay: The rate of each layer is this share of the rate of the layer behind it, in
            (0, 1] (Howard & Ruder 2018). None: all have the same.
        unfreeze_every: Epochs after which one more layer is trained, from the last towards the
            first (gradual unfreezing, Howard & Ruder 2018). None: all from the start.
        loss: A name of `trainwell.nn.losses.LOSSES`; None: the loss of maximum likelihood.
        seed: Of initial weights, order, augmentation and dropout.
        check: Whether data and model are looked at before the training.
        watch: Whether layers are read during the training (instrumented steps).
        repair: How often the recipe may be changed by a remedy that short replays proved, after
            which the training goes on from its last good state; 0: never.
        device: `"auto"` (an accelerator if there is one), `"cpu"`, `"cuda"`, `"cuda:1"`, ...
        window: Updates between two readings of the training loss.
        checkpoint_every: Updates between two checkpoints; None: at the end of a window or an epoch,
            if the last one is at least `checkpoint_seconds` old, and at the end.
        checkpoint_seconds: See `checkpoint_every`.
        keep: Whole checkpoints kept, at least 2.
        deterministic: Refuse operations that are not deterministic.
        workers: Processes that read streamed data.
    """

    epochs: int | None = None
    batch_size: int | None = None
    optimizer: str | None = None
    learning_rate: float | None = None
    momentum: float | None = None
    weight_decay: float | None = None
    schedule: str | None = None
    schedule_unit: Unit = "step"
    warmup: float | None = None
    precision: Precision = "auto"
    compile: bool | str = "auto"
    clip_norm: float | None = None
    accumulate: int = 1
    average: float | str | None = None
    l1: float = 0.0
    l2: float = 0.0
    max_norm: float | None = None
    dropout_schedule: str | None = None
    early_stop: int | None = None
    augment: tuple[str, ...] | None = None
    label_smoothing: float = 0.0
    mixup: float | None = None
    loss: str | None = None
    start_from: str | None = None
    freeze: tuple[str, ...] = ()
    layer_decay: float | None = None
    unfreeze_every: int | None = None
    seed: int = 0
    check: bool = True
    watch: bool = True
    repair: int = 0
    device: str = "auto"
    window: int = 50
    checkpoint_every: int | None = None
    checkpoint_seconds: float = 30.0
    keep: int = 2
    deterministic: bool = False
    workers: int = 0

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = _coerce(field.name, getattr(self, field.name))
            object.__setattr__(self, field.name, value)
        _refuse_impossible(self)

    @classmethod
    def from_fields(cls, fields: Mapping[str, Any]) -> Recipe:
        """A recipe of named fields.

        Raises:
            RecipeError: A field does not exist (the near miss is named) or its value cannot be.
        """
        names = [field.name for field in dataclasses.fields(cls)]
        for name in fields:
            if name not in names:
                near = difflib.get_close_matches(name, names, n=1)
                hint = f"Did you mean {near[0]!r}?" if near else f"Fields: {', '.join(names)}"
                raise RecipeError(f"there is no field {name!r}", where="recipe", remedy=hint)
        return cls(**fields)

    def replace(self, **fields: Any) -> Recipe:
        """This recipe with some fields changed, checked as a new one is."""
        return Recipe.from_fields({**dataclasses.asdict(self), **fields})

    def to_toml(self) -> str:
        """TOML text; fields that are None are left out."""
        fields = {k: v for k, v in dataclasses.asdict(self).items() if v is not None}
        return tomli_w.dumps(fields)

    @classmethod
    def from_toml(cls, text: str, *, where: str = "recipe") -> Recipe:
        """The recipe that `to_toml` wrote, or one written by hand.

        Raises:
            RecipeError: Not TOML, an unknown field, or an impossible value.
        """
        try:
            fields = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise RecipeError(
                f"this is not TOML: {error}", where=where, remedy="Write lines such as epochs = 20"
            ) from error
        return cls.from_fields(fields)

    def with_settings(self, settings: Mapping[str, str]) -> Recipe:
        """This recipe with fields set from text, as `--set FIELD=VALUE` gives them."""
        return self.replace(**{name: parse_setting(name, text) for name, text in settings.items()})


def micro_batch_of(recipe: Recipe) -> int:
    """Examples in one forward pass of a complete recipe."""
    assert recipe.batch_size is not None
    return recipe.batch_size


def parse_setting(name: str, text: str) -> Any:
    """The value of a field from text: `"0.1"`, `"none"`, `"true"`, `"flip,crop"`.

    Raises:
        RecipeError: The field does not exist, or the text is not of its type.
    """
    hints = _hints()
    if name not in hints:
        Recipe.from_fields({name: None})
    accepted = _accepted(hints[name])
    if text.lower() in ("none", "") and type(None) in accepted:
        return () if tuple in accepted else None
    for kind in accepted:
        value = _parse(kind, text)
        if value is not None:
            return value
    return text


def _parse(kind: Any, text: str) -> Any:
    try:
        if kind is bool:
            return {"true": True, "yes": True, "false": False, "no": False}.get(text.lower())
        if kind in (int, float):
            return kind(text)
    except ValueError:
        return None
    if kind is tuple:
        return tuple(split_calls(text))
    return text if kind is str else None


@functools.cache
def _hints() -> Mapping[str, Any]:
    """The fields' annotations, evaluated once: that takes longer than all checks of a value."""
    return typing.get_type_hints(Recipe)


def _accepted(hint: Any) -> tuple[Any, ...]:
    """The plain types a field's annotation allows: `float | None` gives float and NoneType."""
    if isinstance(hint, types.UnionType):
        return tuple(kind for part in typing.get_args(hint) for kind in _accepted(part))
    if typing.get_origin(hint) is Literal:
        return (str,)
    return (typing.get_origin(hint) or hint,)


def _coerce(name: str, value: Any) -> Any:
    accepted = _accepted(_hints()[name])
    if isinstance(value, numpy.generic):
        value = value.item()
    if isinstance(value, int) and abs(value) > LARGEST_INTEGER:
        raise RecipeError(
            f"{name} is too large a number",
            where="recipe",
            remedy=f"Use at most {LARGEST_INTEGER}",
        )
    if isinstance(value, list | tuple) and tuple in accepted:
        return tuple(value)
    if isinstance(value, int) and not isinstance(value, bool) and float in accepted:
        return float(value)
    if type(value) in accepted:
        return value
    kinds = " or ".join("none" if k is type(None) else k.__name__ for k in accepted)
    raise RecipeError(f"{name} must be {kinds}, not {value!r}", where="recipe")


def _refuse_impossible(recipe: Recipe) -> None:
    _require_range(recipe, ("epochs",), low=1)
    counts = ("batch_size", "accumulate", "early_stop", "window", "checkpoint_every")
    _require_range(recipe, ("unfreeze_every",), low=1)
    _require_range(recipe, counts, low=1)
    _require_range(recipe, ("keep",), low=2)
    _require_range(
        recipe, ("workers", "weight_decay", "checkpoint_seconds", "seed", "l1", "l2"), low=0
    )
    _require_range(recipe, ("repair",), low=0)
    _require_range(recipe, ("learning_rate", "clip_norm", "max_norm", "mixup"), above=0)
    shares = ("momentum", "warmup", "label_smoothing")
    _require_range(recipe, shares, low=0, below=1)
    if recipe.layer_decay is not None and not 0 < recipe.layer_decay <= 1:
        found = f"{recipe.layer_decay:g}"
        raise RecipeError(f"layer_decay must be above 0 and at most 1, not {found}", where="recipe")
    if recipe.optimizer is not None:
        _refuse_unsuited(recipe, find_optimizer(recipe.optimizer))
    _require_name("loss", recipe.loss, LOSSES)
    if recipe.schedule is not None:
        build_schedule(recipe.schedule)
    if recipe.dropout_schedule is not None:
        build_schedule(recipe.dropout_schedule, what="dropout_schedule")
    if recipe.average is not None:
        build_averaging(recipe.average)
    _require_name("schedule_unit", recipe.schedule_unit, typing.get_args(Unit))
    if isinstance(recipe.compile, str):
        _require_name("compile", recipe.compile, ("auto",))
    _require_name("precision", recipe.precision, typing.get_args(Precision))
    compose(recipe.augment or ())


def _refuse_unsuited(recipe: Recipe, optimizer: ChosenOptimizer) -> None:
    """Refuses fields that would do nothing with the optimiser, or harm."""
    name, kind = optimizer.name, optimizer.kind
    unsuited: dict[str, str] = {}
    if kind.weight_decay is None and recipe.weight_decay:
        unsuited["weight_decay"] = "it looks at the sign of the gradient only"
    if not kind.follows_rate and recipe.schedule not in (None, "constant"):
        unsuited["schedule"] = "it finds the length of its steps itself"
    if not kind.follows_rate and recipe.warmup:
        unsuited["warmup"] = "it finds the length of its steps itself"
    if not kind.follows_rate and recipe.unfreeze_every is not None:
        unsuited["unfreeze_every"] = "no rate holds a layer still"
    if kind.searches:
        unsuited |= _unsuited_to_search(recipe)
    if name == "newton" and recipe.compile is True:
        unsuited["compile"] = "torch compiles no second derivatives"
    for field, reason in unsuited.items():
        raise RecipeError(
            f"{name} cannot be used with {field} {getattr(recipe, field)!r}: {reason}",
            where="recipe",
            remedy=f"Leave {field} out, or take another optimizer",
        )


def _unsuited_to_search(recipe: Recipe) -> dict[str, str]:
    """Fields that spoil a line search, each with the reason."""
    reasons: dict[str, str] = {}
    if recipe.clip_norm is not None:
        reasons["clip_norm"] = "a clipped gradient is not the slope of the loss"
    if recipe.precision == "float16":
        reasons["precision"] = "the search compares losses too closely"
    if recipe.l1:
        reasons["l1"] = "its kinks stop the search"
    if recipe.l2:
        reasons["l2"] = "weight_decay is that penalty here"
    if recipe.max_norm is not None:
        reasons["max_norm"] = "it would undo a part of each step"
    if recipe.layer_decay is not None:
        reasons["layer_decay"] = "all layers are searched along together"
    return reasons


def _require_range(
    recipe: Recipe,
    names: tuple[str, ...],
    *,
    low: float = -math.inf,
    above: float = -math.inf,
    below: float = math.inf,
) -> None:
    bounds = [
        f"at least {low:g}" if low > -math.inf else "",
        f"above {above:g}" if above > -math.inf else "",
        f"below {below:g}" if below < math.inf else "",
    ]
    for name in names:
        value = getattr(recipe, name)
        if value is None or (math.isfinite(value) and value >= low and above < value < below):
            continue
        wanted = " and ".join(filter(None, bounds))
        raise RecipeError(f"{name} must be {wanted}, not {value:g}", where="recipe")


def _require_name(field: str, name: str | None, known: typing.Collection[str]) -> None:
    if name is not None:
        require_name(field, name, tuple(known))
