"""``derain evaluate`` scores models on datasets."""

import functools
import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from derain.cli.console import (
    STDOUT,
    check_ending,
    check_file,
    check_folder,
    complain,
    flag_of,
    interruptible,
    line_of,
    one_line_errors,
    result,
    say,
    show_traceback,
    shows_styles,
    warn,
)
from derain.cli.options import (
    CleanOption,
    DeviceOption,
    DtypeOption,
    EngineOption,
    ForceOption,
    LayoutOption,
    OverlapOption,
    RainyOption,
    TileOption,
)
from derain.cli.progress import Bars
from derain.cli.startup import lasting
from derain.errors import UnknownNameError, UsageError, check_choice

if TYPE_CHECKING:  # torch, which `derain --help` must not load
    from derain.data import PairedFolder, Place
    from derain.evaluate import Evaluation, Failure, Gallery, Model, Photographs
    from derain.metrics import NaturalModel, Protocol
    from derain.progress import Progress

InputsArgument = Annotated[
    list[str],
    typer.Argument(
        metavar="MODEL... DATA...",
        help="Weights, by name or file, and folders of pairs or of photographs.",
    ),
]
ProtocolOption = Annotated[
    list[str] | None,
    typer.Option(help="Protocol: y-matlab, y-pil or rgb. May be repeated. Default: all."),
]
NiqeOption = Annotated[
    Path | None,
    typer.Option(
        metavar="CLEAN",
        help="Also score by NIQE, against a folder of clean pictures or a saved NIQE model.",
    ),
]
SaveNiqeOption = Annotated[
    Path | None, typer.Option("--save-niqe", help="Save the NIQE model to a file for --niqe.")
]
PerPictureOption = Annotated[
    bool, typer.Option("--per-picture", help="Print a row for every picture.")
]
CsvOption = Annotated[
    Path | None,
    typer.Option("--csv", help="Write the table to a file; - prints it instead of Markdown."),
]
JsonOption = Annotated[
    Path | None,
    typer.Option("--json", help="Write all scores to a file; - prints them instead of Markdown."),
]
ReportOption = Annotated[
    Path | None,
    typer.Option("--report", help="Write tables, a plot and crops to an HTML file."),
]
SaveOption = Annotated[
    Path | None,
    typer.Option("--save", help="Save results as PNG in a folder. Existing results are kept."),
]


def evaluate(
    inputs: InputsArgument,
    protocol: ProtocolOption = None,
    niqe: NiqeOption = None,
    save_niqe: SaveNiqeOption = None,
    per_picture: PerPictureOption = False,
    csv: CsvOption = None,
    json: JsonOption = None,
    report: ReportOption = None,
    layout: LayoutOption = None,
    rainy: RainyOption = None,
    clean: CleanOption = None,
    save: SaveOption = None,
    force: ForceOption = False,
    device: DeviceOption = "auto",
    dtype: DtypeOption = "auto",
    engine: EngineOption = "auto",
    tile: TileOption = None,
    overlap: OverlapOption = None,
) -> None:
    """Score models on pairs of pictures, and measure their cost.

    Photographs without ground truth are scored by NIQE (lower is better) against your own clean
    pictures. The figures of a network's paper are printed beside the measured ones, in italics, or
    in grey on a terminal. With --save, the same command finishes interrupted work.
    """
    with lasting():
        from derain.evaluate import Scoring, compare, find_models
        from derain.restore import load

    places = _Places(csv, json, report, save_niqe, save)
    settings: dict[str, Any] = {"device": device, "dtype": dtype, "engine": engine}
    settings |= {"tile": tile, "overlap": overlap}
    outcomes = _Outcomes(saved=save is not None)
    try:
        with one_line_errors(), Bars() as bars, interruptible(outcomes.describe_interrupted):
            # What can be refused is refused first: names, places, weights, packages, folders.
            protocols = _protocols(protocol)
            _check_places(places, niqe)
            sources, folders = _sort(inputs, rainy, clean)
            _check_settings(sources, settings)
            _check_writing(places, force=force)
            models = find_models(sources)
            outcomes.gallery = _gallery(len(models)) if report else None
            datasets = _find_datasets(folders, layout, outcomes, photographs=niqe is not None)
            outcomes.expect(len(models), datasets)
            _check_tables(places, models, datasets, force=force)
            natural = _natural(niqe, save_niqe, bars) if niqe else None
            scoring = Scoring(protocols, natural, save, keep=not force)
            loading = functools.partial(load, **settings)
            progress, gallery = outcomes.counting(bars), outcomes.gallery
            for outcome in compare(
                models, datasets, scoring, loading, gallery=gallery, progress=progress
            ):
                outcomes.add(outcome)
    finally:  # what is done by then is not lost, whatever ended it
        all_written = _print(outcomes, places, per_picture=per_picture)
    if outcomes.failed or not all_written:
        raise typer.Exit(1)


