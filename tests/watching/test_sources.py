"""A finding names the line of the user's code that calls the layer it is about."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
import torch
from torch import nn
from torch.nn import functional

import trainwell as tw
from trainwell.cli.progress import describe_finding
from trainwell.errors import NonFiniteError
from trainwell.findings import Finding
from trainwell.report.findings import show_finding

PROGRAM = """\
import torch
from torch import nn


class Dead(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.first = nn.Linear(64, 32)
        self.body = nn.Sequential(nn.Linear(32, 32), nn.ReLU())
        self.out = nn.Linear(32, 10)
        nn.init.constant_(self.body[0].bias, -100.0)

    def forward(self, x):
        x = self.first(x.flatten(1))
        x = self.body(x)  # the dead units
        return self.out(x)


class Cut(Dead):
    def forward(self, x):
        x = self.first(x.flatten(1)).tanh()
        x = x.detach()  # the cut
        return self.out(x)


class Log(Dead):
    def forward(self, x):
        x = self.first(x.flatten(1)).tanh()
        x = torch.log(x)  # the NaN
        return self.out(x)


class Frozen(Dead):
    def forward(self, x):
        x = torch.relu(self.first(x.flatten(1)))  # the frozen layer
        return self.out(x)
"""


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The user's program, imported in the folder that it lies in."""
    (tmp_path / "own.py").write_text(PROGRAM)
    monkeypatch.chdir(tmp_path)
    spec = importlib.util.spec_from_file_location("own_program", tmp_path / "own.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["own_program"] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules["own_program"]


def line_of(comment: str) -> str:
    (number,) = [n for n, line in enumerate(PROGRAM.splitlines(), start=1) if comment in line]
    return f"own.py:{number}"


def watched(model: nn.Module, held: nn.Module | None = None) -> dict[str, Finding]:
    """What a watcher finds in a hand-written loop over random labels, effects included."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(256, 64, generator=generator)
    y = torch.randint(10, (256,), generator=generator)
    parameters = (held or model).parameters()
    optimizer = torch.optim.SGD(parameters, lr=0.05)
    told: list[Finding] = []
    watcher = tw.watch(model, optimizer, functional.cross_entropy, on_finding=told.append)
    for step in range(150):
        rows = slice(step % 8 * 32, step % 8 * 32 + 32)
        loss = functional.cross_entropy(model(x[rows]), y[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        watcher.step(loss)
    found = watcher.findings()
    return {finding.code: finding for root in found for finding in (root, *root.effects)}


def test_dead_units_are_at_the_line_that_calls_their_activation(own: ModuleType) -> None:
    finding = watched(own.Dead())["dying_relu"]
    assert finding.where == "body.0"
    assert finding.source == line_of("# the dead units")
    assert finding.source in describe_finding(finding)
    assert finding.source in show_finding(finding.to_dict())
    assert Finding.from_dict(finding.to_dict()) == finding


def test_a_cut_graph_is_at_the_line_that_cuts_it(own: ModuleType) -> None:
    assert watched(own.Cut())["detach_inplace"].source == line_of("# the cut")


def test_a_value_that_is_not_finite_is_at_the_line_that_makes_it(own: ModuleType) -> None:
    assert watched(own.Log())["exploding_or_nan"].source == line_of("# the NaN")


def test_a_parameter_is_at_the_line_that_calls_its_module(own: ModuleType) -> None:
    model = own.Frozen()
    finding = watched(model, held=model.out)["frozen_params"]
    assert finding.where == "first.weight"
    assert finding.source == line_of("# the frozen layer")


def test_a_run_of_the_users_module_tells_the_line_too(own: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(NonFiniteError, match=r"log in the model \(own\.py:\d+\)"):
        tw.fit(own.Log(), "digits", tw.Recipe(epochs=1, check=False), out=tmp_path / "run")
    found = tw.load_run(tmp_path / "run", model=own.Log()).findings
    assert ("log in the model", line_of("# the NaN")) in {
        (finding.where, finding.source) for finding in found
    }


def test_models_without_code_of_the_users_have_no_line(own: ModuleType) -> None:
    """The line of the training loop that calls the model says nothing of a layer."""
    model = nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))
    nn.init.constant_(next(iter(model)).bias, -100.0)
    assert watched(model)["dying_relu"].source == ""
    catalogue = tw.models.create("mlp", input_shape=(64,), classes=10)
    with torch.no_grad():
        next(p for p in catalogue.parameters() if p.ndim == 1).fill_(-100.0)
    assert {finding.source for finding in watched(catalogue).values()} == {""}


def test_findings_of_older_runs_have_no_line() -> None:
    fields = Finding("dying_relu", "error").to_dict()
    del fields["source"]
    assert Finding.from_dict(fields).source == ""
