"""Copies of pictures are found and their changes named; nothing else is taken for a copy."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from derain.data.copies import Album, fingerprint, search
from derain.data.copies.search import (
    CANDIDATES,
    CORRELATION,
    Copy,
    correlate,
    find_copies,
    find_duplicates,
)
from derain.data.copies.vision import grey_of
from derain.images import read_image, write_image

Rgb = NDArray[np.uint8]


def leaves(seed: int, size: tuple[int, int] = (240, 320)) -> Rgb:
    """Return fallen leaves: patches of all sizes over each other.

    Their edges lie as those in photographs (Lee, Mumford and Huang 2001).
    """
    random = np.random.default_rng(seed)
    picture = np.zeros((*size, 3))
    for side in np.sort(5 + 60 * random.random(600) ** 3)[::-1]:
        top, left = (int(random.integers(-10, length)) for length in size)
        height, width = (max(3, int(side * random.uniform(0.5, 1.5))) for _ in "hw")
        picture[max(0, top) : top + height, max(0, left) : left + width] = random.uniform(
            20, 235, 3
        )
    return np.clip(picture + random.normal(0, 2, picture.shape), 0, 255).astype(np.uint8)


def write(path: Path, pixels: Rgb, quality: int | None = None) -> Path:
    image = Image.fromarray(np.ascontiguousarray(pixels))
    image.save(path) if quality is None else image.save(path, quality=quality)
    return path


def resized(pixels: Rgb, x: float, y: float | None = None) -> Rgb:
    size = round(pixels.shape[1] * x), round(pixels.shape[0] * (y or x))
    return np.asarray(
        Image.fromarray(np.ascontiguousarray(pixels)).resize(size, Image.Resampling.BICUBIC)
    )


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Eight different pictures."""
    folder = tmp_path_factory.mktemp("library")
    return [write(folder / f"{seed}.png", leaves(seed)) for seed in range(8)]


def only(found: search.Search) -> Copy:
    assert found.unreadable == {}
    assert len(found.copies) == 1, found.copies
    return found.copies[0]


