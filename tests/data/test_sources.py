"""`load`: names, files of every kind, Python objects; splits and preprocessing."""

from __future__ import annotations

import io
import os
import pickle
import struct
import tarfile
import zipfile
from pathlib import Path

import numpy
import pandas
import polars
import pytest
import torch
from PIL import Image
from torch.utils.data import Subset, TensorDataset

import trainwell as tw
from trainwell.data.dataset import Dataset
from trainwell.data.embedded import EMBEDDED
from trainwell.data.preprocess import Preprocess, fit_preprocess
from trainwell.data.sources import reload
from trainwell.errors import DataError

COLOURS = {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255)}


def picture(colour: tuple[int, int, int], size: tuple[int, int] = (12, 10)) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size, colour).save(buffer, format="PNG")
    return buffer.getvalue()


def picture_folder(root: Path, count: int = 8) -> Path:
    for name, colour in COLOURS.items():
        (root / name).mkdir(parents=True)
        for number in range(count):
            shade = tuple(max(0, c - number) for c in colour)
            (root / name / f"{number}.png").write_bytes(picture(shade))  # type: ignore[arg-type]
    return root


def rows_of(data: Dataset) -> list[set[int]]:
    splits = [s for s in (data.train, data.valid, data.test) if s is not None]
    return [set(s.ids.tolist()) for s in splits if s.source == "train"]


@pytest.mark.parametrize("name", EMBEDDED)
def test_embedded_data_is_split_without_overlap_and_seeded(name: str) -> None:
    data, again, other = tw.load(name), tw.load(name), tw.load(name, seed=1)
    train, valid, test = rows_of(data)
    assert not train & valid and not train & test and not valid & test
    assert train | valid | test == set(range(len(train) + len(valid) + len(test)))
    assert data.fingerprints == again.fingerprints
    assert data.fingerprints["split"] != other.fingerprints["split"]


def test_splits_are_stratified() -> None:
    data = tw.load("wine")
    shares = [torch.bincount(s.targets) / len(s) for s in (data.train, data.test) if s is not None]
    assert torch.allclose(*shares, atol=0.03)


def test_d13_data_loaded_again_from_its_origin_is_the_same(tmp_path: Path) -> None:
    root = picture_folder(tmp_path / "pictures")
    for data in (tw.load("moons"), tw.load(root), tw.load(root, seed=3, valid_fraction=0.2)):
        assert reload(data.origin).fingerprints == data.fingerprints


def test_image_folders_plain_and_packed_read_alike(tmp_path: Path) -> None:
    root = picture_folder(tmp_path / "pictures")
    with zipfile.ZipFile(tmp_path / "p.zip", "w") as archive:
        for path in root.rglob("*.png"):
            archive.write(path, path.relative_to(tmp_path))
    with tarfile.open(tmp_path / "p.tar.gz", "w:gz") as archive:
        archive.add(root, "pictures")
    loaded = [tw.load(p) for p in (root, tmp_path / "p.zip", tmp_path / "p.tar.gz")]
    assert {d.fingerprints["data"] for d in loaded} == {loaded[0].fingerprints["data"]}
    assert loaded[0].classes == ("blue", "green", "red")
    assert loaded[0].input_shape == (3, 10, 12)


def test_given_splits_of_an_image_folder_are_kept(tmp_path: Path) -> None:
    for split, count in (("train", 8), ("val", 3), ("test", 2)):
        picture_folder(tmp_path / split, count)
    data = tw.load(tmp_path)
    assert data.test is not None
    assert (len(data.train), len(data.valid), len(data.test)) == (24, 9, 6)


def test_d11_d15_pictures_of_other_sizes_kinds_and_orientations_are_made_alike_and_noted(
    tmp_path: Path,
) -> None:
    root = picture_folder(tmp_path / "pictures")
    (root / "red" / "large.png").write_bytes(picture((255, 0, 0), (50, 40)))
    Image.new("L", (12, 10)).save(root / "green" / "grey.jpg")
    Image.new("CMYK", (12, 10)).save(root / "blue" / "print.jpg")
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (10, 12)).save(root / "blue" / "turned.jpg", exif=exif)
    (root / "red" / "link.png").symlink_to(root / "blue" / "0.png")
    os.mkfifo(root / "red" / "pipe.png")
    data = tw.load(root)
    assert data.input_shape == (3, 10, 12)
    notes = " ".join(data.notes)
    assert "1 pictures were resized" in notes
    assert "grey pictures" in notes
    assert "2 links, devices or files of other kinds were left out: red/link.png" in notes


