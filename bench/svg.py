"""Line charts as plain SVG: logarithmic axes, a name at the end of each line, readable on light and dark ground."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape

__all__ = ["Chart", "Line", "draw"]

WIDTH, HEIGHT = 760, 430
LEFT, RIGHT, TOP, BOTTOM = 66, 200, 74, 56
LINE_HEIGHT = 16
MARGIN = 16
STYLE = """
  text { font: 13px system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; fill: #3b4048 }
  .title { font-size: 17px; font-weight: 600; fill: #1c2026 }
  .quiet { fill: #747b85 }
  .grid { stroke: #e4e7eb; stroke-width: 1 }
  .axis { stroke: #b4bac2; stroke-width: 1 }
  .line { fill: none; stroke-width: 2.2; stroke-linejoin: round; stroke-linecap: round }
  .faint { stroke-width: 1.6; stroke-dasharray: 5 4 }
  .a { stroke: #2563a8; fill: #2563a8 } .b { stroke: #b7622c; fill: #b7622c } .c { stroke: #3f8057; fill: #3f8057 }
  .d { stroke: #7c5aa6; fill: #7c5aa6 } .e { stroke: #84704a; fill: #84704a } .f { stroke: #a8456b; fill: #a8456b }
  text.a, text.b, text.c, text.d, text.e, text.f { stroke: none }
  path.line { fill: none }
  @media (prefers-color-scheme: dark) {
    text { fill: #b9c0ca } .title { fill: #e8ebef } .quiet { fill: #8a929d }
    .grid { stroke: #2b3038 } .axis { stroke: #525a65 }
    .a { stroke: #6cacf0; fill: #6cacf0 } .b { stroke: #e59a62; fill: #e59a62 } .c { stroke: #74bd8e; fill: #74bd8e }
    .d { stroke: #b596e0; fill: #b596e0 } .e { stroke: #bfa877; fill: #bfa877 } .f { stroke: #e0829f; fill: #e0829f }
  }
"""


@dataclass(frozen=True, slots=True)
class Line:
    """One line.

    Args:
        name: stands at its end.
        points: with positive coordinates.
        colour: of the style's classes ``a`` to ``f``.
        is_faint: drawn thin and dashed, for what is there to be compared with.
    """

    name: str
    points: Sequence[tuple[float, float]]
    colour: str
    is_faint: bool = False


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart; both axes are logarithmic.

    Args:
        title: what it shows.
        subtitle: where the figures are from.
        across: what the horizontal axis counts.
        lines: at least one, with at least one point.
    """

    title: str
    subtitle: str
    across: str
    lines: Sequence[Line]


def draw(chart: Chart) -> str:
    """The chart as the text of an SVG file."""
    axes = _Axes(chart)
    body = "\n".join([*_frame(chart, axes), *_lines(chart, axes)])
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img"'
        f' aria-label="{escape(chart.title)}">\n<style>{STYLE}</style>\n{body}\n</svg>\n'
    )


class _Axes:
    """From figures to places."""

    def __init__(self, chart: Chart) -> None:
        xs = sorted({x for line in chart.lines for x, _ in line.points})
        ys = [y for line in chart.lines for _, y in line.points]
        self.xs = xs
        low, high = _steps_around(min(ys), max(ys))
        self.ys = list(_steps(low, high))
        self._x = (math.log(min(xs)), math.log(max(xs)) if max(xs) > min(xs) else math.log(min(xs)) + 1)
        self._y = (math.log(low), math.log(high))

    def x(self, value: float) -> float:
        return LEFT + _share(value, self._x) * (WIDTH - LEFT - RIGHT)

    def y(self, value: float) -> float:
        return HEIGHT - BOTTOM - _share(value, self._y) * (HEIGHT - TOP - BOTTOM)


def _share(value: float, ends: tuple[float, float]) -> float:
    return (math.log(value) - ends[0]) / (ends[1] - ends[0])


def _steps(low: float, high: float) -> Iterator[float]:
    """1, 2, 5, 10, ... between these two; only powers of ten where that would be too many."""
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    factors = (1, 2, 5) if len(decades) <= 4 else (1,)
    for decade in decades:
        for factor in factors:
            step = factor * 10.0**decade
            if low * 0.999 <= step <= high * 1.001:
                yield step


def _steps_around(least: float, most: float) -> tuple[float, float]:
    """The nearest round figures outside, at least a factor of ten apart: small differences shall look small."""
    every = [factor * 10.0**decade for decade in range(-6, 12) for factor in (1, 2, 5)]
    low = max(step for step in every if step <= least)
    high = min(step for step in every if step >= most)
    while high / low < 10:
        high = min(step for step in every if step > high * 1.001)
        low = max(step for step in every if step < low * 0.999) if high / low < 10 else low
    return low, high


def _frame(chart: Chart, axes: _Axes) -> Iterator[str]:
    yield f'<text class="title" x="{MARGIN}" y="30">{escape(chart.title)}</text>'
    yield f'<text class="quiet" x="{MARGIN}" y="50">{escape(chart.subtitle)}</text>'
    right, bottom = WIDTH - RIGHT, HEIGHT - BOTTOM
    for step in axes.ys:
        y = axes.y(step)
        yield f'<line class="grid" x1="{LEFT}" y1="{y:.1f}" x2="{right}" y2="{y:.1f}"/>'
        yield f'<text class="quiet" x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{_figure(step)}</text>'
    yield f'<line class="axis" x1="{LEFT}" y1="{bottom}" x2="{right}" y2="{bottom}"/>'
    for value in axes.xs:
        x = axes.x(value)
        yield f'<line class="axis" x1="{x:.1f}" y1="{bottom}" x2="{x:.1f}" y2="{bottom + 5}"/>'
        yield f'<text class="quiet" x="{x:.1f}" y="{bottom + 20}" text-anchor="middle">{_figure(value)}</text>'
    middle = (LEFT + right) / 2
    yield f'<text class="quiet" x="{middle}" y="{bottom + 42}" text-anchor="middle">{escape(chart.across)}</text>'


def _lines(chart: Chart, axes: _Axes) -> Iterator[str]:
    for line in chart.lines:
        places = [(axes.x(x), axes.y(y)) for x, y in sorted(line.points)]
        path = " L".join(f"{x:.1f} {y:.1f}" for x, y in places)
        yield f'<path class="line {line.colour}{" faint" if line.is_faint else ""}" d="M{path}"/>'
        if not line.is_faint:
            yield from (f'<circle class="{line.colour}" cx="{x:.1f}" cy="{y:.1f}" r="2.6"/>' for x, y in places)
    ends = sorted(((axes.y(max(line.points)[1]), line) for line in chart.lines), key=lambda end: end[0])
    for (wanted, line), y in zip(ends, _apart([end[0] for end in ends]), strict=True):
        x = axes.x(max(line.points)[0])
        if abs(y - wanted) > 2 or x < WIDTH - RIGHT - 1:  # the name stands elsewhere: lead the eye to it
            yield f'<path class="grid" fill="none" d="M{x + 5:.1f} {wanted:.1f} L{WIDTH - RIGHT + 9} {y:.1f}"/>'
        yield f'<text class="{line.colour}" x="{WIDTH - RIGHT + 13}" y="{y + 4:.1f}">{escape(line.name)}</text>'


def _apart(wanted: Sequence[float]) -> list[float]:
    """These heights, ascending, moved so far that names at them do not touch."""
    placed: list[float] = []
    for height in wanted:
        placed.append(max(height, placed[-1] + LINE_HEIGHT) if placed else height)
    over = max(placed[-1] - (HEIGHT - BOTTOM), 0.0)
    below = math.inf
    for at in range(len(placed) - 1, -1, -1):
        placed[at] = below = min(placed[at] - (over if at == len(placed) - 1 else 0), below - LINE_HEIGHT)
    return placed


def _figure(number: float) -> str:
    if number >= 1e6:
        return f"{number / 1e6:g} M"
    return f"{number:,.0f}" if number >= 1 else f"{number:g}"
