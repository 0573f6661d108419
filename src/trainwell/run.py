"""The handle of a run: its folder, its numbers, and the trained model behind `predict`."""

from __future__ import annotations

import contextlib
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy
import torch
from torch import Tensor, nn

from trainwell.data.batches import Batches, ResidentReader
from trainwell.data.dataset import Dataset, Split
from trainwell.data.examples import Examples, read_examples
from trainwell.data.views import choose_views
from trainwell.errors import DataError, ModelError, RunFolderError
from trainwell.findings import Finding
from trainwell.nn.losses import Loss
from trainwell.training.about import read_about, read_preprocess, read_result
from trainwell.training.discipline import TEST_READ
from trainwell.training.evaluation import evaluating
from trainwell.training.final_evaluation import class_probabilities
from trainwell.training.fitting import prepare, refuse_missing_loss
from trainwell.training.metrics import is_classification, predict_classes
from trainwell.training.precision import Resolved
from trainwell.training.recipe import Recipe
from trainwell.training.repairs import Repair, read_repairs
from trainwell.training.run_folder import RunFolder
from trainwell.training.views import AveragedViews

BATCH = 256


class Run:
    """A training that was done, or is under way in another process.

    Args:
        folder: The run folder.
        model: With the trained weights; in evaluation mode for every prediction.
        data: What it was trained on; None when only its description is at hand.
        loss_fn: The user's own; None: the loss of the task.
    """

    def __init__(
        self,
        folder: RunFolder,
        model: nn.Module,
        data: Dataset | None,
        loss_fn: Loss | None = None,
    ) -> None:
        self.run_folder = folder
        self.model = model
        self.loss_fn = loss_fn
        self._data = data
        self.about = read_about(folder)
        self.preprocess = read_preprocess(folder)

    @property
    def folder(self) -> Path:
        """Where the run is on disk."""
        return self.run_folder.path

    @property
    def data(self) -> Dataset:
        """The data it was trained on.

        Raises:
            DataError: It came as Python objects, which the run folder does not hold.
        """
        if self._data is None:
            from trainwell.data.sources import reload

            self._data = reload(self.about["data"]["origin"])
        return self._data

    @cached_property
    def recipe(self) -> Recipe:
        """What the run was told, complete."""
        return Recipe.from_toml(self.run_folder.read_text("recipe.toml"), where="recipe.toml")

    @cached_property
    def classes(self) -> tuple[str, ...]:
        """Class names in the order of their numbers; empty when not a classification."""
        return tuple(self.about["data"]["classes"])

    @cached_property
    def class_labels(self) -> numpy.ndarray:
        """The classes as predictions name them: integers where all names are, else text."""
        if all(name.lstrip("-").isdecimal() for name in self.classes):
            return numpy.array([int(name) for name in self.classes])
        return numpy.array(self.classes, dtype=object)

    @property
    def history(self) -> list[dict[str, Any]]:
        """Every reading in the order in which it was made; see `metrics.jsonl`."""
        return self.run_folder.read_metrics()

    @property
    def result(self) -> dict[str, Any]:
        """How the run ended; empty while it has not."""
        return read_result(self.run_folder)

    @property
    def metrics(self) -> dict[str, float]:
        """Final losses and scores; those of the last epoch while the run has not ended."""
        if self.result:
            return self.result["metrics"]
        epochs = [row for row in self.history if row["kind"] == "epoch"]
        wanted = ("train_", "valid_", "test_")
        return {k: v for k, v in (epochs[-1] if epochs else {}).items() if k.startswith(wanted)}

    @property
    def findings(self) -> list[Finding]:
        """What was found wrong, most likely root cause first."""
        return [Finding.from_dict(row) for row in self.run_folder.read_findings()]

    @property
    def repairs(self) -> list[Repair]:
        """The remedies that were proved and put in force, in order; see the recipe's `repair`."""
        return read_repairs(self.run_folder)

    @property
    def weights_sha256(self) -> str:
        """SHA-256 of the final weights; empty while the run has not ended."""
        return self.result.get("weights_sha256", "")

    def predict(self, examples: Any, *, views: int = 1) -> numpy.ndarray:
        """Classes of a classification, numbers of a regression.

        Args:
            examples: An array or tensor `(N, ...)` of examples as the training had them, a
                DataFrame or a path for a model trained on a table, or a path of the same kind of
                files.
            views: How often the model looks at each image; its probabilities, or the numbers of a
                regression, are averaged. The first view is the image itself. Where the recipe
                mirrors square colour images or augments nothing, six are fixed: the image and its
                mirror image, both as they are, moved by one pixel up and left, and by one down
                and right (Jordan 2024). Others are drawn from the recipe's own augmentations with
                fixed seeds, the same for all images, so that predicting again gives the same.

        Returns:
            `(N,)` class names (as integers where all are), or `(N,)` / `(N, K)` numbers in the
            targets' unit.

        Raises:
            DataError: The examples do not look like those of the training; or several views are
                asked of inputs that are no images, or more than there are.
            ModelError: Several views are asked of a model that reconstructs.
        """
        outputs = self.predict_outputs(examples, views=views)
        if is_classification(self.about["data"]["task"]):
            return self.class_labels[predict_classes(outputs).numpy()]
        decoded = self.preprocess.decode_outputs(outputs).numpy()
        if self.about["data"]["task"] == "regression" and decoded.shape[1:] == (1,):
            return decoded[:, 0]
        return decoded

    def predict_probabilities(self, examples: Any, *, views: int = 1) -> numpy.ndarray:
        """Probabilities `(N, classes)`, in the order of `classes`.

        Args:
            examples: As `predict` takes them.
            views: As `predict` takes them; the probabilities of all views are averaged.

        Raises:
            DataError: As `predict` does.
            ModelError: The model is not a classifier.
        """
        if not is_classification(self.about["data"]["task"]):
            raise ModelError(
                f"a {self.about['data']['task']} has no probabilities", remedy="Use predict"
            )
        return class_probabilities(self.predict_outputs(examples, views=views)).numpy()

    def read_examples(self, examples: Any) -> Examples:
        """Examples as `predict` sees them, with what was done to them.

        Args:
            examples: As for `predict`, which also takes what this gives.

        Raises:
            DataError: The examples do not look like those of the training.
        """
        return read_examples(examples, self.about["data"])

    def predict_outputs(self, examples: Any, *, views: int = 1) -> Tensor:
        """What the model puts out, `(N, outputs)` float32 on the host.

        Args:
            examples: As `predict` takes them.
            views: As `predict` takes them. Of several views of a classification these are the
                logarithms of the averaged probabilities (for two classes with one output, the
                logit of the average).

        Raises:
            DataError, ModelError: As `predict` does.
        """
        model = self._looking(views)
        inputs = self.read_examples(examples).inputs
        device = next(self.model.parameters()).device
        count = len(inputs)
        if count == 0:
            raise DataError("there are no examples to predict", remedy="Give at least one")
        split = Split(inputs, torch.zeros(count, 0), torch.arange(count))
        batches = Batches(
            ResidentReader(split, device),
            count=count,
            size=min(BATCH, count),
            preprocess=self.preprocess.to(device),
            device=device,
            reconstructs=True,
        )
        with evaluating(model), torch.inference_mode():
            outputs = [model(batch.inputs).float().cpu() for batch in batches.read()]
        return torch.cat(outputs)

    def evaluate(self, split: str = "test", *, views: int = 1) -> dict[str, float]:
        """Loss and scores on a split, under names such as `test_accuracy`.

        That the test split was read is noted in the run folder, so that the report can say how
        often it was.

        Args:
            split: `"train"`, `"valid"` or `"test"`.
            views: As `predict` takes them; loss and scores are those of the averaged prediction.

        Raises:
            DataError: There is no such split, the data is no longer at hand, or as `predict` does.
            ModelError: The run was trained with a loss of the user's own, which is not at hand; or
                as `predict` does.
        """
        refuse_missing_loss(self.run_folder, self.about, self.loss_fn)
        resolved = Resolved(**self.about["resolved"])
        setting = prepare(self.model, self.data, self.recipe, self.loss_fn, resolved)
        part = self.data.split(split)
        if split == "test":
            self._note_test_read()
        return setting.evaluator(part).measure(self._looking(views)).named(split)

    def _looking(self, views: int) -> nn.Module:
        """The model, looking at each image so often."""
        about = self.about["data"]
        chosen = choose_views(self.recipe.augment or (), about["input_shape"], views)
        return AveragedViews(self.model, chosen, about["task"]) if views > 1 else self.model

    def _note_test_read(self) -> None:
        # A run that lies on a read-only disk, or is being trained, can be evaluated all the same.
        with contextlib.suppress(RunFolderError), self.run_folder.lock():
            self.run_folder.note(TEST_READ, "evaluated on the test split")

    def report(self) -> Path:
        """Writes `report.html` into the run folder and says where it is."""
        from trainwell.report import write_report

        return write_report(self.folder)
