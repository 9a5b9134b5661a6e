"""Files that are opened and decoded once, and what is kept of them."""

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from derain.data.copies import Album, fingerprint
from derain.data.copies.greys import GreyStore
from derain.data.copies.vision import grey_of
from derain.files import file_digest
from derain.images import ImageError, Picture, read, read_image, write_image


@pytest.fixture
def photograph(photo: NDArray[np.uint8], tmp_path: Path) -> Path:
    write_image(tmp_path / "photo.png", photo)
    return tmp_path / "photo.png"


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often pictures were decoded, and under which kind of source."""
    count: Counter[str] = Counter()
    lock = threading.Lock()

    def counted(source: Path | bytes) -> Picture:
        with lock:
            count["bytes" if isinstance(source, bytes) else "path"] += 1
        return read(source)

    monkeypatch.setattr("derain.data.copies.album.read", counted)
    return count


def test_everything_is_that_of_the_file(photograph: Path, photo: NDArray[np.uint8]) -> None:
    album = Album()
    content = album.content(photograph)
    assert content.size == photo.shape[:2]
    assert content.fingerprint == fingerprint(photo)
    assert album.digest(photograph) == file_digest(photograph)
    assert np.array_equal(album.read(photograph), photo)
    assert np.array_equal(album.greys(content, photograph).full, grey_of(photo))


def test_pixels_wait_for_as_many_reads_as_were_announced(
    photograph: Path, decoded: Counter[str]
) -> None:
    album = Album()
    album.expect({album.key(photograph): 3})
    for _ in range(3):
        album.read(photograph)
    assert decoded == {"bytes": 1}
    album.read(photograph, again=True)
    assert decoded == {"bytes": 2}
    album.content(photograph)
    assert decoded == {"bytes": 2}
    album.read(photograph)
    assert decoded == {"bytes": 3}


def test_many_threads_decode_once(photograph: Path, decoded: Counter[str]) -> None:
    album = Album()
    album.expect({album.key(photograph): 8})
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(album.read, [photograph] * 8))
        list(pool.map(album.content, [photograph] * 8))
    assert decoded == {"bytes": 2}  # pixels for reads, and once more for the content


def test_nothing_is_kept_without_room(photograph: Path, decoded: Counter[str]) -> None:
    album = Album(kept=100, greys=GreyStore(at_most=100))
    album.expect({album.key(photograph): 2})
    first, second = album.read(photograph), album.read(photograph)
    assert np.array_equal(first, second)
    content = album.content(photograph, first)
    full = album.greys(content, photograph).full
    assert np.array_equal(full, grey_of(first))
    assert decoded == {"bytes": 2, "path": 1}


def test_links_and_files_of_the_same_bytes_are_decoded_once(
    photograph: Path, decoded: Counter[str]
) -> None:
    link, copy = photograph.with_name("link.png"), photograph.with_name("copy.png")
    link.symlink_to(photograph)
    copy.write_bytes(photograph.read_bytes())
    album = Album()
    assert album.key(link) == album.key(photograph) != album.key(copy)
    first = album.content(photograph)
    assert album.content(link) is first
    assert album.content(copy) is first
    assert decoded == {"bytes": 1}


def test_the_clean_half_is_described(
    photo: NDArray[np.uint8], tmp_path: Path, decoded: Counter[str]
) -> None:
    both, odd = tmp_path / "both.png", tmp_path / "odd.png"
    write_image(both, np.concatenate([255 - photo, photo], axis=1))
    write_image(odd, photo[:, :-1])
    album = Album()
    album.use_halves({both: "left", odd: "left"})
    album.use_halves({both: "right"})
    content = album.content(both)
    assert (content.size, content.fingerprint) == (photo.shape[:2], fingerprint(photo))
    for _ in range(2):
        with pytest.raises(ValueError, match=r"odd\.png: 159 pixels wide"):
            album.content(odd)
    assert decoded == {"bytes": 2}


def test_what_cannot_be_read_is_not_opened_again(tmp_path: Path, decoded: Counter[str]) -> None:
    (tmp_path / "text.png").write_text("once upon a time")
    album = Album()
    for path, error in (
        (tmp_path / "text.png", ImageError),
        (tmp_path / "missing.png", FileNotFoundError),
        (tmp_path, IsADirectoryError),
    ):
        for ask in (album.read, album.content, album.read):
            with pytest.raises(error) as raised:
                ask(path)
            if isinstance(raised.value, OSError):
                assert raised.value.filename in (path, str(path))
    assert decoded == {"bytes": 1}
    # A later file of the same name is not looked for: files must not change.
    (tmp_path / "missing.png").write_bytes((tmp_path / "text.png").read_bytes())
    with pytest.raises(FileNotFoundError):
        album.digest(tmp_path / "missing.png")
    with pytest.raises(ImageError, match="not a picture"):
        read_image(tmp_path / "missing.png")
