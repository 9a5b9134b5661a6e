"""A Derainer over a paired dataset: scores, what they cost, pictures."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from derain import metrics
from derain.data import Pair, PairedFolder
from derain.evaluate.cost import Cost, PeakMemory, multiply_adds
from derain.evaluate.paper import PaperScore, paper_score
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


def _score_pair(
    derainer: Derainer, pair: Pair, protocols: Sequence[Protocol], save_to: Path | None
) -> tuple[PictureScore, float]:
    """One pair's scores, and the seconds a megapixel took."""
    rainy, clean = read_image(pair.rainy), read_image(pair.clean)
    if rainy.shape != clean.shape:
        sizes = " and ".join(f"{p.shape[1]}x{p.shape[0]}" for p in (rainy, clean))
        raise ValueError(f"{pair.rainy} and {pair.clean} are {sizes}: expected twins of one size")
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
