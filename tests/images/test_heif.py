"""HEIC, which pillow-heif reads, and AVIF."""

import io
import struct
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_files import saved
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageCms, features

from derain import images
from derain.images import AnimationError, ImageError, TooManyPixelsError
from derain.images.headers import kind_of
from derain.images.picture import has_avif
from derain.pictures import describe_others, plan

ICC = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'


def turned_exif() -> bytes:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    exif[ExifTags.Base.Make] = "Camera"
    return exif.tobytes()


def heic(image: Image.Image, **options: Any) -> bytes:
    pillow_heif = pytest.importorskip("pillow_heif")
    out = io.BytesIO()
    pillow_heif.from_pillow(image).save(out, quality=95, **options)
    return out.getvalue()


def heic_of_16_bits(levels: NDArray[np.uint16], depth: int, monkeypatch: Any) -> bytes:
    pillow_heif = pytest.importorskip("pillow_heif")
    monkeypatch.setattr(pillow_heif.options, "SAVE_HDR_TO_12_BIT", depth == 12)
    mode = {3: "RGB;16", 4: "RGBA;16"}[levels.shape[2]]
    size = (levels.shape[1], levels.shape[0])
    out = io.BytesIO()
    pillow_heif.from_bytes(mode, size, levels.tobytes()).save(out, quality=-1)
    return out.getvalue()


def avif(image: Image.Image, **options: Any) -> bytes:
    if not has_avif():
        pytest.skip("this Pillow was built without AVIF")
    return saved(image, "AVIF", quality=95, subsampling="4:4:4", **options)


def difference(pixels: Any, photo: Any) -> float:
    return float(np.abs(pixels.astype(int) - photo).mean())


@pytest.mark.parametrize("kind", ["HEIF", "AVIF"])
def test_pixels_profile_exif_and_xmp_are_read(photo: NDArray[np.uint8], kind: str) -> None:
    image = Image.fromarray(photo)
    write = heic if kind == "HEIF" else avif
    data = write(image, exif=turned_exif(), xmp=XMP, icc_profile=ICC)
    assert kind_of(data) == kind
    picture = images.read(data)
    # Whatever both EXIF and the file's own turn say, it is turned once.
    assert difference(picture.pixels, np.rot90(photo, -1)) < 4
    assert picture.metadata.format == ("JPEG" if kind == "HEIF" else "AVIF")
    assert picture.metadata.icc == ICC
    assert b'Orientation="1"' in picture.metadata.xmp or b"Orientation" not in picture.metadata.xmp
    written = Image.open(io.BytesIO(images.encode(picture, "JPEG")))
    assert written.getexif()[ExifTags.Base.Make] == "Camera"
    assert written.getexif()[ExifTags.Base.Orientation] == 1


def test_exif_of_a_heic_turns_nothing_on_its_own(photo: NDArray[np.uint8]) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 1
    data = heic(Image.fromarray(photo), exif=exif.tobytes())
    little, big = b"\x12\1\3\0\1\0\0\0\1\0", b"\1\x12\0\3\0\0\0\1\0\1"
    assert data.count(little) + data.count(big) == 1
    turned = data.replace(little, little[:8] + b"\6\0").replace(big, big[:8] + b"\0\6")
    assert images.read(turned).pixels.shape == photo.shape


@pytest.mark.parametrize("kind", ["HEIF", "AVIF"])
def test_alpha_is_kept(photo: NDArray[np.uint8], kind: str) -> None:
    alpha = np.indices(photo.shape[:2]).sum(0).astype(np.uint8)
    image = Image.fromarray(np.dstack([photo, alpha]))
    picture = images.read(heic(image) if kind == "HEIF" else avif(image))
    assert picture.alpha is not None
    assert difference(picture.alpha, alpha) < 4
    with pytest.raises(ImageError, match="transparency, which JPEG cannot hold"):
        images.check_format(picture, "JPEG")


def test_grey_heic_stays_grey(photo: NDArray[np.uint8]) -> None:
    picture = images.read(heic(Image.fromarray(photo).convert("L")))
    assert picture.grey
    assert difference(picture.pixels[..., 0], np.array(Image.fromarray(photo).convert("L"))) < 4


