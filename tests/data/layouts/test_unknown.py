"""Pairs in layouts that derain does not know are never taken for clean photographs."""

import os
import time
from pathlib import Path

import numpy as np
import pytest
import skimage.data
from drawn_rain import rain_on
from numpy.typing import NDArray

from derain import data
from derain.data import Problem, unknown_pairs
from derain.data.audit.check import check
from derain.images import write_image

Bytes = NDArray[np.uint8]


@pytest.fixture(scope="module")
def scenes() -> list[Bytes]:
    """Six photographs of different things, (90, 120, 3)."""
    sources = (skimage.data.astronaut(), skimage.data.coffee(), skimage.data.chelsea())
    places = (source[top : top + 90, 60:180] for source in sources for top in (20, 130))
    return [np.ascontiguousarray(place) for place in places]


def put_pairs(
    rainy: Path, clean: Path, scenes: list[Bytes], rainy_name: str = "{}", clean_name: str = "{}"
) -> None:
    """Write scenes under drawn rain into one folder, and without it into another."""
    for k, scene in enumerate(scenes):
        wet = rain_on(scene, k, heavy=bool(k % 2))
        for folder, name, pixels in ((rainy, rainy_name, wet), (clean, clean_name, scene)):
            folder.mkdir(parents=True, exist_ok=True)
            write_image(folder / f"{name.format(k)}.png", pixels)


def seen(folder: Path) -> Problem:
    """Return what is said about a folder in which no layout is found."""
    with pytest.raises(data.NoPairsError):
        data.find_pairs(folder)
    problem = unknown_pairs(folder)
    assert problem is not None
    assert problem.unsound
    assert "\n" not in problem.message
    assert not check(folder).sound
    return problem


@pytest.mark.parametrize(
    "names",
    [
        ("LQ", "GT"),
        ("lq", "HQ"),
        ("Low Quality", "high_quality"),
        ("degraded", "sharp"),
        ("Rainy-Image", "Ground-Truth"),
        ("Rain", "NoRain"),
        ("INPUTS", "Targets"),
        ("rainy images", "clean images"),
        ("rainy", "Ground.Truth"),
    ],
)
def test_more_names_are_known_however_they_are_spelt(
    names: tuple[str, str], scenes: list[Bytes], tmp_path: Path
) -> None:
    put_pairs(tmp_path / names[0], tmp_path / names[1], scenes[:2])
    found = data.find_pairs(tmp_path)
    assert [pair.rainy.parent.name for pair in found.pairs] == [names[0]] * 2
    assert [pair.clean.parent.name for pair in found.pairs] == [names[1]] * 2


@pytest.mark.parametrize(
    ("rainy", "clean"),
    [
        ("A", "B"),
        ("B", "A"),
        ("X", "Y"),
        ("wet", "dry"),
        ("trainA", "trainB"),
        ("a/1/w", "a/1/d"),
        ("wet/train", "dry/train"),
        ("deep/er/noisy", "deep/er/still"),
    ],
)
def test_folders_that_show_the_same_scenes_are_pairs_and_the_rainy_one_is_named(
    rainy: str, clean: str, scenes: list[Bytes], tmp_path: Path
) -> None:
    put_pairs(tmp_path / rainy, tmp_path / clean, scenes)
    message = seen(tmp_path).message
    assert "show the same scenes (5 of 5 that were looked at)" in message
    # The folders right below the one in which they part.
    above = os.path.commonpath([rainy, clean])
    tops = [
        Path(above, Path(os.path.relpath(place, above or ".")).parts[0]) for place in (rainy, clean)
    ]
    assert f"--rainy {tmp_path / tops[0]} --clean {tmp_path / tops[1]}" in message
    assert "--layout photographs" in message


def test_twins_need_not_have_one_name_nor_be_all_there(scenes: list[Bytes], tmp_path: Path) -> None:
    put_pairs(tmp_path / "w", tmp_path / "d", scenes, rainy_name="wet{}x", clean_name="dry{}y")
    assert "show the same scenes" in seen(tmp_path).message
    put_pairs(tmp_path / "some/w", tmp_path / "some/d", scenes)
    (tmp_path / "some/d/1.png").unlink()
    assert "show the same scenes" in seen(tmp_path / "some").message
    many = tmp_path / "many"
    for n in range(3):
        put_pairs(many / "w", many / "d", scenes, rainy_name=f"{{}}_{n}")
    assert f"--rainy {many / 'w'} --clean {many / 'd'}" in seen(many).message


def test_names_with_spaces_can_be_copied(scenes: list[Bytes], tmp_path: Path) -> None:
    put_pairs(tmp_path / "in put", tmp_path / "out", scenes)
    assert f'--rainy "{tmp_path / "in put"}" --clean {tmp_path / "out"}' in seen(tmp_path).message


