"""What the scripts that train have in common: the arguments, and the run they make."""

import argparse
from pathlib import Path

import torch

from derain.engines import choose_device, choose_training_dtype
from derain.train import Run


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The pictures, and what to train on."""
    parser.add_argument("clean", type=Path, help="holds train/ and val/ of clean pictures")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--threads", type=int, help="of PyTorch, on a CPU")


def run_of(arguments: argparse.Namespace) -> Run:
    """A run on the clean pictures, but for its folder."""
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
