"""Animated files, sound and otherwise, become whole frames or an error in one line."""

import io
import struct
import zlib
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from making import HEIGHT, SUFFIXES, WIDTH, facts, levels, saved, shapes, timed, written
from PIL import Image

from derain.images import ImageError, TooManyPixelsError, gif, png, webp
from derain.images.animations import AnimatedFormat, open_animation
from derain.images.animations.canvas import Part, composed
from derain.images.picture import has_avif


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("animations")


# Not PNG with 2 and 1: there Pillow goes back to another frame, and FFmpeg shows what derain does.
@pytest.mark.parametrize(
    ("format", "disposal", "blend"),
    [
        *(("GIF", disposal, 0) for disposal in (1, 2, 3)),
        ("WEBP", 0, 0),
        *(("PNG", disposal, 0) for disposal in (0, 1, 2)),
        *(("PNG", disposal, 1) for disposal in (0, 1)),
    ],
)
def test_frames_are_those_that_pillow_composes(
    tmp_path: Path, format: str, disposal: int, blend: int
) -> None:
    frames = [np.dstack([frame, alpha]) for frame, alpha in zip(levels(5), shapes(5), strict=True)]
    options: dict[str, Any] = {"duration": [70, 80, 90, 100, 110], "loop": 0}
    if format == "WEBP":
        options |= {"lossless": True, "exact": True}
    else:
        options |= {"disposal": disposal}
    if format == "PNG":
        options |= {"blend": blend}
    path = tmp_path / "a"
    path.write_bytes(saved(frames, format, **options))
    animation = open_animation(path)
    with Image.open(path) as opened:
        image: Any = opened
        assert animation.count == image.n_frames
        for place, frame in enumerate(animation.frames()):
            image.seek(place)
            image.load()
            assert frame.seconds == Fraction(round(image.info["duration"]), 1000)
            shown = np.asarray(image.convert("RGBA"))
            assert frame.alpha is not None
            assert np.array_equal(frame.alpha, shown[..., 3])
            visible = frame.alpha > 0
            assert np.array_equal(frame.pixels[visible], shown[..., :3][visible])


@pytest.mark.parametrize(("format", "interlaced"), [("GIF", 0), ("GIF", 1), ("PNG", 0)])
def test_palettes_become_colours(tmp_path: Path, format: str, interlaced: int) -> None:
    frames = levels(3)
    palettes = [Image.fromarray(frame).quantize(8 + k) for k, frame in enumerate(frames)]
    if format == "PNG":  # which has one palette for all
        palettes = [Image.fromarray(frame).quantize(palette=palettes[0]) for frame in frames]
    path = tmp_path / "a"
    more = {"append_images": palettes[1:], "duration": 30, "interlace": interlaced}
    disposal = 2 if format == "GIF" else 0
    palettes[0].save(path, format, save_all=True, transparency=3, disposal=disposal, **more)
    animation = open_animation(path)
    with Image.open(path) as opened:
        image: Any = opened
        for place, frame in enumerate(animation.frames()):
            image.seek(place)
            shown = np.asarray(image.convert("RGBA"))
            assert frame.alpha is not None
            assert np.array_equal(frame.alpha, shown[..., 3])
            visible = frame.alpha > 0
            assert np.array_equal(frame.pixels[visible], shown[visible][:, :3])


def blocks(frames: list[gif.GifFrame], width: int = 4, height: int = 3) -> bytes:
    """A GIF of such frames."""
    body = b"".join(gif.control(frame) + gif.picture(frame) for frame in frames)
    return gif.header(width, height) + body + gif.TRAILER


def part(
    left: int, top: int, indices: list[list[int]], disposal: int = 1, clear: int | None = None
) -> gif.GifFrame:
    """A rectangle of a GIF's frame; index k has the colour (k, k, 9)."""
    image = Image.fromarray(np.array(indices, np.uint8))
    out = io.BytesIO()
    image.save(out, "GIF", interlace=0, optimize=False)
    held = gif.parsed(out.getvalue()).frames[0]
    palette = bytes(level for k in range(256) for level in (k, k, 9))
    height, width = len(indices), len(indices[0])
    return gif.GifFrame(left, top, width, height, False, palette, held.pixels, disposal, 5, clear)


