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
from derain.images import Metadata, Picture, read
from derain.images.animations import Facts, TimedFrame, open_animation, write_animation
from derain.video.colours import Colours

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


def test_an_animations_frames_have_pixels_of_its_shape(tmp_path: Path) -> None:
    picture = Picture(np.zeros((1, 1, 3), np.uint8), metadata=Metadata(aspect=(3, 4)))
    shots = [TimedFrame(np.full((8, 9, 3), k, np.uint8), None, Fraction(1, 9)) for k in (5, 6)]
    write_animation(tmp_path / "a.png", "PNG", Facts(9, 8, 0, picture), shots, [])
    derained(tmp_path / "a.png", tmp_path / "f/%d.png")
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
