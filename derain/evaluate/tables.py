"""Evaluations as Markdown, CSV and JSON."""

import csv
import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from derain.evaluate.cost import MACS_SIDE
from derain.evaluate.paper import PaperScore
from derain.evaluate.scores import Evaluation
from derain.metrics import Protocol, Score

PAPER_MARK = "(as printed in its paper)"
"""In the model column of rows that were not measured here."""


def to_markdown(evaluations: Sequence[Evaluation], *, per_picture: bool = False) -> str:
    """A table of means, one row a model and dataset, PSNR in dB and SSIM under each protocol; one a picture if asked for.

    A row in italics gives the paper's own figures, where there are some, under the protocol closest to its own.
    """
    protocols = evaluations[0].protocols
    headings = ["model", "dataset", "pictures", *protocols, "parameters", "multiply-adds", "s/megapixel", "peak memory"]
    lines = [_row(headings), "|" + "---|" * len(headings)]
    for dataset in dict.fromkeys(evaluation.dataset for evaluation in evaluations):
        group = [evaluation for evaluation in evaluations if evaluation.dataset == dataset]
        count = str(len(group[0].pictures))
        rainy = [_cell(group[0].mean(protocol, "rainy")) for protocol in protocols]
        lines.append(_row(["rainy input", dataset, count, *rainy, "", "", "", ""]))
        for evaluation in group:
            lines += _rows(evaluation, count, per_picture)
        papers = {evaluation.network: evaluation.paper for evaluation in group}
        lines += [_paper_row(paper, protocols) for paper in papers.values() if paper]
    details = sorted({evaluation.execution for evaluation in evaluations})
    notes = f"PSNR in dB / SSIM. {'; '.join(details)}. Multiply-adds of {MACS_SIDE}x{MACS_SIDE} pixels."
    return "\n".join([*lines, "", notes])


def _rows(evaluation: Evaluation, count: str, per_picture: bool) -> Iterator[str]:
    """The rows of one model on one dataset."""
    for picture in evaluation.pictures if per_picture else ():
        scores = [_cell(score) for score in picture.output]
        yield _row([evaluation.model, f"{evaluation.dataset}/{picture.name}", "", *scores, "", "", "", ""])
    means = [_cell(evaluation.mean(protocol)) for protocol in evaluation.protocols]
    cost = evaluation.cost
    cells = [
        f"{cost.parameters:,}",
        "" if cost.multiply_adds is None else f"{cost.multiply_adds / 1e9:.1f} G",
        f"{cost.seconds_per_megapixel:.2f}",
        "" if cost.peak_memory is None else f"{cost.peak_memory / 1e9:.2f} GB",
    ]
    yield _row([evaluation.model, evaluation.dataset, count, *means, *cells])


def _paper_row(paper: PaperScore, protocols: Sequence[Protocol]) -> str:
    scores = [f"*{paper.psnr} / {paper.ssim}*" if protocol == paper.protocol else "" for protocol in protocols]
    if not any(scores):
        scores[0] = f"*{paper.psnr} / {paper.ssim} ({paper.protocol})*"
    return _row([f"*{paper.network} {PAPER_MARK}*", f"*{paper.dataset}, whole*", "", *scores, "", "", "", ""])


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _cell(score: Score) -> str:
    return f"{score.psnr:.3f} / {score.ssim:.4f}"


def to_csv(evaluations: Sequence[Evaluation]) -> str:
    """One line a model, dataset and protocol; full precision, bytes and seconds, empty where something is not known."""
    lines = [line for evaluation in evaluations for line in _csv_lines(evaluation)]
    text = io.StringIO()
    writer = csv.DictWriter(text, list(lines[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return text.getvalue()


def _csv_lines(evaluation: Evaluation) -> Iterator[dict[str, Any]]:
    for protocol in evaluation.protocols:
        rainy, output, paper = evaluation.mean(protocol, "rainy"), evaluation.mean(protocol), evaluation.paper
        yield {
            "model": evaluation.model,
            "network": evaluation.network,
            "dataset": evaluation.dataset,
            "pictures": len(evaluation.pictures),
            "protocol": protocol,
            "psnr": output.psnr,
            "ssim": output.ssim,
            "rainy_psnr": rainy.psnr,
            "rainy_ssim": rainy.ssim,
            "paper_psnr": paper.psnr if paper else None,
            "paper_ssim": paper.ssim if paper else None,
            "paper_protocol": paper.protocol if paper else None,
            **asdict(evaluation.cost),
            "execution": evaluation.execution,
        }


def to_json(evaluations: Sequence[Evaluation]) -> str:
    """All scores, those of single pictures too. An infinite PSNR is null."""
    content = [_as_dict(evaluation) for evaluation in evaluations]
    return json.dumps(content, indent=2)


def _as_dict(evaluation: Evaluation) -> dict[str, Any]:
    means = {of: [asdict(evaluation.mean(protocol, of)) for protocol in evaluation.protocols] for of in ("rainy", "output")}
    paper = asdict(evaluation.paper) if evaluation.paper else None
    return {"mean": means, "paper": paper, **_finite(asdict(evaluation))}


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if value == float("inf") else value
