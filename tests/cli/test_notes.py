"""What was done to the data is said on standard error, in JSON and in the run."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import numpy
import pytest
from PIL import Image

import trainwell as tw
from trainwell.cli.main import main
from trainwell.cli.output import MOST_NOTES, describe_notes
from trainwell.training.run_folder import RunFolder

TABLE = "width,colour,target\n" + "".join(
    f"{'' if i == 4 else i % 9},{('red', 'green')[i % 2]},{'no' if i % 9 > 4 else 'yes'}\n"
    for i in range(90)
)


@pytest.fixture(scope="module")
def table_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("table")
    (folder / "table.csv").write_text(TABLE)
    tw.fit("mlp", folder / "table.csv", tw.Recipe(epochs=1), out=folder / "run")
    return folder / "run"


@pytest.fixture(scope="module")
def picture_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    for name, shade in (("dark", 20), ("light", 230)):
        (folder / "data" / name).mkdir(parents=True)
        for number in range(10):
            path = folder / "data" / name / f"{number}.png"
            Image.new("RGB", (8, 8), (shade, shade, shade + number)).save(path)
    tw.fit("mlp", folder / "data", tw.Recipe(epochs=20), out=folder / "run")
    return folder / "run"


def test_d2_missing_values_of_a_table_are_told_by_fit_in_words_in_json_and_as_an_event(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "table.csv").write_text(TABLE)
    words = ["fit", str(tmp_path / "table.csv"), "--epochs", "1", "--out", str(tmp_path / "run")]
    assert main([*words, "--no-report", "--json", "--set", "check=false"]) == 0
    out, error = capfd.readouterr()
    message = "column 'width': 1 missing value is filled in"
    assert f"note: {message}" in error.splitlines()
    assert message in json.loads(out)["notes"]
    events = RunFolder.open(tmp_path / "run").read_events()
    assert message in [event["message"] for event in events if event["event"] == "data"]


def test_many_notes_are_cut_to_a_few_lines() -> None:
    lines = describe_notes([f"n{i}" for i in range(MOST_NOTES + 5)])
    assert len(lines) == MOST_NOTES + 1
    assert lines[-1] == "note: and 5 more"


def test_d7_new_categories_and_empty_cells_are_told_by_predict(
    table_run: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "new.csv").write_text("width,colour\n1,purple\n,red\n")
    assert main(["predict", str(table_run), str(tmp_path / "new.csv"), "--json"]) == 0
    out, error = capfd.readouterr()
    wanted = [
        "column 'width': 1 missing value is filled in",
        "column 'colour': 1 values are new and count as missing",
    ]
    assert json.loads(out)["notes"] == wanted
    assert error.splitlines() == [f"note: {note}" for note in wanted]


def test_d11_pictures_of_another_size_and_grey_ones_are_predicted_by_file_name(
    picture_run: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    Image.new("RGB", (20, 12), (20, 20, 25)).save(tmp_path / "b.png")
    Image.new("L", (8, 8), 230).save(tmp_path / "a.png")
    assert main(["predict", str(picture_run), str(tmp_path)]) == 0
    out, error = capfd.readouterr()
    predicted = {row["file"]: row["prediction"] for row in csv.DictReader(io.StringIO(out))}
    assert predicted == {"a.png": "light", "b.png": "dark"}
    assert "note: 1 pictures were resized to 8 × 8" in error.splitlines()


def test_predict_reads_the_array_called_x_wherever_it_stands(tmp_path: Path) -> None:
    x = numpy.random.default_rng(0).random((40, 4))
    run = tw.fit("mlp", (x, x[:, 0] > 0.5), tw.Recipe(epochs=1), out=tmp_path / "run")
    numpy.savez(tmp_path / "a.npz", ids=numpy.arange(40), X=x)
    assert run.predict(tmp_path / "a.npz").tolist() == run.predict(x).tolist()


def test_a_data_frame_given_to_a_run_on_arrays_is_refused(tmp_path: Path) -> None:
    import pandas

    x = numpy.random.default_rng(0).random((40, 4))
    run = tw.fit("mlp", (x, x[:, 0] > 0.5), tw.Recipe(epochs=1), out=tmp_path / "run")
    with pytest.raises(tw.TrainwellError, match="trained on arrays"):
        run.predict(pandas.DataFrame(x))
