"""Models by name: published sizes, shapes that fit, clear refusals, and that they learn."""

from __future__ import annotations

import copy
import os
from collections.abc import Callable, Collection
from pathlib import Path

import pytest
import torch
from torch.nn.modules.batchnorm import _BatchNorm

import trainwell as tw
from tests.models.fitting_data import few_examples, on_meta
from trainwell.errors import ModelError
from trainwell.models.catalogue import CATALOGUE, find_entry
from trainwell.nn.losses import choose_loss
from trainwell.nn.objective import OwnObjective, make_objective
from trainwell.optim.optimizers import OPTIMIZERS
from trainwell.training.trial import count_parameters

IMAGE = (3, 32, 32)
HEAVY = 5_000_000
NO_GRADIENT = {
    "perceptron": "counts wrong units; what it follows is another loss",
    "madaline": "rule I adapts chosen voters towards ±1; the mean vote is a step function",
    "madaline_2": "rule II adapts units that were flipped on trial; its outputs are steps",
    "rbm": "contrastive divergence is the gradient of no function (Sutskever & Tieleman 2010)",
    "hopfield": "Hebb's rule is one update, not the slope of the recall error",
    "self_organising_map": "moves the neighbours of the winner, which the error does not see",
}

NOTHING_TO_LEARN = ("naive_forecast", "mean_forecast", "moving_average")

TWINS = (
    "resnet44",
    "resnet56",
    "resnet110",
    "resnet1202",
    "plain56",
    "stochastic_depth_resnet110",
    "fixup_resnet110",
    "preact_resnet1001",
    "resnet152",
    "densenet100_12",
    "densenet100_24",
    "densenet_bc250_24",
    "densenet_bc190_40",
    "densenet161",
    "densenet169",
    "densenet201",
    "vgg13",
    "vgg16",
    "vgg19",
    "alexnet_without_7",
    "zfnet",
    "resnet34",
    "resnet101",
    "wide_resnet28_10",
)
"""More of the same blocks as another model that is tested. They take one step on tiny inputs; with
TRAINWELL_EVERY_MODEL set (`make test-models`) they are tested as all others, which takes half an
hour."""


def marked_by_size(without: Collection[str] = ()) -> list[object]:
    """All names; those with many parameters or layers only where slow tests run."""
    deep = ("resnet32", "resnet44", "resnet56", "plain56", "resnet110", "resnet152", "resnet1202")
    return [
        pytest.param(name, marks=pytest.mark.slow)
        if name in deep
        or name.startswith(("densenet", "inception", "stochastic", "preact", "highway"))
        or count_parameters(on_meta(name)) > HEAVY
        else name
        for name in CATALOGUE
        if name not in without and (name not in TWINS or os.environ.get("TRAINWELL_EVERY_MODEL"))
    ]


EVERY_NAME = marked_by_size()


@pytest.mark.parametrize(
    ("name", "parameters"),
    {
        "softmax": 7_850,
        "mlp": 784 * 256 + 256 + 256 * 128 + 128 + 128 * 10 + 10,
        "lenet5": 61_706,
        "autoencoder": 11_210,
        "alexnet": 61_100_840,
        "zfnet": 107_627_624,
        "network_in_network": 966_986,
        "vgg11": 132_863_336,
        "vgg13": 133_047_848,
        "vgg16": 138_357_544,
        "vgg19": 143_667_240,
        "googlenet": 6_998_552,
        "bn_inception": 11_285_224,
        "inception_v3": 23_834_568,
        "resnet18": 11_689_512,
        "resnet34": 21_797_672,
        "resnet50": 25_557_032,
        "resnet101": 44_549_160,
        "resnet152": 60_192_808,
        "densenet121": 7_978_856,
        "densenet161": 28_681_000,
        "densenet169": 14_149_480,
        "densenet201": 20_013_928,
        "preact_resnet1001": 10_327_706,
    }.items(),
)
def test_parameters_equal_those_of_well_known_implementations(name: str, parameters: int) -> None:
    assert count_parameters(on_meta(name)) == parameters


