"""derain evaluate: models and datasets in, scores out."""

import itertools
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from derain.cli.console import (
    DEVICE_HELP,
    DTYPE_HELP,
    ENGINE_HELP,
    LAYOUT_HELP,
    STDOUT,
    TILE_HELP,
    check_file,
    check_folder,
    on_terminal,
    one_line_errors,
    progress_bar,
    result,
    say,
)

if TYPE_CHECKING:
    from rich.progress import Progress

    from derain.data import Layout, PairedFolder, Problem
    from derain.evaluate import Evaluation, Gallery, Photographs
    from derain.metrics import NaturalModel, Protocol
    from derain.restore import Derainer


def evaluate(
    inputs: Annotated[
        list[str],
        typer.Argument(
            metavar="MODEL... DATA...",
            help="Weights, by name or file; folders of pairs, or of photographs.",
        ),
    ],
    protocol: Annotated[
        list[str] | None,
        typer.Option(help="y-matlab, y-pil or rgb; may be repeated. Default: all."),
    ] = None,
    niqe: Annotated[
        Path | None,
        typer.Option(
            metavar="CLEAN",
            help="Score by NIQE too: a folder of clean pictures to compare with, or a saved model.",
        ),
    ] = None,
    save_niqe: Annotated[
        Path | None, typer.Option("--save-niqe", help="Write the NIQE model to a file, for --niqe.")
    ] = None,
    per_picture: Annotated[
        bool, typer.Option("--per-picture", help="A row for every picture too.")
    ] = False,
    csv: Annotated[
        Path | None,
        typer.Option("--csv", help="Write the table to a file; - prints it instead of Markdown."),
    ] = None,
    json: Annotated[
        Path | None,
        typer.Option("--json", help="Write all scores to a file; - prints them instead."),
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option("--report", help="Write tables, a plot and crops as a page to an HTML file."),
    ] = None,
    layout: Annotated[str | None, typer.Option(help=LAYOUT_HELP)] = None,
    save: Annotated[
        Path | None, typer.Option("--save", help="Folder for the results, as PNG.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite what is there.")] = False,
    device: Annotated[str, typer.Option(help=DEVICE_HELP)] = "auto",
    dtype: Annotated[str, typer.Option(help=DTYPE_HELP)] = "auto",
    engine: Annotated[str, typer.Option(help=ENGINE_HELP)] = "auto",
    tile: Annotated[int | None, typer.Option(help=TILE_HELP)] = None,
    overlap: Annotated[int | None, typer.Option(help="Pixels that tiles share.")] = None,
) -> None:
    """Score models on pairs of rainy and clean pictures, by named protocols, with what each costs.

    Photographs without clean twins are scored by NIQE (lower is better) against clean pictures of
    your own. Figures that a network's own paper prints stand beside the measured ones, in italics,
    and in grey on a terminal.
    """
    from derain.data import layout_named
    from derain.restore import load

    protocols = _protocols(protocol)
    places = _Places(csv, json, report, save_niqe, save)
    _check_places(places, niqe)
    evaluations: list[Evaluation] = []
    gallery: Gallery | None = None
    failed = True
    try:
        with one_line_errors(), progress_bar() as bar:
            models, folders = _sort(inputs)
            _check_writing(places, force=force)
            _check_models(models)
            gallery = _gallery(len(models)) if report else None
            problems: list[Problem] = []
            datasets = list(
                _datasets(folders, layout_named(layout), problems, photographs=niqe is not None)
            )
            for problem in problems:
                say(f"error: {problem.message}")
            natural = _natural(niqe, save_niqe, bar) if niqe else None
            run = _Run(datasets, protocols, natural, bar, gallery)
            labels = _labels([Path(name) for name in models])
            for model, label, folder in zip(models, labels, _folder_names(labels), strict=True):
                derainer = load(
                    model, device=device, dtype=dtype, tile=tile, overlap=overlap, engine=engine
                )
                derainer.name = label
                evaluations.extend(run.evaluate(derainer, save / folder if save else None))
        failed = run.failed or bool(problems)
    finally:  # what is done by then is not lost, whatever ended it
        failed |= not _print(evaluations, per_picture, places, gallery)
    if failed:
        raise typer.Exit(1)


def _protocols(names: Sequence[str] | None) -> "list[Protocol]":
    from typing import get_args

    from derain import metrics

    unknown = [name for name in names or [] if name not in get_args(metrics.Protocol)]
    if unknown:
        raise typer.BadParameter(
            f"{unknown[0]}: expected one of {', '.join(metrics.PROTOCOLS)}", param_hint="--protocol"
        )
    return [known for known in metrics.PROTOCOLS if not names or known in names]