def reds(path: Path) -> list[list[list[int]]]:
    """The red level of each pixel of each frame, -1 where it is transparent."""
    found: list[list[list[int]]] = []
    for frame in open_animation(path).frames():
        red = frame.pixels[..., 0].astype(int)
        found.append((red if frame.alpha is None else np.where(frame.alpha > 0, red, -1)).tolist())
    return found


def test_parts_of_a_gif_are_disposed_of(tmp_path: Path) -> None:
    path = tmp_path / "a.gif"
    parts = [
        part(0, 0, [[1, 1, 1], [1, 1, 1]]),
        part(1, 0, [[7], [2]], gif.BACKGROUND, clear=7),
        part(0, 1, [[3]], gif.PREVIOUS),
        part(2, 0, [[4]]),
    ]
    path.write_bytes(blocks(parts, 3, 2))
    assert reds(path) == [
        [[1, 1, 1], [1, 1, 1]],
        [[1, 1, 1], [1, 2, 1]],
        [[1, -1, 1], [3, -1, 1]],
        [[1, -1, 4], [1, -1, 1]],
    ]


def in_a_row(*parts: tuple[int, int, int]) -> bytes:
    """An animated PNG of RGB, one pixel high: left, width and disposal of each part.

    The first part has the colour (1, 1, 9), the second (2, 2, 9), and so on.
    """
    chunks = [
        png.Chunk(b"IHDR", struct.pack(">IIBBBBB", parts[0][1], 1, 8, 2, 0, 0, 0)),
        png.Chunk(b"acTL", struct.pack(">II", len(parts), 0)),
    ]
    for k, (left, width, disposal) in enumerate(parts, 1):
        control = struct.pack(">IIIIIHHBB", 2 * k, width, 1, left, 0, 1, 20, disposal, 0)
        pixels = zlib.compress(b"\0" + bytes((k, k, 9)) * width)
        data = png.Chunk(b"IDAT", pixels)
        if k > 1:
            data = png.Chunk(b"fdAT", struct.pack(">I", 2 * k + 1) + pixels)
        chunks += [png.Chunk(b"fcTL", control), data]
    return png.file_of(chunks)


@pytest.mark.parametrize(
    ("disposals", "expected"),
    [
        ((0, 0, 0), [[1, 1, 1, 1], [1, 2, 2, 1], [1, 2, 3, 3]]),
        # What is cleared is transparent although no part has alpha, as browsers show it.
        ((0, 1, 0), [[1, 1, 1, 1], [1, 2, 2, 1], [1, -1, 3, 3]]),
        ((1, 0, 0), [[1, 1, 1, 1], [-1, 2, 2, -1], [-1, 2, 3, 3]]),
        # Nothing was there before the first part.
        ((2, 0, 0), [[1, 1, 1, 1], [-1, 2, 2, -1], [-1, 2, 3, 3]]),
        ((0, 2, 0), [[1, 1, 1, 1], [1, 2, 2, 1], [1, 1, 3, 3]]),
        ((1, 2, 0), [[1, 1, 1, 1], [-1, 2, 2, -1], [-1, -1, 3, 3]]),
        ((0, 0, 1), [[1, 1, 1, 1], [1, 2, 2, 1], [1, 2, 3, 3]]),
    ],
)
def test_parts_of_a_png_without_alpha_are_disposed_of(
    tmp_path: Path, disposals: tuple[int, int, int], expected: list[list[int]]
) -> None:
    path = tmp_path / "a.png"
    first, second, third = disposals
    path.write_bytes(in_a_row((0, 4, first), (1, 2, second), (2, 2, third)))
    assert reds(path) == [[row] for row in expected]


def test_what_no_part_of_a_gif_covers_is_transparent(tmp_path: Path) -> None:
    path = tmp_path / "a.gif"
    path.write_bytes(blocks([part(1, 0, [[5]]), part(2, 1, [[6, 6, 6]])], 4, 2))
    assert reds(path) == [[[-1, 5, -1, -1], [-1] * 4], [[-1, 5, -1, -1], [-1, -1, 6, 6]]]


