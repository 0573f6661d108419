"""Writes a trained model as safetensors and ONNX; each is read again and compared."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import os
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from trainwell.data.preprocess import Preprocess
from trainwell.errors import ModelError
from trainwell.run import Run
from trainwell.training.evaluation import evaluating

FORMATS = ("safetensors", "onnx")
TOLERANCE = 1e-4
"""Largest difference of an exported output, relative to the largest output (at least 1)."""


@dataclass(frozen=True)
class Exported:
    """A file that was written and compared.

    Attributes:
        path: Of the file.
        difference: Largest absolute difference from the model's own weights or outputs.
    """

    path: Path
    difference: float


class WithPreprocessing(nn.Module):
    """The model behind its preprocessing: takes examples as the training had them.

    Args:
        preprocess: Of the run.
        model: Trained.
    """

    def __init__(self, preprocess: Preprocess, model: nn.Module) -> None:
        super().__init__()
        self.preprocess, self.model = preprocess, model

    def forward(self, inputs: Tensor) -> Tensor:
        return self.model(self.preprocess(inputs))


def export_run(
    run: Run, folder: str | os.PathLike[str], formats: tuple[str, ...]
) -> list[Exported]:
    """Writes a run's model in each format into a folder, which may exist.

    Args:
        run: Ended or not; the weights it has.
        folder: Made if it does not exist.
        formats: Of `FORMATS`.

    Raises:
        ModelError: Unknown format, the folder cannot be written, or the file read again does not
            give the same; then that file is removed.
    """
    target = Path(folder)
    unknown = [name for name in formats if name not in FORMATS]
    if unknown:
        raise ModelError(
            f"there is no export format {unknown[0]!r}", remedy=f"Use {', '.join(FORMATS)}"
        )
    try:
        target.mkdir(parents=True, exist_ok=True)
        writers = {"safetensors": write_safetensors, "onnx": write_onnx}
        return [writers[name](run, target / f"model.{name}") for name in formats]
    except (OSError, SafetensorError) as error:
        raise ModelError(f"the export cannot be written: {error}", where=str(target)) from error


def write_safetensors(run: Run, path: Path) -> Exported:
    """The weights by name, with classes and input shape in the file's metadata."""
    weights = {k: v.detach().cpu().contiguous().clone() for k, v in run.model.state_dict().items()}
    about = run.about["data"]
    metadata = {
        "format": "pt",
        "classes": json.dumps(about["classes"]),
        "input_shape": json.dumps(about["input_shape"]),
        "model": json.dumps(run.about["model"]),
    }
    with publish(path) as temporary:
        save_file(weights, temporary, metadata=metadata)
        read = load_file(temporary)
        same = read.keys() == weights.keys() and all(torch.equal(read[k], weights[k]) for k in read)
        if not same:
            raise ModelError("the weights read again differ", where=str(path))
    return Exported(path, 0.0)


def write_onnx(run: Run, path: Path) -> Exported:
    """Preprocessing and network as one graph with a free batch size.

    Raises:
        ModelError: The export extra is not installed, the model cannot be traced, or ONNX Runtime
            puts out something else than torch.
    """
    try:
        import onnxruntime
        import onnxscript  # noqa: F401 - torch's exporter needs it
    except ImportError as error:
        raise ModelError(
            f"{error.name} is not installed",
            where="export to ONNX",
            remedy="pip install trainwell[export]",
        ) from error
    examples = example_inputs(run)
    whole = WithPreprocessing(run.preprocess, run.model).cpu()
    with publish(path) as temporary, evaluating(whole), torch.no_grad():
        expected = whole(examples)
        _trace(whole, examples, temporary)
        session = onnxruntime.InferenceSession(temporary, providers=["CPUExecutionProvider"])
        name = session.get_inputs()[0].name
        found: Any = session.run(None, {name: examples.numpy()})[0]
        difference = float((torch.as_tensor(found) - expected).abs().max())
        if not difference <= TOLERANCE * max(1.0, float(expected.abs().max())):
            raise ModelError(
                f"ONNX Runtime's outputs differ by {difference:.3g}",
                where=str(path),
                remedy="Nothing was written; use the safetensors file",
            )
    return Exported(path, difference)


def example_inputs(run: Run) -> Tensor:
    """A few validation examples as held."""
    inputs = run.data.valid.inputs
    if not isinstance(inputs, Tensor):
        return torch.stack([torch.as_tensor(inputs[int(i)][0]) for i in run.data.valid.ids[:8]])
    return inputs[:8]


@contextlib.contextmanager
def publish(path: Path) -> Any:
    """A temporary name beside a path; it takes the path's place only if nothing went wrong."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _trace(model: nn.Module, examples: Tensor, path: Path) -> None:
    batch = torch.export.Dim("batch")
    # The exporter reports its progress on standard output, which belongs to our own result.
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        try:
            torch.onnx.export(
                model,
                (examples,),
                path,
                dynamo=True,
                external_data=False,
                input_names=["inputs"],
                output_names=["outputs"],
                dynamic_shapes=({0: batch},),
                verbose=False,
            )
        except torch.onnx.errors.OnnxExporterError as error:
            reason = str(error).splitlines()[0]
            raise ModelError(f"torch cannot export this model: {reason}") from error
