"""Healthy trainings of version 3 whose examples look suspicious."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import SGD, Adam, AdamW, NAdam, RMSprop

from benchmarks.corpus.architectures import signal_network
from benchmarks.corpus.data import Data, digits, noisy_linear, random, rare
from benchmarks.corpus.loop import balanced_accuracy, r_squared
from benchmarks.corpus.more_architectures import (
    Chooser,
    Reader,
    UNet,
    colour_network,
    frame_network,
    spot_network,
)
from benchmarks.corpus.more_tasks import (
    frames,
    hastie,
    leaves,
    machines,
    map_inputs,
    orders,
    phases,
    raw_claims,
    reviews,
    ribbon,
    scenes,
    searches,
    spots,
)
from benchmarks.corpus.networks import LastState, mlp
from benchmarks.corpus.program import Outcome, Watch, healthy
from benchmarks.corpus.tasks import (
    applicants,
    beats,
    scaled_stripes,
    scaled_topics,
    shells,
)
from benchmarks.corpus.training import in_order, label_f1, measure, position_accuracy, train


@healthy("claims-euros-with-a-long-tail", learns=0.3, version=3)
def euros_with_a_long_tail(watch: Watch, faulty: bool) -> Outcome:
    """Claims in thousands, a few of which are far above all others, under Huber's loss."""
    data = raw_claims()
    data = replace(data, y=data.y / 1000, y_valid=data.y_valid / 1000)
    model = mlp(6, 48, 48, 1)
    optimizer = Adam(model.parameters(), lr=0.005)
    return train(watch, model, optimizer, nn.HuberLoss(delta=2.0), data, epochs=15)


@healthy("claims-of-a-gamma-kind", learns=0.3, version=3)
def of_a_gamma_kind(watch: Watch, faulty: bool) -> Outcome:
    """Skewed targets by a log link and a gamma likelihood."""
    data = raw_claims()
    data = replace(data, y=data.y / 1000, y_valid=data.y_valid / 1000)
    model = mlp(6, 32, 1)
    optimizer = AdamW(model.parameters(), lr=0.005)

    def loss_fn(outputs: Tensor, targets: Tensor) -> Tensor:
        return (outputs + targets * torch.exp(-outputs)).mean()

    def metric(outputs: Tensor, targets: Tensor) -> float:
        return r_squared(outputs, targets.log())

    return train(watch, model, optimizer, loss_fn, data, epochs=14, told="batches", metric=metric)


@healthy("reviews-mostly-content-and-learned", learns=0.75, version=3)
def mostly_content(watch: Watch, faulty: bool) -> Outcome:
    """Seven texts of ten are content in training, which is not too many."""
    data = reviews(count=2400)
    kept = (data.y[:, 0] > 0.5) | (torch.rand(len(data.y), generator=random(371)) < 0.4)
    data = replace(data, x=data.x[kept], y=data.y[kept])
    model = Reader()
    optimizer = Adam(model.parameters(), lr=0.005)
    outcome = train(watch, model, optimizer, nn.BCEWithLogitsLoss(), data, epochs=6)
    return Outcome(measure(model, data, balanced_accuracy), outcome.reported)


@healthy("outages-one-in-forty-but-far-apart", learns=0.8, version=3)
def one_in_forty_but_far_apart(watch: Watch, faulty: bool) -> Outcome:
    data = rare(share=0.025, distance=2.2)
    model = mlp(10, 16, 1)
    optimizer = Adam(model.parameters(), lr=0.005)
    outcome = train(watch, model, optimizer, nn.BCEWithLogitsLoss(), data, epochs=7)
    return Outcome(measure(model, data, balanced_accuracy), outcome.reported)


