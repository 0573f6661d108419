"""Parameters of version 4 that no optimiser moves, and graphs that are cut."""

from __future__ import annotations

import warnings

import torch
from torch import Tensor, nn
from torch.optim import SGD, Adam, AdamW, RMSprop
from torch.utils.checkpoint import checkpoint

from benchmarks.corpus.further_architectures import (
    NamePieces,
    image_network,
    motion_network,
    sound_network,
)
from benchmarks.corpus.further_tasks import (
    alcohol,
    chirps,
    dots,
    halves,
    motions,
    names,
    passengers,
    turned,
)
from benchmarks.corpus.loop import probability_accuracy
from benchmarks.corpus.more_tasks import map_inputs
from benchmarks.corpus.networks import mlp
from benchmarks.corpus.program import Outcome, Watch, faulty
from benchmarks.corpus.training import train


@faulty("alcohol-optimizer-of-the-first-fold", "frozen_params", learns=0.3, margin=0.2, version=4)
def optimizer_of_the_first_fold(watch: Watch, faulty: bool) -> Outcome:
    """Each fold has a new model; the optimiser was made once, before the loop over folds."""
    first = mlp(12, 16, 1)
    model = mlp(12, 16, 1)
    optimizer = Adam((first if faulty else model).parameters(), lr=0.005)
    return train(watch, model, optimizer, nn.MSELoss(), alcohol(), epochs=40, batch_size=16)


class MadeInForward(nn.Module):
    """Features of motions, whose head may be made anew in each pass."""

    def __init__(self, anew: bool) -> None:
        super().__init__()
        layers = motion_network(24)
        self.body, self.last = layers, nn.Linear(24, 4)
        self.anew = anew

    def forward(self, x: Tensor) -> Tensor:
        features = torch.relu(self.body(x))
        return nn.Linear(24, 4)(features) if self.anew else self.last(features)


@faulty("motions-layer-made-in-forward", "frozen_params", learns=0.8, margin=0.2, version=4)
def layer_made_in_forward(watch: Watch, faulty: bool) -> Outcome:
    """`nn.Linear(24, 4)(x)` in `forward`: another random layer each time."""
    data = map_inputs(motions(), lambda x: x.transpose(1, 2).contiguous())
    model = MadeInForward(anew=faulty)
    optimizer = Adam(model.parameters(), lr=0.01)
    return train(watch, model, optimizer, nn.CrossEntropyLoss(), data, epochs=8)


@faulty("turned-checkpoint-matches-no-name", "frozen_params", subtle=True, learns=0.6, version=4)
def checkpoint_matches_no_name(watch: Watch, faulty: bool) -> Outcome:
    """`strict=False` hides that each name has "module." before it: random layers are frozen."""
    data = turned()
    trained = image_network(4, side=8)
    tuner = AdamW(trained.parameters(), lr=0.005)
    loss_fn = nn.CrossEntropyLoss()
    for _ in range(3):
        for rows in torch.randperm(len(data.x)).split(32):
            tuner.zero_grad()
            loss_fn(trained(data.x[rows]), data.y[rows]).backward()
            tuner.step()
    saved = {f"module.{name}": value for name, value in trained.state_dict().items()}
    if not faulty:
        saved = {name.removeprefix("module."): value for name, value in saved.items()}
    saved = {name: value for name, value in saved.items() if "9." not in name}
    model = image_network(4, side=8)
    model.load_state_dict(saved, strict=False)
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name.startswith("9."))
    optimizer = AdamW(model[9].parameters(), lr=0.02)
    return train(watch, model, optimizer, loss_fn, data, epochs=4)


@faulty("names-word-vectors-of-unseen-letters", "frozen_params", learns=0.65, version=4)
def word_vectors_of_unseen_letters(watch: Watch, faulty: bool) -> Outcome:
    """The table of vectors is frozen as if it had been loaded; no letter was found in the file."""
    model = NamePieces()
    nn.init.normal_(model.embedding.weight, std=0.02)
    model.embedding.weight.requires_grad_(not faulty)
    optimizer = SGD(filter(lambda p: p.requires_grad, model.parameters()), lr=0.3, momentum=0.9)
    return train(watch, model, optimizer, nn.CrossEntropyLoss(), names(), epochs=10)


