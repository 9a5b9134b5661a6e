"""Rain cut from textures, as in Rain100L, and in the direction, size and strength asked for."""

import json
import math
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import gaussian_filter

from derain import rain
from derain.images import ImageError, write_image
from derain.rain import generator_for, textures
from derain.rain.numbers import Draws
from derain.rain.textures import Window

CPU = torch.device("cpu")
PLAIN = Window(0.0, 0.25, 0.5, 1.0, 219 / 255, 0.0, sheared=False, portrait=False, mirrored=False)


def streaky(
    degrees: float = 10.0, seed: int = 0, size: tuple[int, int] = (320, 560)
) -> NDArray[np.uint8]:
    """Return a texture of soft streaks that lean by an angle.

    Each is some 100 pixels long and has its own grey.
    """
    numbers = np.random.default_rng(seed)
    down, right = np.mgrid[: size[0], : size[1]].astype(np.float32)
    slope = math.tan(math.radians(degrees))
    picture = np.zeros(size, np.float32)
    for _ in range(60):
        y, x, grey = (
            numbers.uniform(0, size[0]),
            numbers.uniform(0, size[1]),
            numbers.uniform(50, 220),
        )
        across = right - x - slope * (down - y)
        picture = np.maximum(picture, grey * np.exp(-((across / 4) ** 2) - ((down - y) / 40) ** 2))
    return picture.round().astype(np.uint8)


def floats(picture: NDArray[np.uint8]) -> torch.Tensor:
    return torch.from_numpy(picture.astype(np.float32) / 255)


@pytest.fixture(scope="module")
def bank() -> rain.TextureBank:
    """Textures of three directions."""
    return rain.bank_of(
        "streaks", [floats(streaky(degrees, k)) for k, degrees in enumerate((10, 0, -14))]
    )


def draw(
    bank: rain.TextureBank, size: tuple[int, int] = (321, 481), **changes: float
) -> NDArray[np.float64]:
    """The light of one layer, of 255."""
    cut = replace(PLAIN, **changes)  # pyright: ignore[reportArgumentType]
    return 255 * textures.draw([cut], bank, size, CPU)[0].double().numpy()


def direction(layer: NDArray[np.float64]) -> float:
    """Return the direction of streaks by the structure tensor, in degrees from the vertical.

    It is positive towards the right on the way down.
    """
    # Differences of neighbours fall short of steep gradients: thin lines are blurred before.
    down, right = np.gradient(gaussian_filter(layer, 2)[4:-4, 4:-4])
    cross = np.sum(right * down)
    x, y = np.linalg.eigh(np.array([[np.sum(right**2), cross], [cross, np.sum(down**2)]]))[1][:, 0]
    return math.degrees(math.atan(x / y))


def rain100l_layer(texture: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.float64]:
    """What Rain100L adds: the texture resized by Pillow to (width, height), dimmed and rounded."""
    resized = Image.fromarray(texture).resize(size, Image.Resampling.BILINEAR)
    return np.floor(219 / 255 * np.asarray(resized).astype(float) + 0.5)


def test_a_plain_layer_is_the_one_rain100l_adds() -> None:
    texture = streaky()
    expected = rain100l_layer(texture, (481, 321))
    whole = draw(rain.bank_of("one", [floats(texture)]))
    assert expected.max() > 150
    # Pillow rounds after each of two passes, the bank once, and Rain100L at the end.
    assert np.abs(whole - expected).max() < 1.5
    assert np.abs(whole - expected).mean() < 0.2
    # A quarter of the room to the left, half of it above.
    window = draw(rain.bank_of("one", [floats(texture)]), (96, 128))
    assert np.abs(window - expected[112:208, 88:216]).max() < 1.5


def test_a_mirrored_layer_is_the_mirror_image(bank: rain.TextureBank) -> None:
    assert np.allclose(draw(bank, mirrored=1.0), draw(bank)[:, ::-1], atol=1e-3)