@healthy("hastie-one-label-in-ten-wrong-honestly", learns=0.8, version=3)
def one_label_in_ten_wrong(watch: Watch, faulty: bool) -> Outcome:
    """Training labels have an honest error of one in ten; the truth is learned nevertheless."""
    data = hastie()
    wrong = torch.rand(len(data.y), 1, generator=random(372)) < 0.1
    data = replace(data, y=torch.where(wrong, 1 - data.y, data.y))
    model = mlp(10, 48, 1)
    optimizer = Adam(model.parameters(), lr=0.01, weight_decay=1e-3)
    return train(watch, model, optimizer, nn.BCEWithLogitsLoss(), data, epochs=8)


@healthy("leaves-from-nought-to-one", learns=0.85, version=3)
def from_nought_to_one(watch: Watch, faulty: bool) -> Outcome:
    """Pixels as shares, never below 0, and not centred."""
    data = map_inputs(leaves(), lambda x: (x / 2 + 0.5).clamp(0, 1))
    model = colour_network()
    optimizer = Adam(model.parameters(), lr=0.005)
    return train(watch, model, optimizer, nn.CrossEntropyLoss(), data, epochs=10)


@healthy("spots-bytes-scaled-by-the-first-layer", learns=0.85, version=3)
def bytes_scaled_by_the_first_layer(watch: Watch, faulty: bool) -> Outcome:
    """Inputs up to 255; the model itself divides them."""

    class Scaling(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x / 60 - 1.5

    data = map_inputs(spots(), lambda x: (60 * (x + 1.5)).clamp(0, 255))
    model = nn.Sequential(Scaling(), spot_network())
    optimizer = SGD(model.parameters(), lr=0.05, momentum=0.9)
    return train(watch, model, optimizer, nn.MSELoss(), data, epochs=12)


@healthy("orders-one-hot-columns", learns=0.75, version=3)
def one_hot_columns(watch: Watch, faulty: bool) -> Outcome:
    """Thirty-nine columns of nothing but 0 and 1, mostly 0."""

    def widen(x: Tensor) -> Tensor:
        hot = [
            functional.one_hot(x[:, column].long(), kinds).float()
            for column, kinds in enumerate((12, 20, 7))
        ]
        return torch.cat([*hot, x[:, 3:]], 1)

    data = map_inputs(orders(), widen)
    model = mlp(43, 32, 1)
    optimizer = Adam(model.parameters(), lr=0.005)
    return train(watch, model, optimizer, nn.BCEWithLogitsLoss(), data, epochs=10)


@healthy("phases-gaps-filled-and-marked", learns=0.6, version=3)
def gaps_filled_and_marked(watch: Watch, faulty: bool) -> Outcome:
    """A twelfth of the values are missing: 0 stands for them, and a column says so."""
    data = phases()
    source = random(373)

    def hide(x: Tensor) -> Tensor:
        lost = torch.rand(x.shape, generator=source) < 0.08
        return torch.cat([x.masked_fill(lost, 0), lost.float()], 1)

    data = map_inputs(data, hide)
    model = mlp(8, 32, 32, 1)
    optimizer = Adam(model.parameters(), lr=0.005, weight_decay=1e-4)
    return train(watch, model, optimizer, nn.MSELoss(), data, epochs=10)


@healthy("spots-moved-with-their-places", learns=0.8, version=3)
def moved_with_their_places(watch: Watch, faulty: bool) -> Outcome:
    """Images are mirrored, and so is what is asked."""
    model = spot_network()
    optimizer = Adam(model.parameters(), lr=0.005)
    loss_fn = nn.MSELoss()

    def update(xb: Tensor, yb: Tensor) -> tuple[Tensor, Tensor]:
        if torch.rand(()) < 0.5:
            xb, yb = xb.flip(3), yb * torch.tensor([1.0, -1.0])
        optimizer.zero_grad()
        outputs = model(xb)
        loss = loss_fn(outputs, yb)
        loss.backward()
        optimizer.step()
        return loss, outputs

    return train(watch, model, optimizer, loss_fn, spots(), epochs=20, update=update)


@healthy("frames-turned-with-their-ways", learns=0.85, version=3)
def turned_with_their_ways(watch: Watch, faulty: bool) -> Outcome:
    """A turn by 180° makes up of down, in the images and in the classes."""
    data = map_inputs(frames(), lambda x: (x - 105) / 30)
    model = frame_network()
    optimizer = AdamW(model.parameters(), lr=0.003)
    loss_fn = nn.CrossEntropyLoss()
    opposite = torch.tensor([1, 0, 3, 2])

    def update(xb: Tensor, yb: Tensor) -> tuple[Tensor, Tensor]:
        if torch.rand(()) < 0.5:
            xb, yb = xb.flip(2, 3), opposite[yb]
        optimizer.zero_grad()
        outputs = model(xb)
        loss = loss_fn(outputs, yb)
        loss.backward()
        optimizer.step()
        return loss, outputs

    return train(watch, model, optimizer, loss_fn, data, epochs=12, told="losses", update=update)


@healthy("machines-in-the-order-of-arrival", learns=0.8, version=3)
def in_the_order_of_arrival(watch: Watch, faulty: bool) -> Outcome:
    """Never shuffled, and drawn at random in the first place."""
    model = LastState(nn.GRU(3, 16, batch_first=True), 1)
    optimizer = Adam(model.parameters(), lr=0.01)
    loss_fn = nn.MSELoss()
    return train(watch, model, optimizer, loss_fn, machines(), epochs=8, order=in_order)


@healthy("beats-each-class-drawn-alike", learns=0.85, version=3)
def each_class_drawn_alike(watch: Watch, faulty: bool) -> Outcome:
    """A sampler draws rows of the rare class again and again, within the training part."""
    data = beats(count=2000)
    kept = (data.y != 2) | (torch.rand(len(data.y), generator=random(374)) < 0.2)
    data = replace(data, x=data.x[kept], y=data.y[kept])
    weight = 1 / torch.bincount(data.y)[data.y].float()
    model = signal_network(3)
    optimizer = Adam(model.parameters(), lr=0.003)

    def order(count: int) -> Tensor:
        return torch.multinomial(weight, count, replacement=True)

    loss_fn = nn.CrossEntropyLoss()
    return train(watch, model, optimizer, loss_fn, data, epochs=6, order=order)


@healthy("linear-three-quarters-noise", learns=0.15, version=3)
def three_quarters_noise(watch: Watch, faulty: bool) -> Outcome:
    """Loss stops far above 0, where it must."""
    model = nn.Sequential(nn.Linear(8, 1))
    optimizer = NAdam(model.parameters(), lr=0.01)
    data = noisy_linear(noise=1.7, count=1200)
    return train(watch, model, optimizer, nn.MSELoss(), data, epochs=12)


@healthy("searches-chance-has-its-share", learns=0.7, version=3)
def chance_has_its_share(watch: Watch, faulty: bool) -> Outcome:
    """Choices have noise in them: the loss ends at 0.6 and a quarter is never foretold."""
    model = Chooser()
    optimizer = SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-3)
    return train(watch, model, optimizer, nn.CrossEntropyLoss(), searches(), epochs=12)


