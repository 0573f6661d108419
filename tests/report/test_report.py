"""The report: complete, offline, bounded, and deaf to hostile names."""

from __future__ import annotations

import math
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pytest

import trainwell as tw
from trainwell.findings import Finding
from trainwell.report import write_report
from trainwell.report.charts import Axes, Series, decades, draw_chart, nice_ticks, thin
from trainwell.training.journal import encode_rows
from trainwell.training.run_folder import RunFolder

HOSTILE = "<script>alert(1)</script>\u202e\x1b[31m'\"&" + "x" * 10_000
BROWSER = shutil.which("chromium")
QUIET = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--enable-logging=stderr",
    "--v=0",
]


class Page(HTMLParser):
    """Collects what a page is made of."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.words: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(self.words)


def page_of(run: tw.Run | Path) -> Page:
    folder = run.folder if isinstance(run, tw.Run) else run
    return Page(write_report(folder).read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> tw.Run:
    folder = tmp_path_factory.mktemp("digits") / "run"
    return tw.fit("mlp", "digits", tw.Recipe(epochs=2), out=folder)


def test_the_page_shows_scores_curves_confusion_mistakes_recipe_and_findings(
    digits: tw.Run,
) -> None:
    page = page_of(digits)
    assert f"{digits.metrics['test_accuracy']:.2%}" in page.text
    for title in (
        "Loss",
        "Accuracy",
        "Learning rate",
        "Gradient norm",
        "Update ratio of each layer",
        "Confusion matrix, test split",
        "Worst mistakes, test split",
        "Recipe",
        "No findings were recorded.",
    ):
        assert title in page.text, title
    assert page.tags.count("polyline") >= 7
    wrong = round((1 - digits.metrics["test_accuracy"]) * 359)
    assert page.tags.count("img") == min(24, wrong)
    assert all(field in page.text for field in ("learning_rate", "weight_decay", "nesterov"))


def test_a_regression_shows_its_error_and_predictions_against_truth(tmp_path: Path) -> None:
    run = tw.fit("mlp", "diabetes", tw.Recipe(epochs=2), out=tmp_path / "run")
    page = page_of(run)
    assert "Predicted against true, test split" in page.text
    assert "Error (RMSE)" in page.text
    assert "bmi" in page.text


def test_nothing_is_loaded_and_nothing_runs(digits: tw.Run) -> None:
    page = page_of(digits)
    assert not {"script", "link", "iframe", "object", "form"} & set(page.tags)
    sources = [value for name, value in page.attributes if name in ("src", "href", "srcset")]
    assert all(source.startswith("data:image/png;base64,") for source in sources)
    policy = next(value for _, value in page.attributes if "default-src" in value)
    assert "default-src 'none'" in policy
    style = (digits.folder / "report.html").read_text()
    assert "@import" not in style and "url(" not in style


def test_hostile_names_stay_text(digits: tw.Run, tmp_path: Path) -> None:
    shutil.copytree(digits.folder, tmp_path / "run")
    folder = RunFolder.open(tmp_path / "run")
    about = folder.read_json("run.json")
    about["data"] |= {"name": HOSTILE, "classes": [HOSTILE] * 10, "notes": [HOSTILE]}
    about["model"]["name"] = HOSTILE
    folder.write_json("run.json", about)
    evaluation = folder.read_json("evaluation.json")
    mistake = {"id": 1, "target": HOSTILE, "predicted": HOSTILE, "probability": 0.1, "loss": 2.0}
    values = {HOSTILE: 1.0}
    evaluation |= {
        "classes": [HOSTILE] * 10,
        "worst": [
            {**mistake, "image": 'x" onerror="alert(1)', "values": None},
            {**mistake, "image": "javascript:alert(1)", "values": values},
        ],
    }
    folder.write_json("evaluation.json", evaluation)
    finding = Finding("not_learning", "error", where=HOSTILE, cause=HOSTILE, remedy=HOSTILE)
    folder.write_findings([finding.to_dict()])
    folder.note("resumed", HOSTILE)
    page = page_of(tmp_path / "run")
    content = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert not {"script"} & set(page.tags)
    assert not [name for name, _ in page.attributes if name.startswith("on")]
    assert not re.search("[\u202e\x1b]", content)
    assert len(content) < 400_000
    assert "<script>alert(1)</script>" in page.text


def test_an_unfinished_run_and_a_torn_log_still_make_a_page(digits: tw.Run, tmp_path: Path) -> None:
    shutil.copytree(digits.folder, tmp_path / "run")
    for name in ("result.json", "evaluation.json"):
        (tmp_path / "run" / name).unlink()
    metrics = tmp_path / "run" / "metrics.jsonl"
    metrics.write_bytes(metrics.read_bytes()[:-20])
    assert "Not ended: 2 epochs so far" in page_of(tmp_path / "run").text
    metrics.write_bytes(b"")
    assert "No epoch has ended yet." in page_of(tmp_path / "run").text


def test_the_planned_rate_of_the_whole_run_is_drawn_before_any_reading(
    digits: tw.Run, tmp_path: Path
) -> None:
    shutil.copytree(digits.folder, tmp_path / "run")
    for name in ("result.json", "evaluation.json", "metrics.jsonl"):
        (tmp_path / "run" / name).unlink()
    page = page_of(tmp_path / "run")
    assert "planned" in page.words
    assert re.search("The learning rate decays by a factor of [0-9,]+ by the end", page.text)
    classes = [value for name, value in page.attributes if name == "class"]
    assert classes.count("band") == 2  # the line and its legend


def test_a_run_folder_from_before_steps_were_kept_shows_the_plan_from_its_first_epoch(
    digits: tw.Run, tmp_path: Path
) -> None:
    shutil.copytree(digits.folder, tmp_path / "run")
    folder = RunFolder.open(tmp_path / "run")
    about = folder.read_json("run.json")
    assert about.pop("steps_per_epoch") == 21
    folder.write_json("run.json", about)
    assert "planned" in page_of(tmp_path / "run").words
    (tmp_path / "run" / "metrics.jsonl").write_bytes(b"")
    assert "planned" not in page_of(tmp_path / "run").words


def test_a_recipe_of_another_version_still_makes_a_page(digits: tw.Run, tmp_path: Path) -> None:
    shutil.copytree(digits.folder, tmp_path / "run")
    with (tmp_path / "run" / "recipe.toml").open("a") as recipe:
        recipe.write("\nfield_of_the_future = 1\n")
    assert "field_of_the_future" in page_of(tmp_path / "run").text


def test_a_rate_that_waits_for_a_plateau_is_not_drawn_as_if_it_were_planned(
    digits: tw.Run, tmp_path: Path
) -> None:
    shutil.copytree(digits.folder, tmp_path / "run")
    recipe = digits.recipe.replace(schedule="plateau")
    (tmp_path / "run" / "recipe.toml").write_text(recipe.to_toml())
    page = page_of(tmp_path / "run")
    assert "planned" not in page.words
    assert "whenever the validation loss has stopped falling" in page.text


def test_the_page_says_how_often_the_test_split_was_read(digits: tw.Run, tmp_path: Path) -> None:
    shutil.copytree(digits.folder, tmp_path / "run")
    assert "The test split was read once, at the end" in page_of(tmp_path / "run").text
    opened = tw.load_run(tmp_path / "run")
    opened.evaluate("valid")
    assert "The test split was read once, at the end" in page_of(tmp_path / "run").text
    opened.evaluate("test")
    assert "The test split was read 2 times" in page_of(tmp_path / "run").text
    (tmp_path / "run" / "result.json").unlink()
    (tmp_path / "run" / "events.jsonl").unlink()
    assert "The test split" not in page_of(tmp_path / "run").text


def test_a_run_that_another_process_holds_can_be_evaluated(digits: tw.Run, tmp_path: Path) -> None:
    shutil.copytree(digits.folder, tmp_path / "run")
    opened = tw.load_run(tmp_path / "run")
    with RunFolder.open(tmp_path / "run").lock():
        assert opened.evaluate("test")["test_loss"] == digits.metrics["test_loss"]


def test_a_million_readings_make_a_page_of_bounded_size(digits: tw.Run, tmp_path: Path) -> None:
    shutil.copytree(digits.folder, tmp_path / "run")
    rows = (
        {"kind": "window", "step": n, "epoch": 1, "train_loss": 1 / (n + 1), "gradient_norm": 1.0}
        for n in range(100_000)
    )
    (tmp_path / "run" / "metrics.jsonl").write_bytes(encode_rows(rows))
    assert write_report(tmp_path / "run").stat().st_size < 300_000


def test_values_that_are_not_finite_leave_gaps_and_no_nan_in_the_picture() -> None:
    points = [(0.0, 1.0), (1.0, math.nan), (2.0, math.inf), (3.0, 2.0)]
    drawn = draw_chart([Series("loss", points, "c0")], Axes("step", "loss"))
    assert "nan" not in drawn.lower() and "inf" not in drawn.lower()
    assert "Nothing was recorded" in draw_chart([Series("a", [], "c0")], Axes("x", "y"))


def test_thinning_keeps_peaks() -> None:
    points = [(float(n), 0.0) for n in range(10_000)]
    points[7_777] = (7_777.0, 99.0)
    points[3_333] = (3_333.0, -99.0)
    kept = thin(points)
    assert len(kept) <= 400
    assert (7_777.0, 99.0) in kept and (3_333.0, -99.0) in kept
    assert kept == sorted(kept)


@pytest.mark.parametrize(
    ("low", "high"), [(0, 1), (0.3, 0.9), (-5, 5), (1e-9, 2e-9), (0, 1e6), (3, 3), (0, 0)]
)
def test_ticks_are_round_cover_the_range_and_are_few(low: float, high: float) -> None:
    ticks = nice_ticks(low, high)
    assert ticks[0] <= low + 1e-12 and ticks[-1] >= high - 1e-12
    assert 2 <= len(ticks) <= 9


def test_decades_cover_the_range() -> None:
    assert decades(0.003, 2.0) == [1e-3, 1e-2, 1e-1, 1, 10]
    assert len(decades(1e-30, 1e30)) <= 8


@pytest.mark.skipif(BROWSER is None, reason="there is no chromium on this machine")
def test_a_browser_renders_the_page_without_a_complaint(digits: tw.Run, tmp_path: Path) -> None:
    assert BROWSER is not None
    page = write_report(digits.folder)
    picture = tmp_path / "page.png"
    done = subprocess.run(
        [
            BROWSER,
            *QUIET,
            f"--user-data-dir={tmp_path / 'profile'}",
            f"--screenshot={picture}",
            "--window-size=1200,2000",
            page.as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    complaints = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    assert not complaints
    from PIL import Image

    with Image.open(picture) as shown:
        assert len(shown.convert("RGB").getcolors(2**24) or []) > 100


def test_a_run_that_augments_shows_images_beside_what_the_training_saw_of_them(
    tmp_path: Path,
) -> None:
    recipe = tw.Recipe(epochs=2, augment=("alternating_flip",))
    run = tw.fit("mlp", "digits", recipe, out=tmp_path / "run")
    rows = run.run_folder.read_json("evaluation.json")["augmented"]
    assert [len(row) for row in rows] == [3] * 5
    for original, *versions in rows:
        # One epoch as it is, the other mirrored: undone by the inverse of the preprocessing.
        assert versions.count(original) == 1
    page = page_of(run)
    assert "Left: the training image. Then the same as the training saw it in" in page.text
    pictures = {value for name, value in page.attributes if name == "src"}
    assert {picture for row in rows for picture in row} <= pictures


def test_a_run_without_augmentation_has_no_contact_sheet(digits: tw.Run) -> None:
    assert digits.run_folder.read_json("evaluation.json")["augmented"] == []
    assert "Augmentation" not in page_of(digits).text
