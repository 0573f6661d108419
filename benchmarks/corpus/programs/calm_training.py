"""Healthy trainings of version 3 whose procedure looks suspicious."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import (
    SGD,
    Adadelta,
    Adagrad,
    Adam,
    Adamax,
    AdamW,
    NAdam,
    RAdam,
    RMSprop,
)
from torch.optim.lr_scheduler import (
    CosineAnnealingWarmRestarts,
    LinearLR,
    OneCycleLR,
    ReduceLROnPlateau,
    StepLR,
)
from torch.optim.swa_utils import AveragedModel

from benchmarks.corpus.architectures import Factors, segment_network
from benchmarks.corpus.data import digits
from benchmarks.corpus.loop import predict
from benchmarks.corpus.more_architectures import (
    CausalTransformer,
    Chooser,
    Preference,
    Reader,
    Table,
    UNet,
    box_loss,
    box_score,
    colour_network,
    frame_network,
    spot_network,
)
from benchmarks.corpus.more_tasks import (
    boxes,
    choices,
    claims,
    fields,
    frames,
    hastie,
    leaves,
    machines,
    map_inputs,
    melodies,
    orders,
    phases,
    reviews,
    ribbon,
    scenes,
    searches,
    spots,
    watched,
)
from benchmarks.corpus.networks import LastState, mlp
from benchmarks.corpus.program import Outcome, Watch, healthy
from benchmarks.corpus.tasks import beats, letters, masks, segments, sensors, shells, spirals
from benchmarks.corpus.training import label_f1, position_accuracy, train


@healthy("reviews-adam-after-a-warm-up", learns=0.75, version=3)
def adam_after_a_warm_up(watch: Watch, faulty: bool) -> Outcome:
    model = Reader()
    optimizer = Adam(model.parameters(), lr=0.01)
    warm_up = LinearLR(optimizer, start_factor=0.001, total_iters=80)
    loss_fn = nn.BCEWithLogitsLoss()
    return train(watch, model, optimizer, loss_fn, reviews(), epochs=9, after_batch=warm_up.step)


@healthy("scenes-one-cycle-up-to-a-third", learns=0.85, version=3)
def one_cycle_up_to_a_third(watch: Watch, faulty: bool) -> Outcome:
    model = UNet(3)
    optimizer = SGD(model.parameters(), lr=0.01, momentum=0.9)
    cycle = OneCycleLR(optimizer, max_lr=0.3, total_steps=15 * 11 + 1)
    return train(
        watch,
        model,
        optimizer,
        nn.CrossEntropyLoss(),
        scenes(),
        epochs=15,
        told="data",
        metric=position_accuracy,
        after_batch=cycle.step,
    )


@healthy("phases-rate-halved-when-it-rests", learns=0.8, version=3)
def rate_halved_when_it_rests(watch: Watch, faulty: bool) -> Outcome:
    model = mlp(4, 32, 32, 1)
    optimizer = SGD(model.parameters(), lr=0.1, momentum=0.9)
    scheduler = ReduceLROnPlateau(optimizer, factor=0.5, patience=1)
    return train(
        watch, model, optimizer, nn.MSELoss(), phases(), epochs=20, after_epoch=scheduler.step
    )


@healthy("spots-restarts-every-four-epochs", learns=0.9, version=3)
def restarts_every_four_epochs(watch: Watch, faulty: bool) -> Outcome:
    model = spot_network()
    optimizer = AdamW(model.parameters(), lr=0.01)
    restarts = CosineAnnealingWarmRestarts(optimizer, T_0=80)
    return train(
        watch, model, optimizer, nn.MSELoss(), spots(), epochs=16, after_batch=restarts.step
    )


@healthy("hastie-adadelta-at-one", learns=0.85, version=3)
def adadelta_at_one(watch: Watch, faulty: bool) -> Outcome:
    model = mlp(10, 64, 1)
    optimizer = Adadelta(model.parameters(), lr=1.0)
    return train(watch, model, optimizer, nn.BCEWithLogitsLoss(), hastie(), epochs=15)


@healthy("claims-sgd-without-momentum", learns=0.7, version=3)
def sgd_without_momentum(watch: Watch, faulty: bool) -> Outcome:
    model = mlp(6, 32, 32, 1)
    optimizer = SGD(model.parameters(), lr=0.04)
    return train(
        watch, model, optimizer, nn.MSELoss(), claims(), epochs=40, batch_size=64, told="batches"
    )


@healthy("watched-rate-of-three", learns=0.6, version=3)
def rate_of_three(watch: Watch, faulty: bool) -> Outcome:
    """The mean over a batch leaves each row's share small: embeddings bear a rate of 3."""
    model = Factors(400, 20, width=3)
    optimizer = SGD(model.parameters(), lr=3.0)
    return train(watch, model, optimizer, nn.MSELoss(), watched(), epochs=7)


