"""Learning rates that are too high or too low for the model and its data."""

from __future__ import annotations

import torch
from torch import nn

from tests.checks.planted.datasets import (
    WORDS,
    curve,
    diabetes,
    digit_pictures,
    digit_rows,
    forecasts,
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
    BagOfWords,
    Recurrent,
    Transformer,
    adam,
    cnn,
    mlp,
    sgd,
)

RATES = Family("rates")


@RATES.plant("lr_too_high")
def ten_for_an_mlp(faulty: bool) -> Arguments:
    """SGD at a rate of 10 on an MLP."""
    data = digit_rows()
    model = mlp(64, 64, 10)
    optimizer = sgd(model, 10.0 if faulty else 0.1, momentum=0.0)
    return Arguments(model, data.train, data.valid, nn.CrossEntropyLoss(), optimizer, 32)


@RATES.plant("lr_too_high")
def adam_at_one(faulty: bool) -> Arguments:
    """Adam at a rate of 1 on a CNN."""
    data = standard_stripes()
    model = cnn(3, 16, 4)
    optimizer = adam(model, 1.0 if faulty else 1e-3)
    return Arguments(model, data.train, data.valid, nn.CrossEntropyLoss(), optimizer, 32)


@RATES.plant("lr_too_high")
def momentum_and_one(faulty: bool) -> Arguments:
    """SGD at a rate of 1 with a momentum of 0.9 on a regression."""
    data = standard_houses()
    model = mlp(6, 64, 64, 1)
    optimizer = sgd(model, 1.0 if faulty else 0.01)
    return Arguments(model, data.train, data.valid, nn.MSELoss(), optimizer, 32)


@RATES.plant("lr_too_high")
def beyond_twice_the_curvature(faulty: bool) -> Arguments:
    """A linear regression diverges: the rate is above 2 over the largest curvature."""
    data = standardise_targets(standardise(diabetes()))
    model = nn.Linear(10, 1)
    optimizer = sgd(model, 0.8 if faulty else 0.02, momentum=0.0)
    return Arguments(model, data.train, data.valid, nn.MSELoss(), optimizer, 32)


@RATES.plant("lr_too_high")
def half_for_a_gru(faulty: bool) -> Arguments:
    """Adam at 0.5 on a GRU."""
    data = waves()
    model = Recurrent(nn.GRU, 1, 32, 3)
    optimizer = adam(model, 0.5 if faulty else 3e-3)
    return Arguments(model, data.train, data.valid, nn.CrossEntropyLoss(), optimizer, 32)


@RATES.plant("lr_too_high")
def sgd_rate_given_to_adam(faulty: bool) -> Arguments:
    """A transformer's Adam got 0.3, a rate that was found for SGD."""
    data = reviews()
    model = Transformer(WORDS, 20, 4)
    optimizer = adam(model, 0.3 if faulty else 1e-3)
    return Arguments(model, data.train, data.valid, nn.CrossEntropyLoss(), optimizer, 32)


@RATES.plant("lr_too_high")
def rms_prop_at_a_half(faulty: bool) -> Arguments:
    """RMSProp at 0.5 on an autoencoder."""
    (x, _), (xv, _) = digit_rows().train, digit_rows().valid
    model = mlp(64, 32, 8, 32, 64)
    optimizer = torch.optim.RMSprop(model.parameters(), lr=0.5 if faulty else 1e-3)
    return Arguments(model, (x, x), (xv, xv), nn.MSELoss(), optimizer, 32)


@RATES.plant("lr_too_high")
def hundred_for_two_classes(faulty: bool) -> Arguments:
    """SGD at 100 with momentum on an MLP for two classes."""
    data = standardise(tumours())
    model = mlp(30, 32, 1)
    optimizer = sgd(model, 100.0 if faulty else 0.02)
    return Arguments(model, data.train, data.valid, nn.BCEWithLogitsLoss(), optimizer, 32)


@RATES.plant("lr_too_low")
def a_millionth(faulty: bool) -> Arguments:
    """SGD at 0.000001: the loss barely changes (the lecture's babysitting example)."""
    data = digit_rows()
    model = mlp(64, 50, 10)
    optimizer = sgd(model, 1e-6 if faulty else 0.1, momentum=0.0)
    return Arguments(model, data.train, data.valid, nn.CrossEntropyLoss(), optimizer, 32)


@RATES.plant("lr_too_low")
def adam_at_a_ten_millionth(faulty: bool) -> Arguments:
    """Adam at 0.0000001 on a CNN."""
    data = digit_pictures()
    model = cnn(1, 8, 10)
    optimizer = adam(model, 1e-7 if faulty else 1e-3)
    return Arguments(model, data.train, data.valid, nn.CrossEntropyLoss(), optimizer, 32)


@RATES.plant("lr_too_low")
def curve_that_does_not_bend(faulty: bool) -> Arguments:
    """SGD at 0.0000001 on a regression."""
    data = curve()
    model = mlp(1, 64, 64, 1, activation=nn.Tanh)
    optimizer = sgd(model, 1e-7 if faulty else 0.05)
    return Arguments(model, data.train, data.valid, nn.MSELoss(), optimizer, 32)


@RATES.plant("lr_too_low")
def lstm_that_stands_still(faulty: bool) -> Arguments:
    """AdamW at 0.00000001 on an LSTM."""
    data = forecasts()
    model = Recurrent(nn.LSTM, 1, 32, 1)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-8 if faulty else 3e-3)
    return Arguments(model, data.train, data.valid, nn.MSELoss(), optimizer, 32)


@RATES.plant("lr_too_low")
def softmax_regression_at_a_millionth(faulty: bool) -> Arguments:
    """SGD at 0.000001 on a linear classifier of wines."""
    data = standardise(wine())
    model = nn.Linear(13, 3)
    optimizer = sgd(model, 1e-6 if faulty else 0.05)
    return Arguments(model, data.train, data.valid, nn.CrossEntropyLoss(), optimizer, 16)


@RATES.plant("lr_too_low")
def rate_of_fine_tuning_from_scratch(faulty: bool) -> Arguments:
    """SGD without momentum at 0.00001, a rate for fine-tuning, on word vectors from scratch."""
    data = reviews()
    model = BagOfWords(WORDS, 4)
    optimizer = sgd(model, 1e-5, momentum=0.0) if faulty else adam(model, 3e-3)
    return Arguments(model, data.train, data.valid, nn.CrossEntropyLoss(), optimizer, 32)


@RATES.plant("lr_too_low")
def rate_left_at_zero(faulty: bool) -> Arguments:
    """A warm-up schedule that is never stepped leaves the rate at 0."""
    data = segments()
    model = mlp(16, 64, 5)
    optimizer = adam(model, 1e-3)
    torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 0.0 if faulty else 1.0)
    return Arguments(model, data.train, data.valid, nn.CrossEntropyLoss(), optimizer, 64)
