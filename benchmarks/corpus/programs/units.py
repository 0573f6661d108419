"""Units and derivatives of version 3 that are dead, at their ends, too small or too large."""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import SGD, Adam, AdamW

from benchmarks.corpus.data import digit_images, recall
from benchmarks.corpus.more_architectures import (
    CausalTransformer,
    Highway,
    Preference,
    Table,
    box_score,
    spot_network,
)
from benchmarks.corpus.more_tasks import (
    boxes,
    choices,
    claims,
    fields,
    hastie,
    leaves,
    machines,
    map_inputs,
    orders,
    reviews,
    ribbon,
    spots,
)
from benchmarks.corpus.networks import LastState, mlp
from benchmarks.corpus.program import Outcome, Watch, faulty
from benchmarks.corpus.tasks import beats, letters, pairs, sensors, shells
from benchmarks.corpus.training import position_accuracy, train


class Adapted(nn.Module):
    """A fixed layer and a low-rank change of it, B · A, of which one has to start at random."""

    def __init__(self, both: bool) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(10, 48), nn.Linear(48, 1)
        self.first.requires_grad_(False)
        self.last.requires_grad_(False)
        self.down = nn.Parameter(torch.zeros(8, 10) if both else torch.randn(8, 10) / 3)
        self.up = nn.Parameter(torch.zeros(48, 8))
        self.down_last = nn.Parameter(torch.zeros(8, 48) if both else torch.randn(8, 48) / 7)
        self.up_last = nn.Parameter(torch.zeros(1, 8))

    def forward(self, x: Tensor) -> Tensor:
        hidden = torch.relu(self.first(x) + x @ self.down.T @ self.up.T)
        return self.last(hidden) + hidden @ self.down_last.T @ self.up_last.T


@faulty("hastie-both-adapters-start-at-nought", "bad_init", learns=0.75, margin=0.2, version=3)
def both_adapters_start_at_nought(watch: Watch, faulty: bool) -> Outcome:
    """Low-rank adapters (Hu et al., 2022) whose two factors are 0 have no derivative."""
    model = Adapted(both=faulty)
    optimizer = Adam([p for p in model.parameters() if p.requires_grad], lr=0.02)
    return train(watch, model, optimizer, nn.BCEWithLogitsLoss(), hastie(), epochs=20)


@faulty(
    "letters-vectors-taken-for-biases", "bad_init", learns=0.3, margin=0.04, subtle=True, version=3
)
def vectors_taken_for_biases(watch: Watch, faulty: bool) -> Outcome:
    """All parameters with one dimension are set to 0, the scales of the layer norms too."""
    model = CausalTransformer(12, 16)
    if faulty:
        for parameter in model.parameters():
            if parameter.ndim == 1:
                nn.init.zeros_(parameter)
    optimizer = SGD(model.parameters(), lr=0.3, momentum=0.9)
    return train(
        watch,
        model,
        optimizer,
        nn.CrossEntropyLoss(),
        letters(),
        epochs=10,
        told="data",
        metric=position_accuracy,
    )


@faulty("orders-embeddings-of-deviation-thirty", "bad_init", learns=0.7, margin=0.05, version=3)
def embeddings_of_deviation_thirty(watch: Watch, faulty: bool) -> Outcome:
    """The embeddings were drawn with the width's square as their deviation, not its root."""
    model = Table(width=6)
    for each in model.embeddings:
        nn.init.normal_(each.weight, std=36.0 if faulty else 6**-0.5)
    optimizer = Adam(model.parameters(), lr=0.005)
    return train(watch, model, optimizer, nn.BCEWithLogitsLoss(), orders(), epochs=8)