def _check_settings(sources: Sequence[str], settings: dict[str, Any]) -> None:
    """Refuse names and numbers that can be meant for no model, before anything is loaded.

    Raises:
        FileNotFoundError: If there are no such weights.
        UsageError: If something else cannot be meant.
    """
    from derain.restore import check_asked

    for source in sources:
        check_asked(source, **settings)


def _protocols(names: Sequence[str] | None) -> "list[Protocol]":
    """Return the protocols asked for, in their usual order; all without names.

    Raises:
        UsageError: If one is unknown.
    """
    from derain.metrics import PROTOCOLS

    for name in names or []:
        check_choice(name, PROTOCOLS, "protocol")
    return [known for known in PROTOCOLS if not names or known in names]


@dataclass(frozen=True)
class _Places:
    """Where the user wants things to be written."""

    csv: Path | None
    json: Path | None
    report: Path | None
    save_niqe: Path | None
    save: Path | None

    @property
    def on_stdout(self) -> "_Places":
        """Those on standard output alone."""
        csv, json = (STDOUT if path == STDOUT else None for path in (self.csv, self.json))
        return _Places(csv, json, None, None, None)

    @property
    def files(self) -> list[Path]:
        """All except the folder and the standard output."""
        return [
            path
            for path in (self.csv, self.json, self.report, self.save_niqe)
            if path is not None and path != STDOUT
        ]


def _check_places(places: _Places, niqe: Path | None) -> None:
    """Refuse places that cannot be meant.

    These are two things in one place, a page or a folder on standard output, and a NIQE model to
    write where there is none.

    Raises:
        UsageError: If there is such a place.
    """
    given = {name: path for name, path in vars(places).items() if path is not None}
    for (first, one), (second, other) in itertools.combinations(given.items(), 2):
        if one.resolve() == other.resolve():
            expected = f"{flag_of(second)} writes there, too; expected two different files"
            raise UsageError(expected, option=first, value=one)
    for name, what in (("report", "file"), ("save_niqe", "file"), ("save", "folder")):
        if given.get(name) == STDOUT:
            expected = f"only tables go to standard output; expected a {what}"
            raise UsageError(expected, option=name, value=STDOUT)
    if places.save_niqe is not None and niqe is None:
        missing = "no model to write without --niqe CLEAN"
        raise UsageError(missing, option="save_niqe", value=places.save_niqe)


def _check_writing(places: _Places, *, force: bool) -> None:
    """Check before the work that everything can be written.

    Where a file is to lie in the folder of results, the folder is made.

    Raises:
        OSError: If something cannot be written.
        UsageError: If a file is named for something else than what goes into it.
    """
    from derain.evaluate import has_scores, holds_results

    save = places.save
    if save is not None:
        # Each model's results are looked at before they are kept.
        check_folder(save, force=force or (save.is_dir() and holds_results(save)))
    # Tables beside results may be those of this very command, see `_check_tables`.
    resumes = save is not None and save.is_dir() and has_scores(save)
    for path in places.files:
        check_file(path, force=force or resumes, within=save)
    check_ending(places.csv, (".csv", ".txt"), "csv")
    check_ending(places.json, (".json",), "json")
    check_ending(places.report, (".html", ".htm"), "report")
    check_ending(places.save_niqe, (".json",), "save_niqe")
    if save is not None and any(path.parent.resolve() == save.resolve() for path in places.files):
        save.mkdir(parents=True, exist_ok=True)


