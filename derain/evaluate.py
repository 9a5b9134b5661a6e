"""A Derainer over a paired dataset: scores, tables, pictures."""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from derain import metrics
from derain.data import Pair, PairedFolder
from derain.images import Picture, encode, read_image, write_file
from derain.metrics import Protocol, Score
from derain.restore import Derainer


@dataclass(frozen=True)
class PictureScore:
    """One pair's scores: of the rainy input and of the output, by protocol in the order asked for."""

    name: str
    rainy: tuple[Score, ...]
    output: tuple[Score, ...]


@dataclass(frozen=True)
class Evaluation:
    """A model on a dataset, with all that its scores depend on.

    Attributes:
        execution: Tile, number format and device, in words.
        layout: How the dataset lies on disk.
    """

    model: str
    dataset: str
    layout: str
    execution: str
    pictures: tuple[PictureScore, ...]

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
        ValueError: If the twins of a pair differ in size.
        OSError: If pictures cannot be read or written.
    """
    pictures: list[PictureScore] = []
    for pair in dataset.pairs:
        try:
            pictures.append(_score_pair(derainer, pair, protocols, save_to))
        except ValueError as error:
            raise ValueError(f"{pair.rainy}: {error}" if str(pair.rainy) not in str(error) else str(error)) from error
        on_picture(len(pictures), len(dataset.pairs))
    return Evaluation(derainer.name, dataset.name, dataset.layout, derainer.describe(), tuple(pictures))


def _score_pair(derainer: Derainer, pair: Pair, protocols: Sequence[Protocol], save_to: Path | None) -> PictureScore:
    rainy, clean = read_image(pair.rainy), read_image(pair.clean)
    if rainy.shape != clean.shape:
        sizes = " and ".join(f"{p.shape[1]}x{p.shape[0]}" for p in (rainy, clean))
        raise ValueError(f"{pair.rainy} and {pair.clean} are {sizes}: expected twins of one size")
    if rainy.dtype != np.uint8 or clean.dtype != np.uint8:
        raise ValueError(f"{pair.rainy} or its twin has 16 bits a channel: the protocols compare 8-bit pictures")
    # Floats in, floats out: how they are brought to 8 bits belongs to the protocol.
    truth = clean.astype(np.uint8, copy=False)
    floats = rainy.astype(np.float32) / np.float32(255)
    output = derainer(floats)
    if save_to is not None:
        target = save_to / f"{pair.name}.png"
        target.parent.mkdir(parents=True, exist_ok=True)
        write_file(target, encode(Picture(metrics.quantise(output)), "PNG"))
    return PictureScore(
        pair.name,
        tuple(metrics.score(floats, truth, protocol) for protocol in protocols),
        tuple(metrics.score(output, truth, protocol) for protocol in protocols),
    )


def to_markdown(evaluations: Sequence[Evaluation], *, per_picture: bool = False) -> str:
    """A table of means, one row a model and dataset, PSNR in dB and SSIM under each protocol; one a picture if asked for."""
    protocols: list[Protocol] = [score.protocol for score in evaluations[0].pictures[0].output]
    lines = [
        "| model | dataset | pictures | " + " | ".join(protocols) + " |",
        "|---|---|---|" + "---|" * len(protocols),
    ]
    seen: set[str] = set()
    for evaluation in evaluations:
        count = len(evaluation.pictures)
        if evaluation.dataset not in seen:
            seen.add(evaluation.dataset)
            means = [_cell(evaluation.mean(protocol, "rainy")) for protocol in protocols]
            lines.append(_row("rainy input", evaluation.dataset, str(count), means))
        if per_picture:
            lines += [
                _row(evaluation.model, f"{evaluation.dataset}/{picture.name}", "", [_cell(score) for score in picture.output])
                for picture in evaluation.pictures
            ]
        means = [_cell(evaluation.mean(protocol)) for protocol in protocols]
        lines.append(_row(evaluation.model, evaluation.dataset, str(count), means))
    details = sorted({evaluation.execution for evaluation in evaluations})
    return "\n".join([*lines, "", f"PSNR in dB / SSIM. {'; '.join(details)}."])


def _row(model: str, dataset: str, count: str, cells: Sequence[str]) -> str:
    return "| " + " | ".join([model, dataset, count, *cells]) + " |"


def _cell(score: Score) -> str:
    return f"{score.psnr:.3f} / {score.ssim:.4f}"


def to_json(evaluations: Sequence[Evaluation]) -> str:
    """All scores, those of single pictures too. An infinite PSNR is null."""
    content = [_as_dict(evaluation) for evaluation in evaluations]
    return json.dumps(content, indent=2)


def _as_dict(evaluation: Evaluation) -> dict[str, Any]:
    means = {
        of: [asdict(evaluation.mean(score.protocol, of)) for score in evaluation.pictures[0].output] for of in ("rainy", "output")
    }
    return {"mean": means, **_finite(asdict(evaluation))}


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if value == float("inf") else value