@pytest.mark.parametrize(
    ("name", "millions"),
    {
        "resnet20": "0.27",
        "resnet32": "0.46",
        "resnet44": "0.66",
        "resnet56": "0.85",
        "resnet110": "1.7",
        "resnet1202": "19.4",
        "preact_resnet164": "1.7",
        "wide_resnet16_8": "11.0",
        "wide_resnet28_10": "36.5",
        "densenet40_12": "1.0",
        "densenet100_12": "7.0",
        "densenet100_24": "27.2",
        "densenet_bc100_12": "0.8",
        "densenet_bc250_24": "15.3",
        "densenet_bc190_40": "25.6",
        "fractalnet21": "38.6",
        "highway19": "2.3",
        "highway32": "1.25",
    }.items(),
)
def test_small_image_networks_have_the_published_number_of_parameters(
    name: str, millions: str
) -> None:
    digits = len(millions.partition(".")[2])
    assert f"{count_parameters(on_meta(name)) / 1e6:.{digits}f}" == millions


def test_bn_inception_with_biases_has_the_parameters_of_the_implementation_in_use() -> None:
    model = on_meta("bn_inception")
    convolutions = [m for m in model.modules() if isinstance(m, torch.nn.Conv2d)]
    biases = sum(conv.out_channels for conv in convolutions)
    assert count_parameters(model) + biases == 11_295_240


def test_the_published_count_of_preact_resnet1001_leaves_normalisation_out() -> None:
    model = on_meta("preact_resnet1001")
    norms = [m for m in model.modules() if isinstance(m, _BatchNorm)]
    without = count_parameters(model) - sum(count_parameters(norm) for norm in norms)
    assert f"{without / 1e6:.1f}" == "10.2"


def test_alexnet_without_layers_is_as_much_smaller_as_the_lectures_say() -> None:
    whole = count_parameters(on_meta("alexnet"))
    without_7 = whole - count_parameters(on_meta("alexnet_without_7"))
    without_4 = whole - count_parameters(on_meta("alexnet_without_3_4_6_7"))
    assert 16e6 < without_7 < 17e6
    assert 50e6 < without_4 < 52e6


def test_two_columns_of_alexnet_have_the_parameters_of_the_paper() -> None:
    model = tw.models.create("alexnet", input_shape=(3, 224, 224), classes=1000, columns=2)
    assert count_parameters(model) == 60_965_224


def test_networks_for_imagenet_have_a_published_figure() -> None:
    large = [name for name, entry in CATALOGUE.items() if entry.outputs == 1000]
    assert len(large) > 15
    assert all(CATALOGUE[name].published for name in large)


def test_the_slope_of_an_activation_is_an_option_and_sizes_may_be_one_number() -> None:
    model = tw.models.create(
        "mlp", input_shape=(4,), classes=2, sizes=8, activation="leaky_relu", slope=0.3
    )
    slopes = [m.negative_slope for m in model if isinstance(m, torch.nn.LeakyReLU)]
    assert slopes == [0.3]
    with pytest.raises(ModelError, match="relu has no slope"):
        tw.models.create("mlp", input_shape=(4,), classes=2, slope=0.3)
    coder = tw.models.create("variational_autoencoder", input_shape=(4,), classes=4, sizes=8)
    assert coder(torch.rand(3, 4)).shape == (3, 4)


def test_fractalnet_has_as_many_blocks_as_widths() -> None:
    model = tw.models.create("fractalnet21", input_shape=(3, 64, 64), classes=2, widths=(4,) * 6)
    assert len(model.blocks) == 6
    assert model(torch.zeros(2, 3, 64, 64)).shape == (2, 2)


def test_neighbours_count_in_two_columns_of_alexnet_as_the_paper_has_it() -> None:
    model = tw.models.create("alexnet", input_shape=(3, 64, 64), classes=2, columns=2)
    norms = [m for m in model.modules() if isinstance(m, torch.nn.LocalResponseNorm)]
    maps = 30 * torch.randn(1, 9, 1, 1, generator=torch.Generator().manual_seed(0))
    sums = torch.stack([maps[0, max(0, i - 2) : i + 3].square().sum() for i in range(9)])
    expected = maps[0, :, 0, 0] / (2 + 1e-4 * sums) ** 0.75
    assert len(norms) == 2
    assert torch.allclose(norms[0](maps)[0, :, 0, 0], expected, rtol=1e-4)


@pytest.mark.parametrize(
    ("name", "whole", "heads"),
    [("googlenet", 13_378_280, 2), ("inception_v3", 27_161_264, 1)],
)
def test_auxiliary_classifiers_have_their_parameters(name: str, whole: int, heads: int) -> None:
    entry = find_entry(name)
    with torch.device("meta"):
        model = entry.build(entry.input_shape, entry.outputs, auxiliary=True)
    assert len(model.heads) == heads and count_parameters(model) == whole
    plain = on_meta(name)
    assert count_parameters(plain) == whole - count_parameters(model.heads)


