"""Output layers and losses of version 4 that do not fit the targets, and their sums."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import SGD, Adam, AdamW, RMSprop

from benchmarks.corpus.further_architectures import (
    GraphNetwork,
    NamePieces,
    image_network,
    motion_network,
)
from benchmarks.corpus.further_tasks import (
    bikes,
    clocks,
    demand,
    dots,
    halves,
    motions,
    names,
    papers,
    parity,
    passengers,
    turned,
)
from benchmarks.corpus.loop import accuracy
from benchmarks.corpus.more_tasks import map_inputs
from benchmarks.corpus.networks import mlp
from benchmarks.corpus.program import Outcome, Watch, faulty
from benchmarks.corpus.training import train


@faulty(
    "motions-softmax-then-cross-entropy", "output_activation", subtle=True, learns=0.8, version=4
)
def softmax_then_cross_entropy(watch: Watch, faulty: bool) -> Outcome:
    """The model ends in a softmax, and `CrossEntropyLoss` applies another."""
    data = map_inputs(motions(), lambda x: x.transpose(1, 2).contiguous())
    model = motion_network()
    if faulty:
        model.append(nn.Softmax(1))
    optimizer = SGD(model.parameters(), lr=0.1, momentum=0.8)
    return train(watch, model, optimizer, nn.CrossEntropyLoss(), data, epochs=6)


@faulty("clocks-softmax-of-two-numbers", "output_activation", learns=0.8, margin=0.2, version=4)
def softmax_of_two_numbers(watch: Watch, faulty: bool) -> Outcome:
    """A classifier's last layer was kept: cosine and sine are taken for two shares."""
    model = image_network(2)
    if faulty:
        model.append(nn.Softmax(1))
    optimizer = Adam(model.parameters(), lr=0.005)
    return train(watch, model, optimizer, nn.MSELoss(), clocks(), epochs=7)


@faulty(
    "turned-sigmoid-before-cross-entropy", "output_activation", subtle=True, learns=0.6, version=4
)
def sigmoid_before_cross_entropy(watch: Watch, faulty: bool) -> Outcome:
    """Scores between 0 and 1: the right class's share cannot pass 0.48."""
    model = image_network(4, side=8)
    if faulty:
        model.append(nn.Sigmoid())
    optimizer = SGD(model.parameters(), lr=0.05, momentum=0.9)
    return train(watch, model, optimizer, nn.CrossEntropyLoss(), turned(), epochs=5)


@faulty("demand-relu-at-the-end", "output_activation", subtle=True, learns=0.8, version=4)
def relu_at_the_end(watch: Watch, faulty: bool) -> Outcome:
    """Each layer is followed by a ReLU, the last one too; use is told about its mean."""
    model = mlp(24, 48, 6)
    if faulty:
        model.append(nn.ReLU())
    optimizer = RMSprop(model.parameters(), lr=0.002)
    loss_fn = nn.MSELoss()
    return train(watch, model, optimizer, loss_fn, demand(), epochs=10, told="batches")


@faulty("names-languages-taken-for-numbers", "wrong_loss", learns=0.65, version=4)
def languages_taken_for_numbers(watch: Watch, faulty: bool) -> Outcome:
    """One output and the squared error of the language's number, as if they had an order."""
    model = NamePieces(1 if faulty else 3)
    optimizer = Adam(model.parameters(), lr=0.01)

    def loss_fn(outputs: Tensor, targets: Tensor) -> Tensor:
        if faulty:
            return functional.mse_loss(outputs[:, 0], targets.float())
        return functional.cross_entropy(outputs, targets)

    def metric(outputs: Tensor, targets: Tensor) -> float:
        if faulty:
            return (outputs[:, 0].round() == targets).float().mean().item()
        return accuracy(outputs, targets)

    return train(watch, model, optimizer, loss_fn, names(), epochs=8, metric=metric)


@faulty("bikes-rows-against-columns", "wrong_loss", learns=0.5, margin=0.2, version=4)
def rows_against_columns(watch: Watch, faulty: bool) -> Outcome:
    """Outputs `(N, 1)` against targets `(N,)`: each forecast is compared with every count."""
    model = mlp(6, 64, 64, 1)
    optimizer = Adam(model.parameters(), lr=0.005)

    def loss_fn(outputs: Tensor, targets: Tensor) -> Tensor:
        return ((outputs - (targets[:, 0] if faulty else targets)) ** 2).mean()

    return train(watch, model, optimizer, loss_fn, bikes(), epochs=12)