def test_d10_a_few_damaged_pictures_are_skipped_on_demand_and_named_but_never_many(
    tmp_path: Path,
) -> None:
    folder = picture_folder(tmp_path / "pictures", count=20)
    whole = tw.load(folder)
    for name in ("red/3.png", "blue/7.png"):
        (folder / name).write_bytes((folder / name).read_bytes()[:45])
    with pytest.raises(DataError, match=r"2 of 60 pictures .*7\.png.*corrupt='skip'"):
        tw.load(folder)
    data = tw.load(folder, corrupt="skip")
    assert any("2 of 60 pictures were skipped" in note and "3.png" in note for note in data.notes)
    counts = sum(
        torch.bincount(s.targets, minlength=3) for s in (data.train, data.valid, data.test)
    )
    assert counts.tolist() == [19, 20, 19]
    assert len(whole.train) + len(whole.valid) + len(whole.test) == 60
    assert reload(data.origin).fingerprints == data.fingerprints
    for number in range(4):
        (folder / f"green/{number}.png").write_bytes(b"no picture")
    with pytest.raises(DataError, match="At most 5% are skipped"):
        tw.load(folder, corrupt="skip")


def test_d11_sixteen_bit_pictures_and_picture_bombs_are_refused_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = picture_folder(tmp_path / "pictures")
    Image.new("I;16", (12, 10)).save(root / "red" / "deep.png")
    with pytest.raises(DataError, match=r"red/deep\.png \(16 bits"):
        tw.load(root)
    (root / "red" / "deep.png").write_bytes(picture((0, 0, 0), (8000, 8000)))
    with pytest.raises(DataError, match=r"deep\.png \(8000 × 8000 is more than"):
        tw.load(root)


def cifar_rows(count: int, label_bytes: int = 1) -> tuple[numpy.ndarray, numpy.ndarray]:
    generator = numpy.random.default_rng(count)
    return generator.integers(0, 256, (count, 3072), dtype=numpy.uint8), numpy.arange(count) % 10


def test_cifar_batches_read_alike_as_python_and_as_binary(tmp_path: Path) -> None:
    images, labels = cifar_rows(60)
    for name in ("python", "binary"):
        (tmp_path / name).mkdir()
    batch = {b"data": images, b"labels": labels.tolist()}
    (tmp_path / "python" / "data_batch_1").write_bytes(pickle.dumps(batch, protocol=2))
    (tmp_path / "python" / "test_batch").write_bytes(pickle.dumps(batch, protocol=2))
    rows = b"".join(
        bytes([label]) + row.tobytes() for row, label in zip(images, labels, strict=True)
    )
    (tmp_path / "binary" / "data_batch_1.bin").write_bytes(rows)
    (tmp_path / "binary" / "test_batch.bin").write_bytes(rows)
    python, binary = tw.load(tmp_path / "python"), tw.load(tmp_path / "binary")
    assert python.fingerprints == binary.fingerprints
    assert python.input_shape == (3, 32, 32)
    assert isinstance(python.train.inputs, torch.Tensor)
    first = int(python.train.ids[0])
    assert python.train.inputs[0].flatten().tolist() == images[first].tolist()


def test_idx_files_read_alike_packed_and_plain(tmp_path: Path) -> None:
    import gzip

    pixels = numpy.random.default_rng(0).integers(0, 256, (40, 5, 5), dtype=numpy.uint8)
    images = struct.pack(">BBBBIII", 0, 0, 8, 3, 40, 5, 5) + pixels.tobytes()
    labels = struct.pack(">BBBBI", 0, 0, 8, 1, 40) + bytes(i % 4 for i in range(40))
    for folder, pack in (("plain", bytes), ("packed", gzip.compress)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "train-images-idx3-ubyte").write_bytes(pack(images))
        (tmp_path / folder / "train-labels-idx1-ubyte").write_bytes(pack(labels))
    plain, packed = tw.load(tmp_path / "plain"), tw.load(tmp_path / "packed")
    assert plain.fingerprints == packed.fingerprints
    assert plain.input_shape == (1, 5, 5)


def frame() -> dict[str, list[object]]:
    return {
        "size": [float(i) if i % 7 else None for i in range(90)],
        "kind": [["a", "b", None][i % 3] for i in range(90)],
        "id": [2**53 + 1 + i for i in range(90)],
        "good": [i % 2 == 0 for i in range(90)],
    }


