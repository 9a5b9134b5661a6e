"""Evaluations as Markdown, CSV and JSON."""

import csv
import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any, Literal

from derain.evaluate.cost import MACS_SIDE, Cost
from derain.evaluate.paper import PaperScore
from derain.evaluate.scores import Evaluation, Side
from derain.files import printable
from derain.metrics import Protocol, Score

Column = Literal[Protocol, "niqe"]

PAPER_MARK = "(as printed in its paper)"
"""In the model column of rows that were not measured here."""


def to_markdown(evaluations: Sequence[Evaluation], *, per_picture: bool = False) -> str:
    """A table of means, one row a model and dataset, PSNR in dB and SSIM under each protocol, NIQE;
    one a picture if asked for.

    A row in italics gives the paper's own figures, where there are some, under the protocol closest
    to its own. What the scores depend on stands below: tile, number format and device, each
    dataset's identity, what NIQE compares with.
    """
    columns = columns_of(evaluations)
    headings = [
        "model",
        "dataset",
        "pictures",
        *columns,
        "parameters",
        "multiply-adds",
        "s/megapixel",
        "peak memory",
    ]
    lines = [_row(headings), "|" + "---|" * len(headings)]
    for dataset in dict.fromkeys(evaluation.dataset for evaluation in evaluations):
        group = [evaluation for evaluation in evaluations if evaluation.dataset == dataset]
        lines.append(
            _row(
                [
                    "rainy input",
                    dataset,
                    count_of(group[0]),
                    *_means(group[0], "rainy", columns),
                    "",
                    "",
                    "",
                    "",
                ]
            )
        )
        for evaluation in group:
            lines += _rows(evaluation, columns, per_picture)
        papers = {evaluation.network: evaluation.paper for evaluation in group}
        lines += [_paper_row(paper, columns) for paper in papers.values() if paper]
    return "\n".join([*lines, "", *_notes(evaluations)])


def columns_of(evaluations: Sequence[Evaluation]) -> list[Column]:
    """The protocols that anything was scored under, then NIQE if it was taken."""
    columns: dict[Column, None] = {
        protocol: None for evaluation in evaluations for protocol in evaluation.protocols
    }
    if any(evaluation.natural for evaluation in evaluations):
        columns["niqe"] = None
    return list(columns)


def _notes(evaluations: Sequence[Evaluation]) -> Iterator[str]:
    measures = (
        "PSNR in dB / SSIM. " if any(evaluation.protocols for evaluation in evaluations) else ""
    )
    yield (
        f"{measures}{'; '.join(executions(evaluations))}. Multiply-adds of {MACS_SIDE}x{MACS_SIDE}"
        " pixels."
    )
    yield from dict.fromkeys(
        printable(f"{evaluation.dataset}: {evaluation.data}.") for evaluation in evaluations
    )
    yield from dict.fromkeys(
        f"NIQE, lower is better: {evaluation.natural}."
        for evaluation in evaluations
        if evaluation.natural
    )


def executions(evaluations: Sequence[Evaluation]) -> list[str]:
    """Tile, number format and device, with the models they are of unless all have the same."""
    models_of: dict[str, dict[str, None]] = {}
    for evaluation in evaluations:
        models_of.setdefault(evaluation.execution, {})[evaluation.model] = None
    return [
        text if len(models_of) == 1 else f"{', '.join(models)}: {text}"
        for text, models in models_of.items()
    ]


def _rows(evaluation: Evaluation, columns: Sequence[Column], per_picture: bool) -> Iterator[str]:
    """The rows of one model on one dataset."""
    for picture in evaluation.pictures if per_picture else ():
        cells = {score.protocol: _cell(score) for score in picture.output}
        cells |= {"niqe": f"{picture.niqe.output:.3f}"} if picture.niqe else {}
        scores = [cells.get(column, "") for column in columns]
        yield _row(
            [evaluation.model, f"{evaluation.dataset}/{picture.name}", "", *scores, "", "", "", ""]
        )
    means = _means(evaluation, "output", columns)
    yield _row(
        [
            evaluation.model,
            evaluation.dataset,
            count_of(evaluation),
            *means,
            *cost_cells(evaluation.cost),
        ]
    )


def cost_cells(cost: Cost) -> list[str]:
    """Parameters, multiply-adds, seconds a megapixel, peak memory; empty where something is not
    known.
    """
    return [
        f"{cost.parameters:,}",
        "" if cost.multiply_adds is None else f"{cost.multiply_adds / 1e9:.1f} G",
        f"{cost.seconds_per_megapixel:.2f}",
        "" if cost.peak_memory is None else f"{cost.peak_memory / 1e9:.2f} GB",
    ]


def count_of(evaluation: Evaluation) -> str:
    """How many pictures were scored, and of how many if not all."""
    scored = str(len(evaluation.pictures))
    return f"{scored} of {evaluation.total}" if evaluation.unscored else scored


def _means(evaluation: Evaluation, of: Side, columns: Sequence[Column]) -> list[str]:
    """One cell a column; empty where the dataset has no such score."""
    cells: dict[Column, str] = {
        protocol: _cell(evaluation.mean(protocol, of)) for protocol in evaluation.protocols
    }
    mean, with_niqe = (
        evaluation.mean_niqe(of),
        sum(picture.niqe is not None for picture in evaluation.pictures),
    )
    if mean is not None:
        all_of_them = with_niqe == len(evaluation.pictures)
        cells["niqe"] = (
            f"{mean:.3f}" if all_of_them else f"{mean:.3f} ({with_niqe} of {evaluation.total})"
        )
    return [cells.get(column, "") for column in columns]


def _paper_row(paper: PaperScore, columns: Sequence[Column]) -> str:
    scores = [
        f"*{paper.psnr} / {paper.ssim}*" if column == paper.protocol else "" for column in columns
    ]
    if not any(scores):
        scores[0] = f"*{paper.psnr} / {paper.ssim} ({paper.protocol})*"
    return _row(
        [
            f"*{paper.network} {PAPER_MARK}*",
            f"*{paper.dataset}, whole*",
            "",
            *scores,
            "",
            "",
            "",
            "",
        ]
    )


def _row(cells: Sequence[str]) -> str:
    """One line of as many cells, whatever the names in them hold."""
    return "| " + " | ".join(printable(cell).replace("|", "\\|") for cell in cells) + " |"


def _cell(score: Score) -> str:
    return f"{score.psnr:.3f} / {score.ssim:.4f}"


def to_csv(evaluations: Sequence[Evaluation]) -> str:
    """One line a model, dataset and protocol, or one without a protocol for photographs.

    Full precision, bytes and seconds; empty where something is not known. NIQE knows no protocols:
    it stands on each line.
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
        rainy, output = (
            evaluation.mean(protocol, of) if protocol else None for of in ("rainy", "output")
        )
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
    """All scores, those of single pictures too. An infinite PSNR is null."""
    content = [_as_dict(evaluation) for evaluation in evaluations]
    return json.dumps(content, indent=2)


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