def _check_tables(
    places: _Places,
    models: "Sequence[Model]",
    datasets: "Sequence[PairedFolder | Photographs]",
    *,
    force: bool,
) -> None:
    """Check that only tables are overwritten that results of this command lie beside.

    Results of other settings are refused before a table is written.

    Raises:
        ExistsError: If there are others.
    """
    from derain.evaluate import were_saved

    if places.save is not None and were_saved(models, datasets, places.save):
        return
    for path in places.files:
        check_file(path, force=force, within=places.save)


def _sort(
    inputs: Sequence[str], rainy: Path | None, clean: Path | None
) -> "tuple[list[str], list[Place]]":
    """Return the models and the folders among the arguments, at least one of each.

    Two folders that options name come last.

    Raises:
        UnknownNameError: If there are no models, or no folders.
    """
    from derain.data import named_folders
    from derain.evaluate import sort_inputs
    from derain.files import listed
    from derain.weights import CATALOGUE

    models, found = sort_inputs(inputs)
    both = named_folders(rainy, clean)
    folders: list[Place] = [*found, both] if both else [*found]
    if not folders:
        missing = [name for name in models if name not in CATALOGUE and not Path(name).exists()]
        more = f"; there is no {listed(missing)}" if missing else ""
        raise UnknownNameError(f"no folder of pairs among {', '.join(inputs)}{more}")
    if not models:
        raise UnknownNameError("no model; expected a name such as petrichor, or a weights file")
    return models, folders


def _gallery(models: int) -> "Gallery":
    """Return what keeps pictures for the report.

    Raises:
        MissingExtraError: If what the report is made with is not installed.
    """
    from derain.evaluate import Gallery, check_report

    check_report()
    return Gallery(models)


def _find_datasets(
    folders: "Sequence[Place]", layout: str | None, outcomes: "_Outcomes", *, photographs: bool
) -> "list[PairedFolder | Photographs]":
    """Return the datasets; what is wrong with them is named."""
    from derain.data import NoPairsError, PairedFolder, check_layout, layout_named
    from derain.data.audit.exchanged import warning_if_exchanged
    from derain.evaluate import find_datasets

    pairs_layout = layout_named(layout)
    check_layout(pairs_layout, folders)
    try:
        datasets, problems = find_datasets(folders, pairs_layout, photographs=photographs)
    except NoPairsError as error:
        raise NoPairsError(
            f"{error}; photographs without ground truth are scored with --niqe CLEAN"
        ) from error
    for problem in problems:
        outcomes.fail(problem.message)
    for dataset in datasets:
        if isinstance(dataset, PairedFolder) and (warning := warning_if_exchanged(dataset)):
            warn(warning)
    return datasets


def _natural(place: Path, save: Path | None, bars: Bars) -> "NaturalModel":
    """Return the model of clean pictures that NIQE compares with, written to a file if asked."""
    from derain.evaluate import natural_model
    from derain.files import write_file
    from derain.metrics.niqe import to_json

    model = natural_model(place, bars)
    bars.remove(f"NIQE of {place}")
    say(f"NIQE: {model.describe()}")
    if save is not None:
        write_file(save, to_json(model).encode())
    return model


