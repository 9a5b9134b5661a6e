"""What a decoder makes of files: as the command line, with the server's limits."""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from derain.extras import missing
from derain.images import Format, ImageError, encode, read, write_image
from derain.images.picture import Picture
from derain.serve.coding import claimed_pixels, decoded, encoded, refusal_of, result_name
from derain.serve.negotiation import Wish, offered_formats

ANY = Wish(tuple(offered_formats()))


def png_of(width: int, height: int) -> bytes:
    """Return a small PNG of many black pixels."""
    out = io.BytesIO()
    Image.new("L", (width, height)).save(out, "PNG")
    return out.getvalue()


def refused(file: bytes, max_pixels: int = 1_000_000) -> tuple[int, str]:
    """Return status and reason of a file that is refused by its header or when it is decoded."""
    try:
        claimed_pixels(file, max_pixels)
        decoded(file, "", ANY, max_pixels)
    except ImageError as error:
        answer = refusal_of(error)
        return answer.status, answer.detail
    return 200, ""


def test_pixels_are_judged_by_the_header() -> None:
    assert claimed_pixels(png_of(1000, 1000), 1_000_000) == 1_000_000
    status, detail = refused(png_of(1001, 1000))
    assert (status, "expected at most 1 megapixels; send a smaller" in detail) == (413, True)


def test_memory_is_judged_although_a_limit_was_asked_for() -> None:
    # 16 bits and alpha, and as many bytes as such a picture has at the very least.
    header = struct.pack(">IIBBBBB", 8000, 5000, 16, 6, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", bytes(320_000)), (b"IEND", b""))
    file = b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )
    status, detail = refused(file, 64_000_000)
    assert (status, "to decode" in detail) == (413, True)


def test_what_is_no_picture_is_of_another_type() -> None:
    gif = io.BytesIO()
    frames = [Image.new("L", (4, 4), level) for level in (0, 99)]
    frames[0].save(gif, "GIF", save_all=True, append_images=frames[1:])
    for file in (b"text", b"%PDF-1.7", gif.getvalue(), png_of(1, 1).replace(b"PNG", b"XXX")):
        assert refused(file)[0] == 415
    assert "animation of 2 frames" in refused(gif.getvalue())[1]


def test_damage_is_the_clients() -> None:
    file = png_of(64, 64)
    for damaged in (b"", file[:60], file.replace(b"IDAT", b"JDAT")):
        assert refused(damaged)[0] == 400


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (MemoryError(), 413),
        (zlib.error("nonsense"), 400),
        (RecursionError("deep"), 400),
    ],
)
def test_whatever_decoders_raise_has_an_answer(error: Exception, status: int) -> None:
    assert refusal_of(error).status == status


def test_missing_packages_and_memory_are_seen_through() -> None:
    for cause, status in ((missing("pillow_heif"), 415), (MemoryError(), 413)):
        error = ImageError("cannot be read")
        error.__cause__ = cause
        assert refusal_of(error).status == status


def test_transparency_is_not_lost_without_a_word(photo: NDArray[np.uint8]) -> None:
    file = encode(Picture(photo, np.zeros(photo.shape[:2], np.uint8)), "PNG")
    assert decoded(file, "", ANY, 10**6)[1] == "PNG"
    with pytest.raises(ImageError) as caught:
        decoded(file, "", Wish(("JPEG",)), 10**6)
    assert refusal_of(caught.value).status == 406


@pytest.mark.parametrize("format", offered_formats())
def test_a_result_is_marked_and_read_again_with_a_note(
    format: Format, photo: NDArray[np.uint8], tmp_path: Path
) -> None:
    write_image(tmp_path / "a.png", photo)
    picture, chosen = decoded((tmp_path / "a.png").read_bytes(), "a.png", Wish((format,)), 10**6)
    file, notes = encoded(picture, chosen)
    assert (read(file).is_result, notes) == (format != "BMP", "")
    again, _ = decoded(file, "a_derained.png", ANY, 10**6)
    assert "derained again" in again.notes[-1]


@pytest.mark.parametrize(
    ("name", "format", "expected"),
    [
        ("rain.jpeg", "JPEG", "rain_derained.jpeg"),
        ("rain.heic", "JPEG", "rain_derained.jpg"),
        ("../../etc/passwd", "PNG", "passwd_derained.png"),
        ("C:\\photos\\rain.bmp", "BMP", "rain_derained.bmp"),
        ("ra\r\nin.png", "PNG", "rain_derained.png"),
        ("..", "PNG", "picture_derained.png"),
        ("x" * 500 + ".png", "PNG", "x" * 100 + "_derained.png"),
        ("晴れ.png", "PNG", "晴れ_derained.png"),
    ],
)
def test_results_are_named_after_the_picture(name: str, format: Format, expected: str) -> None:
    assert result_name(name, format) == expected
