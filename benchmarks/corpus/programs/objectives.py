"""Last layers, losses and their reductions that do not fit the task or each other."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import SGD, Adam, AdamW, RMSprop

from benchmarks.corpus.architectures import (
    Factors,
    ResidualImage,
    Tagger,
    mask_network,
    residual_mlp,
    segment_network,
)
from benchmarks.corpus.networks import cnn, mlp
from benchmarks.corpus.program import Outcome, Watch, faulty
from benchmarks.corpus.tasks import (
    applicants,
    bitmaps,
    counts,
    houses,
    masks,
    ratings,
    scaled_stripes,
    scaled_topics,
    segments,
    sensors,
    series,
    shapes,
    tags,
)
from benchmarks.corpus.training import (
    bit_accuracy,
    label_f1,
    position_accuracy,
    train,
)


@faulty("topics-softmax-over-many-labels", "output_activation", learns=0.6, margin=0.1, version=2)
def softmax_over_many_labels(watch: Watch, faulty: bool) -> Outcome:
    """Several labels are true at once, but probabilities that sum to 1 cannot say so."""
    model = mlp(20, 32, 5).append(nn.Softmax(1) if faulty else nn.Sigmoid())
    optimizer = Adam(model.parameters(), lr=0.005)

    def metric(outputs: Tensor, targets: Tensor) -> float:
        return label_f1(outputs - 0.5, targets)

    return train(
        watch,
        model,
        optimizer,
        nn.BCELoss(),
        scaled_topics(),
        epochs=12,
        told="data",
        metric=metric,
    )


@faulty(
    "applicants-sigmoid-twice", "output_activation", subtle=True, learns=0.7, margin=0.03, version=2
)
def sigmoid_twice(watch: Watch, faulty: bool) -> Outcome:
    model = residual_mlp(5, 16, 1)
    if faulty:
        model.append(nn.Sigmoid())
    optimizer = SGD(model.parameters(), lr=0.05)

    def metric(outputs: Tensor, targets: Tensor) -> float:
        return bit_accuracy(outputs - 0.5 if faulty else outputs, targets)

    return train(
        watch, model, optimizer, nn.BCEWithLogitsLoss(), applicants(), epochs=8, metric=metric
    )


@faulty("series-relu-on-the-forecast", "output_activation", learns=0.5, margin=0.1, version=2)
def relu_on_the_forecast(watch: Watch, faulty: bool) -> Outcome:
    """The series goes below zero, the network cannot."""
    model = mlp(20, 32, 1)
    if faulty:
        model.append(nn.ReLU())
    optimizer = RMSprop(model.parameters(), lr=0.003)
    return train(watch, model, optimizer, nn.MSELoss(), series(), epochs=12)


@faulty(
    "sensors-sigmoid-on-centred-columns", "output_activation", subtle=True, learns=0.7, version=2
)
def sigmoid_on_centred_columns(watch: Watch, faulty: bool) -> Outcome:
    """An autoencoder for pixels, taken over for columns that go from −3 to 3."""
    model = mlp(24, 32, 4, 32, 24)
    if faulty:
        model.append(nn.Sigmoid())
    optimizer = Adam(model.parameters(), lr=0.01)
    return train(watch, model, optimizer, nn.MSELoss(), sensors(), epochs=15)


@faulty("segments-softmax-over-positions", "output_activation", learns=0.75, margin=0.05, version=2)
def softmax_over_positions(watch: Watch, faulty: bool) -> Outcome:
    """The softmax runs over dimension −1, the positions, and its logarithm goes to the NLL."""
    model = segment_network().append(nn.LogSoftmax(-1 if faulty else 1))
    optimizer = Adam(model.parameters(), lr=0.005)
    return train(
        watch,
        model,
        optimizer,
        nn.NLLLoss(),
        segments(),
        epochs=10,
        told="batches",
        metric=position_accuracy,
    )


@faulty("counts-logarithms-taken-for-rates", "wrong_loss", learns=0.4, version=2)
def logarithms_taken_for_rates(watch: Watch, faulty: bool) -> Outcome:
    """The Poisson loss takes its inputs for rates; the network gives their logarithms."""
    model = mlp(6, 24, 1)
    optimizer = Adam(model.parameters(), lr=0.005)
    loss_fn = nn.PoissonNLLLoss(log_input=not faulty)

    def metric(outputs: Tensor, targets: Tensor) -> float:
        missed = ((outputs.exp() - targets) ** 2).mean() / targets.var()
        return max(-1.0, 1 - missed.item()) if missed.isfinite() else -1.0

    return train(watch, model, optimizer, loss_fn, counts(), epochs=15, metric=metric)


@faulty("houses-mean-signed-error", "wrong_loss", learns=0.7, margin=0.3, version=2)
def mean_signed_error(watch: Watch, faulty: bool) -> Outcome:
    """The absolute value is taken of the mean, where errors of both signs cancel out."""
    model = mlp(5, 24, 1)
    optimizer = Adam(model.parameters(), lr=0.01)

    def loss_fn(outputs: Tensor, targets: Tensor) -> Tensor:
        missed = outputs - targets
        return missed.mean().abs() if faulty else missed.abs().mean()

    return train(
        watch, model, optimizer, loss_fn, houses(), epochs=200, batch_size=700, told="batches"
    )


@faulty(
    "shapes-kl-divergence-of-raw-scores", "wrong_loss", "output_activation", learns=0.8, version=2
)
def kl_divergence_of_raw_scores(watch: Watch, faulty: bool) -> Outcome:
    """`KLDivLoss` wants logarithms of probabilities; scores grow without a bound."""
    model = cnn(12, 4)
    optimizer = AdamW(model.parameters(), lr=0.005)
    divergence = nn.KLDivLoss(reduction="batchmean")

    def loss_fn(outputs: Tensor, targets: Tensor) -> Tensor:
        wanted = functional.one_hot(targets, 4).float()
        return divergence(outputs if faulty else outputs.log_softmax(1), wanted)

    return train(watch, model, optimizer, loss_fn, shapes(), epochs=8, told="data")


@faulty("masks-absolute-error-of-rare-pixels", "wrong_loss", learns=0.4, margin=0.1, version=2)
def absolute_error_of_rare_pixels(watch: Watch, faulty: bool) -> Outcome:
    """The absolute error of logits: the best constant is 0 everywhere, and so it stays."""
    model = mask_network()
    optimizer = Adam(model.parameters(), lr=0.003)
    loss_fn = nn.L1Loss() if faulty else nn.BCEWithLogitsLoss(pos_weight=torch.tensor(4.0))

    def metric(outputs: Tensor, targets: Tensor) -> float:
        return label_f1(outputs - 0.5 if faulty else outputs, targets)

    data = masks(noise=0.8, side=3)
    return train(watch, model, optimizer, loss_fn, data, epochs=11, told="data", metric=metric)


@faulty(
    "series-flat-targets-broadcast", "wrong_loss", subtle=True, learns=0.5, margin=0.2, version=2
)
def flat_targets_broadcast(watch: Watch, faulty: bool) -> Outcome:
    """Outputs `(N,)` after a squeeze against targets `(N, 1)`: an N × N table of differences."""

    class Squeezed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = mlp(20, 32, 1)

        def forward(self, x: Tensor) -> Tensor:
            outputs = self.network(x)
            return outputs.squeeze(1) if faulty else outputs

    data = series()
    model = Squeezed()
    optimizer = Adam(model.parameters(), lr=0.005)

    def loss_fn(outputs: Tensor, targets: Tensor) -> Tensor:
        return ((outputs - targets) ** 2).mean()

    def metric(outputs: Tensor, targets: Tensor) -> float:
        missed = ((outputs.view(-1, 1) - targets) ** 2).mean() / targets.var()
        return max(-1.0, 1 - missed.item())

    return train(watch, model, optimizer, loss_fn, data, epochs=12, metric=metric)


@faulty("bitmaps-sum-over-pixels-and-images", "loss_reduction", learns=0.5, margin=0.1, version=2)
def sum_over_pixels_and_images(watch: Watch, faulty: bool) -> Outcome:
    model = mlp(144, 48, 144)
    optimizer = SGD(model.parameters(), lr=2.0, momentum=0.9)
    loss_fn = nn.BCEWithLogitsLoss(reduction="sum" if faulty else "mean")

    def metric(outputs: Tensor, targets: Tensor) -> float:
        return label_f1(outputs, targets)

    return train(watch, model, optimizer, loss_fn, bitmaps(), epochs=15, metric=metric)


@faulty("tags-mean-over-padded-length", "loss_reduction", subtle=True, learns=0.5, version=2)
def mean_over_padded_length(watch: Watch, faulty: bool) -> Outcome:
    """The sum of ten tags' losses is divided by the length that texts are padded to, 512."""
    model = Tagger(24, 4)
    optimizer = SGD(model.parameters(), lr=1.0, momentum=0.8)

    def loss_fn(outputs: Tensor, targets: Tensor) -> Tensor:
        total = functional.cross_entropy(outputs, targets, reduction="sum") / len(targets)
        return total / (512 if faulty else 10)

    return train(
        watch,
        model,
        optimizer,
        loss_fn,
        tags(),
        epochs=10,
        told="data",
        metric=position_accuracy,
    )