@faulty("spots-every-kernel-a-blur", "bad_init", subtle=True, learns=0.8, version=3)
def every_kernel_a_blur(watch: Watch, faulty: bool) -> Outcome:
    """`constant_` for the kernels: all channels are the same, and the head's rows too."""
    model = spot_network()
    if faulty:
        for layer in (model[0], model[2]):
            nn.init.constant_(layer.weight, 0.1)
            nn.init.zeros_(layer.bias)
        nn.init.constant_(model[5].weight, 0.02)
        nn.init.constant_(model[7].weight, 0.1)
    optimizer = AdamW(model.parameters(), lr=0.003)
    return train(watch, model, optimizer, nn.MSELoss(), spots(), epochs=12, told="data")


@faulty("ribbon-fan-of-the-wrong-side", "bad_init", "exploding_or_nan", learns=0.8, version=3)
def fan_of_the_wrong_side(watch: Watch, faulty: bool) -> Outcome:
    """Weights of a widening net are scaled by 1 / √1 for its one output, not by its inputs."""
    widths = (3, 64, 64, 64, 1)
    model = mlp(*widths)
    if faulty:
        for layer in model:
            if isinstance(layer, nn.Linear):
                nn.init.normal_(layer.weight, std=(2 / model[-1].out_features) ** 0.5)
    optimizer = Adam(model.parameters(), lr=0.003)
    return train(watch, model, optimizer, nn.MSELoss(), ribbon(), epochs=15, told="batches")


@faulty("claims-rate-of-biases-multiplied", "dying_relu", "lr_too_high", learns=0.7, version=3)
def rate_of_biases_multiplied(watch: Watch, faulty: bool) -> Outcome:
    """Biases have their own rate, a thousand times that of the weights: the units die at once."""
    model = mlp(6, 32, 32, 1)
    biases = [model[0].bias, model[2].bias]
    rest = [model[0].weight, model[2].weight, *model[4].parameters()]
    groups = [{"params": rest}, {"params": biases, "lr": 30.0 if faulty else 0.03}]
    optimizer = SGD(groups, lr=0.03, momentum=0.5)
    return train(watch, model, optimizer, nn.MSELoss(), claims(), epochs=12)


@faulty("leaves-norm-shifted-below-nought", "dying_relu", "bad_init", learns=0.8, version=3)
def norm_shifted_below_nought(watch: Watch, faulty: bool) -> Outcome:
    """Normalised channels are shifted by −6 before their ReLU."""
    model = nn.Sequential(
        nn.Conv2d(3, 12, 3, padding=1),
        nn.GroupNorm(3, 12),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(12, 16, 3, padding=1),
        nn.GroupNorm(4, 16),
        nn.ReLU(),
        nn.AdaptiveMaxPool2d(1),
        nn.Flatten(),
        nn.Linear(16, 3),
    )
    if faulty:
        nn.init.constant_(model[1].bias, -6.0)
        nn.init.constant_(model[5].bias, -6.0)
    optimizer = SGD(model.parameters(), lr=0.05)
    return train(watch, model, optimizer, nn.CrossEntropyLoss(), leaves(), epochs=10)


