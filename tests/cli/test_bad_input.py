"""Bad input gets one clear message, exit status 2, and loses nothing."""

from __future__ import annotations

import gzip
import io
import json
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy
import pytest
from PIL import Image

import trainwell as tw
from trainwell.cli.main import main

Make = Callable[[Path], list[str]]
CASES: dict[str, tuple[Make, str]] = {}


def case(message: str) -> Callable[[Make], Make]:
    """Registers a case: words for the command line, and what its message must say."""

    def register(make: Make) -> Make:
        CASES[make.__name__] = (make, message)
        return make

    return register


def fit(path: Path | str, *words: str) -> list[str]:
    return ["fit", str(path), "--epochs", "1", *words]


def table(folder: Path, text: str, name: str = "table.csv") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def rows(count: int = 40) -> str:
    return "".join(f"{i},{i % 5},{'ab'[i % 2]}\n" for i in range(count))


def idx(images: bytes, labels: bytes, folder: Path) -> Path:
    target = folder / "idx"
    target.mkdir()
    (target / "train-images-idx3-ubyte").write_bytes(images)
    (target / "train-labels-idx1-ubyte").write_bytes(labels)
    return target


def idx_images(count: int) -> bytes:
    return struct.pack(">BBBBIII", 0, 0, 8, 3, count, 4, 4) + bytes(16 * count)


def idx_labels(count: int) -> bytes:
    return struct.pack(">BBBBI", 0, 0, 8, 1, count) + bytes(i % 3 for i in range(count))


def png(size: tuple[int, int] = (4, 4)) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size).save(buffer, format="PNG")
    return buffer.getvalue()


def pictures(folder: Path, classes: tuple[str, ...] = ("cat", "dog"), count: int = 6) -> Path:
    root = folder / "pictures"
    for name in classes:
        (root / name).mkdir(parents=True)
        for number in range(count):
            (root / name / f"{number}.png").write_bytes(png())
    return root


@case("there is no file, folder or data set 'digitz'. Did you mean 'digits'")
def unknown_data(folder: Path) -> list[str]:
    return fit("digitz")


@case("there is no file, folder or data set")
def missing_file(folder: Path) -> list[str]:
    return fit(folder / "nothing.csv")