@healthy("digits-two-hundred-examples-and-decay", learns=0.8, version=3)
def two_hundred_examples(watch: Watch, faulty: bool) -> Outcome:
    """Few images are known by heart, and the rest well enough."""
    data = digits().head(200)
    model = mlp(64, 32, 10)
    optimizer = AdamW(model.parameters(), lr=0.005, weight_decay=0.3)
    loss_fn = nn.CrossEntropyLoss()
    return train(watch, model, optimizer, loss_fn, data, epochs=30, batch_size=20)


@healthy("ribbon-known-exactly", learns=0.95, version=3)
def known_exactly(watch: Watch, faulty: bool) -> Outcome:
    """No noise: training and validation errors both go to nearly 0, and on."""
    model = mlp(3, 64, 64, 1, activation=nn.SiLU)
    optimizer = Adam(model.parameters(), lr=0.005)
    return train(watch, model, optimizer, nn.MSELoss(), ribbon(noise=0.0), epochs=20)


@healthy("shells-batches-of-four", learns=0.7, version=3)
def batches_of_four(watch: Watch, faulty: bool) -> Outcome:
    model = mlp(4, 32, 3)
    optimizer = SGD(model.parameters(), lr=0.04)
    loss_fn = nn.CrossEntropyLoss()
    return train(watch, model, optimizer, loss_fn, shells(), epochs=4, batch_size=4)