def test_a_portrait_layer_is_the_one_rain100l_adds_to_portraits() -> None:
    texture = streaky()
    expected = rain100l_layer(texture, (321, 481))
    layer = draw(
        rain.bank_of("one", [floats(texture)]), (481, 321), portrait=1.0, left=0.9, top=0.9
    )
    assert np.corrcoef(layer.ravel(), expected.ravel())[0, 1] > 0.98
    assert layer.mean() == pytest.approx(expected.mean(), rel=0.03)


def test_gain_is_a_factor_and_layers_add_up(bank: rain.TextureBank) -> None:
    assert np.allclose(draw(bank, gain=0.5), draw(bank) * 0.5 * 255 / 219, atol=1e-3)
    one = rain.Texture(otherwise=rain.Field(), portrait=0)
    single, double = (rain.RainPreset("n", "nothing", (one,) * n) for n in (1, 2))
    lights = [
        rain.sample(p, (321, 481), generator_for(1), bank=bank).layer.mean()
        for p in (single, double)
    ]
    assert float(lights[1]) == pytest.approx(2 * float(lights[0]), rel=0.3)


def test_every_texture_is_drawn(bank: rain.TextureBank) -> None:
    layers = [draw(bank, texture=(k + 0.5) / 3) for k in range(3)]
    for k, degrees in enumerate((10, 0, -14)):
        assert np.abs(layers[k] - rain100l_layer(streaky(degrees, k), (481, 321))).max() < 1.5
    assert np.array_equal(draw(bank, texture=1 - 1e-9), layers[2])


@pytest.mark.parametrize("degrees", [-42, -20, 0, 15, 42])
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"mirrored": 1},
        {"portrait": 1},
        {"scale": 0.4, "mirrored": 1, "portrait": 1},
        {"scale": 1.4, "top": 0},
    ],
)
def test_a_sheared_layer_has_the_direction_asked_for(
    degrees: int, changes: dict[str, float], bank: rain.TextureBank
) -> None:
    slope = math.tan(math.radians(degrees))
    layer = draw(bank, (300, 300), sheared=1, slope=slope, texture=0.9, **changes)
    assert direction(layer) == pytest.approx(degrees, abs=3)


@pytest.mark.parametrize(("mirrored", "expected"), [(0, -14), (1, 14)])
def test_a_layer_that_is_not_sheared_keeps_its_direction(
    mirrored: float, expected: float, bank: rain.TextureBank
) -> None:
    squeezed = math.degrees(math.atan(math.tan(math.radians(expected)) * 481 / 560 * 320 / 321))
    assert direction(draw(bank, texture=0.9, mirrored=mirrored, slope=1)) == pytest.approx(
        squeezed, abs=1.5
    )
    assert abs(math.degrees(math.atan(float(bank.slopes[2])))) == pytest.approx(
        abs(squeezed), abs=1.5
    )


@pytest.mark.parametrize("scale", [0.18, 0.3, 0.5, 0.7, 1.0])
def test_reduced_textures_keep_their_mean_brightness(scale: float, bank: rain.TextureBank) -> None:
    # The window holds the whole texture.
    size = round(321 * scale), round(481 * scale)
    expected = rain100l_layer(streaky(10, 0), (481, 321)).mean()
    assert draw(bank, size, scale=scale).mean() == pytest.approx(expected, rel=0.03)


def test_reduced_streaks_are_averaged_rather_than_skipped() -> None:
    # Lines one pixel wide, eight apart: every reduced pixel has seen some, whichever it is.
    lines = torch.zeros(321, 481)
    lines[:, ::8] = 1
    layer = draw(rain.bank_of("lines", [lines]), (60, 90), scale=0.25, gain=1.0)
    assert layer.mean() == pytest.approx(255 / 8, rel=0.03)
    assert layer.max() < 70


