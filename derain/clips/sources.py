"""Whole frames with their times, out of animated pictures, folders of frames and video files."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import numpy as np

from derain.errors import DerainError
from derain.images import Metadata, Picture, Pixels, levels_of, read, to_eight_bits
from derain.images.animations import AnimatedFormat, Facts, TimedFrame, open_animation
from derain.images.attaching import besides_colours
from derain.images.metadata import listed
from derain.images.picture import Extra
from derain.video.colours import Colours

LEAST = Fraction(1, 10)
"""Seconds that browsers show a frame which asks for none."""
RATE = Fraction(25)
"""Frames a second of a folder, where nobody says."""


@dataclass(frozen=True)
class Source:
    """Frames that are read one at a time and not kept.

    Attributes:
        facts: What they have in common.
        count: How many there should be; 0 where nothing says.
        frames: Yields them.
        notes: Returns what could not be read or kept, once they are read.
        rate: Frames a second, on average.
        is_constant: Whether each is shown as long as the next.
        format: Of an animated picture; None of other files.
    """

    facts: Facts
    count: int
    frames: Callable[[], Iterator[TimedFrame]]
    notes: Callable[[], list[str]]
    rate: Fraction = RATE
    is_constant: bool = False
    format: AnimatedFormat | None = None


def of_animation(path: Path, max_pixels: int | None = None) -> Source:
    """Return the frames of an animated picture; see `derain.images.animations.open_animation`."""
    animation = open_animation(path, max_pixels)
    return Source(
        animation.facts,
        animation.count,
        animation.frames,
        lambda: animation.notes,
        format=animation.format,
    )


def of_folder(files: Sequence[Path], rate: Fraction | None = None) -> Source:
    """Return pictures as frames of equal length.

    Args:
        files: In order. Colours and size are those of the first, whose other metadata is left out
            with a note.
        rate: Frames a second; None for `RATE`.

    Raises:
        OSError: If the first cannot be read.
        ImageError: Likewise.
    """
    first = read(files[0])
    height, width = first.pixels.shape[:2]
    dtype = first.pixels.dtype
    holder = replace(
        first,
        pixels=np.zeros((1, 1, 3), dtype),
        alpha=None if first.alpha is None else np.zeros((1, 1), dtype),
        metadata=first.metadata.of_colours(),
        notes=(),
    )
    rate = rate or RATE
    lost = besides_colours(first.metadata)
    notes = [f"not kept of the pictures: {listed(lost)}"] if lost else []

    def frames() -> Iterator[TimedFrame]:
        for path in files:
            yield _as_first(path, read(path), holder, (height, width), 1 / rate)

    facts = Facts(width, height, 0, holder)
    return Source(facts, len(files), frames, lambda: notes, rate, is_constant=True)


def _as_first(
    path: Path, picture: Picture, holder: Picture, shape: tuple[int, int], seconds: Fraction
) -> TimedFrame:
    """Return a picture as a frame of the same kind as the first.

    Raises:
        DerainError: If it has another size.
    """
    height, width = picture.pixels.shape[:2]
    if (height, width) != shape:
        raise DerainError(
            f"{path}: a frame of {width}x{height} pixels; expected {shape[1]}x{shape[0]}, as the"
            " first"
        )
    alpha = None
    if holder.alpha is not None:
        full = np.iinfo(picture.pixels.dtype).max
        given = picture.alpha
        alpha = np.full(shape, full, picture.pixels.dtype) if given is None else given
        alpha = _as_deep(alpha, holder)
    return TimedFrame(_as_deep(picture.pixels, holder), alpha, seconds)


def _as_deep(levels: Pixels, holder: Picture) -> Pixels:
    """Return levels of any shape with as many bits as the holder has."""
    if levels.dtype == holder.pixels.dtype:
        return levels
    if not holder.is_deep:
        return to_eight_bits(levels)
    return levels_of(levels.astype(np.uint16) * np.uint16(257))


def of_video(path: Path, start: float = 0.0, end: float | None = None) -> Source:
    """Return the frames of a video file as upright RGB; its sound is left out.

    Args:
        path: The file.
        start: Seconds after the first frame.
        end: Likewise; None for the end of the clip.

    Raises:
        OSError: If it cannot be read.
        VideoError: If it holds no video that can be decoded.
    """
    from derain.video.pixels import Pixels as Converter
    from derain.video.reading import FrameReader, open_clip

    clip = open_clip(path, start=start)
    converter = Converter(clip)
    width, height = converter.size
    dtype = np.uint8 if converter.layout.bits == 8 else np.uint16
    notes: list[str] = []

    def frames() -> Iterator[TimedFrame]:
        held: tuple[Pixels, int] | None = None
        with FrameReader(clip, start=start, end=end) as reader:
            for decoded in reader:
                if held is not None:
                    yield TimedFrame(held[0], None, (decoded.pts - held[1]) * clip.time_base)
                held = converter.rgb(converter.planes(decoded.frame)), decoded.pts
        if held is not None:
            shown = (held[1] - clip.first) * clip.time_base
            left = clip.duration - shown if clip.duration is not None and end is None else 0
            yield TimedFrame(held[0], None, Fraction(left) if left > 0 else 1 / clip.rate)
        notes.extend([*reader.notes(), *converter.notes()])
        if clip.companions:
            notes.append(f"not kept: {', '.join(map(str, clip.companions))}")

    holder = Picture(
        np.zeros((1, 1, 3), dtype),
        grey=converter.layout.kind == "grey",
        metadata=_metadata_of(clip.colours, converter.aspect),
    )
    seconds = clip.duration or (clip.frames or 0) / clip.rate
    stop = float(seconds) if end is None else min(end, float(seconds) or end)
    count = max(0, round((stop - start) * float(clip.rate)))
    return Source(Facts(width, height, 0, holder), count, frames, lambda: notes, clip.rate)


def _metadata_of(colours: Colours, aspect: Fraction | None) -> Metadata:
    """Return what pictures say of a clip's colours, and of the shape of its upright pixels."""
    extras: list[Extra] = []
    if not colours.is_usual:  # by PNG, third edition, section 11.3.2.6: RGB of the full range
        extras.append(Extra("PNG", b"cICP", bytes([colours.primaries, colours.transfer, 0, 1])))
    # Of wide pixels there are fewer per unit across.
    per_unit = (aspect.denominator, aspect.numerator) if aspect and aspect != 1 else None
    return Metadata(aspect=per_unit, extras=tuple(extras))


def trimmed(
    frames: Iterator[TimedFrame], name: str, start: float, end: float | None
) -> Iterator[TimedFrame]:
    """Yield the frames that begin in a part.

    Args:
        frames: From the first on.
        name: Of their file.
        start: Seconds after the first frame.
        end: Likewise; None for no end.

    Raises:
        DerainError: If there are none.
    """
    # Of numbers that are no binary ones, such as 0.2, floats are a little off.
    first, last = (
        None if each is None else Fraction(each).limit_denominator(1_000_000)
        for each in (start, end)
    )
    time = Fraction(0)
    some = False
    for frame in frames:
        if last is not None and time >= last:
            break
        if first is None or time >= first:
            some = True
            yield frame
        time += frame.seconds or LEAST
    if not some:
        raise DerainError(
            f"{name}: ends at {float(time):.2f} s, and has no frame from {start:g} s on;"
            " expected an earlier start"
        )