@healthy("topics-shares-instead-of-labels", learns=0.6, version=3)
def shares_instead_of_labels(watch: Watch, faulty: bool) -> Outcome:
    """Targets are smoothed: 0.9 and 0.1 instead of 1 and 0, and the loss stays above 0.3."""
    clean = scaled_topics()
    data = replace(clean, y=0.1 + 0.8 * clean.y, y_valid=0.1 + 0.8 * clean.y_valid)
    model = mlp(20, 24, 5)
    optimizer = Adam(model.parameters(), lr=0.005)

    def metric(outputs: Tensor, targets: Tensor) -> float:
        return label_f1(outputs, (targets > 0.5).float())

    loss_fn = nn.BCEWithLogitsLoss()
    return train(watch, model, optimizer, loss_fn, data, epochs=10, told="batches", metric=metric)


@healthy("stripes-grey-and-dark", learns=0.8, version=3)
def grey_and_dark(watch: Watch, faulty: bool) -> Outcome:
    """All three channels are the same picture."""
    data = map_inputs(scaled_stripes(), lambda x: x.mean(1, keepdim=True).expand_as(x).contiguous())
    model = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(200, 3),
    )
    optimizer = Adam(model.parameters(), lr=0.003)
    return train(watch, model, optimizer, nn.CrossEntropyLoss(), data, epochs=8)


@healthy("applicants-columns-cut-at-their-ends", learns=0.72, version=3)
def columns_cut_at_their_ends(watch: Watch, faulty: bool) -> Outcome:
    """Values beyond 1.5 deviations were set to that: many rows share their ends."""
    data = map_inputs(applicants(), lambda x: x.clamp(-1.5, 1.5))
    model = mlp(5, 24, 1)
    optimizer = RMSprop(model.parameters(), lr=0.003)
    return train(watch, model, optimizer, nn.BCEWithLogitsLoss(), data, epochs=10)


@healthy("scenes-training-scenes-are-noisier", learns=0.85, version=3)
def training_scenes_are_noisier(watch: Watch, faulty: bool) -> Outcome:
    """Noise is added to training images only; validation is easier, as it is meant to be."""
    model = UNet(3)
    optimizer = Adam(model.parameters(), lr=0.005)

    def augment(x: Tensor) -> Tensor:
        return x + 0.4 * torch.randn_like(x)

    return train(
        watch,
        model,
        optimizer,
        nn.CrossEntropyLoss(),
        scenes(),
        epochs=12,
        told="data",
        metric=position_accuracy,
        augment=augment,
    )


@healthy("melodies-every-tune-is-in-both-parts", learns=0.95, version=3)
def every_tune_is_in_both_parts(watch: Watch, faulty: bool) -> Outcome:
    """Short pieces of few notes: some of those validated occur in training by chance."""
    source = random(375)
    x = torch.randint(4, (900, 5), generator=source)
    before = torch.cat([torch.zeros(900, 1, dtype=torch.long), x[:, :-1]], 1)
    y = (x + before) % 4
    data = Data(x[:600], y[:600], x[600:], y[600:], "multiclass")

    class Notes(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embedding = nn.Embedding(4, 12)
            self.recurrent, self.head = nn.GRU(12, 24, batch_first=True), nn.Linear(24, 4)

        def forward(self, x: Tensor) -> Tensor:
            return self.head(self.recurrent(self.embedding(x))[0]).transpose(1, 2)

    model = Notes()
    optimizer = Adam(model.parameters(), lr=0.02)
    return train(
        watch,
        model,
        optimizer,
        nn.CrossEntropyLoss(),
        data,
        epochs=12,
        told="data",
        metric=position_accuracy,
    )