@pytest.mark.parametrize("depth", [10, 12])
@pytest.mark.parametrize("channels", [3, 4])
def test_10_and_12_bits_fill_16(depth: int, channels: int, monkeypatch: pytest.MonkeyPatch) -> None:
    ramp = np.linspace(0, 65535, 64 * 48).reshape(48, 64).astype(np.uint16)
    levels = np.dstack([ramp] * channels)
    picture = images.read(heic_of_16_bits(levels, depth, monkeypatch))
    assert picture.pixels.dtype == np.uint16
    assert (picture.alpha is None) == (channels == 3)
    assert (picture.pixels.min(), picture.pixels.max()) == (0, 65535)
    assert np.abs(picture.pixels.astype(int) - ramp[..., None]).max() < 2 * 65536 >> depth
    assert images.read(images.encode(picture, "PNG")).pixels.dtype == np.uint16


def test_the_primary_picture_is_read_and_the_others_are_named(photo: NDArray[np.uint8]) -> None:
    pillow_heif = pytest.importorskip("pillow_heif")
    file = pillow_heif.from_pillow(Image.fromarray(photo))
    file.add_from_pillow(Image.fromarray(255 - photo))
    out = io.BytesIO()
    file.save(out, quality=95, primary_index=0)
    picture = images.read(out.getvalue())
    assert difference(picture.pixels, photo) < 4
    assert "1 more picture in the file was not kept" in picture.notes


