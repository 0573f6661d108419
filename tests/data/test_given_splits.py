"""Splits that come with the data are kept, in the form and with the classes of the training."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import numpy
import polars
import pytest
import torch
from PIL import Image
from torch import Tensor

import trainwell as tw
from trainwell.data.dataset import Dataset, Split
from trainwell.errors import DataError


def held_out(data: Dataset) -> Split:
    assert data.test is not None
    return data.test


def png(size: tuple[int, int], mode: str = "RGB", shade: int = 0) -> bytes:
    buffer = io.BytesIO()
    Image.new(mode, size, (shade,) * 3 if mode == "RGB" else shade).save(buffer, format="PNG")
    return buffer.getvalue()


def picture_folders(root: Path, size: tuple[int, int], test: bytes) -> Path:
    for name in ("cat", "dog"):
        for split, count in (("train", 8), ("test", 2)):
            (root / split / name).mkdir(parents=True)
            for number in range(count):
                content = png(size, shade=number) if split == "train" else test
                (root / split / name / f"{number}.png").write_bytes(content)
    return root


@pytest.mark.parametrize("test", [png((20, 20)), png((16, 16), "L")], ids=["larger", "grey"])
def test_pictures_of_a_given_split_are_brought_to_the_trainings_form_and_noted(
    test: bytes, tmp_path: Path
) -> None:
    data = tw.load(picture_folders(tmp_path, (16, 16), test))
    assert isinstance(held_out(data).inputs, Tensor)
    assert tuple(held_out(data).inputs.shape) == (4, 3, 16, 16)  # type: ignore[union-attr]
    assert any(note.startswith("test split: ") for note in data.notes)


def test_a_given_split_may_lack_a_class_and_keeps_the_trainings_numbers(tmp_path: Path) -> None:
    picture_folders(tmp_path, (8, 8), png((8, 8)))
    for path in (tmp_path / "test" / "cat").iterdir():
        path.unlink()
    (tmp_path / "test" / "cat").rmdir()
    assert held_out(tw.load(tmp_path)).targets.tolist() == [1, 1]


def write_idx(folder: Path, prefix: str, labels: list[int]) -> None:
    count = len(labels)
    images = struct.pack(">BBBBIII", 0, 0, 8, 3, count, 2, 2) + bytes(range(4)) * count
    (folder / f"{prefix}-images-idx3-ubyte").write_bytes(images)
    packed = struct.pack(">BBBBI", 0, 0, 8, 1, count) + bytes(labels)
    (folder / f"{prefix}-labels-idx1-ubyte").write_bytes(packed)


def test_idx_test_labels_without_the_first_class_keep_the_trainings_numbers(tmp_path: Path) -> None:
    write_idx(tmp_path, "train", [0, 1, 2] * 10)
    write_idx(tmp_path, "t10k", [1, 2, 1])
    data = tw.load(tmp_path)
    assert data.classes == ("0", "1", "2")
    assert held_out(data).targets.tolist() == [1, 2, 1]


def test_npz_splits_are_all_kept(tmp_path: Path) -> None:
    x = numpy.random.default_rng(0).random((40, 3))
    arrays = {"x_train": x, "y_train": numpy.array(["a", "b", "c", "d"] * 10)}
    arrays |= {"x_valid": x[:5] + 1, "y_valid": numpy.array(list("bcdbc"))}
    arrays |= {"x_test": x[:3] + 2, "y_test": numpy.array(list("dcd"))}
    numpy.savez(tmp_path / "a.npz", **arrays)  # type: ignore[arg-type]
    data = tw.load(tmp_path / "a.npz")
    assert (len(data.train), len(data.valid), len(held_out(data))) == (40, 5, 3)
    assert data.valid.targets.tolist() == [1, 2, 3, 1, 2]
    assert held_out(data).targets.tolist() == [3, 2, 3]


def table(kinds: str, labels: list[str]) -> polars.DataFrame:
    sizes = [float(i) for i in range(len(labels))]
    return polars.DataFrame({"size": sizes, "kind": list(kinds), "target": labels})


def test_parquet_tables_of_a_given_split_are_encoded_as_the_training_files(tmp_path: Path) -> None:
    table("abc" * 12, ["no", "yes", "why"] * 12).write_parquet(tmp_path / "train.parquet")
    table("cbx", ["yes", "yes", "no"]).write_parquet(tmp_path / "test.parquet")
    table("bb", ["yes", "why"]).write_parquet(tmp_path / "valid.parquet")
    data = tw.load(tmp_path)
    assert (len(data.train), len(data.valid), len(held_out(data))) == (36, 2, 3)
    assert held_out(data).targets.tolist() == [2, 2, 0]
    codes = held_out(data).inputs[:, 1]  # type: ignore[index]
    assert codes[:2].tolist() == [2, 1]
    assert torch.isnan(codes[2])
    assert "test split: column 'kind': 1 values are new and count as missing" in data.notes
    assert torch.isfinite(data.preprocess(held_out(data).inputs)).all()  # type: ignore[arg-type]


def test_a_parquet_table_without_the_column_that_is_predicted_is_refused(tmp_path: Path) -> None:
    frame = table("abc" * 12, ["no", "yes", "why"] * 12)
    frame.write_parquet(tmp_path / "train.parquet")
    frame.drop("target").write_parquet(tmp_path / "test.parquet")
    with pytest.raises(DataError, match="'target', which is predicted, is missing"):
        tw.load(tmp_path)


def test_d2_a_value_that_only_a_later_split_lacks_is_filled_with_the_trainings_median() -> None:
    import pandas

    frame = pandas.DataFrame({"u": range(60), "target": [i % 2 for i in range(60)]}, dtype=float)
    data = tw.load(frame.astype({"target": int}))
    missing = torch.full((1, 1), torch.nan, dtype=torch.float64)
    median = data.train.inputs.median()  # type: ignore[union-attr]
    assert torch.equal(data.preprocess(missing), data.preprocess(median.reshape(1, 1)))


def test_d14_validation_examples_that_stand_in_the_training_split_are_reported(
    tmp_path: Path,
) -> None:
    x = numpy.random.default_rng(0).random((40, 3))
    y = numpy.arange(40) % 2
    numpy.savez(tmp_path / "a.npz", x_train=x, y_train=y, x_valid=x[7:9], y_valid=y[7:9])
    notes = tw.load(tmp_path / "a.npz").notes
    assert notes == ("2 validation examples also stand in the training split (rows 0, 1)",)
