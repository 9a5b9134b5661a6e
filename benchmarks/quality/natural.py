r"""Print NIQE of clean, rainy, blurred and noisy pictures, fitted on other clean pictures.

    python -m benchmarks.quality.natural PATH/TO/clean/train PATH/TO/clean/val \
        --photographs PATH/TO/photos

With ``--photographs`` it also prints the range over these.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks.command import new_parser
from benchmarks.machine import describe_machine
from benchmarks.tables import table_head
from derain.data import clean_pictures
from derain.images import read_image, to_eight_bits
from derain.metrics import Bytes
from derain.metrics.niqe import fit, niqe
from derain.rain import PRESETS, generator_for, rain_on

Change = Callable[[Bytes, int], Bytes]


def main() -> None:
    """Print means, and how many pictures each change makes worse."""
    parser = new_parser(__doc__)
    parser.add_argument("train", type=Path, help="clean pictures to fit on")
    parser.add_argument("held_back", type=Path, help="other clean pictures")
    parser.add_argument("--photographs", type=Path)
    arguments = parser.parse_args()
    model = fit(read_image(path) for path in clean_pictures(arguments.train))
    held_back = [to_eight_bits(read_image(path)) for path in clean_pictures(arguments.held_back)]
    changes: dict[str, Change] = {
        **{f"`{name}`": rained(name) for name in ("rain100l", "rain100h")},
        **{f"blur, sigma {sigma}": blurred(sigma) for sigma in (1, 2)},
        **{f"noise, sigma {sigma}": noisy(sigma) for sigma in (10, 25)},
    }
    plain = [niqe(picture, model) for picture in held_back]
    print(
        f"NIQE, {model.describe()}; {len(held_back)} pictures.\n\n"
        + table_head("", "mean", "worse than clean")
    )
    print(f"| clean | {np.mean(plain):.2f} | |")
    for name, change in changes.items():
        changed = [niqe(change(picture, k), model) for k, picture in enumerate(held_back)]
        print(
            f"| {name} | {np.mean(changed):.2f} | {(np.array(changed) > np.array(plain)).sum()} |",
            flush=True,
        )
    if arguments.photographs:
        found = [niqe(read_image(path), model) for path in clean_pictures(arguments.photographs)]
        print(f"\nThe {len(found)} photographs lie between {min(found):.1f} and {max(found):.1f}.")
    print(f"\nMeasured on {describe_machine()}.")


def rained(preset: str) -> Change:
    """Return a change that adds seeded rain of a preset."""
    return lambda picture, k: rain_on(picture, PRESETS[preset], generator_for(7, k))


def noisy(sigma: float) -> Change:
    """Return a change that adds Gaussian noise; sigma is of 255."""

    def add(picture: Bytes, k: int) -> Bytes:
        noise = np.random.default_rng(k).normal(0, sigma, picture.shape)
        return np.clip(picture + noise, 0, 255).round().astype(np.uint8)

    return add


def blurred(sigma: float) -> Change:
    """Return a change that blurs with a Gaussian of sigma pixels."""
    reach = np.arange(-int(4 * sigma), int(4 * sigma) + 1)
    kernel = np.exp(-0.5 * (reach / sigma) ** 2)
    kernel /= kernel.sum()

    def blur(picture: Bytes, _k: int) -> Bytes:
        values = picture.astype(np.float64)
        for axis in (0, 1):
            padded = np.pad(
                values,
                [(len(reach) // 2,) * 2 if k == axis else (0, 0) for k in range(3)],
                mode="reflect",
            )
            shifted = [
                np.take(padded, range(k, k + values.shape[axis]), axis) for k in range(len(kernel))
            ]
            values = np.tensordot(kernel, np.stack(shifted), 1)
        return np.round(values).astype(np.uint8)

    return blur


if __name__ == "__main__":
    main()
