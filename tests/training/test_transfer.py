"""Starting from other weights, and training some layers less, later or not at all."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
import torch
from torch import nn

import trainwell as tw
from trainwell.errors import CheckpointError, ModelError, RecipeError
from trainwell.training.tensor_file import decode_tensors
from trainwell.training.transfer import (
    depths_from_output,
    freeze,
    load_weights,
    read_weights,
    replace_head,
    still_frozen,
)


def few_classes(classes: range) -> tuple[torch.Tensor, torch.Tensor]:
    data = tw.load("digits")
    assert isinstance(data.train.inputs, torch.Tensor)
    chosen = torch.isin(data.train.targets, torch.tensor(list(classes)))
    return data.train.inputs[chosen], data.train.targets[chosen] - classes.start


def weights_of(run: tw.Run) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in run.model.state_dict().items()}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tw.Run:
    out = tmp_path_factory.mktemp("transfer") / "first"
    return tw.fit("mlp", few_classes(range(0, 6)), tw.Recipe(epochs=8), out=out)


def test_a_run_starts_from_the_weights_of_another_all_but_its_head(
    trained: tw.Run, tmp_path: Path
) -> None:
    recipe = tw.Recipe(epochs=1, start_from=str(trained.folder), learning_rate=1e-9)
    run = tw.fit("mlp", few_classes(range(6, 10)), recipe, out=tmp_path / "run")
    before, after = weights_of(trained), weights_of(run)
    assert torch.allclose(before["1.weight"], after["1.weight"], atol=1e-5)
    assert after["5.weight"].shape == (4, 128)
    events = [e for e in run.run_folder.read_events() if e["event"] == "transfer"]
    assert "5.weight, 5.bias start fresh" in events[0]["message"]


def test_transfer_learns_few_examples_better_than_a_fresh_start(
    trained: tw.Run, tmp_path: Path
) -> None:
    inputs, targets = few_classes(range(1, 5))
    few = (inputs[:40], targets[:40])
    scores = {}
    for name, start in (("fresh", None), ("transferred", str(trained.folder))):
        recipe = tw.Recipe(epochs=3, start_from=start, learning_rate=0.02)
        run = tw.fit("mlp", few, recipe, out=tmp_path / name)
        predicted = torch.as_tensor(run.predict(inputs[40:]))
        scores[name] = float((predicted == targets[40:]).float().mean())
    assert scores["transferred"] > scores["fresh"]


def test_weights_come_from_a_safetensors_file_too(trained: tw.Run, tmp_path: Path) -> None:
    from safetensors.torch import save_file

    save_file(weights_of(trained), tmp_path / "w.safetensors")
    model = tw.models.create("mlp", input_shape=(1, 8, 8), classes=6)
    loaded = load_weights(model, read_weights(tmp_path / "w.safetensors"))
    assert not loaded.left and not loaded.unused
    assert torch.equal(model.state_dict()["3.weight"], weights_of(trained)["3.weight"])


def test_what_is_no_weights_or_fits_nothing_is_refused(trained: tw.Run, tmp_path: Path) -> None:
    (tmp_path / "page.safetensors").write_text("<html>not found</html>")
    for path in (tmp_path / "page.safetensors", tmp_path / "nothing"):
        with pytest.raises(CheckpointError):
            read_weights(path)
    with pytest.raises(ModelError, match="only 0% of the model's weights"):
        load_weights(nn.Linear(2, 2), weights_of(trained))


def test_weights_that_fit_by_a_few_small_tensors_only_are_refused() -> None:
    smaller = tw.models.create("resnet8", input_shape=(1, 8, 8), classes=2)
    larger = tw.models.create("wide_resnet10_2", input_shape=(1, 8, 8), classes=2)
    before = {name: value.clone() for name, value in larger.state_dict().items()}
    counters = {n: v for n, v in larger.state_dict().items() if n.endswith("batches_tracked")}
    for weights in (smaller.state_dict(), counters):
        with pytest.raises(ModelError, match=r"only \d%"):
            load_weights(larger, weights)
    assert all(torch.equal(before[n], v) for n, v in larger.state_dict().items())


@pytest.mark.parametrize("name", ["mlp", "resnet20", "network_in_network", "densenet_bc22_12"])
def test_a_replaced_head_puts_out_other_classes_and_is_rebuilt(name: str) -> None:
    model = tw.models.create(name, input_shape=(3, 16, 16), classes=10, seed=0)
    replace_head(model, 3)
    assert model(torch.zeros(2, 3, 16, 16)).shape == (2, 3)
    again = tw.models.catalogue.rebuild(tw.models.catalogue.spec_of(model))
    shapes = [{n: v.shape for n, v in m.state_dict().items()} for m in (model, again)]
    assert shapes[0] == shapes[1]


@pytest.mark.parametrize("name", ["madaline", "sequence_to_sequence", "autoencoder"])
def test_a_head_that_is_not_all_that_depends_on_the_outputs_is_refused(name: str) -> None:
    model = tw.models.create(name, input_shape=(16,), classes=4, seed=0)
    before = model(torch.zeros(2, 16))
    with pytest.raises(ModelError, match=f"{name} has no single layer.*Create {name} for 3"):
        replace_head(model, 3)
    assert torch.equal(model(torch.zeros(2, 16)), before)
    assert tw.models.catalogue.spec_of(model).outputs in (4, 16)


def test_auxiliary_classifiers_put_out_the_classes_too() -> None:
    model = tw.models.create(
        "googlenet", input_shape=(3, 32, 32), classes=4, seed=0, auxiliary=True
    )
    with pytest.raises(ModelError, match="no single layer"):
        replace_head(model, 3)


def test_a_new_head_is_like_the_old_one_where_it_can_be() -> None:
    layer = nn.Conv2d(
        4, 6, 3, padding=2, dilation=2, groups=2, padding_mode="reflect", dtype=torch.float64
    )
    model = nn.Sequential(nn.Identity(), layer)
    new = replace_head(model, 8)[1]
    for name in ("dilation", "groups", "padding_mode", "kernel_size", "padding", "stride"):
        assert getattr(new, name) == getattr(layer, name)
    assert model(torch.zeros(1, 4, 9, 9, dtype=torch.float64)).shape == (1, 8, 9, 9)
    with pytest.raises(ModelError, match="2 groups"):
        replace_head(model, 3)
    with torch.device("meta"):
        abroad = nn.Sequential(nn.Linear(2, 3))
    assert replace_head(abroad, 4)[0].weight.device.type == "meta"
    with pytest.raises(ModelError, match="within it"):
        replace_head(nn.Linear(3, 3), 2)


def test_what_a_recipe_froze_is_trained_by_the_next_and_what_the_user_froze_is_not(
    tmp_path: Path,
) -> None:
    data = tw.load("iris")
    model = tw.models.create("mlp", data, seed=0, sizes=(8, 8))
    model.get_parameter("3.bias").requires_grad_(False)
    tw.fit(model, data, tw.Recipe(epochs=1, freeze=("1.*", "3.*")), out=tmp_path / "first")
    before = {name: value.detach().clone() for name, value in model.named_parameters()}
    tw.fit(model, data, tw.Recipe(epochs=1), out=tmp_path / "second")
    still = {n for n, value in model.named_parameters() if torch.equal(before[n], value)}
    assert still == {"3.bias"}


def test_normalisation_of_layers_that_are_not_unfrozen_yet_keeps_its_statistics() -> None:
    model = tw.models.create("resnet8", input_shape=(1, 8, 8), classes=2).train()
    still_frozen(model, unfrozen=1)
    norms = {n: m.training for n, m in model.named_modules() if isinstance(m, nn.BatchNorm2d)}
    assert [name for name, trains in norms.items() if trains] == ["blocks.2.norm2"]
    still_frozen(model.train())
    assert all(module.training for module in model.modules())


def test_frozen_layers_keep_every_bit_also_of_their_statistics(tmp_path: Path) -> None:
    data = tw.load("digits")
    model = tw.models.create("resnet8", data, seed=0)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    recipe = tw.Recipe(epochs=1, freeze=("conv.*", "norm.*", "blocks.0.*"))
    run = tw.fit(model, data, recipe, out=tmp_path / "run")
    after = weights_of(run)
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    frozen = ("conv.", "norm.", "blocks.0.")
    assert not any(name.startswith(frozen) for name in changed)
    trained = {n for n in before if not n.startswith(frozen) and "num_batches" not in n}
    assert trained <= changed


def test_patterns_that_match_nothing_or_everything_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no parameter is called like 'block'"):
        freeze(nn.Linear(2, 2), ["block"])
    with pytest.raises(ModelError, match="no parameter that can be trained"):
        tw.fit("mlp", "iris", tw.Recipe(freeze=("*",)), out=tmp_path / "run")
    with pytest.raises(RecipeError, match="layer_decay"):
        tw.Recipe(layer_decay=1.5)


def test_depth_counts_from_the_output_and_normalisation_goes_with_its_layer() -> None:
    model = tw.models.create("resnet8", input_shape=(1, 8, 8), classes=2)
    depths = depths_from_output(model)
    assert depths["classifier.weight"] == depths["classifier.bias"] == 0
    assert depths["blocks.2.conv2.weight"] == depths["blocks.2.norm2.bias"] == 1
    assert depths["conv.weight"] == depths["norm.weight"] == 7


def test_rates_fall_with_depth_as_the_recipe_says(tmp_path: Path) -> None:
    updates = {}
    for decay in (None, 0.1):
        recipe = tw.Recipe(
            epochs=1,
            layer_decay=decay,
            optimizer="sgd",
            momentum=0.0,
            weight_decay=0.0,
            batch_size=2000,
            warmup=0.0,
            schedule="constant",
            learning_rate=0.1,
        )
        data = tw.load("digits")
        model = tw.models.create("mlp", data, seed=0)
        before = {name: p.detach().clone() for name, p in model.named_parameters()}
        tw.fit(model, data, recipe, out=tmp_path / str(decay))
        updates[decay] = {n: p.detach() - before[n] for n, p in model.named_parameters()}
    for name, share in (("5.weight", 1.0), ("3.weight", 0.1), ("1.weight", 0.01)):
        assert torch.allclose(updates[0.1][name], share * updates[None][name], atol=2e-6)


def test_layers_are_unfrozen_one_after_another_and_resume_alike(tmp_path: Path) -> None:
    data = tw.load("digits")
    recipe = tw.Recipe(epochs=4, unfreeze_every=1, checkpoint_every=21, keep=10)
    whole = tw.fit("mlp", data, recipe, out=tmp_path / "whole")
    snapshots = []
    for folder in sorted((tmp_path / "whole" / "checkpoints").iterdir()):
        content = (folder / "weights.safetensors").read_bytes()
        snapshots.append(decode_tensors(content))
    moved = [
        [not torch.equal(a[f"{layer}.weight"], b[f"{layer}.weight"]) for layer in (1, 3, 5)]
        for a, b in itertools.pairwise(snapshots)
    ]
    assert moved[:4] == [
        [False, False, True],
        [False, True, True],
        [True, True, True],
        [True, True, True],
    ]
    assert whole.metrics["test_accuracy"] > 0.5