@pytest.mark.parametrize(
    ("name", "size", "share"), [("googlenet", 32, 0.3), ("inception_v3", 75, 0.4)]
)
def test_auxiliary_classifiers_add_a_share_of_their_losses_while_training(
    name: str, size: int, share: float
) -> None:
    images, targets = torch.randn(4, 3, size, size), torch.tensor([0, 1, 2, 1])
    model = tw.models.create(
        name, input_shape=(3, size, size), classes=3, seed=0, auxiliary=True, dropout=0.0
    )
    loss = choose_loss("multiclass", 3)
    for head in model.heads.values():
        torch.nn.init.normal_(head[-1].bias)
        for module in head.modules():
            module.p = 0.0
    seen: list[torch.Tensor] = []
    for head in model.heads.values():
        head.register_forward_hook(lambda module, args, output: seen.append(output))
    outputs, measured = model.train().measure(images, targets, loss)
    added = sum(share * loss(scores, targets) for scores in seen)
    assert len(seen) == len(model.heads)
    assert torch.allclose(measured, loss(outputs, targets) + added)
    measured.backward()
    assert all(p.grad is not None for p in model.parameters())
    with torch.no_grad():
        outputs, measured = model.eval().measure(images, targets, loss)
    assert torch.equal(measured, loss(outputs, targets))
    assert torch.equal(outputs, model(images))


@pytest.mark.parametrize(
    ("name", "blocks"), [("resnet26", 12), ("preact_resnet29", 9), ("wide_resnet10_2", 3)]
)
def test_a_family_makes_models_of_any_fitting_depth(name: str, blocks: int) -> None:
    model = tw.models.create(name, input_shape=IMAGE, classes=10)
    assert len(model.blocks) == blocks  # type: ignore[arg-type]


def test_a_seed_draws_the_same_weights_and_leaves_torchs_generator_alone() -> None:
    torch.manual_seed(1)
    expected = torch.rand(2)
    torch.manual_seed(1)
    first, second = (tw.models.create("mlp", input_shape=(4,), classes=3, seed=9) for _ in "ab")
    assert torch.equal(torch.rand(2), expected)
    pairs = zip(first.parameters(), second.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)


@pytest.mark.parametrize("name", marked_by_size(NOTHING_TO_LEARN))
def test_a_few_steps_of_fit_lower_the_loss(name: str, tmp_path: Path) -> None:
    entry = find_entry(name)
    # A rule that follows another loss than is shown needs more than a few steps to lower it.
    has_rule = name in NO_GRADIENT
    is_heavy = count_parameters(on_meta(name)) > HEAVY
    count = 8 if entry.suits == "shapes" or is_heavy else 512 if has_rule else 64
    data = few_examples(name, count)
    options = {"dropout": 0.0} if "dropout" in _options(name) else {}
    model = tw.models.create(name, data, seed=0, **options)
    usual = entry.recipe.get("learning_rate", OPTIMIZERS["nesterov"].learning_rate)
    # All examples in each step and no warm-up: what the epochs show are steps.
    recipe = tw.Recipe(
        epochs=20 if has_rule else 3,
        batch_size=min(count, 64),
        learning_rate=usual if has_rule else usual / 30,
        schedule="constant",
        warmup=0.0,
        augment=(),
        precision="float32",
    )
    run = tw.fit(model, data, recipe, out=tmp_path / "run")
    losses = [row["train_loss"] for row in run.history if row["kind"] == "epoch"]
    assert losses[-1] < losses[0]


def _options(name: str) -> list[str]:
    import inspect

    return list(inspect.signature(find_entry(name).build).parameters)


@pytest.mark.parametrize("name", marked_by_size(NO_GRADIENT))
def test_the_gradient_is_the_slope_of_the_loss_in_double_precision(name: str) -> None:
    data = few_examples(name, 2)
    model = tw.models.create(name, data, seed=0).double().eval()
    assert isinstance(data.train.inputs, torch.Tensor)
    inputs = data.preprocess(data.train.inputs).double()
    targets = inputs.flatten(1) if data.task == "reconstruction" else data.train.targets
    if targets.is_floating_point():
        targets = targets.double()
    measure = make_objective(model, choose_loss(data.task, data.outputs))
    # So small that hardly any ReLU or maximum changes sides.
    compare_slope(model, lambda: measure(inputs, targets)[1], step=1e-7)