@pytest.mark.parametrize("scale", [0.5, 2.0])
def test_sizes_scale(scale: float, bank: rain.TextureBank) -> None:
    lit = draw(bank, (160, 240), scale=scale, left=0, top=0)
    expected = Image.fromarray(rain100l_layer(streaky(10, 0), (481, 321)).astype(np.uint8))
    resized = np.asarray(
        expected.resize((round(481 * scale), round(321 * scale)), Image.Resampling.BILINEAR)
    )
    assert np.corrcoef(lit.ravel(), resized[:160, :240].ravel())[0, 1] > 0.97


def test_windows_larger_than_the_texture_wrap_around(bank: rain.TextureBank) -> None:
    layer = draw(bank, (400, 600), left=0.37, top=0.61)
    assert np.allclose(layer[:, 481:], layer[:, :119], atol=1e-3)
    assert np.allclose(layer[321:], layer[:79], atol=1e-3)
    one = rain100l_layer(streaky(10, 0), (481, 321))
    assert (
        np.abs(layer[:321, :481] - np.roll(one, (-int(0.61 * 321), -int(0.37 * 481)), (0, 1))).max()
        < 1.5
    )


@given(
    seed=st.integers(0, 10_000),
    scale=st.floats(0.05, 6),
    angle=st.floats(-60, 60),
    height=st.integers(1, 90),
    width=st.integers(1, 90),
)
def test_windows_lie_in_the_texture_at_every_size(
    seed: int, scale: float, angle: float, height: int, width: int
) -> None:
    # A texture of one grey stays one: nothing is read outside, nor mixed with another one's pixels.
    greys = rain.bank_of("greys", [torch.full((40, 50), 0.4), torch.full((30, 20), 0.8)])
    layer = rain.Texture(
        otherwise=rain.Field(),
        scale=(scale, scale),
        sheared=0.5,
        angle=(angle, angle),
        portrait=0.5,
    )
    drawn = rain.sample(
        rain.RainPreset("grey", "nothing", (layer,)),
        (height, width),
        generator_for(seed),
        bank=greys,
    )
    assert drawn.layer.shape == (1, height, width)
    level = float(drawn.layer[0, 0, 0]) * 255 / 219
    assert min(abs(level - 0.4), abs(level - 0.8)) < 1e-5
    assert float((drawn.layer - drawn.layer[0, 0, 0]).abs().max()) < 1e-5


def test_layers_draw_from_their_ranges() -> None:
    ranges = rain.Texture(
        otherwise=rain.Field(),
        scale=(0.5, 2),
        gain=(0.5, 1.5),
        sheared=0.3,
        angle=(-30, 10),
        portrait=0.2,
    )
    draws = Draws(torch.Generator().manual_seed(0))
    cuts = [textures.choose(ranges, draws) for _ in range(2000)]
    scales, gains = (np.array([getattr(cut, name) for cut in cuts]) for name in ("scale", "gain"))
    assert (scales.min(), np.median(scales), scales.max()) == pytest.approx((0.5, 1, 2), rel=0.05)
    assert (gains.min(), gains.mean(), gains.max()) == pytest.approx((0.43, 0.86, 1.29), rel=0.03)
    degrees = np.degrees(np.arctan([cut.slope for cut in cuts]))
    assert (degrees.min(), degrees.mean(), degrees.max()) == pytest.approx((-30, -10, 10), abs=0.6)
    shares = [
        np.mean([getattr(cut, name) for cut in cuts])
        for name in ("sheared", "portrait", "mirrored")
    ]
    assert shares == pytest.approx([0.3, 0.2, 0.5], abs=0.04)
    assert len({int(cut.texture * 10) for cut in cuts}) == 10


def test_layers_that_fall_together_are_sheared_alike(bank: rain.TextureBank) -> None:
    layer = rain.Texture(otherwise=rain.Field(), sheared=0, angle=(35, 35))
    preset = rain.RainPreset("pair", "nothing", (layer, layer), together=1)
    drawn = rain.sample(preset, (250, 250), generator_for(3), bank=bank).layer[0].double().numpy()
    assert direction(drawn) == pytest.approx(35, abs=3)


