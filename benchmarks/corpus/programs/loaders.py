"""What version 3 does to examples on their way: their order, their changes, their splits."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.optim import SGD, Adam, AdamW, NAdam, RMSprop

from benchmarks.corpus.architectures import Transformer, segment_network
from benchmarks.corpus.data import (
    Data,
    digit_images,
    digits,
    noisy_linear,
    random,
    sentences,
)
from benchmarks.corpus.more_architectures import (
    Reader,
    Table,
    colour_network,
    frame_network,
    spot_network,
)
from benchmarks.corpus.more_tasks import (
    claims,
    frames,
    leaves,
    machines,
    map_inputs,
    orders,
    reviews,
    spots,
)
from benchmarks.corpus.networks import LastState, cnn, mlp
from benchmarks.corpus.program import Outcome, Watch, faulty
from benchmarks.corpus.tasks import hold_out_half, segments
from benchmarks.corpus.tasks import take_every_class_apart as sort_by_target
from benchmarks.corpus.training import in_order, measure, position_accuracy, train


@faulty("sentences-topic-after-topic", "no_shuffle", learns=0.7, margin=0.05, version=3)
def topic_after_topic(watch: Watch, faulty: bool) -> Outcome:
    """Texts lie by topic; the sampler that shuffles was replaced by one that does not."""
    data = sort_by_target(sentences())
    model = Transformer(60, 3, 12)
    optimizer = AdamW(model.parameters(), lr=0.003)
    order = in_order if faulty else torch.randperm
    return train(watch, model, optimizer, nn.CrossEntropyLoss(), data, epochs=6, order=order)


@faulty("orders-shop-after-shop", "no_shuffle", subtle=True, learns=0.7, version=3)
def shop_after_shop(watch: Watch, faulty: bool) -> Outcome:
    """A query without an order of its own gives the shops' rows one shop after the other."""
    data = orders()
    rows = (data.x[:, 0] * 10 + 5 * data.y[:, 0]).argsort(stable=True)
    data = replace(data, x=data.x[rows], y=data.y[rows])
    model = Table()
    optimizer = SGD(model.parameters(), lr=0.1, momentum=0.9)
    order = in_order if faulty else torch.randperm
    loss_fn = nn.BCEWithLogitsLoss()
    return train(watch, model, optimizer, loss_fn, data, epochs=8, order=order)


@faulty("leaves-sorted-by-colour", "no_shuffle", learns=0.8, margin=0.1, version=3)
def sorted_by_colour(watch: Watch, faulty: bool) -> Outcome:
    """The random order's numbers are sorted before use, of examples that lie class by class."""
    data = sort_by_target(leaves())
    model = colour_network()
    optimizer = SGD(model.parameters(), lr=0.03, momentum=0.9)

    def order(count: int) -> Tensor:
        drawn = torch.randperm(count)
        return drawn.sort().values if faulty else drawn

    loss_fn = nn.CrossEntropyLoss()
    return train(watch, model, optimizer, loss_fn, data, epochs=10, batch_size=16, order=order)


@faulty("machines-most-worn-last", "no_shuffle", subtle=True, learns=0.75, margin=0.05, version=3)
def most_worn_last(watch: Watch, faulty: bool) -> Outcome:
    """Records stand in the order of wear, as machines age; batches of ten are all alike."""
    data = sort_by_target(machines())
    model = LastState(nn.GRU(3, 16, batch_first=True), 1)
    optimizer = Adam(model.parameters(), lr=0.01)
    order = in_order if faulty else torch.randperm
    loss_fn = nn.MSELoss()
    return train(watch, model, optimizer, loss_fn, data, epochs=5, batch_size=10, order=order)


@faulty("reviews-praise-before-blame", "no_shuffle", learns=0.75, version=3)
def praise_before_blame(watch: Watch, faulty: bool) -> Outcome:
    """Two folders, one read after the other; `shuffle=True` went to the wrong loader."""
    data = sort_by_target(reviews())
    model = Reader()
    optimizer = AdamW(model.parameters(), lr=0.005)
    order = in_order if faulty else torch.randperm
    loss_fn = nn.BCEWithLogitsLoss()
    return train(watch, model, optimizer, loss_fn, data, epochs=8, order=order, told="batches")


@faulty("spots-image-moved-place-kept", "bad_augmentation", learns=0.85, margin=0.05, version=3)
def image_moved_place_kept(watch: Watch, faulty: bool) -> Outcome:
    """Images are moved by up to three pixels; the place that is asked stays as it was."""
    model = spot_network()
    optimizer = Adam(model.parameters(), lr=0.005)
    loss_fn = nn.MSELoss()

    def update(xb: Tensor, yb: Tensor) -> tuple[Tensor, Tensor]:
        down, right = torch.randint(-3, 4, (2,)).tolist()
        xb = xb.roll((down, right), (2, 3))
        if not faulty:
            yb = yb + torch.tensor([down, right]) / 4
        optimizer.zero_grad()
        outputs = model(xb)
        loss = loss_fn(outputs, yb)
        loss.backward()
        optimizer.step()
        return loss, outputs

    return train(watch, model, optimizer, loss_fn, spots(), epochs=30, update=update)


