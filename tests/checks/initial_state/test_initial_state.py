"""Ordinary programs and models of the catalogue are silent."""

import os

import pytest
import torch

import trainwell as tw
from tests.checks.initial_state.ordinary_programs import PROGRAMS
from tests.models.fitting_data import few_examples, sizes_of
from trainwell.api import as_recipe, match
from trainwell.checks.prepared import subject_of_setting
from trainwell.checks.suite import CHECKS, run_checks
from trainwell.checks.verdict import FAILING
from trainwell.models.catalogue import CATALOGUE, spec_of
from trainwell.training.defaults import complete_recipe
from trainwell.training.fitting import prepare
from trainwell.training.precision import PLAIN

NAMES = (
    *("initial weights", "initial loss", "loss and targets", "loss over a batch"),
    *("range of the outputs", "activations", "gradient in the layers", "parameters"),
    *("trained parameters", "evaluation mode", "batch normalisation", "dropout", "optimiser"),
)
INITIAL = [check for check in CHECKS if check.name in NAMES]
SMALL = 3_000_000
EXAMPLES = 256


def failing(found):
    return [(f.code, f.where, f.cause) for f in found.findings if f.severity in FAILING]


def test_all_checks_of_the_initial_state_are_in_the_suite():
    assert len(INITIAL) == len(NAMES)
    assert all(check.is_cheap for check in INITIAL)


@pytest.mark.parametrize("name", PROGRAMS)
def test_ordinary_programs_are_silent(name):
    torch.manual_seed(0)
    found = run_checks(PROGRAMS[name]().subject(), INITIAL)
    assert failing(found) == []
    assert [v.skipped for v in found.verdicts if "could not be made" in v.skipped] == []


def test_the_model_is_left_as_it_was():
    program = PROGRAMS["cnn-bn"]()
    subject = program.subject()
    before = {name: value.clone() for name, value in program.model.state_dict().items()}
    state = torch.get_rng_state()
    run_checks(subject, INITIAL)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(v, before[n]) for n, v in program.model.state_dict().items())
    assert all(not module._forward_hooks for module in program.model.modules())
    assert all(p.grad is None for p in program.model.parameters())


def of_a_size_to_try() -> list[str]:
    if os.environ.get("TRAINWELL_EVERY_MODEL"):
        return list(CATALOGUE)
    return [name for name in CATALOGUE if sizes_of(name)[0] <= SMALL]


@pytest.mark.slow
@pytest.mark.parametrize("name", of_a_size_to_try())
def test_models_of_the_catalogue_are_silent(name):
    data = few_examples(name, EXAMPLES)
    model, fitted = match(tw.models.create(name, data, seed=0), data, as_recipe(None))
    recipe = complete_recipe(as_recipe(None), fitted, spec_of(model))
    setting = prepare(model, fitted, recipe, None, PLAIN)
    found = run_checks(subject_of_setting(setting, name), INITIAL)
    assert failing(found) == []
    assert [v.skipped for v in found.verdicts if "could not be made" in v.skipped] == []
