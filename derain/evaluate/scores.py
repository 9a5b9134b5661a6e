"""Scores of a Derainer on a dataset: pairs by named protocols, photographs by NIQE; its cost."""

import time
import typing
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from derain import metrics
from derain.data import Pair, PairedFolder, read_pair
from derain.evaluate.cost import Cost
from derain.evaluate.identity import identity
from derain.evaluate.paper import PaperScore, paper_score
from derain.evaluate.photographs import Photograph, Photographs
from derain.evaluate.picture_scores import Naturalness, PictureScore, Scored
from derain.evaluate.results import distinct, result_file
from derain.evaluate.saved import Saved, Settings
from derain.files import printable, write_file
from derain.images import Picture, Pixels, encode, read_image, to_floats
from derain.machine import describe
from derain.metrics import Bytes, NaturalModel, NiqeError, Protocol, Score, niqe
from derain.metrics.fidelity import check_protocol
from derain.progress import Progress, silent
from derain.restore import Derainer
from derain.weights.facts import MACS_SIDE

Side = Literal["rainy", "output"]


@dataclass(frozen=True)
class Evaluation:
    """Scores of a model on a dataset, with all that they depend on.

    Attributes:
        model: What the model is called.
        network: What kind of network it is, as its paper calls it.
        dataset: What the dataset is called.
        layout: How the dataset lies on disk.
        data: What the dataset is, in words: layout, number of pictures, digest.
        execution: Tile, number format and device, in words.
        cost: What the network asks of the machine.
        pictures: Those that could be scored, at least one.
        unscored: Names of those that could not.
        natural: What the NIQE model was fitted on, in words; empty without NIQE.
        machine: Versions, processor and threads, in words.
        kept: How many pictures had been scored before, whose results were there.
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
    machine: str = ""
    kept: int = 0

    @property
    def protocols(self) -> list[Protocol]:
        """Protocols it was scored under, in the order asked for; empty for photographs."""
        return [score.protocol for score in self.pictures[0].output]

    @property
    def paper(self) -> PaperScore | None:
        """What the network's paper prints for this dataset."""
        return paper_score(self.network, self.dataset) if self.protocols else None

    @property
    def total(self) -> int:
        """Number of pictures in the dataset, scored or not."""
        return len(self.pictures) + len(self.unscored)

    def mean(self, protocol: Protocol, of: Side = "output") -> Score:
        """Return the mean over the pictures; identical pictures count as 100 dB."""
        scores = [
            score
            for picture in self.pictures
            for score in (picture.output if of == "output" else picture.rainy)
            if score.protocol == protocol
        ]
        psnr = float(np.mean([min(score.psnr, 100.0) for score in scores]))
        return Score(protocol, psnr, float(np.mean([score.ssim for score in scores])))

    def mean_niqe(self, of: Side = "output") -> float | None:
        """Return the mean over the pictures that have a NIQE; None if no picture has one."""
        values = [
            picture.niqe.output if of == "output" else picture.niqe.rainy
            for picture in self.pictures
            if picture.niqe
        ]
        return float(np.mean(values)) if values else None


@dataclass(frozen=True)
class Failure:
    """A picture that could not be scored or has no NIQE, or a dataset without any score.

    Attributes:
        path: The rainy picture, or the name of the dataset.
        error: Why.
    """

    path: Path
    error: Exception


class OnResult(typing.Protocol):
    """Receives the pixels of every picture that was scored.

    It is called with pixels, rather than given them with the results, because what it does not keep
    is freed before the next picture, and does not count as memory of the model.
    """

    def __call__(
        self,
        name: str,
        rainy: NDArray[np.floating],
        output: NDArray[np.floating],
        clean: Bytes | None,
    ) -> None:
        """Take one picture.

        Args:
            name: What the picture is called in results.
            rainy: (H, W, 3) in [0, 1].
            output: (H, W, 3) in [0, 1].
            clean: (H, W, 3); None for a photograph.
        """
        ...


