"""Arguments and functions that the scripts that train share."""

import argparse
import shutil
from pathlib import Path

import torch

from derain.engines.pytorch import choose_device, choose_training_dtype
from derain.train import SEAL, TrainingRun


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that name the clean pictures and the device to train on."""
    parser.add_argument("clean", type=Path, help="holds train/ and val/ of clean pictures")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--threads", type=int, help="of PyTorch, on a CPU")


def run_of(arguments: argparse.Namespace) -> TrainingRun:
    """Return a run on the clean pictures; its folder is still to be set."""
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    device = choose_device(arguments.device)
    clean: Path = arguments.clean
    return TrainingRun(
        clean / "train",
        clean / "val",
        Path(),
        device,
        dtype=choose_training_dtype(arguments.dtype, device),
    )


def pass_on_seal(runs: Path, folder: Path) -> None:
    """Copy what an earlier run found out about leaks into the folder of a new run.

    All runs read the same pictures, and the search need not be repeated while no file changes.

    Args:
        runs: Folder that holds the earlier runs, at any depth.
        folder: Folder of the new run.
    """
    seal = next(iter(runs.rglob(SEAL)), None)
    if seal and not (folder / SEAL).exists():
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(seal, folder / SEAL)