def test_a_first_frame_may_be_larger_than_a_gif_says(tmp_path: Path) -> None:
    path = tmp_path / "a.gif"
    path.write_bytes(blocks([part(0, 0, [[1, 2, 3]]), part(0, 0, [[4]])], 0, 0))
    assert reds(path) == [[[1, 2, 3]], [[4, 2, 3]]]


def test_the_picture_for_other_programs_is_no_frame(tmp_path: Path) -> None:
    frames = levels(3)
    data = saved(frames, "PNG", default_image=True, duration=50, loop=2)
    (tmp_path / "a.png").write_bytes(data)
    animation = open_animation(tmp_path / "a.png")
    assert (animation.count, animation.facts.plays) == (2, 2)
    assert animation.notes == ["not kept: the picture for programs that show no animations"]
    for frame, wanted in zip(animation.frames(), frames[1:], strict=True):
        assert np.array_equal(frame.pixels, wanted)


def test_frames_stand_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    frames = levels(3)
    data = saved(frames, "WEBP", lossless=True, exif=exif.tobytes()[6:], duration=40)
    (tmp_path / "a.webp").write_bytes(data)
    animation = open_animation(tmp_path / "a.webp")
    assert (animation.facts.width, animation.facts.height) == (HEIGHT, WIDTH)
    for frame, wanted in zip(animation.frames(), frames, strict=True):
        assert np.array_equal(frame.pixels, np.rot90(wanted, -1))


def test_a_gif_of_one_frame_is_an_animation_of_one(tmp_path: Path) -> None:
    frame = levels(1)[0]
    Image.fromarray(frame).quantize(16).save(tmp_path / "a.gif")
    animation = open_animation(tmp_path / "a.gif")
    assert (animation.count, animation.facts.plays) == (1, 1)
    assert np.array_equal(next(animation.frames()).pixels, frame)


def test_other_files_are_refused(tmp_path: Path) -> None:
    for name, words in (
        ("a.webp", "a WebP picture; expected an animated GIF"),
        ("a.jpg", "a JPEG picture; expected an animated GIF"),
    ):
        Image.fromarray(levels(1)[0]).save(tmp_path / name)
        with pytest.raises(ImageError, match=f"{name}: {words}"):
            open_animation(tmp_path / name)
    (tmp_path / "empty.gif").write_bytes(b"")
    with pytest.raises(ImageError, match=r"empty.gif: not a picture"):
        open_animation(tmp_path / "empty.gif")


# Damage


@pytest.mark.parametrize("format", ["GIF", "PNG", "WEBP"])
def test_what_is_there_of_a_file_is_read(tmp_path: Path, format: AnimatedFormat) -> None:
    frames = levels(6)
    path, _ = written(tmp_path, format, timed(frames, [Fraction(1, 10)] * 6))
    data = path.read_bytes()
    path.write_bytes(data[:-70])
    animation = open_animation(path)
    found = list(animation.frames())
    assert 1 <= animation.count == len(found) < 6
    assert animation.notes[0] == (
        f"the file is cut off after {len(found)} frame{'' if len(found) == 1 else 's'}"
    )
    for frame, wanted in zip(found, frames, strict=False):
        assert np.array_equal(frame.pixels, wanted)


@pytest.mark.parametrize("format", ["GIF", "PNG", "WEBP"])
def test_a_damaged_frame_repeats_the_one_before(tmp_path: Path, format: AnimatedFormat) -> None:
    frames = levels(4)
    path, _ = written(tmp_path, format, timed(frames, [Fraction(k, 10) for k in (1, 2, 3, 4)]))
    data = bytearray(path.read_bytes())
    start, end = third_frame(bytes(data), format)
    data[start:end] = b"\xff" * (end - start)
    path.write_bytes(data)
    animation = open_animation(path)
    found = list(animation.frames())
    assert [frame.seconds for frame in found] == [Fraction(k, 10) for k in (1, 2, 3, 4)]
    assert np.array_equal(found[2].pixels, found[1].pixels)
    assert animation.notes == ["1 frame is damaged, and what came before was repeated: 3"]


def test_a_lack_of_memory_leaves_out_no_frame() -> None:
    def fail() -> Any:
        raise MemoryError

    decoders = [lambda: (levels(1)[0], None), fail]
    parts = [
        Part(0, 0, WIDTH, HEIGHT, decode, Fraction(1), blends=False, disposal="keep")
        for decode in decoders
    ]
    frames = composed("GIF", parts, (WIDTH, HEIGHT), [], has_alpha=False)
    next(frames)
    with pytest.raises(ImageError, match="more memory than there is"):
        next(frames)


