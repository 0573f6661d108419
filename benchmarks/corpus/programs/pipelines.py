"""What happens to examples before they reach the model: order, augmentation, splits."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.optim import SGD, Adam, AdamW

from benchmarks.corpus.architectures import (
    ResidualImage,
    Tagger,
    mask_network,
    residual_mlp,
    signal_network,
)
from benchmarks.corpus.data import Data, noisy_linear, random, split
from benchmarks.corpus.networks import mlp
from benchmarks.corpus.program import Outcome, Watch, faulty
from benchmarks.corpus.tasks import (
    applicants,
    beats,
    hold_out_half,
    houses,
    masks,
    scaled_stripes,
    scaled_topics,
    shells,
    swiss_roll,
    tags,
    take_every_class_apart,
)
from benchmarks.corpus.training import (
    in_order,
    label_f1,
    measure,
    position_accuracy,
    train,
)


@faulty("beats-read-folder-by-folder", "no_shuffle", learns=0.8, margin=0.1, version=2)
def read_folder_by_folder(watch: Watch, faulty: bool) -> Outcome:
    """A folder for each class, and `shuffle` left at False."""
    data = take_every_class_apart(beats())
    model = signal_network(3)
    optimizer = Adam(model.parameters(), lr=0.005)
    order = in_order if faulty else torch.randperm
    return train(watch, model, optimizer, nn.CrossEntropyLoss(), data, epochs=12, order=order)


@faulty("houses-sorted-by-price", "no_shuffle", subtle=True, learns=0.8, version=2)
def sorted_by_price(watch: Watch, faulty: bool) -> Outcome:
    data = take_every_class_apart(houses())
    model = residual_mlp(5, 16, 1)
    optimizer = SGD(model.parameters(), lr=0.02, momentum=0.9)
    order = in_order if faulty else torch.randperm
    return train(watch, model, optimizer, nn.MSELoss(), data, epochs=15, batch_size=20, order=order)


@faulty("topics-sorted-by-length", "no_shuffle", learns=0.6, version=2)
def sorted_by_length(watch: Watch, faulty: bool) -> Outcome:
    """Sorted so as to pad little; how long a text is says much of how many topics it has."""
    data = scaled_topics()
    rows = data.y.sum(1).argsort(stable=True)
    data = replace(data, x=data.x[rows], y=data.y[rows])
    model = mlp(20, 32, 5)
    optimizer = SGD(model.parameters(), lr=1.0)
    return train(
        watch,
        model,
        optimizer,
        nn.BCEWithLogitsLoss(),
        data,
        epochs=15,
        batch_size=16,
        told="data",
        metric=label_f1,
        order=in_order if faulty else torch.randperm,
    )


@faulty("swiss-roll-in-the-order-of-a-column", "no_shuffle", learns=0.75, version=2)
def in_the_order_of_a_column(watch: Watch, faulty: bool) -> Outcome:
    """An export that is sorted by one of the inputs."""
    data = swiss_roll()
    rows = data.x[:, 0].argsort()
    data = replace(data, x=data.x[rows], y=data.y[rows])
    model = mlp(3, 32, 32, 1, activation=nn.Tanh)
    optimizer = SGD(model.parameters(), lr=0.1, momentum=0.5)
    order = in_order if faulty else torch.randperm
    loss_fn = nn.MSELoss()
    return train(watch, model, optimizer, loss_fn, data, epochs=20, order=order, told="batches")


@faulty("stripes-turned-by-right-angles", "bad_augmentation", learns=0.8, margin=0.2, version=2)
def turned_by_right_angles(watch: Watch, faulty: bool) -> Outcome:
    """The class is the direction, which the augmentation changes."""
    model = ResidualImage(3, 3)
    optimizer = SGD(model.parameters(), lr=0.05, momentum=0.9)

    def augment(x: Tensor) -> Tensor:
        turned = x.rot90(1, (2, 3)) if faulty else x.flip(2, 3)
        return torch.where(torch.rand(len(x), 1, 1, 1) < 0.5, turned, x)

    data = scaled_stripes()
    loss_fn = nn.CrossEntropyLoss()
    return train(watch, model, optimizer, loss_fn, data, epochs=10, augment=augment)


@faulty("masks-image-flipped-mask-not", "bad_augmentation", learns=0.7, margin=0.1, version=2)
def image_flipped_mask_not(watch: Watch, faulty: bool) -> Outcome:
    model = mask_network()
    optimizer = Adam(model.parameters(), lr=0.005)
    loss_fn = nn.BCEWithLogitsLoss()

    def update(xb: Tensor, yb: Tensor) -> tuple[Tensor, Tensor]:
        if torch.rand(()) < 0.7:
            xb = xb.flip(3)
            if not faulty:
                yb = yb.flip(3)
        optimizer.zero_grad()
        outputs = model(xb)
        loss = loss_fn(outputs, yb)
        loss.backward()
        optimizer.step()
        return loss, outputs

    return train(
        watch,
        model,
        optimizer,
        loss_fn,
        masks(),
        epochs=10,
        told="losses",
        metric=label_f1,
        update=update,
    )


@faulty("beats-pieces-put-in-any-order", "bad_augmentation", learns=0.8, margin=0.1, version=2)
def pieces_put_in_any_order(watch: Watch, faulty: bool) -> Outcome:
    """Signals are cut to pieces and put together anew, which moves the beats about."""
    model = signal_network(3)
    optimizer = AdamW(model.parameters(), lr=0.005)

    def augment(x: Tensor) -> Tensor:
        if not faulty:
            return x * (1 + 0.1 * torch.randn(len(x), 1, 1))
        places = torch.rand(len(x), 12).argsort(1)
        pieces = x.view(len(x), 12, 4)
        return pieces.gather(1, places[..., None].expand(-1, -1, 4)).reshape(x.shape)

    loss_fn = nn.CrossEntropyLoss()
    return train(watch, model, optimizer, loss_fn, beats(), epochs=12, augment=augment)


@faulty("tags-words-replaced-at-random", "bad_augmentation", subtle=True, learns=0.75, version=2)
def words_replaced_at_random(watch: Watch, faulty: bool) -> Outcome:
    """Half of the words are replaced, as if that did not change their tags."""
    model = Tagger(24, 4)
    optimizer = Adam(model.parameters(), lr=0.005)
    share = 0.6 if faulty else 0.02

    def augment(x: Tensor) -> Tensor:
        return torch.where(torch.rand(x.shape) < share, torch.randint(24, x.shape), x)

    return train(
        watch,
        model,
        optimizer,
        nn.CrossEntropyLoss(),
        tags(),
        epochs=9,
        told="data",
        metric=position_accuracy,
        augment=augment,
    )


def patients(by_patient: bool) -> tuple[Data, Data]:
    """Twelve records of each of 120 patients; and those of patients that are in neither split."""
    source = random(163)
    person = 1.5 * torch.randn(160, 10, generator=source)
    ill = (person[:, 0] + person[:, 1] + 2.5 * torch.randn(160, generator=source) > 0).float()
    x = person.repeat_interleave(12, 0)
    x = x + 0.3 * torch.randn(x.shape, generator=source)
    y = ill.repeat_interleave(12)[:, None]
    seen = 120 * 12
    test = Data(x[:seen], y[:seen], x[seen:], y[seen:], "binary")
    if not by_patient:
        return split(x[:seen], y[:seen], "binary"), test
    kept = 84 * 12
    return Data(x[:kept], y[:kept], x[kept:seen], y[kept:seen], "binary"), test


@faulty(
    "patients-records-on-both-sides",
    "train_val_leak",
    subtle=True,
    learns=0.55,
    margin=0.1,
    inflates=True,
    version=2,
)
def records_on_both_sides(watch: Watch, faulty: bool) -> Outcome:
    """Split by record: the model knows a validation record's patient, and so the illness."""
    data, test = patients(by_patient=not faulty)
    model = mlp(10, 64, 1)
    optimizer = AdamW(model.parameters(), lr=0.003, weight_decay=0.1)
    outcome = train(watch, model, optimizer, nn.BCEWithLogitsLoss(), data, epochs=5)
    return Outcome(measure(model, test), outcome.reported)