CHANGES: dict[str, tuple[Callable[[Rgb], Rgb], int | None, set[str]]] = {
    "as it is": (lambda p: p, None, {"identical bytes"}),
    "recompressed": (lambda p: p, 40, {"recompressed"}),
    "left to right": (lambda p: p[:, ::-1], None, {"flipped"}),
    "upside down": (lambda p: p[::-1], None, {"flipped"}),
    "both ways": (lambda p: p[::-1, ::-1], None, {"turned"}),
    "a quarter turn": (np.rot90, None, {"turned"}),
    "three quarters": (lambda p: np.rot90(p, 3), None, {"turned"}),
    "transposed": (lambda p: np.transpose(p, (1, 0, 2)), None, {"flipped", "turned"}),
    "turned and mirrored": (lambda p: np.rot90(p)[::-1], None, {"flipped", "turned"}),
    "a half of each side": (lambda p: p[71:191, 97:257], None, {"cropped"}),
    "a corner": (lambda p: p[:120, :160], None, {"cropped"}),
    "a strip": (lambda p: p[90:180], None, {"cropped"}),
    "a corner, recompressed": (lambda p: p[120:, 160:], 40, {"cropped", "recompressed"}),
    "a corner, flipped": (lambda p: p[100:, 100:][:, ::-1], None, {"cropped", "flipped"}),
    "smaller": (lambda p: resized(p, 0.4), None, {"resized"}),
    "larger": (lambda p: resized(p, 2), 40, {"resized"}),
    "of another shape": (lambda p: resized(p, 0.8, 1.1), None, {"resized"}),
    "everything": (
        lambda p: resized(np.rot90(p[30:200, 50:290]), 0.6)[::-1],
        50,
        {"cropped", "flipped", "turned", "resized"},
    ),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_picture_is_found_and_the_change_named(
    change: str, library: list[Path], tmp_path: Path
) -> None:
    function, quality, how = CHANGES[change]
    path = write(
        tmp_path / ("query.png" if quality is None else "query.jpg"), function(leaves(7)), quality
    )
    copy = only(find_copies([path], library))
    assert (copy.picture, copy.of, set(copy.how)) == (path, library[7], how)
    assert copy.correlation > 0.8


@pytest.mark.parametrize("change", ["a corner", "smaller", "transposed"])
def test_the_copy_may_be_the_larger_one(change: str, tmp_path: Path) -> None:
    function, _, how = CHANGES[change]
    part, whole = (
        write(tmp_path / "part.png", function(leaves(3))),
        write(tmp_path / "whole.png", leaves(3)),
    )
    assert set(only(find_copies([whole], [part])).how) == how


def test_two_crops_that_overlap_are_copies(tmp_path: Path) -> None:
    left, right = (
        write(tmp_path / "l.png", leaves(4)[:, :220]),
        write(tmp_path / "r.png", leaves(4)[:, 100:]),
    )
    assert only(find_copies([left], [right])).how == ("cropped",)


def test_what_was_drawn_over_is_called_changed(library: list[Path], tmp_path: Path) -> None:
    rainy = leaves(7).astype(int)
    for column in range(0, 320, 6):
        rainy[:, column : column + 2] += 120
    copy = only(
        find_copies([write(tmp_path / "rainy.png", rainy.clip(0, 255).astype(np.uint8))], library)
    )
    assert (copy.of, copy.how) == (library[7], ("changed",))


def test_the_same_pixels_in_another_file(library: list[Path], tmp_path: Path) -> None:
    copy = only(find_copies([write(tmp_path / "same.bmp", leaves(7))], library))
    assert (copy.of, copy.how, copy.correlation) == (library[7], ("same pixels",), 1.0)


def test_sixteen_bits_are_found_among_eight(library: list[Path], tmp_path: Path) -> None:
    deep = tmp_path / "deep.png"
    write_image(deep, leaves(7).astype(np.uint16) * 257)
    assert only(find_copies([deep], library)).of == library[7]


def test_different_pictures_are_no_copies(library: list[Path]) -> None:
    assert find_duplicates(library) == search.Search((), {})
    assert find_copies(library[:4], library[4:]).copies == ()


def test_one_sky_over_different_ground_is_no_copy(tmp_path: Path) -> None:
    sky = np.broadcast_to(np.linspace(235, 90, 240)[:, None, None], (240, 320, 3))
    grounds = []
    for seed in (1, 2):
        picture = sky.copy()
        picture[200:] = leaves(seed)[200:]
        grounds.append(write(tmp_path / f"{seed}.png", picture.astype(np.uint8)))
    ours, theirs = (grey_of(read_image(path)) for path in grounds)
    assert np.corrcoef(ours.ravel(), theirs.ravel())[0, 1] > 0.8
    assert correlate(ours, theirs, np.eye(2, 3)) < CORRELATION / 2
    assert find_duplicates(grounds).copies == ()


def test_duplicates_are_named_once_with_an_earlier_one(tmp_path: Path) -> None:
    first = write(tmp_path / "1.png", leaves(1))
    other = write(tmp_path / "2.png", leaves(2))
    flipped = write(tmp_path / "3.png", leaves(1)[:, ::-1])
    again = write(tmp_path / "4.png", leaves(1))
    same = write(tmp_path / "5.bmp", leaves(2))
    found = find_duplicates([first, other, flipped, again, same, first])
    assert [(copy.picture, copy.of, copy.how) for copy in found.copies] == [
        (flipped, first, ("flipped",)),
        (again, first, ("identical bytes",)),
        (same, other, ("same pixels",)),
    ]


def test_each_of_many_frames_is_named_once(tmp_path: Path) -> None:
    """Frames of one scene as the camera pans: 190 pairs of them are alike."""
    scene, random = leaves(1, (260, 400)).astype(int), np.random.default_rng(0)
    frames: list[Path] = []
    for k in range(20):
        frame = scene[k % 7 : k % 7 + 240, k : k + 320] + random.normal(0, 3, (240, 320, 3))
        frames.append(write(tmp_path / f"{k}.png", frame.clip(0, 255).astype(np.uint8)))
    found = find_duplicates(frames).copies
    assert [copy.picture for copy in found] == frames[1:]
    assert all(frames.index(copy.of) < frames.index(copy.picture) for copy in found)
    both = find_copies(frames[:3], frames[3:]).copies
    assert {copy.picture for copy in both} == set(frames[:3])
    assert max(Counter(copy.picture for copy in both).values()) <= 2 * CANDIDATES


def test_many_links_to_one_file_are_read_once(library: list[Path], tmp_path: Path) -> None:
    links = [tmp_path / f"link {k}.png" for k in range(400)]
    for k, link in enumerate(links):
        link.symlink_to(library[k % 2])
    calls: list[tuple[str, int, int]] = []

    def progress(stage: str, done: int, total: int) -> None:
        calls.append((stage, done, total))

    found = find_duplicates(links, progress)
    assert calls == [("duplicates", 1, 2), ("duplicates", 2, 2)]
    assert [copy.picture for copy in found.copies] == links[2:]
    assert {copy.how for copy in found.copies} == {("identical bytes",)}


def test_files_that_cannot_be_read_are_named_and_the_others_searched(
    library: list[Path], tmp_path: Path
) -> None:
    good = write(tmp_path / "good ü\n.png", leaves(7)[::-1])
    (tmp_path / "empty.png").touch()
    (tmp_path / "cut.png").write_bytes(library[0].read_bytes()[:2000])
    (tmp_path / "text.jpg").write_text("no picture")
    (tmp_path / "loop.png").symlink_to(tmp_path / "loop.png")
    (tmp_path / "folder.png").mkdir()
    bad = [
        tmp_path / name
        for name in ("empty.png", "cut.png", "text.jpg", "loop.png", "folder.png", "missing.png")
    ]
    found = find_copies([*bad[:3], good, *bad[3:]], [*library, *bad])
    assert [copy.picture for copy in found.copies] == [good]
    assert list(found.unreadable) == bad
    words = (
        "empty",
        "damaged or truncated",
        "not a picture",
        "symbolic links",
        "directory",
        "No such file",
    )
    assert all(
        word in reason for word, reason in zip(words, found.unreadable.values(), strict=True)
    )


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (2, 2), (16, 16), (200, 200)])
def test_pictures_without_detail_are_copies_only_if_pixels_are_the_same(
    size: tuple[int, int], tmp_path: Path
) -> None:
    shades = [
        write(tmp_path / f"{k}.bmp", np.full((*size, 3), shade, np.uint8))
        for k, shade in enumerate((90, 120, 90))
    ]
    assert [(copy.picture, copy.of) for copy in find_duplicates(shades).copies] == [
        (shades[2], shades[0])
    ]