@dataclass(frozen=True)
class Scoring:
    """Settings for scoring pictures and saving their results.

    Attributes:
        protocols: Of pairs; photographs have no PSNR.
        natural: Clean pictures to compare with by NIQE, which photographs need.
        save_to: Folder for the results as PNG files, made if missing; a picture whose result would
            lie outside it fails.
        keep: Keep the results in that folder that were made by the same settings, with their
            scores; otherwise they are made again.
        weights: Digest of the weights, which belongs to the settings.
        on_result: Gets the pixels of each picture that was scored; what it raises counts as a
            failure of the picture.

    Raises:
        UsageError: If a protocol is unknown.
    """

    protocols: Sequence[Protocol] = metrics.PROTOCOLS
    natural: NaturalModel | None = None
    save_to: Path | None = None
    keep: bool = False
    weights: str = ""
    on_result: OnResult | None = None

    def __post_init__(self) -> None:
        for name in self.protocols:
            check_protocol(name)

    def settings(self, data: str) -> Settings:
        """Return what results depend on besides the execution.

        Args:
            data: What the dataset is, in words.
        """
        natural = self.natural.describe() if self.natural else ""
        return Settings(self.weights, data, tuple(self.protocols), natural)


def evaluate(
    derainer: Derainer,
    dataset: PairedFolder | Photographs,
    protocols: Sequence[Protocol] = metrics.PROTOCOLS,
    *,
    natural: NaturalModel | None = None,
    data: str | None = None,
    save_to: Path | None = None,
    on_result: OnResult | None = None,
    progress: Progress = silent,
) -> Evaluation:
    """Derain and score every picture; the first that cannot be scored ends it.

    Args:
        derainer: The model.
        dataset: Pairs or photographs.
        protocols: As in `Scoring`, and so are natural, save_to and on_result.
        natural: See `Scoring`.
        data: What the dataset is, in words; None finds out, which reads all of it.
        save_to: See `Scoring`.
        on_result: See `Scoring`.
        progress: As in `evaluate_each`.

    Raises:
        ValueError: If the pictures of a pair differ in size or have 16 bits a channel, there are no
            pictures or nothing to score them by, or a picture cannot be scored.
        OSError: If pictures cannot be read or written.
    """
    scoring = Scoring(protocols, natural, save_to, on_result=on_result)
    outcomes = evaluate_each(derainer, dataset, scoring, data=data, progress=progress)
    outcome = next(outcomes)
    if isinstance(outcome, Evaluation):
        return outcome
    error = outcome.error
    if isinstance(error, ValueError) and str(outcome.path) not in str(error):
        raise ValueError(f"{outcome.path}: {error}") from error
    raise error


def evaluate_each(
    derainer: Derainer,
    dataset: PairedFolder | Photographs,
    scoring: Scoring,
    *,
    data: str | None = None,
    progress: Progress = silent,
) -> Iterator[Failure | Evaluation]:
    """Derain and score every picture; yield what fails as it fails, and the evaluation last.

    Each picture has a name of its own: ``710.png`` and ``710.jpg`` keep their suffixes. Where no
    picture can be scored, the last value is a failure of the dataset.

    Args:
        derainer: The model.
        dataset: Pairs or photographs.
        scoring: How they are scored.
        data: What the dataset is, in words; None finds out, which reads all of it.
        progress: Gets a report of "MODEL on DATASET" before the first picture and after each.

    Raises:
        ExistsError: If results are to be kept, and those in the folder are of other settings.
        OSError: If the folder of results cannot be written.
    """
    pictures = _pictures(dataset)
    if problem := _nothing_to_score(dataset, len(pictures), scoring):
        yield _failed(dataset.name, problem)
        return
    # Multiply-adds are counted before memory is watched, and so is all else that is not deraining.
    counted = derainer.engine.count(MACS_SIDE, MACS_SIDE)
    one_by_one = _Scorer(derainer, scoring, identity(dataset) if data is None else data)
    scored: list[Scored] = []
    unscored: list[str] = []
    stage = f"{derainer.name} on {dataset.name}"
    progress(stage, 0, len(pictures))
    for done, picture in enumerate(pictures, start=1):
        try:
            scored.append(one_by_one.score(picture))
        except Exception as error:  # whatever a picture does, the others are scored
            unscored.append(picture.name)
            yield Failure(picture.rainy, error)
        else:
            if missing := scored[-1].niqe_error:
                yield Failure(picture.rainy, missing)
        progress(stage, done, len(pictures))
    if not scored:
        yield _failed(dataset.name, f"not one of {len(pictures)} pictures could be scored")
        return
    yield one_by_one.evaluation(dataset, counted, scored, unscored)