class Squeezed(nn.Module):
    """An autoencoder whose code goes through a ReLU of few units."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder, self.decoder = mlp(24, 32, 6), mlp(6, 32, 24)

    def forward(self, x: Tensor) -> Tensor:
        return self.decoder(torch.relu(self.encoder(x)))


@faulty(
    "sensors-code-killed-by-its-penalty", "dying_relu", "over_regularised", learns=0.7, version=3
)
def code_killed_by_its_penalty(watch: Watch, faulty: bool) -> Outcome:
    """A penalty on the code, far too strong, drives each of its ReLU units below 0 for good."""
    model = Squeezed()
    nn.init.constant_(model.encoder[2].bias, 0.5)
    optimizer = Adam(model.parameters(), lr=0.01)
    strength = 2.0 if faulty else 1e-4
    criterion = nn.MSELoss()

    def update(xb: Tensor, yb: Tensor) -> tuple[Tensor, Tensor]:
        optimizer.zero_grad()
        outputs = model(xb)
        loss = criterion(outputs, yb) + strength * torch.relu(model.encoder(xb)).sum(1).mean()
        loss.backward()
        optimizer.step()
        return loss, outputs

    return train(watch, model, optimizer, criterion, sensors(), epochs=15, update=update)


@faulty("shells-relu-after-a-strange-shift", "dying_relu", learns=0.8, version=3)
def relu_after_a_strange_shift(watch: Watch, faulty: bool) -> Outcome:
    """`ReLU(x − max)`, as for a safe softmax, leaves nothing but zeros."""

    class Shifted(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.Linear(4, 48), nn.Linear(48, 48)
            self.last = nn.Linear(48, 3)

        def forward(self, x: Tensor) -> Tensor:
            x = torch.relu(self.first(x))
            inner = self.second(x)
            if faulty:
                inner = inner - inner.max(1, keepdim=True).values
            return self.last(torch.relu(inner))

    model = Shifted()
    optimizer = Adam(model.parameters(), lr=0.01)
    return train(watch, model, optimizer, nn.CrossEntropyLoss(), shells(), epochs=8)


@faulty(
    "digit-images-dead-from-a-large-first-step",
    "dying_relu",
    "lr_too_high",
    subtle=True,
    learns=0.9,
    margin=0.03,
    version=3,
)
def dead_from_a_large_first_step(watch: Watch, faulty: bool) -> Outcome:
    """Without a warm-up the first Adam steps, of 0.07, throw most units below 0; then 0.002."""
    model = nn.Sequential(nn.Flatten(), mlp(64, 32, 32, 32, 10))
    optimizer = Adam(model.parameters(), lr=0.07 if faulty else 0.002)
    made = 0

    def settle() -> None:
        nonlocal made
        made += 1
        if made == 12:
            for group in optimizer.param_groups:
                group["lr"] = 0.002

    loss_fn = nn.CrossEntropyLoss()
    return train(watch, model, optimizer, loss_fn, digit_images(), epochs=10, after_batch=settle)


class Bells(nn.Module):
    """Radial units (Broomhead and Lowe, 1988) of some width."""

    def __init__(self, width: float) -> None:
        super().__init__()
        self.centres, self.width = nn.Parameter(torch.randn(60, 3)), width

    def forward(self, x: Tensor) -> Tensor:
        return torch.exp(-torch.cdist(x, self.centres).square() / (2 * self.width**2))


@faulty("ribbon-bells-far-too-narrow", "saturated_units", learns=0.7, margin=0.1, version=3)
def bells_far_too_narrow(watch: Watch, faulty: bool) -> Outcome:
    """Radial units of width 0.03: all are at 0 for nearly every input."""
    model = nn.Sequential(Bells(0.03 if faulty else 1.0), nn.Linear(60, 1))
    optimizer = Adam(model.parameters(), lr=0.03)
    return train(watch, model, optimizer, nn.MSELoss(), ribbon(), epochs=15)


@faulty("beats-summed-instead-of-averaged", "saturated_units", learns=0.8, margin=0.05, version=3)
def summed_instead_of_averaged(watch: Watch, faulty: bool) -> Outcome:
    """A tanh reads sums over a hundred readings, where their means were meant."""

    class Pooled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = nn.Sequential(nn.Flatten(), nn.Linear(48, 64), nn.ReLU())
            self.second, self.last = nn.Linear(64, 32), nn.Linear(32, 3)

        def forward(self, x: Tensor) -> Tensor:
            hidden = 100 * self.body(x) if faulty else self.body(x)
            return self.last(torch.tanh(self.second(hidden)))

    model = Pooled()
    optimizer = SGD(model.parameters(), lr=0.05, momentum=0.9)
    return train(watch, model, optimizer, nn.CrossEntropyLoss(), beats(), epochs=10)


@faulty(
    "machines-readings-a-hundredfold-into-gates",
    "saturated_units",
    "unnormalised_inputs",
    learns=0.8,
    version=3,
)
def readings_a_hundredfold_into_gates(watch: Watch, faulty: bool) -> Outcome:
    """Percent instead of shares: the gates of the LSTM are open or shut, and nothing between."""
    data = machines()
    if faulty:
        data = map_inputs(data, lambda x: 100 * x)
    model = LastState(nn.LSTM(3, 16, batch_first=True), 1)
    optimizer = Adam(model.parameters(), lr=0.005)
    return train(watch, model, optimizer, nn.MSELoss(), data, epochs=8, told="batches")


@faulty("hastie-highways-closed", "saturated_units", "bad_init", subtle=True, learns=0.8, version=3)
def highways_closed(watch: Watch, faulty: bool) -> Outcome:
    """The gates' biases start at −20 instead of −2: what the layers say never passes."""
    layers = [Highway(32, -20.0 if faulty else -1.0) for _ in range(4)]
    model = nn.Sequential(nn.Linear(10, 32), *layers, nn.Linear(32, 1))
    optimizer = AdamW(model.parameters(), lr=0.005)
    return train(watch, model, optimizer, nn.BCEWithLogitsLoss(), hastie(), epochs=6)


