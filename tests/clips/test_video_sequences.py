"""Frames of video files as pictures and animations: what they say of colours and of pixels."""

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from filming import QUARTER, Film, film

from derain.clips.options import Options
from derain.clips.results import Result
from derain.clips.sequences import plan_sequence, run_sequences
from derain.images import Metadata, Picture, encode, read
from derain.images.animations import (
    Facts,
    TimedFrame,
    animated_format_of,
    open_animation,
    write_animation,
)
from derain.images.exif import resolution_fields
from derain.images.picture import Extra
from derain.images.profiles import of_png, srgb
from derain.images.tiff import with_fields
from derain.video.colours import Colours
from derain.video.reading import open_clip

HDR = {"colorspace": 9, "color_primaries": 9, "color_trc": 16}


def derained(source: Path, target: Path) -> Result:
    """Derain a clip without a model."""
    job = plan_sequence(source, target, Options(temporal=3))
    assert job is not None
    (result,) = run_sequences([job], None)
    assert (result.status, result.error) == ("done", None)
    return result


def short(path: Path, tags: dict[str, Any], **settings: Any) -> Path:
    """Film three frames."""
    return film(path, Film(times=range(3), tags=tags, **settings))


def codes_of(metadata: Metadata) -> list[bytes]:
    return [extra.payload for extra in metadata.extras if extra.key == b"cICP"]


@pytest.mark.parametrize(("matrix", "aspect"), [((), (3, 4)), (QUARTER, (4, 3))])
def test_pictures_have_pixels_of_the_clips_shape(
    tmp_path: Path, matrix: tuple[int, ...], aspect: tuple[int, int]
) -> None:
    clip = short(tmp_path / "a.mp4", {"sample_aspect_ratio": Fraction(4, 3)}, matrix=matrix)
    for name in ("f/%d.png", "f/%d.jpg", "a.png"):
        assert derained(clip, tmp_path / name).notes == ()
    assert read(tmp_path / "f/2.png").metadata.aspect == aspect
    assert read(tmp_path / "f/3.jpg").metadata.aspect == aspect
    assert open_animation(tmp_path / "a.png").facts.picture.metadata.aspect == aspect
    result = derained(clip, tmp_path / "a.gif")
    assert result.notes == ("not kept in GIF: pixel aspect ratio",)


@pytest.mark.parametrize("known", [{}, {"sample_aspect_ratio": Fraction(1)}])
def test_square_pixels_need_no_words(tmp_path: Path, known: dict[str, Any]) -> None:
    clip = short(tmp_path / "a.mp4", known)
    assert derained(clip, tmp_path / "a.gif").notes == ()
    derained(clip, tmp_path / "%d.png")
    assert read(tmp_path / "1.png").metadata.aspect is None


def animation(path: Path, metadata: Metadata, dtype: type[np.uint8 | np.uint16] = np.uint8) -> Path:
    """Write an animation of two frames, which says that derain made it."""
    picture = Picture(np.zeros((1, 1, 3), dtype), metadata=metadata)
    shots = [TimedFrame(np.full((8, 10, 3), k, dtype), None, Fraction(1, 9)) for k in (5, 6)]
    write_animation(path, animated_format_of(path), Facts(10, 8, 0, picture), shots, [])
    return path


def notes_of(result: Result) -> list[str]:
    """Return notes, but for those of a result that was derained again and of the codec."""
    return [note for note in result.notes if "derained again" not in note and "RGB" not in note]


def test_an_animations_frames_have_pixels_of_its_shape(tmp_path: Path) -> None:
    clip = animation(tmp_path / "a.png", Metadata(aspect=(3, 4)))
    assert notes_of(derained(clip, tmp_path / "f/%d.png")) == []
    assert read(tmp_path / "f/2.png").metadata.aspect == (3, 4)


def test_pictures_of_hdr_say_so(tmp_path: Path) -> None:
    clip = short(tmp_path / "a.mkv", HDR, format="yuv420p10le", codec="ffv1")
    for name in ("%d.png", "a.png"):
        assert derained(clip, tmp_path / name).notes == ()
    for metadata in (
        read(tmp_path / "1.png").metadata,
        open_animation(tmp_path / "a.png").facts.picture.metadata,
    ):
        assert codes_of(metadata) == [b"\x09\x10\x00\x01"]
    result = derained(clip, tmp_path / "%d.jpg")
    assert result.notes == ("not kept in JPEG: 16 bits a channel, PNG cICP",)