def third_frame(data: bytes, format: str) -> tuple[int, int]:
    """Return where bytes of the third frame lie that cannot be others."""
    if format == "GIF":
        held = gif.parsed(data).frames[2].pixels
        return data.index(held) + 2, data.index(held) + len(held) - 1
    if format == "PNG":
        start, end = [span[1:] for span in png.spans_of(data) if span[0] == b"fdAT"][1]
        return start + 12, end - 4
    start, length = [span[1:] for span in webp.spans_of(data) if span[0] == b"ANMF"][2]
    return start + 24, start + length


@given(
    format=st.sampled_from(["GIF", "PNG", "WEBP", "AVIF"]),
    cut=st.integers(1, 1500),
    place=st.integers(0, 1500),
    value=st.integers(0, 255),
)
def test_damage_anywhere_gives_frames_or_an_image_error(
    folder: Path, format: str, cut: int, place: int, value: int
) -> None:
    if format == "AVIF" and not has_avif():
        return
    data = bytearray(made(format)[:cut])
    data[place % len(data)] = value
    path = folder / f"a{SUFFIXES[format]}"  # pyright: ignore[reportArgumentType]
    path.write_bytes(data)
    frames, message = -1, ""
    try:
        animation = open_animation(path, 10_000)
        frames = len(list(animation.frames()))
    except ImageError as error:
        message = str(error)
    assert frames >= 1 or message
    assert "\n" not in message


_made: dict[str, bytes] = {}


def made(format: str) -> bytes:
    """Return a sound animation, the same each time."""
    if format not in _made:
        options = {"WEBP": {"lossless": True}}.get(format, {})
        _made[format] = saved(levels(3), format, duration=50, **options)
    return _made[format]


# Limits


def test_frames_together_have_a_limit(tmp_path: Path) -> None:
    path, _ = written(tmp_path, "GIF", timed(levels(6), [Fraction(1, 10)] * 6))
    assert open_animation(path, WIDTH * HEIGHT).count == 6
    with pytest.raises(TooManyPixelsError, match=f"{WIDTH}x{HEIGHT} pixels") as caught:
        open_animation(path, WIDTH * HEIGHT - 1)
    assert caught.value.needed == WIDTH * HEIGHT
    small = gif.GifFrame(0, 0, 1, 1, False, bytes(6), b"\x02\x02\x44\x01\x00")
    path.write_bytes(gif.header(50, 40) + 300 * gif.picture(small) + gif.TRAILER)
    with pytest.raises(TooManyPixelsError, match="300 frames of 50x40 pixels") as caught:
        open_animation(path, 50 * 40)
    assert open_animation(path, caught.value.needed).count == 300


def test_bombs_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.gif"
    small = gif.GifFrame(0, 0, 1, 1, False, bytes(6), b"\x02\x02\x44\x01\x00")
    path.write_bytes(gif.header(15_000, 15_000) + 2 * gif.picture(small) + gif.TRAILER)
    with pytest.raises(TooManyPixelsError, match="GB to decode"):
        open_animation(path)
    large = gif.GifFrame(0, 0, 60_000, 60_000, False, bytes(6), small.pixels)
    path.write_bytes(gif.header(5, 5) + gif.picture(small) + gif.picture(large) + gif.TRAILER)
    with pytest.raises(ImageError, match="a part of 60000x60000 pixels"):
        open_animation(path)


def test_parts_outside_of_the_frame_are_refused(tmp_path: Path) -> None:
    data = bytearray(saved(levels(3), "PNG", duration=50))
    place = data.rindex(b"fcTL")
    data[place + 8 : place + 12] = struct.pack(">I", 5000)
    checksum = zlib.crc32(data[place : place + 30])
    data[place + 30 : place + 34] = struct.pack(">I", checksum)
    (tmp_path / "a.png").write_bytes(data)
    with pytest.raises(ImageError, match="expected one inside of 17x12"):
        open_animation(tmp_path / "a.png")
    assert facts().plays == 0
