r"""Test, train and time Petrichor's sizes on a GPU that is available for minutes.

Such a GPU must not wait for anything. Rain is made on it for whole batches
(`derain.train.ResidentBatches`), a step is compiled and recorded as a CUDA graph where that is
faster, and sizes that train one after the other compile at the same time. What only a GPU can do
(compiling, graphs, streams) falls back to the plain step, with a message, so that the script can be
rehearsed on a CPU.

    python -m tools.zoo.lease test --out OUT
    python -m tools.zoo.lease train --data DIR --out OUT --scratch runs/lease \
        --until 530 --plan petrichor-deep=6 petrichor=3 petrichor-live=1
    python -m tools.zoo.lease speed --out OUT

DIR holds ``clean/train`` and ``textures``; weights begin from the shipped ones, or from
``DIR/NAME.safetensors`` if it exists. ``--rehearse`` makes everything tiny, for a CPU. `test` runs
the tests that need a GPU. `train` times each size in several modes, and divides the time up to
``--until`` (seconds from the start) among the sizes by the shares of ``--plan``; over the last part
of each the rate falls to zero. OUT gets, for each size, ``NAME.safetensors`` (decayed, averaged;
written again every minute), ``NAME-trunk.safetensors`` (from before the decay), and ``log.jsonl``.

Where the repository root is on PYTHONPATH, ``python tools/zoo/lease.py`` does the same.
"""

import argparse
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import torch

from benchmarks.command import new_parser
from tools.zoo.lease_speed import speed
from tools.zoo.lease_training import train
from tools.zoo.place import SIZES, Place, began, say
from tools.zoo.stepper import FALLBACKS, MODES

MODULE = "tools.zoo.lease"
"""The name under which this script starts itself again."""

TESTED = ("tests/rain", "tests/train")
"""Where the tests are that need a GPU; ``gpu`` is in their names."""


def main() -> None:
    """Run one of the verbs; `train` gives each size a process of its own."""
    began()
    parser = _parser()
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    place = Place(
        arguments.data,
        arguments.out,
        arguments.scratch,
        torch.device(arguments.device),
        arguments.rehearse,
    )
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    torch.backends.cudnn.benchmark = True
    try:
        plan = shares_of(arguments.plan)
    except ValueError as error:
        parser.error(str(error))
    if arguments.verb == "test":
        sys.exit(subprocess.call([sys.executable, "-m", "pytest", "-n", "0", "-k", "gpu", *TESTED]))
    if arguments.verb == "speed":
        torch.backends.cudnn.allow_tf32 = False
        speed(place, list(plan))
    elif arguments.only:
        train(place, arguments.only, plan, arguments.until, arguments.modes)
    else:
        _each_in_its_own(place, list(plan))


def _parser() -> argparse.ArgumentParser:
    parser = new_parser(__doc__)
    parser.add_argument("verb", choices=("test", "train", "speed"))
    parser.add_argument("--data", type=Path, default=Path(".carry"))
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--scratch", type=Path, default=Path("runs/lease"))
    parser.add_argument(
        "--plan", nargs="+", default=["petrichor-deep=6", "petrichor=3", "petrichor-live=1"]
    )
    parser.add_argument("--until", type=float, default=530, help="seconds from the start")
    modes = [*MODES, *FALLBACKS]
    parser.add_argument("--modes", nargs="+", choices=modes, default=list(MODES))
    parser.add_argument("--rehearse", action="store_true")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--only", help="train this size alone, in this process")
    return parser


def shares_of(items: Sequence[str]) -> dict[str, float]:
    """Return the share of the time of each size, from items such as ``petrichor-deep=6``.

    Raises:
        ValueError: If an item does not name a size and a number.
    """
    plan: dict[str, float] = {}
    for item in items:
        name, _, share = item.partition("=")
        if name not in SIZES or not share.replace(".", "", 1).isdecimal():
            wanted = "a size and its share of the time, such as petrichor-deep=6"
            raise ValueError(f"--plan {item}: expected {wanted}")
        plan[name] = float(share)
    return plan


def _each_in_its_own(place: Place, names: list[str]) -> None:
    """Run this script once for each size, all at the same time.

    They compile at the same time, and train one after the other in the order of the names.
    """
    for name in names:
        place.done_mark(name).unlink(missing_ok=True)
    command = [sys.executable, "-m", MODULE, *sys.argv[1:], "--only"]
    running = [subprocess.Popen([*command, name]) for name in names]
    try:
        if not place.prepared.exists():
            place.prepare()
            say("data are prepared")
    except BaseException:  # the others would wait for the data until the time is over
        for process in running:
            process.terminate()
        raise
    failed: list[str] = []
    for name, process in zip(names, running, strict=True):
        if process.wait():
            failed.append(name)
        place.done_mark(name).touch()  # one that was killed could not say so
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