def test_wide_colours_become_a_profile_where_there_is_no_other_place(tmp_path: Path) -> None:
    clip = short(tmp_path / "a.mkv", {**HDR, "color_trc": 14}, codec="ffv1")
    assert derained(clip, tmp_path / "%d.jpg").notes == ()
    assert read(tmp_path / "1.jpg").metadata.icc[36:40] == b"acsp"


@pytest.mark.parametrize("codes", [(2, 2), (1, 1), (6, 6), (5, 6), (1, 13)])
def test_pictures_of_ordinary_video_are_shown_as_before(
    tmp_path: Path, codes: tuple[int, int]
) -> None:
    tags = {"color_primaries": codes[0], "color_trc": codes[1]}
    derained(short(tmp_path / "a.mkv", tags, codec="ffv1"), tmp_path / "%d.png")
    assert codes_of(read(tmp_path / "1.png").metadata) == []


def test_unusual_colours_are_known() -> None:
    assert Colours().is_usual
    for colours in (Colours(primaries=12), Colours(transfer=16), Colours(transfer=18)):
        assert not colours.is_usual


WORDS = Metadata(
    "PNG",
    of_png({b"cICP": b"\x0c\x0d\0\1"}, [], grey=False),
    with_fields(b"", resolution_fields((72, 72))),
    b"<x:xmpmeta xmlns:x='adobe:ns:meta/'/>",
    extras=(Extra("PNG", b"tEXt", b"Title\0rain"),),
)
"""Metadata that says something of all kinds."""


def test_a_video_file_says_what_it_does_not_keep_of_an_animation(tmp_path: Path) -> None:
    clip = animation(tmp_path / "a.png", WORDS, np.uint16)
    expected = "colour profile, EXIF, XMP, PNG text (1 entry), 16 bits a channel"
    assert notes_of(derained(clip, tmp_path / "b.mp4")) == [f"not kept in MP4: {expected}"]
    assert notes_of(derained(clip, tmp_path / "b.mkv")) == [f"not kept in MKV: {expected}"]
    plain = animation(tmp_path / "plain.png", Metadata(icc=srgb()))
    assert notes_of(derained(plain, tmp_path / "plain.mp4")) == []


def test_frames_as_pictures_say_what_they_do_not_keep(tmp_path: Path) -> None:
    clip = animation(tmp_path / "a.png", WORDS)
    result = derained(clip, tmp_path / "%d.png")
    assert notes_of(result) == ["not kept in the frames: EXIF, XMP, PNG text (1 entry)"]
    assert read(tmp_path / "1.png").metadata.icc == WORDS.icc


@pytest.mark.parametrize("name", ["a.mp4", "a.gif", "%d.png"])
def test_what_pictures_of_a_folder_say_is_noted(tmp_path: Path, name: str) -> None:
    files = [tmp_path / f"{k}.png" for k in (1, 2)]
    for file in files:
        file.write_bytes(encode(Picture(np.zeros((8, 10, 3), np.uint8), metadata=WORDS), "PNG"))
    job = plan_sequence(tmp_path, tmp_path / "out" / name, Options(temporal=3), files=files)
    assert job is not None
    (result,) = run_sequences([job], None)
    assert notes_of(result)[0] == "not kept of the pictures: EXIF, XMP, PNG text (1 entry)"
    in_file = ["not kept in MP4: colour profile"] if name == "a.mp4" else []
    assert notes_of(result)[1:] == in_file


@pytest.mark.parametrize(
    ("name", "codec", "lost"),
    [
        ("b.mp4", "h264", ""),
        ("b.webm", "vp9", "pixel aspect ratio"),
        ("b.avi", "mpeg4", "PNG cICP"),
    ],
)
def test_a_video_file_keeps_shape_and_colours_that_it_can_say(
    tmp_path: Path, name: str, codec: str, lost: str
) -> None:
    extra = Extra("PNG", b"cICP", b"\x09\x10\0\1")
    clip = animation(tmp_path / "a.png", Metadata(aspect=(3, 4), extras=(extra,)))
    job = plan_sequence(clip, tmp_path / name, Options(temporal=3, codec=codec))
    assert job is not None
    (result,) = run_sequences([job], None)
    suffix = job.target.suffix[1:].upper()
    assert notes_of(result) == ([f"not kept in {suffix}: {lost}"] if lost else [])
    made = open_clip(job.target)
    if name != "b.webm":
        assert made.aspect == Fraction(4, 3)
    if name != "b.avi":
        assert made.colours == Colours(1, 9, 9, 16)