def compare_slope(
    model: torch.nn.Module, loss_now: Callable[[], torch.Tensor], step: float
) -> None:
    """Compares the gradient in a random direction with the difference of losses along it."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for p in parameters:
            # Away from the kinks at which zero biases put units that see only zeros.
            p.add_(torch.randn(p.shape, generator=generator).double(), alpha=1e-2)
    loss_now().backward()
    expected, ahead, behind = 0.0, [], []
    directions = [torch.randn(p.shape, generator=generator).double() for p in parameters]
    for p, direction in zip(parameters, directions, strict=True):
        assert p.grad is not None
        expected += float((p.grad * direction).sum())
    with torch.no_grad():
        for values, sign in ((ahead, 1), (behind, -2)):
            for p, direction in zip(parameters, directions, strict=True):
                p.add_(direction, alpha=sign * step)
            values.append(float(loss_now()))
    slope = (ahead[0] - behind[0]) / (2 * step)
    assert slope == pytest.approx(expected, rel=2e-3, abs=1e-6)


NORMALISED = {
    "resnet8": 8,
    "stochastic_depth_resnet8": 8,
    "plain8": 8,
    "preact_resnet11": 8,
    "wide_resnet10_1": 8,
    "densenet7_4": 8,
    "densenet_bc10_4": 8,
    "fractalnet21": 8,
    "resnet18": 32,
    "bn_inception": 32,
    "inception_v3": 75,
    "time_series_resnet": 8,
}
"""One of each family with batch normalisation, and the pixels it is given."""


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.slow) if NORMALISED[name] > 8 else name
        for name in NORMALISED
    ],
)
def test_the_gradient_goes_through_the_statistics_of_the_batch_too(name: str) -> None:
    size = NORMALISED[name]
    options = {"widths": (4, 4)} if name == "fractalnet21" else {}
    model = tw.models.create(name, input_shape=(3, size, size), classes=3, seed=0, **options)
    model.double().train()
    generator = torch.Generator().manual_seed(1)
    images = torch.randn(6, 3, size, size, generator=generator).double()
    measure = make_objective(model, choose_loss("multiclass", 3))

    def loss_now() -> torch.Tensor:
        # What is dropped is the same each time.
        torch.manual_seed(3)
        return measure(images, torch.tensor([0, 1, 2, 0, 1, 2]))[1]

    # Statistics of a few values bend the loss more.
    compare_slope(model, loss_now, step=1e-9)


SMALLEST = {"alexnet_without_7": 63, "zfnet": 63, "vgg": 32, "resnet34": 64, "resnet101": 64}
SMALLEST |= {"resnet152": 64, "densenet161": 64, "densenet169": 64, "densenet201": 64}


@pytest.mark.slow
@pytest.mark.parametrize("name", TWINS)
def test_a_twin_puts_out_the_classes_and_a_step_lowers_its_loss(name: str) -> None:
    size = next((SMALLEST[known] for known in SMALLEST if name.startswith(known)), 8)
    # Names of CIFAR networks begin like others: resnet1202 is no resnet152.
    size = 8 if CATALOGUE[name].input_shape == IMAGE else size
    options = {"dropout": 0.0} if "dropout" in _options(name) else {}
    model = tw.models.create(name, input_shape=(3, size, size), classes=3, seed=0, **options)
    images = torch.randn(4, 3, size, size, generator=torch.Generator().manual_seed(1))
    measure = make_objective(model.train(), choose_loss("multiclass", 3))
    losses = []
    for _ in range(2):
        torch.manual_seed(3)
        outputs, loss = measure(images, torch.tensor([0, 1, 2, 0]))
        assert outputs.shape == (4, 3)
        losses.append(loss.item())
        model.zero_grad()
        loss.backward()
        gradients = [p.grad for p in model.parameters() if p.grad is not None]
        square = float(torch.stack(torch._foreach_norm(gradients)).square().sum())
        with torch.no_grad():
            # To first order it lowers the loss by 0.001.
            parameters = [p for p in model.parameters() if p.grad is not None]
            torch._foreach_add_(parameters, gradients, alpha=-0.001 / square)
    assert losses[1] < losses[0]


@pytest.mark.parametrize("name", EVERY_NAME)
def test_the_initial_loss_is_near_what_chance_predicts(name: str) -> None:
    data = few_examples(name, 16)
    if data.task not in ("multiclass", "binary"):
        pytest.skip("a reconstruction and a forecast have no chance level in nats")
    model = tw.models.create(name, data, seed=0)
    assert isinstance(data.train.inputs, torch.Tensor)
    outputs = model(data.preprocess(data.train.inputs))
    chance = torch.tensor(float(max(data.outputs, 2))).log()
    loss = choose_loss(data.task, data.outputs)(outputs, data.train.targets)
    assert abs(loss.item() - chance.item()) < 0.35


UNCOMPILED = (
    "rnn",
    "lstm",
    "gru",
    "residual_lstm",
    "sequence_to_sequence",
    "sequence_autoencoder",
    "hopfield",
)
"""torch.compile leaves torch.nn.RNN, LSTM and GRU out of its graphs: they have kernels already. The
Hopfield network's units are updated one after another, hundreds of them, and are kept out."""


