"""PSNR against time, as SVG: one panel for each dataset, one point for each model.

Only this module imports matplotlib.
"""

import io
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.text import Annotation
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter
from matplotlib.transforms import Bbox

from derain.evaluate.scores import Evaluation
from derain.files import printable
from derain.metrics import Protocol

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
"""Of Okabe and Ito, which colour-blind people tell apart.

Shapes differ too, so that there may be more models than colours.
"""
MARKERS = "os^vD"
INK, GREY = "#222222", "#767676"

PANEL = (4.7, 3.7)
"""Width and height in inches; two stand side by side."""
LONGEST = 30
"""Letters of a label; longer ones lose their middle."""
LEAST_SECONDS = 1e-6

STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "derain",
    "text.parse_math": False,
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 9,
}
NO_METADATA = {"Date": None, "Creator": None, "Format": None, "Type": None}

STEPS = ((7, 0), (0, 7), (0, -7), (-7, 0), (6, 6), (6, -6), (-6, 6), (-6, -6))
"""Where a label may stand, in points from its marker; farther away in the same directions."""
REACHES = (1, 2, 3.2, 4.5)


def psnr_plot(evaluations: Sequence[Evaluation], protocol: Protocol) -> str:
    """Return an SVG element: text is text, and the same input gives the same bytes.

    Args:
        evaluations: Of datasets of pairs, all scored under the protocol.
        protocol: Whose PSNR is shown.
    """
    datasets = list(dict.fromkeys(evaluation.dataset for evaluation in evaluations))
    styles = _styles(list(dict.fromkeys(evaluation.model for evaluation in evaluations)))
    across = min(2, len(datasets))
    down = -(-len(datasets) // across)
    with rc_context(STYLE), warnings.catch_warnings():
        # Names may hold letters that no font here has; the browser of the reader may have them.
        warnings.filterwarnings("ignore", "Glyph .* missing")
        figure = Figure((PANEL[0] * across, PANEL[1] * down), dpi=72)
        figure.set_layout_engine("constrained", hspace=0.08, wspace=0.05)
        canvas = FigureCanvasAgg(figure)
        for k, dataset in enumerate(datasets):
            group = [evaluation for evaluation in evaluations if evaluation.dataset == dataset]
            _Panel(figure.add_subplot(down, across, k + 1), canvas, protocol, styles).draw(group)
        return _to_svg(figure)


def _styles(models: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Return the colour and marker of each model."""
    return {
        model: (COLOURS[k % len(COLOURS)], MARKERS[k % len(MARKERS)])
        for k, model in enumerate(models)
    }


def _to_svg(figure: Figure) -> str:
    """Return the element alone: what comes before it names an address."""
    out = io.StringIO()
    figure.savefig(out, format="svg", metadata=NO_METADATA)
    svg = out.getvalue()
    return svg[svg.index("<svg") :]


@dataclass
class _Panel:
    """The part of the plot that shows one dataset.

    Attributes:
        styles: Colour and marker of each model.
        taken: Where labels may not stand, because markers and other labels do.
    """

    axes: Axes
    canvas: FigureCanvasAgg
    protocol: Protocol
    styles: dict[str, tuple[str, str]]
    taken: list[Bbox] = field(default_factory=list)

    def draw(self, group: Sequence[Evaluation]) -> None:
        """Draw points, then labels, which keep clear of all points."""
        points = [
            (self._seconds(evaluation), evaluation.mean(self.protocol).psnr) for evaluation in group
        ]
        papers = _papers(group, self.protocol)
        rainy = group[0].mean(self.protocol, "rainy").psnr
        for evaluation, point in zip(group, points, strict=True):
            self._mark(evaluation.model, point, filled=True)
        # A paper's figure stands at the time measured here: papers' machines are other machines.
        printed = {
            paper: (self._seconds(evaluation), float(psnr)) for paper, evaluation, psnr in papers
        }
        for (_, evaluation, _), point in zip(papers, printed.values(), strict=True):
            self._mark(evaluation.model, point, filled=False)
        self._frame(group[0].dataset, [*points, *printed.values()], rainy)
        self._label_input(rainy)
        for evaluation, point in zip(group, points, strict=True):
            self._label(evaluation.model, point)
        for paper, point in printed.items():
            self._label(paper, point, GREY)

    @staticmethod
    def _seconds(evaluation: Evaluation) -> float:
        return max(evaluation.cost.seconds_per_megapixel, LEAST_SECONDS)

    def _mark(self, model: str, point: tuple[float, float], *, filled: bool) -> None:
        colour, marker = self.styles[model]
        face = colour if filled else "white"
        line = Line2D(
            [point[0]],
            [point[1]],
            linestyle="",
            marker=marker,
            markersize=7,
            color=colour,
            markerfacecolor=face,
        )
        self.axes.add_line(line)

    def _frame(self, dataset: str, points: Sequence[tuple[float, float]], rainy: float) -> None:
        """Set axes that leave room for labels, and draw the line of the input."""
        axes = self.axes
        # Labels stand beside points, mostly to the right.
        seconds, levels = [x for x, _ in points], [rainy, *[y for _, y in points]]
        room = max(0.12 * (max(levels) - min(levels)), 0.4)
        axes.set_xscale("log")
        axes.set_xlim(min(seconds) / 2.2, max(seconds) * 4)
        axes.set_ylim(min(levels) - room, max(levels) + room)
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_major_formatter(FuncFormatter(_plain))
        axes.xaxis.set_minor_formatter(NullFormatter())
        # The dashed line is the input: what lies above it is a gain.
        axes.grid(color="#e4e4e4", linewidth=0.6)
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
        axes.axhline(rainy, color=GREY, linestyle="--", linewidth=1)
        axes.set_title(_short(dataset), loc="left", fontweight="bold")
        axes.set_xlabel("seconds per megapixel")
        axes.set_ylabel(f"PSNR, dB ({self.protocol})")
        # Constrained layout moves the axes; only then is it known where points lie in pixels.
        self.canvas.figure.draw_without_rendering()
        self.taken = [self._around(point) for point in points]

    def _around(self, point: tuple[float, float]) -> Bbox:
        x, y = self.axes.transData.transform(point)
        return Bbox.from_extents(x - 4, y - 4, x + 4, y + 4)

    def _label_input(self, rainy: float) -> None:
        """Label the line of the input at either end, above or below."""
        left, right = self.axes.get_xlim()
        candidates = [
            self._text("rainy input", (x, rainy), (dx, dy), GREY)
            for x, dx in ((left, 4), (right, -4))
            for dy in (3, -3)
        ]
        self._keep_best(candidates)

    def _label(self, text: str, point: tuple[float, float], colour: str = INK) -> None:
        """Label a point where the label overlaps with least, near rather than far."""
        steps = [(dx * reach, dy * reach) for reach in REACHES for dx, dy in STEPS]
        self._keep_best([self._text(text, point, step, colour) for step in steps])

    def _text(
        self, text: str, point: tuple[float, float], step: tuple[float, float], colour: str
    ) -> Annotation:
        dx, dy = step
        label = self.axes.annotate(
            _short(text),
            point,
            step,
            textcoords="offset points",
            color=colour,
            ha="left" if dx > 0 else "right" if dx < 0 else "center",
            va="center" if dy == 0 else "bottom" if dy > 0 else "top",
        )
        label.set_in_layout(False)
        return label

    def _keep_best(self, candidates: Sequence[Annotation]) -> None:
        """Keep the first label that overlaps with least, and remove the others."""
        renderer = self.canvas.get_renderer()
        boxes = [label.get_window_extent(renderer) for label in candidates]
        harms = [self._harm(box) for box in boxes]
        best = harms.index(min(harms))
        for k, label in enumerate(candidates):
            if k != best:
                label.remove()
        self.taken.append(boxes[best])

    def _harm(self, box: Bbox) -> float:
        """Return the area in which a label overlaps with others or leaves the panel.

        Leaving the panel is ten times as bad.
        """
        inside = _shared(box, self.axes.bbox)
        return sum(_shared(box, other) for other in self.taken) + 10 * (
            box.width * box.height - inside
        )


def _plain(value: float, _position: object) -> str:
    """Return a number, with an exponent only where it needs one."""
    return f"{value:g}"


def _papers(group: Sequence[Evaluation], protocol: Protocol) -> list[tuple[str, Evaluation, str]]:
    """Return what papers print under a protocol: label, first model of that network, PSNR."""
    first = {evaluation.network: evaluation for evaluation in reversed(group)}
    found = [
        (f"{network}, its paper", evaluation, evaluation.paper)
        for network, evaluation in first.items()
    ]
    return [
        (label, evaluation, paper.psnr)
        for label, evaluation, paper in found
        if paper and paper.protocol == protocol
    ]


def _shared(one: Bbox, other: Bbox) -> float:
    """Return the area that two boxes share."""
    width = min(one.x1, other.x1) - max(one.x0, other.x0)
    height = min(one.y1, other.y1) - max(one.y0, other.y0)
    return max(width, 0) * max(height, 0)


def _short(text: str) -> str:
    """Return text on one line, without its middle if it is long."""
    text, half = printable(text), LONGEST // 2
    return text if len(text) <= LONGEST else f"{text[:half]}…{text[-half + 1 :]}"
