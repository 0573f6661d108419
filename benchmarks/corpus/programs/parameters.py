"""Parameters that should learn and do not: unknown to the optimiser, or cut off from the loss."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import SGD, Adam, RMSprop

from benchmarks.corpus.data import (
    arrows,
    cancer,
    clusters,
    digit_images,
    digits,
    friedman,
    moons,
    recall,
    sentences,
)
from benchmarks.corpus.loop import batches, fit, start_watcher, validate
from benchmarks.corpus.networks import cnn, mlp
from benchmarks.corpus.program import Outcome, Watch, faulty


@faulty("digits-head-replaced-after-the-optimizer", "frozen_params", learns=0.9)
def head_replaced(watch: Watch, faulty: bool) -> Outcome:
    data = digits()
    model = mlp(64, 10, 100)
    if not faulty:
        model[-1] = nn.Linear(10, 10)
    optimizer = SGD(model.parameters(), lr=0.05, momentum=0.9)
    if faulty:
        model[-1] = nn.Linear(10, 10)
    return fit(watch, model, optimizer, nn.CrossEntropyLoss(), data, epochs=6, batch_size=16)


class Stacked(nn.Module):
    """Hidden layers in a list, which hides them from `parameters()`, or in a `ModuleList`."""

    def __init__(self, hides: bool) -> None:
        super().__init__()
        layers = [nn.Linear(2, 8), nn.Linear(8, 8)]
        self.layers = layers if hides else nn.ModuleList(layers)
        self.head = nn.Linear(8, 1)

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = torch.relu(layer(x))
        return self.head(x)


@faulty("moons-layers-in-a-list", "frozen_params", subtle=True, learns=0.95)
def layers_in_a_list(watch: Watch, faulty: bool) -> Outcome:
    model = Stacked(hides=faulty)
    optimizer = Adam(model.parameters(), lr=0.01)
    return fit(watch, model, optimizer, nn.BCEWithLogitsLoss(), moons(), epochs=25)


@faulty("arrows-features-left-frozen", "frozen_params", learns=0.8)
def features_left_frozen(watch: Watch, faulty: bool) -> Outcome:
    model = cnn(12, 4)
    for parameter in model[:-1].parameters():
        parameter.requires_grad = not faulty
    optimizer = Adam(model.parameters(), lr=0.005)
    return fit(watch, model, optimizer, nn.CrossEntropyLoss(), arrows(), epochs=10)


@faulty("cancer-optimizer-of-a-copy", "frozen_params", learns=0.92, margin=0.1)
def optimizer_of_a_copy(watch: Watch, faulty: bool) -> Outcome:
    model = mlp(30, 12, 1)
    optimised = copy.deepcopy(model) if faulty else model
    optimizer = Adam(optimised.parameters(), lr=0.01)
    loss_fn = nn.BCEWithLogitsLoss()
    return fit(watch, model, optimizer, loss_fn, cancer(), epochs=12, batch_size=16)


class BagOfWords(nn.Module):
    def __init__(self, words: int, width: int, classes: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(words, width)
        self.hidden = nn.Linear(width, 16)
        self.head = nn.Linear(16, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.relu(self.hidden(self.embedding(x).mean(1))))


@faulty("sentences-embedding-not-optimised", "frozen_params", subtle=True, learns=0.75)
def embedding_not_optimised(watch: Watch, faulty: bool) -> Outcome:
    model = BagOfWords(60, 4, 3)
    groups = [
        {"params": model.hidden.parameters()},
        {"params": model.head.parameters(), "lr": 0.02},
    ]
    if not faulty:
        groups.append({"params": model.embedding.parameters()})
    optimizer = Adam(groups, lr=0.01)
    return fit(watch, model, optimizer, nn.CrossEntropyLoss(), sentences(), epochs=10)


class EncoderAndHead(nn.Module):
    def __init__(self, encoder: nn.Module, head: nn.Module, cuts: bool) -> None:
        super().__init__()
        self.encoder, self.head, self.cuts = encoder, head, cuts

    def forward(self, x: Tensor) -> Tensor:
        code = self.encoder(x)
        return self.head(code.detach() if self.cuts else code)


@faulty("digits-code-detached", "detach_inplace", learns=0.9)
def code_detached(watch: Watch, faulty: bool) -> Outcome:
    encoder = nn.Sequential(nn.Linear(64, 12), nn.Tanh())
    model = EncoderAndHead(encoder, nn.Linear(12, 10), cuts=faulty)
    optimizer = SGD(model.parameters(), lr=0.15)
    return fit(watch, model, optimizer, nn.CrossEntropyLoss(), digits(), epochs=10)


class FeaturesWithoutGradient(nn.Module):
    def __init__(self, cuts: bool) -> None:
        super().__init__()
        self.network, self.cuts = cnn(8, 10), cuts

    def forward(self, x: Tensor) -> Tensor:
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.cuts):
            features = self.network[:4](x)
        return self.network[4:](features)


@faulty("digit-images-features-under-no-grad", "detach_inplace", subtle=True, learns=0.93)
def features_under_no_grad(watch: Watch, faulty: bool) -> Outcome:
    model = FeaturesWithoutGradient(cuts=faulty)
    optimizer = Adam(model.parameters(), lr=0.005)
    loss_fn = nn.CrossEntropyLoss()
    return fit(watch, model, optimizer, loss_fn, digit_images(), epochs=8, told="batches")


class ThroughNumpy(nn.Module):
    def __init__(self, through_numpy: bool) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(10, 24), nn.Linear(24, 1)
        self.through_numpy = through_numpy

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.first(x).tanh()
        if self.through_numpy:
            hidden = torch.from_numpy(hidden.detach().numpy().clip(-0.99, 0.99))
        else:
            hidden = hidden.clamp(-0.99, 0.99)
        return self.second(hidden)


@faulty("friedman-through-numpy", "detach_inplace", learns=0.8)
def through_numpy(watch: Watch, faulty: bool) -> Outcome:
    model = ThroughNumpy(faulty)
    optimizer = RMSprop(model.parameters(), lr=0.005)
    return fit(watch, model, optimizer, nn.MSELoss(), friedman(), epochs=20, told="batches")


@faulty("clusters-loss-made-anew", "detach_inplace", "frozen_params", learns=0.85)
def loss_made_anew(watch: Watch, faulty: bool) -> Outcome:
    data = clusters()
    model = mlp(20, 32, 4)
    optimizer = Adam(model.parameters(), lr=0.01)
    loss_fn = nn.CrossEntropyLoss()
    watcher = start_watcher(watch, model, optimizer, loss_fn, data)
    for _ in range(8):
        model.train()
        losses = []
        for xb, yb in batches(data.x, data.y, 32):
            optimizer.zero_grad()
            outputs = model(xb)
            loss = loss_fn(outputs, yb)
            if faulty:
                loss = torch.tensor(loss.item(), requires_grad=True)
            loss.backward()
            optimizer.step()
            watcher.step(loss, inputs=xb, outputs=outputs, targets=yb)
            losses.append(loss.detach())
        score = validate(watcher, model, loss_fn, data, losses)
    return Outcome(score, score)


class Remembering(nn.Module):
    """Reads step by step; the state may be cut off from where it came."""

    def __init__(self, columns: int, classes: int, cuts: bool) -> None:
        super().__init__()
        self.cell, self.head, self.cuts = nn.GRUCell(columns, 24), nn.Linear(24, classes), cuts

    def forward(self, x: Tensor) -> Tensor:
        state = x.new_zeros(len(x), 24)
        for column in x.unbind(1):
            state = self.cell(column, state.detach() if self.cuts else state)
        return self.head(state)


@faulty("recall-state-detached-each-step", "detach_inplace", subtle=True, learns=0.9, margin=0.1)
def state_detached(watch: Watch, faulty: bool) -> Outcome:
    data = recall(length=8)
    model = Remembering(5, 4, cuts=faulty)
    optimizer = Adam(model.parameters(), lr=0.01)
    return fit(watch, model, optimizer, nn.CrossEntropyLoss(), data, epochs=12)


class Coded(nn.Module):
    """Twenty codes, of which each image gets a mixture or, without a derivative, one."""

    def __init__(self, hard: bool) -> None:
        super().__init__()
        self.encoder, self.head, self.hard = nn.Linear(64, 20), nn.Linear(20, 10), hard

    def forward(self, x: Tensor) -> Tensor:
        scores = self.encoder(x)
        if self.hard:
            return self.head(functional.one_hot(scores.argmax(1), 20).float())
        return self.head(scores.softmax(1))


@faulty("digits-hard-choice-of-a-code", "detach_inplace", subtle=True, learns=0.75)
def hard_choice_of_a_code(watch: Watch, faulty: bool) -> Outcome:
    model = Coded(hard=faulty)
    optimizer = Adam(model.parameters(), lr=0.05)
    return fit(watch, model, optimizer, nn.CrossEntropyLoss(), digits(), epochs=8)
