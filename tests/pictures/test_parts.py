"""Parts of many files: each file belongs to one, by its name alone."""

from pathlib import Path, PureWindowsPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from derain.errors import UsageError
from derain.pictures import Part


@given(st.text(st.characters(exclude_characters="\0"), min_size=1), st.integers(1, 50))
def test_a_name_belongs_to_one_part(name: str, count: int) -> None:
    assert [Part(index, count).has(name) for index in range(count)].count(True) == 1


def test_parts_are_about_equal() -> None:
    names = [f"camera/2026-11-28/frame_{number:06d}.jpg" for number in range(8000)]
    for index in range(8):
        assert 900 < sum(map(Part(index, 8).has, names)) < 1100


def test_all_systems_part_alike() -> None:
    part = Part.parse(" 3/8 ")
    assert part == Part(3, 8)
    names = [f"a/{number}.png" for number in range(100)]
    assert [part.has(name) for name in names] == [
        part.has(PureWindowsPath(name.replace("/", "\\"))) for name in names
    ]
    # What is done elsewhere depends on it, perhaps by another version.
    assert [number for number in range(40) if part.has(f"a/{number}.png")] == KNOWN
    assert part.has(Path("a/9.png")) is part.has("a/9.png")


KNOWN = [18, 25, 26, 27, 37]


@pytest.mark.parametrize(("index", "count"), [(1, 1), (-1, 2), (0, 0)])
def test_a_part_that_is_not_there(index: int, count: int) -> None:
    with pytest.raises(UsageError, match="expected INDEX/COUNT"):
        Part(index, count)