@faulty("segments-played-backwards", "bad_augmentation", learns=0.75, margin=0.03, version=3)
def played_backwards(watch: Watch, faulty: bool) -> Outcome:
    """A signal that rises falls when it is played backwards, and lies elsewhere."""
    model = segment_network()
    optimizer = Adam(model.parameters(), lr=0.005)

    def augment(x: Tensor) -> Tensor:
        turned = x.flip(2) if faulty else x + 0.05 * torch.randn_like(x)
        return torch.where(torch.rand(len(x), 1, 1) < 0.5, turned, x)

    return train(
        watch,
        model,
        optimizer,
        nn.CrossEntropyLoss(),
        segments(),
        epochs=10,
        told="data",
        metric=position_accuracy,
        augment=augment,
    )


@faulty("leaves-hue-turned", "bad_augmentation", learns=0.8, margin=0.1, version=3)
def hue_turned(watch: Watch, faulty: bool) -> Outcome:
    """A colour jitter that turns the hue about, where the hue is what tells the class."""
    model = colour_network()
    optimizer = AdamW(model.parameters(), lr=0.005)

    def augment(x: Tensor) -> Tensor:
        x = x * (0.8 + 0.4 * torch.rand(len(x), 1, 1, 1))
        if not faulty:
            return x
        turns = torch.randint(3, (len(x), 1))
        channels = (torch.arange(3) + turns) % 3
        return x.gather(1, channels[:, :, None, None].expand_as(x))

    loss_fn = nn.CrossEntropyLoss()
    return train(watch, model, optimizer, loss_fn, leaves(), epochs=10, augment=augment)


@faulty("frames-swapped-now-and-then", "bad_augmentation", learns=0.75, margin=0.1, version=3)
def swapped_now_and_then(watch: Watch, faulty: bool) -> Outcome:
    """The two photographs are swapped in half of the batches, so that things come back."""
    data = map_inputs(frames(), lambda x: (x - 105) / 30)
    model = frame_network()
    optimizer = NAdam(model.parameters(), lr=0.003)

    def augment(x: Tensor) -> Tensor:
        if faulty and torch.rand(()) < 0.5:
            return x.flip(1)
        return x + 0.1 * torch.randn_like(x)

    loss_fn = nn.CrossEntropyLoss()
    return train(watch, model, optimizer, loss_fn, data, epochs=8, augment=augment, told="data")


@faulty("reviews-words-in-any-order", "bad_augmentation", subtle=True, learns=0.75, version=3)
def words_in_any_order(watch: Watch, faulty: bool) -> Outcome:
    """Words change places in training: what "not" belongs to is lost."""
    model = Reader()
    optimizer = Adam(model.parameters(), lr=0.006)

    def augment(x: Tensor) -> Tensor:
        if not faulty:
            return torch.where(torch.rand(x.shape) < 0.02, 0, x)
        return x.gather(1, torch.rand(x.shape).argsort(1))

    loss_fn = nn.BCEWithLogitsLoss()
    return train(watch, model, optimizer, loss_fn, reviews(), epochs=10, augment=augment)


@faulty(
    "digit-images-training-images-inverted", "bad_augmentation", learns=0.9, margin=0.1, version=3
)
def training_images_inverted(watch: Watch, faulty: bool) -> Outcome:
    """An inversion meant for some images is made of every one; validation has none inverted."""
    model = cnn(8, 10)
    optimizer = SGD(model.parameters(), lr=0.03, momentum=0.9)

    def augment(x: Tensor) -> Tensor:
        turned = torch.rand(len(x), 1, 1, 1) < (1.0 if faulty else 0.3)
        return torch.where(turned, -x, x)

    loss_fn = nn.CrossEntropyLoss()
    return train(watch, model, optimizer, loss_fn, digit_images(), epochs=8, augment=augment)


@faulty("claims-columns-mixed-among-rows", "bad_augmentation", subtle=True, learns=0.7, version=3)
def columns_mixed_among_rows(watch: Watch, faulty: bool) -> Outcome:
    """Each value is swapped for another row's with a chance of 0.3 ("swap noise")."""
    share = 0.3 if faulty else 0.01
    model = mlp(6, 32, 32, 1)
    optimizer = Adam(model.parameters(), lr=0.005)

    def augment(x: Tensor) -> Tensor:
        other = x.gather(0, torch.rand(x.shape).argsort(0))
        return torch.where(torch.rand(x.shape) < share, other, x)

    loss_fn = nn.MSELoss()
    return train(watch, model, optimizer, loss_fn, claims(), epochs=12, augment=augment)


