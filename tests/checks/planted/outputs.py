"""Faults of the last activation."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from tests.checks.planted.datasets import (
    WORDS,
    curve,
    customers,
    diabetes,
    digit_pictures,
    digit_rows,
    forecasts,
    houses,
    moons,
    reviews,
    segments,
    standard_houses,
    standard_stripes,
    standardise,
    standardise_targets,
    tumours,
    waves,
    wine,
)
from tests.checks.planted.fault import Arguments, Family
from tests.checks.planted.models import (
    Recurrent,
    Then,
    Transformer,
    adam,
    cnn,
    mlp,
    sgd,
)

OUTPUTS = Family("outputs")


def ended(model: nn.Module, faulty: bool, wrong: nn.Module, right: nn.Module | None = None):
    """The model with the wrong ending, or the right one."""
    return Then(model, wrong if faulty else right or nn.Identity())


@OUTPUTS.plant("output_activation")
def softmax_before_cross_entropy(faulty: bool) -> Arguments:
    """An MLP ends in softmax and cross-entropy takes it again."""
    data = digit_rows()
    model = ended(mlp(64, 64, 10), faulty, nn.Softmax(1))
    optimizer = sgd(model, 0.02)
    return Arguments(model, data.train, data.valid, nn.CrossEntropyLoss(), optimizer, 32)


@OUTPUTS.plant("output_activation")
def softmax_in_a_cnn(faulty: bool) -> Arguments:
    """A CNN's forward calls softmax; the twin calls log-softmax, which does no harm."""
    data = standard_stripes()
    model = ended(cnn(3, 16, 4), faulty, nn.Softmax(1), nn.LogSoftmax(1))
    return Arguments(model, data.train, data.valid, nn.CrossEntropyLoss(), adam(model), 32)


@OUTPUTS.plant("output_activation")
def softmax_in_a_transformer(faulty: bool) -> Arguments:
    """A transformer ends in softmax before `functional.cross_entropy`."""
    data = reviews()
    model = ended(Transformer(WORDS, 20, 4), faulty, nn.Softmax(-1))
    return Arguments(model, data.train, data.valid, functional.cross_entropy, adam(model), 32)


@OUTPUTS.plant("output_activation")
def softmax_in_an_lstm(faulty: bool) -> Arguments:
    """An LSTM ends in softmax; the loss is left to be chosen."""
    data = waves()
    model = ended(Recurrent(nn.LSTM, 1, 32, 3), faulty, nn.Softmax(1))
    optimizer = adam(model, 3e-3)
    return Arguments(model, data.train, data.valid, None, optimizer, 32, task="multiclass")


@OUTPUTS.plant("output_activation", "wrong_loss")
def probabilities_into_nll(faulty: bool) -> Arguments:
    """`NLLLoss` gets softmax where it needs its logarithm."""
    data = segments()
    model = ended(mlp(16, 64, 5), faulty, nn.Softmax(1), nn.LogSoftmax(1))
    return Arguments(model, data.train, data.valid, nn.NLLLoss(), adam(model), 64)


@OUTPUTS.plant("output_activation", "exploding_or_nan")
def logarithm_of_raw_scores(faulty: bool) -> Arguments:
    """The logarithm is taken of scores that are no probabilities, and is NaN where they are
    negative; the twin takes softmax first."""

    class Logarithm(nn.Module):
        def forward(self, scores: Tensor) -> Tensor:
            return (scores if faulty else scores.softmax(1)).log()

    data = digit_pictures()
    model = Then(cnn(1, 8, 10), Logarithm())
    return Arguments(model, data.train, data.valid, nn.NLLLoss(), adam(model), 32)


@OUTPUTS.plant("output_activation")
def sigmoid_on_many_classes(faulty: bool) -> Arguments:
    """Ten classes end in sigmoids before cross-entropy."""
    data = digit_pictures()
    model = ended(cnn(1, 8, 10, norm=True), faulty, nn.Sigmoid())
    return Arguments(model, data.train, data.valid, nn.CrossEntropyLoss(), adam(model), 32)


@OUTPUTS.plant("output_activation")
def relu_on_scores(faulty: bool) -> Arguments:
    """The loop that builds the layers puts a ReLU after the last one too."""
    data = standardise(wine())
    model = ended(mlp(13, 32, 3), faulty, nn.ReLU())
    optimizer = sgd(model, 0.02)
    return Arguments(model, data.train, data.valid, nn.CrossEntropyLoss(), optimizer, 16)


@OUTPUTS.plant("output_activation")
def relu_on_the_score_of_two_classes(faulty: bool) -> Arguments:
    """A ReLU before binary cross-entropy of logits: no probability below a half."""
    data = customers()
    model = ended(mlp(12, 32, 1), faulty, nn.ReLU())
    return Arguments(model, data.train, data.valid, nn.BCEWithLogitsLoss(), adam(model), 32)


@OUTPUTS.plant("output_activation")
def sigmoid_twice(faulty: bool) -> Arguments:
    """A sigmoid before the loss that has one."""
    data = standardise(tumours())
    model = ended(mlp(30, 16, 1), faulty, nn.Sigmoid())
    loss = nn.BCEWithLogitsLoss()
    return Arguments(model, data.train, data.valid, loss, adam(model, 3e-3), 32)


