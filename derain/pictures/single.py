"""Steps for each picture besides deraining, for files and streams alike."""

from dataclasses import replace

from derain.files import AGAIN, is_result_name
from derain.images import Format, Picture, encode


def noted_again(picture: Picture, name: str) -> Picture:
    """Return a picture with a note if derain made it, by its metadata or its file's name."""
    if picture.is_result or is_result_name(name):
        return replace(picture, notes=(*picture.notes, AGAIN))
    return picture


def file_of_result(picture: Picture, format: Format) -> tuple[bytes, list[str]]:
    """Return the file of a derained picture, marked as derain's.

    Args:
        picture: With the pixels of the result and what was read besides them.
        format: Of the file.

    Returns:
        The bytes, and what the format cannot hold, in words for the user.

    Raises:
        ImageError: As `derain.images.encode`.
    """
    notes: list[str] = []
    data = encode(replace(picture, is_result=True), format, notes)
    return data, notes