@faulty(
    "shells-slices-overlap", "train_val_leak", learns=0.55, margin=0.05, inflates=True, version=2
)
def slices_overlap(watch: Watch, faulty: bool) -> Outcome:
    """`x[:200]` to train and `x[60:200]` to validate, after the size of the set was changed."""
    data, test = hold_out_half(shells(columns=8))
    if faulty:
        data = replace(data, x_valid=data.x[60:200], y_valid=data.y[60:200])
    data = data.head(200)
    model = mlp(8, 64, 3)
    optimizer = Adam(model.parameters(), lr=0.01, weight_decay=1e-3)
    outcome = train(watch, model, optimizer, nn.CrossEntropyLoss(), data, epochs=15)
    return Outcome(measure(model, test), outcome.reported)


@faulty(
    "applicants-joined-before-the-split",
    "train_val_leak",
    learns=0.6,
    margin=0.05,
    inflates=True,
    version=2,
)
def joined_before_the_split(watch: Watch, faulty: bool) -> Outcome:
    """A join with a table of loans tripled the rows; the split came after it."""
    data, test = hold_out_half(applicants())
    data = data.head(250)
    if faulty:
        x, y = torch.cat([data.x, data.x_valid]), torch.cat([data.y, data.y_valid])
        rows = torch.randperm(3 * len(x), generator=random(164)) % len(x)
        cut = int(0.7 * len(rows))
        data = Data(x[rows[:cut]], y[rows[:cut]], x[rows[cut:]], y[rows[cut:]], "binary")
    model = mlp(5, 96, 96, 1)
    optimizer = Adam(model.parameters(), lr=0.005, weight_decay=0 if faulty else 1e-2)
    loss_fn = nn.BCEWithLogitsLoss()
    outcome = train(watch, model, optimizer, loss_fn, data, epochs=15, told="data")
    return Outcome(measure(model, test), outcome.reported)


