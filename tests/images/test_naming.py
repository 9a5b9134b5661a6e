"""What a name for results stands for."""

from pathlib import Path

import pytest

from derain.errors import UsageError
from derain.images.naming import names_a_file


@pytest.mark.parametrize("name", ["a.jpg", "a.JPEG", "deep/a.webp", "2024.05/a.tif", "v1.5.png"])
def test_names_of_files(name: str) -> None:
    assert names_a_file(name)
    assert not names_a_file(f"{name}/")


@pytest.mark.parametrize(
    "name",
    ["a", "a.2024", "v1.5", "a.v12", ".a", "..", "St. Ives", "a.2024-05", "a.jpg/", "/a.b/c"],
)
def test_names_of_folders(name: str) -> None:
    assert not names_a_file(name)


@pytest.mark.parametrize(
    "name", ["", " ", "a.gif", "a.vv2", "a.v", "a.7z", "a.x3f", "a.jpg ", "a.png."]
)
def test_names_of_neither(name: str) -> None:
    with pytest.raises(UsageError):
        names_a_file(name)


def test_a_folder_that_is_there_is_one(tmp_path: Path) -> None:
    (tmp_path / "a.gif").mkdir()
    (tmp_path / "a.jpg").mkdir()
    assert not names_a_file(str(tmp_path / "a.gif"))
    assert not names_a_file(str(tmp_path / "a.jpg"))