def test_a_table_reads_alike_from_csv_parquet_pandas_and_polars(tmp_path: Path) -> None:
    pandas.DataFrame(frame()).to_csv(tmp_path / "t.csv", index=False)
    polars.DataFrame(frame()).write_parquet(tmp_path / "t.parquet")
    sources = [
        tmp_path / "t.csv",
        tmp_path / "t.parquet",
        pandas.DataFrame(frame()),
        polars.DataFrame(frame()),
    ]
    loaded = [tw.load(source, target="good") for source in sources]
    for data in loaded:
        assert data.columns == ("size", "kind")
        assert data.task == "binary"
        assert data.input_shape == (3,)
        assert any("'id'" in note and "left out" in note for note in data.notes)
        assert torch.isfinite(data.preprocess(data.train.inputs)).all()
    assert {d.fingerprints["split"] for d in loaded} == {loaded[0].fingerprints["split"]}


def test_d5_integers_above_2_to_the_53_beside_an_empty_cell_stay_exact(tmp_path: Path) -> None:
    rows = "".join(f"{2**53 + i % 3},{i % 2}\n" for i in range(60))
    (tmp_path / "t.csv").write_text("big,target\n,0\n" + rows)
    data = tw.load(tmp_path / "t.csv")
    assert data.schema[0]["categories"] == [str(2**53), str(2**53 + 1), str(2**53 + 2)]


@pytest.mark.parametrize(
    "text",
    [
        "\ufeffu,v,target\r\n1,2,a\r\n",
        'u;v;target\n"1";2,5;a\n',
        "u\tv\ttarget\n1\t2\ta\n",
    ],
)
def test_d6_csv_dialects_are_read(text: str, tmp_path: Path) -> None:
    lines = text.splitlines(keepends=True)
    other = lines[1].replace("a", "b")
    (tmp_path / "t.csv").write_bytes((lines[0] + (lines[1] + other) * 20).encode())
    data = tw.load(tmp_path / "t.csv")
    assert data.columns == ("u", "v")
    assert data.classes == ("a", "b")


def test_d2_missing_values_are_filled_from_the_training_split_only(tmp_path: Path) -> None:
    x = torch.arange(100.0)[:, None].double()
    x[50:] = torch.nan
    fitted = fit_preprocess(x[:50], torch.zeros(50), kind="vector", task="binary")
    with_holes = fit_preprocess(x[:60], torch.zeros(60), kind="vector", task="binary")
    assert fitted(x[:50]).mean().item() == pytest.approx(0, abs=1e-6)
    assert torch.isfinite(with_holes(x)).all()


@pytest.mark.parametrize("steps", [("centre", "pca"), ("whiten",), ("centre", "scale")])
def test_preprocessing_of_correlated_data_does_what_its_name_says(steps: tuple[str, ...]) -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(500, 4, generator=generator, dtype=torch.float64)
    x = x @ torch.randn(4, 4, generator=generator, dtype=torch.float64) + 3
    fitted = fit_preprocess(x, torch.zeros(500), kind="vector", task="binary", steps=steps)
    covariance = torch.cov(fitted(x).double().T, correction=0)
    off_diagonal = covariance - covariance.diag().diag()
    assert fitted(x).mean(0).abs().max() < 1e-5
    if steps != ("centre", "scale"):
        assert off_diagonal.abs().max() < 1e-4
    if steps != ("centre", "pca"):
        assert torch.allclose(covariance.diag(), torch.ones(4).double(), atol=1e-4)


def test_a_constant_column_becomes_zero_and_not_nan() -> None:
    x = torch.cat([torch.full((30, 1), 7.3), torch.randn(30, 1)], 1).double()
    fitted = fit_preprocess(x, torch.zeros(30), kind="vector", task="binary")
    assert (fitted(x)[:, 0] == 0).all()


def test_the_mean_image_and_the_channel_means_of_images_are_subtracted() -> None:
    images = torch.randint(0, 256, (50, 3, 4, 4), dtype=torch.uint8)
    for steps, axes in ((("mean_image",), (0,)), (("channel_mean",), (0, 2, 3))):
        fitted = fit_preprocess(images, torch.zeros(50), kind="image", task="binary", steps=steps)
        assert fitted(images).mean(axes).abs().max() < 1e-3


@pytest.mark.parametrize("name", ["digits", "diabetes", "waves"])
def test_preprocessing_survives_being_saved(name: str) -> None:
    data = tw.load(name)
    again = Preprocess.from_state(*data.preprocess.to_state())
    assert torch.equal(again(data.train.inputs), data.preprocess(data.train.inputs))
    encoded = again.encode_targets(data.train.targets)
    assert torch.allclose(again.decode_outputs(encoded), data.train.targets)


