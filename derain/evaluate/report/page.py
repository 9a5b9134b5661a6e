"""A report as one HTML file that holds everything: nothing has to be fetched or run."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from derain.evaluate.picture_scores import PictureScore
from derain.evaluate.report.crops import data_uri
from derain.evaluate.report.gallery import Exhibit, Exhibits, Gallery
from derain.evaluate.report.tables import (
    MOVED,
    Table,
    colour_table,
    cross_table,
    decibels,
    lowest_table,
    picture_psnr,
    score_table,
    signed,
)
from derain.evaluate.scores import Evaluation, Side
from derain.evaluate.tables import count_of, executions
from derain.extras import is_installed, missing
from derain.files import amount, printable
from derain.metrics import Protocol
from derain.weights.facts import MACS_SIDE

if TYPE_CHECKING:
    from markupsafe import Markup

MEANINGS: dict[Protocol, str] = {
    "y-matlab": (
        "compares the luma (ITU-R BT.601, limited range, as MATLAB's rgb2ycbcr) of outputs rounded"
        " to 8 bits; SSIM with an 11x11 Gaussian window. Most papers since JORDER and PReNet."
    ),
    "y-pil": (
        "compares the full-range luma in 8 bits (as PIL's YCbCr) of outputs truncated to 8 bits;"
        " SSIM with a 7x7 uniform window. NLEDN's own test code."
    ),
    "rgb": (
        "compares all three channels of outputs rounded to 8 bits; SSIM as y-matlab, averaged over"
        " the channels. ReMAEN."
    ),
}

ON_SCREEN, ON_PAPER = 8, 5
"""Windows side by side, at most."""


@dataclass(frozen=True)
class _Shot:
    """A window of one picture, from one model or before any.

    Attributes:
        title: The model, or which picture it is.
        source: An address that holds the pixels; None if there are none.
        alt: What it shows, in words.
        lines: Below it, in small type.
    """

    title: str
    source: str | None
    alt: str
    lines: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Strip:
    """The same window of a picture, as it was and as each model left it."""

    name: str
    place: str
    shots: tuple[_Shot, ...]

    def across(self, most: int) -> int:
        """Return how many stand in a row of at most so many: equally many, the last maybe fewer."""
        rows = -(-len(self.shots) // most)
        return -(-len(self.shots) // rows)


@dataclass(frozen=True)
class _Section:
    """Everything about one dataset; what it does not have is None or empty."""

    name: str
    pictures: str
    scores: Table
    strips: tuple[_Strip, ...]
    colours: Table | None
    lowest: Table | None


def check_report() -> None:
    """Check that the packages that make a report are installed.

    They are not imported, which would count as memory of the models.

    Raises:
        MissingExtraError: If one is missing; says how to install it.
    """
    for package in ("matplotlib", "jinja2"):
        if not is_installed(package):
            raise missing(package, "a report")


def to_html(evaluations: Sequence[Evaluation], gallery: Gallery, made: date) -> str:
    """Return a page of tables, a plot, windows of pictures, and all that the figures depend on.

    Args:
        evaluations: At least one.
        gallery: What was kept of the pictures as they were scored.
        made: The day that the page says it was made on.

    Raises:
        ImportError: Without the extra ``report``.
    """
    check_report()
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_on_one_line,
    )
    return environment.get_template("page.html").render(
        **_context(evaluations, gallery), made=made.isoformat()
    )


def _on_one_line(value: object) -> object:
    """Return text with escapes for line ends and for bytes that are not text.

    Jinja calls it for every value of the page, because any name may hold such letters.
    """
    return printable(value) if type(value) is str else value  # a subclass is markup


def _context(evaluations: Sequence[Evaluation], gallery: Gallery) -> dict[str, Any]:
    """Return everything that the template asks for, except the date."""
    paired = [evaluation for evaluation in evaluations if evaluation.protocols]
    protocols = _protocols(evaluations)
    several = len({evaluation.dataset for evaluation in paired}) > 1
    return {
        "models": list(dict.fromkeys(evaluation.model for evaluation in evaluations)),
        "summary": _summary(evaluations),
        "machine": "; ".join(dict.fromkeys(evaluation.machine for evaluation in evaluations)),
        "executions": executions(evaluations),
        "meanings": {protocol: MEANINGS[protocol] for protocol in protocols},
        "sections": list(_sections(evaluations, gallery)),
        "plot": _plot(paired, protocols[0]) if paired else None,
        "cross": cross_table(paired, protocols[0]) if several else None,
        "protocol": protocols[0] if protocols else "",
        "on_screen": ON_SCREEN,
        "on_paper": ON_PAPER,
        "macs_side": MACS_SIDE,
        "moved": f"{MOVED:g}",
        "identities": list(
            dict.fromkeys((evaluation.dataset, evaluation.data) for evaluation in evaluations)
        ),
        "naturals": list(
            dict.fromkeys(evaluation.natural for evaluation in evaluations if evaluation.natural)
        ),
        "unscored": [
            (evaluation.model, evaluation.dataset, evaluation.unscored)
            for evaluation in evaluations
            if evaluation.unscored
        ],
    }


def _protocols(evaluations: Sequence[Evaluation]) -> list[Protocol]:
    used = {protocol for evaluation in evaluations for protocol in evaluation.protocols}
    return [protocol for protocol in get_args(Protocol) if protocol in used]


def _plot(paired: Sequence[Evaluation], protocol: Protocol) -> "Markup":
    """Return the plot as markup that is not escaped again: names in it are escaped already."""
    from markupsafe import Markup

    from derain.evaluate.report.plot import psnr_plot

    return Markup(psnr_plot(paired, protocol))


def _summary(evaluations: Sequence[Evaluation]) -> str:
    """Return how many models, datasets and pictures there are, in words."""
    totals = {evaluation.dataset: evaluation.total for evaluation in evaluations}
    models = len({evaluation.model for evaluation in evaluations})
    counts = [(models, "model"), (len(totals), "dataset"), (sum(totals.values()), "picture")]
    parts = [amount(count, noun) for count, noun in counts]
    return f"{parts[0]}, {parts[1]}, {parts[2]}"


def _sections(evaluations: Sequence[Evaluation], gallery: Gallery) -> Iterator[_Section]:
    """Yield a section for each dataset, in order."""
    for dataset in dict.fromkeys(evaluation.dataset for evaluation in evaluations):
        group = [evaluation for evaluation in evaluations if evaluation.dataset == dataset]
        exhibits = gallery.exhibits.get(dataset, Exhibits((), 0))
        protocol = group[0].protocols[0] if group[0].protocols else None
        yield _Section(
            name=dataset,
            pictures=count_of(group[0]),
            scores=score_table(group),
            strips=tuple(_strips(exhibits, group, protocol)),
            colours=(
                None
                if protocol
                else colour_table(exhibits, [evaluation.model for evaluation in group])
            ),
            lowest=lowest_table(group, protocol) if protocol else None,
        )


def _strips(
    exhibits: Exhibits, group: Sequence[Evaluation], protocol: Protocol | None
) -> Iterator[_Strip]:
    """Yield a strip for each picture that a model scored.

    A model that was interrupted may have left windows of other pictures.
    """
    for exhibit in exhibits.shown:
        first = next(
            (evaluation for evaluation in group if exhibit.name in _by_name(evaluation)), None
        )
        if first is not None:
            yield _strip(exhibit, first, group, protocol, exhibits)


def _strip(
    exhibit: Exhibit,
    first: Evaluation,
    group: Sequence[Evaluation],
    protocol: Protocol | None,
    exhibits: Exhibits,
) -> _Strip:
    """Return the windows of the rainy input, every model and the clean picture.

    Figures of the input are those that the first model's evaluation has.
    """
    window = exhibit.window
    place = f"{window.width}x{window.height} pixels at ({window.left}, {window.top})"
    about = f"{exhibit.name} of {first.dataset}"
    rainy = _Shot(
        "rainy input",
        data_uri(exhibit.rainy),
        f"rainy: {about}",
        _lines(first, exhibit.name, protocol, "rainy"),
    )
    models = [_shot(exhibit, evaluation, protocol, exhibits, about) for evaluation in group]
    clean = [_Shot("clean", data_uri(exhibit.clean), f"clean: {about}")] if exhibit.clean else []
    return _Strip(exhibit.name, place, (rainy, *models, *clean))


def _shot(
    exhibit: Exhibit,
    evaluation: Evaluation,
    protocol: Protocol | None,
    exhibits: Exhibits,
    about: str,
) -> _Shot:
    """Return what a model made of a window."""
    model = evaluation.model
    if model not in exhibit.outputs or exhibit.name not in _by_name(evaluation):
        return _Shot(model, None, "", ("not scored",))
    lines = _lines(evaluation, exhibit.name, protocol, "output")
    change = exhibits.changes.get(model, {}).get(exhibit.name)
    if change is not None:
        levels = [
            f"{channel} {signed(float(level), 1)}"
            for channel, level in zip("RGB", change, strict=True)
        ]
        lines = (*lines, " ".join(levels))
    return _Shot(model, data_uri(exhibit.outputs[model]), f"derained by {model}: {about}", lines)


def _lines(
    evaluation: Evaluation, name: str, protocol: Protocol | None, of: Side
) -> tuple[str, ...]:
    """Return the PSNR of the whole picture, or its NIQE where there is no ground truth."""
    picture = _by_name(evaluation)[name]
    if protocol:
        return (decibels(picture_psnr(picture, protocol, of)),)
    return (f"NIQE {getattr(picture.niqe, of):.2f}",) if picture.niqe else ()


def _by_name(evaluation: Evaluation) -> dict[str, PictureScore]:
    return {picture.name: picture for picture in evaluation.pictures}
