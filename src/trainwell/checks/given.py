"""The subject that a hand-written program has: a model, arrays, a loss and an optimiser."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset

from trainwell.checks.subject import Part, Subject
from trainwell.data.dataset import Task
from trainwell.data.draw import Augmentation
from trainwell.errors import DataError, ModelError, first_line
from trainwell.nn.losses import Loss, choose_loss
from trainwell.training.evaluation import evaluating

BATCH_SIZE = 32
LARGEST_SAMPLE = 20_000
"""Examples read from a torch data set: more would take longer than a look is worth."""
BINARY_LOSSES = (nn.BCELoss, nn.BCEWithLogitsLoss, nn.SoftMarginLoss)
CLASS_LOSSES = (nn.CrossEntropyLoss, nn.NLLLoss, nn.MultiMarginLoss)
MOST_CLASSES = 1000


def subject_of(
    model: nn.Module,
    data: Any,
    *,
    valid: Any = None,
    loss_fn: Loss | None = None,
    optimizer: Optimizer | None = None,
    batch_size: int | None = None,
    task: Task | None = None,
    augment: Augmentation | None = None,
    shuffle: bool | None = None,
    seed: int = 0,
) -> Subject:
    """What is checked of a hand-written program.

    Args:
        model: Gets the inputs as they are.
        data: `(X, y)` arrays or tensors, a torch `Dataset`, or a `DataLoader`.
        valid: Likewise; None: there is none.
        loss_fn: Called with outputs and targets; None: that of maximum likelihood for the task.
        optimizer: None: not looked at.
        batch_size: None: the loader's, else 32.
        task: None: found out from the loss and the targets.
        augment: Of a batch of inputs; None: there is none.
        shuffle: Whether the training draws its examples in random order; None: as the loader does,
            else yes.
        seed: From which checks derive their random numbers.

    Raises:
        DataError: The data is none of these.
        ModelError: The model cannot take the inputs.
    """
    train = read_part(data, "train", seed)
    found_task = task or infer_task(train, loss_fn, model)
    parameter = next(iter(model.parameters()), None)
    device = parameter.device if parameter is not None else torch.device("cpu")
    return Subject(
        model=model,
        train=train,
        valid=None if valid is None else read_part(valid, "valid", seed),
        task=found_task,
        loss=loss_fn or choose_loss(found_task, _outputs_of(model, train, device)),
        batch_size=batch_size or getattr(data, "batch_size", None) or BATCH_SIZE,
        classes=_class_names(train.targets, found_task),
        optimizer=optimizer,
        learning_rate=None if optimizer is None else optimizer.param_groups[0]["lr"],
        augment=augment,
        shuffles=_shuffles(data) if shuffle is None else shuffle,
        title=type(model).__name__,
        seed=seed,
        device=device,
    )


def read_part(data: Any, where: str, seed: int = 0) -> Part:
    """The examples of one split.

    Args:
        data: As `subject_of` takes it.
        where: For messages.
        seed: Of which examples of a large torch data set are read.

    Raises:
        DataError: It has no inputs and targets, or not equally many.
    """
    if isinstance(data, DataLoader):
        return read_part(data.dataset, where, seed)
    if isinstance(data, TorchDataset):
        return _read_dataset(data, where, seed)
    if not isinstance(data, Sequence) or len(data) != 2:
        raise DataError(
            f"examples cannot be read from a {type(data).__name__}",
            where=where,
            remedy="Give (X, y), a torch Dataset or a DataLoader",
        )
    inputs, targets = (_as_tensor(values, where) for values in data)
    if len(inputs) != len(targets) or not len(inputs):
        raise DataError(
            f"{len(inputs)} inputs and {len(targets)} targets",
            where=where,
            remedy="Give one target for each example, and at least one example",
        )
    return Part(inputs, targets)


def _read_dataset(data: TorchDataset[Any], where: str, seed: int) -> Part:
    tensors = getattr(data, "tensors", None)
    if tensors is not None and len(tensors) == 2:
        return Part(tensors[0], tensors[1])
    count = len(data)  # pyright: ignore[reportArgumentType]
    rows = torch.arange(count)
    if count > LARGEST_SAMPLE:
        generator = torch.Generator().manual_seed(seed)
        rows = torch.randperm(count, generator=generator)[:LARGEST_SAMPLE].sort().values
    try:
        pairs = [data[int(row)] for row in rows]
        inputs = torch.stack([torch.as_tensor(pair[0]) for pair in pairs])
        targets = torch.stack([torch.as_tensor(pair[1]) for pair in pairs])
    except Exception as error:
        raise DataError(
            f"its examples cannot be read: {first_line(error)}",
            where=where,
            remedy="Let each item be a pair of an input and a target, all of one shape",
        ) from error
    return Part(inputs, targets, rows)


def _as_tensor(values: Any, where: str) -> Tensor:
    try:
        tensor = torch.as_tensor(values)
    except (TypeError, ValueError, RuntimeError) as error:
        raise DataError(
            f"it is not made of numbers: {first_line(error)}",
            where=where,
            remedy="Give arrays or tensors",
        ) from error
    return tensor if tensor.ndim else tensor[None]


def infer_task(train: Part, loss_fn: Loss | None, model: nn.Module) -> Task:
    """What is predicted: as the loss tells, else as the targets look.

    Args:
        train: Examples as held.
        loss_fn: The user's; None: not given.
        model: Its last layer tells two classes with one output from a classification with several.
    """
    if isinstance(loss_fn, BINARY_LOSSES):
        is_single = train.targets.ndim == 1 or train.targets.shape[1:].numel() == 1
        return "binary" if is_single else "reconstruction"
    if isinstance(loss_fn, CLASS_LOSSES):
        return "multiclass"
    name = getattr(loss_fn, "__name__", "")
    if "binary_cross_entropy" in name:
        return "binary"
    if name in ("cross_entropy", "nll_loss"):
        return "multiclass"
    targets = train.targets
    same = targets.shape == train.inputs.shape or targets.shape == train.inputs.flatten(1).shape
    if (
        same
        and targets.is_floating_point()
        and torch.equal(targets.reshape(train.inputs.shape), train.inputs)
    ):
        return "reconstruction"
    if not targets.is_floating_point() and targets.unique().numel() <= MOST_CLASSES:
        return "binary" if _width_of(model) == 1 and targets.unique().numel() <= 2 else "multiclass"
    return "regression"


def _width_of(model: nn.Module) -> int | None:
    linear = [module for module in model.modules() if isinstance(module, nn.Linear)]
    return linear[-1].out_features if linear else None


def _outputs_of(model: nn.Module, train: Part, device: torch.device) -> int:
    try:
        with evaluating(model), torch.inference_mode():
            outputs = model(train.inputs[:2].to(device))
        return 1 if outputs.ndim == 1 else outputs.shape[1]
    except Exception as error:
        raise ModelError(
            f"the model fails on inputs {tuple(train.inputs[:2].shape)} of "
            f"{train.inputs.dtype}: {first_line(error)}",
            remedy="Give inputs as the model expects them",
        ) from error


def _class_names(targets: Tensor, task: Task) -> tuple[str, ...]:
    if task not in ("binary", "multiclass") or (targets.ndim > 1 and targets.shape[1] > 1):
        return ()
    values = targets.flatten()
    if values.is_floating_point() and not bool(torch.isfinite(values).all()):
        return ()
    highest = int(values.max())
    return tuple(str(number) for number in range(min(highest, MOST_CLASSES) + 1))


def _shuffles(data: Any) -> bool:
    if not isinstance(data, DataLoader):
        return True
    return not isinstance(data.sampler, torch.utils.data.SequentialSampler)
