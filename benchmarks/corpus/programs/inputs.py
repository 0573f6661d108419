"""Inputs of an unfit scale, and numbers that a type of number cannot hold."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import nn
from torch.optim import SGD, Adam, RMSprop

from benchmarks.corpus.data import (
    cancer,
    clusters,
    diabetes,
    digit_images,
    digits,
    digits_as_bytes,
    friedman,
    moons,
    noisy_linear,
    raw_cancer,
    raw_wine,
    wine,
)
from benchmarks.corpus.loop import fit, score
from benchmarks.corpus.networks import cnn, mlp
from benchmarks.corpus.program import Outcome, Watch, faulty


@faulty("wine-in-its-own-units", "unnormalised_inputs", learns=0.85, margin=0.1)
def wine_in_its_own_units(watch: Watch, faulty: bool) -> Outcome:
    data = raw_wine() if faulty else wine()
    model = mlp(13, 16, 3)
    optimizer = SGD(model.parameters(), lr=0.05)
    return fit(watch, model, optimizer, nn.CrossEntropyLoss(), data, epochs=40, batch_size=16)


@faulty("cancer-in-its-own-units", "unnormalised_inputs", subtle=True, learns=0.93, margin=0.03)
def cancer_in_its_own_units(watch: Watch, faulty: bool) -> Outcome:
    data = raw_cancer() if faulty else cancer()
    model = mlp(30, 16, 1)
    optimizer = Adam(model.parameters(), lr=0.001)
    return fit(watch, model, optimizer, nn.BCEWithLogitsLoss(), data, epochs=15, batch_size=16)


@faulty("friedman-far-from-zero", "unnormalised_inputs", learns=0.8, margin=0.1)
def far_from_zero(watch: Watch, faulty: bool) -> Outcome:
    data = friedman()
    if faulty:
        data = replace(data, x=data.x + 300, x_valid=data.x_valid + 300)
    model = mlp(10, 32, 1)
    optimizer = Adam(model.parameters(), lr=0.01)
    return fit(watch, model, optimizer, nn.MSELoss(), data, epochs=20)


@faulty("linear-one-column-in-grams", "unnormalised_inputs", subtle=True, learns=0.4, margin=0.1)
def one_column_in_grams(watch: Watch, faulty: bool) -> Outcome:
    data = noisy_linear(noise=0.5)
    if faulty:
        scale = torch.ones(8)
        scale[5] = 1e4
        data = replace(data, x=data.x * scale, x_valid=data.x_valid * scale)
    model = mlp(8, 16, 1)
    optimizer = RMSprop(model.parameters(), lr=0.003)
    return fit(watch, model, optimizer, nn.MSELoss(), data, epochs=15, told="batches")


@faulty("digit-images-bytes-into-tanh", "dtype_scale", "unnormalised_inputs", learns=0.9)
def bytes_into_tanh(watch: Watch, faulty: bool) -> Outcome:
    data = digit_images()
    if faulty:
        x, x_valid = (127.5 * (part + 1) for part in (data.x, data.x_valid))
        data = replace(data, x=x.byte().float(), x_valid=x_valid.byte().float())
    model = cnn(8, 10, activation=nn.Tanh)
    optimizer = SGD(model.parameters(), lr=0.05, momentum=0.9)
    return fit(watch, model, optimizer, nn.CrossEntropyLoss(), data, epochs=10)


@faulty(
    "diabetes-targets-cut-to-integers", "dtype_scale", "corrupted_labels", learns=0.2, margin=0.1
)
def targets_cut_to_integers(watch: Watch, faulty: bool) -> Outcome:
    data = diabetes()
    low, high = data.y.min(), data.y.max() + 0.01
    scaled = replace(
        data, y=(data.y - low) / (high - low), y_valid=(data.y_valid - low) / (high - low)
    )
    told = scaled
    if faulty:
        told = replace(scaled, y=scaled.y.long().float(), y_valid=scaled.y_valid.long().float())
    model = mlp(10, 16, 1)
    optimizer = Adam(model.parameters(), lr=0.005)
    fit(watch, model, optimizer, nn.MSELoss(), told, epochs=20, batch_size=16)
    truth = score(model, scaled)
    return Outcome(truth, truth)


@faulty(
    "digits-validation-not-divided", "dtype_scale", "unnormalised_inputs", subtle=True, learns=0.9
)
def validation_not_divided(watch: Watch, faulty: bool) -> Outcome:
    data, held = digits(), digits_as_bytes().x_valid
    held = held if faulty else held / 8 - 1
    data = replace(data, x=2 * data.x - 1, x_valid=held)
    model = mlp(64, 32, 32, 10, activation=nn.Tanh)
    optimizer = Adam(model.parameters(), lr=0.005)
    return fit(watch, model, optimizer, nn.CrossEntropyLoss(), data, epochs=8)


@faulty("clusters-metres-in-half-precision", "dtype_scale", learns=0.8, margin=0.3)
def metres_in_half_precision(watch: Watch, faulty: bool) -> Outcome:
    data = clusters()
    x, x_valid = 3e-9 * data.x, 3e-9 * data.x_valid
    if faulty:
        x, x_valid = x.half().float(), x_valid.half().float()
    data = replace(data, x=x / 3e-9, x_valid=x_valid / 3e-9)
    model = mlp(20, 32, 4)
    optimizer = Adam(model.parameters(), lr=0.005)
    return fit(watch, model, optimizer, nn.CrossEntropyLoss(), data, epochs=10)


@faulty("moons-scaled-then-stored-as-bytes", "dtype_scale", subtle=True, learns=0.93, margin=0.04)
def scaled_then_stored_as_bytes(watch: Watch, faulty: bool) -> Outcome:
    data = moons()
    low, high = data.x.min(0).values, data.x.max(0).values
    x, x_valid = (3 * (part - low) / (high - low) for part in (data.x, data.x_valid))
    if faulty:
        x, x_valid = x.byte().float(), x_valid.clamp(0, 255).byte().float()
    data = replace(data, x=x - 1.5, x_valid=x_valid - 1.5)
    model = mlp(2, 24, 24, 1)
    optimizer = Adam(model.parameters(), lr=0.01)
    return fit(watch, model, optimizer, nn.BCEWithLogitsLoss(), data, epochs=20)
