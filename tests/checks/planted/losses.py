"""Faults of the loss: another task's, shapes that broadcast, sums over the batch."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from tests.checks.planted.datasets import (
    WORDS,
    diabetes,
    digit_pictures,
    digit_rows,
    digits,
    forecasts,
    reviews,
    segments,
    standard_houses,
    standard_stripes,
    standardise,
    standardise_targets,
    trends,
    tumours,
)
from tests.checks.planted.fault import Arguments, Family
from tests.checks.planted.models import (
    BagOfWords,
    Recurrent,
    TextRecurrent,
    adam,
    cnn,
    mlp,
    sgd,
)

LOSSES = Family("losses")


@LOSSES.plant("wrong_loss")
def column_against_row(faulty: bool) -> Arguments:
    """Outputs `(N, 1)` meet targets `(N,)` in the squared error, which broadcasts to `(N, N)`."""
    data = standardise_targets(standardise(diabetes()))
    if faulty:
        data = data.map_targets(lambda y: y.squeeze(1))
    model = mlp(10, 32, 1)
    return Arguments(model, data.train, data.valid, nn.MSELoss(), adam(model, 3e-3), 32)


@LOSSES.plant("wrong_loss")
def row_against_column(faulty: bool) -> Arguments:
    """The model squeezes its output to `(N,)` and the targets are `(N, 1)`; absolute error."""

    class Squeezed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = mlp(6, 64, 1)

        def forward(self, rows: Tensor) -> Tensor:
            return self.body(rows).squeeze(1) if faulty else self.body(rows)

    data = standard_houses()
    model = Squeezed()
    return Arguments(model, data.train, data.valid, nn.L1Loss(), adam(model, 3e-3), 32)


@LOSSES.plant("wrong_loss")
def own_loss_that_broadcasts(faulty: bool) -> Arguments:
    """A hand-written squared error subtracts `(N,)` from `(N, 1)`."""

    def squared_error(outputs: Tensor, targets: Tensor) -> Tensor:
        if not faulty:
            outputs = outputs.squeeze(1)
        return (outputs - targets).pow(2).mean()

    data = forecasts().map_targets(lambda y: y.squeeze(1))
    model = Recurrent(nn.LSTM, 1, 32, 1)
    return Arguments(model, data.train, data.valid, squared_error, adam(model, 3e-3), 32)


@LOSSES.plant("wrong_loss")
def cross_entropy_of_one_output(faulty: bool) -> Arguments:
    """Cross-entropy of a single output with float targets `(N, 1)` is always 0; the twin has binary
    cross-entropy."""
    data = standardise(tumours())
    model = mlp(30, 16, 1)
    loss = nn.CrossEntropyLoss() if faulty else nn.BCEWithLogitsLoss()
    return Arguments(model, data.train, data.valid, loss, adam(model, 3e-3), 32, "binary")


@LOSSES.plant("wrong_loss")
def squared_error_of_class_numbers(faulty: bool) -> Arguments:
    """Ten classes are predicted as a number from 0 to 9; the twin has ten outputs."""

    def squared_error(outputs: Tensor, targets: Tensor) -> Tensor:
        return functional.mse_loss(outputs.squeeze(1), targets.float())

    data = digit_pictures()
    model = cnn(1, 8, 1 if faulty else 10)
    loss = squared_error if faulty else nn.CrossEntropyLoss()
    return Arguments(model, data.train, data.valid, loss, adam(model), 32, "multiclass")


@LOSSES.plant("wrong_loss", "detach_inplace")
def error_of_the_arg_max(faulty: bool) -> Arguments:
    """The loss compares the winning class with the right one, which has no gradient."""

    def compare(outputs: Tensor, targets: Tensor) -> Tensor:
        if not faulty:
            return functional.cross_entropy(outputs, targets)
        wrong = (outputs.argmax(1) != targets).float().mean()
        return wrong.requires_grad_()

    data = segments()
    model = mlp(16, 32, 5)
    return Arguments(model, data.train, data.valid, compare, adam(model), 64, "multiclass")


@LOSSES.plant("wrong_loss", "output_activation")
def nll_of_raw_scores(faulty: bool) -> Arguments:
    """`NLLLoss` gets raw scores: it falls without end."""
    data = standard_stripes()
    model = cnn(3, 16, 4, norm=True)
    loss = nn.NLLLoss() if faulty else nn.CrossEntropyLoss()
    return Arguments(model, data.train, data.valid, loss, adam(model), 32)


@LOSSES.plant("wrong_loss", "gradient_ascent")
def sign_of_the_loss(faulty: bool) -> Arguments:
    """The log-likelihood is minimised: a minus sign is missing."""

    def objective(outputs: Tensor, targets: Tensor) -> Tensor:
        likelihood = outputs.log_softmax(1).gather(1, targets.unsqueeze(1)).mean()
        return likelihood if faulty else -likelihood

    data = digit_rows()
    model = mlp(64, 64, 10)
    return Arguments(model, data.train, data.valid, objective, adam(model), 32, "multiclass")


@LOSSES.plant("wrong_loss", "output_activation")
def cross_entropy_of_standardised_pictures(faulty: bool) -> Arguments:
    """An autoencoder's binary cross-entropy gets standardised pictures as targets, beyond 0 and 1;
    the twin's are scaled to 0 to 1."""
    data = digit_rows() if faulty else digits().map_inputs(lambda x: x.flatten(1) / 16)
    (x, _), (xv, _) = data.train, data.valid
    model = mlp(64, 32, 8, 32, 64)
    loss = nn.BCEWithLogitsLoss()
    return Arguments(model, (x, x), (xv, xv), loss, adam(model, 3e-3), 32, "reconstruction")