@healthy("frames-momentum-of-97", learns=0.9, version=3)
def momentum_of_97(watch: Watch, faulty: bool) -> Outcome:
    data = map_inputs(frames(), lambda x: (x - 105) / 30)
    model = frame_network()
    optimizer = SGD(model.parameters(), lr=0.003, momentum=0.97, nesterov=True)
    return train(watch, model, optimizer, nn.CrossEntropyLoss(), data, epochs=10)


@healthy("leaves-adamax", learns=0.9, version=3)
def adamax(watch: Watch, faulty: bool) -> Outcome:
    model = colour_network()
    optimizer = Adamax(model.parameters(), lr=0.01)
    return train(watch, model, optimizer, nn.CrossEntropyLoss(), leaves(), epochs=10)


@healthy("machines-radam-clipped-hard", learns=0.85, version=3)
def radam_clipped_hard(watch: Watch, faulty: bool) -> Outcome:
    """The norm is cut to 0.05 in nearly every step, which RAdam's scaling makes up for."""
    model = LastState(nn.LSTM(3, 16, batch_first=True), 1)
    optimizer = RAdam(model.parameters(), lr=0.01)
    return train(watch, model, optimizer, nn.MSELoss(), machines(), epochs=12, clip=0.05)


@healthy("orders-gradients-of-five-batches", learns=0.75, version=3)
def gradients_of_five_batches(watch: Watch, faulty: bool) -> Outcome:
    """Gradients of five batches are gathered, each with a fifth of its loss, before each step."""
    model = Table()
    optimizer = Adam(model.parameters(), lr=0.02)
    loss_fn = nn.BCEWithLogitsLoss()
    made = 0

    def update(xb: Tensor, yb: Tensor) -> tuple[Tensor, Tensor]:
        nonlocal made
        outputs = model(xb)
        loss = loss_fn(outputs, yb)
        (loss / 5).backward()
        made += 1
        if made % 5 == 0:
            optimizer.step()
            optimizer.zero_grad()
        return loss, outputs

    return train(
        watch, model, optimizer, loss_fn, orders(), epochs=12, batch_size=14, update=update
    )


@healthy("spirals-zeroed-after-the-step", learns=0.85, version=3)
def zeroed_after_the_step(watch: Watch, faulty: bool) -> Outcome:
    """Gradients are cleared behind the step, in place, and not before the pass."""
    model = mlp(2, 48, 48, 3)
    optimizer = NAdam(model.parameters(), lr=0.01)
    loss_fn = nn.CrossEntropyLoss()

    def update(xb: Tensor, yb: Tensor) -> tuple[Tensor, Tensor]:
        outputs = model(xb)
        loss = loss_fn(outputs, yb)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=False)
        return loss, outputs

    return train(watch, model, optimizer, loss_fn, spirals(), epochs=16, update=update)


@healthy("hastie-optimizer-for-each-part", learns=0.85, version=3)
def optimizer_for_each_part(watch: Watch, faulty: bool) -> Outcome:
    """The head has an optimiser of its own, which the watcher is not shown."""
    model = mlp(10, 64, 1)
    of_body = Adam(model[0].parameters(), lr=0.01)
    of_head = SGD(model[2].parameters(), lr=0.1)
    loss_fn = nn.BCEWithLogitsLoss()

    def update(xb: Tensor, yb: Tensor) -> tuple[Tensor, Tensor]:
        of_body.zero_grad()
        of_head.zero_grad()
        outputs = model(xb)
        loss = loss_fn(outputs, yb)
        loss.backward()
        of_body.step()
        of_head.step()
        return loss, outputs

    return train(watch, model, of_body, loss_fn, hastie(), epochs=12, update=update)