@dataclass(frozen=True)
class _Places:
    """Where the user wants things to be written."""

    csv: Path | None
    json: Path | None
    report: Path | None
    save_niqe: Path | None
    save: Path | None

    @property
    def files(self) -> list[Path]:
        """All but the folder and the standard output."""
        return [
            path
            for path in (self.csv, self.json, self.report, self.save_niqe)
            if path is not None and path != STDOUT
        ]


def _check_places(places: _Places, niqe: Path | None) -> None:
    """Refuses what cannot be meant: two things in one place, what is no table on stdout, a NIQE
    model of nothing.
    """
    given = {f"--{name.replace('_', '-')}": path for name, path in vars(places).items()}
    for (first, one), (second, other) in itertools.combinations(given.items(), 2):
        if one is not None and other is not None and one.resolve() == other.resolve():
            raise typer.BadParameter(
                f"both to {one}: expected two places", param_hint=f"{first} and {second}"
            )
    for flag, what in (("--report", "file"), ("--save-niqe", "file"), ("--save", "folder")):
        if given[flag] == STDOUT:
            raise typer.BadParameter(
                f"-: only tables go to standard output; expected a {what}", param_hint=flag
            )
    if places.save_niqe is not None and niqe is None:
        raise typer.BadParameter(
            f"{places.save_niqe}: no model to write without --niqe CLEAN", param_hint="--save-niqe"
        )


def _check_writing(places: _Places, *, force: bool) -> None:
    """Before the work; makes the folder of results where another file is to lie in it.

    Raises:
        OSError: If something cannot be written.
    """
    save = places.save
    if save is not None:
        check_folder(save, force=force)
    for path in places.files:
        check_file(path, force=force, within=save)
    if save is not None and any(path.parent.resolve() == save.resolve() for path in places.files):
        save.mkdir(parents=True, exist_ok=True)


def _check_models(models: Sequence[str]) -> None:
    """Of several models, that each is one: a wrong name is told before the work rather than after
    half of it.

    Raises:
        FileNotFoundError: If there are no such weights.
        derain.weights.WeightsError: If a file is none of a network known here.
    """
    from derain.engines import Exported, is_exported
    from derain.weights import find

    for model in models if len(models) > 1 else ():
        if is_exported(Path(model)):
            Exported.read(Path(model))
        else:
            find(model)


def _gallery(models: int) -> "Gallery":
    """Where pictures for the report go.

    Raises:
        ImportError: If what the report is made with is not installed.
    """
    from derain.evaluate import Gallery, check_report

    check_report()
    return Gallery(models)


def _datasets(
    folders: list[Path], layout: "Layout | None", problems: "list[Problem]", *, photographs: bool
) -> "Iterator[PairedFolder | Photographs]":
    """What the folders hold: pairs, or photographs where these can be scored; what has no twin is
    added to the problems.
    """
    from derain.data import NoPairsError, survey
    from derain.evaluate import find_photographs

    for folder, label in zip(folders, _labels(folders), strict=True):
        try:
            found, wrong = survey(folder, layout)
            problems += [problem for problem in wrong if problem.unsound]
            yield replace(found, name=label)
        except NoPairsError as error:
            if not photographs:
                raise NoPairsError(
                    f"{error}; photographs without clean twins are scored with --niqe CLEAN"
                ) from error
            yield replace(find_photographs(folder), name=label)


def _natural(place: Path, save: Path | None, bar: "Progress") -> "NaturalModel":
    """The model of clean pictures that NIQE compares with, written to a file if asked for."""
    from derain.evaluate import natural_model
    from derain.files import write_file
    from derain.metrics.niqe import to_json

    task = bar.add_task(f"NIQE of {place}", total=None)
    model = natural_model(place, lambda done, total: bar.update(task, completed=done, total=total))
    bar.remove_task(task)
    say(f"NIQE: {model.describe()}")
    if save is not None:
        write_file(save, to_json(model).encode())
    return model


