"""Paired folders in their layouts."""

from pathlib import Path

import numpy as np
import pytest

from derain import data
from derain.images import write_image


def put(folder: Path, names: list[str]) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        write_image(folder / name, np.full((20, 24, 3), 90, np.uint8))


@pytest.mark.parametrize(
    ("files", "pairs"),
    [
        (["rainy/2.png", "rainy/10.png", "clean/10.png", "clean/2.png"], [("2", "2"), ("10", "10")]),
        (["input/a.jpg", "target/a.png"], [("a", "a")]),
        (["rain/rain-001.png", "norain/norain-001.png"], [("rain-001", "norain-001")]),
        (["rain/norain-7.png", "norain/norain-7.png"], [("norain-7", "norain-7")]),
        (["rainy/901_1.jpg", "rainy/901_2.jpg", "clean/901.jpg"], [("901_1", "901"), ("901_2", "901")]),
        (["rain/100x2.png", "norain/100.png"], [("100x2", "100")]),
        (["rain-1.png", "norain-1.png", "rain-2.png", "norain-2.png"], [("rain-1", "norain-1"), ("rain-2", "norain-2")]),
        (["rainy/a/1.png", "rainy/b/1.png", "clean/a/1.png", "clean/b/1.png"], [("1", "1"), ("1", "1")]),
        (["rainy/rainbow.png", "rainy/bow.png", "clean/rainbow.png", "clean/bow.png"], [("bow", "bow"), ("rainbow", "rainbow")]),
        (["Rainy/sub dir/ü.png", "Clean/sub dir/ü.png"], [("ü", "ü")]),
    ],
)
def test_layouts(files: list[str], pairs: list[tuple[str, str]], tmp_path: Path) -> None:
    put(tmp_path, files)
    found = data.find_pairs(tmp_path)
    assert [(pair.rainy.stem, pair.clean.stem) for pair in found.pairs] == pairs


def test_missing_twin_is_named(tmp_path: Path) -> None:
    put(tmp_path, ["rainy/1.png", "rainy/2.png", "clean/1.png"])
    with pytest.raises(ValueError, match=r"2\.png: no clean twin"):
        data.find_pairs(tmp_path)


def test_ambiguous_twins_are_refused(tmp_path: Path) -> None:
    put(tmp_path, ["rainy/1.png", "clean/1.png", "clean/1.jpg"])
    with pytest.raises(ValueError, match="two clean pictures of one name"):
        data.find_pairs(tmp_path)


def test_folders_without_pairs(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no such folder"):
        data.find_pairs(tmp_path / "nowhere")
    put(tmp_path, ["a.png", "b.png"])
    with pytest.raises(ValueError, match="found no rainy and clean pictures; expected subfolders"):
        data.find_pairs(tmp_path)


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("Rain100L-dev10", 10),
        ("Rain100H-dev10", 10),
        ("Rain12", 12),
        ("Rain13K-train-sample40", 40),
        ("SPA-data-sample2", 2),
        ("DDN-sample3", 3),
    ],
)
def test_real_datasets_are_read(name: str, count: int, reference_data: Path) -> None:
    assert len(data.find_pairs(reference_data / "pairs" / name).pairs) == count
