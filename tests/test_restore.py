"""The Derainer: same size, same type, seams that do not show, memory bounded by the tile."""

import itertools
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from numpy_engines import Local, Unchanged, as_floats
from PIL import Image

from derain import weights
from derain.density import RainDensity
from derain.errors import UsageError
from derain.progress import Progress
from derain.restore import FLIPS, Derainer, load
from derain.tiles import Float32s, Tiling


def noting(reports: list[tuple[str, int, int]]) -> Progress:
    """Keep the reports of progress."""

    def note(stage: str, done: int, total: int) -> None:
        reports.append((stage, done, total))

    return note


@pytest.mark.parametrize("shape", [(100, 75), (33, 33), (20, 200), (200, 20), (31, 33)])
def test_tiles_give_what_the_whole_picture_gives(shape: tuple[int, int]) -> None:
    image = np.random.default_rng(0).random((*shape, 3), np.float32)
    tiled, whole = Derainer(Local()), Derainer(Local(), tile=0)
    assert np.allclose(tiled(image), whole(image), atol=1e-6)


def test_a_picture_that_fits_is_not_cut() -> None:
    network = Local()
    Derainer(network)(np.zeros((16, 64, 3), np.uint8))
    assert network.seen == [(1, 3, 16, 64)]


def test_the_network_never_sees_more_than_a_tile() -> None:
    network = Local()
    done: list[tuple[str, int, int]] = []
    Derainer(network)(np.zeros((100, 90, 3), np.uint8), noting(done))
    assert max(side for shape in network.seen for side in shape[2:]) <= 32
    assert done == [("tiles", k + 1, len(network.seen)) for k in range(len(network.seen))]


def test_tiles_are_as_few_as_do_and_no_larger_than_need_be() -> None:
    network = Local()
    Derainer(network)(np.zeros((40, 40, 3), np.uint8))
    assert set(network.seen) == {(1, 3, 24, 24)}  # two of 24 that share 8, not two of 32
    sizes = Derainer(Local()).grid(40, 70).sizes
    assert len(sizes) == 2 * 3
    assert set(sizes) == {(24, 29)}


