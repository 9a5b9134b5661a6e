"""Colour profiles fit the pixels that are written, and mean what the file said."""

import io
import struct
from typing import Any

import numpy as np
import pytest
from containers import colours, png_of, saved
from numpy.typing import NDArray
from PIL import Image, ImageCms

from derain import images
from derain.images import profiles

SRGB_CHUNK = struct.pack(">8I", 31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000)


def shown(pixels: NDArray[Any], profile: bytes) -> NDArray[Any]:
    """Return what a display of sRGB shows of (H, W, 3), or of (H, W) with a grey profile."""
    image = Image.fromarray(pixels)
    converted = ImageCms.profileToProfile(
        image,
        ImageCms.ImageCmsProfile(io.BytesIO(profile)),
        ImageCms.createProfile("sRGB"),
        renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
        outputMode="RGB",
    )
    assert converted is not None
    return np.asarray(converted).astype(int)


def of_png(chunks: dict[bytes, bytes], *, grey: bool = False) -> bytes:
    lost: list[str] = []
    made = profiles.of_png(chunks, lost, grey=grey)
    assert lost == []
    return made


def grey_profile(gamma: float) -> bytes:
    made = of_png({b"gAMA": struct.pack(">I", round(100_000 / gamma))}, grey=True)
    assert made[16:20] == b"GRAY"
    return made


def test_srgb_is_srgb_and_always_the_same() -> None:
    assert np.abs(shown(colours(), profiles.srgb()) - colours()).max() <= 1
    assert profiles.srgb() == profiles.srgb()
    assert of_png({b"sRGB": b"\0"}) == profiles.srgb()
    assert of_png({b"gAMA": struct.pack(">I", 45_455), b"cHRM": SRGB_CHUNK}) == profiles.srgb()
    assert of_png({b"cICP": b"\x01\x0d\0\x01"}) == profiles.srgb()


@pytest.mark.parametrize("gamma", [1.0, 1.8, 2.2, 2.6])
@pytest.mark.parametrize("grey", [False, True])
def test_gamma_means_what_it_says(gamma: float, grey: bool) -> None:
    profile = of_png({b"gAMA": struct.pack(">I", round(100_000 / gamma))}, grey=grey)
    ramp = np.arange(256, dtype=np.uint8)[None]
    result = shown(ramp if grey else np.repeat(ramp[..., None], 3, axis=2), profile)[0, :, 0]
    linear = (np.arange(256) / 255) ** gamma
    expected = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    tolerance = np.where(np.arange(256) < 16, 11, 1.6)  # of eight bits, in linear light
    if gamma == 2.2:
        expected = expected.copy()
        expected[:] = np.arange(256) / 255  # 1/2.2 is how programs say sRGB
    assert (np.abs(result - 255 * expected) <= tolerance).all()


def test_primaries_mean_what_they_say() -> None:
    # The primaries of Display P3, by numbers and by name, beside Pillow's own arithmetic.
    p3 = struct.pack(">8I", 31270, 32900, 68000, 32000, 26500, 69000, 15000, 6000)
    by_numbers = of_png({b"gAMA": struct.pack(">I", 45_455), b"cHRM": p3})
    assert by_numbers == of_png({b"cICP": b"\x0c\x0d\0\x01"})
    # In-gamut colours of sRGB as P3 says them (matrix of CSS Color 4).
    linear = np.array([[0.8225, 0.1774, 0], [0.0332, 0.9669, 0], [0.0171, 0.0724, 0.9108]])
    levels = np.array([[200, 60, 90], [10, 180, 40], [90, 90, 90], [250, 240, 10]]) / 255
    decoded = np.where(levels <= 0.04045, levels / 12.92, ((levels + 0.055) / 1.055) ** 2.4)
    there = decoded @ linear.T
    encoded = np.where(there <= 0.0031308, 12.92 * there, 1.055 * there ** (1 / 2.4) - 0.055)
    pixels = np.rint(255 * encoded).astype(np.uint8)[None]
    assert np.abs(shown(pixels, by_numbers)[0] - 255 * levels).max() <= 4