def _pictures(dataset: PairedFolder | Photographs) -> Sequence[Pair | Photograph]:
    """Return the pictures of a dataset, each under a name of its own."""
    if isinstance(dataset, PairedFolder):
        return distinct(dataset.pairs)
    return distinct(dataset.photographs)


def _nothing_to_score(
    dataset: PairedFolder | Photographs, count: int, scoring: Scoring
) -> str | None:
    """Return why no picture can have a score; None if pictures can."""
    protocols = len(scoring.protocols) if isinstance(dataset, PairedFolder) else 0
    if count and (protocols or scoring.natural):
        return None
    return f"{count} pictures and {protocols} protocols; expected some of both, or NIQE"


def _failed(dataset: str, problem: str) -> Failure:
    return Failure(Path(dataset), ValueError(f"{dataset}: {problem}"))


def _cost(derainer: Derainer, counted: int | None, scored: Sequence[Scored]) -> Cost:
    peaks = [one.peak_memory for one in scored if one.peak_memory is not None]
    return Cost(
        parameters=derainer.engine.parameters,
        multiply_adds=None if counted is None else derainer.flips * counted,
        seconds_per_megapixel=float(np.median([one.seconds_per_megapixel for one in scored])),
        peak_memory=max(peaks, default=None),
    )


class _Scorer:
    """Scores the pictures of one dataset with one model.

    Args:
        derainer: The model.
        scoring: How pictures are scored.
        data: What the dataset is, in words.

    Raises:
        ExistsError: As `Saved`.
        OSError: As `Saved`.
    """

    def __init__(self, derainer: Derainer, scoring: Scoring, data: str) -> None:
        self._derainer, self._scoring, self._data = derainer, scoring, data
        self._saved: Saved | None = None
        self._memory = derainer.engine.watch_memory()
        self._kept = 0
        if scoring.save_to is not None:
            settings = replace(
                scoring.settings(data),
                execution=derainer.describe(),
                machine=describe(derainer.engine.runtime),
            )
            self._saved = Saved(scoring.save_to, settings, keep=scoring.keep)

    def score(self, picture: Pair | Photograph) -> Scored:
        """Derain and score one picture, unless that was done before.

        Raises:
            NiqeError: If a photograph is too small for NIQE; a pair keeps its other scores.
        """
        save_to, saved = self._scoring.save_to, self._saved
        if save_to is None or saved is None:
            return self._scored(picture, lambda _: None)
        # A name that leads outside the folder is refused before the work.
        target = result_file(save_to, picture.name)
        files = [picture.rainy, picture.clean] if isinstance(picture, Pair) else [picture.rainy]
        if before := saved.find(picture.name, files, target):
            self._hand_out(picture, target)
            self._kept += 1
            return before
        data = b""

        def save(output: NDArray[np.floating]) -> None:
            nonlocal data
            data = encode(Picture(metrics.quantise(output)), "PNG")
            target.parent.mkdir(parents=True, exist_ok=True)
            write_file(target, data)

        scored = self._scored(picture, save)
        saved.add(scored, files, data)
        return scored

    def evaluation(
        self,
        dataset: PairedFolder | Photographs,
        counted: int | None,
        scored: Sequence[Scored],
        unscored: Sequence[str],
    ) -> Evaluation:
        """Return the evaluation.

        Args:
            dataset: What was scored.
            counted: Multiply-adds of a picture, if they are known.
            scored: Scores of the pictures, at least one.
            unscored: Names of the pictures that could not be scored.
        """
        derainer, natural = self._derainer, self._scoring.natural
        return Evaluation(
            model=derainer.name,
            network=derainer.engine.title,
            dataset=dataset.name,
            layout=dataset.layout,
            data=self._data,
            execution=derainer.describe(),
            cost=_cost(derainer, counted, scored),
            pictures=tuple(one.score for one in scored),
            unscored=tuple(unscored),
            natural=natural.describe() if natural else "",
            machine=describe(derainer.engine.runtime),
            kept=self._kept,
        )

    def _hand_out(self, picture: Pair | Photograph, target: Path) -> None:
        """Hand out the pixels of a result that is kept."""
        if self._scoring.on_result is not None:
            rainy, clean = _read(picture)
            output = to_floats(read_image(target))
            self._scoring.on_result(picture.name, to_floats(rainy), output, clean)

    def _scored(
        self, picture: Pair | Photograph, save: Callable[[NDArray[np.floating]], None]
    ) -> Scored:
        rainy, clean = _read(picture)
        # Floats in, floats out: how they are brought to 8 bits belongs to the protocol.
        floats = to_floats(rainy)
        began = time.perf_counter()
        output = self._derainer(floats)
        seconds = time.perf_counter() - began
        save(output)
        scoring = self._scoring
        before, after = (_scores(pixels, clean, scoring.protocols) for pixels in (floats, output))
        natural, niqe_error = None, None
        if scoring.natural:
            try:
                natural = _naturalness(floats, output, scoring.natural)
            except NiqeError as error:
                if clean is None:  # a photograph has no other score
                    raise
                niqe_error = error
        if scoring.on_result is not None:
            scoring.on_result(picture.name, floats, output, clean)
        megapixels = rainy.shape[0] * rainy.shape[1] / 1e6
        score = PictureScore(picture.name, before, after, natural)
        return Scored(score, seconds / megapixels, self._memory.read(), niqe_error)


