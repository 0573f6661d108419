"""Models that know their examples by heart, that are too simple, or that are held back."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.optim import SGD, Adam, AdamW, RMSprop

from benchmarks.corpus.architectures import (
    Factors,
    Tagger,
    Transformer,
    residual_mlp,
)
from benchmarks.corpus.data import random, sentences
from benchmarks.corpus.networks import cnn, mlp
from benchmarks.corpus.program import Outcome, Watch, faulty
from benchmarks.corpus.tasks import (
    applicants,
    beats,
    gaps,
    houses,
    masks,
    ratings,
    sensors,
    series,
    shapes,
    spirals,
    tags,
)
from benchmarks.corpus.training import label_f1, position_accuracy, train


@faulty("sentences-forty-texts-by-heart", "overfitting", learns=0.7, margin=0.05, version=2)
def forty_texts_by_heart(watch: Watch, faulty: bool) -> Outcome:
    data = sentences()
    if faulty:
        data = data.head(40)
    model = Transformer(60, 3, 12, width=32, layers=1)
    optimizer = AdamW(model.parameters(), lr=2e-3)
    epochs, size = (50, 16) if faulty else (4, 32)
    loss_fn = nn.CrossEntropyLoss()
    return train(watch, model, optimizer, loss_fn, data, epochs=epochs, batch_size=size)


@faulty("ratings-as-many-factors-as-ratings", "overfitting", learns=0.5, margin=0.1, version=2)
def as_many_factors_as_ratings(watch: Watch, faulty: bool) -> Outcome:
    model = Factors(50, 40, width=48 if faulty else 3)
    decay = 0.0 if faulty else 2e-3
    optimizer = Adam(model.parameters(), lr=0.01, weight_decay=decay)
    return train(watch, model, optimizer, nn.MSELoss(), ratings(), epochs=15)


@faulty("series-noise-learned", "overfitting", subtle=True, learns=0.4, margin=0.05, version=2)
def noise_learned(watch: Watch, faulty: bool) -> Outcome:
    data = series(noise=0.8).head(400)
    model = mlp(20, 192, 192, 1) if faulty else mlp(20, 8, 1)
    optimizer = Adam(model.parameters(), lr=3e-3, weight_decay=0.0 if faulty else 3e-3)
    return train(watch, model, optimizer, nn.MSELoss(), data, epochs=25)


@faulty("applicants-three-hundred-noise-columns", "overfitting", learns=0.7, margin=0.1, version=2)
def noise_columns(watch: Watch, faulty: bool) -> Outcome:
    """Columns of a survey that tell nothing, more of them than there are applicants."""
    data = applicants().head(200)
    if faulty:
        source = random(171)
        x = torch.cat([data.x, torch.randn(len(data.x), 300, generator=source)], 1)
        x_valid = torch.cat(
            [data.x_valid, torch.randn(len(data.x_valid), 300, generator=source)], 1
        )
        data = replace(data, x=x, x_valid=x_valid)
    model = mlp(data.x.shape[1], 16, 1)
    optimizer = SGD(model.parameters(), lr=0.05, momentum=0.9, weight_decay=0 if faulty else 1e-2)
    loss_fn = nn.BCEWithLogitsLoss()
    return train(watch, model, optimizer, loss_fn, data, epochs=25, batch_size=20, told="batches")


@faulty("spirals-as-if-linear", "underfitting", learns=0.85, margin=0.2, version=2)
def as_if_linear(watch: Watch, faulty: bool) -> Outcome:
    """Three layers and no activation between them."""
    activation = nn.Identity if faulty else nn.ReLU
    model = nn.Sequential(
        nn.Linear(2, 32), activation(), nn.Linear(32, 32), activation(), nn.Linear(32, 3)
    )
    optimizer = Adam(model.parameters(), lr=0.01)
    return train(watch, model, optimizer, nn.CrossEntropyLoss(), spirals(), epochs=15)


@faulty("masks-one-pixel-at-a-time", "underfitting", learns=0.6, margin=0.1, version=2)
def one_pixel_at_a_time(watch: Watch, faulty: bool) -> Outcome:
    """Kernels of size 1 see no neighbours, without which noise and square look alike."""
    size, padding = (1, 0) if faulty else (3, 1)
    model = nn.Sequential(
        nn.Conv2d(1, 8, size, padding=padding),
        nn.ReLU(),
        nn.Conv2d(8, 8, size, padding=padding),
        nn.ReLU(),
        nn.Conv2d(8, 1, size, padding=padding),
    )
    optimizer = Adam(model.parameters(), lr=0.01)
    data = masks(noise=0.7)
    loss_fn = nn.BCEWithLogitsLoss()
    return train(watch, model, optimizer, loss_fn, data, epochs=10, told="data", metric=label_f1)


@faulty(
    "tags-without-the-word-before", "underfitting", subtle=True, learns=0.8, margin=0.1, version=2
)
def without_the_word_before(watch: Watch, faulty: bool) -> Outcome:
    """Each tag is guessed from its own word, though it hangs on the one before too."""

    class WordByWord(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embedding, self.head = nn.Embedding(24, 16), nn.Linear(16, 4)

        def forward(self, x: Tensor) -> Tensor:
            return self.head(torch.relu(self.embedding(x))).transpose(1, 2)

    model = WordByWord() if faulty else Tagger(24, 4)
    optimizer = Adam(model.parameters(), lr=0.02 if faulty else 0.01)
    return train(
        watch,
        model,
        optimizer,
        nn.CrossEntropyLoss(),
        tags(),
        epochs=10,
        told="data",
        metric=position_accuracy,
    )


@faulty("sensors-code-too-short", "underfitting", subtle=True, learns=0.8, margin=0.1, version=2)
def code_too_short(watch: Watch, faulty: bool) -> Outcome:
    """Three hidden numbers cannot pass through a code of one."""
    model = mlp(24, 32, 1 if faulty else 4, 32, 24, activation=nn.Tanh)
    optimizer = AdamW(model.parameters(), lr=0.01)
    loss_fn = nn.MSELoss()
    return train(watch, model, optimizer, loss_fn, sensors(), epochs=15, told="batches")


@faulty("shapes-decay-of-a-fifth-in-adam", "over_regularised", learns=0.8, margin=0.1, version=2)
def decay_of_a_fifth_in_adam(watch: Watch, faulty: bool) -> Outcome:
    """A decay that AdamW would bear is, in Adam, part of the gradient that is scaled up."""
    model = cnn(12, 4)
    optimizer = Adam(model.parameters(), lr=5e-3, weight_decay=0.2 if faulty else 1e-5)
    return train(watch, model, optimizer, nn.CrossEntropyLoss(), shapes(), epochs=10)


@faulty(
    "gaps-weights-clamped-as-in-a-critic", "over_regularised", learns=0.75, margin=0.1, version=2
)
def weights_clamped_as_in_a_critic(watch: Watch, faulty: bool) -> Outcome:
    """Clamped after each step, as in the critic of Arjovsky et al. (2017)."""
    model = mlp(12, 32, 32, 1)
    optimizer = RMSprop(model.parameters(), lr=3e-3)
    bound = 0.05 if faulty else 5.0

    @torch.no_grad()
    def clamp() -> None:
        for parameter in model.parameters():
            parameter.clamp_(-bound, bound)

    loss_fn = nn.BCEWithLogitsLoss()
    return train(watch, model, optimizer, loss_fn, gaps(), epochs=15, after_batch=clamp)


@faulty("beats-dropout-on-everything", "over_regularised", learns=0.8, margin=0.1, version=2)
def dropout_on_everything(watch: Watch, faulty: bool) -> Outcome:
    """Dropout of inputs, channels and features, each of them strong."""
    share = 0.85 if faulty else 0.1
    model = nn.Sequential(
        nn.Dropout(share),
        nn.Flatten(),
        nn.Linear(48, 48),
        nn.ReLU(),
        nn.Dropout(share),
        nn.Linear(48, 32),
        nn.ReLU(),
        nn.Dropout(share),
        nn.Linear(32, 3),
    )
    optimizer = AdamW(model.parameters(), lr=3e-3)
    return train(watch, model, optimizer, nn.CrossEntropyLoss(), beats(), epochs=15)


@faulty(
    "houses-ridge-far-too-strong",
    "over_regularised",
    subtle=True,
    learns=0.8,
    margin=0.03,
    version=2,
)
def ridge_far_too_strong(watch: Watch, faulty: bool) -> Outcome:
    model = residual_mlp(5, 16, 1)
    strength = 0.06 if faulty else 1e-6
    optimizer = SGD(model.parameters(), lr=0.03, momentum=0.9, nesterov=True)
    criterion = nn.MSELoss()

    def update(xb: Tensor, yb: Tensor) -> tuple[Tensor, Tensor]:
        optimizer.zero_grad()
        outputs = model(xb)
        size = sum((parameter**2).sum() for parameter in model.parameters())
        loss = criterion(outputs, yb) + strength * size
        loss.backward()
        optimizer.step()
        return loss, outputs

    return train(watch, model, optimizer, criterion, houses(), epochs=15, update=update)
