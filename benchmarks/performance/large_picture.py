r"""Run a large JPEG through ``derain run``: time, peak memory, and whether tile borders show.

    python -m benchmarks.performance.large_picture examples/rocket.jpg --megapixels 24
    python -m benchmarks.performance.large_picture examples/rocket.jpg --megapixels 4 \
        -m nledn --seams

With ``--seams`` the result is compared with that of a larger overlap: the largest and the mean
difference in the columns and rows where tiles begin, end or fade into each other, beside those of
all others. A seam would be a difference that is larger there.
"""

import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.command import new_parser
from benchmarks.machine import describe_machine
from derain.images import read_image, to_eight_bits, to_floats, write_image
from derain.restore import load


def enlarge(path: Path, megapixels: float) -> NDArray[np.uint8]:
    """Repeat a picture and its mirror images until they fill an aspect of 3:2."""
    picture = to_eight_bits(read_image(path))
    height = round((megapixels * 1e6 / 1.5) ** 0.5)
    width = round(1.5 * height)
    pad = [
        (0, max(0, size - have)) for size, have in zip((height, width), picture.shape, strict=False)
    ]
    return np.pad(picture, [*pad, (0, 0)], mode="symmetric")[:height, :width]


def measure_run(source: Path, target: Path, model: str) -> tuple[float, float]:
    """Return seconds and peak memory in GB of ``derain run`` in a process of its own."""
    began = time.monotonic()
    command = [
        sys.executable,
        "-c",
        "from derain.cli import main; main()",
        "run",
        str(source),
        "-o",
        str(target),
        "--device",
        "cpu",
        "-m",
        model,
    ]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.monotonic() - began, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1e6


def compare_overlaps(picture: NDArray[np.uint8], model: str) -> str:
    """Return how much two overlaps differ at tile borders and elsewhere, in levels of 255.

    Raises:
        SystemExit: If the network's tiles give exactly what the whole picture gives.
    """
    derainer = load(model, device="cpu")
    if derainer.tiling.exact:
        raise SystemExit(
            f"{model}: its tiles give what the whole picture gives; expected a network whose tiles"
            " do not, such as nledn"
        )
    overlap = derainer.overlap
    larger = load(model, device="cpu", overlap=2 * overlap)
    floats = to_floats(picture)
    difference = np.abs(derainer(floats) - larger(floats)).max(axis=2) * 255
    lines: list[str] = []
    grid = derainer.grid(*picture.shape[:2])
    rows, columns = grid.rows, grid.columns
    for axis, name, all_cuts in ((1, "columns", columns), (0, "rows", rows)):
        length = picture.shape[axis]
        border = np.zeros(length, bool)
        for cut in all_cuts:
            for edge in (cut.start, cut.stop, *cut.fade_in):
                border[max(0, edge - 1) : edge + 1] |= 0 < edge < length
        profile = np.moveaxis(difference, axis, 0).reshape(length, -1)
        at, off = profile[border], profile[~border]
        lines.append(
            f"{name}: at tile borders largest {at.max():.2f}, mean {at.mean():.4f}; elsewhere"
            f" largest {off.max():.2f}, mean {off.mean():.4f} (of 255; tile {derainer.tile},"
            f" overlap {overlap} against {2 * overlap})"
        )
    return "\n".join(lines)


def main() -> None:
    """Make the picture, run it, and print what was measured."""
    parser = new_parser(__doc__)
    parser.add_argument("picture", type=Path)
    parser.add_argument("--megapixels", type=float, default=24)
    parser.add_argument("-m", "--model", default="petrichor")
    parser.add_argument(
        "--seams",
        action="store_true",
        help="for networks whose tiles differ from the whole, such as nledn",
    )
    arguments = parser.parse_args()
    picture = enlarge(arguments.picture, arguments.megapixels)
    if arguments.seams:
        print(compare_overlaps(picture, arguments.model))
    else:
        with tempfile.TemporaryDirectory() as folder:
            write_image(Path(folder) / "large.jpg", picture)
            seconds, gigabytes = measure_run(
                Path(folder) / "large.jpg", Path(folder) / "clean.jpg", arguments.model
            )
        print(
            f"{picture.shape[1]}x{picture.shape[0]}: {seconds:.0f} s, peak memory"
            f" {gigabytes:.2f} GB"
        )
    print(f"Measured on {describe_machine()}.")


if __name__ == "__main__":
    main()