def test_a_pixel_costs_much_the_same_in_all_pictures() -> None:
    derainer = Derainer(Local(), tile=512, overlap=64)
    shares = [
        sum(height * width for height, width in derainer.grid(side, 3 * side // 2).sizes)
        / (side * (3 * side // 2))
        for side in range(700, 6000, 137)
    ]
    assert max(shares) < 1.15 * min(shares)


@pytest.mark.parametrize(
    "shape", [(5, 6), (5, 6, 1), (5, 6, 3), (5, 6, 4), (1, 1, 3), (1, 1), (3, 200, 3)]
)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32, np.float64])
def test_shape_and_type_are_kept(shape: tuple[int, ...], dtype: type[np.generic]) -> None:
    top = {"uint8": 255, "uint16": 65535}.get(np.dtype(dtype).name, 1)
    image = (np.random.default_rng(0).random(shape) * top).astype(dtype)
    clean = Derainer(Local())(image)
    assert clean.shape == shape
    assert clean.dtype == dtype
    if shape[-1] == 4:
        assert np.array_equal(clean[..., 3], image[..., 3])


def test_an_engine_that_changes_nothing_changes_nothing() -> None:
    for dtype in (np.uint8, np.uint16):
        image = np.random.default_rng(0).integers(
            0, np.iinfo(dtype).max, (70, 90, 3), dtype=dtype, endpoint=True
        )
        assert np.array_equal(Derainer(Unchanged(), tile=32)(image), image)


@given(seed=st.integers(0, 100))
def test_output_is_clamped(seed: int) -> None:
    class Wild(Local):
        def forward(self, rainy: Float32s) -> Float32s:
            return 5 * rainy - 2

    image = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    expected = np.clip(np.rint((5 * as_floats(image) - 2) * 255), 0, 255)
    assert np.abs(Derainer(Wild())(image) - expected).max() <= 1


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros((4, 4, 2), np.uint8), "shape"),
        (np.zeros((0, 4, 3), np.uint8), "not empty"),
        (np.zeros((2, 4, 4, 5), np.uint8), "shape"),
        (np.zeros((2, 2, 4, 4, 3), np.uint8), "shape"),
        (np.zeros((4, 4, 3), np.int32), "int32: expected uint8"),
        (np.full((4, 4, 3), np.nan, np.float32), "floats from nan to nan: expected"),
        (np.full((4, 4, 3), 200, np.float32), "floats from 200 to 200: expected them in"),
    ],
)
def test_what_is_no_image_is_refused(image: NDArray[Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Derainer(Local())(image)


@pytest.mark.parametrize(
    "options", [{"tile": 8}, {"tile": -1}, {"overlap": -1}, {"tile": 64, "overlap": 40}]
)
def test_impossible_tiles_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"(tile|overlap)=.*: expected"):
        Derainer(Local(), **options)


def test_describe_says_what_belongs_to_a_score() -> None:
    assert Derainer(Local()).describe() == "tile 32, overlap 8, numpy, float32, cpu"
    assert Derainer(Local(), tile=0).describe() == "whole pictures, numpy, float32, cpu"
    flipped = Derainer(Local(), flips=4)
    assert flipped.describe() == "tile 32, overlap 8, mean of 4 flips, numpy, float32, cpu"


class Skewed(Local):
    """Blurs more to one side than to the other, and down more than up: every flip differs."""

    kernel = np.array([[0.0, 0.0, 0.1], [0.0, 0.3, 0.2], [0.05, 0.35, 0.0]], np.float32)


def mean_by_hand(image: NDArray[np.float32], forms: int) -> NDArray[np.float64]:
    """Return what averaging over flips should give, from plain results of flipped pictures."""
    plain = Derainer(Skewed(), tile=0)
    upright = (np.s_[:, :], np.s_[:, ::-1], np.s_[::-1], np.s_[::-1, ::-1])  # each undoes itself
    results = [plain(image[form].copy())[form] for form in upright]
    results += [plain(image[form].swapaxes(0, 1).copy()).swapaxes(0, 1)[form] for form in upright]
    return np.stack(results[:forms]).astype(np.float64).mean(axis=0)


@pytest.mark.parametrize("flips", FLIPS)
@pytest.mark.parametrize("tile", [0, 16, 32])
def test_flips_are_averaged(flips: int, tile: int) -> None:
    image = np.random.default_rng(0).random((50, 37, 3), np.float32)
    clean = Derainer(Skewed(), tile=tile, flips=flips)(image)
    assert np.allclose(clean, mean_by_hand(image, flips), atol=1e-6)
    other = mean_by_hand(image, next(number for number in FLIPS if number != flips))
    assert not np.allclose(clean, other, atol=1e-3), "each number of flips gives something else"


def test_flips_are_averaged_before_they_are_rounded() -> None:
    image = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    clean = Derainer(Skewed(), flips=4)(image)
    assert np.abs(clean - mean_by_hand(as_floats(image), 4) * 255).max() < 0.5 + 1e-4


@pytest.mark.parametrize("flips", FLIPS)
def test_flips_change_nothing_for_a_network_that_treats_all_directions_alike(flips: int) -> None:
    image = np.random.default_rng(0).random((50, 70, 3), np.float32)
    plain, averaged = Derainer(Local()), Derainer(Local(), flips=flips)
    assert np.allclose(averaged(image), plain(image), atol=1e-6)


@pytest.mark.parametrize(
    "shape", [(40, 50), (40, 50, 1), (40, 50, 3), (40, 50, 4), (1, 1, 3), (3, 200)]
)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_any_kind_of_picture_may_be_flipped(
    shape: tuple[int, ...], dtype: type[np.generic]
) -> None:
    top = {"uint8": 255, "uint16": 65535}.get(np.dtype(dtype).name, 1)
    image = (np.random.default_rng(0).random(shape) * top).astype(dtype)
    clean = Derainer(Local(), flips=8)(image)
    assert clean.dtype == dtype
    plain = Derainer(Local())(image)
    assert np.allclose(clean.astype(float), plain.astype(float), atol=1e-6 if top == 1 else 1)
    if shape[-1] == 4:
        assert np.array_equal(clean[..., 3], image[..., 3])


def test_flips_need_no_larger_tiles() -> None:
    plain, flipped = Local(), Local()
    done: list[tuple[str, int, int]] = []
    image = np.zeros((100, 90, 3), np.uint8)
    Derainer(plain)(image)
    Derainer(flipped, flips=8)(image, noting(done))
    assert len(flipped.seen) == 8 * len(plain.seen)
    assert max(shape[0] for shape in flipped.seen) == 1, "one after the other"
    assert {tuple(sorted(shape)) for shape in flipped.seen} == {
        tuple(sorted(shape)) for shape in plain.seen
    }
    assert done == [("tiles", k + 1, len(plain.seen)) for k in range(len(plain.seen))]


class Corners(Local):
    """Gives every cell of 4x4 pixels the colour of its corner, so that the grid's place matters."""

    tiling: Tiling = Tiling(tile=32, overlap=8, reach=3, multiple=4)

    def forward(self, rainy: Float32s) -> Float32s:
        height, width = rainy.shape[2:]
        corners = rainy[..., ::4, ::4]
        return corners.repeat(4, axis=2).repeat(4, axis=3)[..., :height, :width]


@pytest.mark.parametrize("flips", FLIPS)
@pytest.mark.parametrize("shape", [(50, 37), (64, 72), (33, 99)])
@pytest.mark.parametrize("tile", [32, 30])
def test_flipped_tiles_lie_on_the_grid_of_the_whole_picture(
    flips: int, shape: tuple[int, int], tile: int
) -> None:
    image = np.random.default_rng(0).random((*shape, 3), np.float32)
    tiled = Derainer(Corners(), tile=tile, overlap=7, flips=flips)
    assert len(tiled.grid(*shape).sizes) > 1
    assert tiled.tiling.exact
    assert np.allclose(tiled(image), Derainer(Corners(), tile=0, flips=flips)(image), atol=1e-6)


def test_tiles_of_shipped_weights_give_what_the_whole_picture_gives_when_flipped_too(
    photo: NDArray[np.uint8],
) -> None:
    image = np.tile(as_floats(photo), (2, 4, 1))[:203, :617]
    tiled, whole = (
        load("petrichor-live", dtype="float32", device="cpu", tile=tile, flips=4)
        for tile in (320, 0)
    )
    # Twice its reach, which a tile this small shares only if told so.
    tiled.tiling = replace(tiled.tiling, overlap=2 * 75)
    assert len(tiled.grid(*image.shape[:2]).sizes) > 1
    assert np.abs(tiled(image) - whole(image)).max() < 1e-4


def test_density_is_sensed_once_whatever_is_flipped() -> None:
    image = np.random.default_rng(0).random((40, 60, 3), np.float32)
    plain, flipped = Brightness(), Brightness()
    expected = Derainer(plain).density(image)
    assert Derainer(flipped, flips=8).density(image) == expected
    assert flipped.seen == plain.seen


def test_where_memory_runs_out_flips_stay() -> None:
    image = np.random.default_rng(0).random((50, 37, 3), np.float32)
    derainer = Derainer(HungrySkewed(25 * 25), tile=64, overlap=8, flips=8)
    assert np.allclose(derainer(image), mean_by_hand(image, 8), atol=1e-6)
    assert derainer.tile == 25


@pytest.mark.parametrize("flips", [0, 3, -1, 16])
def test_other_numbers_of_flips_are_refused(flips: int) -> None:
    with pytest.raises(ValueError, match=f"flips={flips}: expected one of 1, 2, 4, 8"):
        Derainer(Local(), flips=flips)


def test_load_names_the_model() -> None:
    derainer = load(device="cpu")
    assert derainer.name == "petrichor"
    assert derainer.engine.title == "Petrichor"


@pytest.mark.parametrize(
    ("quality", "model"), [("fast", "petrichor-live"), ("balanced", weights.DEFAULT)]
)
def test_load_takes_a_quality_in_place_of_a_name(quality: str, model: str) -> None:
    derainer = load(quality=quality, device="cpu")
    assert (derainer.name, derainer.flips) == (model, 1)


def test_a_quality_brings_its_flips_unless_others_are_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(weights.QUALITIES, "best", weights.Quality("petrichor-live", flips=2))
    derainer = load(quality="best", device="cpu")
    assert (derainer.name, derainer.flips) == ("petrichor-live", 2)
    assert load(quality="best", device="cpu", flips=1).flips == 1
    assert load("petrichor-live", device="cpu").flips == 1


def test_every_quality_is_of_weights_in_the_catalogue() -> None:
    assert list(weights.QUALITIES) == ["fast", "balanced", "best"]
    assert {quality.weights for quality in weights.QUALITIES.values()} <= set(weights.CATALOGUE)
    assert {quality.flips for quality in weights.QUALITIES.values()} <= set(FLIPS)


@pytest.mark.parametrize(
    ("name", "quality", "message"),
    [
        (None, "good", "quality=good: expected one of fast, balanced, best"),
        ("nledn", "good", "quality=good: expected one of fast, balanced, best"),
        (
            "nledn",
            "fast",
            "quality=fast: chooses the model, but nledn was named too; leave one of them out",
        ),
        (
            weights.DEFAULT,
            "balanced",
            "quality=balanced: chooses the model, but petrichor was named too",
        ),
    ],
)
def test_qualities_that_cannot_be(name: str | None, quality: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        load(name, quality=quality)


def test_a_quality_is_a_name() -> None:
    with pytest.raises(TypeError, match="quality=3: expected one of fast, balanced, best"):
        load(quality=3)  # pyright: ignore[reportArgumentType]
    with pytest.raises(UsageError, match=r"quality=: expected one of fast, balanced, best$"):
        load(quality="")


class Brightness(Local):
    """Takes a picture's mean for the density of its rain."""

    @property
    def senses_density(self) -> bool:
        return True

    def density(self, rainy: Float32s, /) -> Float32s:
        self.seen.append(rainy.shape)
        return rainy.mean(axis=(1, 2, 3))[:, None] * np.array([[0.5, 1.0, 2.0]], np.float32)


@pytest.mark.parametrize(
    ("light", "medium", "heavy", "word"),
    [
        (0.1, 0.0, 0.0, "none"),
        (0.9, 0.4, 0.0, "light"),
        (0.9, 0.6, 0.4, "medium"),
        (1.1, 1.0, 0.9, "heavy"),
        (0.3, 0.9, 0.9, "none"),
        (0.9, 0.3, 0.9, "light"),
    ],
)
def test_words_for_densities(light: float, medium: float, heavy: float, word: str) -> None:
    assert RainDensity(light, medium, heavy).word == word


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_density_is_that_of_the_colours_of_any_kind_of_image(dtype: Any, channels: int) -> None:
    top = 1 if dtype == np.float32 else np.iinfo(dtype).max
    image = np.full((20, 30, channels), 0.6 * top).astype(dtype)
    image[..., 3:] = 0
    density = Derainer(Brightness()).density(image)
    assert (density.heavy, density.medium, density.light) == pytest.approx(
        (0.3, 0.6, 1.2), abs=0.01
    )
    assert density.word == "medium"


def test_density_is_the_mean_over_tiles_that_are_not_too_small() -> None:
    network = Brightness()
    image = np.zeros((128, 256, 3), np.float32)
    image[:, 128:] = 1
    density = Derainer(network, tile=16).density(image)
    assert [shape[2:] for shape in network.seen] == [(128, 128), (128, 128)]
    assert density.medium == pytest.approx(0.5)
    network.seen.clear()
    Derainer(network, tile=256).density(image[:, :200])
    assert [shape[2:] for shape in network.seen] == [(128, 200)], (
        "what is derained whole is sensed whole"
    )


class Hungry(Local):
    """Finds no memory for more than so many pixels at once."""

    def __init__(self, room: int) -> None:
        super().__init__()
        self.room = room

    def forward(self, rainy: Float32s) -> Float32s:
        if rainy[:, 0].size > self.room:
            raise RuntimeError(
                "[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate"
                " 800 bytes."
            )
        return super().forward(rainy)


class HungrySkewed(Hungry, Skewed):
    """Both: each flip gives something else, where there is memory for it."""


@pytest.mark.parametrize(
    ("shape", "tile"), [((50, 70), 16), ((200, 5), 16), ((8, 400), 32), ((32, 33), 16)]
)
def test_where_memory_runs_out_tiles_are_halved(shape: tuple[int, int], tile: int) -> None:
    image = np.random.default_rng(0).random((*shape, 3), np.float32)
    derainer = Derainer(Hungry(18 * 18), tile=64, overlap=8)
    assert np.allclose(derainer(image), Derainer(Local(), tile=0)(image), atol=1e-6)
    assert derainer.tile == tile
    assert derainer.overlap == tile // 4
    assert np.allclose(derainer(image), Derainer(Local(), tile=0)(image), atol=1e-6)


def test_tiles_are_not_halved_further_than_need_be() -> None:
    derainer = Derainer(Hungry(32 * 32), tile=64)
    derainer(np.zeros((40, 60, 3), np.uint8))
    assert derainer.tile == 30
    derainer(np.zeros((200, 200, 3), np.uint8))
    assert derainer.tile == 30


@pytest.mark.parametrize("tile", [0, 16, 24, 64])
def test_where_nothing_smaller_is_left_the_error_stays(tile: int) -> None:
    network = Hungry(10)
    with pytest.raises(RuntimeError, match="can't allocate memory"):
        Derainer(network, tile=tile)(np.zeros((40, 60, 3), np.uint8))


def test_other_errors_are_not_about_memory() -> None:
    class Broken(Local):
        def forward(self, rainy: Float32s) -> Float32s:
            raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    network = Broken()
    with pytest.raises(RuntimeError, match="cannot be multiplied"):
        Derainer(network, tile=64)(np.zeros((40, 60, 3), np.uint8))
    assert len(network.seen) == 1


class Roomy(Local):
    tiling: Tiling = Tiling(tile=512, overlap=64, memory=1000)


@pytest.mark.parametrize(
    ("free", "tile"),
    [
        (None, 512),
        (2 * 512**2 * 1000, 512),
        (2 * 512**2 * 1000 - 1, 256),
        (2 * 64**2 * 1000, 64),
        (0, 16),
    ],
)
def test_the_default_tile_takes_at_most_half_of_what_memory_is_free(
    free: int | None, tile: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("derain.machine.free_memory", Mock(return_value=free))
    derainer = Derainer(Roomy())
    assert derainer.tile == tile
    assert derainer.overlap == min(64, tile // 4)
    assert Derainer(Roomy(), tile=512).tile == 512, "what is asked for is given"
    assert Derainer(Roomy(), tile=0).tile == 0


@pytest.mark.parametrize("at_once", [2, 3, 100])
def test_tiles_of_one_size_are_given_together_where_the_engine_likes_that(
    at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    class OnGrid(Local):
        tiling: Tiling = Tiling(tile=32, overlap=8, reach=1, multiple=4)

    image = np.random.default_rng(0).random((70, 197, 3), np.float32)
    single, network = OnGrid(), OnGrid()
    usual, derainer = Derainer(single), Derainer(network)
    asked: list[int] = []

    def tiles_at_once(memory: int) -> int:
        asked.append(memory)
        return at_once

    monkeypatch.setattr(derainer.engine, "tiles_at_once", tiles_at_once)
    done: list[tuple[str, int, int]] = []
    assert np.allclose(derainer(image, noting(done)), usual(image), atol=1e-6)
    assert max(shape[0] for shape in network.seen) == min(
        at_once, max(map(len, rows_of(single.seen)))
    )
    assert [shape[1:] for shape in network.seen for _ in range(shape[0])] == [
        shape[1:] for shape in single.seen
    ]
    assert done == [("tiles", k + 1, len(single.seen)) for k in range(len(single.seen))]
    height, width = single.seen[0][2:]
    assert asked[0] == height * width * OnGrid.tiling.memory


def rows_of(shapes: list[tuple[int, ...]]) -> list[list[tuple[int, ...]]]:
    """Neighbours of equal size."""
    return [list(equal) for _, equal in itertools.groupby(shapes)]


# What may be given, and how much is removed


def test_results_are_of_the_kind_that_was_given() -> None:
    torch = pytest.importorskip("torch")
    derainer = Derainer(Local())
    image = np.random.default_rng(0).integers(0, 256, (40, 50, 3), np.uint8)
    expected = derainer(image)
    assert np.array_equal(np.asarray(derainer(Image.fromarray(image))), expected)
    tensor = torch.from_numpy(image.transpose(2, 0, 1).copy())
    assert np.array_equal(derainer(tensor).numpy().transpose(1, 2, 0), expected)
    floats = derainer(tensor[None].double() / 255)
    assert (floats.shape, floats.dtype) == ((1, 3, 40, 50), torch.float64)
    assert np.array_equal(derainer(np.stack([image, image[::-1]]))[0], expected)


def test_frames_are_derained_one_by_one() -> None:
    frames = [np.random.default_rng(k).random((20 + k, 30, 3), np.float32) for k in range(3)]
    done: list[tuple[str, int, int]] = []
    derainer = Derainer(Local())
    clean = derainer(frames, noting(done))
    assert all(np.array_equal(a, derainer(b)) for a, b in zip(clean, frames, strict=True))
    assert done == [("images", k, 3) for k in (1, 2, 3)]


@pytest.mark.parametrize("wrong", [None, "photo.jpg", 3, [None]])
def test_what_is_no_picture_is_named(wrong: Any) -> None:
    for call in (Derainer(Local()), Derainer(Local()).density):
        with pytest.raises(TypeError, match="for an image: expected a"):
            call(wrong)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"device": 0}, "device=0: expected a name, not an int"),
        ({"dtype": 3.5}, "dtype=3.5: expected a name"),
        ({"tile": 64.0}, "tile=64.0: expected a whole number"),
        ({"overlap": "8"}, "overlap='8': expected a whole number"),
        ({"strength": "1"}, "strength='1': expected a number"),
        ({"flips": 2.0}, "flips=2.0: expected one of 1, 2, 4, 8"),
        ({"flips": True}, "flips=True: expected one of"),
        ({"strength": True}, "strength=True: expected a number"),
        ({"engine": 1}, "engine=1: expected a name"),
    ],
)
def test_options_of_another_type_are_named(options: dict[str, Any], message: str) -> None:
    with pytest.raises(TypeError, match=message):
        Derainer(Local(), **options)
    with pytest.raises(TypeError, match=message):
        load("petrichor-live", **options)


def test_weights_of_another_type_are_named(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="an int for weights: expected a name"):
        load(3)  # pyright: ignore[reportArgumentType]
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "no.safetensors")


