"""Draw the progress of a run as SVG: validation scores and the loss over the steps.

Written by hand, because matplotlib is not part of every installation that can train.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from xml.sax.saxutils import escape

from derain.files import printable

WIDTH, HEIGHT = 720, 200
"""Of a panel, in pixels; they stand one below the other."""
LEFT, RIGHT, TOP, BOTTOM = 64, 150, 34, 40
"""Margins of a panel, in pixels."""
POINTS = 400
"""Points of a line at most; more are averaged."""
LETTERS = 13
"""Letters of the name of a line at most."""
TICKS = 4
APART = 3
"""Kinds of rain up to which each gets a panel of its own: their scores lie 10 dB apart."""
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
"""Of Okabe and Ito, which colour-blind people tell apart."""
INK, GREY, GRID = "#222222", "#767676", "#e4e4e4"

Points = list[tuple[float, float]]


@dataclass(frozen=True)
class Line:
    """A line of a panel: its points as (step, value), and how it looks."""

    name: str
    points: Points
    colour: str
    width: float = 1.5


def curve_svg(records: Sequence[dict[str, Any]], title: str) -> str:
    """Return the curves of a run as an SVG file; the same log gives the same text.

    Args:
        records: Of its log, in their order.
        title: What the run is called.
    """
    last = max((record["step"] for record in records), default=1)
    losses = [Line("loss", _averaged([(r["step"], r["loss"]) for r in records]), INK)]
    panels = [
        *_score_panels([record for record in records if "validation" in record], last),
        _Panel("training loss", losses, last, logarithmic=True),
    ]
    body = "\n".join(panel.draw(TOP + k * HEIGHT) for k, panel in enumerate(panels))
    height = TOP + len(panels) * HEIGHT
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}"'
        f' height="{height}" font-family="sans-serif" font-size="12" fill="{INK}">\n'
        f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>\n'
        f"{_text(16, 24, title, size=15, weight='bold')}\n{body}\n</svg>\n"
    )


def _score_panels(records: Sequence[dict[str, Any]], last: float) -> "list[_Panel]":
    """Return a panel for the mean score, and one for each kind of rain if there are few."""
    title = "validation, PSNR in dB (y-matlab)"
    kinds = list(dict.fromkeys(name for record in records for name in record["validation"]))
    kinds = [kind for kind in kinds if kind != "mean"]
    lines = [
        Line(kind, _scores(records, kind), COLOURS[k % len(COLOURS)])
        for k, kind in enumerate(kinds)
    ]
    mean = [Line("mean", _scores(records, "mean"), INK)] if len(kinds) != 1 else []
    groups = [[line] for line in lines] if len(lines) <= APART else [lines]
    return [_Panel(title, group, last) for group in (mean, *groups) if group]


def _scores(records: Sequence[dict[str, Any]], kind: str) -> Points:
    return _averaged(
        [(r["step"], r["validation"][kind]) for r in records if kind in r["validation"]]
    )


def _averaged(points: Sequence[tuple[float, float]]) -> Points:
    """Return finite points, `POINTS` at most: means of neighbours where there are more."""
    finite = [(x, y) for x, y in points if math.isfinite(y)]
    size = -(-len(finite) // POINTS) or 1
    groups = [finite[k : k + size] for k in range(0, len(finite), size)]
    return [
        (sum(x for x, _ in group) / len(group), sum(y for _, y in group) / len(group))
        for group in groups
    ]


@dataclass(frozen=True)
class _Panel:
    """A part of the figure with axes of its own.

    Attributes:
        last: The last step, where the axis of steps ends.
        logarithmic: Whether values are shown on a logarithmic axis, if all are positive.
    """

    title: str
    lines: Sequence[Line]
    last: float
    logarithmic: bool = False

    def draw(self, top: float) -> str:
        """Return the elements of the panel, whose upper edge is at `top`."""
        values = [y for line in self.lines for _, y in line.points]
        parts = [_text(LEFT, top + 14, self.title, colour=GREY)]
        upper, lower = top + TOP, top + HEIGHT - BOTTOM
        if not values:
            parts.append(_text(LEFT, (upper + lower) / 2, "no values yet", colour=GREY))
            return "\n".join(parts)
        ticks = self._ticks(values)
        scale = self._scale([*values, *ticks])
        low, high = scale(min(*values, *ticks)), scale(max(*values, *ticks))

        def place(x: float, y: float) -> tuple[float, float]:
            across = LEFT + (WIDTH - LEFT - RIGHT) * x / self.last
            return across, lower - (lower - upper) * (scale(y) - low) / (high - low)

        parts += [_row(place(0, tick)[1], tick) for tick in ticks]
        steps = [tick for tick in nice_ticks(0, self.last) if tick <= self.last]
        parts += [
            _text(place(x, ticks[0])[0], lower + 18, f"{x:g}", anchor="middle") for x in steps
        ]
        parts.append(_text(WIDTH - RIGHT, lower + 34, "steps", colour=GREY, anchor="end"))
        for line in self.lines:
            parts.append(_drawn(line, [place(x, y) for x, y in line.points]))
        return "\n".join([*parts, *self._legend(upper)])

    def _ticks(self, values: Sequence[float]) -> list[float]:
        if self.logarithmic and min(values) > 0:
            return log_ticks(min(values), max(values))
        return nice_ticks(min(values), max(values))

    def _scale(self, values: Sequence[float]) -> Callable[[float], float]:
        return math.log if self.logarithmic and min(values) > 0 else float

    def _legend(self, upper: float) -> list[str]:
        """Return the names of lines with their last values, to the right of the panel."""
        left = WIDTH - RIGHT + 14
        parts: list[str] = []
        for k, line in enumerate(self.lines):
            y = upper + 8 + 18 * k
            parts.append(
                f'<line x1="{left}" y1="{y - 4:.1f}" x2="{left + 16}" y2="{y - 4:.1f}"'
                f' stroke="{line.colour}" stroke-width="{line.width}"/>'
            )
            value = f" {line.points[-1][1]:.4g}" if line.points else ""
            parts.append(_text(left + 22, y, f"{_short(line.name)}{value}"))
        return parts


def nice_ticks(low: float, high: float) -> list[float]:
    """Return round numbers, evenly spaced, from at most the lowest to at least the highest value.

    >>> nice_ticks(27.1, 31.4)
    [26, 28, 30, 32]
    """
    span = max(high - low, abs(high) * 1e-3, 1e-9)
    rough = span / TICKS
    unit = 10 ** math.floor(math.log10(rough))
    step = next(unit * factor for factor in (1, 2, 5, 10) if unit * factor >= rough)
    first, last = math.floor(low / step), math.ceil(high / step)
    return [round(k * step, 12) for k in range(first, max(last, first + 1) + 1)]


def log_ticks(low: float, high: float) -> list[float]:
    """Return 1, 2 and 5 times powers of ten around positive values.

    >>> log_ticks(0.03, 0.4)
    [0.02, 0.05, 0.1, 0.2, 0.5]
    """
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1
    marks = [round(m * 10.0**k, 12 - k) for k in range(first - 1, last + 1) for m in (1, 2, 5)]
    below = max(mark for mark in marks if mark <= low)
    above = min(mark for mark in marks if mark >= high and mark > below)
    found = [mark for mark in marks if below <= mark <= above]
    # Over many powers of ten, these alone.
    return found if len(found) <= 2 * TICKS else [m for m in found if math.log10(m) % 1 == 0]


def _short(name: str) -> str:
    """Return a name on one line, without its end if it is long."""
    name = printable(name)
    return name if len(name) <= LETTERS else f"{name[: LETTERS - 1]}…"


def _row(y: float, value: float) -> str:
    """Return a line of the grid with its value."""
    line = (
        f'<line x1="{LEFT}" y1="{y:.1f}" x2="{WIDTH - RIGHT}" y2="{y:.1f}" stroke="{GRID}"'
        ' stroke-width="1"/>'
    )
    return f"{line}\n{_text(LEFT - 8, y + 4, f'{value:g}', anchor='end')}"


def _drawn(line: Line, places: Sequence[tuple[float, float]]) -> str:
    """Return a line as an element; a single point, which a line would not show, as a dot."""
    if len(places) == 1:
        x, y = places[0]
        return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{line.colour}"/>'
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    return (
        f'<polyline points="{path}" fill="none" stroke="{line.colour}"'
        f' stroke-width="{line.width}" stroke-linejoin="round"/>'
    )


def _text(
    x: float,
    y: float,
    text: str,
    *,
    colour: str = INK,
    anchor: str = "start",
    size: int = 12,
    weight: str = "normal",
) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" fill="{colour}" text-anchor="{anchor}"'
        f' font-size="{size}" font-weight="{weight}">{escape(text)}</text>'
    )
