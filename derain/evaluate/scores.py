"""A Derainer over a dataset of pairs, or over photographs without clean twins: scores, what they
cost, pictures.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from derain import metrics
from derain.data import Pair, PairedFolder, read_pair
from derain.evaluate.cost import Cost, PeakMemory, multiply_adds
from derain.evaluate.identity import identity
from derain.evaluate.paper import PaperScore, paper_score
from derain.evaluate.photographs import Photograph, Photographs
from derain.evaluate.results import distinct, result_file
from derain.files import write_file
from derain.images import Picture, Pixels, encode, read_image
from derain.metrics import NaturalModel, NiqeError, Protocol, Score, niqe
from derain.restore import Derainer

Side = Literal["rainy", "output"]


@dataclass(frozen=True)
class Naturalness:
    """NIQE of the rainy input and of the output; lower is better."""

    rainy: float
    output: float


@dataclass(frozen=True)
class PictureScore:
    """One picture's scores: of the rainy input and of the output, by protocol in the order asked
    for.

    Photographs have none by protocol; NIQE is there where it was asked for and the picture is large
    enough.
    """

    name: str
    rainy: tuple[Score, ...]
    output: tuple[Score, ...]
    niqe: Naturalness | None = None


@dataclass(frozen=True)
class Evaluation:
    """A model on a dataset, with all that its scores depend on.

    Attributes:
        network: What kind of network the model is, as its paper calls it.
        layout: How the dataset lies on disk.
        data: What the dataset is, in words: layout, number of pictures, digest.
        execution: Tile, number format and device, in words.
        pictures: Those that could be scored, at least one.
        unscored: Names of those that could not.
        natural: What the NIQE model was fitted on, in words; empty without NIQE.
    """

    model: str
    network: str
    dataset: str
    layout: str
    data: str
    execution: str
    cost: Cost
    pictures: tuple[PictureScore, ...]
    unscored: tuple[str, ...] = ()
    natural: str = ""

    @property
    def protocols(self) -> list[Protocol]:
        """Those it was scored under, in the order asked for; none for photographs."""
        return [score.protocol for score in self.pictures[0].output]

    @property
    def paper(self) -> PaperScore | None:
        """What the network's paper prints for this dataset."""
        return paper_score(self.network, self.dataset) if self.protocols else None

    @property
    def total(self) -> int:
        """Pictures in the dataset, scored or not."""
        return len(self.pictures) + len(self.unscored)

    def mean(self, protocol: Protocol, of: Side = "output") -> Score:
        """Mean over the pictures. Identical pictures count as 100 dB."""
        scores = [
            score
            for picture in self.pictures
            for score in getattr(picture, of)
            if score.protocol == protocol
        ]
        psnr = float(np.mean([min(score.psnr, 100.0) for score in scores]))
        return Score(protocol, psnr, float(np.mean([score.ssim for score in scores])))

    def mean_niqe(self, of: Side = "output") -> float | None:
        """Mean over the pictures that have one; None if none has."""
        values = [
            picture.niqe.output if of == "output" else picture.niqe.rainy
            for picture in self.pictures
            if picture.niqe
        ]
        return float(np.mean(values)) if values else None


OnFailure = Callable[[Path, Exception], None]
OnResult = Callable[
    [str, NDArray[np.floating], NDArray[np.floating], NDArray[np.uint8] | None], None
]
"""Of a picture's name, the rainy one, the output, the clean one if there is any: (H, W, 3), floats
in [0, 1] but for the last.
"""