@faulty(
    "dots-nll-of-probabilities",
    "wrong_loss",
    "output_activation",
    subtle=True,
    learns=0.8,
    margin=0.05,
    version=4,
)
def nll_of_probabilities(watch: Watch, faulty: bool) -> Outcome:
    """`NLLLoss` of a softmax without its logarithm: what is quite wrong hardly counts."""
    model = image_network(4)
    model.append(nn.Softmax(1) if faulty else nn.LogSoftmax(1))
    optimizer = Adam(model.parameters(), lr=0.005)
    return train(watch, model, optimizer, nn.NLLLoss(), dots(), epochs=8)


@faulty(
    "clocks-loss-of-the-first-row", "wrong_loss", subtle=True, learns=0.85, margin=0.03, version=4
)
def loss_of_the_first_row(watch: Watch, faulty: bool) -> Outcome:
    """`outputs[0]` and `targets[0]`, left from when the loop had batches of one."""
    model = image_network(2)
    optimizer = AdamW(model.parameters(), lr=0.01)

    def loss_fn(outputs: Tensor, targets: Tensor) -> Tensor:
        if faulty:
            return functional.mse_loss(outputs[0], targets[0])
        return functional.mse_loss(outputs, targets)

    return train(watch, model, optimizer, loss_fn, clocks(), epochs=7, told="data")


@faulty("parity-cross-entropy-of-a-single-score", "wrong_loss", learns=0.85, margin=0.2, version=4)
def cross_entropy_of_a_single_score(watch: Watch, faulty: bool) -> Outcome:
    """`CrossEntropyLoss` over one class is 0 times the target, whatever the score."""
    model = mlp(64, 48, 1)
    optimizer = Adam(model.parameters(), lr=0.005)
    loss_fn = nn.CrossEntropyLoss() if faulty else nn.BCEWithLogitsLoss()
    return train(watch, model, optimizer, loss_fn, parity(), epochs=6, told="batches")


@faulty("halves-summed-over-batch-and-pixels", "loss_reduction", learns=0.5, version=4)
def summed_over_batch_and_pixels(watch: Watch, faulty: bool) -> Outcome:
    """`reduction="sum"` with the rate that suited the mean."""
    model = mlp(32, 64, 32)
    optimizer = SGD(model.parameters(), lr=0.5, momentum=0.9)
    loss_fn = nn.MSELoss(reduction="sum" if faulty else "mean")
    return train(watch, model, optimizer, loss_fn, halves(), epochs=10)


@faulty("passengers-weights-of-one-over-count", "loss_reduction", learns=0.7, version=4)
def weights_of_one_over_count(watch: Watch, faulty: bool) -> Outcome:
    """Each row weighs one over its class's count, and the weighted losses are averaged again."""
    data = passengers()
    model = mlp(5, 24, 1)
    optimizer = SGD(model.parameters(), lr=0.3)
    lived = data.y.sum()
    shares = torch.stack([1 / (len(data.y) - lived), 1 / lived])
    if not faulty:
        shares = shares / shares.mean()

    def loss_fn(outputs: Tensor, targets: Tensor) -> Tensor:
        weight = torch.where(targets > 0.5, shares[1], shares[0])
        return functional.binary_cross_entropy_with_logits(outputs, targets, weight)

    return train(watch, model, optimizer, loss_fn, data, epochs=12)


@faulty("papers-summed-over-all-nodes", "loss_reduction", learns=0.8, version=4)
def summed_over_all_nodes(watch: Watch, faulty: bool) -> Outcome:
    """A sum over three hundred and fifty papers at once, at a rate for their mean."""
    model = GraphNetwork()
    optimizer = SGD(model.parameters(), lr=0.2, momentum=0.9)
    loss_fn = nn.CrossEntropyLoss(reduction="sum" if faulty else "mean")
    data = papers()[0]
    return train(watch, model, optimizer, loss_fn, data, epochs=100, batch_size=350, told="data")


@faulty("demand-mean-divided-by-the-hours", "loss_reduction", subtle=True, learns=0.8, version=4)
def mean_divided_by_the_hours(watch: Watch, faulty: bool) -> Outcome:
    """The mean over rows and hours is divided by their number once more, as their sum would be."""
    model = mlp(24, 48, 6)
    optimizer = SGD(model.parameters(), lr=0.2, momentum=0.5)

    def loss_fn(outputs: Tensor, targets: Tensor) -> Tensor:
        loss = functional.mse_loss(outputs, targets)
        return loss / outputs.numel() if faulty else loss

    return train(watch, model, optimizer, loss_fn, demand(), epochs=12, told="data")
