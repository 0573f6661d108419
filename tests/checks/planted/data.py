"""Faults of the inputs: scale, type, values that are no numbers."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from tests.checks.planted.datasets import (
    Splits,
    customers,
    diabetes,
    digit_pictures,
    digits,
    forecasts,
    houses,
    rng,
    segments,
    standard_houses,
    standard_stripes,
    standardise,
    standardise_targets,
    stripes,
    tumours,
    waves,
    wine,
)
from tests.checks.planted.fault import Arguments, Family
from tests.checks.planted.models import Recurrent, Then, adam, cnn, mlp, sgd

DATA = Family("data")


@DATA.plant("unnormalised_inputs")
def wine_as_measured(faulty: bool) -> Arguments:
    """The columns of wine go in as measured, from 0.1 to 1,680."""
    data = wine() if faulty else standardise(wine())
    model = mlp(13, 32, 3)
    optimizer = sgd(model, 0.02)
    return Arguments(model, data.train, data.valid, nn.CrossEntropyLoss(), optimizer, 16)


@DATA.plant("unnormalised_inputs")
def tumours_as_measured(faulty: bool) -> Arguments:
    """A logistic regression gets areas in hundreds beside ratios of thousandths."""
    data = tumours() if faulty else standardise(tumours())
    model = nn.Linear(30, 1)
    optimizer = sgd(model, 0.05)
    return Arguments(model, data.train, data.valid, nn.BCEWithLogitsLoss(), optimizer, 32)


@DATA.plant("unnormalised_inputs")
def diabetes_as_measured(faulty: bool) -> Arguments:
    """Blood values around 200 and a sex of 1 or 2 go in as measured; numpy arrays, Adam."""
    data = standardise_targets(diabetes() if faulty else standardise(diabetes()))
    model = mlp(10, 64, 64, 1, activation=nn.Tanh)
    train = (data.train[0].numpy(), data.train[1].numpy())
    return Arguments(model, train, loss_fn=nn.MSELoss(), optimizer=adam(model), batch_size=32)


@DATA.plant("unnormalised_inputs")
def one_column_in_metres(faulty: bool) -> Arguments:
    """One of the standardised columns was joined from another table, in metres instead of
    kilometres and not centred."""
    data = standard_houses()
    if faulty:
        scale = torch.tensor([1.0, 1, 1, 9000, 1, 1])
        shift = torch.tensor([0.0, 0, 0, 15000, 0, 0])
        data = data.map_inputs(lambda x: x * scale + shift)
    model = mlp(6, 64, 32, 1)
    optimizer = sgd(model, 0.01)
    return Arguments(model, data.train, data.valid, nn.MSELoss(), optimizer, 32, "regression")


@DATA.plant("unnormalised_inputs")
def temperatures_in_kelvin(faulty: bool) -> Arguments:
    """All columns lie around 290 with a deviation of 1."""
    data = segments()
    if faulty:
        data = data.map_inputs(lambda x: x + 290)
    model = mlp(16, 64, 5)
    optimizer = sgd(model, 0.02)
    return Arguments(model, data.train, data.valid, nn.CrossEntropyLoss(), optimizer, 64)


@DATA.plant("unnormalised_inputs")
def voltages_in_volts(faulty: bool) -> Arguments:
    """A sensor's microvolts are given in volts: values of 0.000001."""
    data = waves()
    if faulty:
        data = data.map_inputs(lambda x: x * 1e-6)
    model = Recurrent(nn.LSTM, 1, 32, 3)
    optimizer = adam(model, 3e-3)
    return Arguments(model, data.train, data.valid, nn.CrossEntropyLoss(), optimizer, 32)


@DATA.plant("unnormalised_inputs")
def prices_of_shares(faulty: bool) -> Arguments:
    """A GRU gets prices around 4,000 where it was written for standardised ones."""
    data = forecasts()
    if faulty:
        data = data.map_inputs(lambda x: 4000 + 250 * x)
    model = Recurrent(nn.GRU, 1, 32, 1)
    return Arguments(model, data.train, data.valid, nn.MSELoss(), adam(model, 3e-3), 32)