@LOSSES.plant("wrong_loss", "corrupted_labels")
def hinge_on_zero_and_one(faulty: bool) -> Arguments:
    """A hinge loss for −1 and +1 gets the classes 0 and 1: the class 0 has no gradient."""

    def hinge(outputs: Tensor, targets: Tensor) -> Tensor:
        signs = targets if faulty else 2 * targets - 1
        return (1 - signs * outputs).clamp(min=0).mean()

    data = standardise(tumours())
    model = nn.Linear(30, 1)
    return Arguments(model, data.train, data.valid, hinge, sgd(model, 0.01), 32, "binary")


@LOSSES.plant("loss_reduction")
def cross_entropy_summed(faulty: bool) -> Arguments:
    """Cross-entropy sums over the batch."""
    data = digit_rows()
    model = mlp(64, 64, 10)
    loss = nn.CrossEntropyLoss(reduction="sum" if faulty else "mean")
    return Arguments(model, data.train, data.valid, loss, sgd(model, 0.02), 64)


@LOSSES.plant("loss_reduction")
def squared_error_summed(faulty: bool) -> Arguments:
    """The squared error sums over the batch."""
    data = standard_houses()
    model = mlp(6, 64, 1)
    loss = nn.MSELoss(reduction="sum" if faulty else "mean")
    return Arguments(model, data.train, data.valid, loss, adam(model, 3e-3), 32)


@LOSSES.plant("loss_reduction")
def binary_cross_entropy_summed(faulty: bool) -> Arguments:
    """A GRU's binary cross-entropy sums over the batch."""
    data = trends().map_targets(lambda y: y.float().unsqueeze(1))
    model = Recurrent(nn.GRU, 1, 16, 1)
    loss = nn.BCEWithLogitsLoss(reduction="sum" if faulty else "mean")
    return Arguments(model, data.train, data.valid, loss, adam(model, 3e-3), 32)


@LOSSES.plant("loss_reduction")
def own_loss_summed(faulty: bool) -> Arguments:
    """A hand-written cross-entropy sums over the examples."""

    def cross_entropy(outputs: Tensor, targets: Tensor) -> Tensor:
        each = -outputs.log_softmax(1).gather(1, targets.unsqueeze(1))
        return each.sum() if faulty else each.mean()

    data = standard_stripes()
    model = cnn(3, 16, 4)
    return Arguments(model, data.train, data.valid, cross_entropy, adam(model), 32, "multiclass")


@LOSSES.plant("loss_reduction")
def divided_by_the_batch_twice(faulty: bool) -> Arguments:
    """The mean is divided by the number of examples once more."""

    def cross_entropy(outputs: Tensor, targets: Tensor) -> Tensor:
        loss = functional.cross_entropy(outputs, targets)
        return loss / len(outputs) if faulty else loss

    data = reviews()
    model = BagOfWords(WORDS, 4)
    optimizer = adam(model, 3e-3)
    return Arguments(model, data.train, data.valid, cross_entropy, optimizer, 32, "multiclass")


@LOSSES.plant("loss_reduction")
def reconstruction_summed_over_the_batch(faulty: bool) -> Arguments:
    """A reconstruction error sums over values and examples; the twin sums over the values and
    takes the mean of the examples, as many do."""

    def squared_error(outputs: Tensor, targets: Tensor) -> Tensor:
        each = (outputs - targets).square().sum(1)
        return each.sum() if faulty else each.mean()

    (x, _), (xv, _) = digit_rows().train, digit_rows().valid
    model = mlp(64, 32, 8, 32, 64)
    optimizer = adam(model, 3e-3)
    return Arguments(model, (x, x), (xv, xv), squared_error, optimizer, 32, "reconstruction")


@LOSSES.plant("loss_reduction")
def lstm_of_texts_summed(faulty: bool) -> Arguments:
    """`functional.cross_entropy` with the sum, told with the loss function alone."""

    def loss(outputs: Tensor, targets: Tensor) -> Tensor:
        return functional.cross_entropy(outputs, targets, reduction="sum" if faulty else "mean")

    data = reviews()
    model = TextRecurrent(WORDS, 4)
    return Arguments(model, data.train, loss_fn=loss, optimizer=adam(model, 3e-3))
