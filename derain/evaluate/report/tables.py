"""Tables of a report: what stands in which cell, and how it is marked."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from derain.evaluate.paper import PaperScore
from derain.evaluate.picture_scores import PictureScore
from derain.evaluate.report.gallery import Exhibits
from derain.evaluate.scores import Evaluation, Side
from derain.evaluate.tables import COSTS, PAPER_MARK, Column, columns_of, cost_cells, count_of
from derain.metrics import Protocol

LOWEST = 3
"""Number of pictures named for each model."""
MOVED = 1.0
"""Levels of 255 by which the mean of a channel may move before the picture counts."""

GAIN, LOSS = (86, 180, 233), (230, 159, 0)
"""Sky blue and orange of Okabe and Ito, which colour-blind people tell apart."""
STRONGEST = 0.55
"""Share of the colour where a gain is largest; the rest is white, on which text is read."""


@dataclass(frozen=True)
class Cell:
    """One cell of a table.

    Attributes:
        text: Empty if there is nothing to say.
        note: Below it, in small type.
        best: Whether nothing in the column is better.
        colour: Behind it, in the words of CSS.
        span: Columns it takes.
    """

    text: str = ""
    note: str = ""
    best: bool = False
    colour: str = ""
    span: int = 1


@dataclass(frozen=True)
class Row:
    """A row of the rainy input, a model, or a paper.

    Attributes:
        kind: Which of these; a class in the style sheet.
        heading: The first cell.
        cells: The others.
    """

    kind: Literal["input", "model", "paper"]
    heading: Cell
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class Table:
    """Rows under headings, these in groups of (heading, headings below it)."""

    groups: tuple[tuple[str, tuple[str, ...]], ...]
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class _Measure:
    """A column of scores: where its figures come from, their decimal places, what is best."""

    value: Callable[[Evaluation, Side], float | None]
    places: int
    best: Callable[[list[float]], float] = max


def score_table(group: Sequence[Evaluation]) -> Table:
    """Return all models on one dataset: means with gains over the input, costs, papers' figures."""
    columns = columns_of(group)
    measures = [measure for column in columns for measure in _measures(column)]
    # The best is marked among what was measured here: the input and the models, not the papers.
    rows = [
        _input_row(group[0], measures),
        *[Row("model", _heading(evaluation), _cells(evaluation, measures)) for evaluation in group],
    ]
    bests = [*[measure.best for measure in measures], *[min] * len(COSTS)]
    papers = {evaluation.network: evaluation.paper for evaluation in group}
    paper_rows = [_paper_row(paper, columns) for paper in papers.values() if paper]
    groups = [
        ("NIQE", ("lower is better",)) if column == "niqe" else (column, ("PSNR", "SSIM"))
        for column in columns
    ]
    return Table((*groups, ("what it costs", COSTS)), (*_mark_best(rows, bests), *paper_rows))


def _input_row(first: Evaluation, measures: Sequence[_Measure]) -> Row:
    """Return the figures of the rainy input, which costs nothing."""
    cells = [Cell(_fixed(measure.value(first, "rainy"), measure.places)) for measure in measures]
    return Row("input", Cell("rainy input"), (*cells, *[Cell()] * len(COSTS)))


def _measures(column: Column) -> list[_Measure]:
    if column == "niqe":
        return [_Measure(lambda evaluation, of: evaluation.mean_niqe(of), 3, min)]
    return [
        _Measure(lambda evaluation, of: evaluation.mean(column, of).psnr, 3),
        _Measure(lambda evaluation, of: evaluation.mean(column, of).ssim, 4),
    ]


def _heading(evaluation: Evaluation) -> Cell:
    """Return the model, and below it its network, and how many pictures were scored if not all."""
    counted = f", {count_of(evaluation)}" if evaluation.unscored else ""
    return Cell(evaluation.model, f"{evaluation.network}{counted}")


