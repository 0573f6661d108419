"""The subject that `fit` would train: a model, a data set and a complete recipe."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from trainwell.checks.subject import Part, Subject
from trainwell.data.augment import compose
from trainwell.data.batches import open_reader
from trainwell.data.dataset import Split
from trainwell.nn.losses import l1_penalty, l2_penalty
from trainwell.training.session import Setting

STREAMED_SAMPLE = 2048
"""Examples read of a stream: each may cost a file."""


def subject_of_setting(setting: Setting, title: str) -> Subject:
    """What is checked of a training by trainwell.

    Args:
        setting: As `prepare` gives it.
        title: For people.

    Raises:
        DataError: A streamed example cannot be read.
    """
    recipe, data = setting.recipe, setting.data
    return Subject(
        model=setting.model,
        train=_part(setting, data.train),
        valid=_part(setting, data.valid),
        task=data.task,
        loss=setting.loss,
        batch_size=min(recipe.batch_size or 1, len(data.train)),
        classes=data.classes,
        columns=data.columns,
        learning_rate=recipe.learning_rate,
        prepare=data.preprocess,
        encode=data.preprocess.encode_targets,
        penalty=_penalty(recipe.l1, recipe.l2),
        augment=compose(recipe.augment or ()),
        is_prepared=True,
        title=title,
        seed=recipe.seed,
        device=setting.device,
    )


def _part(setting: Setting, split: Split) -> Part:
    if isinstance(split.inputs, Tensor):
        return Part(split.inputs, split.targets, split.ids)
    generator = torch.Generator().manual_seed(setting.recipe.seed)
    rows = torch.randperm(len(split), generator=generator)[:STREAMED_SAMPLE].sort().values
    reader = open_reader(split, torch.device("cpu"), setting.recipe.seed, 0)
    inputs, targets = next(iter(reader.read([rows], 0)))
    return Part(inputs, targets, split.ids[rows])


def _penalty(l1: float, l2: float) -> Callable[[nn.Module], Tensor] | None:
    if not l1 and not l2:
        return None

    def penalty(model: nn.Module) -> Tensor:
        parameters = list(model.parameters())
        return l1 * l1_penalty(parameters) + l2 * l2_penalty(parameters)

    return penalty
