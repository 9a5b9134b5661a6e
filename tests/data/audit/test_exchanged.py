"""Datasets whose rainy and clean pictures are exchanged are noticed by a few pairs."""

from pathlib import Path

import numpy as np
import pytest
from drawn_rain import rain_on
from numpy.typing import NDArray

from derain.data import TwoFolders, find_pairs
from derain.data.audit.exchanged import warning_if_exchanged
from derain.images import write_image


@pytest.fixture
def wet_and_dry(photo: NDArray[np.uint8], tmp_path: Path) -> tuple[Path, Path]:
    """Twelve pairs, of which one of twelve lies the wrong way round."""
    wet, dry = tmp_path / "wet", tmp_path / "dry"
    for folder in (wet, dry):
        folder.mkdir()
    for k in range(12):
        both = [rain_on(photo, k, heavy=False), photo]
        for folder, pixels in zip((wet, dry), both[::-1] if k == 5 else both, strict=True):
            write_image(folder / f"{k}.png", pixels)
    return wet, dry


def test_most_pairs_decide(wet_and_dry: tuple[Path, Path]) -> None:
    wet, dry = wet_and_dry
    assert warning_if_exchanged(find_pairs(TwoFolders(wet, dry))) is None
    warning = warning_if_exchanged(find_pairs(TwoFolders(dry, wet))) or ""
    assert "in 8 of 9 pairs that were looked at, the clean picture is the rainier one" in warning


def test_brightness_alone_is_no_rain(
    wet_and_dry: tuple[Path, Path], photo: NDArray[np.uint8]
) -> None:
    wet, dry = wet_and_dry
    for k in range(12):
        write_image(wet / f"{k}.png", photo // 2 + np.uint8(20))
        write_image(dry / f"{k}.png", photo // 2)
    for one, other in ((wet, dry), (dry, wet)):
        assert warning_if_exchanged(find_pairs(TwoFolders(one, other))) is None


def test_what_cannot_be_read_or_compared_has_no_vote(
    wet_and_dry: tuple[Path, Path], photo: NDArray[np.uint8]
) -> None:
    wet, dry = wet_and_dry
    for k in range(12):
        (dry / f"{k}.png").write_bytes(b"")
    write_image(dry / "0.png", np.full_like(photo, 9))  # shows nothing
    assert warning_if_exchanged(find_pairs(TwoFolders(wet, dry))) is None