def test_rainy_pictures_in_a_folder_among_their_twins(scenes: list[Bytes], tmp_path: Path) -> None:
    put_pairs(tmp_path / "drops", tmp_path, scenes)
    assert f"--rainy {tmp_path / 'drops'} --clean {tmp_path}" in seen(tmp_path).message


@pytest.mark.parametrize(
    ("names", "rainy", "clean"),
    [
        (("GT", "photos"), "photos", "GT"),
        (("clean", "foo"), "foo", "clean"),
        (("lq", "result"), "lq", "result"),
        (("in/deep/rainy", "in/deep/what"), "in/deep/rainy", "in/deep/what"),
    ],
)
def test_a_known_name_beside_another_is_enough(
    names: tuple[str, str], rainy: str, clean: str, scenes: list[Bytes], tmp_path: Path
) -> None:
    for k, name in enumerate(names):  # they show different scenes
        (tmp_path / name).mkdir(parents=True)
        write_image(tmp_path / name / "1.png", scenes[k])
    assert f"--rainy {tmp_path / rainy} --clean {tmp_path / clean}" in seen(tmp_path).message


@pytest.mark.parametrize(
    ("rainy", "clean"),
    [
        ("{}_rain", "{}"),
        ("{}", "{}_GT"),
        ("{}-lq", "{}"),
        ("rainy_{}", "{}"),
        ("{}", "clean{}"),
        ("{}", "{}_derained"),
    ],
)
def test_names_in_one_folder_that_differ_in_a_word(
    rainy: str, clean: str, scenes: list[Bytes], tmp_path: Path
) -> None:
    put_pairs(tmp_path / "all", tmp_path / "all", scenes, rainy, clean)
    problem = seen(tmp_path)
    assert "beside" in problem.message
    assert "and 5 more like it" in problem.message
    assert len(problem.paths) == 12


@pytest.mark.parametrize(
    ("rainy", "clean"), [("{}_R", "{}_C"), ("noisy{}", "{}"), ("s{}/a", "s{}/b")]
)
def test_names_that_come_in_twos_where_rain_tells_the_halves_apart(
    rainy: str, clean: str, scenes: list[Bytes], tmp_path: Path
) -> None:
    for k, scene in enumerate(scenes):
        for name, pixels in ((rainy, rain_on(scene, k)), (clean, scene)):
            path = tmp_path / f"{name.format(k)}.png"
            path.parent.mkdir(exist_ok=True)
            write_image(path, pixels)
    message = seen(tmp_path).message
    assert f"and 5 more like it, {Path(rainy.format(0)).name}.png the rainier" in message
    # Edited versions come in twos as well: one darker, one brighter.
    for k, scene in enumerate(scenes):
        edited = np.clip(scene * (0.8 if k % 2 else 1.2), 0, 255).astype(np.uint8)
        write_image(tmp_path / f"{rainy.format(k)}.png", edited)
    assert unknown_pairs(tmp_path) is None


def test_the_rainy_half_alone_is_not_clean(scenes: list[Bytes], tmp_path: Path) -> None:
    put_pairs(tmp_path / "set/rainy", tmp_path / "set/clean", scenes[:2])
    assert "set/rainy/ holds rainy pictures by name" in seen(tmp_path / "set/rainy").message
    assert unknown_pairs(tmp_path / "set/clean") is None
    assert check(tmp_path / "set/clean").sound
    (tmp_path / "set/clean").rename(tmp_path / "elsewhere")
    assert "rainy/ holds rainy pictures by name" in seen(tmp_path / "set").message
    put_pairs(tmp_path / "w", tmp_path / "norain", scenes, "rain-{}", "rain-{}")
    assert "rain-0.png and 5 more are rainy pictures" in seen(tmp_path / "w").message
    assert unknown_pairs(tmp_path / "norain") is None  # twins of one name


def test_lists_whose_pictures_are_not_there_and_several_lists(
    scenes: list[Bytes], tmp_path: Path
) -> None:
    put_pairs(tmp_path, tmp_path, scenes[:2], "w{}", "d{}")
    (tmp_path / "real.txt").write_text("gone/w0.png gone/d0.png\ngone/w1.png gone/d1.png\n")
    assert f"name the list itself, such as {tmp_path / 'real.txt'}" in seen(tmp_path).message
    (tmp_path / "real.txt").write_text("w0.png d0.png\n")
    assert len(data.find_pairs(tmp_path).pairs) == 1
    (tmp_path / "more.txt").write_text("w1.png d1.png\n")
    assert "in more.txt, real.txt" in seen(tmp_path).message
    (tmp_path / "more.txt").unlink()
    (tmp_path / "real.txt").rename(tmp_path / "pairs.csv")
    (tmp_path / "pairs.csv").write_text("rainy,clean\nw0.png,d0.png\n")
    assert len(data.find_pairs(tmp_path).pairs) == 1
    (tmp_path / "pairs.csv").write_text("w1.png,none\nw0.png,d0.png\n")
    assert "in pairs.csv, after lines that are neither titles" in seen(tmp_path).message
    # A list of sources is none of pairs.
    (tmp_path / "pairs.csv").write_text("w0.png,https://example.org/w0.png\n")
    assert unknown_pairs(tmp_path) is None


