"""A report as one HTML file: everything is in it, nothing has to be fetched or run."""

import os
import platform
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import torch

from derain import __version__
from derain.evaluate.cost import MACS_SIDE
from derain.evaluate.report.crops import data_uri
from derain.evaluate.report.gallery import Exhibits, Gallery, Scene
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
from derain.evaluate.scores import Evaluation, PictureScore, Side
from derain.evaluate.tables import count_of, executions
from derain.files import printable
from derain.metrics import Protocol

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
    """A window as one model, or nobody, left it: an address that holds it (None if there is none),
    and lines below.
    """

    title: str
    source: str | None
    alt: str
    lines: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Strip:
    """The same window of a picture side by side."""

    name: str
    place: str
    shots: tuple[_Shot, ...]

    def across(self, most: int) -> int:
        """How many stand side by side where so many may: as many in each row, or one less in the
        last.
        """
        rows = -(-len(self.shots) // most)
        return -(-len(self.shots) // rows)


@dataclass(frozen=True)
class _Section:
    """All about one dataset; what it has not is None or empty."""

    name: str
    pictures: str
    scores: Table
    strips: tuple[_Strip, ...]
    colours: Table | None
    lowest: Table | None


def check_report() -> None:
    """Before the work, looks for what a report is made with, without loading it, which would count
    as memory of the models.

    Raises:
        ImportError: If it is not installed; says how to.
    """
    if not all(find_spec(package) for package in ("matplotlib", "jinja2")):
        raise ImportError('--report needs matplotlib and jinja2: pip install "derain[report]"')


def to_html(evaluations: Sequence[Evaluation], gallery: Gallery, made: date) -> str:
    """A page of tables, a plot, windows of pictures, and all that the figures depend on.

    Args:
        gallery: What was shown of the pictures as they were scored.
        made: The day it says it was made on.

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
    """Names may hold line ends, or bytes that are no text: they are shown as escapes, here for
    every value of the page.
    """
    return printable(value) if type(value) is str else value  # a subclass is markup


def _context(evaluations: Sequence[Evaluation], gallery: Gallery) -> dict[str, Any]:
    """What the template asks for, but for the date."""
    paired = [evaluation for evaluation in evaluations if evaluation.protocols]
    protocols = _protocols(evaluations)
    several = len({evaluation.dataset for evaluation in paired}) > 1
    return {
        "models": list(dict.fromkeys(evaluation.model for evaluation in evaluations)),
        "summary": _summary(evaluations),
        "machine": describe_machine(),
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
    """Names in it are escaped already."""
    from markupsafe import Markup

    from derain.evaluate.report.plot import psnr_plot

    return Markup(psnr_plot(paired, protocol))


def _summary(evaluations: Sequence[Evaluation]) -> str:
    """How many models, datasets and pictures."""
    totals = {evaluation.dataset: evaluation.total for evaluation in evaluations}
    models = len({evaluation.model for evaluation in evaluations})
    counts = [(models, "model"), (len(totals), "dataset"), (sum(totals.values()), "picture")]
    parts = [f"{count} {noun}{'' if count == 1 else 's'}" for count, noun in counts]
    return f"{parts[0]}, {parts[1]}, {parts[2]}"


def describe_machine() -> str:
    """Processor, threads, accelerator and versions, in one line."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        lines = cpuinfo.read_text(errors="replace").splitlines()
        model = next(
            (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")),
            model,
        )
    gpu = f", {torch.cuda.get_device_name()}" if torch.cuda.is_available() else ""
    threads = f"{os.cpu_count()} cores, PyTorch on {torch.get_num_threads()}"
    return f"derain {__version__}, torch {torch.__version__}, {model}, {threads}{gpu}"


def _sections(evaluations: Sequence[Evaluation], gallery: Gallery) -> Iterator[_Section]:
    """One a dataset, in order."""
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
    """Of pictures that a model scored; one that was interrupted may have left others."""
    for scene in exhibits.shown:
        first = next(
            (evaluation for evaluation in group if scene.name in _by_name(evaluation)), None
        )
        if first is not None:
            yield _strip(scene, first, group, protocol, exhibits)


def _strip(
    scene: Scene,
    first: Evaluation,
    group: Sequence[Evaluation],
    protocol: Protocol | None,
    exhibits: Exhibits,
) -> _Strip:
    """Rainy, every model, clean; the first model that scored the picture knows the input's
    figures.
    """
    window = scene.window
    place = f"{window.width}x{window.height} pixels at ({window.left}, {window.top})"
    about = f"{scene.name} of {first.dataset}"
    rainy = _Shot(
        "rainy input",
        data_uri(scene.rainy),
        f"rainy: {about}",
        _lines(first, scene.name, protocol, "rainy"),
    )
    models = [_shot(scene, evaluation, protocol, exhibits, about) for evaluation in group]
    clean = [_Shot("clean", data_uri(scene.clean), f"clean: {about}")] if scene.clean else []
    return _Strip(scene.name, place, (rainy, *models, *clean))


def _shot(
    scene: Scene, evaluation: Evaluation, protocol: Protocol | None, exhibits: Exhibits, about: str
) -> _Shot:
    """What a model made of it."""
    model = evaluation.model
    if model not in scene.outputs or scene.name not in _by_name(evaluation):
        return _Shot(model, None, "", ("not scored",))
    lines = _lines(evaluation, scene.name, protocol, "output")
    change = exhibits.changes.get(model, {}).get(scene.name)
    if change is not None:
        lines = (
            *lines,
            " ".join(
                f"{channel} {signed(float(level), 1)}"
                for channel, level in zip("RGB", change, strict=True)
            ),
        )
    return _Shot(model, data_uri(scene.outputs[model]), f"derained by {model}: {about}", lines)


def _lines(
    evaluation: Evaluation, name: str, protocol: Protocol | None, of: Side
) -> tuple[str, ...]:
    """PSNR of the whole picture, or NIQE where there is no clean twin."""
    picture = _by_name(evaluation)[name]
    if protocol:
        return (decibels(picture_psnr(picture, protocol, of)),)
    return (f"NIQE {getattr(picture.niqe, of):.2f}",) if picture.niqe else ()


def _by_name(evaluation: Evaluation) -> dict[str, PictureScore]:
    return {picture.name: picture for picture in evaluation.pictures}
