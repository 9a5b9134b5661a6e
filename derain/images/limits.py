"""Limit the size of pictures by their headers, before anything is decoded.

Three things are asked of a file. Its pixels are no more than were allowed. Its bytes are enough for
so many pixels, else it is truncated or lies. And what decoding takes is in proportion to the file:
1 GB, or more for a file of more than a megabyte.
"""

import math
from dataclasses import replace

from derain.images.headers import Claim
from derain.images.picture import ImageError, TooManyPixelsError

MAX_PIXELS = 300_000_000
"""Pixels of a picture that is read without being asked for: photographs of phones have 200 million.

Whoever passes another number is taken to know the file, so that memory is no question then.
"""
MEMORY = 1_000_000_000
"""Bytes that decoding may take, however small the file."""
MEMORY_PER_BYTE = 1000
"""Bytes that decoding may take for each byte of the file, where that is more."""
PROCESS = 400_000_000
"""Of these bytes, what Python takes with a network before it reads a picture."""


def check_claim(claim: Claim, size: int, max_pixels: int | None) -> None:
    """Refuse a file that claims too much.

    Args:
        claim: What its header says.
        size: Bytes of the file.
        max_pixels: Pixels that it may have; None for `MAX_PIXELS` and a bound on memory.

    Raises:
        TooManyPixelsError: If it has more pixels, or takes far more memory than its size suggests.
        ImageError: If it has no pixels, or more than its bytes can hold.
    """
    width, height = claim.width, claim.height
    if not (width and height):
        raise ImageError(f"a damaged {claim.kind} picture ({width}x{height} pixels)")
    if claim.least > claim.held:
        raise ImageError(
            f"a damaged or truncated {claim.kind} picture ({width}x{height} pixels in {claim.held}"
            f" bytes; expected at least {claim.least})"
        )
    allowed = MAX_PIXELS if max_pixels is None else max_pixels
    if claim.pixels > allowed:
        raise TooManyPixelsError(
            f"{width}x{height} pixels, {claim.pixels / 1e6:.0f} megapixels; expected at most"
            f" {allowed / 1e6:.6g} megapixels",
            needed=claim.pixels,
        )
    memory = max(MEMORY, MEMORY_PER_BYTE * size)
    needed = claim.memory + PROCESS
    if max_pixels is None and needed > memory:
        raise TooManyPixelsError(
            f"{width}x{height} pixels in a file of {size:,} bytes, which would take"
            f" {math.ceil(needed / 1e7) / 100} GB to decode; expected at most"
            f" {memory // 10**7 / 100} GB for a file so small",
            needed=claim.pixels,
        )


LENGTH = 100
"""How many times the pixels of the largest picture the frames of an animation may have together."""
HELD = 24
"""Frames that lie in memory while an animation is derained: a window of neighbours, and those that
wait between threads."""


def check_frames(claim: Claim, size: int, max_pixels: int | None) -> None:
    """Refuse an animation that claims too much.

    Args:
        claim: What its header says: the size of a frame and their number; of ``result`` the bytes
            that a pixel takes in arrays, 0 for 4.
        size: Bytes of the file.
        max_pixels: As for `check_claim`; it allows `LENGTH` times as many for all frames.

    Raises:
        TooManyPixelsError: As `check_claim`, or if all frames together have more pixels.
        ImageError: As `check_claim`.
    """
    result = claim.result or 4
    check_claim(replace(claim, least=0, stored=HELD * result, result=result), size, max_pixels)
    allowed = LENGTH * (MAX_PIXELS if max_pixels is None else max_pixels)
    total = claim.pixels * claim.frames
    if total > allowed:
        raise TooManyPixelsError(
            f"{claim.frames} frames of {claim.width}x{claim.height} pixels, {total / 1e6:.0f}"
            f" megapixels together; expected at most {allowed / 1e6:.6g} megapixels",
            needed=max(claim.pixels, -(-total // LENGTH)),
        )