def test_a_picture_is_the_same_in_every_batch(bank: rain.TextureBank) -> None:
    names = [name for name, preset in rain.PRESETS.items() if preset.has_textures] * 2
    generators = [generator_for(2, k) for k in range(len(names))]
    together = rain.sample_batch(
        [rain.PRESETS[name] for name in names], (60, 70), generators, bank=bank
    )
    for k, name in enumerate(names):
        alone = rain.sample(rain.PRESETS[name], (60, 70), generator_for(2, k), bank=bank)
        assert torch.allclose(alone.layer, together.layer[k], atol=1e-4)


def test_rain_is_the_same_in_another_process() -> None:
    script = """
import torch
from derain import rain
from derain.rain import generator_for
numbers = torch.Generator().manual_seed(0)
bank = rain.bank_of("noise", [torch.rand(50, 60, generator=numbers) for _ in range(3)])
names = ["rain100l-textures", "rain100h-textures", "downpour", "mixed"] * 2
drops = [
    rain.sample(rain.PRESETS[name], (40, 50), generator_for(1, k), bank=bank)
    for k, name in enumerate(names)
]
sums = [float(each.layer.double().sum()) for each in drops]
"""
    printed = subprocess.run(
        [sys.executable, "-c", script + "print(sums)"], capture_output=True, check=True
    ).stdout
    here: dict[str, list[float]] = {}
    exec(script, here)
    assert json.loads(printed) == pytest.approx(here["sums"], rel=1e-5)
    assert len(set(here["sums"])) == 8


@pytest.mark.parametrize("name", ["rain100l-textures", "rain100h-textures", "downpour"])
def test_without_textures_what_stands_in_for_them_is_drawn(name: str) -> None:
    def drawn(preset: rain.RainPreset) -> rain.RainPreset:
        layers = tuple(
            (
                replace(layer.otherwise, probability=layer.probability)
                if isinstance(layer, rain.Texture)
                else layer
            )
            for layer in preset.layers
        )
        return replace(
            preset,
            layers=layers,
            mixture=tuple((weight, drawn(part)) for weight, part in preset.mixture),
        )

    preset = rain.PRESETS[name]
    assert preset.has_textures
    assert not drawn(preset).has_textures
    for seed in range(6):
        layers = [
            rain.sample(one, (50, 60), generator_for(seed)).layer for one in (preset, drawn(preset))
        ]
        assert torch.equal(*layers)
        assert layers[0].any()


def test_presets_that_have_textures() -> None:
    names = {name for name, preset in rain.PRESETS.items() if preset.has_textures}
    assert names == {"rain100l-textures", "rain100h-textures", "downpour", "mixed"}


def test_presets_without_textures_do_not_ask_the_bank(bank: rain.TextureBank) -> None:
    for name in ("rain100l", "photograph", "shower"):
        with_bank, without = (
            rain.sample(rain.PRESETS[name], (40, 50), generator_for(5), bank=b)
            for b in (bank, None)
        )
        assert torch.equal(with_bank.layer, without.layer)


def test_a_folder_is_read_in_the_order_of_its_names(tmp_path: Path) -> None:
    (tmp_path / "streaks/inner").mkdir(parents=True)
    for k, name in enumerate(("a", "b", "inner/c")):
        grey = streaky(8 * k - 8, k, (80, 120))
        write_image(tmp_path / "streaks" / f"{name}.png", np.repeat(grey[:, :, None], 3, axis=2))
    bank = rain.load_textures(tmp_path / "streaks")
    assert (bank.name, len(bank)) == ("streaks", 3)
    for k in range(3):
        expected = rain100l_layer(streaky(8 * k - 8, k, (80, 120)), (481, 321))
        assert np.abs(draw(bank, texture=(k + 0.5) / 3) - expected).max() < 1.5