class Router(nn.Module):
    """Shares an input out to eight experts, at a temperature."""

    def __init__(self, temperature: float) -> None:
        super().__init__()
        self.gate = nn.Linear(4, 8)
        self.experts = nn.ModuleList(nn.Linear(4, 3) for _ in range(8))
        self.temperature = temperature

    def forward(self, x: Tensor) -> Tensor:
        share = (self.gate(x) / self.temperature).softmax(1)[..., None]
        return (share * torch.stack([expert(x) for expert in self.experts], 1)).sum(1)


@faulty("shells-router-at-a-thousandth", "saturated_units", subtle=True, learns=0.7, version=3)
def router_at_a_thousandth(watch: Watch, faulty: bool) -> Outcome:
    """The temperature of the final epochs from the start: the shares are 0 or 1 and stay so."""
    model = Router(0.001 if faulty else 1.0)
    optimizer = Adam(model.parameters(), lr=0.03)
    return train(watch, model, optimizer, nn.CrossEntropyLoss(), shells(), epochs=15)


@faulty("sensors-deep-sigmoid-autoencoder", "vanishing_gradient", learns=0.6, margin=0.2, version=3)
def deep_sigmoid_autoencoder(watch: Watch, faulty: bool) -> Outcome:
    activation = nn.Sigmoid if faulty else nn.ELU
    model = mlp(24, 32, 24, 16, 6, 16, 24, 32, 24, activation=activation)
    optimizer = SGD(model.parameters(), lr=0.2, momentum=0.9)
    return train(watch, model, optimizer, nn.MSELoss(), sensors(), epochs=20)


