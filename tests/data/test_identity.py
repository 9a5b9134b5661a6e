"""Which data these are, on the real sets."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from derain.data import find_pairs, identify
from derain.data.benchmarks import BENCHMARKS
from derain.images import read_image, write_image

SETS = [
    ("Rain100L-dev10", "Rain100L test, the old one, of 2017, cropped to 480x320, 10 of 100 pairs"),
    ("Rain100H-dev10", "Rain100H test, the old one, of 2017, cropped to 480x320, 10 of 100 pairs"),
    ("Rain12", "Rain12 test, cropped to 480x320, 12 pairs, complete"),
    ("Rain13K-train-sample40", "Rain13K train, 40 of 13712 pairs"),
    ("DDN-sample3", "Rain1400 test or train, 3 of 14000 pairs"),
    ("SPA-data-sample2", "SPA-data test, 512x512, 2 of 1000 pairs"),
    (
        "DPENet-sample",
        "Rain100H test or train, the old one, of 2017, 321x481 originals, 1 of 1900 pairs",
    ),
]


@pytest.mark.parametrize(("name", "text"), SETS)
def test_every_set_is_known_under_any_name(
    name: str, text: str, reference_data: Path, tmp_path: Path
) -> None:
    found = identify(find_pairs(reference_data / "pairs" / name))
    assert found.describe() == f"{text}, data {found.digest}"
    shutil.copytree(reference_data / "pairs" / name, tmp_path / "holiday")
    again = identify(find_pairs(tmp_path / "holiday"))
    assert again.describe() == found.describe()


def test_a_set_that_was_recompressed_is_known(reference_data: Path, tmp_path: Path) -> None:
    for pair in find_pairs(reference_data / "pairs/Rain100H-dev10").pairs:
        for half, path in (("rainy", pair.rainy), ("clean", pair.clean)):
            (tmp_path / half).mkdir(exist_ok=True)
            write_image(tmp_path / half / f"{pair.name}.jpg", read_image(path))
    found = identify(find_pairs(tmp_path))
    assert (found.benchmark, found.part, found.whole) == ("Rain100H", "test", 100)


def test_known_figures_are_those_of_the_data(reference_data: Path) -> None:
    """Mean input PSNR of the development pairs, as the data's own page gives it."""
    rows = {row.name: row for row in BENCHMARKS if row.exact}
    for name, mean in (("Rain100L", 27.295), ("Rain100H", 14.027), ("Rain12", 30.135)):
        assert np.mean([pair.psnr for pair in rows[name].known]) == pytest.approx(mean, abs=0.006)
    assert (rows["Rain100L"].psnr, rows["Rain100H"].psnr) == (26.903, 13.551)


@pytest.mark.parametrize(
    ("folder", "told"),
    [
        ("Rain800", True),
        ("Rain800/mine", False),
        ("Rain800/a/b", False),
        ("mine", False),
        ("x/Rain800/inner", True),
    ],
)
def test_a_folder_above_does_not_name_it(
    folder: str, told: bool, photo: NDArray[np.uint8], tmp_path: Path
) -> None:
    for half, light in (("rainy", 20), ("clean", 0)):
        (tmp_path / folder / half).mkdir(parents=True)
        write_image(tmp_path / folder / half / "1.png", photo // 2 + light)
    place = tmp_path / folder
    found = identify(find_pairs(place.parent if place.name == "inner" else place))
    assert (found.benchmark == "Rain800") == told


def test_the_digest_is_of_the_files_alone(photo: NDArray[np.uint8], tmp_path: Path) -> None:
    for folder, rainy, clean in (("a", "rainy", "clean"), ("b", "input", "target")):
        for k in range(3):
            for half, light in ((rainy, 20), (clean, 0)):
                (tmp_path / folder / half).mkdir(parents=True, exist_ok=True)
                write_image(
                    tmp_path / folder / half / f"{k if folder == 'a' else 9 - k}.png",
                    photo[k:, k:] // 2 + light,
                )
    a, b = (find_pairs(tmp_path / folder) for folder in "ab")
    assert identify(a).digest == identify(b).digest
    assert identify(a).benchmark is None
    assert identify(a).describe() == f"no dataset known here, 3 pairs, data {identify(a).digest}"
    assert identify(replace(a, pairs=a.pairs[:2])).digest != identify(a).digest
    swapped = replace(
        a, pairs=tuple(replace(pair, rainy=pair.clean, clean=pair.rainy) for pair in a.pairs)
    )
    assert identify(swapped).digest != identify(a).digest


def test_what_cannot_be_read_is_named(photo: NDArray[np.uint8], tmp_path: Path) -> None:
    for half in ("rainy", "clean"):
        (tmp_path / half).mkdir()
        write_image(tmp_path / half / "1.png", photo)
    (tmp_path / "clean/1.png").write_bytes(b"")
    with pytest.raises(ValueError, match=r"clean/1\.png: an empty file"):
        identify(find_pairs(tmp_path))
