"""Parameters left out of training, and graphs cut on the way from the loss to them."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.optim import SGD, Adagrad, Adam, AdamW

from benchmarks.corpus.architectures import (
    Factors,
    ResidualBlock,
    ResidualImage,
    Tagger,
)
from benchmarks.corpus.networks import mlp
from benchmarks.corpus.program import Outcome, Watch, faulty
from benchmarks.corpus.tasks import (
    adding,
    ratings,
    scaled_stripes,
    segments,
    sensors,
    spirals,
    swiss_roll,
    tags,
)
from benchmarks.corpus.training import position_accuracy, train


@faulty("tags-embedding-made-from-pretrained", "frozen_params", subtle=True, learns=0.7, version=2)
def embedding_made_from_pretrained(watch: Watch, faulty: bool) -> Outcome:
    """`Embedding.from_pretrained` freezes by default; here the vectors know nothing yet."""
    model = Tagger(24, 4)
    weight = torch.randn(24, 16)
    weight[:, 2:] = weight[:, :1]
    model.embedding = nn.Embedding.from_pretrained(weight, freeze=faulty)
    optimizer = Adam([p for p in model.parameters() if p.requires_grad], lr=0.01)
    return train(
        watch,
        model,
        optimizer,
        nn.CrossEntropyLoss(),
        tags(),
        epochs=8,
        told="data",
        metric=position_accuracy,
    )


@faulty("stripes-freezes-all-but-the-last-name", "frozen_params", learns=0.75, version=2)
def freezes_all_but_the_last_name(watch: Watch, faulty: bool) -> Outcome:
    """Meant to freeze what was trained before, of which there is nothing."""
    model = ResidualImage(3, 3)
    nn.init.normal_(model.stem.weight, std=0.02)
    if faulty:
        for name, parameter in model.named_parameters():
            parameter.requires_grad = name.startswith("head")
    optimizer = SGD(model.parameters(), lr=0.05, momentum=0.9)
    return train(watch, model, optimizer, nn.CrossEntropyLoss(), scaled_stripes(), epochs=8)


class Experts(nn.Module):
    """Experts in a dictionary, plain or of modules, and a gate that weighs them."""

    def __init__(self, hides: bool) -> None:
        super().__init__()
        experts = {name: mlp(3, 8, 1, activation=nn.Tanh) for name in "abcd"}
        self.experts = experts if hides else nn.ModuleDict(experts)
        self.gate = nn.Linear(3, 4)

    def forward(self, x: Tensor) -> Tensor:
        said = torch.cat([expert(x) for expert in self.experts.values()], 1)
        return (self.gate(x).softmax(1) * said).sum(1, keepdim=True)


@faulty("swiss-roll-experts-in-a-dictionary", "frozen_params", learns=0.8, version=2)
def experts_in_a_dictionary(watch: Watch, faulty: bool) -> Outcome:
    model = Experts(hides=faulty)
    optimizer = Adam(model.parameters(), lr=0.02)
    return train(watch, model, optimizer, nn.MSELoss(), swiss_roll(), epochs=25)


@faulty("spirals-blocks-grown-after-the-optimizer", "frozen_params", learns=0.8, version=2)
def blocks_grown_after_the_optimizer(watch: Watch, faulty: bool) -> Outcome:
    """A network that grows: the new blocks are never told to the optimiser."""
    model = nn.Sequential(nn.Linear(2, 5), nn.Linear(5, 3))
    optimizer = AdamW(model.parameters(), lr=0.02)
    grown = nn.Sequential(ResidualBlock(5), ResidualBlock(5))
    model = nn.Sequential(model[0], grown, model[1])
    if not faulty:
        optimizer.add_param_group({"params": grown.parameters()})
    loss_fn = nn.CrossEntropyLoss()
    return train(watch, model, optimizer, loss_fn, spirals(), epochs=20, told="batches")


@faulty("ratings-items-left-to-no-optimizer", "frozen_params", learns=0.4, version=2)
def items_left_to_no_optimizer(watch: Watch, faulty: bool) -> Outcome:
    model = Factors(50, 40, width=3)
    learned = model.users if faulty else model
    optimizer = Adagrad(learned.parameters(), lr=0.2)
    return train(watch, model, optimizer, nn.MSELoss(), ratings(), epochs=12)


class Pyramid(nn.Module):
    """Segments a signal with features of two scales; `.data` cuts the coarse one off."""

    def __init__(self, cuts: bool) -> None:
        super().__init__()
        self.fine = nn.Conv1d(1, 4, 1)
        self.coarse = nn.Sequential(
            nn.AvgPool1d(2), nn.Conv1d(1, 12, 3, padding=1), nn.ReLU(), nn.Upsample(scale_factor=2)
        )
        self.head, self.cuts = nn.Conv1d(16, 3, 1), cuts

    def forward(self, x: Tensor) -> Tensor:
        coarse = self.coarse(x)
        joined = torch.cat([torch.relu(self.fine(x)), coarse.data if self.cuts else coarse], 1)
        return self.head(joined)


@faulty(
    "segments-coarse-features-through-data", "detach_inplace", subtle=True, learns=0.7, version=2
)
def coarse_features_through_data(watch: Watch, faulty: bool) -> Outcome:
    model = Pyramid(cuts=faulty)
    for parameter in model.coarse.parameters():
        parameter.data *= 0.1
    optimizer = SGD(model.parameters(), lr=0.1, momentum=0.9)
    return train(
        watch,
        model,
        optimizer,
        nn.CrossEntropyLoss(),
        segments(),
        epochs=10,
        told="data",
        metric=position_accuracy,
    )


class Rebuilt(nn.Module):
    """Averages its pieces; `torch.tensor` of a list of numbers has no history."""

    def __init__(self, rebuilds: bool) -> None:
        super().__init__()
        self.layers, self.rebuilds = mlp(2, 24, 24, 24), rebuilds
        self.head = nn.Linear(24, 3)

    def forward(self, x: Tensor) -> Tensor:
        features = torch.relu(self.layers(x))
        if self.rebuilds:
            features = torch.tensor(features.tolist())
        return self.head(features)


@faulty("spirals-tensor-of-a-list", "detach_inplace", learns=0.8, margin=0.1, version=2)
def tensor_of_a_list(watch: Watch, faulty: bool) -> Outcome:
    model = Rebuilt(faulty)
    optimizer = Adam(model.parameters(), lr=0.01)
    return train(watch, model, optimizer, nn.CrossEntropyLoss(), spirals(), epochs=15)


class Looking(nn.Module):
    """Averages the numbers of a sequence with weights that attention gives."""

    def __init__(self, cuts: bool) -> None:
        super().__init__()
        self.score, self.value = mlp(2, 12, 1, activation=nn.Tanh), nn.Linear(1, 8)
        self.head, self.cuts = nn.Linear(8, 1), cuts

    def forward(self, x: Tensor) -> Tensor:
        weights = self.score(x).softmax(1)
        if self.cuts:
            weights = weights.detach()
        return self.head((weights * self.value(x[..., :1])).sum(1))


@faulty("adding-attention-weights-detached", "detach_inplace", learns=0.8, margin=0.2, version=2)
def attention_weights_detached(watch: Watch, faulty: bool) -> Outcome:
    model = Looking(cuts=faulty)
    optimizer = Adam(model.parameters(), lr=0.02)
    return train(watch, model, optimizer, nn.MSELoss(), adding(), epochs=15)


class NoGradEncoder(nn.Module):
    def __init__(self, cuts: bool) -> None:
        super().__init__()
        self.encoder, self.decoder = mlp(24, 24, 3), mlp(3, 24, 24)
        self.cuts = cuts

    def forward(self, x: Tensor) -> Tensor:
        if self.cuts:
            with torch.no_grad():
                code = self.encoder(x)
        else:
            code = self.encoder(x)
        return self.decoder(code)


@faulty(
    "sensors-encoder-decorated-with-no-grad",
    "detach_inplace",
    "frozen_params",
    subtle=True,
    learns=0.6,
    version=2,
)
def encoder_decorated_with_no_grad(watch: Watch, faulty: bool) -> Outcome:
    model = NoGradEncoder(faulty)
    optimizer = AdamW(model.parameters(), lr=0.01)
    data = sensors()
    return train(watch, model, optimizer, nn.MSELoss(), data, epochs=20, told="batches")