@healthy("leaves-averaged-by-torch", learns=0.9, version=3)
def averaged_by_torch(watch: Watch, faulty: bool) -> Outcome:
    """Validated with `AveragedModel`, whose weights trail behind those that learn."""
    model = colour_network()
    optimizer = SGD(model.parameters(), lr=0.05, momentum=0.9)
    average = AveragedModel(model, avg_fn=lambda kept, new, _: kept.lerp(new, 0.05))
    return train(
        watch,
        model,
        optimizer,
        nn.CrossEntropyLoss(),
        leaves(),
        epochs=12,
        after_batch=lambda: average.update_parameters(model),
        infer=lambda x: predict(average, x),
    )


@healthy("digits-teacher-in-the-loss", learns=0.9, version=3)
def teacher_in_the_loss(watch: Watch, faulty: bool) -> Outcome:
    """Half of the loss is the distance to a trained teacher's shares (Hinton et al., 2015)."""
    data = digits()
    teacher = mlp(64, 64, 10)
    of_teacher = Adam(teacher.parameters(), lr=0.01)
    for _ in range(60):
        of_teacher.zero_grad()
        functional.cross_entropy(teacher(data.x), data.y).backward()
        of_teacher.step()
    model = mlp(64, 16, 10)
    optimizer = AdamW(model.parameters(), lr=0.005)
    loss_fn = nn.CrossEntropyLoss()

    def update(xb: Tensor, yb: Tensor) -> tuple[Tensor, Tensor]:
        optimizer.zero_grad()
        outputs = model(xb)
        with torch.no_grad():
            wanted = (teacher(xb) / 2).softmax(1)
        taught = -(wanted * (outputs / 2).log_softmax(1)).sum(1).mean()
        loss = 0.5 * loss_fn(outputs, yb) + 2 * taught
        loss.backward()
        optimizer.step()
        return loss, outputs

    return train(watch, model, optimizer, loss_fn, data, epochs=12, update=update, told="batches")


@healthy("shells-mixed-with-their-labels", learns=0.85, version=3)
def mixed_with_their_labels(watch: Watch, faulty: bool) -> Outcome:
    """Mixup (Zhang et al., 2018): the training loss stays far above that of validation."""
    model = mlp(4, 64, 64, 3)
    optimizer = Adam(model.parameters(), lr=0.005)
    loss_fn = nn.CrossEntropyLoss()

    def update(xb: Tensor, yb: Tensor) -> tuple[Tensor, Tensor]:
        order, share = torch.randperm(len(xb)), 0.25 * torch.rand(()).item()
        mixed = (1 - share) * xb + share * xb[order]
        optimizer.zero_grad()
        outputs = model(mixed)
        loss = (1 - share) * loss_fn(outputs, yb) + share * loss_fn(outputs, yb[order])
        loss.backward()
        optimizer.step()
        return loss, outputs

    return train(
        watch, model, optimizer, loss_fn, shells(), epochs=20, update=update, told="losses"
    )


@healthy("boxes-two-parts-of-a-loss", learns=0.6, version=3)
def two_parts_of_a_loss(watch: Watch, faulty: bool) -> Outcome:
    """Is there a box, and where: coordinates have no gradient in examples without a box."""
    model = spot_network(4)
    optimizer = Adam(model.parameters(), lr=0.005)
    return train(
        watch, model, optimizer, box_loss, boxes(), epochs=14, told="batches", metric=box_score
    )


@healthy("choices-only-what-is-compared-moves", learns=0.7, version=3)
def only_what_is_compared_moves(watch: Watch, faulty: bool) -> Outcome:
    """Most embeddings have a gradient of 0 in most batches of sixteen."""
    model = Preference()
    optimizer = Adagrad(model.parameters(), lr=0.15)
    loss_fn = nn.BCEWithLogitsLoss()
    return train(watch, model, optimizer, loss_fn, choices(), epochs=5, batch_size=16)