@dataclass
class _Outcomes:
    """What has come of the work so far.

    Attributes:
        evaluations: Scores, for the tables.
        gallery: Pictures for the report; None if it is not asked for.
        failed: Whether something could not be scored.
        saved: Whether results are saved as they are scored.
        interrupted: Whether the user ended the work.
        pictures: How many there are to score, each model's for itself.
        done: How many of them are done, for each model on each dataset.
    """

    evaluations: "list[Evaluation]" = field(default_factory=list)
    gallery: "Gallery | None" = None
    failed: bool = False
    saved: bool = False
    interrupted: bool = False
    pictures: int = 0
    done: dict[str, int] = field(default_factory=dict[str, int])

    def expect(self, models: int, datasets: "Sequence[PairedFolder | Photographs]") -> None:
        """Count what there is to do."""
        self.pictures = models * sum(len(dataset) for dataset in datasets)

    def counting(self, bars: Bars) -> "Progress":
        """Return a progress that counts what is done, and shows it."""

        def show(stage: str, done: int, total: int) -> None:
            self.done[stage] = done
            bars(stage, done, total)

        return show

    def describe_interrupted(self) -> str:
        """Return what was done by the time of an interruption."""
        self.interrupted = True
        ending = (
            "run the same command again to continue"
            if self.saved
            else "--save DIR would keep the results"
        )
        return f"{sum(self.done.values())} of {self.pictures} done; {ending}"

    def add(self, outcome: "Evaluation | Failure") -> None:
        """Keep an evaluation, or name a failure."""
        from derain.evaluate import Failure
        from derain.files import printable

        if isinstance(outcome, Failure):
            show_traceback(outcome.error)
            text, place = line_of(outcome.error), printable(outcome.path)
            self.fail(text if place in text else f"{place}: {text}")
            return
        self.evaluations.append(outcome)
        unscored = len(outcome.unscored)
        left_out = f", {unscored} of {outcome.total} could not be scored" if unscored else ""
        kept = f", {outcome.kept} of {outcome.total} already exist and are kept"
        left_out += kept if outcome.kept else ""
        say(f"{printable(f'{outcome.model} on {outcome.dataset}')}: done{left_out}")

    def fail(self, message: str) -> None:
        """Name something that could not be scored."""
        self.failed = True
        complain(f"error: {message}")


def _print(outcomes: _Outcomes, places: _Places, *, per_picture: bool) -> bool:
    """Print tables and write them to files, if there is anything in them.

    What becomes of one does not keep the others from being written. Where an interrupted command
    can be continued, its files are written when it is done.

    Returns:
        Whether everything could be written.
    """
    from derain.evaluate import to_csv, to_json

    evaluations, gallery = outcomes.evaluations, outcomes.gallery
    if not evaluations:
        return True
    if outcomes.interrupted and places.save is not None:
        places = places.on_stdout
        gallery = None
    steps: list[Callable[[], None]] = []
    if STDOUT not in (places.csv, places.json):
        steps.append(lambda: _print_markdown(evaluations, per_picture=per_picture))
    steps.append(lambda: _write(places.csv, to_csv(evaluations)))
    steps.append(lambda: _write(places.json, to_json(evaluations)))
    if gallery is not None:
        steps.append(lambda: _write_report(places.report, evaluations, gallery))
    return all([_done(step) for step in steps])  # noqa: C419 (every step is taken)


def _done(step: Callable[[], None]) -> bool:
    """Take a step; return whether it could be taken, after saying why not."""
    try:
        with one_line_errors():
            step()
    except typer.Exit:
        return False
    return True


def _print_markdown(evaluations: "Sequence[Evaluation]", *, per_picture: bool) -> None:
    from derain.evaluate import PAPER_MARK, to_markdown

    for line in to_markdown(evaluations, per_picture=per_picture).splitlines():
        result(typer.style(line, dim=True) if PAPER_MARK in line and shows_styles() else line)


def _write(path: Path | None, table: str) -> None:
    from derain.files import write_file

    if path == STDOUT:
        result(table.rstrip("\n"))
    elif path is not None:
        # A path in the table may hold bytes that are not text.
        write_file(path, table.encode("utf-8", "surrogateescape"))


def _write_report(
    path: Path | None, evaluations: "Sequence[Evaluation]", gallery: "Gallery"
) -> None:
    from datetime import date

    from derain.evaluate import to_html

    _write(path, to_html(evaluations, gallery, date.today()))
