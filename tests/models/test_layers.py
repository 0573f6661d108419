"""What a model costs, and what its layers see."""

from __future__ import annotations

import json
import subprocess
import sys
import warnings

import pytest
import torch
from torch import nn

import trainwell as tw
from trainwell.cli.main import main
from trainwell.models.catalogue import CATALOGUE, find_entry
from trainwell.models.layers import describe_layers
from trainwell.models.sizes import _read_sizes, measure_size


@pytest.mark.parametrize(
    ("name", "millions"),
    {
        "alexnet": 714,
        "vgg16": 15_470,
        "resnet18": 1_814,
        "resnet50": 4_089,
        "densenet121": 2_834,
        "inception_v3": 5_713,
        "resnet20": 40.55,
        "resnet56": 125.5,
        "wide_resnet28_10": 5_243,
    }.items(),
)
def test_multiply_adds_are_those_that_are_published(name: str, millions: float) -> None:
    assert measure_size(find_entry(name)).multiply_adds == pytest.approx(1e6 * millions, rel=2e-3)


def test_products_that_torch_does_not_count_are_counted() -> None:
    # 64 prototypes of 64 values; ten sweeps over 64 units; a mean of the 63 later values.
    for name, count in (
        ("self_organising_map", 64 * 64),
        ("hopfield", 10 * 64 * 64),
        ("exponential_smoothing", 63),
    ):
        assert measure_size(find_entry(name)).multiply_adds == count


def test_recurrent_layers_show_the_shape_and_the_scale_of_their_hidden_values() -> None:
    model = tw.models.create("sequence_to_sequence", input_shape=(20, 3), classes=4, seed=0)
    layers = {layer.name: layer for layer in describe_layers(model, (20, 3))}
    assert layers["encoder"].output_shape == (20, 64)
    assert layers["decoder"].output_shape == (64,)
    for name in ("encoder", "decoder"):
        assert layers[name].weight_deviation and layers[name].output_deviation


def test_convolutions_over_time_have_a_receptive_field_and_warn_of_nothing() -> None:
    model = tw.models.create("time_series_resnet", input_shape=(64, 1), classes=2, seed=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        layers = describe_layers(model, (64, 1))
    fields = [layer.receptive_field for layer in layers if layer.kind == "Conv1d"]
    # 8, 5 and 3 wide: 7 + 4 + 2 more steps each block; shortcuts see as much as the block before.
    assert fields == [8, 12, 14, 1, 21, 25, 27, 14, 34, 38, 40]
    assert model(torch.zeros(2, 64, 1)).shape == (2, 2)


def test_activations_of_a_small_network_by_hand() -> None:
    # 784 inputs need no gradient but are kept for the first weight's; 256 and 128 ReLU outputs for
    # the ReLU and the next layer, once; outputs and targets for the loss.
    kept = 784 + 256 + 128 + 10 + 10
    found = measure_size(find_entry("mlp")).activation_bytes / 4
    assert found == pytest.approx(kept, rel=0.05)


@pytest.mark.slow
def test_the_list_of_sizes_is_what_is_measured() -> None:
    assert set(_read_sizes()) == set(CATALOGUE)
    for name, entry in CATALOGUE.items():
        assert vars(measure_size(entry)) == _read_sizes()[name], name


def test_receptive_fields_of_vgg_are_the_known_ones() -> None:
    model = tw.models.create("vgg16", input_shape=(3, 64, 64), classes=2)
    layers = describe_layers(model, (3, 64, 64))
    pools = [layer.receptive_field for layer in layers if layer.kind == "MaxPool2d"]
    assert pools == [6, 16, 44, 100, 212]


def test_a_receptive_field_is_where_the_gradient_reaches() -> None:
    model = tw.models.create("resnet20", input_shape=(3, 64, 64), classes=2, seed=0).eval()
    images = torch.randn(1, 3, 64, 64, requires_grad=True)
    fields = {layer.name: layer.receptive_field for layer in describe_layers(model, (3, 64, 64))}
    seen: dict[str, torch.Tensor] = {}
    for name in ("blocks.2.conv2", "blocks.5.conv2"):
        layer = model.get_submodule(name)
        layer.register_forward_hook(lambda m, a, out, name=name: seen.__setitem__(name, out))
    model(images)
    for name, output in seen.items():
        middle = output.shape[-1] // 2
        (gradient,) = torch.autograd.grad(
            output[0, :, middle, middle].sum(), images, retain_graph=True
        )
        rows = torch.nonzero(gradient[0].abs().sum((0, 2))).flatten()
        reached = int(rows[-1] - rows[0]) + 1
        # Zero padding at the border and dead ReLUs can only make it narrower.
        assert fields[name] - 4 <= reached <= fields[name]


def test_describing_a_model_leaves_it_as_it_was() -> None:
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Dropout(0.5)).eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    layers = describe_layers(model, (1, 8, 8))
    assert torch.equal(torch.rand(1), expected)
    assert [layer.kind for layer in layers] == ["Conv2d", "BatchNorm2d", "Dropout"]
    assert all(torch.equal(before[n], v) for n, v in model.state_dict().items())
    assert not model.training and not model[0]._forward_hooks


def test_the_command_lists_all_and_shows_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)["models"]
    assert set(listed) == set(CATALOGUE)
    assert listed["resnet20"]["parameters"] == 269_722
    assert main(["models", "resnet26", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)["models"]["resnet26"]
    assert shown["layers"][0]["receptive_field"] == 3
    assert main(["models", "lenet5"]) == 0
    assert "61,706 parameters" in capsys.readouterr().out
    assert main(["models", "lenet6"]) == 2
    assert "Did you mean 'lenet5'" in capsys.readouterr().err


@pytest.mark.parametrize("columns", ["20", "80"])
@pytest.mark.parametrize("is_terminal", [True, False])
def test_names_are_printed_whole_however_narrow_the_terminal(
    columns: str,
    is_terminal: bool,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: is_terminal)
    assert main(["models"]) == 0
    table = capsys.readouterr().out.splitlines()
    assert set(CATALOGUE) <= {line.split()[0] for line in table if line.strip()}
    assert any("preact_resnet1001" in line and "10,327,706" in line for line in table)
    model = tw.models.create("stochastic_depth_resnet14", input_shape=(3, 32, 32), classes=10)
    assert main(["models", "stochastic_depth_resnet14"]) == 0
    shown = {line.split()[0] for line in capsys.readouterr().out.splitlines() if line.strip()}
    assert {layer.name for layer in describe_layers(model, (3, 32, 32))} <= shown


def test_a_reader_that_goes_away_is_no_failure() -> None:
    code = f"{sys.executable} -m trainwell models | head -n 1"
    command = ["bash", "-o", "pipefail", "-c", code]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert not done.stderr
    assert done.stdout.startswith("model")