def test_nothing_to_look_for(library: list[Path]) -> None:
    assert (
        find_copies([], library).copies
        == find_copies(library, []).copies
        == find_duplicates([]).copies
        == ()
    )


def test_correlation_of_detail() -> None:
    a, b = grey_of(leaves(1)), grey_of(leaves(2))
    same = np.eye(2, 3)
    assert correlate(a, a, same) == pytest.approx(1)
    assert abs(correlate(a, b, same)) < 0.1
    assert correlate(a, 255 - a, same) == pytest.approx(-1, abs=0.01)
    moved = np.array([[1.0, 0, -40], [0, 1, -30]])
    assert correlate(a, a[30:, 40:], moved) > 0.95
    assert correlate(a, a[30:, 40:], same) < 0.2
    assert correlate(a, a, np.array([[1.0, 0, 300], [0, 1, 0]])) == 0  # hardly any overlap
    assert correlate(np.full_like(a, 90), a, same) == pytest.approx(0, abs=1e-6)


# With the reference data


def clean_halves(data: Path) -> list[Path]:
    """Clean pictures of the pairs, each once."""
    folders = [
        folder for folder in sorted((data / "pairs").iterdir()) if folder.name != "Rain100H-dev10"
    ]
    return [path for folder in folders for path in sorted((folder / "clean").glob("*"))]


