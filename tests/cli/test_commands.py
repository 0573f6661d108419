"""The commands, run as a person or a script runs them."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path

import numpy
import pytest
import torch
from safetensors.torch import load_file

import trainwell as tw
from trainwell.cli.main import VERBS, main

TABLE = "width,colour,price,target\n" + "".join(
    f"{i % 9},{('red', 'green', '')[i % 3]},{'' if i % 10 == 4 else i / 2},"
    f"{'yes' if i % 9 > 4 else 'no'}\n"
    for i in range(180)
)


@pytest.fixture(scope="module")
def digits_run(tmp_path_factory: pytest.TempPathFactory) -> tw.Run:
    folder = tmp_path_factory.mktemp("digits") / "run"
    return tw.fit("mlp", "digits", tw.Recipe(epochs=5), out=folder)


@pytest.fixture(scope="module")
def table_run(tmp_path_factory: pytest.TempPathFactory) -> tuple[tw.Run, Path]:
    folder = tmp_path_factory.mktemp("table")
    (folder / "table.csv").write_text(TABLE)
    return tw.fit("mlp", folder / "table.csv", out=folder / "run"), folder / "table.csv"


def run_python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys\nfrom trainwell.cli.main import main\n"
        "try: main(['--help'])\nexcept SystemExit: pass\n"
        "heavy = {'torch', 'numpy', 'sklearn', 'pandas', 'rich', 'PIL', 'pyarrow'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)"
    )
    assert all(verb in run_python(code).stdout for verb in VERBS)


def test_import_trainwell_imports_nothing_that_torch_does_not() -> None:
    code = (
        "import sys, trainwell\nassert 'torch' not in sys.modules\n"
        "trainwell.fit\n"
        "heavy = {'sklearn', 'pandas', 'polars', 'rich', 'PIL', 'pyarrow', 'onnx'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)"
    )
    run_python(code)


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_explains_itself(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main([verb, "--help"])
    assert left.value.code == 0
    assert "--json" in capsys.readouterr().out


def test_predict_on_a_table_gives_the_classes_by_name(
    table_run: tuple[tw.Run, Path], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    run, table = table_run
    assert main(["predict", str(run.folder), str(table), "--json"]) == 0
    document = json.loads(capfd.readouterr().out)
    truth = [row["target"] for row in csv.DictReader(TABLE.splitlines())]
    assert document["count"] == 180
    right = sum(a == b for a, b in zip(document["predictions"], truth, strict=True))
    assert right > 165
    assert main(["predict", str(run.folder), str(table), "--out", str(tmp_path / "p.csv")]) == 0
    with (tmp_path / "p.csv").open() as file:
        written = [row["prediction"] for row in csv.DictReader(file)]
    assert written == document["predictions"]


def test_a_new_category_and_an_empty_cell_are_predicted_as_missing(
    table_run: tuple[tw.Run, Path], tmp_path: Path
) -> None:
    (tmp_path / "new.csv").write_text("price,colour,width\n3,purple,8\n,red,1\n")
    assert table_run[0].predict(tmp_path / "new.csv").tolist() == ["yes", "no"]


def test_predict_takes_arrays_a_single_image_and_flat_images(digits_run: tw.Run) -> None:
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)
    images = x.reshape(-1, 8, 8)
    as_trained = digits_run.predict(images)
    assert (as_trained == y).mean() > 0.9
    assert (digits_run.predict(x) == as_trained).all()
    assert digits_run.predict(images[0]).tolist() == as_trained[:1].tolist()
    probabilities = digits_run.predict_probabilities(images[:5])
    assert probabilities.shape == (5, 10)
    assert numpy.allclose(probabilities.sum(1), 1)


def test_a_run_opened_again_predicts_the_same(digits_run: tw.Run) -> None:
    examples = digits_run.data.valid.inputs
    again = tw.load_run(digits_run.folder)
    assert torch.equal(again.predict_outputs(examples), digits_run.predict_outputs(examples))
    assert again.evaluate("test") == digits_run.evaluate("test")
    assert again.evaluate("test")["test_loss"] == digits_run.metrics["test_loss"]


@pytest.mark.parametrize("kind", ["digits", "table"])
def test_export_writes_files_that_compute_the_same(
    kind: str,
    digits_run: tw.Run,
    table_run: tuple[tw.Run, Path],
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    run = digits_run if kind == "digits" else table_run[0]
    assert main(["export", str(run.folder), "--out", str(tmp_path), "--json"]) == 0
    document = json.loads(capfd.readouterr().out)
    assert [Path(f["path"]).name for f in document["files"]] == ["model.safetensors", "model.onnx"]
    weights = load_file(tmp_path / "model.safetensors")
    assert all(torch.equal(weights[k], v) for k, v in run.model.state_dict().items())
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    examples = run.data.train.inputs
    assert isinstance(examples, torch.Tensor)
    for count in (1, 33):
        found = session.run(None, {"inputs": examples[:count].numpy()})[0]
        expected = run.predict_outputs(examples[:count])
        assert torch.allclose(torch.as_tensor(found), expected, atol=1e-4)


def test_models_lists_every_name_of_the_catalogue(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "--json"]) == 0
    assert set(json.loads(capfd.readouterr().out)["models"]) == set(tw.models.CATALOGUE)


def test_report_is_written_again_on_demand(
    digits_run: tw.Run, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["report", str(digits_run.folder), "--json"]) == 0
    assert Path(json.loads(capfd.readouterr().out)["report"]).read_text().startswith("<!doctype")


def test_a_model_of_the_users_own_is_trained_resumed_and_predicts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine.py").write_text(
        "from torch import nn\n"
        "def build(data):\n"
        "    return nn.Sequential(nn.Linear(data.input_shape[0], 8), nn.Tanh(),\n"
        "                         nn.Linear(8, len(data.classes)))\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    assert main(["fit", "iris", "--model", "mine:build", "--epochs", "3", "--out", "run"]) == 0
    assert main(["resume", "run"]) == 2
    assert "--model package.module:function" in capfd.readouterr().err
    assert main(["resume", "run", "--model", "mine:build", "--json"]) == 0
    assert json.loads(capfd.readouterr().out)["epochs"] == 3


def test_e3_code_that_a_run_folder_names_is_not_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    run = tw.fit("mlp", "iris", tw.Recipe(epochs=1), out=tmp_path / "run")
    about = json.loads((run.folder / "run.json").read_text())
    for model in ({"own": "evil:build"}, {**about["model"], "name": "evil:build"}):
        (run.folder / "run.json").write_text(json.dumps({**about, "model": model}))
        (tmp_path / "evil.py").write_text("raise SystemExit('it was imported')")
        monkeypatch.chdir(tmp_path)
        monkeypatch.syspath_prepend(str(tmp_path))
        assert main(["predict", str(run.folder), "iris.csv"]) == 2
        assert "evil" not in sys.modules
        assert "imported" not in capfd.readouterr().err


def test_c5_output_that_nobody_reads_any_more_does_not_stop_a_run(tmp_path: Path) -> None:
    command = (
        f"{sys.executable} -m trainwell fit spirals --epochs 30 --out {tmp_path / 'run'} 2>&1 "
        "| head -n 1"
    )
    subprocess.run(command, shell=True, check=True, capture_output=True)
    assert tw.load_run(tmp_path / "run").result["epochs"] == 30


def test_b1_a_diverging_training_ends_with_status_1_and_says_why(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    words = ["fit", "line", "--out", str(tmp_path / "run"), "--set", "learning_rate=1e9"]
    assert main([*words, "--set", "optimizer=sgd", "--set", "epochs=50", "--json"]) == 1
    out, error = capfd.readouterr()
    assert "at step" in error and "Traceback" not in error
    assert "exploding_or_nan" in [finding["code"] for finding in json.loads(out)["findings"]]
    assert "exploding_or_nan" in (tmp_path / "run" / "report.html").read_text()
