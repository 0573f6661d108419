"""Writes a trained model as safetensors and ONNX; each is read again and compared."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import os
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from trainwell.data.preprocess import Preprocess
from trainwell.errors import ModelError, first_line
from trainwell.run import Run
from trainwell.training.evaluation import evaluating

FORMATS = ("safetensors", "onnx")
HELD = {"uint8": torch.uint8, "float32": torch.float32, "float64": torch.float64}
EXAMPLES = 8
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
        ModelError: Unknown format, the folder cannot be written, or a file read again does not
            give the same; then nothing is written.
    """
    target, wanted = Path(folder), list(dict.fromkeys(formats))
    unknown = [name for name in formats if name not in FORMATS]
    if unknown:
        raise ModelError(
            f"there is no export format {unknown[0]!r}", remedy=f"Use {', '.join(FORMATS)}"
        )
    writers = {"safetensors": write_safetensors, "onnx": write_onnx}
    try:
        with made_folder(target), contextlib.ExitStack() as all_or_none:
            paths = [target / f"model.{name}" for name in wanted]
            temporary = [all_or_none.enter_context(publish(path)) for path in paths]
            return [
                writers[name](run, path, file)
                for name, path, file in zip(wanted, paths, temporary, strict=True)
            ]
    except (OSError, SafetensorError) as error:
        raise ModelError(f"the export cannot be written: {error}", where=str(target)) from error


def write_safetensors(run: Run, path: Path, temporary: Path) -> Exported:
    """The weights by name, with classes and input shape in the file's metadata.

    Args:
        run: Whose weights.
        path: What the file will be called.
        temporary: What it is called until all is well.
    """
    weights = {k: v.detach().cpu().contiguous().clone() for k, v in run.model.state_dict().items()}
    about = run.about["data"]
    metadata = {
        "format": "pt",
        "classes": json.dumps(about["classes"]),
        "input_shape": json.dumps(about["input_shape"]),
        "model": json.dumps(run.about["model"]),
    }
    save_file(weights, temporary, metadata=metadata)
    read = load_file(temporary)
    same = read.keys() == weights.keys() and all(torch.equal(read[k], weights[k]) for k in read)
    if not same:
        raise ModelError("the weights read again differ", where=str(path))
    return Exported(path, 0.0)


def write_onnx(run: Run, path: Path, temporary: Path) -> Exported:
    """Preprocessing and network as one graph with a free batch size.

    Args:
        run: Whose network.
        path: What the file will be called.
        temporary: What it is called until all is well.

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
    with evaluating(whole), torch.no_grad():
        expected = _run(whole, examples)
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
    """A few inputs as held, made up from what the run says of its data, which may be gone.

    Numbers are as spread as those of the training were; category codes are the first of each.
    """
    about = run.about["data"]
    shape = about.get("held_shape") or about["input_shape"]
    dtype = HELD.get(about.get("held_dtype") or _guess_dtype(about), torch.float32)
    noise = torch.randn(EXAMPLES, *shape, generator=torch.Generator().manual_seed(0))
    values = _spread_as_trained(noise.double(), run.preprocess)
    return values.round().clamp(0, 255).to(dtype) if dtype == torch.uint8 else values.to(dtype)


def _guess_dtype(about: Mapping[str, Any]) -> str:
    """Of data whose run does not say it: older ones did not."""
    if about["kind"] == "image":
        return "uint8"
    return "float64" if about["columns"] else "float32"


def _spread_as_trained(noise: Tensor, preprocess: Preprocess) -> Tensor:
    if not preprocess.shift.numel():
        return noise
    shift, scale = preprocess.shift.cpu().double(), preprocess.scale.cpu().double()
    categories = preprocess.category_columns
    if not categories:
        return noise / scale + shift
    numbers = [i for i in range(noise.shape[1]) if i not in categories]
    values = torch.zeros_like(noise)
    # The spread columns of categories stand behind those of numbers.
    values[:, numbers] = noise[:, numbers] / scale[: len(numbers)] + shift[: len(numbers)]
    return values


def _run(model: nn.Module, examples: Tensor) -> Tensor:
    try:
        return model(examples)
    except Exception as error:
        raise ModelError(
            f"the model fails on made-up inputs {tuple(examples.shape)}: {first_line(error)}",
            where="export to ONNX",
            remedy="Export the weights only: --format safetensors",
        ) from error


@contextlib.contextmanager
def made_folder(path: Path) -> Iterator[None]:
    """A folder, which is removed again if it is new and something goes wrong."""
    is_new = not path.exists()
    path.mkdir(parents=True, exist_ok=True)
    try:
        yield
    except BaseException:
        if is_new:
            with contextlib.suppress(OSError):
                path.rmdir()
        raise


@contextlib.contextmanager
def publish(path: Path) -> Iterator[Path]:
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