def test_devices_and_number_formats_of_pytorch() -> None:
    torch = pytest.importorskip("torch")
    derainer = load("petrichor-live", device=torch.device("cpu"), dtype=torch.float32)
    assert (derainer.engine.device, derainer.engine.dtype) == ("cpu", "float32")


@given(strength=st.floats(0, 1.5), seed=st.integers(0, 99))
def test_strength_scales_what_is_removed(strength: float, seed: int) -> None:
    image = np.random.default_rng(seed).random((20, 40, 3), np.float32)
    whole = Derainer(Local())(image)
    expected = np.clip(image + strength * (whole - image), 0, 1)
    assert np.allclose(Derainer(Local(), strength=strength)(image), expected, atol=1e-6)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float64])
def test_no_strength_gives_the_picture_itself(dtype: type[np.generic]) -> None:
    top = {"uint8": 255, "uint16": 65535}.get(np.dtype(dtype).name, 1)
    image = (np.random.default_rng(0).random((40, 50, 4)) * top).astype(dtype)
    result = Derainer(Local(), strength=0)(image)
    assert np.array_equal(result, image)
    assert not np.shares_memory(result, image)


@pytest.mark.parametrize("strength", [-0.1, 1.6, float("nan"), float("inf")])
def test_impossible_strengths_are_refused(strength: float) -> None:
    with pytest.raises(ValueError, match=r"strength=.*: expected 0 to 1\.5"):
        Derainer(Local(), strength=strength)