def attack(path: Path, out: Path, random: np.random.Generator) -> tuple[Path, set[str]]:
    """Write a copy cropped, turned, resized and compressed, and return how.

    It keeps half of each side or more, has 0.5 to 2 of its size, and a JPEG quality of 40 to 90.
    """
    pixels = read_image(path).astype(np.uint8)
    height, width = (round(side * random.uniform(0.5, 0.95)) for side in pixels.shape[:2])
    top, left = (
        int(random.integers(pixels.shape[0] - height)),
        int(random.integers(pixels.shape[1] - width)),
    )
    turns, mirrored = int(random.integers(4)), bool(random.integers(2))
    part = np.rot90(pixels[top : top + height, left : left + width], turns)
    part = part[:, ::-1] if mirrored else part
    factor = float(random.choice([random.uniform(0.5, 0.9), random.uniform(1.1, 2)]))
    how = (
        {"cropped", "resized"}
        | ({"flipped"} if mirrored else set())
        | ({"turned"} if turns else set())
    )
    if mirrored and turns == 2:
        how.discard("turned")  # upside down
    return write(out, resized(part, factor), int(random.integers(40, 91))), how


def test_copies_of_real_pictures_are_found_among_a_hundred(
    reference_data: Path, tmp_path: Path, album: Album
) -> None:
    originals = sorted((reference_data / "pairs/Rain100L-dev10/clean").iterdir())
    originals += sorted((reference_data / "pairs/Rain12/clean").iterdir())
    random = np.random.default_rng(0)
    made = [attack(path, tmp_path / f"{k}.jpg", random) for k, path in enumerate(originals)]
    train = sorted((reference_data / "clean/train").iterdir())[::9]  # all take a minute more
    assert len(train) > 95
    found = find_copies([path for path, _ in made], [*train, *originals], album=album)
    assert [(copy.picture, copy.of) for copy in found.copies] == [
        (made[k][0], path) for k, path in enumerate(originals)
    ]
    assert [set(copy.how) - {"changed"} for copy in found.copies] == [how for _, how in made]
    assert min(copy.correlation for copy in found.copies) > 2 * CORRELATION


def test_light_rain_does_not_hide_a_picture(reference_data: Path, album: Album) -> None:
    for name in ("Rain100L-dev10", "Rain12"):
        folder = reference_data / "pairs" / name
        rainy, clean = (sorted((folder / half).iterdir()) for half in ("rainy", "clean"))
        found = find_copies(rainy, clean, album=album).copies
        assert [(copy.picture, copy.of) for copy in found] == list(zip(rainy, clean, strict=True))


def test_no_false_alarm_among_real_pictures(
    reference_data: Path, some_clean_pictures: list[Path], album: Album
) -> None:
    """Find only what is so.

    Rain13K holds pictures of Rain12, and one clean picture twice; two SPA crops are of one scene.
    """
    clean = [*some_clean_pictures, *sorted((reference_data / "clean/val").iterdir())]
    found = find_duplicates([*clean, *clean_halves(reference_data)], album=album)
    assert found.unreadable == {}
    assert [(_short(copy.picture), _short(copy.of), copy.how) for copy in found.copies] == [
        ("Rain13K-train-sample40/32", "Rain12/rain-008", ("resized",)),
        ("Rain13K-train-sample40/4", "Rain12/rain-009", ("resized",)),
        ("Rain13K-train-sample40/5", "Rain13K-train-sample40/11", ("identical bytes",)),
        ("SPA-data-sample2/norain-927", "SPA-data-sample2/norain-438", ("cropped",)),
    ]


def _short(path: Path) -> str:
    return f"{path.parts[-3]}/{path.stem}"


def test_fingerprints_of_real_pictures(reference_data: Path, tmp_path: Path) -> None:
    pictures = sorted((reference_data / "clean/val").iterdir())
    prints = [fingerprint(read_image(path)) for path in pictures]
    poor = [
        write(tmp_path / f"{path.stem}.jpg", resized(read_image(path).astype(np.uint8), 0.5), 40)
        for path in pictures
    ]
    again = [fingerprint(read_image(path)) for path in poor]
    distances = np.array([[(a ^ b).bit_count() for b in again] for a in prints])
    assert np.diag(distances).max() <= 4
    assert distances[~np.eye(len(prints), dtype=bool)].min() > search.SIGNS