@faulty("recall-first-symbol-long-ago", "vanishing_gradient", learns=0.8, margin=0.2, version=3)
def first_symbol_long_ago(watch: Watch, faulty: bool) -> Outcome:
    """A recurrent net with sigmoid states is asked for what came 19 steps before."""

    class Sluggish(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.cell, self.head = nn.Linear(5 + 24, 24), nn.Linear(24, 4)

        def forward(self, x: Tensor) -> Tensor:
            state = x.new_zeros(len(x), 24)
            for step in range(x.shape[1]):
                state = torch.sigmoid(self.cell(torch.cat([x[:, step], state], 1)))
            return self.head(state)

    model = Sluggish() if faulty else LastState(nn.GRU(5, 24, batch_first=True), 4)
    optimizer = Adam(model.parameters(), lr=0.01)
    loss_fn = nn.CrossEntropyLoss()
    return train(watch, model, optimizer, loss_fn, recall(20), epochs=9, clip=1.0)


@faulty("shells-product-of-many-shares", "vanishing_gradient", learns=0.7, margin=0.1, version=3)
def product_of_many_shares(watch: Watch, faulty: bool) -> Outcome:
    """Each of eight layers is multiplied by a gate of a quarter, one after the other."""

    class Gate(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear, self.gate = nn.Linear(24, 24), nn.Linear(24, 24)
            nn.init.constant_(self.gate.bias, -1.1)

        def forward(self, x: Tensor) -> Tensor:
            inner = torch.tanh(self.linear(x)) * torch.sigmoid(self.gate(x))
            return inner if faulty else x + inner

    model = nn.Sequential(nn.Linear(4, 24), *[Gate() for _ in range(8)], nn.Linear(24, 3))
    optimizer = SGD(model.parameters(), lr=0.1, momentum=0.9)
    return train(watch, model, optimizer, nn.CrossEntropyLoss(), shells(), epochs=10)


@faulty(
    "digit-images-deep-plain-tanh",
    "vanishing_gradient",
    "bad_init",
    learns=0.85,
    margin=0.1,
    version=3,
)
def deep_plain_tanh(watch: Watch, faulty: bool) -> Outcome:
    """Ten layers drawn with deviation 0.05, as for three."""
    layers: list[nn.Module] = [nn.Flatten()]
    inputs = 64
    for _ in range(10):
        linear = nn.Linear(inputs, 32)
        if faulty:
            nn.init.normal_(linear.weight, std=0.05)
        else:
            nn.init.xavier_normal_(linear.weight, gain=5 / 3)
        layers += [linear, nn.Tanh()]
        inputs = 32
    model = nn.Sequential(*layers, nn.Linear(32, 10))
    optimizer = AdamW(model.parameters(), lr=0.001)
    return train(watch, model, optimizer, nn.CrossEntropyLoss(), digit_images(), epochs=8)


@faulty(
    "fields-branches-scaled-without-a-way-past",
    "vanishing_gradient",
    subtle=True,
    learns=0.7,
    margin=0.1,
    version=3,
)
def branches_scaled_without_a_way_past(watch: Watch, faulty: bool) -> Outcome:
    """Branches scaled to a fifth, as in very deep residual nets, but nothing goes past them."""

    class Branch(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Conv2d(8, 8, 3, padding=1)

        def forward(self, x: Tensor) -> Tensor:
            inner = 0.2 * torch.relu(self.layer(x))
            return inner if faulty else x + inner

    model = nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1), *[Branch() for _ in range(5)], nn.Conv2d(8, 1, 3, padding=1)
    )
    optimizer = SGD(model.parameters(), lr=0.05, momentum=0.9)
    return train(watch, model, optimizer, nn.MSELoss(), fields(), epochs=8, told="batches")


class Attentive(nn.Module):
    """Averages word vectors by attention that leaves out the padding."""

    def __init__(self, minds: bool) -> None:
        super().__init__()
        self.embedding, self.recurrent = nn.Embedding(40, 16), nn.GRU(16, 16, batch_first=True)
        self.score, self.head = nn.Linear(16, 1), nn.Linear(16, 1)
        self.minds = minds

    def forward(self, x: Tensor) -> Tensor:
        states, _ = self.recurrent(self.embedding(x))
        low = -1e4 if self.minds else -math.inf
        scores = self.score(states).masked_fill((x == 0)[..., None], low)
        return self.head((scores.softmax(1) * states).sum(1))


@faulty(
    "reviews-an-empty-text-masked-whole", "exploding_or_nan", learns=0.65, margin=0.1, version=3
)
def an_empty_text_masked_whole(watch: Watch, faulty: bool) -> Outcome:
    """One text is empty: the softmax over nothing but −∞ is NaN."""
    data = reviews()
    x = data.x.clone()
    x[300] = 0
    data = replace(data, x=x)
    model = Attentive(minds=not faulty)
    optimizer = Adam(model.parameters(), lr=0.005)
    return train(watch, model, optimizer, nn.BCEWithLogitsLoss(), data, epochs=9)


class BatchScaled(nn.Module):
    """Divides by the batch's deviation, which a batch of one does not have."""

    def __init__(self, correction: int) -> None:
        super().__init__()
        self.first, self.last, self.correction = nn.Linear(6, 32), nn.Linear(32, 1), correction
        self.register_buffer("level", torch.ones(32))

    def forward(self, x: Tensor) -> Tensor:
        hidden = torch.relu(self.first(x))
        if self.training:
            spread = hidden.std(0, correction=self.correction) + 0.1
            self.level = 0.98 * self.level + 0.02 * spread.detach()
        return self.last(hidden / self.level)


@faulty("claims-deviation-of-a-batch-of-one", "exploding_or_nan", learns=0.6, margin=0.3, version=3)
def deviation_of_a_batch_of_one(watch: Watch, faulty: bool) -> Outcome:
    """The last batch has one row; its `std`, with Bessel's correction, is NaN."""
    data = claims()
    data = data.head(len(data.x) // 32 * 32 - 31)
    model = BatchScaled(correction=1 if faulty else 0)
    optimizer = SGD(model.parameters(), lr=0.02)
    return train(watch, model, optimizer, nn.MSELoss(), data, epochs=15, told="data")


@faulty("choices-adam-without-epsilon", "exploding_or_nan", learns=0.65, margin=0.1, version=3)
def adam_without_epsilon(watch: Watch, faulty: bool) -> Outcome:
    """`eps=0`: an item that no batch has shown yet has 0 / 0 for its step."""
    model = Preference()
    optimizer = Adam(model.parameters(), lr=0.01, eps=0.0 if faulty else 1e-8)
    return train(watch, model, optimizer, nn.BCEWithLogitsLoss(), choices(), epochs=5)


@faulty("boxes-mean-over-no-box", "exploding_or_nan", learns=0.3, margin=0.2, version=3)
def mean_over_no_box(watch: Watch, faulty: bool) -> Outcome:
    """The distance of boxes is divided by how many there are, which in some batches is 0."""
    model = spot_network(4)
    optimizer = Adam(model.parameters(), lr=0.005)

    def loss_fn(outputs: Tensor, targets: Tensor) -> Tensor:
        there = targets[:, :1]
        found = functional.binary_cross_entropy_with_logits(outputs[:, :1], there)
        missed = (outputs[:, 1:] - targets[:, 1:]).abs().mean(1, keepdim=True)
        near = (missed * there).sum() / (there.sum() if faulty else there.sum().clamp(min=1))
        return found + 5 * near

    return train(
        watch,
        model,
        optimizer,
        loss_fn,
        boxes(),
        epochs=4,
        batch_size=4,
        told="batches",
        metric=box_score,
    )


@faulty("pairs-angle-of-the-same-thing", "exploding_or_nan", learns=0.7, margin=0.2, version=3)
def angle_of_the_same_thing(watch: Watch, faulty: bool) -> Outcome:
    """The arc cosine of a cosine of 1 has an infinite derivative: a few pairs are the same."""
    data = pairs()
    x, y = data.x.clone(), data.y.clone()
    x[500:506, 1], y[500:506] = x[500:506, 0], 1
    data = replace(data, x=x, y=y)

    class Angle(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.tower, self.scale = mlp(16, 32, 8), nn.Parameter(torch.tensor([-4.0, 3.0]))

        def forward(self, x: Tensor) -> Tensor:
            near = functional.cosine_similarity(self.tower(x[:, 0]), self.tower(x[:, 1]))
            near = near if faulty else 0.999 * near
            return (self.scale[0] * torch.acos(near.clamp(-1, 1)) + self.scale[1])[:, None]

    model = Angle()
    optimizer = AdamW(model.parameters(), lr=0.003)
    return train(watch, model, optimizer, nn.BCEWithLogitsLoss(), data, epochs=10)
