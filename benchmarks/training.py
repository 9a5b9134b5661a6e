"""Arguments and functions that the scripts that train share."""

import argparse
from pathlib import Path

import torch

from derain.engines import choose_device, choose_training_dtype
from derain.train import Run


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that name the clean pictures and the device to train on."""
    parser.add_argument("clean", type=Path, help="holds train/ and val/ of clean pictures")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--threads", type=int, help="of PyTorch, on a CPU")


def run_of(arguments: argparse.Namespace) -> Run:
    """Return a run on the clean pictures; its folder is still to be set."""
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    device = choose_device(arguments.device)
    clean: Path = arguments.clean
    return Run(
        clean / "train",
        clean / "val",
        Path(),
        device,
        dtype=choose_training_dtype(arguments.dtype, device),
    )
