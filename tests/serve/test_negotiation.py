"""Formats by the header Accept."""

import pytest

from derain.serve.negotiation import TYPES, offered_formats, wish_of


@pytest.mark.parametrize(
    ("accept", "own", "expected"),
    [
        ("", "JPEG", "JPEG"),
        ("*/*", "TIFF", "TIFF"),
        ("image/*", "PNG", "PNG"),
        ("image/webp", "JPEG", "WEBP"),
        ("image/webp, image/png", "JPEG", "WEBP"),
        ("image/png, image/webp", "JPEG", "PNG"),
        ("image/png;q=0.5, image/webp", "PNG", "WEBP"),
        ("image/png, image/jpeg", "JPEG", "JPEG"),
        ("image/jpeg;q=0, image/*", "JPEG", "PNG"),
        ("IMAGE/PNG; Q=1.0", "JPEG", "PNG"),
        ("image/gif, image/png;q=0.1", "JPEG", "PNG"),
        ("image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8", "JPEG", "JPEG"),
        ("text/html,application/xml;q=0.9,image/webp,*/*;q=0.8", "JPEG", "JPEG"),
        ("image/png;q=nonsense", "JPEG", "PNG"),
        (",,;q=1,", "BMP", "BMP"),
    ],
)
def test_the_picture_keeps_its_format_unless_another_is_liked_better(
    accept: str, own: str, expected: str
) -> None:
    wish = wish_of(accept)
    assert wish is not None
    assert wish.chosen(own) == expected  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize(
    "accept", ["image/gif", "application/json", "image/png;q=0", "image/png;q=-1", "*/*;q=0"]
)
def test_what_is_not_written_is_refused(accept: str) -> None:
    assert wish_of(accept) is None


def test_every_format_has_a_type() -> None:
    assert all(TYPES[format].startswith("image/") for format in offered_formats())
