"""Evaluations as Markdown, CSV and JSON."""

import csv
import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any, Literal

from derain.evaluate.cost import Cost
from derain.evaluate.paper import PaperScore
from derain.evaluate.scores import Evaluation, Side
from derain.files import printable
from derain.metrics import Protocol, Score
from derain.weights.facts import MACS_SIDE

Column = Literal[Protocol, "niqe"]

PAPER_MARK = "(as printed in its paper)"
"""In the model column of rows that were not measured here."""

COSTS = ("parameters", "multiply-adds", "s/megapixel", "peak memory")
_NO_COSTS = [""] * len(COSTS)


def to_markdown(evaluations: Sequence[Evaluation], *, per_picture: bool = False) -> str:
    """Return a Markdown table of means, one row for each model and dataset.

    Columns are PSNR in dB and SSIM under each protocol, NIQE, and the cost. A row in italics gives
    the paper's own figures, where there are some, under the protocol closest to its own. What the
    scores depend on stands below: tile, number format and device, each dataset's identity, what
    NIQE compares with.

    Args:
        evaluations: At least one.
        per_picture: Whether every picture has a row too.
    """
    columns = columns_of(evaluations)
    headings = ["model", "dataset", "pictures", *columns, *COSTS]
    lines = [_row(headings), "|" + "---|" * len(headings)]
    for dataset in dict.fromkeys(evaluation.dataset for evaluation in evaluations):
        group = [evaluation for evaluation in evaluations if evaluation.dataset == dataset]
        means = _means(group[0], "rainy", columns)
        lines.append(_row(["rainy input", dataset, count_of(group[0]), *means, *_NO_COSTS]))
        for evaluation in group:
            lines += _rows(evaluation, columns, per_picture=per_picture)
        papers = {evaluation.network: evaluation.paper for evaluation in group}
        lines += [_paper_row(paper, columns) for paper in papers.values() if paper]
    return "\n".join([*lines, "", *_notes(evaluations)])


def columns_of(evaluations: Sequence[Evaluation]) -> list[Column]:
    """Return the protocols that anything was scored under, then NIQE if it was taken."""
    columns: dict[Column, None] = {
        protocol: None for evaluation in evaluations for protocol in evaluation.protocols
    }
    if any(evaluation.natural for evaluation in evaluations):
        columns["niqe"] = None
    return list(columns)


def _notes(evaluations: Sequence[Evaluation]) -> Iterator[str]:
    paired = any(evaluation.protocols for evaluation in evaluations)
    measures = "PSNR in dB / SSIM. " if paired else ""
    execution = "; ".join(executions(evaluations))
    yield f"{measures}{execution}. Multiply-adds of {MACS_SIDE}x{MACS_SIDE} pixels."
    yield from dict.fromkeys(
        printable(f"{evaluation.dataset}: {evaluation.data}.") for evaluation in evaluations
    )
    yield from dict.fromkeys(
        f"NIQE, lower is better: {evaluation.natural}."
        for evaluation in evaluations
        if evaluation.natural
    )


def executions(evaluations: Sequence[Evaluation]) -> list[str]:
    """Return tile, number format and device, with the models they are of if models differ."""
    models_of: dict[str, dict[str, None]] = {}
    for evaluation in evaluations:
        models_of.setdefault(evaluation.execution, {})[evaluation.model] = None
    return [
        text if len(models_of) == 1 else f"{', '.join(models)}: {text}"
        for text, models in models_of.items()
    ]


def _rows(evaluation: Evaluation, columns: Sequence[Column], *, per_picture: bool) -> Iterator[str]:
    """Yield the rows of one model on one dataset."""
    model, dataset = evaluation.model, evaluation.dataset
    for picture in evaluation.pictures if per_picture else ():
        cells = {score.protocol: _cell(score) for score in picture.output}
        cells |= {"niqe": f"{picture.niqe.output:.3f}"} if picture.niqe else {}
        scores = [cells.get(column, "") for column in columns]
        yield _row([model, f"{dataset}/{picture.name}", "", *scores, *_NO_COSTS])
    means = _means(evaluation, "output", columns)
    yield _row([model, dataset, count_of(evaluation), *means, *cost_cells(evaluation.cost)])


def cost_cells(cost: Cost) -> list[str]:
    """Return parameters, multiply-adds, seconds per megapixel, peak memory; empty if unknown."""
    return [
        f"{cost.parameters:,}",
        "" if cost.multiply_adds is None else _operations(cost.multiply_adds),
        f"{cost.seconds_per_megapixel:.2f}",
        "" if cost.peak_memory is None else f"{cost.peak_memory / 1e9:.2f} GB",
    ]


