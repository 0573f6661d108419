"""What the model gets wrong: confusion matrix, worst mistakes, predicted against true values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from trainwell.report.charts import Axes, Series, draw_chart
from trainwell.report.markup import facts, section, text
from trainwell.report.pictures import PICTURE, show_pictures

MOST_CLASSES = 24
MOST_PAIRS = 20


def show_evaluation(evaluation: Mapping[str, Any]) -> str:
    """Every section that the evaluation has something for."""
    parts = []
    split = {"test": "test", "valid": "validation"}.get(evaluation.get("split", ""), "")
    if evaluation.get("confusion"):
        title = f"Confusion matrix, {split} split"
        parts.append(section(title, show_confusion(evaluation)))
    if evaluation.get("scatter"):
        points = [(float(t), float(p)) for t, p in evaluation["scatter"]]
        ends = [min(t for t, _ in points), max(t for t, _ in points)]
        dots = Axes("true value", "predicted value", markers=True)
        chart = draw_chart(
            [Series("examples", points, "c0"), Series("perfect", [(e, e) for e in ends], "c1")],
            dots,
        )
        parts.append(section(f"Predicted against true, {split} split", chart))
    if evaluation.get("worst"):
        parts.append(section(f"Worst mistakes, {split} split", show_worst(evaluation["worst"])))
    if evaluation.get("reconstructions"):
        pairs = "".join(show_pictures(pair) for pair in evaluation["reconstructions"])
        note = '<p class="quiet">Above: the example. Below: what the model made of it.</p>'
        pairs = f'{note}<div class="pairs">{pairs}</div>'
        parts.append(section(f"Reconstructions, {split} split", pairs))
    if evaluation.get("samples"):
        note = '<p class="quiet">Made by the model, none of them an example.</p>'
        sheet = f'{note}<div class="samples">{show_pictures(evaluation["samples"])}</div>'
        parts.append(section("Samples", sheet))
    return "".join(parts)


def show_confusion(evaluation: Mapping[str, Any]) -> str:
    """Rows are true classes, columns predicted ones; of many classes, the most confused pairs."""
    matrix, classes = evaluation["confusion"], evaluation["classes"]
    if len(classes) > MOST_CLASSES:
        return _show_pairs(matrix, classes)
    head = "".join(f"<th>{text(name)}</th>" for name in classes)
    largest = max(
        (n for i, row in enumerate(matrix) for j, n in enumerate(row) if i != j), default=0
    )
    rows = []
    for i, row in enumerate(matrix):
        cells = "".join(_show_cell(n, i == j, largest) for j, n in enumerate(row))
        right = row[i] / sum(row) if sum(row) else 0.0
        rows.append(f'<tr><th>{text(classes[i])}</th>{cells}<td class="sum">{right:.1%}</td></tr>')
    return (
        '<p class="quiet">Rows: true class. Columns: predicted. Last: share right.</p>'
        f'<div class="wide"><table class="confusion"><tr><th></th>{head}<th></th></tr>'
        f"{''.join(rows)}</table></div>"
    )


def show_worst(worst: Sequence[Mapping[str, Any]]) -> str:
    """The examples with the highest loss, as pictures or as values."""
    return f'<div class="mistakes">{"".join(map(_show_mistake, worst))}</div>'


def _show_cell(count: int, is_right: bool, largest: int) -> str:
    if not count:
        return '<td class="none">·</td>'
    level = "right" if is_right else f"wrong{min(4, 1 + 4 * count // (largest + 1))}"
    return f'<td class="{level}">{count}</td>'


def _show_pairs(matrix: Sequence[Sequence[int]], classes: Sequence[str]) -> str:
    pairs = [
        (count, classes[i], classes[j])
        for i, row in enumerate(matrix)
        for j, count in enumerate(row)
        if i != j and count
    ]
    pairs.sort(key=lambda pair: -pair[0])
    return facts((f"{true} taken for {found}", n) for n, true, found in pairs[:MOST_PAIRS])


def _show_mistake(mistake: Mapping[str, Any]) -> str:
    shown = ""
    picture = str(mistake.get("image") or "")
    if PICTURE.fullmatch(picture):
        shown = f'<img src="{picture}" alt="example {text(mistake["id"])}">'
    elif mistake.get("values"):
        shown = facts(list(mistake["values"].items())[:8])
    probability = mistake.get("probability")
    likely = "" if probability is None else f"true class at {probability:.1%}"
    return (
        f'<div class="mistake">{shown}<b>{text(mistake["predicted"])}</b>'
        f"<span>is {text(mistake['target'])}</span><small>{likely} · row "
        f"{text(mistake['id'])}</small></div>"
    )
