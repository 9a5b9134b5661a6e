"""A Derainer over a paired dataset: scores, what they cost, tables, pictures."""

import contextlib
import csv
import ctypes
import gc
import io
import json
import re
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from derain import metrics
from derain.data import Pair, PairedFolder, read_pair
from derain.images import Picture, encode, write_file
from derain.metrics import Protocol, Score
from derain.networks import Network
from derain.restore import Derainer

MACS_SIDE = 512
"""Multiply-adds are counted on a square picture of this side."""


@dataclass(frozen=True)
class PaperScore:
    """What a paper prints for its own network; the digits are as printed.

    Attributes:
        aliases: How folders of the dataset are called; a name that begins so is taken for the dataset, or a part of it.
        protocol: The closest to how the authors measured.
    """

    network: str
    dataset: str
    aliases: tuple[str, ...]
    protocol: Protocol
    psnr: str
    ssim: str


_RAIN1200 = ("Rain1200", ("rain1200", "did-mdn", "didmdn"))
_RAIN1400 = ("Rain1400", ("rain1400", "ddn"))
_RAIN100L, _RAIN100H, _RAIN800 = (("Rain100L", ("rain100l",)), ("Rain100H", ("rain100h",)), ("Rain800", ("rain800",)))

PAPER_SCORES = (
    PaperScore("NLEDN", *_RAIN100L, "y-pil", "36.57", "0.9747"),  # ACM MM 2018, Table 1
    PaperScore("NLEDN", *_RAIN100H, "y-pil", "30.38", "0.8939"),
    PaperScore("NLEDN", *_RAIN1200, "y-pil", "33.16", "0.9192"),
    PaperScore("NLEDN", *_RAIN1400, "y-pil", "29.79", "0.8976"),
    PaperScore("ReMAEN", *_RAIN100L, "rgb", "37.80", "0.982"),  # the authors' README
    PaperScore("ReMAEN", *_RAIN100H, "rgb", "28.97", "0.884"),
    PaperScore("ReMAEN", *_RAIN800, "rgb", "26.86", "0.854"),
    PaperScore("ReMAEN", *_RAIN1200, "rgb", "32.50", "0.911"),
    PaperScore("ReMAEN", *_RAIN1400, "rgb", "32.31", "0.916"),
)


def paper_score(network: str, dataset: str) -> PaperScore | None:
    """What the paper of a network (``NLEDN``) prints for a dataset, told by how its name begins; None if nothing."""
    for entry in PAPER_SCORES:
        begins = any(re.match(rf"{re.escape(alias)}(?![a-z0-9])", dataset.lower()) for alias in entry.aliases)
        if entry.network == network and begins:
            return entry
    return None


@dataclass(frozen=True)
class PictureScore:
    """One pair's scores: of the rainy input and of the output, by protocol in the order asked for."""

    name: str
    rainy: tuple[Score, ...]
    output: tuple[Score, ...]


@dataclass(frozen=True)
class Cost:
    """What a network asks of the machine.

    Attributes:
        parameters: Trained numbers, all the weights hold, those of CRDNet's classifier too.
        multiply_adds: Of one 512x512 picture taken whole, in convolutions, matrix products and attention; None where they cannot
            be counted.
        seconds_per_megapixel: Median over the pictures, all of it: tiling, transfers, network.
        peak_memory: Most bytes held while deraining the dataset: of the process on a CPU (Linux), of tensors on a GPU; None
            where the system does not say.
    """

    parameters: int
    multiply_adds: int | None
    seconds_per_megapixel: float
    peak_memory: int | None


@dataclass(frozen=True)
class Evaluation:
    """A model on a dataset, with all that its scores depend on.

    Attributes:
        network: What kind of network the model is, as its paper calls it.
        layout: How the dataset lies on disk.
        execution: Tile, number format and device, in words.
    """

    model: str
    network: str
    dataset: str
    layout: str
    execution: str
    cost: Cost
    pictures: tuple[PictureScore, ...]

    @property
    def protocols(self) -> list[Protocol]:
        """Those it was scored under, in the order asked for."""
        return [score.protocol for score in self.pictures[0].output]

    @property
    def paper(self) -> PaperScore | None:
        """What the network's paper prints for this dataset."""
        return paper_score(self.network, self.dataset)

    def mean(self, protocol: Protocol, of: str = "output") -> Score:
        """Mean over the pictures; ``of`` is ``output`` or ``rainy``. Identical pictures count as 100 dB."""
        scores = [score for picture in self.pictures for score in getattr(picture, of) if score.protocol == protocol]
        psnr = float(np.mean([min(score.psnr, 100.0) for score in scores]))
        return Score(protocol, psnr, float(np.mean([score.ssim for score in scores])))


