"""HDR10: the display and the light of a clip, from its frames into an encoder's words."""

import struct
from fractions import Fraction
from pathlib import Path

import pytest
from filming import Film, film, remake

from derain.video.colours import Colours
from derain.video.encoding import encoder_for
from derain.video.hdr import Display, Hdr, hdr_of
from derain.video.reading import open_clip

WORDS = "G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,1)"
HDR10 = Hdr(
    Display(
        red=(Fraction("0.68"), Fraction("0.32")),
        green=(Fraction("0.265"), Fraction("0.69")),
        blue=(Fraction("0.15"), Fraction("0.06")),
        white=(Fraction("0.3127"), Fraction("0.329")),
        least=Fraction("0.0001"),
        most=Fraction(1000),
    ),
    (1000, 400),
)
PARAMETERS = f"log-level=none:master-display={WORDS}:max-cll=1000,400"
SCENE = Film(
    times=range(4),
    codec="libx265",
    format="yuv420p10le",
    options={"x265-params": PARAMETERS},
    tags={"color_primaries": 9, "color_trc": 16, "colorspace": 9},
)


def side_data(numbers: list[int], *, primaries: int = 1, luminance: int = 1) -> dict[str, bytes]:
    """Return a display of whole numbers over 50,000, and 10,000 for the last two."""
    below = [50_000] * 8 + [10_000] * 2
    pairs = [each for pair in zip(numbers, below, strict=True) for each in pair]
    return {"MASTERING_DISPLAY_METADATA": struct.pack("22i", *pairs, primaries, luminance)}


NUMBERS = [34000, 16000, 13250, 34500, 7500, 3000, 15635, 16450, 1, 10_000_000]


def test_encoders_are_told_the_display_in_their_words() -> None:
    display = hdr_of(side_data(NUMBERS)).display
    assert display == HDR10.display
    assert display is not None
    assert display.whole() == WORDS
    assert display.decimal() == (
        "G(0.265,0.69)B(0.15,0.06)R(0.68,0.32)WP(0.3127,0.329)L(1000,0.0001)"
    )


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"MASTERING_DISPLAY_METADATA": b"short"},
        {"CONTENT_LIGHT_LEVEL": b""},
        {"CONTENT_LIGHT_LEVEL": struct.pack("2I", 0, 0)},
        {"CONTENT_LIGHT_LEVEL": struct.pack("2I", 1 << 16, 1)},
        side_data(NUMBERS, primaries=0),
        side_data(NUMBERS, luminance=0),
        side_data([50_001, *NUMBERS[1:]]),
        side_data([-1, *NUMBERS[1:]]),
        side_data([*NUMBERS[:8], 5, 5]),
        side_data([*NUMBERS[:8], 0, 2_000_000_000]),
        {"MASTERING_DISPLAY_METADATA": bytes(80) + struct.pack("2i", 1, 1)},
    ],
)
def test_what_is_unknown_or_impossible_is_not_told(data: dict[str, bytes]) -> None:
    assert not hdr_of(data)


@pytest.mark.parametrize(
    ("codec", "name"), [("h264", "a.mp4"), ("h265", "a.mp4"), ("h265", "a.mkv"), ("h264", "a.ts")]
)
def test_hdr10_is_kept(tmp_path: Path, codec: str, name: str) -> None:
    source = film(tmp_path / "clip.mkv", SCENE)
    assert open_clip(source).hdr == HDR10
    made = remake(source, tmp_path / name, codec=codec)
    after = open_clip(made.path)
    assert after.hdr == HDR10
    assert after.colours == Colours(1, 9, 9, 16)
    assert made.notes == []


def test_hdr10_is_kept_as_exactly_as_av1_holds_it(tmp_path: Path) -> None:
    made = remake(film(tmp_path / "clip.mkv", SCENE), tmp_path / "a.mp4", codec="av1")
    found = open_clip(made.path).hdr
    assert found.light == HDR10.light
    assert found.display is not None
    assert HDR10.display is not None
    assert found.display.most == HDR10.display.most
    for here, there in zip(found.display.green, HDR10.display.green, strict=True):
        assert abs(here - there) < Fraction(1, 1 << 16)
    assert made.notes == []


def test_a_codec_that_does_not_hold_hdr10_says_so(tmp_path: Path) -> None:
    clip = open_clip(film(tmp_path / "clip.mkv", SCENE))
    said = "ffv1 does not hold the display and light levels of HDR10; expected h264 or h265 or av1"
    assert encoder_for(clip, codec="ffv1").notes == (said,)


def test_other_clips_are_encoded_as_ever(tmp_path: Path) -> None:
    clip = open_clip(film(tmp_path / "clip.mp4", Film(times=range(2))))
    assert dict(encoder_for(clip).options)["x264-params"] == "mbtree=0"