@faulty(
    "linear-split-drawn-twice", "train_val_leak", learns=0.1, margin=0.1, inflates=True, version=3
)
def split_drawn_twice(watch: Watch, faulty: bool) -> Outcome:
    """`random_split` is called for each part, with another seed: most rows are in both."""
    data, test = hold_out_half(noisy_linear(noise=1.0, count=500, columns=60))
    x, y = torch.cat([data.x, data.x_valid]), torch.cat([data.y, data.y_valid])
    first = torch.randperm(len(x), generator=random(331))
    second = torch.randperm(len(x), generator=random(332)) if faulty else first
    cut = int(0.75 * len(x))
    data = Data(x[first[:cut]], y[first[:cut]], x[second[cut:]], y[second[cut:]], "regression")
    model = mlp(60, 96, 1)
    optimizer = Adam(model.parameters(), lr=0.003, weight_decay=3e-2)
    outcome = train(watch, model, optimizer, nn.MSELoss(), data, epochs=20, batch_size=16)
    return Outcome(measure(model, test), outcome.reported)


@faulty(
    "digits-copies-moved-before-the-split",
    "train_val_leak",
    learns=0.6,
    margin=0.05,
    inflates=True,
    version=3,
)
def copies_moved_before_the_split(watch: Watch, faulty: bool) -> Outcome:
    """Four noisy copies of each of few images were made first, and split afterwards."""
    clean, test = hold_out_half(digits())
    x, y = clean.x[:80], clean.y[:80]
    if faulty:
        x, y = x.repeat(5, 1), y.repeat(5)
        x = x + 0.15 * torch.randn(x.shape, generator=random(334))
        rows = torch.randperm(len(x), generator=random(335))
        x, y = x[rows], y[rows]
        cut = int(0.8 * len(x))
        data = Data(x[:cut], y[:cut], x[cut:], y[cut:], "multiclass")
    else:
        rows = torch.arange(64).repeat(5)
        changed = x[rows] + 0.15 * torch.randn(320, 64, generator=random(334))
        data = Data(changed, y[rows], clean.x[80:280], clean.y[80:280], "multiclass")
    model = mlp(64, 48, 10)
    optimizer = Adam(model.parameters(), lr=0.005)
    outcome = train(watch, model, optimizer, nn.CrossEntropyLoss(), data, epochs=12)
    return Outcome(measure(model, test), outcome.reported)


@faulty(
    "leaves-both-sets-from-one-folder",
    "train_val_leak",
    learns=0.5,
    margin=0.05,
    inflates=True,
    version=3,
)
def both_sets_from_one_folder(watch: Watch, faulty: bool) -> Outcome:
    """Both sets are made of the folder "train", whose wrong labels are known by heart."""
    clean, test = hold_out_half(leaves())
    data = clean.head(140)
    wrong = torch.rand(140, generator=random(336)) < 0.25
    y = torch.where(wrong, torch.randint(3, (140,), generator=random(337)), data.y)
    data = replace(data, y=y)
    if faulty:
        data = replace(data, x_valid=data.x[:110], y_valid=data.y[:110])
    model = nn.Sequential(nn.Flatten(), mlp(300, 64, 3))
    optimizer = SGD(model.parameters(), lr=0.02, momentum=0.9, weight_decay=1e-2)
    loss_fn = nn.CrossEntropyLoss()
    outcome = train(watch, model, optimizer, loss_fn, data, epochs=16, batch_size=14)
    return Outcome(measure(model, test), outcome.reported)


@faulty(
    "orders-one-customer-many-orders",
    "train_val_leak",
    subtle=True,
    learns=0.6,
    margin=0.05,
    inflates=True,
    version=3,
)
def one_customer_many_orders(watch: Watch, faulty: bool) -> Outcome:
    """Rows of one customer are nearly alike, and on both sides of a split by row."""
    source = random(338)
    person = torch.randn(270, 14, generator=source)
    habit = (1.5 * person[:, 0] + 1.8 * torch.randn(270, generator=source) > 0).float()
    owner = torch.arange(270).repeat_interleave(8)
    x = person[owner] + 0.15 * torch.randn(2160, 14, generator=source)
    y = habit[owner][:, None]
    seen = 1440
    rows = torch.randperm(seen, generator=source) if faulty else torch.arange(seen)
    cut = 960
    data = Data(x[rows[:cut]], y[rows[:cut]], x[rows[cut:]], y[rows[cut:]], "binary")
    model = mlp(14, 128, 1)
    optimizer = RMSprop(model.parameters(), lr=0.002, weight_decay=0.02)
    loss_fn = nn.BCEWithLogitsLoss()
    outcome = train(watch, model, optimizer, loss_fn, data, epochs=8)
    test = replace(data, x_valid=x[seen:], y_valid=y[seen:])
    return Outcome(measure(model, test), outcome.reported)