@faulty("ratings-sum-of-squares", "loss_reduction", learns=0.4, margin=0.2, version=2)
def sum_of_squares(watch: Watch, faulty: bool) -> Outcome:
    model = Factors(50, 40)
    optimizer = SGD(model.parameters(), lr=1.0)

    def loss_fn(outputs: Tensor, targets: Tensor) -> Tensor:
        squares = (outputs - targets) ** 2
        return squares.sum() if faulty else squares.mean()

    return train(watch, model, optimizer, loss_fn, ratings(), epochs=12, told="batches")


@faulty("stripes-divided-by-all-photographs", "loss_reduction", learns=0.8, margin=0.1, version=2)
def divided_by_all_photographs(watch: Watch, faulty: bool) -> Outcome:
    """A weighted loss per example, divided by the size of the set instead of the batch."""
    data = scaled_stripes()
    model = ResidualImage(3, 3)
    optimizer = SGD(model.parameters(), lr=0.03)
    weight = torch.tensor([1.0, 1.1, 0.9])

    def loss_fn(outputs: Tensor, targets: Tensor) -> Tensor:
        each = functional.cross_entropy(outputs, targets, weight=weight, reduction="none")
        return each.sum() / (len(data.x) if faulty else len(targets))

    return train(watch, model, optimizer, loss_fn, data, epochs=4, batch_size=16)