def _read(picture: Pair | Photograph) -> tuple[Pixels, Bytes | None]:
    """Return the rainy picture and the clean one, if there is any.

    Raises:
        ValueError: If one of a pair has 16 bits a channel, or they differ in size.
    """
    if not isinstance(picture, Pair):
        return read_image(picture.rainy), None
    rainy, clean = read_pair(picture)
    deep = [
        printable(path)
        for path, pixels in ((picture.rainy, rainy), (picture.clean, clean))
        if pixels.dtype != np.uint8
    ]
    if deep:
        have = "have" if deep[1:] else "has"
        raise ValueError(
            f"{' and '.join(dict.fromkeys(deep))} {have} 16 bits a channel; expected 8 bits, which"
            " the protocols compare: score copies that are saved with 8 bits"
        )
    return rainy, clean.astype(np.uint8, copy=False)


def _scores(
    pixels: NDArray[np.floating], clean: Bytes | None, protocols: Sequence[Protocol]
) -> tuple[Score, ...]:
    if clean is None:
        return ()
    return tuple(metrics.score(pixels, clean, protocol) for protocol in protocols)


def _naturalness(
    rainy: NDArray[np.floating], output: NDArray[np.floating], natural: NaturalModel
) -> Naturalness:
    """Return NIQE of both, at 8 bits.

    Raises:
        NiqeError: If the picture is too small.
    """
    return Naturalness(
        niqe.niqe(metrics.quantise(rainy), natural), niqe.niqe(metrics.quantise(output), natural)
    )
