"""Models on datasets: every model scored on every dataset, as a generator of results.

`sort_inputs` tells models from data, `find_models` and `find_datasets` look at both before the
work, `compare` does it.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from derain.data import (
    GivenPlace,
    Layout,
    NoPairsError,
    PairedFolder,
    Place,
    Problem,
    TwoFolders,
    place_of,
    survey,
    unknown_pairs,
)
from derain.data.layouts.lists import LISTS
from derain.engines import check_model
from derain.evaluate.identity import identity
from derain.evaluate.photographs import Photographs, find_photographs
from derain.evaluate.report.gallery import Gallery
from derain.evaluate.results import numbered
from derain.evaluate.saved import check_saved, weights_digest
from derain.evaluate.scores import Evaluation, Failure, Scoring, evaluate_each
from derain.files import SCORES, is_systems_own
from derain.progress import Progress, silent
from derain.restore import Derainer
from derain.weights import CATALOGUE
from derain.weights.catalogue import names_folder
from derain.weights.checkpoints import is_checkpoint
from derain.weights.header import check_is_file

OF_A_RUN = ("best.safetensors", "log.jsonl")
"""Files by which a folder of `derain train` is known, whose samples are no data."""


@dataclass(frozen=True)
class Model:
    """Weights to compare.

    Attributes:
        source: Their name in the catalogue, or their file.
        label: What they are called in results.
    """

    source: str
    label: str


def sort_inputs(inputs: Sequence[str]) -> tuple[list[str], list[Path]]:
    """Return the models and the data among names, each once, however it is spelt.

    Folders and lists of pairs are data, except folders that hold the parts of a CRDNet; all other
    names are models. A name in the catalogue is a model even where there is a folder of that name,
    which ``./petrichor`` names. What the system keeps beside files, which a shell's pattern hands
    over, is neither.

    Raises:
        FileNotFoundError: If a name can only be that of a folder or list, and there is none; or for
            the folder of a training run, in which weights lie, and no data.
        OSError: If a name cannot be that of a file.
    """
    folders: dict[Path, Path] = {}
    models: dict[str, str] = {}
    for name in inputs:
        path = Path(name)
        if not path.exists() and not is_checkpoint(path):
            _refuse_missing_data(name)
        if is_systems_own(name) and len(inputs) > 1:
            continue
        is_data = path.is_dir() or (path.is_file() and path.suffix.lower() in LISTS)
        if is_data and not is_checkpoint(path) and name not in CATALOGUE:
            if all((path / file).is_file() for file in OF_A_RUN):
                check_is_file(path)  # says which of its files are weights
            folders.setdefault(path.resolve(), path)
        else:
            models.setdefault(name if name in CATALOGUE else str(path.resolve()), name)
    return list(models.values()), list(folders.values())


def _refuse_missing_data(name: str) -> None:
    """Raise FileNotFoundError for a missing file or folder that can only be one of data."""
    if Path(name).suffix.lower() in LISTS:
        raise FileNotFoundError(f"{name}: no such list; expected one of pairs of pictures")
    if names_folder(name):
        raise FileNotFoundError(
            f"{name}: no such folder; expected one of pairs or of photographs, or weights by name"
            " or file"
        )


def find_models(sources: Sequence[str]) -> list[Model]:
    """Return models under names that tell them apart.

    If there are several, files are opened, so that a wrong one is known before the work rather than
    after half of it. They are not kept: the weights of other models would count in each one's peak
    memory. Weights in the catalogue are part of the package and need no such look.

    Raises:
        FileNotFoundError: If there are no such weights.
        derain.weights.WeightsError: If a file is not of a known network.
    """
    for source in sources if len(sources) > 1 else ():
        check_model(source)
    labels = _labels([Path(source) for source in sources])
    return [Model(source, label) for source, label in zip(sources, labels, strict=True)]


def find_datasets(
    folders: Sequence[GivenPlace], layout: Layout | None = None, *, photographs: bool = False
) -> tuple[list[PairedFolder | Photographs], list[Problem]]:
    """Return the datasets in folders, under names that tell them apart.

    Args:
        folders: One dataset each, or the two folders of one.
        layout: How pairs lie on disk; None looks.
        photographs: Whether a folder without pairs is taken for photographs, which NIQE can score.

    Returns:
        The datasets, and what makes some of their pictures unusable: no clean one for a rainy one.

    Raises:
        NoPairsError: If a folder holds no pairs, and photographs are not asked for.
        ValueError: If a list cannot be read, or a folder holds what is probably pairs in a layout
            that derain does not know.
        OSError: If a folder cannot be listed.
    """
    datasets: list[PairedFolder | Photographs] = []
    problems: list[Problem] = []
    places = [place_of(folder) for folder in folders]
    for folder, label in zip(places, _labels(places), strict=True):
        try:
            found, wrong = survey(folder, layout)
        except NoPairsError:
            if isinstance(folder, TwoFolders):
                raise
            # Pairs in an unknown layout are not to be scored as photographs, nor called that.
            doubt = None if layout else unknown_pairs(folder, are_clean=False)
            if doubt:
                raise ValueError(doubt.message) from None
            if not photographs or layout not in (None, "photographs"):
                raise
            datasets.append(replace(find_photographs(folder), name=label))
        else:
            datasets.append(replace(found, name=label))
            problems += [problem for problem in wrong if problem.unsound]
    return datasets, problems


def compare(
    models: Sequence[Model],
    datasets: Sequence[PairedFolder | Photographs],
    scoring: Scoring,
    load: Callable[[str], Derainer],
    *,
    gallery: Gallery | None = None,
    progress: Progress = silent,
) -> Iterator[Evaluation | Failure]:
    """Score every model on every dataset; yield evaluations, and what fails as it fails.

    Args:
        models: Loaded once each, when their turn comes.
        datasets: Identified once each, before the first model is loaded.
        scoring: How pictures are scored; ``save_to`` gets a folder for each model, and in it one
            for each dataset.
        load: Makes a Derainer of a model's source.
        gallery: Keeps pictures for a report; it takes the place of ``scoring.on_result``.
        progress: Gets a report of "MODEL on DATASET" before the first picture and after each.

    Raises:
        ExistsError: If results are to be kept, and those in a folder are of other settings.
        OSError: If weights cannot be read, or results not written.
        ValueError: If weights are not of a known network, or cannot run as asked for.
    """
    identities = [identity(dataset) for dataset in datasets]
    rows = _scorings(models, datasets, identities, scoring)
    # Pictures are decoded again for every model. Decoding them once would need all models in memory
    # at the same time, or all pictures, and both count in what is measured: peak memory is that of
    # the process. It would also lose the scores of finished models when a later one cannot be
    # loaded. Decoding takes milliseconds where deraining takes a second.
    for model, scorings in zip(models, rows, strict=True):
        derainer = load(model.source)
        derainer.name = model.label
        for dataset, data, one in zip(datasets, identities, scorings, strict=True):
            if gallery:
                one = replace(one, on_result=gallery.on_result(model.label, dataset))
            yield from evaluate_each(derainer, dataset, one, data=data, progress=progress)


def _scorings(
    models: Sequence[Model],
    datasets: Sequence[PairedFolder | Photographs],
    identities: Sequence[str],
    scoring: Scoring,
) -> list[list[Scoring]]:
    """Return how pictures are scored for each model, and in it for each dataset.

    Raises:
        ExistsError: If results are to be kept, and those in a folder are of other settings. That is
            known before a model is loaded, as far as it does not depend on how the model runs.
        OSError: If weights cannot be read.
    """
    if scoring.save_to is None:
        return [[scoring] * len(datasets) for _ in models]
    folders = _folder_names([dataset.name for dataset in datasets])
    rows: list[list[Scoring]] = []
    for model, place in zip(models, _folder_names([model.label for model in models]), strict=True):
        of_model = replace(scoring, weights=weights_digest(model.source))
        rows.append(
            [replace(of_model, save_to=scoring.save_to / place / folder) for folder in folders]
        )
        for one, data in zip(rows[-1], identities, strict=True):
            if one.keep and one.save_to is not None:
                check_saved(one.save_to, one.settings(data))
    return rows


def were_saved(
    models: Sequence[Model], datasets: Sequence[PairedFolder | Photographs], folder: Path
) -> bool:
    """Return whether a folder has results of one of some models on one of some datasets.

    Args:
        models: Models whose results are looked for.
        datasets: Datasets whose results are looked for.
        folder: As ``save_to`` of `compare`.
    """
    places = _folder_names([model.label for model in models])
    names = _folder_names([dataset.name for dataset in datasets])
    return any((folder / place / name / SCORES).is_file() for place in places for name in names)


def _labels(paths: Sequence[Place]) -> list[str]:
    """Return short names that tell paths apart.

    These are the last part of a path, or all of it where two paths end alike.
    """
    names = [
        path.resolve().name if isinstance(path, Path) and path.is_dir() else path.name
        for path in paths
    ]
    return [
        name if name and names.count(name) == 1 else str(path)
        for name, path in zip(names, paths, strict=True)
    ]


def _folder_names(labels: Sequence[str]) -> list[str]:
    """Return a name for the folder of each label, no two alike."""
    return numbered([re.sub(r"[^\w.-]+", "_", label).strip("._") or "_" for label in labels])
