"""Folds of cross-validation: each example of training and validation is validated on once."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy
import torch
from torch import Tensor

from trainwell.data.adapt import fit_again
from trainwell.data.dataset import Dataset, Split
from trainwell.data.seeding import derive_seed
from trainwell.errors import DataError

POOLED = "train and valid"
KIND = "fold"


def make_fold(data: Dataset, number: int, folds: int, seed: int) -> Dataset:
    """One fold: its part of the examples is the validation split, all others are trained on.

    Training and validation split are put together and cut anew; the test split is left out, so
    that no fold can look at it. The preprocessing is fitted again, on the fold's own training
    split only.

    Args:
        data: Is not changed.
        number: Of the fold, from 1.
        folds: How many there are. The classes of a classification have the same shares in all.
        seed: The same seed cuts alike.

    Raises:
        DataError: The data is streamed, or there are too few examples for so many folds.
    """
    pool = pool_examples(data)
    train, valid = _cut(pool.targets, number, folds, seed, is_stratified=bool(data.classes))
    fold = dataclasses.replace(
        data,
        name=f"{data.name}, fold {number} of {folds}",
        train=_take(pool, train),
        valid=_take(pool, valid),
        test=None,
        origin=_describe(data.origin, number, folds, seed),
    )
    return fit_again(fold, data.preprocess.steps)


def pool_examples(data: Dataset) -> Split:
    """Training and validation split together.

    Raises:
        DataError: The data is streamed.
    """
    train, valid = data.train, data.valid
    if not isinstance(train.inputs, Tensor) or not isinstance(valid.inputs, Tensor):
        raise DataError(
            "a stream of examples cannot be cut into folds",
            where=data.name,
            remedy="Give arrays, or a path",
        )
    inputs = torch.cat([train.inputs, valid.inputs])
    targets = torch.cat([train.targets, valid.targets])
    if train.source == valid.source:
        return Split(inputs, targets, torch.cat([train.ids, valid.ids]), train.source)
    # Rows of two sources have the same numbers; here they are counted on.
    return Split(inputs, targets, torch.arange(len(targets)), POOLED)


def _cut(
    targets: Tensor, number: int, folds: int, seed: int, *, is_stratified: bool
) -> tuple[Tensor, Tensor]:
    """Positions that a fold trains on, and that it validates on."""
    from sklearn.model_selection import KFold, StratifiedKFold

    _refuse_too_few(targets, folds, is_stratified=is_stratified)
    kind = StratifiedKFold if is_stratified else KFold
    splitter = kind(folds, shuffle=True, random_state=derive_seed(seed, "folds") % 2**32)
    parts = list(splitter.split(numpy.zeros(len(targets)), targets.numpy()))
    train, valid = parts[number - 1]
    return torch.from_numpy(train), torch.from_numpy(valid)


def _refuse_too_few(targets: Tensor, folds: int, *, is_stratified: bool) -> None:
    if folds < 2:
        raise DataError(
            f"{folds} folds are no cross-validation", where="folds", remedy="Give at least 2"
        )
    smallest, what = len(targets), "there are"
    if is_stratified:
        counts = torch.bincount(targets)
        smallest, what = int(counts[counts > 0].min()), "the rarest class has"
    if smallest < folds:
        raise DataError(
            f"{what} {smallest} examples in training and validation split together, too few for "
            f"{folds} folds",
            where="folds",
            remedy=f"Use at most {smallest} folds" if smallest > 1 else "Give more examples",
        )


def _take(pool: Split, positions: Tensor) -> Split:
    assert isinstance(pool.inputs, Tensor)
    return Split(pool.inputs[positions], pool.targets[positions], pool.ids[positions], pool.source)


def _describe(origin: Mapping[str, Any], number: int, folds: int, seed: int) -> Mapping[str, Any]:
    """Enough to make the same fold again, where the whole data can be loaded again."""
    if origin.get("kind") == "memory":
        return origin
    return {"kind": KIND, "of": dict(origin), "number": number, "folds": folds, "seed": seed}