def test_photographs_are_no_pairs(scenes: list[Bytes], tmp_path: Path) -> None:
    for k, scene in enumerate(scenes):
        year = tmp_path / "years" / ("2019" if k % 2 else "2020")
        year.mkdir(parents=True, exist_ok=True)
        write_image(year / f"IMG_{k // 2}.png", scene)
    assert unknown_pairs(tmp_path / "years") is None
    for k, country in enumerate(("fr", "in", "us")):
        (tmp_path / "countries" / country).mkdir(parents=True)
        write_image(tmp_path / "countries" / country / "1.png", scenes[2 * k])
    assert unknown_pairs(tmp_path / "countries") is None
    # A burst in one folder, and a rainy name among many.
    burst = tmp_path / "burst"
    burst.mkdir()
    for k, scene in enumerate(scenes[:3]):
        for n in range(3):
            noise = np.random.default_rng(n).integers(0, 3, scene.shape, np.uint8)
            write_image(burst / f"IMG_{k}_{n}.png", np.maximum(scene, 3) - noise)
    write_image(burst / "rainy_street.png", scenes[4])
    assert unknown_pairs(burst) is None


def test_several_datasets_deeper_down(scenes: list[Bytes], tmp_path: Path) -> None:
    for name in ("a/one", "b/two"):
        put_pairs(tmp_path / name / "rainy", tmp_path / name / "clean", scenes[:1])
    assert f"name {tmp_path / 'a/one'} alone" in seen(tmp_path).message


def test_a_false_alarm_can_be_avoided(scenes: list[Bytes], tmp_path: Path) -> None:
    put_pairs(tmp_path / "A", tmp_path / "B", scenes[:3])
    report = check(tmp_path, layout="photographs")
    assert report.sound
    assert report.pictures == 6
    assert check(tmp_path / "B").sound


def test_litter_is_no_sign_of_anything(scenes: list[Bytes], tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    for k, scene in enumerate(scenes[:2]):
        write_image(tmp_path / "sub" / f"{k}.png", scene)
        for place in ("@eaDir/gt", "__MACOSX/sub", ".thumbnails"):
            (tmp_path / place).mkdir(parents=True, exist_ok=True)
            write_image(tmp_path / place / f"{k}.png", scene)
    (tmp_path / "._list.txt").write_text("a.png b.png\n")
    assert unknown_pairs(tmp_path) is None


def test_many_folders_take_seconds(tmp_path: Path) -> None:
    (tmp_path / "1.png").write_bytes(b"")
    for k in range(1500):
        (tmp_path / "set" / f"{k}").mkdir(parents=True)
        for n in range(4):
            os.link(tmp_path / "1.png", tmp_path / "set" / f"{k}" / f"{n}.png")
    began = time.process_time()
    assert unknown_pairs(tmp_path / "set") is None
    assert time.process_time() - began < 10


@pytest.mark.parametrize("change", ["twice the size", "other names", "turned"])
def test_duplicates_in_two_folders_are_signs_of_pairs(
    change: str, scenes: list[Bytes], tmp_path: Path
) -> None:
    for k, scene in enumerate(scenes):
        wet = rain_on(scene, k, heavy=False)
        name = f"{'qwerty'[-k]}{k}" if change == "other names" else str(k)
        if change == "twice the size":
            scene = scene.repeat(2, axis=0).repeat(2, axis=1)
        if change == "turned":
            scene = np.ascontiguousarray(np.rot90(scene))
        for folder, stem, pixels in (("x", str(k), wet), ("y", name, scene)):
            (tmp_path / folder).mkdir(exist_ok=True)
            if change != "other names" or folder == "x" or k:
                write_image(tmp_path / folder / f"{stem}.png", pixels)
    report = check(tmp_path)
    assert not report.sound
    assert report.problems[0].kind == "unknown layout"
    assert "x/ and y/ show the same scenes" in report.problems[0].message
    assert check(tmp_path, layout="photographs").sound


def test_a_few_duplicates_in_two_folders_are_photographs(
    scenes: list[Bytes], tmp_path: Path
) -> None:
    for folder, chosen in (("x", scenes[:4]), ("y", [*scenes[4:], scenes[0][:, ::-1]])):
        (tmp_path / folder).mkdir()
        for k, scene in enumerate(chosen):
            write_image(tmp_path / folder / f"{folder}{k}.png", np.ascontiguousarray(scene))
    report = check(tmp_path)
    assert [problem.kind for problem in report.problems] == ["duplicate"]
    assert report.sound
