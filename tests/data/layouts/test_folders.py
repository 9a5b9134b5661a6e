"""Paired folders in their layouts."""

import os
import time
from pathlib import Path

import numpy as np
import pytest
from drawn_rain import rain_on
from numpy.typing import NDArray

from derain import data, evaluate
from derain.data.audit.check import check
from derain.data.layouts import folders
from derain.images import write_image


def put(folder: Path, names: list[str]) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        write_image(folder / name, np.full((20, 24, 3), 90, np.uint8))


@pytest.mark.parametrize(
    ("files", "pairs"),
    [
        (
            ["rainy/2.png", "rainy/10.png", "clean/10.png", "clean/2.png"],
            [("2", "2"), ("10", "10")],
        ),
        (["input/a.jpg", "target/a.png"], [("a", "a")]),
        (["rain/rain-001.png", "norain/norain-001.png"], [("rain-001", "norain-001")]),
        (["rain/norain-7.png", "norain/norain-7.png"], [("norain-7", "norain-7")]),
        (
            ["rainy/901_1.jpg", "rainy/901_2.jpg", "clean/901.jpg"],
            [("901_1", "901"), ("901_2", "901")],
        ),
        (["rain/100x2.png", "norain/100.png"], [("100x2", "100")]),
        (
            ["rain-1.png", "norain-1.png", "rain-2.png", "norain-2.png"],
            [("rain-1", "norain-1"), ("rain-2", "norain-2")],
        ),
        (
            ["rainy/a/1.png", "rainy/b/1.png", "clean/a/1.png", "clean/b/1.png"],
            [("1", "1"), ("1", "1")],
        ),
        (
            ["rainy/rainbow.png", "rainy/bow.png", "clean/rainbow.png", "clean/bow.png"],
            [("bow", "bow"), ("rainbow", "rainbow")],
        ),
        (["Rainy/sub dir/ü.png", "Clean/sub dir/ü.png"], [("ü", "ü")]),
    ],
)
def test_layouts(files: list[str], pairs: list[tuple[str, str]], tmp_path: Path) -> None:
    put(tmp_path, files)
    found = data.find_pairs(tmp_path)
    assert [(pair.rainy.stem, pair.clean.stem) for pair in found.pairs] == pairs


def test_missing_twin_is_named(tmp_path: Path) -> None:
    put(tmp_path, ["rainy/1.png", "rainy/2.png", "clean/1.png"])
    with pytest.raises(ValueError, match=r"2\.png: no clean picture"):
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
        ("DPENet-sample", 1),
    ],
)
def test_real_datasets_are_read(name: str, count: int, reference_data: Path) -> None:
    assert len(data.find_pairs(reference_data / "pairs" / name).pairs) == count


@pytest.mark.parametrize(
    ("files", "pairs"),
    [
        (["rainy_image/1_1.jpg", "rainy_image/1_2.jpg", "ground_truth/1.jpg"], 2),
        (["in/im_0001_s80_a04.png", "in/im_0001_s80_a05.png", "gt/im_0001.png"], 2),
        (
            [
                "rain_data_test_Heavy/rain/X2/norain-001x2.png",
                "rain_data_test_Heavy/norain/norain-001.png",
            ],
            1,
        ),
        (["rainy/rain-001.png", "norain-001.png"], 1),
        (["input.png", "clean.png", "result.png"], 1),
        (["rain/1_rain.png", "norain/1_norain.png"], 1),
        (["a/b/rain_images/1.png", "a/b/groundtruth/1.png"], 1),
    ],
)
def test_forms_of_downloads(files: list[str], pairs: int, tmp_path: Path) -> None:
    put(tmp_path, files)
    assert len(data.find_pairs(tmp_path).pairs) == pairs


def test_many_to_one_is_said(tmp_path: Path) -> None:
    put(
        tmp_path,
        [f"rainy_image/{k}_{n}.jpg" for k in (1, 2) for n in range(1, 15)]
        + ["ground_truth/1.jpg", "ground_truth/2.jpg"],
    )
    found = data.find_pairs(tmp_path)
    assert found.layout == "rainy_image/ and ground_truth/, 14 to one"
    assert len(found.pairs) == 28


def test_several_datasets_are_not_taken_for_clean_pictures(tmp_path: Path) -> None:
    put(
        tmp_path, ["train/rainy/1.png", "train/clean/1.png", "test/rainy/1.png", "test/clean/1.png"]
    )
    message = r"holds paired datasets \(test, train\); name the folder of one"
    with pytest.raises(ValueError, match=message) as raised:
        data.find_pairs(tmp_path)
    assert not isinstance(raised.value, data.NoPairsError)
    put(tmp_path, ["photos/1.png"])
    with pytest.raises(ValueError, match=r"datasets beside other pictures \(test, train\); name"):
        data.find_pairs(tmp_path)


def test_all_missing_twins_are_counted(tmp_path: Path) -> None:
    put(tmp_path, ["rainy/1.png", "rainy/2.png", "rainy/3.png", "clean/1.png", "clean/9.png"])
    with pytest.raises(
        ValueError,
        match=r"2\.png: no clean picture .* \(1 more like it: derain data check names them all\)",
    ):
        data.find_pairs(tmp_path)
    _, problems = folders.survey(tmp_path)
    assert sorted(problem.kind for problem in problems) == ["spare", "unpaired", "unpaired"]
    put(tmp_path, ["clean/2.png", "clean/3.png"])
    assert len(data.find_pairs(tmp_path).pairs) == 3  # a clean picture too many harms nobody


