"""Photographs without clean twins."""

from pathlib import Path

import pytest

from derain.evaluate import find_photographs


def test_names_tell_photographs_apart(tmp_path: Path) -> None:
    for name in ("10.jpg", "9.jpg", "9.png", "deep/a b.webp", "notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    found = find_photographs(tmp_path)
    assert found.name == tmp_path.name
    assert [photograph.name for photograph in found.photographs] == [
        "9.jpg",
        "9.png",
        "10",
        "deep/a b",
    ]
    assert [photograph.rainy.name for photograph in found.photographs] == [
        "9.jpg",
        "9.png",
        "10.jpg",
        "a b.webp",
    ]


def test_a_folder_without_pictures_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no pictures here"):
        find_photographs(tmp_path)