@DATA.plant("unnormalised_inputs")
def a_time_stamp_as_a_column(faulty: bool) -> Arguments:
    """Seconds since 1970 stand beside standardised columns."""
    data = customers()
    stamp = torch.rand(2000, 1, generator=rng(20)) * 3e7
    stamp = stamp + 1.7e9 if faulty else (stamp - 1.5e7) / 8.7e6

    def join(x: Tensor) -> Tensor:
        return torch.cat([x, stamp[: len(x)] if len(x) > 1000 else stamp[-len(x) :]], 1)

    data = data.map_inputs(join)
    model = mlp(13, 32, 1)
    return Arguments(model, data.train, data.valid, nn.BCEWithLogitsLoss(), adam(model), 64)


@DATA.plant("unnormalised_inputs")
def incomes_with_a_long_tail(faulty: bool) -> Arguments:
    """Incomes in full euros, of which a few are a thousand times the middle; the twin has their
    logarithm, standardised."""
    base = segments(1500)
    income = torch.exp(10 + 1.5 * base.train[0][:, :2]), torch.exp(10 + 1.5 * base.valid[0][:, :2])

    def join(x: Tensor, money: Tensor) -> Tensor:
        money = money if faulty else (money.log() - 10) / 1.5
        return torch.cat([x[:, 2:], money], 1)

    data = Splits(
        (join(base.train[0], income[0]), base.train[1]),
        (join(base.valid[0], income[1]), base.valid[1]),
    )
    model = mlp(16, 32, 5)
    return Arguments(model, data.train, data.valid, nn.CrossEntropyLoss(), sgd(model, 0.02), 32)


@DATA.plant("dtype_scale", "unnormalised_inputs")
def bytes_into_a_cnn(faulty: bool) -> Arguments:
    """Pictures are made float but stay 0 to 255."""
    data = stripes().map_inputs(Tensor.float) if faulty else standard_stripes()
    model = cnn(3, 16, 4)
    optimizer = sgd(model, 0.01)
    return Arguments(model, data.train, data.valid, nn.CrossEntropyLoss(), optimizer, 32)


@DATA.plant("dtype_scale", "unnormalised_inputs")
def grey_bytes_into_an_mlp(faulty: bool) -> Arguments:
    """Grey pictures of 0 to 255 as rows; the twin divides by 255 and centres."""
    data = digits().map_inputs(lambda x: (x / 16 * 255).round().flatten(1))
    if not faulty:
        data = data.map_inputs(lambda x: (x / 255 - 0.5) / 0.5)
    model = mlp(64, 64, 10, activation=nn.Tanh)
    return Arguments(model, data.train, data.valid, optimizer=sgd(model, 0.02), batch_size=32)


