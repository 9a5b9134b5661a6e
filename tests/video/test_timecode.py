"""Time codes of later frames, with and without drop-frame counting."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from derain.video.timecode import is_timecode, later

NTSC = Fraction(30000, 1001)


@pytest.mark.parametrize(
    ("timecode", "frames", "rate", "expected"),
    [
        ("01:00:00:00", 0, Fraction(25), "01:00:00:00"),
        ("01:00:00:24", 1, Fraction(25), "01:00:01:00"),
        ("01:00:00:00", 90_000, Fraction(25), "02:00:00:00"),
        ("23:59:59:23", 1, Fraction(24), "00:00:00:00"),
        ("00:00:59:29", 1, NTSC, "00:01:00:00"),
        # Without the numbers 0 and 1 of a minute, but for every tenth.
        ("00:00:59;29", 1, NTSC, "00:01:00;02"),
        ("00:08:59;29", 1, NTSC, "00:09:00;02"),
        ("00:09:59;29", 1, NTSC, "00:10:00;00"),
        ("00:00:00;00", 17_982, NTSC, "00:10:00;00"),
        ("00:00:00.00", 107_892, NTSC, "01:00:00.00"),
        ("23:59:59;29", 1, NTSC, "00:00:00;00"),
        ("00:00:00:9", 1, Fraction(10), "00:00:01:0"),
        ("00:00:00:119", 1, Fraction(120), "00:00:01:000"),
        ("00:00:59;59", 1, 2 * NTSC, "00:01:00;04"),
    ],
)
def test_frames_are_counted(timecode: str, frames: int, rate: Fraction, expected: str) -> None:
    assert later(timecode, frames, rate) == expected


@given(st.integers(0, 3_000_000), st.integers(0, 3_000_000), st.sampled_from([30, 60]))
def test_no_dropped_number_appears_and_steps_add_up(one: int, two: int, count: int) -> None:
    rate = count * Fraction(1000, 1001)
    there = later("10:00:00;00", one, rate)
    _, minute, rest = there.split(":")
    second, place = rest.split(";")
    assert int(minute) % 10 == 0 or int(second) > 0 or int(place) >= count // 15
    assert later(there, two, rate) == later("10:00:00;00", one + two, rate)


def test_what_is_no_time_code_is_refused() -> None:
    assert is_timecode("00:00:00;00", NTSC)
    for text, rate in (("", Fraction(25)), ("1:00", Fraction(25)), ("00:00:00;00", Fraction(25))):
        assert not is_timecode(text, rate)
        with pytest.raises(ValueError, match="is no time code at 25 frames a second"):
            later(text, 1, rate)