def evaluate(
    derainer: Derainer,
    dataset: PairedFolder | Photographs,
    protocols: Sequence[Protocol] = metrics.PROTOCOLS,
    *,
    natural: NaturalModel | None = None,
    data: str | None = None,
    save_to: Path | None = None,
    on_picture: Callable[[int, int], None] = lambda _done, _total: None,
    on_failure: OnFailure | None = None,
    on_result: OnResult | None = None,
) -> Evaluation:
    """Derains and scores every picture, each under a name of its own: ``710.png`` and ``710.jpg``
    keep their suffixes.

    Args:
        protocols: Of pairs; photographs have no PSNR.
        natural: Clean pictures to compare with by NIQE, which photographs need.
        data: What the dataset is, in words; None works it out, which reads all of it.
        save_to: Folder for the results as PNG files, made if missing; a picture whose result would
            lie outside it fails.
        on_picture: Called after each picture with the number done and the number of all.
        on_failure: Called with a rainy picture that cannot be scored (or has no NIQE) and why; the
            others are scored. Without it, such a picture ends the evaluation.
        on_result: Called after each picture that was scored, with its pixels; what it raises counts
            as a failure of the picture.

    Raises:
        ValueError: If the twins of a pair differ in size, there are no pictures or nothing to score
            them by, or not one of them can be scored.
        OSError: If pictures cannot be read or written.
    """
    pictures = (
        distinct(dataset.pairs)
        if isinstance(dataset, PairedFolder)
        else distinct(dataset.photographs)
    )
    protocols = protocols if isinstance(dataset, PairedFolder) else ()
    if not pictures or not (protocols or natural):
        raise ValueError(
            f"{dataset.name}: {len(pictures)} pictures and {len(protocols)} protocols; expected"
            " some of both, or NIQE"
        )
    network = derainer.engine.network
    of_one_pass = multiply_adds(network)
    counted = None if of_one_pass is None else derainer.flips * of_one_pass
    scored: list[PictureScore] = []
    unscored: list[str] = []
    seconds: list[float] = []
    memory = PeakMemory(derainer.engine.device)
    for done, picture in enumerate(pictures, start=1):
        try:
            score, speed = _score(
                derainer, picture, protocols, natural, save_to, on_failure, on_result
            )
        except Exception as error:  # whatever a picture does, the others get scored
            _fail(picture.rainy, error, on_failure)
            unscored.append(picture.name)
        else:
            scored.append(score)
            seconds.append(speed)
        on_picture(done, len(pictures))
    if not scored:
        raise ValueError(f"{dataset.name}: not one of {len(pictures)} pictures could be scored")
    parameters = sum(parameter.numel() for parameter in network.parameters())
    return Evaluation(
        model=derainer.name,
        network=type(network).__name__,
        dataset=dataset.name,
        layout=dataset.layout,
        data=identity(dataset) if data is None else data,
        execution=derainer.describe(),
        cost=Cost(parameters, counted, float(np.median(seconds)), memory.read()),
        pictures=tuple(scored),
        unscored=tuple(unscored),
        natural=natural.describe() if natural else "",
    )


def _fail(path: Path, error: Exception, on_failure: OnFailure | None) -> None:
    """Reports a failure, or raises it with the picture's name in it if nobody listens."""
    if on_failure:
        on_failure(path, error)
    elif isinstance(error, ValueError) and str(path) not in str(error):
        raise ValueError(f"{path}: {error}") from error
    else:
        raise error


def _score(
    derainer: Derainer,
    picture: Pair | Photograph,
    protocols: Sequence[Protocol],
    natural: NaturalModel | None,
    save_to: Path | None,
    on_failure: OnFailure | None,
    on_result: OnResult | None,
) -> tuple[PictureScore, float]:
    """One picture's scores, and the seconds a megapixel took."""
    target = result_file(save_to, picture.name) if save_to is not None else None
    rainy, clean = (
        _read_pair(picture) if isinstance(picture, Pair) else (read_image(picture.rainy), None)
    )
    # Floats in, floats out: how they are brought to 8 bits belongs to the protocol.
    floats = rainy.astype(np.float32) / np.float32(np.iinfo(rainy.dtype).max)
    began = time.perf_counter()
    output = derainer(floats)
    seconds = time.perf_counter() - began
    if target is not None:
        _save(output, target)
    before, after = (
        (
            tuple(metrics.score(pixels, clean, protocol) for protocol in protocols)
            if clean is not None
            else ()
        )
        for pixels in (floats, output)
    )
    score = PictureScore(
        picture.name, before, after, _naturalness(picture, floats, output, natural, on_failure)
    )
    if on_result is not None:
        on_result(picture.name, floats, output, clean)
    return score, seconds / (rainy.shape[0] * rainy.shape[1] / 1e6)


def _read_pair(pair: Pair) -> tuple[Pixels, NDArray[np.uint8]]:
    rainy, clean = read_pair(pair)
    if rainy.dtype != np.uint8 or clean.dtype != np.uint8:
        raise ValueError(
            f"{pair.rainy} or its twin has 16 bits a channel: the protocols compare 8-bit pictures"
        )
    return rainy, clean.astype(np.uint8, copy=False)


def _save(output: NDArray[np.floating], target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    write_file(target, encode(Picture(metrics.quantise(output)), "PNG"))


def _naturalness(
    picture: Pair | Photograph,
    rainy: NDArray[np.floating],
    output: NDArray[np.floating],
    natural: NaturalModel | None,
    on_failure: OnFailure | None,
) -> Naturalness | None:
    """NIQE of both, at 8 bits. A pair without it keeps its other scores; a photograph has no other.

    Raises:
        NiqeError: If a photograph has none, or nobody listens to failures.
    """
    if natural is None:
        return None
    try:
        return Naturalness(
            *(niqe.niqe(metrics.quantise(pixels), natural) for pixels in (rainy, output))
        )
    except NiqeError as error:
        if not isinstance(picture, Pair):
            raise
        _fail(picture.rainy, error, on_failure)
        return None