def test_a_mask_says_where_to_work() -> None:
    image = np.random.default_rng(0).integers(0, 65536, (60, 70, 3), np.uint16)
    derainer = Derainer(Local())
    whole = derainer(image)
    mask = np.zeros((60, 70), bool)
    mask[20:, :35] = True
    for share in (mask, mask.astype(np.uint8) * 255, Image.fromarray(mask), mask * 1.0):
        clean = derainer(image, mask=share)
        assert np.array_equal(clean[mask], whole[mask])
        assert np.array_equal(clean[~mask], image[~mask])
    for share in (mask[..., None], np.dstack([mask] * 3)):
        assert np.array_equal(derainer(image, mask=share), derainer(image, mask=mask))
    half = derainer(image, mask=mask * 0.5)
    middle = (image.astype(float) + whole) / 2
    assert np.abs(half[mask] - middle[mask]).max() <= 1


def test_a_mask_of_another_size_is_refused() -> None:
    with pytest.raises(ValueError, match="a mask of 9x8 pixels for a picture of 8x8: expected the"):
        Derainer(Local())(np.zeros((8, 8, 3), np.uint8), mask=np.ones((8, 9)))


def test_a_derainer_says_what_it_is() -> None:
    shown = repr(Derainer(Local(), name="local", strength=0.5))
    assert shown == f"<Derainer local: {Derainer(Local(), strength=0.5).describe()}>"
    assert "strength 0.5" in shown