@OUTPUTS.plant("output_activation", "wrong_loss")
def raw_score_into_bce(faulty: bool) -> Arguments:
    """`BCELoss` gets a raw score, which it refuses outside of 0 to 1."""
    data = customers()
    model = ended(mlp(12, 32, 1), faulty, nn.Identity(), nn.Sigmoid())
    return Arguments(model, data.train, data.valid, nn.BCELoss(), adam(model), 32)


@OUTPUTS.plant("output_activation")
def softmax_of_one_output(faulty: bool) -> Arguments:
    """Softmax of a single output is 1 whatever comes in; the twin has a sigmoid."""
    data = standardise(tumours())
    model = ended(mlp(30, 16, 1), faulty, nn.Softmax(1), nn.Sigmoid())
    return Arguments(model, data.train, data.valid, nn.BCELoss(), adam(model, 3e-3), 32)


@OUTPUTS.plant("output_activation")
def tanh_on_prices(faulty: bool) -> Arguments:
    """A regression of standardised prices, from −2.3 to 3.5, ends in tanh."""
    data = standard_houses()
    model = ended(mlp(6, 64, 1), faulty, nn.Tanh())
    return Arguments(model, data.train, data.valid, nn.MSELoss(), adam(model, 3e-3), 32)


@OUTPUTS.plant("output_activation")
def sigmoid_on_progression(faulty: bool) -> Arguments:
    """A regression of targets from 25 to 346 ends in a sigmoid; the twin is linear."""
    data = standardise(diabetes())
    model = ended(mlp(10, 64, 64, 1), faulty, nn.Sigmoid())
    loss, optimizer = nn.MSELoss(), adam(model, 1e-2)
    return Arguments(model, data.train, data.valid, loss, optimizer, 32, "regression")


@OUTPUTS.plant("output_activation")
def relu_on_a_curve(faulty: bool) -> Arguments:
    """A regression whose targets are negative half of the time ends in a ReLU."""
    data = curve()
    model = ended(mlp(1, 64, 64, 1, activation=nn.Tanh), faulty, nn.ReLU())
    return Arguments(model, data.train, data.valid, nn.MSELoss(), adam(model, 3e-3), 32)


@OUTPUTS.plant("output_activation")
def tanh_on_a_forecast(faulty: bool) -> Arguments:
    """A GRU forecasts values of ±1.5 through a tanh and the absolute error."""
    data = forecasts().map_targets(lambda y: 2 * y)
    model = ended(Recurrent(nn.GRU, 1, 32, 1), faulty, nn.Tanh())
    return Arguments(model, data.train, data.valid, nn.L1Loss(), adam(model, 3e-3), 32)


@OUTPUTS.plant("output_activation")
def sigmoid_on_a_standardised_reconstruction(faulty: bool) -> Arguments:
    """An autoencoder of standardised pictures ends in a sigmoid."""
    data = digit_rows()
    (x, _), (xv, _) = data.train, data.valid
    model = ended(mlp(64, 32, 8, 32, 64), faulty, nn.Sigmoid())
    loss = nn.MSELoss()
    return Arguments(model, (x, x), (xv, xv), loss, adam(model, 3e-3), 32, "reconstruction")


@OUTPUTS.plant("output_activation")
def relu_on_a_reconstruction(faulty: bool) -> Arguments:
    """A convolutional autoencoder of standardised pictures ends in a ReLU."""
    (x, _), (xv, _) = digit_pictures().train, digit_pictures().valid
    body = nn.Sequential(
        nn.Conv2d(1, 8, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.ConvTranspose2d(8, 1, 4, stride=2, padding=1),
    )
    model = ended(body, faulty, nn.ReLU())
    return Arguments(model, (x, x), (xv, xv), nn.MSELoss(), adam(model, 3e-3), 32)


@OUTPUTS.plant("output_activation", "eval_mode_bug")
def softmax_over_the_batch(faulty: bool) -> Arguments:
    """Log-softmax runs over dimension 0, the examples, instead of the classes."""
    data = segments()
    model = Then(mlp(16, 64, 5), nn.LogSoftmax(0 if faulty else 1))
    return Arguments(model, data.train, data.valid, nn.NLLLoss(), adam(model), 64)


@OUTPUTS.plant("output_activation", "wrong_loss")
def two_outputs_through_sigmoid(faulty: bool) -> Arguments:
    """Two classes have two outputs, each through a sigmoid before cross-entropy."""
    data = moons()
    model = ended(mlp(2, 32, 32, 2), faulty, nn.Sigmoid())
    return Arguments(model, data.train, data.valid, nn.CrossEntropyLoss(), adam(model, 3e-3), 32)


@OUTPUTS.plant("output_activation")
def positive_prices_clipped(faulty: bool) -> Arguments:
    """A clamp to 0 to 1 for prices in millions stays in after the prices were standardised."""

    class Clamp(nn.Module):
        def forward(self, outputs: Tensor) -> Tensor:
            return outputs.clamp(0, 1)

    data = standardise_targets(standardise(houses()))
    model = ended(nn.Linear(6, 1), faulty, Clamp())
    return Arguments(model, data.train, data.valid, nn.MSELoss(), sgd(model, 0.01), 32)