@pytest.mark.parametrize(
    "chunks",
    [
        {b"cHRM": bytes(32)},
        {b"cHRM": struct.pack(">8I", 31270, 32900, *(30000, 30000) * 3)},
        {b"cHRM": b"\xff" * 32},
        {b"gAMA": struct.pack(">I", 1)},
        {b"gAMA": struct.pack(">I", 2**32 - 1)},
        {b"cICP": b"\x09\x10\0\x01"},
        {b"cICP": b"\x01\x01\0\0"},
        {b"cICP": b"\xff\xff\xff\xff"},
    ],
)
def test_colours_that_no_profile_can_say_are_named(chunks: dict[bytes, bytes]) -> None:
    lost: list[str] = []
    assert profiles.of_png(chunks, lost, grey=False) == b""
    assert lost == [f"PNG {next(iter(chunks)).decode()}"]


@pytest.mark.parametrize("gamma", [1.0, 1.8])
@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_a_grey_profile_is_made_one_for_colour(gamma: float, format: images.Format) -> None:
    grey = np.arange(10, 250, 5, dtype=np.uint8).reshape(6, 8)
    profile = grey_profile(gamma)
    picture = images.Picture(np.dstack([grey] * 3), metadata=images.Metadata(icc=profile))
    notes: list[str] = []
    image = Image.open(io.BytesIO(images.encode(picture, format, notes)))
    assert notes == []
    fitted = image.info["icc_profile"]
    assert fitted[16:20] == b"RGB "
    assert np.abs(shown(picture.pixels, fitted) - shown(grey, profile)).max() <= 1


def test_sixteen_bit_grey_with_alpha_has_a_profile_that_fits() -> None:
    levels = np.random.default_rng(0).integers(0, 65536, (4, 5, 2), dtype=np.uint16)
    profile = grey_profile(1.8)
    data = images.encode(images.read(png_of(levels)), "PNG")
    picture = images.read(data)
    metadata = images.Metadata(icc=profile)
    picture = images.Picture(picture.pixels, picture.alpha, grey=True, metadata=metadata)
    as_png = images.encode(picture, "PNG")
    assert as_png[24:26] == b"\x10\x04"
    assert images.read(as_png).metadata.icc == profile
    as_tiff = images.encode(picture, "TIFF")
    again = images.read(as_tiff)
    assert not again.grey
    assert again.metadata.icc[16:20] == b"RGB "
    assert np.array_equal(again.pixels, picture.pixels)


def test_a_colour_profile_is_made_one_for_grey_or_dropped() -> None:
    pixels = np.dstack([np.arange(0, 250, 5, dtype=np.uint8).reshape(5, 10)] * 3)
    for profile, kept in (
        (profiles.srgb(), True),
        (profiles.srgb().replace(b"gTRC", b"xTRC"), False),
    ):
        picture = images.Picture(pixels, grey=True, metadata=images.Metadata(icc=profile))
        notes: list[str] = []
        image = Image.open(io.BytesIO(images.encode(picture, "PNG", notes)))
        assert image.mode == "L"
        if kept:
            assert image.info["icc_profile"][16:20] == b"GRAY"
            assert notes == []
        else:
            assert "icc_profile" not in image.info
            assert notes == ["not kept in PNG: RGB colour profile of grey pixels"]


@pytest.mark.parametrize(
    ("profile", "name"),
    [
        (profiles.srgb().replace(b"RGB ", b"CMYK", 1), "CMYK colour profile of RGB pixels"),
        (profiles.srgb().replace(b"RGB ", b"Lab ", 1), "Lab colour profile of RGB pixels"),
    ],
)
def test_profiles_that_fit_nothing_are_said(profile: bytes, name: str) -> None:
    picture = images.read(saved(colours(), "JPEG", icc_profile=profile))
    notes: list[str] = []
    image = Image.open(io.BytesIO(images.encode(picture, "JPEG", notes)))
    assert notes == [f"not kept in JPEG: {name}"]
    assert "icc_profile" not in image.info


@pytest.mark.parametrize("profile", [b"too short", bytes(500)])
def test_profiles_that_are_none_stay_as_they_are(profile: bytes) -> None:
    picture = images.read(saved(colours(), "PNG", icc_profile=profile))
    notes: list[str] = []
    image = Image.open(io.BytesIO(images.encode(picture, "PNG", notes)))
    assert notes == []
    assert image.info["icc_profile"] == profile