def evaluate(
    derainer: Derainer,
    dataset: PairedFolder,
    protocols: Sequence[Protocol] = metrics.PROTOCOLS,
    *,
    save_to: Path | None = None,
    on_picture: Callable[[int, int], None] = lambda _done, _total: None,
) -> Evaluation:
    """Derains and scores every pair.

    Args:
        save_to: Folder for the results as PNG files, made if missing.
        on_picture: Called after each pair with the number done and the number of all.

    Raises:
        ValueError: If the twins of a pair differ in size, or there are no pairs or no protocols.
        OSError: If pictures cannot be read or written.
    """
    if not protocols or not dataset.pairs:
        raise ValueError(f"{dataset.name}: {len(dataset.pairs)} pairs and {len(protocols)} protocols; expected some of both")
    network = derainer.engine.network
    counted = multiply_adds(network)
    pictures: list[PictureScore] = []
    seconds: list[float] = []
    memory = PeakMemory(derainer.engine.device)
    for pair in dataset.pairs:
        try:
            picture, speed = _score_pair(derainer, pair, protocols, save_to)
        except ValueError as error:
            raise ValueError(f"{pair.rainy}: {error}" if str(pair.rainy) not in str(error) else str(error)) from error
        pictures.append(picture)
        seconds.append(speed)
        on_picture(len(pictures), len(dataset.pairs))
    parameters = sum(parameter.numel() for parameter in network.parameters())
    cost = Cost(parameters, counted, float(np.median(seconds)), memory.read())
    kind = type(network).__name__
    return Evaluation(derainer.name, kind, dataset.name, dataset.layout, derainer.describe(), cost, tuple(pictures))


def multiply_adds(network: Network, side: int = MACS_SIDE) -> int | None:
    """Multiply-adds of one whole square picture, counted without computing; None for a network that cannot be traced so."""
    try:
        with torch.device("meta"), FlopCounterMode(display=False) as counter, torch.inference_mode():
            twin = type(network)(**network.hyperparameters).eval()
            twin(torch.empty(1, 3, side, side))
    except (NotImplementedError, RuntimeError, TypeError):  # a network that looks at values has none to look at
        return None
    return counter.get_total_flops() // 2


class PeakMemory:
    """The most memory held from here on: tensors on a CUDA device, the process on a CPU where the system can be asked (Linux)."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        gc.collect()
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).malloc_trim(0)  # glibc: give back what earlier models left
        self._known = True
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
            return
        try:
            Path("/proc/self/clear_refs").write_text("5")  # sets the high-water mark back
        except OSError:
            self._known = False

    def read(self) -> int | None:
        """Bytes, or None where they cannot be known."""
        if self._device.type == "cuda":
            return torch.cuda.max_memory_allocated(self._device)
        if self._device.type != "cpu" or not self._known:
            return None
        found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
        return int(found[1]) * 1024 if found else None


def _score_pair(
    derainer: Derainer, pair: Pair, protocols: Sequence[Protocol], save_to: Path | None
) -> tuple[PictureScore, float]:
    """One pair's scores, and the seconds a megapixel took."""
    rainy, clean = read_pair(pair)
    if rainy.dtype != np.uint8 or clean.dtype != np.uint8:
        raise ValueError(f"{pair.rainy} or its twin has 16 bits a channel: the protocols compare 8-bit pictures")
    # Floats in, floats out: how they are brought to 8 bits belongs to the protocol.
    truth = clean.astype(np.uint8, copy=False)
    floats = rainy.astype(np.float32) / np.float32(255)
    began = time.perf_counter()
    output = derainer(floats)
    seconds = time.perf_counter() - began
    if save_to is not None:
        target = save_to / f"{pair.name}.png"
        target.parent.mkdir(parents=True, exist_ok=True)
        write_file(target, encode(Picture(metrics.quantise(output)), "PNG"))
    scores = [tuple(metrics.score(picture, truth, protocol) for protocol in protocols) for picture in (floats, output)]
    return PictureScore(pair.name, scores[0], scores[1]), seconds / (rainy.shape[0] * rainy.shape[1] / 1e6)


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
