"""Scores of one picture."""

from dataclasses import dataclass

from derain.metrics import NiqeError, Score


@dataclass(frozen=True)
class Naturalness:
    """NIQE of the rainy input and of the output; lower is better."""

    rainy: float
    output: float


@dataclass(frozen=True)
class PictureScore:
    """Scores of one picture.

    Attributes:
        name: What the picture is called in results.
        rainy: Scores of the rainy input, by protocol in the order asked for; empty for photographs.
        output: Likewise of the output.
        niqe: None where it was not asked for, or the picture is too small.
    """

    name: str
    rainy: tuple[Score, ...]
    output: tuple[Score, ...]
    niqe: Naturalness | None = None


@dataclass(frozen=True)
class Scored:
    """Scores of one picture, and what they took.

    Attributes:
        score: The scores.
        seconds_per_megapixel: Of the model.
        peak_memory: Most bytes held until then; None where the system does not say.
        niqe_error: Why it has no NIQE though others have.
    """

    score: PictureScore
    seconds_per_megapixel: float
    peak_memory: int | None = None
    niqe_error: NiqeError | None = None