class AtOnce(Local):
    """Takes four tiles at once, and runs out of memory with more pictures than it is allowed."""

    def __init__(self, most: int = 4) -> None:
        super().__init__()
        self.most = most

    def tiles_at_once(self, memory: int) -> int:
        return 4

    def forward(self, rainy: Float32s) -> Float32s:
        if len(rainy) > self.most:
            raise RuntimeError("CUDA out of memory")
        return super().forward(rainy)


@pytest.mark.parametrize(("most", "batches"), [(4, [4]), (1, [4, 1, 1, 1, 1])])
@pytest.mark.parametrize("strength", [1.0, 0.5])
def test_pictures_together_give_what_each_gives(
    most: int, batches: list[int], strength: float
) -> None:
    pictures = list(np.random.default_rng(0).integers(0, 256, (4, 20, 24, 3), np.uint8))
    engine = AtOnce(most)
    together = Derainer(engine, strength=strength).together(pictures)
    alone = Derainer(Local(), strength=strength)
    assert [shape[0] for shape in engine.seen] == batches
    assert all(
        np.array_equal(one, alone(picture)) for one, picture in zip(together, pictures, strict=True)
    )


def test_pictures_that_are_cut_go_one_by_one() -> None:
    pictures = list(np.random.default_rng(0).integers(0, 256, (3, 60, 70, 3), np.uint8))
    derainer = Derainer(AtOnce())
    assert derainer.at_once(60, 70) == 1
    assert derainer.at_once(20, 24) == 4
    for one, picture in zip(derainer.together(pictures), pictures, strict=True):
        assert np.array_equal(one, derainer(picture))


def test_pictures_together_may_be_none() -> None:
    assert Derainer(AtOnce()).together([]) == []
