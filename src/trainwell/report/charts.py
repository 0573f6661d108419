"""Line and scatter charts as SVG text, without a library and without a script."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 640, 260
LEFT, RIGHT, TOP, BOTTOM = 56, 16, 14, 34
MOST_POINTS = 400
TICKS = 5

Point = tuple[float, float]


@dataclass(frozen=True)
class Series:
    """A line of a chart.

    Attributes:
        name: In the legend.
        points: In order of x; points that are not finite break the line.
        colour: A CSS class: `c0` to `c7`, `faint`, or the broad `band`.
    """

    name: str
    points: Sequence[Point]
    colour: str


@dataclass(frozen=True)
class Axes:
    """What is drawn, and how.

    Attributes:
        x_label, y_label: Under and beside the axes.
        log: Whether y is logarithmic; values that are not positive break the line.
        percent: Whether y is shown in per cent.
        guide: A horizontal line at this y, with its label; None for none.
        markers: Dots instead of lines.
    """

    x_label: str
    y_label: str
    log: bool = False
    percent: bool = False
    guide: tuple[float, str] | None = None
    markers: bool = False


@dataclass(frozen=True)
class Scale:
    """From numbers to pixels along one axis."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def __call__(self, value: float) -> float:
        """The pixel of a number."""
        low, high = self.low, self.high
        if self.log:
            low, high, value = math.log10(low), math.log10(high), math.log10(value)
        return self.start + (value - low) / (high - low) * (self.end - self.start)


def draw_chart(series: Sequence[Series], axes: Axes) -> str:
    """An SVG with its legend, or a sentence where there is nothing to draw."""
    shown = [(line, thin(usable(line.points, axes.log))) for line in series]
    shown = [(line, points) for line, points in shown if points]
    if not shown:
        return '<p class="quiet">Nothing was recorded.</p>'
    x_scale, y_scale = _fit_scales([p for _, points in shown for p in points], axes)
    parts = [_draw_grid(x_scale, y_scale, axes)]
    for line, points in shown:
        draw = _draw_dots if axes.markers else _draw_line
        parts.append(draw(line, points, x_scale, y_scale))
    label = escape(f"{axes.y_label} by {axes.x_label}")
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{label}">'
        f"{''.join(parts)}</svg>{_draw_legend([line for line, _ in shown])}"
    )


def usable(points: Sequence[Point], log: bool) -> list[Point]:
    """The points that can be drawn."""
    lowest = 0.0 if log else -math.inf
    return [(x, y) for x, y in points if math.isfinite(x) and math.isfinite(y) and y > lowest]


def thin(points: Sequence[Point]) -> list[Point]:
    """At most `MOST_POINTS` points: of each stretch the lowest and the highest, so peaks stay."""
    if len(points) <= MOST_POINTS:
        return list(points)
    size = math.ceil(len(points) / (MOST_POINTS // 2))
    kept: list[Point] = []
    for start in range(0, len(points), size):
        stretch = points[start : start + size]
        ends = {min(stretch, key=lambda p: p[1]), max(stretch, key=lambda p: p[1])}
        kept += sorted(ends)
    return kept


def nice_ticks(low: float, high: float, count: int = TICKS) -> list[float]:
    """Round numbers that cover a range: steps of 1, 2 or 5 times a power of ten."""
    if not high > low:
        high = low + (abs(low) or 1.0)
    rough = (high - low) / count
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(m * power for m in (1, 2, 5, 10) if m * power >= rough * (1 - 1e-9))
    first = math.floor(low / step + 1e-9)
    last = math.ceil(high / step - 1e-9)
    return [round(i * step, 12) for i in range(first, last + 1)]


def decades(low: float, high: float) -> list[float]:
    """Powers of ten that cover a range, at most about `TICKS` of them."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    last = max(last, first + 1)
    step = max(1, round((last - first) / TICKS))
    return [10.0**e for e in range(first, last + step, step)]


def _fit_scales(points: Sequence[Point], axes: Axes) -> tuple[Scale, Scale]:
    xs = [x for x, _ in points]
    ys = [y for _, y in points] + ([axes.guide[0]] if axes.guide else [])
    x_low, x_high = min(xs), max(xs)
    if x_high == x_low:
        x_low, x_high = x_low - 1, x_high + 1
    ticks = decades(min(ys), max(ys)) if axes.log else nice_ticks(min(ys), max(ys))
    if axes.percent:
        ticks = [t for t in ticks if t <= 1.0] if max(ys) <= 1.0 else ticks
        ticks = ticks if len(ticks) > 1 else nice_ticks(min(ys) - 0.1, max(ys))
    x_scale = Scale(x_low, x_high, LEFT, WIDTH - RIGHT)
    return x_scale, Scale(ticks[0], ticks[-1], HEIGHT - BOTTOM, TOP, axes.log)


def _draw_grid(x_scale: Scale, y_scale: Scale, axes: Axes) -> str:
    ticks = (decades if axes.log else nice_ticks)(y_scale.low, y_scale.high)
    parts = []
    for tick in ticks:
        if not y_scale.low * (1 - 1e-9) <= tick <= y_scale.high * (1 + 1e-9) and tick:
            continue
        y = y_scale(tick)
        parts.append(
            f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
            f'<text class="tick" x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">'
            f"{_format_tick(tick, axes.percent)}</text>"
        )
    for tick in nice_ticks(x_scale.low, x_scale.high):
        if x_scale.low <= tick <= x_scale.high:
            parts.append(
                f'<text class="tick" x="{x_scale(tick):.1f}" y="{HEIGHT - BOTTOM + 16}" '
                f'text-anchor="middle">{_format_tick(tick, False)}</text>'
            )
    if axes.guide:
        y = y_scale(axes.guide[0])
        parts.append(
            f'<line class="guide" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
            f'<text class="tick" x="{WIDTH - RIGHT}" y="{y - 4:.1f}" text-anchor="end">'
            f"{escape(axes.guide[1])}</text>"
        )
    parts.append(
        f'<text class="tick" x="{WIDTH - RIGHT}" y="{HEIGHT - 4}" text-anchor="end">'
        f"{escape(axes.x_label)}</text>"
    )
    return "".join(parts)


def _draw_line(line: Series, points: Sequence[Point], x_scale: Scale, y_scale: Scale) -> str:
    path = " ".join(f"{x_scale(x):.1f},{y_scale(y):.1f}" for x, y in points)
    last = points[-1]
    title = escape(f"{line.name}: {last[1]:.4g} at {last[0]:g}")
    shape = f'<polyline class="{line.colour}" points="{path}"><title>{title}</title></polyline>'
    if len(points) == 1 or line.colour not in ("faint", "band"):
        shape += (
            f'<circle class="{line.colour}" cx="{x_scale(last[0]):.1f}" '
            f'cy="{y_scale(last[1]):.1f}" r="3"><title>{title}</title></circle>'
        )
    return shape


def _draw_dots(line: Series, points: Sequence[Point], x_scale: Scale, y_scale: Scale) -> str:
    return "".join(
        f'<circle class="{line.colour}" cx="{x_scale(x):.1f}" cy="{y_scale(y):.1f}" r="2"/>'
        for x, y in points
    )


def _draw_legend(series: Sequence[Series]) -> str:
    items = "".join(f'<li><i class="{line.colour}"></i>{escape(line.name)}</li>' for line in series)
    return f'<ul class="legend">{items}</ul>'


def _format_tick(value: float, percent: bool) -> str:
    if percent:
        return f"{value * 100:.4g} %"
    return f"{value:.0e}" if value and not 1e-3 <= abs(value) < 1e5 else f"{value:g}"