def test_deep_and_coloured_textures_are_averaged_to_grey(tmp_path: Path) -> None:
    write_image(tmp_path / "deep.png", np.full((30, 40, 3), (1_000, 2_000, 3_000), np.uint16))
    bank = rain.load_textures(tmp_path)
    assert draw(bank, (20, 20), gain=1.0) == pytest.approx(np.full((20, 20), 2_000 / 257), abs=0.51)


def test_photographs_are_no_textures(tmp_path: Path, photo: NDArray[np.uint8]) -> None:
    for k in range(3):
        grey = streaky(0, k, (80, 120))
        write_image(tmp_path / f"{k}.png", np.repeat(grey[:, :, None], 3, axis=2))
    for k in range(3):
        write_image(tmp_path / f"photo{k}.png", photo)
    assert len(rain.load_textures(tmp_path)) == 6  # as many textures as photographs
    (tmp_path / "0.png").unlink()
    with pytest.raises(ImageError, match=r"3 of 5 pictures are bright and coloured, as photo"):
        rain.load_textures(tmp_path)


def test_folders_without_textures_are_refused(tmp_path: Path) -> None:
    with pytest.raises(
        FileNotFoundError, match="nowhere: no such folder; expected one of streak textures"
    ):
        rain.load_textures(tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError, match="no pictures in it; expected grey streak textures"):
        rain.load_textures(tmp_path)
    (tmp_path / "bad.png").write_bytes(b"once upon a time")
    with pytest.raises(ImageError, match=r"bad\.png"):
        rain.load_textures(tmp_path)


@pytest.mark.parametrize(
    ("name", "bounds"),
    [("scale", (1.4, 0.4)), ("gain", (-1, 1)), ("angle", (-120, 0)), ("scale", (0, 1))],
)
def test_ranges_that_cannot_be_drawn_from_are_refused(
    name: str, bounds: tuple[float, float]
) -> None:
    with pytest.raises(ValueError, match=rf"^{name}=\("):
        rain.Texture(otherwise=rain.Field(), **{name: bounds})  # pyright: ignore[reportArgumentType]


def test_a_bank_is_copied_to_a_device_once(bank: rain.TextureBank) -> None:
    assert bank.on(CPU) is bank
    elsewhere = bank.on(torch.device("meta"))
    assert elsewhere is bank.on(torch.device("meta"))
    assert elsewhere.texels.device.type == "meta"


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("name", ["rain100l-textures", "rain100h-textures", "downpour"])
def test_same_seed_same_rain_on_a_gpu(name: str, bank: rain.TextureBank) -> None:
    for seed in range(4):
        on_cpu, on_gpu = (
            rain.sample(rain.PRESETS[name], (80, 90), generator_for(seed), device, bank).layer.cpu()
            for device in ("cpu", "cuda")
        )
        assert float((on_cpu - on_gpu).abs().max()) < 1e-3


def test_slopes_of_the_textures_of_garg_and_nayar(reference_data: Path) -> None:
    # V = 4 to 8 are tilts of -16, -8, 0, 8 and 16 degrees, less where the texture is squeezed to
    # 481 pixels.
    folder = reference_data / "rain-textures"
    if not folder.is_dir():
        pytest.skip("needs the streak textures in DERAIN_TEST_DATA")
    for tilt, number in enumerate(range(4, 9)):
        measured: list[float] = []
        expected: list[float] = []
        for path in sorted(folder.glob(f"*-{number}.webp"))[::12]:
            with Image.open(path) as picture:
                grey = np.asarray(picture.convert("L"))
            slope = float(rain.bank_of("one", [floats(grey)]).slopes[0])
            measured.append(math.degrees(math.atan(slope)))
            squeeze = 481 / grey.shape[1] * grey.shape[0] / 321
            expected.append(
                math.degrees(math.atan(squeeze * math.tan(math.radians(8 * tilt - 16))))
            )
        assert len(measured) >= 9
        assert measured == pytest.approx(expected, abs=1.5)
        assert np.mean(measured) == pytest.approx((-13.9, -6.7, 0, 6.7, 13.9)[tilt], abs=0.5)