class HookedFeatures(nn.Module):
    """Takes the features of a layer by a forward hook, which may detach them."""

    def __init__(self, detaches: bool) -> None:
        super().__init__()
        self.body, self.head = image_network(32), nn.Linear(32, 4)
        self.found: dict[str, Tensor] = {}
        self.body.register_forward_hook(self.keep)
        self.detaches = detaches

    def keep(self, layer: nn.Module, given: tuple[Tensor, ...], output: Tensor) -> None:
        self.found["features"] = output.detach() if self.detaches else output

    def forward(self, x: Tensor) -> Tensor:
        self.body(x)
        return self.head(torch.relu(self.found["features"]))


@faulty("dots-features-from-a-hook", "detach_inplace", subtle=True, learns=0.8, version=4)
def features_from_a_hook(watch: Watch, faulty: bool) -> Outcome:
    """`activation[name] = output.detach()`, as one keeps features to look at them."""
    model = HookedFeatures(detaches=faulty)
    optimizer = Adam(model.parameters(), lr=0.002)
    return train(watch, model, optimizer, nn.CrossEntropyLoss(), dots(), epochs=8)


class Checkpointed(nn.Module):
    """Derives its body again instead of keeping it, in the old way or in the new one."""

    def __init__(self, old: bool) -> None:
        super().__init__()
        layers = sound_network()
        self.body, self.head, self.old = layers[:7], layers[7], old

    def forward(self, x: Tensor) -> Tensor:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            features = checkpoint(self.body, x, use_reentrant=self.old)
        return self.head(features)


@faulty("chirps-checkpoint-of-plain-inputs", "detach_inplace", subtle=True, learns=0.8, version=4)
def checkpoint_of_plain_inputs(watch: Watch, faulty: bool) -> Outcome:
    """A reentrant checkpoint derives nothing where no input asks for a gradient."""
    model = Checkpointed(old=faulty)
    optimizer = AdamW(model.parameters(), lr=0.002)
    loss_fn = nn.CrossEntropyLoss()
    return train(watch, model, optimizer, loss_fn, chirps(), epochs=7, told="batches")


@faulty(
    "passengers-answers-rounded-in-the-loss",
    "detach_inplace",
    "frozen_params",
    "wrong_loss",
    learns=0.7,
    version=4,
)
def answers_rounded_in_the_loss(watch: Watch, faulty: bool) -> Outcome:
    """The share of wrong answers as the loss, and `requires_grad_` to make `backward` run."""
    model = nn.Sequential(*mlp(5, 24, 1), nn.Sigmoid())
    optimizer = RMSprop(model.parameters(), lr=0.005)

    def loss_fn(outputs: Tensor, targets: Tensor) -> Tensor:
        if faulty:
            return ((outputs > 0.5) != (targets > 0.5)).float().mean().requires_grad_()
        return nn.functional.binary_cross_entropy(outputs, targets)

    return train(
        watch,
        model,
        optimizer,
        loss_fn,
        passengers(),
        epochs=15,
        metric=probability_accuracy,
    )


@faulty("halves-pixels-rounded-before-the-loss", "detach_inplace", learns=0.3, version=4)
def pixels_rounded_before_the_loss(watch: Watch, faulty: bool) -> Outcome:
    """Levels of grey are rounded to sixteenths in the model: a staircase has no slope."""

    class Drawing(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = mlp(32, 64, 32)

        def forward(self, x: Tensor) -> Tensor:
            drawn = self.body(x)
            rounds = faulty or not self.training
            return torch.round(16 * drawn) / 16 if rounds else drawn

    model = Drawing()
    optimizer = Adam(model.parameters(), lr=0.005)
    return train(watch, model, optimizer, nn.MSELoss(), halves(), epochs=10)
