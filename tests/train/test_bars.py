"""Bars before crops: where they stand, and of what colour."""

import pytest
import torch
from torch import Tensor

from derain.train.bars import BAR_NUMBERS, stand_bars

STRAIGHT = {
    0: 0.5,  # a distance of 16.97 pixels, the geometric mean of 6 and 48
    1: 0.3,  # of which a bar covers 5.89: two, and three tenths of what leaves two for the gap
    2: 0.5,  # upright
    3: 0.5,  # without perspective
    5: 0.5,  # edges one pixel wide
    8: 0.9,  # as high as the crop
    11: 0.8,  # grey, and of no tint
    12: 0.5,
    13: 0.5,
    14: 0.5,
    15: 0.9,  # of one colour
}


def numbers(**changed: float) -> Tensor:
    chosen = torch.zeros(1, BAR_NUMBERS)
    for place, number in STRAIGHT.items():
        chosen[0, place] = number
    for place, number in changed.items():
        chosen[0, int(place[1:])] = number
    return chosen


def test_upright_bars_are_regular() -> None:
    dark = torch.full((1, 3, 40, 420), 0.2)
    barred = stand_bars(dark, numbers())[0]
    assert bool((barred == barred[:, :1]).all())  # every row is the same
    share = (barred[0, 0] - 0.2) / 0.6
    assert float(share.min()) == pytest.approx(0, abs=1e-5)
    assert float(share.max()) == pytest.approx(1, abs=1e-5)
    assert float(share.mean()) == pytest.approx(5.89 / 16.97, abs=0.02)
    waves = torch.fft.rfft(share - share.mean()).abs()
    assert int(waves.argmax()) == round(420 / 16.97)
    assert bool((share.diff().abs() < 1.01).all())


@pytest.mark.parametrize(("place", "number"), [("n2", 0.0), ("n2", 0.99)])
def test_bars_lean_either_way(place: str, number: float) -> None:
    barred = stand_bars(torch.zeros(1, 3, 64, 64), numbers(**{place: number}))[0, 0]
    assert not torch.equal(barred[0], barred[-1])


def test_bars_end_in_the_crop() -> None:
    dark = torch.zeros(1, 3, 60, 60)
    lower = stand_bars(dark, numbers(n8=0.1, n9=0.5, n10=0.9))[0, 0].amax(1)
    assert float(lower[:17].max()) == 0
    assert float(lower[19:].min()) > 0.7
    between = stand_bars(dark, numbers(n8=0.1, n9=0.0, n10=0.4))[0, 0].amax(1)
    assert float(between[2:40].min()) > 0.7
    assert float(between[48:].max()) == 0


def test_boards_keep_the_texture_of_the_picture() -> None:
    picture = torch.rand(1, 3, 48, 48, generator=torch.Generator().manual_seed(1)) * 0.5
    barred = stand_bars(picture, numbers(n15=0.1, n11=0.1))
    ratio = barred / picture
    assert float(ratio.min()) == pytest.approx(0.48, abs=1e-4)
    assert float(ratio.max()) == pytest.approx(1, abs=1e-4)


def test_a_crop_goes_by_its_own_numbers() -> None:
    generator = torch.Generator().manual_seed(2)
    clean = torch.rand(6, 3, 33, 50, generator=generator)
    chosen = torch.rand(6, BAR_NUMBERS, generator=generator)
    together = stand_bars(clean, chosen)
    for k in range(6):
        alone = stand_bars(clean[k : k + 1], chosen[k : k + 1])
        assert float((together[k] - alone[0]).abs().max()) < 1e-5
        assert not torch.equal(alone[0], clean[k])
    assert 0 <= float(together.min()) <= float(together.max()) <= 1