@DATA.plant("dtype_scale", "unnormalised_inputs")
def bytes_scaled_nowhere(faulty: bool) -> Arguments:
    """The data set gives bytes and the model makes them float without dividing; the twin's model
    divides by 255 itself."""

    class FromBytes(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = cnn(3, 16, 4)

        def forward(self, images: Tensor) -> Tensor:
            images = images.float() if faulty else images.float() / 127.5 - 1
            return self.body(images)

    data = stripes()
    model = FromBytes()
    optimizer = sgd(model, 0.01)
    return Arguments(model, data.train, data.valid, nn.CrossEntropyLoss(), optimizer, 32)


@DATA.plant("dtype_scale")
def validation_stays_bytes(faulty: bool) -> Arguments:
    """Training pictures are scaled to ±1, validation pictures are left at 0 to 255."""
    bytes_ = stripes().map_inputs(Tensor.float)
    scaled = bytes_.map_inputs(lambda x: x / 127.5 - 1)
    model = cnn(3, 16, 4, norm=True)
    valid = bytes_.valid if faulty else scaled.valid
    return Arguments(model, scaled.train, valid, nn.CrossEntropyLoss(), adam(model), 32)


@DATA.plant("dtype_scale")
def validation_not_standardised(faulty: bool) -> Arguments:
    """The scaler is applied to the training rows and forgotten for the validation rows."""
    raw, scaled = wine(), standardise(wine())
    model = mlp(13, 32, 3)
    valid = raw.valid if faulty else scaled.valid
    return Arguments(model, scaled.train, valid, nn.CrossEntropyLoss(), sgd(model, 0.02), 16)


@DATA.plant("dtype_scale")
def validation_without_centring(faulty: bool) -> Arguments:
    """Training pictures are scaled to ±1, validation pictures to 0 to 1."""
    unit = digits().map_inputs(lambda x: x / 16)
    centred = unit.map_inputs(lambda x: (x - 0.5) / 0.5)
    model = cnn(1, 8, 10)
    valid = unit.valid if faulty else centred.valid
    optimizer = sgd(model, 0.02)
    return Arguments(model, centred.train, valid, nn.CrossEntropyLoss(), optimizer, 32)


@DATA.plant("dtype_scale")
def validation_in_other_units(faulty: bool) -> Arguments:
    """The scaler's deviation is applied in validation without its mean, on raw house data."""
    raw, scaled = houses(), standard_houses()
    deviation = raw.train[0].std(0)
    model = mlp(6, 64, 1)
    valid = (raw.valid[0] / deviation, scaled.valid[1]) if faulty else scaled.valid
    return Arguments(model, scaled.train, valid, nn.MSELoss(), adam(model, 3e-3), 32)


@DATA.plant("dtype_scale")
def standardised_then_made_integer(faulty: bool) -> Arguments:
    """Standardised columns were stored in an integer array, which cuts off all fractions."""
    data = standardise(tumours())
    if faulty:
        data = data.map_inputs(Tensor.long)

    class MadeFloat(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = mlp(30, 32, 1)

        def forward(self, rows: Tensor) -> Tensor:
            return self.body(rows.float())

    model = MadeFloat()
    loss = nn.BCEWithLogitsLoss()
    return Arguments(model, data.train, data.valid, loss, adam(model), 32, "binary")


@DATA.plant("dtype_scale")
def whole_division_of_bytes(faulty: bool) -> Arguments:
    """Bytes are divided by 255 with //: nearly everything becomes 0."""
    data = stripes().map_inputs(Tensor.float)
    data = data.map_inputs(lambda x: x // 255 if faulty else x / 255 - 0.5)
    model = cnn(3, 16, 4)
    return Arguments(model, data.train, data.valid, nn.CrossEntropyLoss(), adam(model), 32)


@DATA.plant("dtype_scale")
def double_rows_from_numpy(faulty: bool) -> Arguments:
    """Rows come from numpy in float64, the model is float32: the first step fails."""
    data = segments()
    if faulty:
        data = data.map_inputs(Tensor.double)
    model = mlp(16, 32, 5)
    return Arguments(model, data.train, data.valid, nn.CrossEntropyLoss(), adam(model), 32)


@DATA.plant("dtype_scale", "wrong_loss", "corrupted_labels")
def class_numbers_as_floats(faulty: bool) -> Arguments:
    """Class numbers come as float32, as a table has them; cross-entropy needs whole numbers."""
    data = segments()
    if faulty:
        data = data.map_targets(Tensor.float)
    model = mlp(16, 32, 5)
    loss = nn.CrossEntropyLoss()
    return Arguments(model, data.train, data.valid, loss, adam(model), 32, "multiclass")


@DATA.plant("dtype_scale", "unnormalised_inputs")
def scaled_by_255_twice(faulty: bool) -> Arguments:
    """Pictures that `ToTensor` has brought to 0 to 1 are divided by 255 once more."""
    data = digits().map_inputs(lambda x: x / 16)
    data = data.map_inputs(lambda x: x / 255 if faulty else (x - 0.3) / 0.37)
    model = cnn(1, 8, 10)
    return Arguments(model, data.train, data.valid, nn.CrossEntropyLoss(), sgd(model, 0.02), 32)


@DATA.plant("exploding_or_nan")
def empty_cells(faulty: bool) -> Arguments:
    """Five cells of a table are empty, NaN."""
    data = customers()
    if faulty:
        data.train[0][[3, 77, 300, 900, 1400], [0, 4, 4, 7, 11]] = math.nan
    model = mlp(12, 32, 1)
    return Arguments(model, data.train, data.valid, nn.BCEWithLogitsLoss(), adam(model), 32)


@DATA.plant("exploding_or_nan")
def ratio_with_zero_below(faulty: bool) -> Arguments:
    """A ratio of columns is infinite where the lower one is 0; the twin adds 1."""
    raw, scaled = houses(), standard_houses()

    def join(rows: Tensor, measured: Tensor) -> Tensor:
        area, floor = measured[:, :1], measured[:, 4:5]
        ratio = area / floor if faulty else area / (floor + 1)
        return torch.cat([rows, ratio / 30 - 1], 1)

    data = Splits(
        (join(scaled.train[0], raw.train[0]), scaled.train[1]),
        (join(scaled.valid[0], raw.valid[0]), scaled.valid[1]),
    )
    model = mlp(7, 32, 1)
    return Arguments(model, data.train, data.valid, nn.MSELoss(), adam(model), 32, "regression")


@DATA.plant("exploding_or_nan")
def sensor_drops_out(faulty: bool) -> Arguments:
    """In a few sequences a sensor has no reading for some samples, NaN."""
    data = waves()
    if faulty:
        data.train[0][[10, 200, 801], 12:18] = math.nan
    model = Recurrent(nn.GRU, 1, 32, 3)
    return Arguments(model, data.train, data.valid, nn.CrossEntropyLoss(), adam(model, 3e-3), 32)


@DATA.plant("exploding_or_nan")
def empty_cell_in_validation(faulty: bool) -> Arguments:
    """The validation rows alone have an empty cell."""
    data = segments()
    if faulty:
        data.valid[0][17, 3] = math.nan
    model = mlp(16, 32, 5)
    return Arguments(model, data.train, data.valid, nn.CrossEntropyLoss(), adam(model), 64)


@DATA.plant("exploding_or_nan")
def constant_pixel_standardised(faulty: bool) -> Arguments:
    """Pixels are standardised each; those that are always 0 become 0/0."""
    raw = digits().map_inputs(lambda x: x.flatten(1))
    mean, deviation = raw.train[0].mean(0), raw.train[0].std(0)
    small = 0.0 if faulty else 1.0
    data = raw.map_inputs(lambda x: (x - mean) / (deviation + small))
    model = mlp(64, 64, 10)
    return Arguments(model, data.train, data.valid, nn.CrossEntropyLoss(), adam(model), 32)


@DATA.plant("exploding_or_nan")
def logarithm_of_zero(faulty: bool) -> Arguments:
    """The logarithm of a column that has zeros; the twin takes log(1 + x)."""
    raw, scaled = houses(), standard_houses()

    def join(rows: Tensor, measured: Tensor) -> Tensor:
        garden = measured[:, 5:].log() if faulty else measured[:, 5:].log1p() - 2
        return torch.cat([rows[:, :5], garden], 1)

    data = Splits(
        (join(scaled.train[0], raw.train[0]), scaled.train[1]),
        (join(scaled.valid[0], raw.valid[0]), scaled.valid[1]),
    )
    model = mlp(6, 32, 1)
    return Arguments(model, data.train, data.valid, nn.MSELoss(), adam(model), 32)


@DATA.plant("exploding_or_nan")
def half_precision_overflows(faulty: bool) -> Arguments:
    """A table went through float16, in which 65,504 is the largest number; the twin's is scaled
    before."""
    raw = segments().map_inputs(lambda x: 30000 * x)
    data = raw.map_inputs(lambda x: x.half().float()) if faulty else standardise(raw)
    model = mlp(16, 32, 5)
    return Arguments(model, data.train, data.valid, nn.CrossEntropyLoss(), sgd(model, 0.02), 32)


@DATA.plant("exploding_or_nan")
def picture_divided_by_its_own_spread(faulty: bool) -> Arguments:
    """Each picture is divided by its own deviation; some pictures are blank."""
    data = digit_pictures()
    data.train[0][[5, 50, 500]] = 0.0
    data.valid[0][[3]] = 0.0
    small = 0.0 if faulty else 0.1
    data = data.map_inputs(
        lambda x: (x - x.mean((2, 3), keepdim=True)) / (x.std((2, 3), keepdim=True) + small)
    )
    model = Then(cnn(1, 8, 10), nn.Identity())
    return Arguments(model, data.train, data.valid, nn.CrossEntropyLoss(), adam(model), 32)
