"""NIQE models of folders and files."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from derain.evaluate import natural_model
from derain.images import write_image
from derain.metrics import NaturalModel, NiqeError, niqe


@pytest.fixture
def folder(crops: list[NDArray[np.uint8]], tmp_path: Path) -> Path:
    for k, crop in enumerate(crops):
        place = tmp_path / "some clean" / ("deeper" if k % 2 else ".")
        place.mkdir(parents=True, exist_ok=True)
        write_image(place / f"{k}.png", crop)
    return tmp_path / "some clean"


def test_a_folder_is_fitted_to_the_bottom(folder: Path, natural: NaturalModel) -> None:
    seen: list[tuple[str, int, int]] = []
    model = natural_model(folder, lambda stage, done, total: seen.append((stage, done, total)))
    assert seen == [(f"NIQE of {folder}", k, 48) for k in range(48)]
    assert np.allclose(model.mean, natural.mean)
    assert model.digest != natural.digest, "the order is another"


def test_a_file_is_read(folder: Path, natural: NaturalModel) -> None:
    file = folder / "model.json"
    file.write_text(niqe.to_json(natural))
    assert natural_model(file).digest == natural.digest
    assert natural_model(folder).pictures == 48, "the model among the pictures is none"


def test_what_makes_no_model_is_named(folder: Path, pairs: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nothing: no such folder of clean pictures"):
        natural_model(folder / "nothing")
    with pytest.raises(
        NiqeError, match=r"0\.png: not JSON; expected a NIQE model; a folder of clean pictures"
    ):
        natural_model(folder / "0.png")
    with pytest.raises(ValueError, match="set: holds rainy pictures too"):
        natural_model(pairs)
    with pytest.raises(NiqeError, match=r"clean/1\.png: clean picture 1: 50x40 pixels"):
        natural_model(pairs / "clean")
    (pairs / "rainy/3.png").write_bytes((pairs / "rainy/2.png").read_bytes())
    with pytest.raises(ValueError, match="set: holds rainy pictures too"):
        natural_model(pairs)
    for path in list(folder.rglob("*.png"))[:12]:
        path.unlink()
    with pytest.raises(NiqeError, match="some clean: 36 clean pictures with 36 sharp patches"):
        natural_model(folder)
    (folder / "bad.jpg").write_bytes(b"no picture")
    with pytest.raises(ValueError, match=r"bad\.jpg: not a picture"):
        natural_model(folder)
