"""A chart of Unicode blocks, for a terminal."""

from __future__ import annotations

from collections.abc import Sequence

EIGHTHS = " ▁▂▃▄▅▆▇█"


def draw_blocks(values: Sequence[float], width: int = 60, height: int = 6) -> list[str]:
    """A filled curve from zero to the highest value, a line of text for each row.

    Args:
        values: At equal distances, none negative; what is above zero is at least a thin line.
        width: Columns.
        height: Rows, each of eight steps.
    """
    highest = max(values) or 1.0
    columns = [values[round(i * (len(values) - 1) / max(1, width - 1))] for i in range(width)]
    steps = [max(int(v > 0), round(v / highest * height * 8)) for v in columns]
    return [
        "".join(EIGHTHS[min(8, max(0, step - 8 * row))] for step in steps)
        for row in reversed(range(height))
    ]
