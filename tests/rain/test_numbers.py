"""Random numbers of rain: in range, well mixed, the same everywhere."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from derain.rain.numbers import Draws, normal_noise, white_noise


@given(seed=st.integers(0, 2**40), low=st.floats(0.01, 10), factor=st.floats(1, 100))
def test_draws_stay_in_their_range(seed: int, low: float, factor: float) -> None:
    draws = Draws(torch.Generator().manual_seed(seed))
    high = low * factor
    for _ in range(70):  # more than are drawn at once
        assert low * 0.999 <= draws.uniform((low, high)) <= high * 1.001
        assert low * 0.999 <= draws.log_uniform((low, high)) <= high * 1.001


def test_draws_are_a_function_of_the_generator() -> None:
    first, again = (Draws(torch.Generator().manual_seed(5)) for _ in range(2))
    assert [first.unit() for _ in range(100)] == [again.unit() for _ in range(100)]
    assert torch.equal(first.scatter(9), again.scatter(9))


def test_chance_is_as_often_as_said() -> None:
    draws = Draws(torch.Generator().manual_seed(1))
    assert abs(sum(draws.chance(0.3) for _ in range(4000)) / 4000 - 0.3) < 0.03


def test_white_noise_is_uniform_and_white() -> None:
    noise = white_noise(torch.arange(8), (128, 128)).double()
    assert float(noise.min()) >= 0
    assert float(noise.max()) < 1
    share, _ = torch.histogram(noise.flatten(), 16, range=(0.0, 1.0))
    assert float((share / noise.numel() - 1 / 16).abs().max()) < 0.003
    centred = noise - 0.5
    for shifts, dims in (((0, 1), (1, 2)), ((1, 0), (1, 2)), ((0, 7), (1, 2)), ((1,), (0,))):
        assert abs(float((centred * centred.roll(shifts, dims)).mean() * 12)) < 0.02


def test_white_noise_is_what_it_always_was() -> None:
    # Integers all the way: the same on every device and in every version, or seeds would change
    # their rain.
    found = (white_noise(torch.tensor([0, 123456789]), (2, 2)) * 2**24).long().flatten().tolist()
    assert found == REFERENCE


@given(key=st.integers(0, 2**31 - 1), height=st.integers(1, 20), width=st.integers(1, 20))
def test_a_key_gives_its_noise_whatever_else_is_drawn(key: int, height: int, width: int) -> None:
    alone = white_noise(torch.tensor([key]), (height, width))
    among = white_noise(torch.tensor([1, key, 2]), (height, width))
    assert torch.equal(alone[0], among[1])


def test_normal_noise_is_normal() -> None:
    noise = normal_noise(torch.tensor([7]), (256, 256))
    assert abs(float(noise.mean())) < 0.02
    assert abs(float(noise.std()) - 1) < 0.02
    assert abs(float((noise.abs() < 1).float().mean()) - 0.6827) < 0.01
    assert bool(torch.isfinite(noise).all())


def lowbias32(x: int) -> int:
    for shift, factor in ((16, 0x7FEB352D), (15, 0x846CA68B)):
        x ^= x >> shift
        x = x * factor & 0xFFFFFFFF
    return x ^ x >> 16


REFERENCE = [lowbias32(lowbias32(place) ^ key) >> 8 for key in (0, 123456789) for place in range(4)]
"""The same hash in Python's integers."""
