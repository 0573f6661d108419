"""Pictures that a run folder holds, on the page."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from trainwell.report.markup import section

PICTURE = re.compile(r"data:image/png;base64,[A-Za-z0-9+/=]+")


def show_pictures(pictures: Sequence[Any]) -> str:
    """Those that are pictures; a run folder may have been written by anybody."""
    shown = [p for p in pictures if isinstance(p, str) and PICTURE.fullmatch(p)]
    return "<div>" + "".join(f'<img src="{p}" alt="">' for p in shown) + "</div>"


def show_contact_sheet(evaluation: Mapping[str, Any]) -> str:
    """Training images beside what augmentation made of them; nothing where there was none."""
    rows = evaluation.get("augmented")
    if not rows:
        return ""
    epochs = len(rows[0]) - 1
    seen = "epoch 1" if epochs == 1 else f"epochs 1 to {epochs}"
    note = f"Left: the training image. Then the same as the training saw it in {seen}."
    sheet = "".join(map(show_pictures, rows))
    return section(
        "Augmentation",
        f'<p class="quiet">{note}</p><div class="wide"><div class="sheet">{sheet}</div></div>',
    )
