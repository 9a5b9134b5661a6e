"""Animations: what is written is read again, by derain and by Pillow."""

import weakref
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from making import HEIGHT, WIDTH, facts, levels, shapes, timed, written
from PIL import Image

from derain.images import ImageError, Metadata
from derain.images.animations import (
    AnimatedFormat,
    Facts,
    TimedFrame,
    animated_format_of,
    check_facts,
    open_animation,
    write_animation,
)
from derain.images.animations.avif import Ticks
from derain.images.picture import Extra, has_avif

UNITS: dict[AnimatedFormat, int] = {"GIF": 100, "WEBP": 1000, "PNG": 1000}
LOSSLESS: list[AnimatedFormat] = ["GIF", "WEBP", "PNG"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("animations")


@given(
    format=st.sampled_from(LOSSLESS),
    ticks=st.lists(st.one_of(st.just(0), st.integers(1, 900)), min_size=2, max_size=6),
    plays=st.one_of(st.sampled_from([0, 1, 2]), st.integers(3, 65_535)),
    has_alpha=st.booleans(),
    seed=st.integers(0, 3),
)
def test_frames_times_and_loops_are_kept(
    folder: Path,
    format: AnimatedFormat,
    ticks: list[int],
    plays: int,
    has_alpha: bool,
    seed: int,
) -> None:
    seconds = [Fraction(tick, UNITS[format]) for tick in ticks]
    frames = levels(len(ticks), seed=seed)
    alphas = shapes(len(ticks), seed=seed) if has_alpha else None
    made = timed(frames, seconds, alphas)
    path, notes = written(folder, format, made, facts(plays, has_alpha=has_alpha))
    animation = open_animation(path)
    assert (animation.format, animation.count, animation.notes) == (format, len(ticks), [])
    assert (animation.facts.plays, notes) == (plays, [])
    assert (animation.facts.width, animation.facts.height) == (WIDTH, HEIGHT)
    assert animation.facts.picture.is_result
    found = list(animation.frames())
    assert [frame.seconds for frame in found] == seconds
    for frame, wanted in zip(found, made, strict=True):
        check_same(frame, wanted)


def check_same(found: TimedFrame, wanted: TimedFrame) -> None:
    """Where nothing is transparent pixels are the same, and so is alpha."""
    shown: Any = ... if wanted.alpha is None else wanted.alpha > 0
    assert np.array_equal(found.pixels[shown], wanted.pixels[shown])
    alpha = np.full(found.pixels.shape[:2], 255, np.uint8)
    given = alpha if found.alpha is None else found.alpha
    assert np.array_equal(given, alpha if wanted.alpha is None else wanted.alpha)


@pytest.mark.parametrize("format", LOSSLESS)
@pytest.mark.parametrize("has_alpha", [False, True])
def test_pillow_shows_the_same(tmp_path: Path, format: AnimatedFormat, has_alpha: bool) -> None:
    frames, alphas = levels(5), shapes(5) if has_alpha else None
    frames[3], seconds = frames[2], [Fraction(k, 10) for k in (1, 2, 3, 4, 5)]
    made = timed(frames, seconds, alphas)
    path, _ = written(tmp_path, format, made, facts(3, has_alpha=has_alpha))
    with Image.open(path) as opened:
        image: Any = opened
        assert image.n_frames == 5
        assert image.info["loop"] == (2 if format == "GIF" else 3)
        for place, wanted in enumerate(made):
            image.seek(place)
            image.load()
            assert image.info["duration"] == 100 * (place + 1)
            shown = np.asarray(image.convert("RGBA"))
            found = TimedFrame(shown[..., :3], shown[..., 3], wanted.seconds)
            check_same(found, wanted)


@pytest.mark.skipif(not has_avif(), reason="this Pillow was built without AVIF")
@pytest.mark.parametrize("plays", [0, 1, 4])
def test_avif_is_written_as_frames_come(tmp_path: Path, plays: int) -> None:
    seconds = [Fraction(k, 1000) for k in (40, 7, 100)]
    frames = [np.full((16, 16, 3), 60 * k + 40, np.uint8) for k in range(3)]
    of = Facts(16, 16, plays, facts().picture)
    path = tmp_path / "a.avif"
    assert write_animation(path, "AVIF", of, iter(timed(frames, seconds)), []) == 3
    animation = open_animation(path)
    assert animation.facts.plays == plays
    assert animation.facts.picture.is_result
    found = list(animation.frames())
    assert [frame.seconds for frame in found] == seconds
    for frame, wanted in zip(found, frames, strict=True):
        assert np.abs(frame.pixels.astype(int) - wanted).max() <= 2


def test_sixteen_bits_are_kept_by_png_alone(tmp_path: Path) -> None:
    frames, alphas = levels(3, dtype=np.uint16), shapes(3, dtype=np.uint16)
    made = timed(frames, [Fraction(1, 7)] * 3, alphas)
    of = facts(has_alpha=True, dtype=np.uint16)
    path, notes = written(tmp_path, "PNG", made, of)
    assert notes == []
    for frame, wanted in zip(open_animation(path).frames(), made, strict=True):
        assert frame.seconds == Fraction(1, 7)
        assert np.array_equal(frame.pixels, wanted.pixels)
        assert frame.alpha is not None
        assert wanted.alpha is not None
        assert np.array_equal(frame.alpha, wanted.alpha)
    for format in ("WEBP", "GIF"):
        _, notes = written(tmp_path, format, made, of)
        assert any("16 bits a channel" in note for note in notes)


def test_grey_stays_grey(tmp_path: Path) -> None:
    frames = [frame[..., :1].repeat(3, axis=2) for frame in levels(3)]
    made = timed(frames, [Fraction(1, 10)] * 3)
    for format in ("PNG", "GIF"):
        path, _ = written(tmp_path, format, made, facts(grey=True))
        animation = open_animation(path)
        assert animation.facts.picture.grey
        for frame, wanted in zip(animation.frames(), frames, strict=True):
            assert np.array_equal(frame.pixels, wanted)


def test_metadata_go_along(tmp_path: Path) -> None:
    packet = b"<x:xmpmeta xmlns:x='adobe:ns:meta/'/>"
    text = Extra("PNG", b"tEXt", b"Comment\0wet")
    metadata = Metadata("PNG", xmp=packet, comments=(b"a" * 300,), extras=(text,))
    made = timed(levels(2), [Fraction(1, 10)] * 2)
    path, notes = written(tmp_path, "GIF", made, facts(metadata=metadata))
    found = open_animation(path).facts.picture.metadata
    assert (found.xmp, found.comments, notes) == (packet, (b"a" * 300, b"wet"), [])
    path, notes = written(tmp_path, "PNG", made, facts(metadata=metadata))
    found = open_animation(path).facts.picture.metadata
    assert (found.xmp, notes) == (packet, [])
    assert text in found.extras
    path, notes = written(tmp_path, "WEBP", made, facts(metadata=metadata))
    assert open_animation(path).facts.picture.metadata.xmp == packet
    assert notes == ["not kept in WebP: comment, PNG text (1 entry)"]


def test_extensions_of_a_gif_go_along(tmp_path: Path) -> None:
    extension = b"\x21\xff\x0bABCDEFGH1.0\x02hi\x00"
    made = timed(levels(2), [Fraction(1, 10)] * 2)
    of = Facts(WIDTH, HEIGHT, 0, facts().picture, (extension,))
    path, _ = written(tmp_path, "GIF", made, of)
    assert open_animation(path).facts.applications == (extension,)


def test_a_gif_says_that_soft_edges_are_gone(tmp_path: Path) -> None:
    alphas = [np.full((HEIGHT, WIDTH), level, np.uint8) for level in (255, 127)]
    made = timed(levels(2), [Fraction(1, 10)] * 2, alphas)
    path, notes = written(tmp_path, "GIF", made, facts(has_alpha=True))
    assert notes == ["not kept in GIF: pixels that are transparent in part"]
    alpha = [frame.alpha for frame in open_animation(path).frames()]
    assert alpha[0] is not None
    assert alpha[1] is not None
    assert (alpha[0].min(), alpha[1].max()) == (255, 0)


def test_no_more_than_two_frames_are_held(tmp_path: Path) -> None:
    alive: list[int] = []

    def frames() -> Any:
        tokens: set[int] = set()
        for k, pixels in enumerate(levels(40)):
            frame = TimedFrame(pixels.copy(), None, Fraction(1, 10))
            tokens.add(k)
            weakref.finalize(frame.pixels, tokens.discard, k)
            alive.append(len(tokens))
            yield frame
            del frame

    for format in LOSSLESS:
        write_animation(tmp_path / f"a{format}", format, facts(), frames(), [])
    assert max(alive) <= 4


@pytest.mark.parametrize("format", LOSSLESS)
def test_what_fails_leaves_nothing(tmp_path: Path, format: AnimatedFormat) -> None:
    def failing() -> Any:
        yield from timed(levels(2), [Fraction(1, 10)] * 2)
        raise RuntimeError("no more")

    with pytest.raises(RuntimeError, match="no more"):
        write_animation(tmp_path / "a.gif", format, facts(), failing(), [])
    with pytest.raises(ImageError, match="0 frames to write"):
        write_animation(tmp_path / "a.gif", format, facts(), [], [])
    assert list(tmp_path.iterdir()) == []


def test_formats_go_by_names() -> None:
    assert animated_format_of("a.APNG") == "PNG"
    with pytest.raises(ImageError, match=r"a.jpg: .jpg holds no animation; expected"):
        animated_format_of("a.jpg")
    with pytest.raises(ImageError, match="sides of at most 16383 for WEBP"):
        check_facts(Facts(20_000, 8, 0, facts().picture), "WEBP")


@given(st.lists(st.fractions(0, 3), min_size=1, max_size=40), st.sampled_from([100, 1000]))
def test_rounded_times_do_not_drift(seconds: list[Fraction], rate: int) -> None:
    ticks = Ticks(rate)
    units = [ticks.of(each) for each in seconds]
    assert [unit == 0 for unit in units] == [each == 0 for each in seconds]
    long = [each for each in seconds if each >= Fraction(2, rate)]
    exact = Ticks(rate)
    total = sum(exact.of(each) for each in long)
    assert abs(total - sum(long) * rate) <= Fraction(1, 2)


def test_still_pixels_of_a_gif_do_not_flicker(tmp_path: Path, photo: Any) -> None:
    dice = np.random.default_rng(0)
    clean = photo[:64, :80]
    frames = [
        np.clip(clean + dice.normal(0, 1, clean.shape), 0, 255).astype(np.uint8) for _ in range(5)
    ]
    of = Facts(80, 64, 0, facts().picture)
    path = tmp_path / "a.gif"
    write_animation(path, "GIF", of, timed(frames, [Fraction(1, 10)] * 5), [])
    found = [frame.pixels.astype(int) for frame in open_animation(path).frames()]
    changes = np.mean([np.square(b - a).mean() for a, b in pairwise(found)])
    own = np.mean([np.square(b.astype(int) - a).mean() for a, b in pairwise(frames)])
    error = np.mean([np.square(a - b).mean() for a, b in zip(found, frames, strict=True)])
    # The noise differs by 2 levels squared; colours of a palette of its own would by 20 and more.
    assert changes < own + 4
    assert 10 * np.log10(255**2 / error) > 36