def test_tensor_data_sets_are_held_and_others_are_streamed() -> None:
    tensors = TensorDataset(torch.randn(50, 3), torch.arange(50) % 2)
    assert tw.load(tensors).train.is_resident
    assert len(tw.load(Subset(tensors, range(20))).train) == 14
    doubled = torch.utils.data.StackDataset(torch.randn(50, 3), torch.arange(50) % 2)
    assert not tw.load(doubled).train.is_resident


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may read everything")
def test_a_class_folder_that_may_not_be_read_is_named(tmp_path: Path) -> None:
    root = picture_folder(tmp_path / "pictures")
    (root / "red").chmod(0)
    try:
        with pytest.raises(DataError, match="red: may not be read"):
            tw.load(root)
    finally:
        (root / "red").chmod(0o700)


def test_d14_test_examples_that_stand_in_the_training_split_are_reported() -> None:
    x = numpy.random.default_rng(0).normal(size=(60, 3))
    data = tw.load((numpy.concatenate([x, x]), numpy.arange(120) % 2))
    assert any("also stand in the training split" in note for note in data.notes)
    assert not tw.load((x, numpy.arange(60) % 2)).notes


def test_d7_labels_of_any_kind_become_class_names() -> None:
    x = numpy.random.default_rng(0).normal(size=(60, 3))
    for labels, classes in (
        (["no", "yes"] * 30, ("no", "yes")),
        ([True, False] * 30, ("false", "true")),
        (numpy.array([-1, 1] * 30), ("-1", "1")),
        (numpy.array([3, 7, 9] * 20), ("3", "7", "9")),
        (torch.arange(60) % 3, ("0", "1", "2")),
    ):
        assert set(tw.load((x, labels)).classes) == set(classes)


def test_d7_labels_with_leading_zeros_keep_them(tmp_path: Path) -> None:
    rows = "".join(f"{i},{('01', '02', '10')[i % 3]}\n" for i in range(60))
    (tmp_path / "t.csv").write_text("u,target\n" + rows)
    assert tw.load(tmp_path / "t.csv").classes == ("01", "02", "10")


@pytest.mark.parametrize("count", [8, 30])
def test_d12_a_file_that_changes_in_a_folder_of_few_or_many_is_noticed(
    count: int, tmp_path: Path
) -> None:
    data = tw.load(picture_folder(tmp_path / "pictures", count))
    (tmp_path / "pictures" / "red" / "3.png").write_bytes(picture((1, 2, 3), (12, 11)))
    with pytest.raises(DataError, match="changed since the run was started"):
        reload(data.origin)


def test_d12_a_change_that_keeps_the_sizes_of_many_files_has_another_fingerprint(
    tmp_path: Path,
) -> None:
    folder = picture_folder(tmp_path / "pictures", 30)
    data = tw.load(folder)
    changed = folder / "red" / "3.png"
    size = changed.stat().st_size
    changed.write_bytes(picture((9, 0, 0)).ljust(size, b"\0"))
    assert changed.stat().st_size == size
    assert reload(data.origin).fingerprints["data"] != data.fingerprints["data"]


def test_d15_entries_of_an_archive_that_are_no_files_are_listed(tmp_path: Path) -> None:
    root = picture_folder(tmp_path / "pictures")
    (root / "red" / "link.png").symlink_to("0.png")
    with tarfile.open(tmp_path / "p.tar", "w") as archive:
        archive.add(root, "pictures")
    notes = tw.load(tmp_path / "p.tar").notes
    assert any("1 entries of p.tar" in n and n.endswith("pictures/red/link.png") for n in notes)


def test_d16_a_heading_of_millions_of_columns_is_refused_before_it_is_parsed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("the table was parsed")

    monkeypatch.setattr("trainwell.data.formats.tables.csv.reader", refuse)
    (tmp_path / "wide.csv").write_text("x," * 10_000_000 + "\n")
    with pytest.raises(DataError, match="the heading is longer than"):
        tw.load(tmp_path / "wide.csv")


def test_d7_a_label_that_the_training_split_lacks_is_refused_by_row(tmp_path: Path) -> None:
    x = {"x_train": numpy.random.rand(40, 2), "y_train": numpy.arange(40) % 2}
    test = {"x_test": numpy.random.rand(4, 2), "y_test": numpy.array([0, 1, 0, 5])}
    numpy.savez(tmp_path / "a.npz", **x, **test)
    with pytest.raises(DataError, match="row 3 has the label '5'"):
        tw.load(tmp_path / "a.npz")