def _cells(evaluation: Evaluation, measures: Sequence[_Measure]) -> tuple[Cell, ...]:
    scores = [_gain(measure, evaluation) for measure in measures]
    return (*scores, *[Cell(text) for text in cost_cells(evaluation.cost)])


def _gain(measure: _Measure, evaluation: Evaluation) -> Cell:
    """Return a mean, and below it how much more that is than the input's of the same pictures."""
    after, before = measure.value(evaluation, "output"), measure.value(evaluation, "rainy")
    if after is None or before is None:
        return Cell()
    return Cell(_fixed(after, measure.places), signed(after - before, measure.places))


def _mark_best(rows: Sequence[Row], bests: Sequence[Callable[[list[float]], float]]) -> list[Row]:
    """Return rows with the best figure of each column marked, unless all figures are equal.

    What is printed decides, so that figures that look alike are marked alike.
    """
    columns = zip(*[row.cells for row in rows], strict=True)
    marked = [_mark(cells, best) for cells, best in zip(columns, bests, strict=True)]
    return [replace(row, cells=tuple(column[k] for column in marked)) for k, row in enumerate(rows)]


def _mark(cells: Sequence[Cell], best: Callable[[list[float]], float]) -> list[Cell]:
    figures = [_figure(cell) for cell in cells if cell.text]
    if len(set(figures)) < 2:
        return list(cells)
    return [
        replace(cell, best=bool(cell.text) and _figure(cell) == best(figures)) for cell in cells
    ]


def _figure(cell: Cell) -> float:
    """Return the number at the beginning of a cell."""
    return float(cell.text.split()[0].replace(",", ""))


def _paper_row(paper: PaperScore, columns: Sequence[Column]) -> Row:
    """Return what a paper prints, under its own protocol, which is named if it has no column."""
    cells = [cell for column in columns for cell in _paper_cells(paper, column)]
    if paper.protocol not in columns:
        cells[:2] = [Cell(f"{paper.psnr} / {paper.ssim}", paper.protocol, span=2)]
    return Row(
        "paper",
        Cell(f"{paper.network} {PAPER_MARK}", f"{paper.dataset}, whole"),
        (*cells, Cell(span=len(COSTS))),
    )


def _paper_cells(paper: PaperScore, column: Column) -> list[Cell]:
    if column == paper.protocol:
        return [Cell(paper.psnr), Cell(paper.ssim)]
    return [Cell()] if column == "niqe" else [Cell(), Cell()]


def cross_table(evaluations: Sequence[Evaluation], protocol: Protocol) -> Table:
    """Return the PSNR of every model on every dataset, in cells coloured by the gain."""
    datasets = list(dict.fromkeys(evaluation.dataset for evaluation in evaluations))
    by_place = {(evaluation.model, evaluation.dataset): evaluation for evaluation in evaluations}
    # Colours are relative to the largest gain or loss of the table.
    most = max(abs(_psnr_gain(evaluation, protocol)) for evaluation in evaluations)
    rows = [
        Row(
            "model",
            Cell(model),
            tuple(
                _cross_cell(by_place.get((model, dataset)), protocol, most) for dataset in datasets
            ),
        )
        for model in dict.fromkeys(evaluation.model for evaluation in evaluations)
    ]
    firsts = [
        next(evaluation for evaluation in evaluations if evaluation.dataset == dataset)
        for dataset in datasets
    ]
    rainy = Row(
        "input",
        Cell("rainy input"),
        tuple(Cell(_fixed(first.mean(protocol, "rainy").psnr, 3)) for first in firsts),
    )
    return Table(
        ((f"PSNR, dB, {protocol}", tuple(datasets)),),
        tuple(_mark_best([rainy, *rows], [max] * len(datasets))),
    )


def _psnr_gain(evaluation: Evaluation, protocol: Protocol) -> float:
    return evaluation.mean(protocol).psnr - evaluation.mean(protocol, "rainy").psnr


