"""derain evaluate: models and datasets in, scores out."""

import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from derain.cli.console import DEVICE_HELP, DTYPE_HELP, LAYOUT_HELP, TILE_HELP, one_line_errors, progress_bar, say

if TYPE_CHECKING:
    from rich.progress import Progress

    from derain.data import Layout, PairedFolder, Problem
    from derain.evaluate import Evaluation, Photographs
    from derain.metrics import NaturalModel, Protocol
    from derain.restore import Derainer

STDOUT = Path("-")


def evaluate(
    inputs: Annotated[
        list[str],
        typer.Argument(metavar="MODEL... DATA...", help="Weights, by name or file; folders of pairs, or of photographs."),
    ],
    protocol: Annotated[list[str] | None, typer.Option(help="y-matlab, y-pil or rgb; may be repeated. Default: all.")] = None,
    niqe: Annotated[
        Path | None,
        typer.Option(metavar="CLEAN", help="Score by NIQE too: a folder of clean pictures to compare with, or a saved model."),
    ] = None,
    save_niqe: Annotated[Path | None, typer.Option("--save-niqe", help="Write the NIQE model to a file, for --niqe.")] = None,
    per_picture: Annotated[bool, typer.Option("--per-picture", help="A row for every picture too.")] = False,
    csv: Annotated[Path | None, typer.Option("--csv", help="Write the table to a file; - prints it instead of Markdown.")] = None,
    json: Annotated[Path | None, typer.Option("--json", help="Write all scores to a file; - prints them instead.")] = None,
    layout: Annotated[str | None, typer.Option(help=LAYOUT_HELP)] = None,
    save: Annotated[Path | None, typer.Option("--save", help="Folder for the results, as PNG.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite what is there.")] = False,
    device: Annotated[str, typer.Option(help=DEVICE_HELP)] = "auto",
    dtype: Annotated[str, typer.Option(help=DTYPE_HELP)] = "auto",
    tile: Annotated[int | None, typer.Option(help=TILE_HELP)] = None,
    overlap: Annotated[int | None, typer.Option(help="Pixels that tiles share.")] = None,
) -> None:
    """Score models on pairs of rainy and clean pictures, by named protocols, with what each costs.

    Photographs without clean twins are scored by NIQE (lower is better) against clean pictures of your own. Figures that a
    network's own paper prints stand beside the measured ones, in italics, and in grey on a terminal.
    """
    from derain.data import layout_named
    from derain.restore import load

    protocols = _protocols(protocol)
    _check_places(csv, json, niqe, save_niqe)
    models, folders = _sort(inputs)
    labels = _labels([Path(name) for name in models])
    evaluations: list[Evaluation] = []
    with one_line_errors(), progress_bar() as bar:
        for path in (csv, json, save, save_niqe):
            if path is not None and path != STDOUT and path.exists() and not force:
                raise FileExistsError(f"{path} is there already; --force overwrites it")
        problems: list[Problem] = []
        datasets = list(_datasets(folders, layout_named(layout), problems, photographs=niqe is not None))
        for problem in problems:
            say(f"error: {problem.message}")
        natural = _natural(niqe, save_niqe, bar) if niqe else None
        run = _Run(datasets, protocols, natural, save, bar)
        for model, label in zip(models, labels, strict=True):
            derainer = load(model, device=device, dtype=dtype, tile=tile, overlap=overlap)
            derainer.name = label
            evaluations += run.evaluate(derainer)
    _print(evaluations, per_picture, csv, json)
    if run.failed or problems:
        raise typer.Exit(1)


def _protocols(names: Sequence[str] | None) -> "list[Protocol]":
    from typing import get_args

    from derain import metrics

    unknown = [name for name in names or [] if name not in get_args(metrics.Protocol)]
    if unknown:
        raise typer.BadParameter(f"{unknown[0]}: expected one of {', '.join(metrics.PROTOCOLS)}", param_hint="--protocol")
    return [known for known in metrics.PROTOCOLS if not names or known in names]


def _check_places(csv: Path | None, json: Path | None, niqe: Path | None, save_niqe: Path | None) -> None:
    if csv is not None and csv == json:
        raise typer.BadParameter(f"both to {csv}: expected two places", param_hint="--csv and --json")
    if save_niqe is not None and niqe is None:
        raise typer.BadParameter(f"{save_niqe}: no model to write without --niqe CLEAN", param_hint="--save-niqe")
    if save_niqe == STDOUT:
        raise typer.BadParameter("-: expected a file; scores are printed, the model is not", param_hint="--save-niqe")