def _operations(count: int) -> str:
    """Return a number of operations in units that leave two digits of it: ``8.1 G``, ``22.0 M``."""
    return f"{count / 1e9:.1f} G" if count >= 1e9 else f"{count / 1e6:.1f} M"


def count_of(evaluation: Evaluation) -> str:
    """Return how many pictures were scored, and of how many if not all."""
    scored = str(len(evaluation.pictures))
    return f"{scored} of {evaluation.total}" if evaluation.unscored else scored


def _means(evaluation: Evaluation, of: Side, columns: Sequence[Column]) -> list[str]:
    """Return a cell for each column; empty where the dataset has no such score."""
    cells: dict[Column, str] = {
        protocol: _cell(evaluation.mean(protocol, of)) for protocol in evaluation.protocols
    }
    mean = evaluation.mean_niqe(of)
    if mean is not None:
        count = sum(picture.niqe is not None for picture in evaluation.pictures)
        not_all = count < len(evaluation.pictures)
        cells["niqe"] = f"{mean:.3f}" + (f" ({count} of {evaluation.total})" if not_all else "")
    return [cells.get(column, "") for column in columns]


def _paper_row(paper: PaperScore, columns: Sequence[Column]) -> str:
    scores = [
        f"*{paper.psnr} / {paper.ssim}*" if column == paper.protocol else "" for column in columns
    ]
    if not any(scores):
        scores[0] = f"*{paper.psnr} / {paper.ssim} ({paper.protocol})*"
    model, dataset = f"*{paper.network} {PAPER_MARK}*", f"*{paper.dataset}, whole*"
    return _row([model, dataset, "", *scores, *_NO_COSTS])


def _row(cells: Sequence[str]) -> str:
    """Return a line of the table; names with line ends or ``|`` in them do not break it."""
    return "| " + " | ".join(printable(cell).replace("|", "\\|") for cell in cells) + " |"


def _cell(score: Score) -> str:
    return f"{score.psnr:.3f} / {score.ssim:.4f}"


def to_csv(evaluations: Sequence[Evaluation]) -> str:
    """Return CSV with a line for each model, dataset and protocol.

    Photographs have one line, without a protocol. NIQE does not depend on the protocol and stands
    on each line. Figures have full precision, in bytes and seconds, and are empty where something
    is not known.
    """
    lines = [line for evaluation in evaluations for line in _csv_lines(evaluation)]
    text = io.StringIO()
    writer = csv.DictWriter(text, list(lines[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return text.getvalue()


def _csv_lines(evaluation: Evaluation) -> Iterator[dict[str, Any]]:
    paper = evaluation.paper
    for protocol in evaluation.protocols or [None]:
        rainy = evaluation.mean(protocol, "rainy") if protocol else None
        output = evaluation.mean(protocol, "output") if protocol else None
        yield {
            "model": evaluation.model,
            "network": evaluation.network,
            "dataset": evaluation.dataset,
            "pictures": len(evaluation.pictures),
            "unscored": len(evaluation.unscored),
            "protocol": protocol,
            "psnr": output and output.psnr,
            "ssim": output and output.ssim,
            "rainy_psnr": rainy and rainy.psnr,
            "rainy_ssim": rainy and rainy.ssim,
            "paper_psnr": paper.psnr if paper else None,
            "paper_ssim": paper.ssim if paper else None,
            "paper_protocol": paper.protocol if paper else None,
            "niqe": evaluation.mean_niqe("output"),
            "rainy_niqe": evaluation.mean_niqe("rainy"),
            **asdict(evaluation.cost),
            "execution": evaluation.execution,
            "data": evaluation.data,
            "niqe_model": evaluation.natural,
        }


def to_json(evaluations: Sequence[Evaluation]) -> str:
    """Return JSON of all scores, those of single pictures too; an infinite PSNR is null."""
    return json.dumps([_as_dict(evaluation) for evaluation in evaluations], indent=2)


def _as_dict(evaluation: Evaluation) -> dict[str, Any]:
    sides: tuple[Side, ...] = ("rainy", "output")
    means = {
        of: [asdict(evaluation.mean(protocol, of)) for protocol in evaluation.protocols]
        for of in sides
    }
    paper = asdict(evaluation.paper) if evaluation.paper else None
    natural = {of: evaluation.mean_niqe(of) for of in sides} if evaluation.natural else None
    return {"mean": means, "mean_niqe": natural, "paper": paper, **_finite(asdict(evaluation))}


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if value == float("inf") else value
