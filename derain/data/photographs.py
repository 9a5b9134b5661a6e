"""Folders of clean pictures."""

from pathlib import Path

from derain.images import find_images, readable_suffixes


def clean_pictures(folder: Path) -> list[Path]:
    """Return the picture files anywhere under a folder, img2 before img10.

    Raises:
        FileNotFoundError: If there are none.
        OSError: If a folder cannot be listed.
    """
    found, unreadable = find_images(folder)
    if unreadable:
        raise unreadable[0]
    if not found:
        raise FileNotFoundError(
            f"{folder}: no pictures here; expected some in {' '.join(sorted(readable_suffixes()))}"
        )
    return found