def _cross_cell(evaluation: Evaluation | None, protocol: Protocol, most: float) -> Cell:
    if evaluation is None:
        return Cell()
    gain = _psnr_gain(evaluation, protocol)
    return Cell(
        _fixed(evaluation.mean(protocol).psnr, 3),
        signed(gain, 3),
        colour=tint(gain / most if most else 0),
    )


def tint(share: float) -> str:
    """Return a light colour for a gain or a loss, as CSS.

    Args:
        share: Of the largest gain or loss, in [-1, 1]; 0 is white.
    """
    amount = STRONGEST * abs(share)
    channels = [round(255 + amount * (level - 255)) for level in (GAIN if share > 0 else LOSS)]
    return f"rgb({channels[0]}, {channels[1]}, {channels[2]})"


def lowest_table(group: Sequence[Evaluation], protocol: Protocol) -> Table:
    """Return the pictures of one dataset with the lowest PSNR, for each model."""
    rows = [
        Row("model", Cell(evaluation.model), _lowest(evaluation, protocol)) for evaluation in group
    ]
    return Table(((f"lowest PSNR, dB, {protocol}", ("lowest", "second", "third")),), tuple(rows))


def _lowest(evaluation: Evaluation, protocol: Protocol) -> tuple[Cell, ...]:
    pictures = sorted(evaluation.pictures, key=lambda picture: picture_psnr(picture, protocol))
    cells = [
        Cell(picture.name, decibels(picture_psnr(picture, protocol)))
        for picture in pictures[:LOWEST]
    ]
    return (*cells, *[Cell()] * (LOWEST - len(cells)))


def picture_psnr(picture: PictureScore, protocol: Protocol, of: Side = "output") -> float:
    """Return the PSNR of one picture, in dB."""
    scores = picture.output if of == "output" else picture.rainy
    return next(score.psnr for score in scores if score.protocol == protocol)


def colour_table(exhibits: Exhibits, models: Sequence[str]) -> Table | None:
    """Return how models changed the mean colour of photographs.

    Brightness is the mean of the three channels; the lean of a channel is what it changes more or
    less than they do in the mean.

    Returns:
        The table; None if no changes were kept.
    """
    changes = {
        model: np.stack(list(exhibits.changes[model].values()))
        for model in models
        if model in exhibits.changes
    }
    if not changes:
        return None
    rows = [
        Row("model", Cell(model), _colour_cells(of_model)) for model, of_model in changes.items()
    ]
    headings = ("brightness", ("mean", "largest")), ("lean of a channel", ("mean", "largest"))
    return Table((*headings, ("pictures that moved", (f"by more than {MOVED:g}",))), tuple(rows))


def _colour_cells(changes: NDArray[np.float64]) -> tuple[Cell, ...]:
    """Return the cells for changes of red, green and blue: (pictures, 3)."""
    brightness = changes.mean(axis=1)
    lean = np.abs(changes - brightness[:, None]).max(axis=1)
    largest = float(brightness[np.abs(brightness).argmax()])
    moved = int((np.abs(changes).max(axis=1) > MOVED).sum())
    shifts = [Cell(signed(value, 2)) for value in (float(brightness.mean()), largest)]
    leans = [Cell(_fixed(float(value), 2)) for value in (lean.mean(), lean.max())]
    return (*shifts, *leans, Cell(f"{moved} of {len(changes)}"))


def signed(value: float, places: int) -> str:
    """Return a number with its sign; what is printed as zero has none."""
    rounded = round(value, places)
    if not rounded:
        return _fixed(0, places)
    return f"{rounded:+.{places}f}".replace("-", "\N{MINUS SIGN}")


def decibels(psnr: float) -> str:
    """Return the PSNR of one picture in words."""
    return "identical" if math.isinf(psnr) else f"{psnr:.2f} dB"


def _fixed(value: float | None, places: int) -> str:
    return "" if value is None else f"{value:.{places}f}"