@case("cannot be read")
def truncated_gzip(folder: Path) -> list[str]:
    packed = gzip.compress(idx_images(30))
    return fit(idx(packed[: len(packed) // 2], idx_labels(30), folder))


@case("not an IDX file")
def wrong_magic(folder: Path) -> list[str]:
    return fit(idx(b"\x89PNG" + bytes(100), idx_labels(30), folder))


@case("cut short")
def truncated_idx(folder: Path) -> list[str]:
    return fit(idx(idx_images(30)[:-5], idx_labels(30), folder))


@case("do not belong together")
def fewer_labels_than_images(folder: Path) -> list[str]:
    return fit(idx(idx_images(30), idx_labels(29), folder))


@case("there is no train-labels file")
def no_label_file(folder: Path) -> list[str]:
    path = idx(idx_images(30), idx_labels(30), folder)
    (path / "train-labels-idx1-ubyte").unlink()
    return fit(path)


@case("line 4 has 2 cells, the heading has 3")
def d3_short_csv_row(folder: Path) -> list[str]:
    return fit(table(folder, "u,v,target\n1,2,a\n3,4,b\n5,6\n" + rows()))


@case("line 3 has 4 cells, the heading has 3")
def d3_long_csv_row(folder: Path) -> list[str]:
    return fit(table(folder, "u,v,target\n1,2,a\n3,4,b,9\n" + rows()))


@case("'u' stands twice")
def d4_duplicate_columns(folder: Path) -> list[str]:
    return fit(table(folder, "u,u,target\n" + rows()))


@case("Did you mean 'target'")
def missing_target_column(folder: Path) -> list[str]:
    return fit(table(folder, "u,v,target\n" + rows()), "--target", "tarqet")


@case("Name it with --target COLUMN: u, v, w")
def no_target_named(folder: Path) -> list[str]:
    return fit(table(folder, "u,v,w\n" + rows()))


@case("missing in 1 rows, the first is row 0")
def missing_target_value(folder: Path) -> list[str]:
    return fit(table(folder, "u,v,target\n1,2,\n" + rows()))


@case("column 'u' has 1 infinite values, the first in row 0")
def d1_infinite_feature_in_a_table(folder: Path) -> list[str]:
    return fit(table(folder, "u,v,target\ninf,2,a\n" + rows()))


@case("column 'u' holds numbers, but row 0 has 'x'")
def d6_text_among_numbers(folder: Path) -> list[str]:
    return fit(table(folder, "u,v,target\nx,2,a\n" + rows()))


@case("no rows")
def d16_heading_only(folder: Path) -> list[str]:
    return fit(table(folder, "u,v,target\n"))


@case("the file is empty")
def d16_empty_file(folder: Path) -> list[str]:
    return fit(table(folder, ""))


@case("too few")
def d16_one_row(folder: Path) -> list[str]:
    return fit(table(folder, "u,v,target\n1,2,3\n"), "--task", "regression")


@case("is not UTF-8")
def d6_wrong_encoding(folder: Path) -> list[str]:
    path = folder / "latin.csv"
    path.write_bytes("u,v,target\n1,2,männlich\n".encode("latin-1") + rows().encode())
    return fit(path)


@case("this is not text")
def d6_binary_csv(folder: Path) -> list[str]:
    path = folder / "binary.csv"
    path.write_bytes(bytes(range(256)) * 8)
    return fit(path)


@case("the heading is longer than")
def d16_ten_million_columns(folder: Path) -> list[str]:
    return fit(table(folder, ",".join("x" * 1 for _ in range(10_000_000)) + "\n"))


@case("single class")
def one_class_only(folder: Path) -> list[str]:
    return fit(table(folder, "u,target\n" + "".join(f"{i},a\n" for i in range(30))))


@case("but 30 classes")
def fewer_rows_than_classes(folder: Path) -> list[str]:
    text = "u,target\n" + "".join(f"{i},c{i}\n" for i in range(30))
    return fit(table(folder, text))


@case("inputs are not finite, the first in row 3, column 1")
def d1_nan_in_features(folder: Path) -> list[str]:
    x = numpy.ones((30, 4))
    x[3, 1] = numpy.nan
    numpy.savez(folder / "a.npz", X=x, y=numpy.arange(30) % 2)
    return fit(folder / "a.npz")


@case("row 7 has the label -1")
def d8_negative_label(folder: Path) -> list[str]:
    y = numpy.arange(30) % 3
    y[7] = -1
    numpy.savez(folder / "a.npz", X=numpy.random.rand(30, 4), y=y)
    return fit(folder / "a.npz")


@case("30 inputs but 29 targets")
def inputs_and_targets_differ_in_number(folder: Path) -> list[str]:
    numpy.savez(folder / "a.npz", X=numpy.ones((30, 4)), y=numpy.zeros(29))
    return fit(folder / "a.npz")


@case("there are no examples")
def d16_empty_arrays(folder: Path) -> list[str]:
    numpy.savez(folder / "a.npz", X=numpy.ones((0, 4)), y=numpy.zeros(0))
    return fit(folder / "a.npz")


@case("cannot be read as NumPy arrays")
def python_objects_in_an_npz(folder: Path) -> list[str]:
    numpy.savez(folder / "a.npz", X=numpy.array([{}, []], dtype=object), y=numpy.zeros(2))
    return fit(folder / "a.npz")


@case("cannot be read as NumPy arrays")
def truncated_npz(folder: Path) -> list[str]:
    numpy.savez(folder / "a.npz", X=numpy.ones((30, 4)), y=numpy.zeros(30))
    content = (folder / "a.npz").read_bytes()
    (folder / "a.npz").write_bytes(content[: len(content) // 2])
    return fit(folder / "a.npz")


@case("test split is empty")
def empty_test_split(folder: Path) -> list[str]:
    arrays = {"x_train": numpy.random.rand(30, 4), "y_train": numpy.arange(30) % 2}
    numpy.savez(folder / "a.npz", **arrays, x_test=numpy.ones((0, 4)), y_test=numpy.zeros(0))
    return fit(folder / "a.npz")


@case("1 of 12 pictures cannot be used: cat/3.png")
def d10_corrupt_image(folder: Path) -> list[str]:
    root = pictures(folder)
    (root / "cat" / "3.png").write_bytes(png()[:40])
    return fit(root)


@case("the class 'dog' has no images")
def d9_empty_class_folder(folder: Path) -> list[str]:
    root = pictures(folder)
    for path in (root / "dog").iterdir():
        path.unlink()
    return fit(root)


@case("there are 1 class folders")
def one_class_folder(folder: Path) -> list[str]:
    return fit(pictures(folder, ("cat",)))


@case("the folder is empty")
def empty_folder(folder: Path) -> list[str]:
    (folder / "empty").mkdir()
    return fit(folder / "empty")


@case("nothing that is known is in this folder")
def folder_of_something_else(folder: Path) -> list[str]:
    (folder / "other").mkdir()
    (folder / "other" / "a.doc").write_text("x")
    (folder / "other" / "b.doc").write_text("x")
    return fit(folder / "other")


@case("would be written outside")
def e5_archive_that_climbs_out(folder: Path) -> list[str]:
    with zipfile.ZipFile(folder / "a.zip", "w") as archive:
        archive.writestr("../../evil.png", png())
    return fit(folder / "a.zip")


@case("unpacks to more than")
def e6_zip_bomb(folder: Path) -> list[str]:
    with zipfile.ZipFile(folder / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("cat/0.png", bytes(300 * 2**20))
    return fit(folder / "a.zip")


@case("cannot be read as Parquet")
def corrupt_parquet(folder: Path) -> list[str]:
    (folder / "a.parquet").write_bytes(b"PAR1" + bytes(50))
    return fit(folder / "a.parquet")


@case("asks for posix.system")
def malicious_cifar_batch(folder: Path) -> list[str]:
    root = folder / "cifar"
    root.mkdir()
    (root / "data_batch_1").write_bytes(b"cposix\nsystem\n(S'touch evil'\ntR.")
    return fit(root)


@case("files ending in .xyz are not known")
def unknown_ending(folder: Path) -> list[str]:
    return fit(table(folder, "hello", "a.xyz"))


@case("there is no model 'mpl'. Did you mean 'mlp'")
def unknown_model(folder: Path) -> list[str]:
    return fit("iris", "--model", "mpl")


@case("googlenet needs images of at least 32 × 32")
def model_that_does_not_fit_the_data(folder: Path) -> list[str]:
    return fit("digits", "--model", "googlenet")


@case("mlp has no option 'size'")
def unknown_model_option(folder: Path) -> list[str]:
    return fit("iris", "--model", "mlp", "--option", "size=3")


@case("No module named")
def model_that_cannot_be_imported(folder: Path) -> list[str]:
    return fit("iris", "--model", "no_such_package.model:build")


@case("there is no field 'learning_rat'. Did you mean 'learning_rate'")
def unknown_recipe_field(folder: Path) -> list[str]:
    return fit("iris", "--set", "learning_rat=0.1")


@case("learning_rate must be above 0, not -0.1")
def negative_rate(folder: Path) -> list[str]:
    return fit("iris", "--set", "learning_rate=-0.1")


@case("epochs must be int or none, not 'many'")
def epochs_that_are_no_number(folder: Path) -> list[str]:
    return ["fit", "iris", "--epochs", "many"]


@case("is not FIELD=VALUE")
def setting_without_a_value(folder: Path) -> list[str]:
    return fit("iris", "--set", "momentum")


@case("device 'cuda:7' cannot be used")
def device_that_is_not_there(folder: Path) -> list[str]:
    return fit("iris", "--set", "device=cuda:7")


@case("batches of one example")
def batch_of_one_with_batch_norm(folder: Path) -> list[str]:
    return fit(pictures_of(folder), "--model", "resnet20", "--set", "batch_size=1")


def pictures_of(folder: Path) -> Path:
    root = folder / "large"
    for name in ("cat", "dog"):
        (root / name).mkdir(parents=True)
        for number in range(10):
            (root / name / f"{number}.png").write_bytes(png((16, 16)))
    return root


@case("this is not TOML")
def recipe_file_that_is_not_toml(folder: Path) -> list[str]:
    return fit("iris", "--recipe", str(table(folder, "epochs = = 1", "r.toml")))


@case("the recipe cannot be read")
def recipe_file_that_is_missing(folder: Path) -> list[str]:
    return fit("iris", "--recipe", str(folder / "r.toml"))


@case("unrecognized arguments: --epoch")
def unknown_option(folder: Path) -> list[str]:
    return ["fit", "iris", "--epoch", "3"]


@case("there is no verb 'fitt'. Did you mean fit")
def unknown_verb(folder: Path) -> list[str]:
    return ["fitt", "iris"]


@case("the following arguments are required: DATA")
def no_data(folder: Path) -> list[str]:
    return ["fit"]


@case("there is no such folder")
def resume_of_nothing(folder: Path) -> list[str]:
    return ["resume", str(folder / "nothing")]


@case("so this is not a run")
def resume_of_another_folder(folder: Path) -> list[str]:
    return ["resume", str(folder)]


@case("the folder is not empty")
def out_folder_with_files(folder: Path) -> list[str]:
    table(folder, "mine", "notes.txt")
    return fit("iris", "--out", str(folder))


@case("the run folder cannot be made")
def out_folder_below_a_file(folder: Path) -> list[str]:
    return fit("iris", "--out", str(table(folder, "x", "file") / "run"))


def trained(folder: Path) -> Path:
    tw.fit("mlp", "iris", tw.Recipe(epochs=1), out=folder / "trained")
    return folder / "trained"


@case("the folder already holds a run")
def out_folder_with_a_run(folder: Path) -> list[str]:
    return fit("iris", "--out", str(trained(folder)))


@case("weights.safetensors: is changed")
def checkpoint_with_one_bit_flipped(folder: Path) -> list[str]:
    for path in (trained(folder) / "checkpoints").glob("*/weights.safetensors"):
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(bytes(content))
    return ["predict", str(folder / "trained"), str(table(folder, "a\n1\n"))]


@case("the column 'sepal length (cm)' is missing")
def prediction_without_a_column(folder: Path) -> list[str]:
    return ["predict", str(trained(folder)), str(table(folder, "a,b\n1,2\n"))]


@case("there is no such file or folder")
def prediction_of_nothing(folder: Path) -> list[str]:
    return ["predict", str(trained(folder)), str(folder / "nothing.csv")]


@case("seed is too large a number")
def seed_of_more_than_64_bits(folder: Path) -> list[str]:
    return fit("iris", "--set", f"seed={2**64}")


@case("epochs is too large a number")
def epochs_without_end(folder: Path) -> list[str]:
    return ["fit", "iris", "--epochs", "9" * 400]


@case("there is no field 'rubbish'")
def unknown_field_for_a_run_that_has_ended(folder: Path) -> list[str]:
    return ["resume", str(trained(folder)), "--set", "rubbish=1"]


@case("the run has ended, and its recipe cannot be changed any more")
def more_epochs_for_a_run_that_has_ended(folder: Path) -> list[str]:
    return ["resume", str(trained(folder)), "--set", "epochs=50", "--allow-change"]


@case("run.json: is damaged: it does not say 'name'")
def description_that_says_nothing(folder: Path) -> list[str]:
    return ["predict", str(rewritten(folder, "run.json", "{}")), "iris"]


@case("preprocess.json: is damaged: it is no preprocessing")
def preprocessing_that_is_a_list(folder: Path) -> list[str]:
    return ["predict", str(rewritten(folder, "preprocess.json", "[]")), "iris"]


@case("result.json: is damaged: it is not an object")
def result_that_is_a_list(folder: Path) -> list[str]:
    return ["resume", str(rewritten(folder, "result.json", "[1]"))]


def rewritten(folder: Path, name: str, text: str) -> Path:
    (trained(folder) / name).write_text(text)
    return folder / "trained"


@case("there is no export format 'onx'")
def unknown_export_format(folder: Path) -> list[str]:
    return ["export", str(trained(folder)), "--format", "onx"]


def split_arrays(folder: Path, **changed: numpy.ndarray) -> Path:
    """Training and test arrays that fit, but for what is changed."""
    generator = numpy.random.default_rng(0)
    arrays: dict[str, numpy.ndarray] = {"x_train": generator.random((30, 4))}
    arrays |= {"y_train": numpy.arange(30) % 3, "x_test": generator.random((6, 4))}
    arrays |= {"y_test": numpy.arange(6) % 3}
    numpy.savez(folder / "a.npz", **(arrays | changed))  # type: ignore[arg-type]
    return folder / "a.npz"


@case("test split: its examples have the shape (5,), those of the training split (4,)")
def given_test_split_of_other_columns(folder: Path) -> list[str]:
    return fit(split_arrays(folder, x_test=numpy.ones((6, 5))))


@case("test split: 6 inputs but 5 targets")
def given_test_split_with_one_label_less(folder: Path) -> list[str]:
    return fit(split_arrays(folder, y_test=numpy.arange(5) % 3))


@case("y_test: 1 targets are missing or not finite, the first in row 2")
def d8_given_test_label_that_is_nan(folder: Path) -> list[str]:
    return fit(split_arrays(folder, y_test=numpy.array([0, 1, numpy.nan, 0, 1, 2])))


@case("row 1 has the label 'cat', which the training did not have")
def d7_given_test_labels_of_text(folder: Path) -> list[str]:
    return fit(split_arrays(folder, y_test=numpy.array(["0", "cat", "1", "2", "0", "1"])))


@case("there is x_test, but no y_test")
def given_test_inputs_without_labels(folder: Path) -> list[str]:
    path = split_arrays(folder)
    arrays = dict(numpy.load(path))
    del arrays["y_test"]
    numpy.savez(path, **arrays)
    return fit(path)


@case("row 2 has the label '-1', which the training did not have")
def d8_validation_label_out_of_range(folder: Path) -> list[str]:
    x, y = numpy.ones((3, 4)), numpy.array([0, 1, -1])
    return fit(split_arrays(folder, x_valid=x, y_valid=y))


@case("its inputs are float64, those of the training split uint8")
def given_test_images_in_another_unit(folder: Path) -> list[str]:
    images = numpy.arange(30 * 16, dtype=numpy.uint8).reshape(30, 4, 4, 1)
    return fit(split_arrays(folder, x_train=images, x_test=images[:6] / 255))


def idx_with_test(folder: Path, images: bytes, labels: bytes | None) -> Path:
    path = idx(idx_images(30), idx_labels(30), folder)
    (path / "t10k-images-idx3-ubyte").write_bytes(images)
    if labels is not None:
        (path / "t10k-labels-idx1-ubyte").write_bytes(labels)
    return path


@case("test split: its examples have the shape (1, 5, 5)")
def idx_test_split_of_another_size(folder: Path) -> list[str]:
    images = struct.pack(">BBBBIII", 0, 0, 8, 3, 6, 5, 5) + bytes(25 * 6)
    return fit(idx_with_test(folder, images, idx_labels(6)))


@case("row 5 has the label '9', which the training did not have")
def d7_idx_test_label_that_training_lacks(folder: Path) -> list[str]:
    return fit(idx_with_test(folder, idx_images(6), idx_labels(6)[:-1] + bytes([9])))


@case("cut short")
def truncated_test_file(folder: Path) -> list[str]:
    return fit(idx_with_test(folder, idx_images(6)[:-3], idx_labels(6)))


@case("there is no t10k-labels file")
def missing_test_label_file(folder: Path) -> list[str]:
    return fit(idx_with_test(folder, idx_images(6), None))


@case("the header tells of 255 dimensions")
def idx_of_255_dimensions(folder: Path) -> list[str]:
    return fit(idx(bytes([0, 0, 8, 255]) + bytes(2000), idx_labels(30), folder))


@case("an example has no values")
def d16_idx_images_without_pixels(folder: Path) -> list[str]:
    return fit(idx(struct.pack(">BBBBIII", 0, 0, 8, 3, 30, 0, 0), idx_labels(30), folder))


@case("an example has no values")
def d16_arrays_without_columns(folder: Path) -> list[str]:
    numpy.savez(folder / "a.npz", X=numpy.ones((30, 0)), y=numpy.arange(30) % 3)
    return fit(folder / "a.npz")


@case("row 4 has the label 0.5, which is not a class")
def d8_label_that_is_a_fraction(folder: Path) -> list[str]:
    y = numpy.arange(30) % 3 + 0.0
    y[4] = 0.5
    numpy.savez(folder / "a.npz", X=numpy.random.rand(30, 4), y=y)
    return fit(folder / "a.npz", "--task", "multiclass")


@case("1 targets are missing or not finite, the first in row 4")
def d8_label_that_is_nan(folder: Path) -> list[str]:
    y = numpy.arange(30) % 3 + 0.0
    y[4] = numpy.nan
    numpy.savez(folder / "a.npz", X=numpy.random.rand(30, 4), y=y)
    return fit(folder / "a.npz")


@case("its targets are for multiclass, not for regression")
def task_that_embedded_data_does_not_have(folder: Path) -> list[str]:
    return fit("iris", "--task", "regression")


@case("its targets are for regression, not for multiclass")
def classes_of_a_regression(folder: Path) -> list[str]:
    return fit("diabetes", "--task", "multiclass")


@case("only tables have columns to choose from")
def target_of_data_without_columns(folder: Path) -> list[str]:
    return fit("iris", "--target", "x")


@case("the file is empty")
def d6_byte_order_mark_and_nothing_else(folder: Path) -> list[str]:
    (folder / "bom.csv").write_bytes(b"\xef\xbb\xbf")
    return fit(folder / "bom.csv")


@case("there is no file, folder or data set")
def name_of_5000_characters(folder: Path) -> list[str]:
    return fit("x" * 5000)


@case("there is no file, folder or data set")
def path_through_a_file(folder: Path) -> list[str]:
    return fit(table(folder, "x") / "inner.csv")


def zipped(folder: Path, **options: int) -> Path:
    with zipfile.ZipFile(folder / "a.zip", "w", **options) as archive:  # type: ignore[call-overload]
        archive.writestr("cat/0.png", png((64, 64)) + bytes(2000))
    return folder / "a.zip"


def patch_zip(path: Path, offset: int, value: bytes) -> Path:
    """Changes a field of an entry, in its own header and in the directory at the end."""
    content = bytearray(path.read_bytes())
    for mark, shift in ((b"PK\x03\x04", 0), (b"PK\x01\x02", 2)):
        start = content.index(mark) + offset + shift
        content[start : start + len(value)] = value
    path.write_bytes(bytes(content))
    return path


@case("the archive cannot be read")
def zip_with_a_damaged_member(folder: Path) -> list[str]:
    path = zipped(folder, compression=zipfile.ZIP_DEFLATED)
    content = bytearray(path.read_bytes())
    content[60:90] = bytes(range(200, 230))
    path.write_bytes(bytes(content))
    return fit(path)


@case("is encrypted")
def encrypted_zip(folder: Path) -> list[str]:
    return fit(patch_zip(zipped(folder), 6, b"\x01\x00"))


@case("the archive cannot be read: That compression method is not supported")
def zip_of_an_unknown_method(folder: Path) -> list[str]:
    return fit(patch_zip(zipped(folder), 8, b"\x63\x00"))


@case("this is not an archive, or it is damaged")
def tar_gz_that_is_cut_short(folder: Path) -> list[str]:
    (folder / "a.tar.gz").write_bytes(gzip.compress(bytes(2000))[:15])
    return fit(folder / "a.tar.gz")


@case("this is not an archive, or it is damaged")
def zip_that_is_none(folder: Path) -> list[str]:
    return fit(table(folder, "no archive at all", "bad.zip"))


@case("a.zip: nothing that is known is in this folder")
def table_in_a_zip(folder: Path) -> list[str]:
    with zipfile.ZipFile(folder / "a.zip", "w") as archive:
        archive.writestr("t.csv", "u,target\n" + rows())
        archive.writestr("notes.txt", "hello")
    return fit(folder / "a.zip")


@case("row 2 (there is no picture: the cell is empty)")
def d10_parquet_picture_without_bytes(folder: Path) -> list[str]:
    import pyarrow
    import pyarrow.parquet

    cells = [{"bytes": png()} if i != 2 else {"bytes": None} for i in range(20)]
    content = pyarrow.table({"image": cells, "label": [i % 2 for i in range(20)]})
    pyarrow.parquet.write_table(content, folder / "a.parquet")
    return fit(folder / "a.parquet")


def trained_on_arrays(folder: Path) -> str:
    data = (numpy.random.default_rng(0).random((40, 4)), numpy.arange(40) % 2)
    tw.fit("mlp", data, tw.Recipe(epochs=1), out=folder / "trained")
    return str(folder / "trained")


IRIS_HEADING = "sepal length (cm),sepal width (cm),petal length (cm),petal width (cm)\n"


@case("column 'sepal width (cm)' has an infinite value in row 1")
def d1_prediction_of_infinity_in_a_table(folder: Path) -> list[str]:
    new = table(folder, IRIS_HEADING + "1,2,3,4\n1,inf,3,4\n")
    return ["predict", str(trained(folder)), str(new)]


@case("the file is empty")
def prediction_of_an_empty_table(folder: Path) -> list[str]:
    return ["predict", str(trained(folder)), str(table(folder, ""))]


@case("cannot be read as Parquet")
def prediction_of_a_damaged_parquet_file(folder: Path) -> list[str]:
    (folder / "a.parquet").write_bytes(b"PAR1" + bytes(50))
    return ["predict", str(trained(folder)), str(folder / "a.parquet")]


@case("cannot be read as NumPy arrays")
def prediction_of_a_damaged_npz(folder: Path) -> list[str]:
    (folder / "a.npz").write_bytes(b"PK\x03\x04" + bytes(50))
    return ["predict", trained_on_arrays(folder), str(folder / "a.npz")]


@case("there is no array X, only y, other")
def prediction_of_an_npz_without_inputs(folder: Path) -> list[str]:
    numpy.savez(folder / "a.npz", y=numpy.ones(4), other=numpy.ones((4, 4)))
    return ["predict", trained_on_arrays(folder), str(folder / "a.npz")]


@case("the folder is empty")
def prediction_of_a_folder_named_like_a_table(folder: Path) -> list[str]:
    (folder / "d.csv").mkdir()
    return ["predict", str(trained(folder)), str(folder / "d.csv")]


@case("there is no such file or folder")
def prediction_of_a_name_of_5000_characters(folder: Path) -> list[str]:
    return ["predict", str(trained(folder)), "x" * 5000]


@case("the images go from 0 to 1, those of the training were bytes up to 16")
def prediction_of_images_in_another_unit(folder: Path) -> list[str]:
    tw.fit("mlp", "digits", tw.Recipe(epochs=1), out=folder / "trained")
    numpy.save(folder / "new.npy", numpy.linspace(0, 1, 128).reshape(2, 1, 8, 8))
    return ["predict", str(folder / "trained"), str(folder / "new.npy")]


@pytest.mark.parametrize("name", CASES)
def test_bad_input_gets_one_clear_message_and_exit_status_2(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    make, expected = CASES[name]
    words = make(tmp_path)
    monkeypatch.chdir(tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    capfd.readouterr()
    try:
        status = main(words)
    except SystemExit as left:
        status = left.code
    out, error = capfd.readouterr()
    assert status == 2, error
    assert expected in error
    assert out == ""
    assert "Traceback" not in error
    lines = [line for line in error.splitlines() if not line.startswith(("training ", "epoch "))]
    assert len(lines) == 1, error
    for path, content in before.items():
        assert path.read_bytes() == content, f"{path} was changed"
    assert not [p for p in tmp_path.rglob("run.json") if p not in before]


def test_there_are_at_least_forty_cases() -> None:
    assert len(CASES) >= 40


def test_json_of_a_failed_command_leaves_standard_output_empty(
    capfd: pytest.CaptureFixture[str],
) -> None:
    assert main(["fit", "digitz", "--json"]) == 2
    assert capfd.readouterr().out == ""


def test_json_of_fit_is_one_document_with_the_promised_names(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "run"
    assert main(["fit", "iris", "--epochs", "2", "--out", str(folder), "--json"]) == 0
    document = json.loads(capfd.readouterr().out)
    wanted = {"run", "epochs", "steps", "seconds", "metrics", "findings", "repairs", "notes"}
    wanted |= {"weights_sha256"}
    assert set(document) == wanted
    assert document["epochs"] == 2
    names = {f"{s}_{m}" for s in ("train", "valid", "test") for m in ("loss", "accuracy")}
    assert set(document["metrics"]) == names
