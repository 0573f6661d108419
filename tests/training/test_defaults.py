"""What is chosen where the recipe leaves a field open, and that every choice says why."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy
import pytest

import trainwell as tw
from trainwell.models.catalogue import CATALOGUE, ModelSpec
from trainwell.training.defaults import (
    Choice,
    choose_batch_size,
    choose_epochs,
    complete_recipe,
    explain_recipe,
)
from trainwell.training.rates import forecast_rates
from trainwell.training.reasons import OF_DEFAULTS, OF_MODELS

FIELDS = [field.name for field in dataclasses.fields(tw.Recipe)]


def spec(name: str) -> ModelSpec:
    return ModelSpec(name, (1, 8, 8), 10)


def choices(data: str = "digits", model: str | None = None, **fields: Any) -> Mapping[str, Choice]:
    known = spec(model) if model else None
    return explain_recipe(tw.Recipe(**fields), tw.load(data), known)


def test_every_field_has_a_source_and_a_reason() -> None:
    for data, model in (("digits", "resnet20"), ("digits", "rbm"), ("diabetes", None)):
        explained = choices(data, model)
        assert list(explained) == FIELDS
        assert all(choice.source and choice.reason.endswith(".") for choice in explained.values())


def test_every_field_that_can_be_a_default_or_a_models_wish_has_a_sentence_for_it() -> None:
    chosen_otherwise = {"epochs", "batch_size", "learning_rate", "momentum", "weight_decay"}
    assert set(OF_DEFAULTS) == set(FIELDS) - chosen_otherwise
    wished = {name for entry in CATALOGUE.values() for name in entry.recipe}
    assert wished <= set(OF_MODELS)


def test_the_complete_recipe_has_exactly_the_values_that_are_explained() -> None:
    for name in ("resnet20", "rbm", "lstm", "perceptron"):
        explained = choices("digits", name, epochs=3)
        complete = complete_recipe(tw.Recipe(epochs=3), tw.load("digits"), spec(name))
        assert {k: getattr(complete, k) for k in FIELDS} == {
            k: choice.value for k, choice in explained.items()
        }


def test_the_user_goes_before_the_model_the_model_before_the_data_and_the_optimiser() -> None:
    explained = choices("digits", "plain20", batch_size=32)
    assert (explained["batch_size"].value, explained["batch_size"].source) == (32, "given by you")
    assert explained["epochs"].value == 12
    assert explained["epochs"].source == "suits the model plain20 (He et al. 2015)"
    assert explained["learning_rate"].source == "usual for nesterov"
    assert explained["optimizer"].source == "trainwell's default"
    assert choices("digits")["epochs"].source == "suits data of 1,294 examples"


@pytest.mark.parametrize(
    ("shape", "kept"),
    [
        ((3, 32, 32), ("flip", "crop")),
        ((1, 28, 28), ()),
        ((1, 8, 8), ()),
        ((3, 8, 8), ()),
    ],
)
def test_only_photos_are_mirrored_and_tiny_images_stay_as_they_are(
    shape: tuple[int, int, int], kept: tuple[str, ...]
) -> None:
    pictures = numpy.zeros((40, *shape[1:], shape[0]), dtype=numpy.uint8)
    pictures[::2] = 255
    data = tw.load((pictures, numpy.arange(40) % 4))
    chosen = explain_recipe(tw.Recipe(), data, ModelSpec("plain20", shape, 4))["augment"]
    assert chosen.value == kept
    assert chosen.source.startswith("suits the model" if len(kept) == 2 else "suits the data")


def test_grey_images_are_moved_turned_and_scaled_where_the_model_asks_for_it() -> None:
    pictures = numpy.zeros((40, 28, 28, 1), dtype=numpy.uint8)
    data = tw.load((pictures, numpy.arange(40) % 4))
    chosen = explain_recipe(tw.Recipe(), data, ModelSpec("lenet5", (1, 28, 28), 4))["augment"]
    assert {text.partition("(")[0] for text in chosen.value} == {"rotate", "scale", "shift"}


def test_the_muon_of_a_resnet_takes_its_rate_and_decay_away_with_it() -> None:
    chosen = choices("digits", "resnet20")
    assert (chosen["optimizer"].value, chosen["learning_rate"].value) == ("muon", 0.02)
    given = choices("digits", "resnet20", optimizer="nesterov")
    assert (given["learning_rate"].value, given["weight_decay"].value) == (0.1, 5e-4)


def test_an_optimiser_brings_its_usual_rate_decay_and_momentum() -> None:
    explained = choices("digits", optimizer="adamw")
    assert (explained["learning_rate"].value, explained["weight_decay"].value) == (1e-3, 1e-2)
    assert explained["learning_rate"].source == "usual for adamw"
    assert explained["momentum"].value is None
    assert explained["momentum"].reason == "adamw has no momentum."


def test_a_weighted_sum_of_many_inputs_gets_shorter_steps_unless_a_rate_is_given() -> None:
    assert choices("digits", "softmax")["learning_rate"].value == 0.1
    wide = choices("shapes", "softmax")["learning_rate"]
    assert wide.value == pytest.approx(0.1 * 270 / (3 * 96 * 96), rel=0.05)
    assert "27,648 inputs" in wide.reason
    assert choices("shapes", "linear_svm")["learning_rate"].value == pytest.approx(
        wide.value / 10, rel=0.05
    )
    assert choices("shapes", "softmax", learning_rate=0.05)["learning_rate"].value == 0.05
    assert choices("shapes", "softmax", optimizer="adamw")["learning_rate"].value == 1e-3
    assert choices("shapes", "mlp")["learning_rate"].value == 0.1


@pytest.mark.parametrize("model", ["logistic_regression", "softmax", "linear_svm", "adaline"])
def test_the_default_rate_of_a_weighted_sum_is_none_that_the_check_warns_of(model: str) -> None:
    assert [f for f in tw.check(model, "shapes").findings if f.severity != "note"] == []


def test_a_squared_error_gets_gentle_steps() -> None:
    explained = choices("diabetes")
    assert (explained["optimizer"].value, explained["learning_rate"].value) == ("adamw", 3e-3)
    assert explained["optimizer"].source == "suits a regression"
    given = choices("diabetes", optimizer="sgd")
    assert given["learning_rate"].value == pytest.approx(0.01)
    assert given["learning_rate"].source == "suits a regression"


def test_the_schedule_that_a_learning_rule_was_written_with_is_used_unless_another_is_given() -> (
    None
):
    assert choices("digits", "self_organising_map")["schedule"].value == "linear"
    assert choices("digits", "self_organising_map", schedule="cosine")["schedule"].value == "cosine"
    assert choices("digits", "hopfield")["warmup"].value == 0.0
    assert choices("digits", "mlp")["schedule"].value == "cosine"


@pytest.mark.parametrize(("count", "size"), [(20, 16), (1000, 64), (5000, 128), (40_000, 256)])
def test_batches_grow_with_the_data(count: int, size: int) -> None:
    assert choose_batch_size(count) == size


@pytest.mark.parametrize(
    ("steps", "epochs"), [(1, 100), (10, 50), (25, 20), (500, 20), (700, 15), (10_000, 12)]
)
def test_small_data_is_seen_more_often_and_large_data_less(steps: int, epochs: int) -> None:
    assert choose_epochs(steps) == epochs


def test_explaining_trains_nothing_writes_nothing_and_leaves_the_model(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    model = tw.models.create("mlp", tw.load("iris"), seed=0)
    explained = tw.explain(model, "iris", tw.Recipe(freeze=("1.*",)))
    assert list(tmp_path.iterdir()) == []
    assert all(parameter.requires_grad for parameter in model.parameters())
    assert explained.choices["freeze"].source == "given by you"
    assert explained.recipe == complete_recipe(
        tw.Recipe(freeze=("1.*",)), tw.load("iris"), spec("mlp")
    )


def test_what_is_explained_is_what_a_run_then_has(tmp_path: Any) -> None:
    recipe = tw.Recipe(epochs=2)
    explained = tw.explain("mlp", "iris", recipe)
    run = tw.fit("mlp", "iris", recipe, out=tmp_path / "run")
    assert run.recipe == explained.recipe
    assert run.about["steps_per_epoch"] == explained.steps_per_epoch
    rates = dict(explained.rates.points)
    recorded = {r["step"]: r["learning_rate"] for r in run.history if r["kind"] == "window"}
    assert recorded
    assert all(rates[step] == rate for step, rate in recorded.items())


@pytest.mark.parametrize(
    ("schedule", "sentence"),
    [
        ("exponential(end=0.001)", "decays by a factor of 983 by the end."),
        ("exponential", "by the end."),
        ("step", "decays by a factor of 100 by the end."),
        ("step(factor=0.5)", "decays by a factor of 4 by the end; about 100 or more is advised."),
        ("constant", "decays by a factor of 1 by the end; about 100 or more is advised."),
        ("linear until 0.5, constant(level=0.01)", "decays by a factor of 100 by the end."),
        ("plateau(factor=0.5)", "is multiplied by 0.5 whenever the validation loss has stopped"),
    ],
)
def test_a_sentence_says_how_far_the_rate_decays(schedule: str, sentence: str) -> None:
    recipe = complete_recipe(tw.Recipe(epochs=20, schedule=schedule), tw.load("digits"), None)
    described = forecast_rates(recipe, 21).describe_decay()
    assert sentence in described
    assert ("advised" in described) == ("advised" in sentence)


def test_a_forecast_has_first_last_and_highest_rate_however_long_the_training() -> None:
    recipe = complete_recipe(tw.Recipe(epochs=1000, learning_rate=0.3), tw.load("digits"), None)
    forecast = forecast_rates(recipe, 1001)
    assert forecast.points[0][0] == 1 and forecast.points[-1][0] == 1_001_000
    assert len(forecast.points) <= 402
    assert forecast.highest == 0.3
