"""Runs of a user's own model, and runs whose data is gone, in every verb that opens them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy
import pytest
import torch
from torch import nn

import trainwell as tw
from trainwell.cli.main import main
from trainwell.errors import ModelError
from trainwell.export import export_run

CODE = (
    "from torch import nn\n"
    "def build():\n"
    "    return nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 3))\n"
    "def build_for(data):\n"
    "    return nn.Sequential(nn.Linear(data.input_shape[0], 5), nn.Linear(5, 3))\n"
)


@pytest.fixture
def own_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "own_models_of_a_test.py").write_text(CODE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    words = ["fit", "iris", "--model", "own_models_of_a_test:build", "--epochs", "3"]
    assert main([*words, "--out", "run", "--no-report"]) == 0
    return tmp_path


def test_predict_takes_the_users_own_model_again(
    own_run: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    numpy.save(own_run / "new.npy", numpy.ones((3, 4)))
    assert main(["predict", "run", "new.npy"]) == 2
    assert "--model package.module:function" in capfd.readouterr().err
    words = ["predict", "run", "new.npy", "--model", "own_models_of_a_test:build", "--json"]
    assert main(words) == 0
    assert json.loads(capfd.readouterr().out)["count"] == 3


def test_export_takes_the_users_own_model_again(
    own_run: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("onnxruntime")
    assert main(["export", "run"]) == 2
    assert "--model package.module:function" in capfd.readouterr().err
    assert main(["export", "run", "--model", "own_models_of_a_test:build"]) == 0
    assert sorted(p.name for p in (own_run / "run" / "export").iterdir()) == [
        "model.onnx",
        "model.safetensors",
    ]


@pytest.mark.parametrize("verb", ["resume run", "export run", "predict run x.npy"])
def test_another_own_model_is_one_message_that_names_the_tensor(
    verb: str, own_run: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main([*verb.split(), "--model", "own_models_of_a_test:build_for"]) == 2
    error = capfd.readouterr().err
    assert "do not fit the model" in error.splitlines()[-1]
    assert "Traceback" not in error


def random_table(columns: int = 3) -> tuple[numpy.ndarray, numpy.ndarray]:
    x = numpy.random.default_rng(0).normal(5.0, 3.0, size=(60, columns))
    return x, (x[:, 0] > 5).astype(int)


def test_a_run_on_arrays_that_are_gone_exports_a_graph_that_computes_the_same(
    tmp_path: Path,
) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    x, y = random_table()
    tw.fit("mlp", (x, y), tw.Recipe(epochs=1), out=tmp_path / "run")
    assert main(["export", str(tmp_path / "run")]) == 0
    session = onnxruntime.InferenceSession(tmp_path / "run" / "export" / "model.onnx")
    found = session.run(None, {"inputs": x})[0]
    expected = tw.load_run(tmp_path / "run").predict_outputs(x)
    assert torch.allclose(torch.as_tensor(found), expected, atol=1e-4)


def test_a_table_with_categories_that_has_moved_exports(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    rows = "".join(
        f"{i},{('red', 'green', '')[i % 3]},{'' if i == 4 else i},{i % 2}\n" for i in range(60)
    )
    (tmp_path / "table.csv").write_text("u,colour,v,target\n" + rows)
    tw.fit("mlp", tmp_path / "table.csv", tw.Recipe(epochs=1), out=tmp_path / "run")
    (tmp_path / "table.csv").unlink()
    assert main(["export", str(tmp_path / "run")]) == 0


class NotTraceable(nn.Module):
    """Asks for a number of the data, which no graph can."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        outputs = self.layer(x)
        return outputs if float(outputs.detach().sum()) > 1e9 else outputs + 1


def test_an_export_that_fails_leaves_no_file_and_no_folder(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    run = tw.fit(NotTraceable(), random_table(), tw.Recipe(epochs=1), out=tmp_path / "run")
    with pytest.raises(ModelError, match="cannot export"):
        export_run(run, tmp_path / "export", ("safetensors", "onnx"))
    assert not (tmp_path / "export").exists()
    assert len(export_run(run, tmp_path / "export", ("safetensors",))) == 1