@faulty(
    "linear-columns-chosen-with-all-rows",
    "train_val_leak",
    subtle=True,
    learns=0.1,
    margin=0.1,
    inflates=True,
    version=2,
)
def columns_chosen_with_all_rows(watch: Watch, faulty: bool) -> Outcome:
    """Ambroise and McLachlan's (2002) selection bias: the choice has seen the validation rows."""
    few, test = hold_out_half(noisy_linear(noise=1.5, count=600, columns=4))
    few = replace(few.head(60), x_valid=few.x_valid[:40], y_valid=few.y_valid[:40])
    source = random(165)

    def widen(x: Tensor) -> Tensor:
        return torch.cat([x, torch.randn(len(x), 400, generator=source)], 1)

    wide = replace(few, x=widen(few.x), x_valid=widen(few.x_valid))
    test_x = widen(test.x_valid)
    seen, targets = wide.x, wide.y
    if faulty:
        seen, targets = torch.cat([wide.x, wide.x_valid]), torch.cat([wide.y, wide.y_valid])
    told = (seen * (targets - targets.mean())).mean(0).abs().topk(10).indices
    if not faulty:
        told = torch.arange(10)
    data = replace(wide, x=wide.x[:, told], x_valid=wide.x_valid[:, told])
    model = nn.Sequential(nn.Linear(10, 1))
    optimizer = SGD(model.parameters(), lr=0.02, weight_decay=0.05)
    outcome = train(watch, model, optimizer, nn.MSELoss(), data, epochs=25, batch_size=10)
    test = replace(test, x=data.x, x_valid=test_x[:, told])
    return Outcome(measure(model, test), outcome.reported)