def test_a_layout_can_be_asked_for(tmp_path: Path) -> None:
    put(tmp_path, ["rainy/1.png", "clean/1.png"])
    (tmp_path / "pairs.txt").write_text("clean/1.png rainy/1.png\n")
    assert data.find_pairs(tmp_path, "list").layout == "listed in pairs.txt, one to one"
    assert data.find_pairs(tmp_path).layout == "rainy/ and clean/, one to one"
    assert len(data.find_pairs(tmp_path, "rainy-left").pairs) == 2
    with pytest.raises(data.NoPairsError, match="in the layout flat"):
        data.find_pairs(tmp_path, "flat")


def test_odd_names_and_links(tmp_path: Path) -> None:
    put(
        tmp_path,
        [
            "rainy/a b.png",
            "clean/a b.png",
            "rainy/line\nbreak.png",
            "clean/line\nbreak.png",
            "rainy/雨.png",
            "clean/雨.png",
        ],
    )
    (tmp_path / "rainy/loop").symlink_to(tmp_path, target_is_directory=True)
    (tmp_path / "rainy/self.png").symlink_to("self.png")
    (tmp_path / "clean/notes.pdf").write_text("no picture")
    assert [pair.name for pair in data.find_pairs(tmp_path).pairs] == ["a b", "line\nbreak", "雨"]
    (tmp_path / "clean/line\nbreak.png").unlink()
    with pytest.raises(ValueError, match=r"line\\nbreak\.png: no clean picture") as raised:
        data.find_pairs(tmp_path)
    assert "\n" not in str(raised.value)


def test_twenty_thousand_files_take_seconds(tmp_path: Path) -> None:
    put(tmp_path, ["one.png"])
    for half in ("rainy", "clean"):
        (tmp_path / "set" / half).mkdir(parents=True)
        for k in range(10_000):
            os.link(tmp_path / "one.png", tmp_path / "set" / half / f"{k}.png")
    began = time.process_time()
    assert len(data.find_pairs(tmp_path / "set").pairs) == 10_000
    assert time.process_time() - began < 10
    began = time.process_time()
    with pytest.raises(data.NoPairsError):
        data.find_pairs(tmp_path / "set/clean")
    assert time.process_time() - began < 20


def halves(folder: Path, names: list[str], photo: NDArray[np.uint8], rainy: str) -> None:
    for k, name in enumerate(names):
        part = np.ascontiguousarray(np.roll(photo, 23 * k, axis=1)[: 100 + k])
        wet = rain_on(part, k, heavy=bool(k % 2))
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        write_image(
            folder / name, np.concatenate([wet, part] if rainy == "left" else [part, wet], axis=1)
        )


@pytest.mark.parametrize("rainy", ["left", "right"])
def test_two_in_one_picture_and_which_half_is_rainy(
    rainy: str, photo: NDArray[np.uint8], tmp_path: Path
) -> None:
    names = [
        f"Rain_{density}/train2018new/{k}.jpg" for density in ("Heavy", "Light") for k in range(4)
    ]
    halves(tmp_path, names, photo, rainy)
    # One that cannot be read decides nothing.
    (tmp_path / "Rain_Heavy/train2018new/0.png").write_bytes(b"")
    found = data.find_pairs(tmp_path)
    assert found.layout == f"side by side, rainy on the {rainy}"
    assert found.pairs[0].name == "Rain_Heavy/train2018new/0"
    wet, dry = data.read_pair(found.pairs[-1])
    assert wet.shape == dry.shape == (107, 160, 3)
    assert wet.mean() > dry.mean()
    other = data.find_pairs(tmp_path, "rainy-right" if rainy == "left" else "rainy-left").pairs[-1]
    assert np.array_equal(data.read_pair(other)[0], dry)


def test_an_odd_width_is_refused(tmp_path: Path) -> None:
    write_image(tmp_path / "1.png", np.zeros((8, 9, 3), np.uint8))
    with pytest.raises(ValueError, match=r"1\.png: 9 pixels wide; expected an even number"):
        data.read_pair(data.find_pairs(tmp_path, "rainy-left").pairs[0])


@pytest.mark.parametrize("place", ["clean/train", "clean/val", "real/photos", "pairs/Rain12/clean"])
def test_photographs_are_not_taken_for_two_in_one(place: str, reference_data: Path) -> None:
    with pytest.raises(data.NoPairsError):
        data.find_pairs(reference_data / place)


@pytest.mark.parametrize("name", ["Rain100L-dev10", "Rain100H-dev10", "DDN-sample3"])
def test_real_pairs_side_by_side_are_recognised(
    name: str, reference_data: Path, tmp_path: Path
) -> None:
    for rainy in ("left", "right"):
        for k, pair in enumerate(data.find_pairs(reference_data / "pairs" / name).pairs[:12]):
            both = data.read_pair(pair)
            (tmp_path / rainy).mkdir(exist_ok=True)
            write_image(
                tmp_path / f"{rainy}/{k}.png",
                np.concatenate(both if rainy == "left" else both[::-1], axis=1),
            )
        assert data.find_pairs(tmp_path / rainy).layout == f"side by side, rainy on the {rainy}"


def test_places_may_be_given_as_text(tmp_path: Path) -> None:
    put(tmp_path / "set", ["rainy/a.png", "clean/a.png"])
    expected = data.find_pairs(tmp_path / "set").pairs
    assert data.find_pairs(str(tmp_path / "set")).pairs == expected
    assert data.survey(str(tmp_path / "set"))[0].pairs == expected
    assert check(str(tmp_path / "set"), against=str(tmp_path / "set" / "clean")).pictures == 1
    (dataset,), _ = evaluate.find_datasets([str(tmp_path / "set")])
    assert len(dataset) == 1
    assert evaluate.find_photographs(str(tmp_path / "set" / "rainy"))
    with pytest.raises(TypeError):
        data.find_pairs(None)  # pyright: ignore[reportArgumentType]