def _datasets(
    folders: list[Path], layout: "Layout | None", problems: "list[Problem]", *, photographs: bool
) -> "Iterator[PairedFolder | Photographs]":
    """What the folders hold: pairs, or photographs where these can be scored; what has no twin is added to the problems."""
    from derain.data import NoPairsError, survey
    from derain.evaluate import find_photographs

    for folder, label in zip(folders, _labels(folders), strict=True):
        try:
            found, wrong = survey(folder, layout)
            problems += [problem for problem in wrong if problem.unsound]
            yield replace(found, name=label)
        except NoPairsError as error:
            if not photographs:
                raise NoPairsError(f"{error}; photographs without clean twins are scored with --niqe CLEAN") from error
            yield replace(find_photographs(folder), name=label)


def _natural(place: Path, save: Path | None, bar: "Progress") -> "NaturalModel":
    """The model of clean pictures that NIQE compares with, written to a file if asked for."""
    from derain.evaluate import natural_model
    from derain.images import write_file
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
    """All datasets for one model after the other; what cannot be scored is named, and the rest done."""

    datasets: "list[PairedFolder | Photographs]"
    protocols: "list[Protocol]"
    natural: "NaturalModel | None"
    save: Path | None
    bar: "Progress"
    failed: bool = False

    def __post_init__(self) -> None:
        from derain.evaluate import identity

        self._data = [identity(dataset) for dataset in self.datasets]

    def evaluate(self, derainer: "Derainer") -> "Iterator[Evaluation]":
        """A model's scores on each dataset, but for those of which nothing can be scored."""
        from derain.evaluate import evaluate

        for dataset, data in zip(self.datasets, self._data, strict=True):
            task = self.bar.add_task(f"{derainer.name} on {dataset.name}", total=None)
            place = self.save / _as_file_name(derainer.name) / _as_file_name(dataset.name) if self.save else None
            try:
                evaluation = evaluate(
                    derainer,
                    dataset,
                    self.protocols,
                    natural=self.natural,
                    data=data,
                    save_to=place,
                    on_picture=lambda done, total, task=task: self.bar.update(task, completed=done, total=total),
                    on_failure=self._name,
                )
            except ValueError as error:
                self._name(Path(dataset.name), error)
                continue
            left_out = f", {len(evaluation.unscored)} of {evaluation.total} could not be scored" if evaluation.unscored else ""
            say(f"{derainer.name} on {dataset.name}: done{left_out}")
            yield evaluation

    def _name(self, path: Path, error: Exception) -> None:
        from derain.batch import reason

        self.failed = True
        text = reason(error)
        say(f"error: {text if str(path) in text else f'{path}: {text}'}")


def _print(evaluations: "list[Evaluation]", per_picture: bool, csv: Path | None, json: Path | None) -> None:
    """The tables, where there is anything in them, on stdout and to files."""
    from derain.evaluate import PAPER_MARK, to_csv, to_json, to_markdown
    from derain.images import write_file

    if not evaluations:
        return
    if STDOUT not in (csv, json):
        for line in to_markdown(evaluations, per_picture=per_picture).splitlines():
            typer.echo(typer.style(line, dim=True) if PAPER_MARK in line and sys.stdout.isatty() else line)
    with one_line_errors():
        for path, text in ((csv, to_csv), (json, to_json)):
            if path == STDOUT:
                typer.echo(text(evaluations).rstrip("\n"))
            elif path is not None:
                write_file(path, text(evaluations).encode())


def _labels(paths: list[Path]) -> list[str]:
    """Short names that tell them apart: the last part of a path, or all of it where two end alike."""
    names = [path.resolve().name if path.is_dir() else path.name for path in paths]
    return [name if names.count(name) == 1 else str(path) for name, path in zip(names, paths, strict=True)]


def _as_file_name(label: str) -> str:
    return re.sub(r"[^\w.-]+", "_", label).strip("._") or "_"


def _sort(inputs: list[str]) -> tuple[list[str], list[Path]]:
    """Folders and lists are data, but for those that hold CRDNet's parts; the rest models; each once."""
    from derain.weights.published import is_checkpoint

    inputs = list(dict.fromkeys(inputs))
    folders = [Path(name) for name in inputs if _is_data(Path(name)) and not is_checkpoint(Path(name))]
    models = [name for name in inputs if Path(name) not in folders]
    if not folders:
        raise typer.BadParameter(f"no folder of pairs among {', '.join(inputs)}", param_hint="DATA")
    if not models:
        raise typer.BadParameter("no model: expected a name such as nledn, or a weights file", param_hint="MODEL")
    return models, folders


def _is_data(path: Path) -> bool:
    """A folder, or a list of pairs."""
    return path.is_dir() or (path.is_file() and path.suffix.lower() == ".txt")