@pytest.mark.parametrize("name", EVERY_NAME)
def test_a_training_step_compiles_as_one_graph(name: str) -> None:
    data = few_examples(name, 2)
    model = tw.models.create(name, data, seed=0).train()
    assert isinstance(data.train.inputs, torch.Tensor)
    inputs = data.preprocess(data.train.inputs)
    targets = inputs.flatten(1) if data.task == "reconstruction" else data.train.targets
    loss = choose_loss(data.task, data.outputs)
    torch._dynamo.reset()
    # What `fit` compiles. The graph is what is asked for; generating machine code for it takes
    # minutes a model.
    own = isinstance(model, OwnObjective)
    compiled = torch.compile(model.measure if own else model, fullgraph=True, backend="aot_eager")
    arguments = (inputs, targets, loss) if own else (inputs,)
    if name in UNCOMPILED:
        with pytest.raises(torch._dynamo.exc.Unsupported):
            compiled(*arguments)
        return
    found = compiled(*arguments)
    outputs, measured = found if own else (found, loss(found, targets))
    assert outputs.shape[0] == 2
    if measured.requires_grad:
        measured.backward()


@pytest.mark.parametrize("name", EVERY_NAME)
def test_channels_last_gives_the_same_outputs(name: str) -> None:
    data = few_examples(name, 2)
    assert isinstance(data.train.inputs, torch.Tensor)
    inputs = data.preprocess(data.train.inputs)
    if inputs.ndim != 4:
        pytest.skip("the inputs are no images")
    model = tw.models.create(name, data, seed=0).eval()
    other = copy.deepcopy(model).to(memory_format=torch.channels_last)
    with torch.no_grad():
        plain = model(inputs)
        arranged = other(inputs.contiguous(memory_format=torch.channels_last))
    assert torch.allclose(plain, arranged, atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize(
    ("name", "shape", "message"),
    [
        ("lenet5", (1, 4, 4), "at least 8"),
        ("googlenet", (1, 8, 8), "at least 32 × 32"),
        ("inception_v3", IMAGE, "at least 75 × 75"),
        ("resnet20", (13,), "flat inputs"),
        ("resnt20", IMAGE, "Did you mean 'resnet20'"),
        ("resnet21", IMAGE, "6n \\+ 2, such as 20 or 26"),
        ("densenet41_12", IMAGE, "3n \\+ 4"),
        ("wide_resnet28_0", IMAGE, "6n \\+ 4"),
    ],
)
def test_a_model_that_cannot_be_is_refused(name: str, shape: tuple[int, ...], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        tw.models.create(name, input_shape=shape, classes=10)


@pytest.mark.parametrize(
    ("name", "data", "other"),
    [
        ("linear_regression", "iris", "logistic_regression"),
        ("logistic_regression", "diabetes", "linear_regression"),
        ("softmax", "diabetes", "linear_regression"),
    ],
)
def test_linear_models_refuse_tasks_that_they_are_not_for(name: str, data: str, other: str) -> None:
    with pytest.raises(ModelError, match=f"{name} is for .* Use mlp, or {other}"):
        tw.models.create(name, tw.load(data))


def test_an_option_that_is_unknown_fixed_or_impossible_is_refused() -> None:
    for option in ({"dept": 20}, {"depth": 32}):
        with pytest.raises(ModelError, match="has no option"):
            tw.models.create("resnet20", input_shape=IMAGE, classes=10, **option)
    with pytest.raises(ModelError, match="cannot do without layer 5"):
        tw.models.create("alexnet", input_shape=(3, 64, 64), classes=2, without=(5,))
    with pytest.raises(ModelError, match="cannot be built"):
        tw.models.create("mlp", input_shape=(4,), classes=2, sizes="many")
