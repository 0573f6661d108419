"""What version 4 does to examples on their way: their order, their changes, their splits."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.optim import SGD, Adam, AdamW, RMSprop

from benchmarks.corpus.data import Data, random
from benchmarks.corpus.further_architectures import (
    NamePieces,
    image_network,
    motion_network,
    sound_network,
)
from benchmarks.corpus.further_tasks import (
    alcohol,
    bikes,
    chirps,
    clocks,
    dots,
    motions,
    names,
    passengers,
    turned,
)
from benchmarks.corpus.more_tasks import map_inputs
from benchmarks.corpus.networks import mlp
from benchmarks.corpus.program import Outcome, Watch, faulty
from benchmarks.corpus.tasks import hold_out_half
from benchmarks.corpus.tasks import take_every_class_apart as sort_by_target
from benchmarks.corpus.training import in_order, measure, train


@faulty("names-language-after-language", "no_shuffle", learns=0.65, margin=0.1, version=4)
def language_after_language(watch: Watch, faulty: bool) -> Outcome:
    """One file for each language; `DataLoader` shuffles only if it is asked to."""
    data = sort_by_target(names())
    model = NamePieces()
    optimizer = SGD(model.parameters(), lr=0.3, momentum=0.8)
    order = in_order if faulty else torch.randperm
    return train(watch, model, optimizer, nn.CrossEntropyLoss(), data, epochs=8, order=order)


@faulty("turned-one-copy-after-the-other", "no_shuffle", learns=0.6, margin=0.1, version=4)
def one_copy_after_the_other(watch: Watch, faulty: bool) -> Outcome:
    """`ConcatDataset` of the unturned, the quarter-turned, ... images, in a sequential sampler."""
    data = sort_by_target(turned())
    model = image_network(4, side=8)
    optimizer = AdamW(model.parameters(), lr=0.003)
    order = in_order if faulty else torch.randperm
    loss_fn = nn.CrossEntropyLoss()
    return train(watch, model, optimizer, loss_fn, data, epochs=5, order=order, told="batches")


@faulty("bikes-from-night-to-night", "no_shuffle", subtle=True, learns=0.45, version=4)
def from_night_to_night(watch: Watch, faulty: bool) -> Outcome:
    """Rows are grouped by hour, from midnight on: a batch knows a single hour."""
    data = bikes()
    rows = data.x[:, 0].argsort(stable=True)
    data = replace(data, x=data.x[rows], y=data.y[rows])
    model = mlp(6, 64, 64, 1)
    optimizer = RMSprop(model.parameters(), lr=0.003)
    order = in_order if faulty else torch.randperm
    return train(watch, model, optimizer, nn.MSELoss(), data, epochs=12, order=order)


@faulty("motions-one-person-does-one-thing", "no_shuffle", learns=0.8, margin=0.1, version=4)
def one_person_does_one_thing(watch: Watch, faulty: bool) -> Outcome:
    """Recordings lie by what was done, and only the order of whole recordings is shuffled."""
    data = map_inputs(sort_by_target(motions()), lambda x: x.transpose(1, 2).contiguous())
    model = motion_network()
    optimizer = SGD(model.parameters(), lr=0.1, momentum=0.5)

    def order(count: int) -> Tensor:
        size = count // 4 if faulty else 1
        parts = torch.arange(count).split(size)
        return torch.cat([parts[place] for place in torch.randperm(len(parts)).tolist()])

    return train(watch, model, optimizer, nn.CrossEntropyLoss(), data, epochs=8, order=order)


@faulty("clocks-mirrored-like-photographs", "bad_augmentation", learns=0.8, margin=0.2, version=4)
def mirrored_like_photographs(watch: Watch, faulty: bool) -> Outcome:
    """Half of the clocks are mirrored, and their angles stay as they were."""
    model = image_network(2)
    optimizer = Adam(model.parameters(), lr=0.005)

    def augment(x: Tensor) -> Tensor:
        if not faulty:
            return x
        return torch.where(torch.rand(len(x), 1, 1, 1) < 0.5, x.flip(3), x)

    return train(watch, model, optimizer, nn.MSELoss(), clocks(), epochs=7, augment=augment)


@faulty("dots-rubbed-out", "bad_augmentation", subtle=True, learns=0.7, margin=0.05, version=4)
def rubbed_out(watch: Watch, faulty: bool) -> Outcome:
    """A random piece of six by six is rubbed out, dots and all, of which the number is asked."""
    model = image_network(4)
    optimizer = Adam(model.parameters(), lr=0.005)
    side = 6 if faulty else 1

    def augment(x: Tensor) -> Tensor:
        x = x.clone()
        for row, (top, left) in enumerate(torch.randint(13 - side, (len(x), 2)).tolist()):
            x[row, :, top : top + side, left : left + side] = 0
        return x

    loss_fn = nn.CrossEntropyLoss()
    return train(watch, model, optimizer, loss_fn, dots(), epochs=6, augment=augment)


@faulty("chirps-played-backwards", "bad_augmentation", learns=0.8, margin=0.1, version=4)
def played_backwards(watch: Watch, faulty: bool) -> Outcome:
    """What rises falls when it is played backwards, as half of the sounds are."""
    model = sound_network()
    optimizer = AdamW(model.parameters(), lr=0.003)

    def augment(x: Tensor) -> Tensor:
        return x.flip(2) if faulty and torch.rand(()) < 0.5 else x

    loss_fn = nn.CrossEntropyLoss()
    return train(watch, model, optimizer, loss_fn, chirps(), epochs=6, augment=augment, told="data")


@faulty("names-letters-swapped-for-others", "bad_augmentation", subtle=True, learns=0.65, version=4)
def letters_swapped_for_others(watch: Watch, faulty: bool) -> Outcome:
    """Half of the letters are replaced at random "for robustness"; names hang on their pairs."""
    model = NamePieces()
    optimizer = Adam(model.parameters(), lr=0.01)
    share = 0.5 if faulty else 0.02

    def augment(x: Tensor) -> Tensor:
        drawn = torch.randint(1, 17, x.shape)
        return torch.where((torch.rand(x.shape) < share) & (x > 0), drawn, x)

    loss_fn = nn.CrossEntropyLoss()
    return train(watch, model, optimizer, loss_fn, names(), epochs=9, augment=augment)


@faulty(
    "motions-windows-overlap", "train_val_leak", learns=0.5, margin=0.1, inflates=True, version=4
)
def windows_overlap(watch: Watch, faulty: bool) -> Outcome:
    """Windows that overlap by half are split at random: each has its neighbours in both parts."""
    source = random(441)
    person = torch.randn(120, 24, generator=source)
    state = torch.randint(3, (120,), generator=source)
    person[:, :3] += 2 * torch.eye(3)[state]
    owner = torch.arange(120).repeat_interleave(8)
    x = person[owner] + 0.4 * torch.randn(960, 24, generator=source)
    y = state[owner]
    seen = 640
    rows = torch.randperm(seen, generator=source) if faulty else torch.arange(seen)
    data = Data(x[rows[:448]], y[rows[:448]], x[rows[448:]], y[rows[448:]], "multiclass")
    model = mlp(24, 64, 3)
    optimizer = SGD(model.parameters(), lr=0.01, momentum=0.9, weight_decay=0.05)
    outcome = train(watch, model, optimizer, nn.CrossEntropyLoss(), data, epochs=10)
    test = replace(data, x_valid=x[seen:], y_valid=y[seen:])
    return Outcome(measure(model, test), outcome.reported)


@faulty("alcohol-one-model-for-all-folds", "train_val_leak", learns=0.2, inflates=True, version=4)
def one_model_for_all_folds(watch: Watch, faulty: bool) -> Outcome:
    """The model is not made anew for the last fold, which it has been trained on in four others."""
    clean, test = hold_out_half(alcohol())
    x, y = torch.cat([clean.x, clean.x_valid]), torch.cat([clean.y, clean.y_valid])
    folds = torch.arange(len(x)).chunk(5)
    kept = torch.cat(folds[:4])
    data = Data(x[kept], y[kept], x[folds[4]], y[folds[4]], "regression")
    model = mlp(12, 64, 1)
    loss_fn = nn.MSELoss()
    optimizer = Adam(model.parameters(), lr=0.005, weight_decay=0.1)
    if faulty:
        for fold in range(4):
            rows = torch.cat([part for place, part in enumerate(folds) if place != fold])
            for _ in range(25):
                for batch in rows[torch.randperm(len(rows))].split(16):
                    optimizer.zero_grad()
                    loss_fn(model(x[batch]), y[batch]).backward()
                    optimizer.step()
    outcome = train(watch, model, optimizer, loss_fn, data, epochs=14, batch_size=16)
    return Outcome(measure(model, test), outcome.reported)


@faulty(
    "passengers-listed-twice-before-the-split",
    "train_val_leak",
    subtle=True,
    learns=0.5,
    margin=0.05,
    inflates=True,
    version=4,
)
def listed_twice(watch: Watch, faulty: bool) -> Outcome:
    """A list with duplicates: half of the validation rows are copies of training rows."""
    clean, test = hold_out_half(passengers())
    y = torch.where(torch.rand(clean.y.shape, generator=random(442)) < 0.3, 1 - clean.y, clean.y)
    noise = torch.randn(len(y), 30, generator=random(443))
    x = torch.cat([clean.x, noise], 1)[:300]
    y = y[:300]
    rows = torch.randint(300, (150,), generator=random(444))
    more = torch.randn(len(clean.x_valid), 30, generator=random(445))
    apart = torch.cat([clean.x_valid, more], 1)
    x_valid, y_valid = apart, clean.y_valid
    flips = torch.rand(y_valid.shape, generator=random(446)) < 0.3
    y_valid = torch.where(flips, 1 - y_valid, y_valid)
    if faulty:
        x_valid, y_valid = torch.cat([x_valid, x[rows]]), torch.cat([y_valid, y[rows]])
    data = Data(x, y, x_valid, y_valid, "binary")
    model = mlp(35, 64, 1)
    optimizer = AdamW(model.parameters(), lr=0.002, weight_decay=0.1)
    outcome = train(watch, model, optimizer, nn.BCEWithLogitsLoss(), data, epochs=12)
    unseen = torch.cat([test.x_valid, torch.randn(len(test.x_valid), 30)], 1)
    flips = torch.rand(test.y_valid.shape, generator=random(447)) < 0.3
    truth = torch.where(flips, 1 - test.y_valid, test.y_valid)
    return Outcome(measure(model, replace(data, x_valid=unseen, y_valid=truth)), outcome.reported)