@dataclass
class _Run:
    """All datasets for one model after the other; what cannot be scored is named, and the rest
    done.
    """

    datasets: "list[PairedFolder | Photographs]"
    protocols: "list[Protocol]"
    natural: "NaturalModel | None"
    bar: "Progress"
    gallery: "Gallery | None" = None
    failed: bool = False

    def __post_init__(self) -> None:
        from derain.evaluate import identity

        self._data = [identity(dataset) for dataset in self.datasets]
        self._folders = _folder_names([dataset.name for dataset in self.datasets])

    def evaluate(self, derainer: "Derainer", save: Path | None) -> "Iterator[Evaluation]":
        """A model's scores on each dataset, but for those of which nothing can be scored.

        Args:
            save: Folder for the results, which get one each dataset.
        """
        from derain.evaluate import evaluate
        from derain.files import printable

        for dataset, data, folder in zip(self.datasets, self._data, self._folders, strict=True):
            title = printable(f"{derainer.name} on {dataset.name}")
            task = self.bar.add_task(title, total=None)
            try:
                evaluation = evaluate(
                    derainer,
                    dataset,
                    self.protocols,
                    natural=self.natural,
                    data=data,
                    save_to=save / folder if save else None,
                    on_picture=lambda done, total, task=task: self.bar.update(
                        task, completed=done, total=total
                    ),
                    on_failure=self._name,
                    on_result=(
                        self.gallery.on_result(derainer.name, dataset) if self.gallery else None
                    ),
                )
            except ValueError as error:
                self._name(Path(dataset.name), error)
                continue
            left_out = (
                f", {len(evaluation.unscored)} of {evaluation.total} could not be scored"
                if evaluation.unscored
                else ""
            )
            say(f"{title}: done{left_out}")
            yield evaluation

    def _name(self, path: Path, error: Exception) -> None:
        from derain.errors import reason
        from derain.files import printable

        self.failed = True
        text, place = printable(reason(error)), printable(path)
        say(f"error: {text if place in text else f'{place}: {text}'}")


def _print(
    evaluations: "list[Evaluation]", per_picture: bool, places: _Places, gallery: "Gallery | None"
) -> bool:
    """The tables, where there is anything in them, on stdout and to files; what becomes of one is
    nothing to the others.

    Args:
        gallery: Pictures for the report; None if none was asked for.

    Returns:
        Whether all could be written.
    """
    from derain.evaluate import to_csv, to_json

    if not evaluations:
        return True
    steps = [
        lambda: (
            _print_markdown(evaluations, per_picture=per_picture)
            if STDOUT not in (places.csv, places.json)
            else None
        ),
        lambda: _write(places.csv, to_csv(evaluations)),
        lambda: _write(places.json, to_json(evaluations)),
        lambda: _write_report(places.report, evaluations, gallery) if gallery else None,
    ]
    failed = [step for step in steps if not _done(step)]
    return not failed


def _done(step: Callable[[], None]) -> bool:
    """Whether it could be done; if not, says why."""
    try:
        with one_line_errors():
            step()
    except typer.Exit:
        return False
    return True


def _print_markdown(evaluations: "list[Evaluation]", *, per_picture: bool) -> None:
    from derain.evaluate import PAPER_MARK, to_markdown

    for line in to_markdown(evaluations, per_picture=per_picture).splitlines():
        result(typer.style(line, dim=True) if PAPER_MARK in line and on_terminal() else line)


def _write(path: Path | None, table: str) -> None:
    from derain.files import write_file

    if path == STDOUT:
        result(table.rstrip("\n"))
    elif path is not None:
        write_file(
            path, table.encode("utf-8", "surrogateescape")
        )  # a path may hold bytes that are no text


def _write_report(path: Path | None, evaluations: "list[Evaluation]", gallery: "Gallery") -> None:
    from datetime import date

    from derain.evaluate import to_html

    _write(path, to_html(evaluations, gallery, date.today()))


def _labels(paths: list[Path]) -> list[str]:
    """Short names that tell them apart: the last part of a path, or all of it where two end
    alike.
    """
    names = [path.resolve().name if path.is_dir() else path.name for path in paths]
    return [
        name if names.count(name) == 1 else str(path)
        for name, path in zip(names, paths, strict=True)
    ]


def _folder_names(labels: Sequence[str]) -> list[str]:
    """A folder's name for each, none twice."""
    from derain.evaluate import numbered

    return numbered([re.sub(r"[^\w.-]+", "_", label).strip("._") or "_" for label in labels])


def _sort(inputs: Sequence[str]) -> tuple[list[str], list[Path]]:
    """Folders and lists are data, but for those that hold CRDNet's parts; the rest models; each
    once, however it is spelt.

    Raises:
        OSError: If a name cannot be one.
    """
    from derain.weights import CATALOGUE
    from derain.weights.authors import is_checkpoint

    folders: dict[Path, Path] = {}
    models: dict[str, str] = {}
    for name in inputs:
        path = Path(name)
        if _is_data(path) and not is_checkpoint(path):
            folders.setdefault(path.resolve(), path)
        else:
            models.setdefault(name if name in CATALOGUE else str(path.resolve()), name)
    if not folders:
        raise typer.BadParameter(f"no folder of pairs among {', '.join(inputs)}", param_hint="DATA")
    if not models:
        raise typer.BadParameter(
            "no model: expected a name such as petrichor, or a weights file", param_hint="MODEL"
        )
    return list(models.values()), list(folders.values())


def _is_data(path: Path) -> bool:
    """A folder, or a list of pairs."""
    return path.is_dir() or (path.is_file() and path.suffix.lower() == ".txt")