@healthy("digits-contrasts-within-a-batch", learns=0.85, version=3)
def contrasts_within_a_batch(watch: Watch, faulty: bool) -> Outcome:
    """The loss compares the rows of a batch (Khosla et al., 2020) and never gets near 0."""
    model = mlp(64, 64, 16)
    optimizer = Adam(model.parameters(), lr=0.003)

    def loss_fn(outputs: Tensor, targets: Tensor) -> Tensor:
        unit = functional.normalize(outputs)
        scores = unit @ unit.T / 0.2
        itself = torch.eye(len(unit), dtype=torch.bool)
        shares = scores.masked_fill(itself, -1e9).log_softmax(1)
        same = (targets[:, None] == targets[None]) & ~itself
        return -((shares * same).sum(1) / same.sum(1).clamp(min=1)).mean()

    def metric(outputs: Tensor, targets: Tensor) -> float:
        unit = functional.normalize(outputs)
        means = torch.stack([unit[targets == kind].mean(0) for kind in range(10)])
        return (torch.cdist(unit, means).argmin(1) == targets).float().mean().item()

    return train(
        watch,
        model,
        optimizer,
        loss_fn,
        digits(),
        epochs=10,
        batch_size=64,
        told="batches",
        metric=metric,
    )


@healthy("melodies-teacher-forced-decoder", learns=0.8, version=3)
def teacher_forced_decoder(watch: Watch, faulty: bool) -> Outcome:
    """In training it reads the right answer before; in use, what it said itself."""

    class Decoder(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.notes, self.said = nn.Embedding(6, 16), nn.Embedding(7, 4)
            self.cell, self.head = nn.GRUCell(20, 48), nn.Linear(48, 6)

        def forward(self, x: Tensor, told: Tensor | None = None) -> Tensor:
            state = torch.zeros(len(x), 48)
            before = torch.full((len(x),), 6)
            scores = []
            for step in range(x.shape[1]):
                read = torch.cat([self.notes(x[:, step]), self.said(before)], 1)
                state = self.cell(read, state)
                scores.append(self.head(state))
                before = scores[-1].argmax(1) if told is None else told[:, step]
            return torch.stack(scores, 2)

    model = Decoder()
    optimizer = Adam(model.parameters(), lr=0.01)
    loss_fn = nn.CrossEntropyLoss()

    def update(xb: Tensor, yb: Tensor) -> tuple[Tensor, Tensor]:
        optimizer.zero_grad()
        outputs = model(xb, yb)
        loss = loss_fn(outputs, yb)
        loss.backward()
        optimizer.step()
        return loss, outputs

    return train(
        watch,
        model,
        optimizer,
        loss_fn,
        melodies(),
        epochs=12,
        told="data",
        metric=position_accuracy,
        update=update,
    )


@healthy("fields-absolute-error", learns=0.85, version=3)
def absolute_error(watch: Watch, faulty: bool) -> Outcome:
    model = UNet()
    optimizer = AdamW(model.parameters(), lr=0.005)
    return train(watch, model, optimizer, nn.L1Loss(), fields(), epochs=10)


@healthy("searches-fine-tuned-at-a-ten-thousandth", learns=0.7, version=3)
def fine_tunes_slowly(watch: Watch, faulty: bool) -> Outcome:
    """Trained well before it is watched; a small rate polishes what is there."""
    data = searches()
    model = Chooser()
    before = Adam(model.parameters(), lr=0.01)
    loss_fn = nn.CrossEntropyLoss()
    for _ in range(6):
        for rows in torch.randperm(len(data.x)).split(32):
            before.zero_grad()
            loss_fn(model(data.x[rows]), data.y[rows]).backward()
            before.step()
    optimizer = Adam(model.parameters(), lr=1e-4)
    return train(watch, model, optimizer, loss_fn, data, epochs=6)


@healthy("beats-whole-set-a-batch", learns=0.85, version=3)
def whole_set_a_batch(watch: Watch, faulty: bool) -> Outcome:
    """An update an epoch, of all rows, so that no batch is ever another."""
    model = nn.Sequential(nn.Flatten(), mlp(48, 48, 3))
    optimizer = Adam(model.parameters(), lr=0.01)
    loss_fn = nn.CrossEntropyLoss()
    return train(watch, model, optimizer, loss_fn, beats(), epochs=120, batch_size=700)


@healthy("ribbon-loss-in-steps", learns=0.9, version=3)
def loss_in_steps(watch: Watch, faulty: bool) -> Outcome:
    """The rate falls to a fifth twice, and the loss with it."""
    model = mlp(3, 48, 48, 1)
    optimizer = RMSprop(model.parameters(), lr=0.01)
    scheduler = StepLR(optimizer, step_size=6, gamma=0.2)

    def every_epoch(_: float) -> None:
        scheduler.step()

    return train(
        watch, model, optimizer, nn.MSELoss(), ribbon(), epochs=18, after_epoch=every_epoch
    )


@healthy("masks-focal-loss", learns=0.75, version=3)
def focal_loss(watch: Watch, faulty: bool) -> Outcome:
    """Lin et al. (2017): sure pixels hardly count, and the loss begins small."""
    model = UNet()
    optimizer = Adam(model.parameters(), lr=0.005)

    def loss_fn(outputs: Tensor, targets: Tensor) -> Tensor:
        each = functional.binary_cross_entropy_with_logits(outputs, targets, reduction="none")
        right = torch.exp(-each)
        return ((1 - right) ** 2 * each).mean()

    data = masks()
    return train(watch, model, optimizer, loss_fn, data, epochs=12, told="data", metric=label_f1)


@healthy("segments-trained-in-turns", learns=0.85, version=3)
def trained_in_turns(watch: Watch, faulty: bool) -> Outcome:
    """Odd epochs train the head alone, even ones all: gradients come and go."""
    model = segment_network()
    optimizer = Adam(model.parameters(), lr=0.005)
    epoch = 0

    def before_epoch() -> None:
        nonlocal epoch
        model.train()
        epoch += 1
        for parameter in model[:4].parameters():
            parameter.requires_grad = epoch % 3 > 0

    return train(
        watch,
        model,
        optimizer,
        nn.CrossEntropyLoss(),
        segments(),
        epochs=12,
        told="data",
        metric=position_accuracy,
        before_epoch=before_epoch,
    )


@healthy("letters-writes-text-between-updates", learns=0.33, version=3)
def writes_text_between_updates(watch: Watch, faulty: bool) -> Outcome:
    """Text is written now and then in the middle of training, without a gradient."""
    data = letters()
    model = CausalTransformer(12, 16)
    optimizer = AdamW(model.parameters(), lr=0.01)
    loss_fn = nn.CrossEntropyLoss()
    made = 0

    def write() -> None:
        nonlocal made
        made += 1
        if made % 6 == 0:
            text = data.x_valid[:2, :4]
            for _ in range(6):
                text = torch.cat([text, predict(model, text)[..., -1].argmax(1)[:, None]], 1)
            model.train()

    return train(
        watch,
        model,
        optimizer,
        loss_fn,
        data,
        epochs=12,
        told="data",
        metric=position_accuracy,
        after_batch=write,
    )


@healthy("sensors-several-losses-learned-weights", learns=0.8, version=3)
def losses_with_learned_weights(watch: Watch, faulty: bool) -> Outcome:
    """Kendall et al. (2018): the weights of two losses are learned, and the sum goes below 0."""

    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = mlp(24, 32, 6, 32, 24)
            self.spread = nn.Parameter(torch.zeros(2))

        def forward(self, x: Tensor) -> Tensor:
            return self.body(x)

    model = Two()
    optimizer = Adam(model.parameters(), lr=0.01)
    criterion = nn.MSELoss()

    def update(xb: Tensor, yb: Tensor) -> tuple[Tensor, Tensor]:
        optimizer.zero_grad()
        outputs = model(xb)
        errors = torch.stack(
            [criterion(outputs[:, :12], yb[:, :12]), criterion(outputs[:, 12:], yb[:, 12:])]
        )
        loss = (errors * torch.exp(-model.spread) + model.spread).sum()
        loss.backward()
        optimizer.step()
        return loss, outputs

    data = sensors()
    return train(watch, model, optimizer, criterion, data, epochs=14, told="batches", update=update)


@healthy("phases-biases-do-not-decay", learns=0.8, version=3)
def biases_do_not_decay(watch: Watch, faulty: bool) -> Outcome:
    """Weights decay and biases do not: two groups, as most recipes have them."""
    model = mlp(4, 48, 48, 1)
    layers = [layer for layer in model if isinstance(layer, nn.Linear)]
    groups = [
        {"params": [layer.weight for layer in layers], "weight_decay": 0.1},
        {"params": [layer.bias for layer in layers], "weight_decay": 0.0},
    ]
    optimizer = AdamW(groups, lr=0.005)
    return train(watch, model, optimizer, nn.HuberLoss(), phases(), epochs=15)
