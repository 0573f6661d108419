"""Checks of the data are silent where nothing is wrong, and look at few examples of many."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import trainwell as tw
from tests.checks.data.healthy_programs import HEALTHY, program
from trainwell.checks.prepared import subject_of_setting
from trainwell.checks.suite import CHECKS, run_checks
from trainwell.checks.verdict import CheckReport
from trainwell.data.embedded import EMBEDDED
from trainwell.training.defaults import complete_recipe
from trainwell.training.fitting import prepare
from trainwell.training.precision import PLAIN

OF_DATA = (
    "values",
    "labels",
    "balance",
    "duplicates",
    "order",
    "scales",
    "split scale",
    "label leak",
    "near duplicates",
    "label noise",
    "augmentation",
)
DATA_CHECKS = [check for check in CHECKS if check.name in OF_DATA]


def assert_silent(report: CheckReport) -> None:
    assert not [verdict.skipped for verdict in report.verdicts if verdict.skipped]
    assert [finding for finding in report.findings if finding.severity != "note"] == []


def look_before_fit(model: str, source: object) -> CheckReport:
    data = tw.load(source)
    module = tw.models.create(model, data)
    recipe = complete_recipe(tw.Recipe(), data, None)
    setting = prepare(module, data, recipe, None, PLAIN)
    return run_checks(subject_of_setting(setting, model), DATA_CHECKS)


@pytest.mark.parametrize("name", HEALTHY)
def test_nothing_is_found_in_a_healthy_program(name: str) -> None:
    assert_silent(run_checks(program(name).subject(), DATA_CHECKS))


@pytest.mark.parametrize("name", [name for name in EMBEDDED if name != "shapes"])
def test_nothing_is_found_in_an_embedded_set(name: str) -> None:
    assert_silent(look_before_fit("mlp", name))


@pytest.mark.slow
def test_nothing_is_found_in_large_pictures() -> None:
    assert_silent(look_before_fit("lenet5", "shapes"))


@pytest.mark.slow
@pytest.mark.parametrize(("name", "model"), [("mnist", "mlp"), ("cifar10", "resnet20")])
def test_nothing_is_found_in_real_images_of_which_few_are_looked_at(
    shared_data: Path, name: str, model: str
) -> None:
    report = look_before_fit(model, shared_data / name)
    assert_silent(report)
    seen = {verdict.check: verdict.seen for verdict in report.verdicts}
    assert "in 1,500 examples" in seen["labels by a probe"]
    assert "500 looked for among" in seen["near duplicates"]


def test_all_checks_of_the_data_are_cheap_or_look_at_a_sample() -> None:
    assert {check.name for check in DATA_CHECKS} == set(OF_DATA)
    assert [c.name for c in DATA_CHECKS if not c.is_cheap] == list(OF_DATA[-3:])


def test_a_model_that_scales_bytes_itself_is_healthy() -> None:
    class Scaled(torch.nn.Module):
        def __init__(self, inner: torch.nn.Module) -> None:
            super().__init__()
            self.inner = inner

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return self.inner(images.float() / 255 - 0.5)

    healthy = program("digit images")
    images, valid = ((part * 255).byte() for part in (healthy.inputs, healthy.valid_inputs))
    scaled = healthy.with_(inputs=images, valid_inputs=valid, model=Scaled(healthy.model))
    assert_silent(run_checks(scaled.subject(), DATA_CHECKS))


def test_a_model_that_normalises_first_may_get_any_scale() -> None:
    healthy = program("wine")
    model = torch.nn.Sequential(torch.nn.BatchNorm1d(13), healthy.model)
    wild = healthy.with_(
        model=model,
        inputs=healthy.inputs * 1000 + 500,
        valid_inputs=healthy.valid_inputs * 1000 + 500,
    )
    assert_silent(run_checks(wild.subject(), DATA_CHECKS))
