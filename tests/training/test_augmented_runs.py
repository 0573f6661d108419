"""Augmented and mixed runs: resumed, streamed by any number of workers, accumulated."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.utils.data import Dataset as TorchDataset

import trainwell as tw
from tests.training.test_mixed_training import Stop
from trainwell.errors import Interrupted

RECIPE = tw.Recipe(
    epochs=2,
    batch_size=100,
    augment=("alternating_flip", "crop", "rotate", "elastic(3, 1)", "colour", "cutout(2)"),
    mixup=0.3,
    window=2,
    accumulate=2,
)


class Clouds(TorchDataset[tuple[Tensor, int]]):
    """Streamed examples of two classes."""

    def __len__(self) -> int:
        return 60

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return torch.tensor([float(index % 2), index / 60, 1.0]), index % 2


@pytest.mark.parametrize("step", [2, 9])
def test_an_augmented_run_resumes_to_the_same_weights_and_the_same_contact_sheet(
    step: int, tmp_path: Path
) -> None:
    tw.fit("mlp", "digits", RECIPE, out=tmp_path / "whole")
    with pytest.raises(Interrupted):
        tw.fit("mlp", "digits", RECIPE, out=tmp_path / "part", observers=[Stop(step)])
    tw.resume(tmp_path / "part")
    assert outcome_of(tmp_path / "part") == outcome_of(tmp_path / "whole")


def outcome_of(folder: Path) -> tuple[object, ...]:
    run = tw.load_run(folder)
    return run.weights_sha256, run.run_folder.read_json("evaluation.json")


def test_streamed_examples_are_augmented_and_mixed_alike_with_any_number_of_workers(
    tmp_path: Path,
) -> None:
    recipe = tw.Recipe(epochs=2, batch_size=16, augment=("noise(0.1)",), mixup=0.4)
    digests = {
        tw.fit(
            "mlp", tw.load(Clouds()), recipe.replace(workers=workers), out=tmp_path / str(workers)
        ).weights_sha256
        for workers in (0, 2)
    }
    assert len(digests) == 1
