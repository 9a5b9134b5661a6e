"""Recognise clips by their names, and name their results."""

import os
import re
from pathlib import Path
from typing import BinaryIO

from derain.files import RESULT_MARK, is_result_name, is_special

SUFFIXES = frozenset(
    {
        ".3g2",
        ".3gp",
        ".asf",
        ".avi",
        ".f4v",
        ".flv",
        ".m2ts",
        ".m4v",
        ".mkv",
        ".mov",
        ".mp4",
        ".mpeg",
        ".mpg",
        ".mts",
        ".mxf",
        ".ogv",
        ".ts",
        ".vob",
        ".webm",
        ".wmv",
        ".y4m",
    }
)
"""What the names of clips end in, in small letters."""


def is_clip_name(name: str | os.PathLike[str]) -> bool:
    """Return whether a file is called as a clip.

    >>> is_clip_name("yard.MP4"), is_clip_name("yard.jpg")
    (True, False)
    """
    return Path(name).suffix.lower() in SUFFIXES


_EBML, _ASF, _MXF = b"\x1aE\xdf\xa3", b"0&\xb2u\x8ef\xcf\x11", b"\x06\x0e+4\x02\x05\x01\x01"
_BEGINNINGS = (_EBML, _ASF, _MXF, b"FLV\x01", b"OggS", b"\0\0\x01\xba", b"\0\0\x01\xb3")
"""Of Matroska, ASF, MXF, FLV, Ogg and MPEG."""
_OF_PICTURES = frozenset(
    {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1", b"miaf"}
    | {b"avif", b"avis", b"crx "}
)
"""Brands of files that are built as MP4 is, and hold pictures."""


def is_video(path: str | os.PathLike[str]) -> bool:
    """Return whether a file is a video.

    Its name says so. If it has neither the ending of a clip nor that of a picture, its first bytes
    do. Pipes and devices are not opened.
    """
    path = Path(path)
    if is_clip_name(path):
        return True
    from derain.images import READABLE_SUFFIXES  # which takes NumPy

    suffix = path.suffix.lower()
    if suffix in READABLE_SUFFIXES or suffix in ANIMATED_SUFFIXES or is_special(path):
        return False
    try:
        with path.open("rb") as file:
            head = file.read(200)
    except OSError:
        return False
    return _begins_as_video(head)


def _begins_as_video(head: bytes) -> bool:
    kind, brand = head[4:8], head[8:12]
    if kind == b"ftyp":
        return brand not in _OF_PICTURES
    is_avi = head.startswith(b"RIFF") and brand == b"AVI "
    # MPEG-TS has a byte in front of each packet of 188; cameras add four of their own.
    is_ts = any(head[at : at + 189 : 188] == b"GG" for at in (0, 4))
    return is_avi or is_ts or kind in (b"moov", b"mdat", b"wide") or head.startswith(_BEGINNINGS)


ANIMATED_SUFFIXES = frozenset({".gif", ".png", ".apng", ".webp", ".avif", ".avifs"})
"""What the names of pictures end in that may be animated, in small letters."""
_GIF, _PNG = b"GIF8", b"\x89PNG\r\n\x1a\n"
_NUMBER = re.compile(r"%(0?\d*)d")


def is_animated(path: str | os.PathLike[str]) -> bool:
    """Return whether a file is an animated picture; a GIF always counts as one.

    Its name says whether it may be; then the heads of its chunks are read, and no pixels. A GIF
    that is not there counts, too, so that what cannot be read is named as a clip. Pipes and devices
    are not opened.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in ANIMATED_SUFFIXES or path.is_dir() or is_special(path):
        return False
    try:
        with path.open("rb") as file:
            head = file.read(32)
            if head.startswith(_PNG):
                return _is_animated_png(file)
            if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
                return _has_two_frames(file)
            return head.startswith(_GIF) or (head[4:8] == b"ftyp" and head[8:12] == b"avis")
    except OSError:
        return suffix == ".gif"


def _is_animated_png(file: BinaryIO) -> bool:
    """Return whether a chunk before the pixels counts two frames or more."""
    place = len(_PNG)
    while True:
        file.seek(place)
        head = file.read(12)
        kind = head[4:8]
        if len(head) < 12 or kind == b"IDAT":
            return False
        if kind == b"acTL":
            return int.from_bytes(head[8:], "big") > 1
        place += 12 + int.from_bytes(head[:4], "big")


def _has_two_frames(file: BinaryIO) -> bool:
    """Return whether a WebP has two chunks of frames or more."""
    place, frames = 12, 0
    while frames < 2:
        file.seek(place)
        head = file.read(8)
        if len(head) < 8:
            return False
        frames += head[:4] == b"ANMF"
        length = int.from_bytes(head[4:], "little")
        place += 8 + length + length % 2
    return True


def numbered(name: str | os.PathLike[str], number: int) -> Path | None:
    """Return the file for a frame where a name is a pattern such as ``frames/%06d.png``.

    Args:
        name: Of results.
        number: Of the frame.

    >>> str(numbered("%03d.png", 7)), numbered("50%.png", 7), numbered("clean.png", 7)
    ('007.png', None, None)
    """
    path = Path(name)
    found = _NUMBER.findall(path.name)
    if len(found) != 1:
        return None
    width = found[0]
    digits = f"{number:{width}d}" if width else str(number)
    return path.with_name(_NUMBER.sub(digits.replace(" ", "0"), path.name))


MODEL = "petrichor-live"
"""Shipped weights that are fast enough for clips."""


def model_for(model: str | None, quality: str | None) -> str | None:
    """Return the name of the weights for clips; None for those of the quality.

    Args:
        model: As the user named them; None for no name.
        quality: The same.

    >>> model_for(None, None), model_for("nledn", None), model_for(None, "best")
    ('petrichor-live', 'nledn', None)
    """
    return MODEL if model is None and quality is None else model


PREVIEW_MARK = "_preview"
"""What the names of results of a few seconds end in."""


def result_name(name: str, suffix: str, mark: str = RESULT_MARK) -> str:
    """Return what the result of a clip is called.

    Args:
        name: The last part of the clip's path.
        suffix: Of the result, with the dot.
        mark: `RESULT_MARK` or `PREVIEW_MARK`.

    >>> result_name("yard.mpg", ".mp4")
    'yard_derained.mp4'
    """
    return f"{Path(name).stem}{mark}{suffix}"


def is_made_name(name: str | os.PathLike[str]) -> bool:
    """Return whether a clip is called as derain calls results and previews.

    >>> is_made_name("yard_derained.mp4"), is_made_name("yard_preview.mp4")
    (True, True)
    """
    path = Path(name)
    return is_result_name(path.name) or path.stem.endswith(PREVIEW_MARK)
