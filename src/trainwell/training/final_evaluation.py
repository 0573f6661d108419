"""What the report shows of a trained model: scores, confusion matrix and worst mistakes."""

from __future__ import annotations

import base64
import io
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from trainwell.data.dataset import Dataset, Split
from trainwell.training.evaluation import Evaluation
from trainwell.training.metrics import is_classification, predict_classes

WORST = 24
SAMPLES = 48
RECONSTRUCTED = 12
MOST_SCATTER_POINTS = 2000
DARK = 32
"""Bytes that are all below it come from a narrower range, such as the 0 to 16 of `digits`."""


def describe_evaluation(data: Dataset, split_name: str, evaluation: Evaluation) -> dict[str, Any]:
    """The content of `evaluation.json`.

    Args:
        data: What was evaluated on.
        split_name: `"test"` or `"valid"`.
        evaluation: Of the model on that split.
    """
    split = data.split(split_name)
    outputs = evaluation.outputs.cpu()
    described: dict[str, Any] = {
        "split": split_name,
        "metrics": evaluation.named(split_name),
        "classes": list(data.classes),
        "confusion": None,
        "worst": [],
        "scatter": None,
    }
    if is_classification(data.task):
        predicted = predict_classes(outputs)
        described["confusion"] = count_confusions(predicted, split.targets, len(data.classes))
        described["worst"] = _worst_classified(data, split, outputs, predicted)
    elif data.task == "regression":
        predictions = data.preprocess.decode_outputs(outputs).reshape(split.targets.shape)
        described["scatter"] = _scatter(split.targets, predictions)
        described["worst"] = _worst_predicted(data, split, predictions)
    elif data.task == "reconstruction" and data.kind == "image":
        described["reconstructions"] = _show_reconstructions(data, split, outputs)
    return described


def show_samples(data: Dataset, samples: Tensor) -> list[str]:
    """Generated pictures as `data:` addresses; none where the data is no pictures.

    Args:
        data: What the model learned.
        samples: `(N, *input_shape)` as the model sees them.
    """
    if data.kind != "image" or samples.ndim != 4:
        return []
    return [encode_picture(sample) for sample in samples.cpu()]


def _show_reconstructions(data: Dataset, split: Split, outputs: Tensor) -> list[list[str]]:
    """Pictures, each with what the model made of it."""
    if not isinstance(split.inputs, Tensor) or len(data.input_shape) != 3:
        return []
    made = outputs[:RECONSTRUCTED].reshape(-1, *data.input_shape)
    return [
        [encode_picture(original), encode_picture(copy)]
        for original, copy in zip(split.inputs[: len(made)], made, strict=True)
    ]


def count_confusions(predicted: Tensor, targets: Tensor, classes: int) -> list[list[int]]:
    """How often each class (row) was taken for each class (column).

    Args:
        predicted: Class numbers `(N,)`.
        targets: Class numbers `(N,)`.
        classes: How many there are.
    """
    cells = torch.bincount(targets * classes + predicted, minlength=classes**2)
    return cells.reshape(classes, classes).tolist()


def class_probabilities(outputs: Tensor) -> Tensor:
    """Probabilities `(N, classes)` of logits; two columns for a single logit."""
    if outputs.ndim == 1 or outputs.shape[1] == 1:
        second = torch.sigmoid(outputs.reshape(-1).double())
        return torch.stack([1 - second, second], dim=1)
    return functional.softmax(outputs.double(), dim=1)


def _worst_classified(
    data: Dataset, split: Split, outputs: Tensor, predicted: Tensor
) -> list[dict[str, Any]]:
    probabilities = class_probabilities(outputs)
    of_truth = probabilities.gather(1, split.targets[:, None]).squeeze(1)
    wrong = torch.nonzero(predicted != split.targets).squeeze(1)
    worst = wrong[of_truth[wrong].argsort()[:WORST]].tolist()
    return [
        {
            "id": int(split.ids[i]),
            "target": data.classes[int(split.targets[i])],
            "predicted": data.classes[int(predicted[i])],
            "probability": float(of_truth[i]),
            "loss": float(-of_truth[i].clamp_min(1e-12).log()),
            **_show_example(data, split, i),
        }
        for i in worst
    ]


def _worst_predicted(data: Dataset, split: Split, predictions: Tensor) -> list[dict[str, Any]]:
    error = (predictions - split.targets).double().reshape(len(split), -1).square().mean(1)
    worst = error.argsort(descending=True)[:WORST].tolist()
    return [
        {
            "id": int(split.ids[i]),
            "target": _short(split.targets[i]),
            "predicted": _short(predictions[i]),
            "probability": None,
            "loss": float(error[i]),
            **_show_example(data, split, i),
        }
        for i in worst
    ]


def _short(value: Tensor) -> str:
    return ", ".join(f"{number:.4g}" for number in value.reshape(-1)[:4].tolist())


def _scatter(targets: Tensor, predictions: Tensor) -> list[list[float]]:
    columns = targets.reshape(len(targets), -1)[:, 0], predictions.reshape(len(targets), -1)[:, 0]
    step = max(1, len(targets) // MOST_SCATTER_POINTS)
    return torch.stack(columns, 1)[::step].tolist()


def _show_example(data: Dataset, split: Split, index: int) -> dict[str, Any]:
    """The example as a picture or as named values, whichever it has."""
    if not isinstance(split.inputs, Tensor):
        return {"image": None, "values": None}
    example = split.inputs[index]
    if data.kind == "image":
        return {"image": encode_picture(example), "values": None}
    if data.kind == "vector" and data.columns:
        values = dict(zip(data.columns, example.reshape(-1).tolist(), strict=False))
        return {"image": None, "values": values}
    return {"image": None, "values": None}


def encode_picture(image: Tensor, span: tuple[float, float] | None = None) -> str:
    """A PNG as a `data:` address.

    Args:
        image: `(C, H, W)`; 1 or 3 channels are shown.
        span: The values of black and white; None: bytes are shown as they are, other numbers and
            bytes that are all dark by the range that they have.
    """
    from PIL import Image

    shown = image[:3] if image.shape[0] >= 3 else image[:1]
    if span is not None or shown.dtype != torch.uint8 or int(shown.max()) < DARK:
        values = shown.double()
        low, high = span or (float(values.min()), float(values.max()))
        shares = (values - low) / max(high - low, 1e-12)
        shown = (shares.clamp(0, 1) * 255).round().to(torch.uint8)
    pixels = shown.permute(1, 2, 0).contiguous().numpy()
    picture = Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)
    buffer = io.BytesIO()
    picture.save(buffer, format="PNG")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