@pytest.mark.parametrize("kind", ["HEIF", "AVIF"])
def test_damaged_files(photo: NDArray[np.uint8], kind: str) -> None:
    data = heic(Image.fromarray(photo)) if kind == "HEIF" else avif(Image.fromarray(photo))
    with pytest.raises(ImageError, match=r"damaged or truncated (HEIC|AVIF) picture") as caught:
        images.read(data[: len(data) // 2])
    assert "\n" not in str(caught.value)


def test_max_pixels_of_a_heic(photo: NDArray[np.uint8]) -> None:
    data = heic(Image.fromarray(photo))
    with pytest.raises(TooManyPixelsError, match=r"160x120 pixels.*max_pixels=19200 reads it"):
        images.read(data, max_pixels=19_000)
    assert images.read(data, max_pixels=19_200).pixels.shape == photo.shape


@pytest.mark.parametrize("kind", ["HEIF", "AVIF"])
def test_a_size_out_of_proportion_to_the_file(photo: NDArray[np.uint8], kind: str) -> None:
    data = heic(Image.fromarray(photo)) if kind == "HEIF" else avif(Image.fromarray(photo))
    size = struct.pack(">II", 160, 120)
    boxes = data.count(b"ispe\0\0\0\0" + size)
    assert boxes
    claims = data.replace(
        b"ispe\0\0\0\0" + size, b"ispe\0\0\0\0" + struct.pack(">II", 14_000, 11_000)
    )
    with pytest.raises(TooManyPixelsError, match=r"14000x11000 pixels in a file of .* would take"):
        images.read(claims)


def test_without_the_package_the_error_says_what_brings_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    header = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(64)
    with pytest.raises(ImageError, match=r'pillow-heif.*: pip install "derain\[heif\]"'):
        images.read(header)
    (tmp_path / "a.jpg").write_bytes(header)  # by its name it is found in folders
    with pytest.raises(ImageError, match=r"^.*a\.jpg: a HEIC picture needs pillow-heif"):
        images.read_image(tmp_path / "a.jpg")


def test_avif_is_written_closely(photo: NDArray[np.uint8]) -> None:
    picture = images.read(avif(Image.fromarray(photo)))
    again = images.read(images.encode(picture, "AVIF"))
    assert again.metadata.format == "AVIF"
    assert difference(again.pixels, picture.pixels) < 4


def test_avif_keeps_profile_exif_and_xmp(photo: NDArray[np.uint8]) -> None:
    if not has_avif():
        pytest.skip("this Pillow was built without AVIF")
    exif = turned_exif().removeprefix(b"Exif\0\0")
    picture = images.Picture(photo, metadata=images.Metadata(icc=ICC, exif=exif, xmp=XMP))
    again = Image.open(io.BytesIO(images.encode(picture, "AVIF")))
    assert again.info["icc_profile"] == ICC
    assert again.getexif()[ExifTags.Base.Make] == "Camera"
    assert again.info["xmp"] == XMP


def test_avif_without_a_decoder(photo: NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch) -> None:
    data = avif(Image.fromarray(photo))

    def without_avif(name: str) -> bool:
        return name != "avif"

    monkeypatch.setattr(features, "check", without_avif)
    with pytest.raises(ImageError, match=r"this Pillow was built without; expected Pillow 11.3"):
        images.read(data)
    with pytest.raises(ImageError, match=r"built without AVIF; ask for a \.jpg"):
        images.check_format(images.Picture(photo), "AVIF")


def test_deep_avif_and_described_colours_are_noted(photo: NDArray[np.uint8]) -> None:
    data = bytearray(avif(Image.fromarray(photo)))
    place = data.index(b"colrnclx") + 8
    data[place : place + 4] = b"\0\x09\0\x10"
    notes = images.read(bytes(data)).notes
    assert notes == (
        "its colours are described as H.273 primaries 9 with transfer 16, which was not kept",
    )


# Clips


@pytest.mark.parametrize("format", ["GIF", "WEBP", "PNG", "AVIF"])
def test_animations_are_named(photo: NDArray[np.uint8], format: str) -> None:
    if format == "AVIF" and not has_avif():
        pytest.skip("this Pillow was built without AVIF")
    frames = [Image.fromarray(np.roll(photo, shift, axis=1)) for shift in (5, 9)]
    data = saved(Image.fromarray(photo), format, save_all=True, append_images=frames)
    with pytest.raises(AnimationError, match=f"a {format} animation of 3 frames") as caught:
        images.read(data)
    assert caught.value.frames == 3
    assert str(caught.value).endswith(
        "rather than a picture; the command derain FILE does clips, and derain.restore_frames their"
        " frames"
    )


def test_a_sequence_of_heif_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.heics").write_bytes(b"\0\0\0\x18ftyphevc\0\0\0\0msf1hevc\0\0\0\x08moov")
    with pytest.raises(AnimationError, match=r"a\.heics: a HEIF animation, which is a clip"):
        images.read_image(tmp_path / "a.heics")


@pytest.mark.parametrize("format", ["WEBP", "PNG"])
def test_an_animation_of_one_frame_is_a_picture(photo: NDArray[np.uint8], format: str) -> None:
    data = saved(Image.fromarray(photo), format, save_all=True, lossless=True)
    assert np.array_equal(images.read(data).pixels, photo)


# Names


def test_results_of_heic_are_jpegs(tmp_path: Path) -> None:
    if len(images.readable_suffixes()) < len(images.READABLE_SUFFIXES):
        pytest.skip("a package that reads HEIC or AVIF is not installed")
    for name in ("a.heic", "b.HEIF", "c.hif", "d.avif"):
        (tmp_path / name).touch()
    jobs = plan([str(tmp_path)]).jobs
    assert [job.target.name for job in jobs] == ["a.jpg", "b.jpg", "c.jpg", "d.avif"]
    assert [job.format for job in jobs] == ["JPEG", "JPEG", "JPEG", None]


def test_heic_cannot_be_asked_for() -> None:
    with pytest.raises(ImageError, match="reads HEIC and does not write it"):
        images.format_of("a.heic")


def test_folders_are_searched_for_what_can_be_read_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    monkeypatch.setattr("derain.images.picture.has_avif", lambda: False)
    for name in ("a.heic", "b.HEIF", "c.hif", "d.avif", "e.png"):
        (tmp_path / name).touch()
    assert [path.name for path in images.find_images(tmp_path)[0]] == ["e.png"]
    found = plan([str(tmp_path)])
    assert [job.source.name for job in found.jobs] == ["e.png"]
    assert describe_others(found.others).endswith(
        '; pip install "derain[heif]" reads HEIC; pip install -U pillow reads AVIF'
    )


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_an_opaque_alpha_channel_that_avif_leaves_out_is_noted(
    photo: NDArray[np.uint8], dtype: type[np.uint8 | np.uint16]
) -> None:
    if not has_avif():
        pytest.skip("this Pillow was built without AVIF")
    most = np.iinfo(dtype).max
    pixels = photo.astype(dtype) * dtype(most // 255)
    for least, is_kept in ((most, False), (most // 2, True)):
        alpha = np.full(photo.shape[:2], most, dtype)
        alpha[0] = least
        notes: list[str] = []
        again = images.read(images.encode(images.Picture(pixels, alpha), "AVIF", notes))
        assert (again.alpha is not None) == is_kept
        assert ("an alpha channel that is opaque everywhere" in " ".join(notes)) != is_kept
