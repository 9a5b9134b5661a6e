"""Twins by their names."""

from pathlib import Path

import pytest

from derain.data.layouts.names import half_by_name, match_names


@pytest.mark.parametrize(
    ("rainy", "clean", "twin"),
    [
        ("901_14", ["901", "90"], "901"),
        ("901_14", ["901_14", "901"], "901_14"),
        ("im_0001_s80_a04", ["im_0001", "im_0002"], "im_0001"),
        ("norain-001x2", ["norain-001"], "norain-001"),
        ("X2/norain-001x2", ["norain-001"], "norain-001"),
        ("X2/1", ["X1/1", "X2/1"], "X2/1"),
        ("rain-007", ["norain-007"], "norain-007"),
        ("007", ["007gt", "008gt"], "007gt"),
        ("12_rain", ["12_clean", "1_clean"], "12_clean"),
        ("input", ["clean"], "clean"),
        ("0", ["00", "1"], "00"),
        ("rainbow", ["rainbow", "bow"], "rainbow"),
        # Accents as letters of their own, as macOS writes names.
        ("caf\u00e9", ["cafe\u0301", "cafe"], "cafe\u0301"),
        ("cafe\u0301_14", ["caf\u00e9", "cafe"], "caf\u00e9"),
        ("u\u0308/rain-007", ["\u00fc/norain-007", "u/norain-007"], "\u00fc/norain-007"),
    ],
)
def test_twins(rainy: str, clean: list[str], twin: str) -> None:
    pairs, problems = match_names(
        {Path("r", f"{rainy}.png"): Path(f"{rainy}.png")},
        {Path("c", n): Path(f"{n}.png") for n in clean},
    )
    assert [pair.clean for pair in pairs] == [Path("c", twin)]
    assert {problem.kind for problem in problems} <= {"spare"}
    assert len(problems) == len(clean) - 1


def twins(rainy: list[str], clean: list[str]) -> tuple[dict[str, str], list[str]]:
    halves = [
        {Path(half, name): Path(name) for name in names}
        for half, names in (("r", rainy), ("c", clean))
    ]
    pairs, problems = match_names(*halves)
    found = {
        pair.rainy.relative_to("r").as_posix(): pair.clean.relative_to("c").as_posix()
        for pair in pairs
    }
    return found, sorted(problem.kind for problem in problems)


@pytest.mark.parametrize(
    ("rainy", "clean", "found", "problems"),
    [
        (["img.png", "img_1.png"], ["img.png"], {"img.png": "img.png"}, ["unpaired"]),
        (
            ["rain-5.png", "rain-5x2.png"],
            ["norain-5.png"],
            {"rain-5.png": "norain-5.png"},
            ["unpaired"],
        ),
        (["b_1.png", "b_2.png"], ["b.png"], {"b_1.png": "b.png", "b_2.png": "b.png"}, []),
        (["1.png", "01.png"], ["1.png", "01.png"], {"1.png": "1.png", "01.png": "01.png"}, []),
        (["1.png"], ["01.png", "1.jpg"], {"1.png": "1.jpg"}, ["spare"]),
        (["1.png", "01.png"], ["1.png"], {"1.png": "1.png"}, ["unpaired"]),
        (["001.png"], ["01.png", "1.png"], {"001.png": "01.png"}, ["ambiguous", "spare"]),
        (["1.png"], ["1.png", "1.jpg"], {"1.png": "1.png"}, ["ambiguous", "spare"]),
        (["low/1.png", "high/1.png"], ["1.png"], {"low/1.png": "1.png", "high/1.png": "1.png"}, []),
    ],
)
def test_a_twin_that_is_missing_is_not_made_up(
    rainy: list[str], clean: list[str], found: dict[str, str], problems: list[str]
) -> None:
    assert twins(rainy, clean) == (found, problems)


def test_no_twin_across_folders_of_the_same_kind() -> None:
    pairs, problems = match_names(
        {Path("a/1.png"): Path("a/1.png")}, {Path("b/1.png"): Path("b/1.png")}
    )
    assert pairs == []
    assert [problem.kind for problem in problems] == ["unpaired"]


@pytest.mark.parametrize(
    ("name", "half"),
    [
        ("norain-7.png", "clean"),
        ("no_rain7.png", "clean"),
        ("rain-7.png", "rainy"),
        ("7_rain.png", "rainy"),
        ("input.png", "rainy"),
        ("7_norain.png", "clean"),
        ("street_gt.png", "clean"),
        ("rainbow.png", None),
        ("grain-1.png", None),
        ("cleaner.png", None),
    ],
)
def test_halves_by_name(name: str, half: str | None) -> None:
    assert half_by_name(name) == half
