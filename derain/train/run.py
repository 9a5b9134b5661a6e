"""The places of a training run, and how to plan one from the arguments of a command."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from derain.data import Layout, Place, TwoFolders, check_layout, layout_named, named_folders
from derain.engines.pytorch import choose_device, choose_training_dtype
from derain.errors import UsageError
from derain.recipes import Recipe, find_recipe, override
from derain.train.checkpoint import CHECKPOINT, branch_recipe, checkpoint_recipe

BEST = "best.safetensors"
LOG = "log.jsonl"
CURVE = "curve.svg"
SAMPLES = "sample-{}.png"
"""Pictures of validations, numbered from 1."""
BOARD = "tensorboard"
"""Folder of events for TensorBoard, where that is installed."""


@dataclass(frozen=True)
class TrainingRun:
    """The places where a training run reads and writes, and its device.

    Attributes:
        data: Clean pictures, which get synthetic rain, or pairs of rainy and clean ones, perhaps as
            two folders.
        validation: Likewise. Rain on clean pictures is seeded by their place, and so always the
            same.
        out: Folder of the run: ``last.pt`` to resume from, ``best.safetensors`` to use,
            ``log.jsonl``, ``curve.svg`` and ``sample-1.png`` to look at.
        device: Where the network, and the rain, are computed.
        dtype: Number format that convolutions and products are computed in; weights, losses and
            optimiser stay in float32.
        compiled: Whether the step is compiled first (torch.compile), which takes minutes and pays
            on GPUs.
        minutes: Time after which the run stops with a checkpoint to resume from, the search for
            leaks included; None for no limit.
        machine: Description of the machine for the card; empty describes this one.
        layout: How pairs lie on disk, in data and validation; None looks.
        allow_leak: Train even if validation pictures are trained on too; the card then says so.
        licence: Under which the weights may be used, for the card; empty says nothing.
    """

    data: Place
    validation: Place
    out: Path
    device: torch.device
    dtype: torch.dtype = torch.float32
    compiled: bool = False
    minutes: float | None = None
    machine: str = ""
    layout: Layout | None = None
    allow_leak: bool = False
    licence: str = ""

    @property
    def number_format(self) -> str:
        """Name of the number format, as ``--dtype`` takes it."""
        return str(self.dtype).removeprefix("torch.")


def plan_run(
    recipe: str,
    data: Path | None = None,
    *,
    rainy: Path | None = None,
    clean: Path | None = None,
    val: Path | None = None,
    output: Path | None = None,
    branch: Path | None = None,
    resume: bool = False,
    settings: Mapping[str, str] | None = None,
    layout: str | None = None,
    device: str = "auto",
    dtype: str = "auto",
    minutes: float | None = None,
    allow_leak: bool = False,
    licence: str = "",
) -> tuple[Recipe, TrainingRun]:
    """Return the recipe and the run that the arguments of ``derain train`` ask for.

    Args:
        recipe: Name of a recipe.
        data: Pictures to train on, or a folder with ``train`` and ``val``.
        rainy: Folder of rainy pictures, in place of data.
        clean: Folder of the clean pictures, by the same names.
        val: Pictures to validate on; None for ``val`` in the data.
        output: Folder of the run; None for ``runs/RECIPE``.
        branch: Run of a trunk, whose checkpoint the run begins from.
        resume: Whether the run will be resumed, by the recipe in its checkpoint, and not begun.
        settings: Fields of the recipe to override, as text.
        layout: Name of the layout of pairs; None to detect it.
        device: ``auto``, ``cpu``, ``cuda`` or ``mps``.
        dtype: ``auto``, ``float32`` or ``bfloat16``.
        minutes: Time after which the run stops; None for no limit.
        allow_leak: Train even if validation pictures are among the training pictures.
        licence: Licence of the weights, for their card.

    Raises:
        FileNotFoundError: If there is no checkpoint, or nothing to validate on.
        ValueError: If an argument or the checkpoint does not fit. Cheap checks come first.
    """
    if minutes is not None and not 0 < minutes < math.inf:
        raise UsageError("expected a number over 0", option="minutes", value=minutes)
    chosen, folder = _choose_recipe(recipe, output, branch, dict(settings or {}), resume=resume)
    pairs_layout = layout_named(layout)
    training, validation = _find_places(data, named_folders(rainy, clean), val, pairs_layout)
    chosen_device = choose_device(device)
    run = TrainingRun(
        training,
        validation,
        folder,
        chosen_device,
        dtype=choose_training_dtype(dtype, chosen_device),
        minutes=minutes,
        layout=pairs_layout,
        allow_leak=allow_leak,
        licence=licence,
    )
    return chosen, run


def _choose_recipe(
    name: str, output: Path | None, branch: Path | None, settings: dict[str, str], *, resume: bool
) -> tuple[Recipe, Path]:
    """Return the recipe that a run trains by, and its folder."""
    named = find_recipe(name)
    folder = output or Path("runs") / (f"{name}-branch" if branch else name)
    checkpoint = folder / CHECKPOINT
    # Also of a branch: its trunk may have been trained further since it was begun.
    if resume and checkpoint.exists():
        return _begun_recipe(name, checkpoint, settings), folder
    if branch is None:
        return override(named, settings), folder
    recipe = branch_recipe(branch, settings)
    if recipe.name != name:
        raise UsageError(
            f"is a trunk of {recipe.name}; expected one of {name}", option="branch", value=branch
        )
    return recipe, folder


def _begun_recipe(name: str, checkpoint: Path, settings: Mapping[str, str]) -> Recipe:
    """Return the recipe that a run was begun with, with settings that are given now."""
    begun, _ = checkpoint_recipe(checkpoint)
    if begun.name != name:
        raise ValueError(
            f"{checkpoint}: was begun with the recipe {begun.name}, not {name}; give the same, or"
            " another -o"
        )
    return override(begun, settings)


def _find_places(
    data: Path | None, both: TwoFolders | None, val: Path | None, layout: Layout | None
) -> tuple[Place, Place]:
    """Return where to find what is trained on and what is validated on.

    Raises:
        UsageError: Unless there is one of data and two folders; if a layout is that of neither.
    """
    if (data is None) == (both is None):
        raise UsageError(
            "expected a folder of pictures, or the two folders rainy and clean instead",
            option="data",
            value=data,
        )
    if both is not None:
        places = find_two_folders(both, val)
        check_layout(layout, places)
        return places
    assert data is not None
    return find_folders(data, val)


def find_folders(data: Path, val: Path | None = None) -> tuple[Path, Path]:
    """Return the folders to train on and to validate on: ``train`` and ``val`` of the data.

    Args:
        data: A folder with both, or one of training pictures.
        val: Pictures to validate on instead of those in the data.

    Raises:
        FileNotFoundError: If there is no such folder, or no pictures to validate on.
        UsageError: If they lie inside the training pictures.
    """
    _check_given(data)
    training = data / "train" if (data / "train").is_dir() else data
    validation = data / "val" if val is None else val
    _check_there(validation)
    _check_apart(validation, training)
    return training, validation


def find_two_folders(both: TwoFolders, val: Path | None = None) -> tuple[TwoFolders, Place]:
    """Return the folders to train on and to validate on, where pairs lie in two folders.

    As of one folder, ``train`` and ``val`` inside of both are taken if they are there. Of pictures
    to validate on that hold folders of the same two names, these are the pairs.

    Args:
        both: Folders of rainy and clean pictures.
        val: Pictures to validate on instead of those in ``val``.

    Raises:
        FileNotFoundError: If there is no such folder, or no pictures to validate on.
        UsageError: If they lie inside the training pictures.
    """
    for half in (both.rainy, both.clean):
        _check_given(half)
    inner = {part: TwoFolders(both.rainy / part, both.clean / part) for part in ("train", "val")}
    training = inner["train"] if _are_there(inner["train"]) else both
    if val is None:
        validation: Place = inner["val"]
        _check_there(inner["val"].rainy)
        _check_there(inner["val"].clean)
    else:
        _check_there(val)
        named = TwoFolders(val / both.rainy.name, val / both.clean.name)
        validation = named if _are_there(named) and named.rainy != named.clean else val
    places = [validation] if isinstance(validation, Path) else [validation.rainy, validation.clean]
    for place in places:
        for half in (training.rainy, training.clean):
            _check_apart(place, half)
    return training, validation


def _check_apart(validation: Path, training: Path) -> None:
    if validation.resolve().is_relative_to(training.resolve()):
        raise UsageError(
            f"lies inside the training pictures in {training}; move these to {training / 'train'}",
            option="val",
            value=validation,
        )


def _are_there(folders: TwoFolders) -> bool:
    return folders.rainy.is_dir() and folders.clean.is_dir()


def _check_given(training: Path) -> None:
    if not training.exists():
        raise FileNotFoundError(f"{training}: no such folder; expected pictures to train on")


def _check_there(validation: Path) -> None:
    if not validation.is_dir() and not validation.is_file():
        raise FileNotFoundError(
            f"{validation}: no pictures to validate on; name a folder with --val"
        )
