"""The recipe: every field checked, to and from TOML, near misses named."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

import trainwell as tw
from trainwell.errors import RecipeError
from trainwell.training.defaults import complete_recipe
from trainwell.training.recipe import Recipe, parse_setting


@given(
    st.builds(
        Recipe,
        epochs=st.none() | st.integers(1, 1000),
        learning_rate=st.none() | st.floats(1e-8, 10),
        momentum=st.none() | st.floats(0, 0.999),
        optimizer=st.none() | st.sampled_from(["sgd", "adamw", "rmsprop"]),
        augment=st.none() | st.sampled_from([(), ("flip",), ("flip", "crop")]),
        early_stop=st.none() | st.integers(1, 50),
        compile=st.booleans(),
    )
)
def test_a_recipe_written_as_toml_reads_back_equal(recipe: Recipe) -> None:
    assert Recipe.from_toml(recipe.to_toml()) == recipe


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"learning_rat": 0.1}, "learning_rate"),
        ({"optimizer": "adm"}, "'adam'"),
        ({"schedule": "cosin"}, "'cosine'"),
        ({"precision": "float61"}, "'float16'"),
        ({"augment": ("flp",)}, "'flip'"),
        ({"learning_rate": -0.1}, "above 0"),
        ({"learning_rate": float("nan")}, "above 0"),
        ({"batch_size": 0}, "at least 1"),
        ({"epochs": 0}, "at least 1"),
        ({"epochs": 2.5}, "must be int"),
        ({"epochs": True}, "must be int"),
        ({"momentum": 1.0}, "below 1"),
        ({"average": 1.5}, "below 1"),
        ({"label_smoothing": -0.1}, "at least 0"),
        ({"early_stop": 0}, "at least 1"),
        ({"clip_norm": 0.0}, "above 0"),
        ({"keep": 1}, "at least 2"),
        ({"seed": -1}, "at least 0"),
        ({"workers": -1}, "at least 0"),
        ({"compile": "perhaps"}, "cannot be .perhaps."),
    ],
)
def test_an_impossible_value_is_refused_with_the_reason(
    fields: dict[str, object], message: str
) -> None:
    with pytest.raises(RecipeError, match=message):
        Recipe.from_fields(fields)


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("learning_rate", "0.1", 0.1),
        ("learning_rate", "1e-3", 1e-3),
        ("epochs", "20", 20),
        ("epochs", "none", None),
        ("compile", "true", True),
        ("augment", "flip,crop", ("flip", "crop")),
        ("augment", "none", ()),
        ("optimizer", "sgd", "sgd"),
        ("precision", "bfloat16", "bfloat16"),
    ],
)
def test_every_kind_of_field_can_be_set_from_text(name: str, text: str, value: object) -> None:
    assert parse_setting(name, text) == value
    assert getattr(Recipe().with_settings({name: text}), name) == value


def test_every_field_can_be_set_by_its_own_toml_value() -> None:
    complete = complete_recipe(Recipe(), tw.load("iris"), None)
    for field in dataclasses.fields(Recipe):
        value = getattr(complete, field.name)
        text = ",".join(value) if isinstance(value, tuple) else str(value)
        assert getattr(Recipe().with_settings({field.name: text}), field.name) == value


def test_text_of_another_type_is_refused() -> None:
    with pytest.raises(RecipeError, match="epochs must be int"):
        Recipe().with_settings({"epochs": "many"})


def test_toml_that_is_none_is_refused_naming_the_file() -> None:
    with pytest.raises(RecipeError, match=r"my\.toml: this is not TOML"):
        Recipe.from_toml("epochs = = 3", where="my.toml")
