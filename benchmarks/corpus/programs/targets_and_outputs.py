"""Last layers, losses and reductions of version 3 that do not fit what is asked."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import SGD, Adam, AdamW, RMSprop

from benchmarks.corpus.loop import probability_accuracy, r_squared
from benchmarks.corpus.more_architectures import (
    Reader,
    Table,
    UNet,
    Variational,
    divergence,
    spot_network,
)
from benchmarks.corpus.more_tasks import (
    claims,
    fields,
    hastie,
    machines,
    melodies,
    orders,
    phases,
    reviews,
    scenes,
    spots,
)
from benchmarks.corpus.networks import LastState, mlp
from benchmarks.corpus.program import Outcome, Watch, faulty
from benchmarks.corpus.tasks import beats, masks, pairs, sensors
from benchmarks.corpus.training import label_f1, position_accuracy, train


@faulty("reviews-softmax-of-one-score", "output_activation", learns=0.75, margin=0.2, version=3)
def softmax_of_one_score(watch: Watch, faulty: bool) -> Outcome:
    """The softmax of a single number is 1, whatever the number."""
    model = nn.Sequential(Reader(), nn.Softmax(1) if faulty else nn.Sigmoid())
    optimizer = Adam(model.parameters(), lr=0.005)
    loss_fn = nn.BCELoss()
    return train(watch, model, optimizer, loss_fn, reviews(), epochs=8, metric=probability_accuracy)


@faulty(
    "orders-log-sigmoid-taken-for-logits", "output_activation", learns=0.75, margin=0.1, version=3
)
def log_sigmoid_taken_for_logits(watch: Watch, faulty: bool) -> Outcome:
    """The last layer is a `LogSigmoid`; what is never above 0 goes to a loss of logits."""
    model = nn.Sequential(Table())
    if faulty:
        model.append(nn.LogSigmoid())
    optimizer = RMSprop(model.parameters(), lr=0.002)
    loss_fn = nn.BCEWithLogitsLoss()
    return train(watch, model, optimizer, loss_fn, orders(), epochs=8, told="batches")


@faulty("spots-sigmoid-on-places-from-minus-one", "output_activation", learns=0.8, version=3)
def sigmoid_on_places(watch: Watch, faulty: bool) -> Outcome:
    """Places go from −1 to 1; a sigmoid says 0 at the least."""
    model = spot_network()
    if faulty:
        model.append(nn.Sigmoid())
    optimizer = AdamW(model.parameters(), lr=0.005)
    return train(watch, model, optimizer, nn.MSELoss(), spots(), epochs=12)


@faulty("machines-normalised-to-nothing", "output_activation", learns=0.7, margin=0.3, version=3)
def normalised_to_nothing(watch: Watch, faulty: bool) -> Outcome:
    """A layer norm over the one output: it is always its bias."""
    model = nn.Sequential(LastState(nn.GRU(3, 16, batch_first=True), 1))
    if faulty:
        model.append(nn.LayerNorm(1))
    optimizer = Adam(model.parameters(), lr=0.01)
    return train(watch, model, optimizer, nn.MSELoss(), machines(), epochs=8)


@faulty("fields-tanh-on-waves-of-two", "output_activation", subtle=True, learns=0.8, version=3)
def tanh_on_waves_of_two(watch: Watch, faulty: bool) -> Outcome:
    """The sum of two waves reaches ±2; the last layer, of an image generator, ±1."""
    model = nn.Sequential(UNet())
    if faulty:
        model.append(nn.Tanh())
    optimizer = Adam(model.parameters(), lr=0.005)
    return train(watch, model, optimizer, nn.MSELoss(), fields(), epochs=10, told="batches")


@faulty("melodies-classes-taken-for-places", "wrong_loss", learns=0.8, margin=0.1, version=3)
def classes_taken_for_places(watch: Watch, faulty: bool) -> Outcome:
    """Six notes and six places: scores `(N, places, notes)` fit the loss without a transpose."""

    class Accompanist(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embedding = nn.Embedding(6, 24)
            self.recurrent = nn.GRU(24, 48, batch_first=True)
            self.head = nn.Linear(48, 6)

        def forward(self, x: Tensor) -> Tensor:
            scores = self.head(self.recurrent(self.embedding(x))[0])
            return scores if faulty else scores.transpose(1, 2)

    def metric(outputs: Tensor, targets: Tensor) -> float:
        return position_accuracy(outputs.transpose(1, 2) if faulty else outputs, targets)

    model = Accompanist()
    optimizer = Adam(model.parameters(), lr=0.01)
    return train(
        watch,
        model,
        optimizer,
        nn.CrossEntropyLoss(),
        melodies(),
        epochs=20,
        told="data",
        metric=metric,
    )


@faulty("pairs-cosine-loss-of-nought-and-one", "wrong_loss", learns=0.7, margin=0.1, version=3)
def cosine_loss_of_nought_and_one(watch: Watch, faulty: bool) -> Outcome:
    """`CosineEmbeddingLoss` wants 1 and −1; a 0 costs nothing, so all things become alike."""

    class Towers(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.tower = mlp(16, 32, 12)

        def forward(self, x: Tensor) -> Tensor:
            return torch.cat([self.tower(x[:, 0]), self.tower(x[:, 1])], 1)

    criterion = nn.CosineEmbeddingLoss(margin=0.2)

    def loss_fn(outputs: Tensor, targets: Tensor) -> Tensor:
        signs = targets[:, 0] if faulty else 2 * targets[:, 0] - 1
        return criterion(outputs[:, :12], outputs[:, 12:], signs)

    def metric(outputs: Tensor, targets: Tensor) -> float:
        near = functional.cosine_similarity(outputs[:, :12], outputs[:, 12:])[:, None]
        return ((near > 0.6) == (targets > 0.5)).float().mean().item()

    model = Towers()
    optimizer = Adam(model.parameters(), lr=0.005)
    return train(
        watch, model, optimizer, loss_fn, pairs(), epochs=12, told="batches", metric=metric
    )


@faulty("hastie-one-task-added-twice", "wrong_loss", learns=0.8, margin=0.1, version=3)
def one_task_added_twice(watch: Watch, faulty: bool) -> Outcome:
    """Two tasks; the loss adds that of the first to itself, and the second is never asked."""
    data = hastie()
    first, first_valid = ((x[:, :1] > x[:, 1:2]).float() for x in (data.x, data.x_valid))
    data = replace(
        data,
        y=torch.cat([first, data.y], 1),
        y_valid=torch.cat([first_valid, data.y_valid], 1),
    )
    model = mlp(10, 48, 2)
    optimizer = AdamW(model.parameters(), lr=0.01)

    def loss_fn(outputs: Tensor, targets: Tensor) -> Tensor:
        one = functional.binary_cross_entropy_with_logits(outputs[:, 0], targets[:, 0])
        other = functional.binary_cross_entropy_with_logits(outputs[:, 1], targets[:, 1])
        return one + (one if faulty else other)

    def metric(outputs: Tensor, targets: Tensor) -> float:
        return ((outputs > 0) == (targets > 0.5)).float().mean().item()

    return train(watch, model, optimizer, loss_fn, data, epochs=15, told="data", metric=metric)


@faulty("claims-quantile-left-at-ninety-five", "wrong_loss", subtle=True, learns=0.6, version=3)
def quantile_left_at_ninety_five(watch: Watch, faulty: bool) -> Outcome:
    """The pinball loss of another report: its optimum is a limit that 95 % stay below."""
    share = 0.95 if faulty else 0.5
    model = mlp(6, 24, 24, 1)
    optimizer = Adam(model.parameters(), lr=0.005)

    def loss_fn(outputs: Tensor, targets: Tensor) -> Tensor:
        missed = targets - outputs
        return torch.maximum(share * missed, (share - 1) * missed).mean()

    return train(watch, model, optimizer, loss_fn, claims(), epochs=10)


@faulty("phases-relative-error-near-nought", "wrong_loss", subtle=True, learns=0.7, version=3)
def relative_error_near_nought(watch: Watch, faulty: bool) -> Outcome:
    """An absolute percentage error, of standardised targets, many of which are near 0."""
    model = mlp(4, 32, 32, 1)
    optimizer = Adam(model.parameters(), lr=0.005)

    def loss_fn(outputs: Tensor, targets: Tensor) -> Tensor:
        missed = (outputs - targets).abs()
        return (missed / targets.abs().clamp(min=1e-3) if faulty else missed).mean()

    return train(watch, model, optimizer, loss_fn, phases(), epochs=12, told="data")


@faulty("scenes-summed-over-all-pixels", "loss_reduction", learns=0.7, margin=0.05, version=3)
def summed_over_all_pixels(watch: Watch, faulty: bool) -> Outcome:
    """`reduction="sum"` over 32 × 144 pixels, at a rate for means."""
    model = UNet(3)
    optimizer = SGD(model.parameters(), lr=0.1, momentum=0.9)
    loss_fn = nn.CrossEntropyLoss(reduction="sum" if faulty else "mean")
    return train(
        watch,
        model,
        optimizer,
        loss_fn,
        scenes(),
        epochs=12,
        told="data",
        metric=position_accuracy,
    )


@faulty("beats-backward-of-ones", "loss_reduction", learns=0.8, margin=0.1, version=3)
def backward_of_ones(watch: Watch, faulty: bool) -> Outcome:
    """A loss for each example; `loss.backward(torch.ones_like(loss))` derives their sum."""
    model = nn.Sequential(nn.Flatten(), mlp(48, 48, 3))
    optimizer = SGD(model.parameters(), lr=0.2, momentum=0.5)

    def loss_fn(outputs: Tensor, targets: Tensor) -> Tensor:
        return functional.cross_entropy(outputs, targets)

    def update(xb: Tensor, yb: Tensor) -> tuple[Tensor, Tensor]:
        optimizer.zero_grad()
        outputs = model(xb)
        each = functional.cross_entropy(outputs, yb, reduction="none")
        each.backward(torch.ones_like(each) / (1 if faulty else len(each)))
        optimizer.step()
        return each.mean(), outputs

    return train(watch, model, optimizer, loss_fn, beats(), epochs=15, update=update)


@faulty(
    "sensors-divergence-summed-errors-averaged",
    "loss_reduction",
    "over_regularised",
    subtle=True,
    learns=0.6,
    margin=0.2,
    version=3,
)
def divergence_summed_errors_averaged(watch: Watch, faulty: bool) -> Outcome:
    """The divergence is a sum over the batch, the error a mean over rows and columns."""
    model = Variational(24)
    optimizer = Adam(model.parameters(), lr=0.005)

    def loss_fn(outputs: Tensor, targets: Tensor) -> Tensor:
        made, mean, spread = outputs[:, :24], outputs[:, 24:28], outputs[:, 28:]
        apart = divergence(mean, spread)
        return 10 * functional.mse_loss(made, targets) + (
            apart.sum() if faulty else apart.mean() / 24
        )

    def metric(outputs: Tensor, targets: Tensor) -> float:
        return r_squared(outputs[:, :24], targets)

    return train(
        watch, model, optimizer, loss_fn, sensors(), epochs=15, told="batches", metric=metric
    )


@faulty(
    "masks-masked-mean-divided-again",
    "loss_reduction",
    subtle=True,
    learns=0.7,
    margin=0.1,
    version=3,
)
def masked_mean_divided_again(watch: Watch, faulty: bool) -> Outcome:
    """The mean over all pixels is divided by how many of them count."""
    model = UNet()
    optimizer = SGD(model.parameters(), lr=0.3, momentum=0.9)
    counted = torch.zeros(1, 1, 12, 12)
    counted[..., 1:-1, 1:-1] = 1

    def loss_fn(outputs: Tensor, targets: Tensor) -> Tensor:
        each = functional.binary_cross_entropy_with_logits(outputs, targets, reduction="none")
        shown = counted.expand_as(each)
        return ((each * shown).mean() if faulty else (each * shown).sum()) / shown.sum()

    data = masks()
    return train(watch, model, optimizer, loss_fn, data, epochs=12, told="data", metric=label_f1)


@faulty("machines-sum-of-steps-and-rows", "loss_reduction", learns=0.7, margin=0.1, version=3)
def sum_of_steps_and_rows(watch: Watch, faulty: bool) -> Outcome:
    """Each step's forecast adds its loss, of all rows; the rate was for the mean."""

    class EachStep(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.recurrent, self.head = nn.RNN(3, 16, batch_first=True), nn.Linear(16, 1)

        def forward(self, x: Tensor) -> Tensor:
            return self.head(self.recurrent(x)[0])[..., 0]

    model = EachStep()
    optimizer = SGD(model.parameters(), lr=0.1, momentum=0.5)

    def loss_fn(outputs: Tensor, targets: Tensor) -> Tensor:
        squares = (outputs - targets) ** 2
        return sum(
            (squares[:, step].sum() for step in range(squares.shape[1])), torch.zeros(())
        ) / (1 if faulty else squares.numel())

    def metric(outputs: Tensor, targets: Tensor) -> float:
        return r_squared(outputs[:, -1:], targets[:, -1:])

    data = machines()
    data = replace(data, y=data.y.repeat(1, 16), y_valid=data.y_valid.repeat(1, 16))
    return train(watch, model, optimizer, loss_fn, data, epochs=12, metric=metric, clip=20.0)
