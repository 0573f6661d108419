"""The report's page: what is in it, in which order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from trainwell.report.checks import show_checks
from trainwell.report.curves import draw_curves
from trainwell.report.document import render_document
from trainwell.report.findings import show_findings
from trainwell.report.markup import facts, section, text
from trainwell.report.mistakes import show_evaluation
from trainwell.report.pictures import show_contact_sheet
from trainwell.report.planned_rate import read_forecast
from trainwell.report.repairs import show_repairs
from trainwell.training.discipline import count_test_reads, describe_test_reads
from trainwell.training.repairs import read_repairs
from trainwell.training.run_folder import RunFolder

QUIET_EVENTS = ("epoch",)
MOST_EVENTS = 50


def write_report(run_folder: str | Path) -> Path:
    """Writes `report.html` into a run folder.

    Args:
        run_folder: Of a run that has ended or is under way.

    Returns:
        The page's path.

    Raises:
        RunFolderError: Not a run folder, or it cannot be written.
    """
    folder = RunFolder.open(run_folder)
    folder.write_text("report.html", render(folder))
    return folder.path / "report.html"


def render(folder: RunFolder) -> str:
    """The whole page as HTML."""
    about = folder.read_json("run.json")
    result = folder.read_json_or_empty("result.json")
    metrics = folder.read_metrics()
    evaluation = folder.read_json_or_empty("evaluation.json")
    curves = draw_curves(metrics, read_forecast(folder, about, metrics))
    discipline = describe_test_reads(count_test_reads(folder))
    body = "".join(
        [
            show_headline(folder.path.name, about, result, metrics, discipline),
            show_findings(folder.read_findings()),
            show_repairs(read_repairs(folder)),
            section("Training", f'<div class="curves">{curves}</div>'),
            show_evaluation(evaluation),
            show_contact_sheet(evaluation),
            show_checks(folder.read_json_or_empty("check.json")),
            show_facts(folder, about),
            show_events(folder.read_events()),
        ]
    )
    return render_document(folder.path.name, body)


def show_headline(
    name: str,
    about: Mapping[str, Any],
    result: Mapping[str, Any],
    metrics: Sequence[Mapping[str, Any]],
    discipline: str,
) -> str:
    """Name, story, how the test split was used, and the final numbers large."""
    scores = result.get("metrics") or _last_scores(metrics)
    data, model = about["data"], about["model"]
    model_name = model.get("name") or model.get("own")
    tiles = "".join(_show_tile(key, value) for key, value in _order(scores))
    return (
        f"<header><h1>{text(model_name)} on {text(data['name'])}</h1>"
        f'<p class="quiet">{text(name)}</p>'
        f"<p>{text(' '.join(filter(None, (tell_story(result, metrics), discipline))))}</p>"
        f'<div class="tiles">{tiles}</div></header>'
    )


def tell_story(result: Mapping[str, Any], metrics: Sequence[Mapping[str, Any]]) -> str:
    """What happened, in a sentence or two."""
    epochs = [row for row in metrics if row.get("kind") == "epoch"]
    if not epochs:
        return "No epoch has ended yet."
    finite = [row for row in epochs if isinstance(row.get("valid_loss"), int | float)]
    ending = {
        "finished": f"Trained {result.get('epochs')} epochs to the end",
        "early_stop": f"Stopped early after {result.get('epochs')} epochs",
    }.get(result.get("reason", ""), f"Not ended: {len(epochs)} epochs so far")
    seconds = f" in {result['seconds']:.1f} s" if "seconds" in result else ""
    if not finite:
        return f"{ending}{seconds}. The validation loss was never finite."
    best = min(finite, key=lambda row: row["valid_loss"])
    return f"{ending}{seconds}. Lowest validation loss {best['valid_loss']:.4g} in epoch " + (
        f"{best['epoch']}."
    )


def show_facts(folder: RunFolder, about: Mapping[str, Any]) -> str:
    """Recipe, data and environment."""
    import tomllib

    data = about["data"]
    recipe = tomllib.loads(folder.read_text("recipe.toml"))
    described = [
        ("task", data["task"]),
        ("examples", data["sizes"]),
        ("classes", data["classes"] or None),
        ("input shape", data["input_shape"]),
        ("notes", "; ".join(data["notes"]) or None),
    ]
    machine = [
        ("parameters", about["parameters"]),
        *about["resolved"].items(),
        *about["environment"].items(),
    ]
    return (
        '<div class="columns">'
        + section("Recipe", facts(recipe.items()))
        + section("Data", facts(described))
        + section("Model and machine", facts(machine))
        + "</div>"
    )


def show_events(events: Sequence[Mapping[str, Any]]) -> str:
    """Everything noteworthy that happened, with the time by the clock."""
    told = [event for event in events if event.get("event") not in QUIET_EVENTS]
    if not told:
        return ""
    pairs = ((f"{e.get('time')} {e.get('event')}", e.get("message")) for e in told[-MOST_EVENTS:])
    return section("Events", facts(pairs))


def _show_tile(name: str, value: Any) -> str:
    is_share = name.endswith("accuracy") and isinstance(value, int | float)
    shown = f"{value:.2%}" if is_share else text(value)
    words = name.replace("_", " ").replace("valid", "validation").replace("train ", "training ")
    return f'<div class="tile"><b>{shown}</b><span>{text(words)}</span></div>'


def _order(scores: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """Scores before losses, test before validation before training."""
    splits = {"test": 0, "valid": 1, "train": 2}
    return sorted(
        scores.items(), key=lambda kv: (kv[0].endswith("loss"), splits[kv[0].split("_")[0]])
    )


def _last_scores(metrics: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    epochs = [row for row in metrics if row.get("kind") == "epoch"]
    last = epochs[-1] if epochs else {}
    return {k: v for k, v in last.items() if k.startswith(("train_", "valid_"))}
