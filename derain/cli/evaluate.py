"""derain evaluate: models and paired datasets in, scores out."""

import re
import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from derain.cli.console import DEVICE_HELP, DTYPE_HELP, LAYOUT_HELP, TILE_HELP, one_line_errors, progress_bar, say

STDOUT = Path("-")


def evaluate(
    inputs: Annotated[list[str], typer.Argument(metavar="MODEL... DATA...", help="Weights, by name or file; folders of pairs.")],
    protocol: Annotated[list[str] | None, typer.Option(help="y-matlab, y-pil or rgb; may be repeated. Default: all.")] = None,
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

    Figures that a network's own paper prints stand beside the measured ones, in italics, and in grey on a terminal.
    """
    from typing import get_args

    from derain import metrics
    from derain.data import find_pairs, layout_named
    from derain.evaluate import PAPER_MARK, Evaluation, to_csv, to_json, to_markdown
    from derain.evaluate import evaluate as evaluate_pairs
    from derain.images import write_file
    from derain.restore import load

    unknown = [name for name in protocol or [] if name not in get_args(metrics.Protocol)]
    if unknown:
        raise typer.BadParameter(f"{unknown[0]}: expected one of {', '.join(metrics.PROTOCOLS)}", param_hint="--protocol")
    protocols: list[metrics.Protocol] = [known for known in metrics.PROTOCOLS if not protocol or known in protocol]
    if csv is not None and csv == json:
        raise typer.BadParameter(f"both to {csv}: expected two places", param_hint="--csv and --json")
    models, folders = _sort(inputs)
    with one_line_errors(), progress_bar() as bar:
        for path in (csv, json, save):
            if path is not None and path != STDOUT and path.exists() and not force:
                raise FileExistsError(f"{path} is there already; --force overwrites it")
        chosen = layout_named(layout)
        datasets = [
            replace(find_pairs(folder, chosen), name=label) for folder, label in zip(folders, _labels(folders), strict=True)
        ]
        evaluations: list[Evaluation] = []
        for model, label in zip(models, _labels([Path(name) for name in models]), strict=True):
            derainer = load(model, device=device, dtype=dtype, tile=tile, overlap=overlap)
            derainer.name = label
            for dataset in datasets:
                task = bar.add_task(f"{derainer.name} on {dataset.name}", total=len(dataset.pairs))
                place = save / _as_file_name(label) / _as_file_name(dataset.name) if save else None
                evaluations.append(
                    evaluate_pairs(
                        derainer,
                        dataset,
                        protocols,
                        save_to=place,
                        on_picture=lambda done, _, task=task: bar.update(task, completed=done),
                    )
                )
                say(f"{label} on {dataset.name}: done")
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
