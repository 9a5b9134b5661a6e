"""Rain of a whole batch at once: a function of its keys, and like that of single pictures."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from derain import rain
from derain.rain import generator_for
from derain.rain.table import as_field

CPU = torch.device("cpu")
LINE = rain.Field(
    coverage=(0.2, 0.2),
    angle=(0, 0),
    length=(20, 20),
    width=(2, 2),
    softness=(0.5, 0.5),
    brightness=(0.5, 0.5),
    fading=(0, 0),
    levels=(0, 0),
    clumping=(0, 0),
    shape=("even",),
    overlap="cap",
    noise_probability=0,
)
SKIPPED = ("veil", "rain1200-light", "rain1200-medium", "rain1200-heavy")
"""Veils are refused; those of Rain1200 differ from ``rain1400`` in numbers alone."""


def preset_of(*layers: rain.Layer, **settings: object) -> rain.RainPreset:
    return rain.RainPreset("one", "nothing", layers, **settings)  # pyright: ignore[reportArgumentType]


def keys_of(count: int, first: int = 0) -> torch.Tensor:
    return torch.arange(first, first + count, dtype=torch.int32)


def tabled(
    preset: rain.RainPreset,
    count: int,
    size: tuple[int, int] = (64, 64),
    bank: rain.TextureBank | None = None,
) -> rain.Rain:
    return rain.RainTable(preset, bank, CPU).sample(keys_of(count), size)


@pytest.fixture(scope="module")
def bank() -> rain.TextureBank:
    """Leaning stripes, and brighter ones that lean the other way."""
    down, right = torch.meshgrid(torch.arange(321.0), torch.arange(481.0), indexing="ij")
    stripes = [
        (0.5 + 0.5 * torch.sin((right - slope * down) / 5)) ** 8 * level
        for slope, level in ((0.2, 0.4), (-0.1, 0.8))
    ]
    return rain.bank_of("stripes", stripes)


def statistics(drawn: rain.Rain, clean: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Coverage and input PSNR of each picture."""
    losses = (rain.compose(clean, drawn) - clean).square().mean((1, 2, 3))
    return drawn.coverage, -10 * torch.log10(losses.clamp(min=1e-5))


@pytest.mark.parametrize("name", [name for name in rain.PRESETS if name not in SKIPPED])
def test_presets_are_those_of_pictures_drawn_alone(
    name: str, photo: NDArray[np.uint8], bank: rain.TextureBank
) -> None:
    count, preset = 100, rain.PRESETS[name]
    clean = torch.from_numpy(photo[:48, :64] / 255).float().permute(2, 0, 1)
    generators = [generator_for(1, k) for k in range(count)]
    alone = statistics(rain.sample_batch([preset] * count, (48, 64), generators, bank=bank), clean)
    together = statistics(tabled(preset, count, (48, 64), bank), clean)
    # Streaks become fields.
    for expected, found, allowed in zip(alone, together, (0.02, 0.5), strict=True):
        error = math.sqrt(float(expected.var() + found.var()) / count)
        assert float(found.mean()) == pytest.approx(float(expected.mean()), abs=3 * error + allowed)
        if name != "clear":  # there a few pictures make all the difference
            assert float(found.std()) == pytest.approx(float(expected.std()), rel=0.5, abs=0.02)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"overlap": "sum", "fading": (2, 2)},
        {"levels": (0.5, 0.5), "softness": (1, 1)},
        {"shape": ("comet",), "angle": (30, 30)},
        {"clumping": (1, 1)},
        {"noise": (0.4, 0.4), "noise_probability": 1.0},
        {"probability": 0.5},
    ],
)
@pytest.mark.parametrize(
    "settings",
    [{}, {"scale": (0.4, 0.4)}, {"defocus": (1, 1)}, {"scale": (2, 2), "scale_probability": 0.5}],
)
def test_layers_of_one_kind_are_as_bright(
    changes: dict[str, object], settings: dict[str, object]
) -> None:
    # With nothing left to ranges the mean light says whether every knob has arrived.
    preset = preset_of(rain.Field(**(vars(LINE) | changes)), **settings)  # pyright: ignore[reportArgumentType]
    generators = [generator_for(2, k) for k in range(64)]
    alone = rain.sample_batch([preset] * 64, (64, 64), generators).layer
    found = tabled(preset, 64).layer
    error = math.sqrt(float(alone.mean((1, 2, 3)).var() + found.mean((1, 2, 3)).var()) / 64)
    assert float(found.mean()) == pytest.approx(float(alone.mean()), abs=3.5 * error)
    assert float(found.square().mean()) == pytest.approx(
        float(alone.square().mean()), rel=0.15 + 4 * error / float(found.mean())
    )


def test_streaks_become_fields_of_like_brightness() -> None:
    streaks = rain.Streaks(
        coverage=(0.1, 0.2),
        length=(15, 60),
        width=(0.7, 5),
        softness=(0, 1.6),
        fading=(0, 2),
        flicker=(0, 0.7),
    )
    generators = [generator_for(3, k) for k in range(160)]
    alone = rain.sample_batch([preset_of(streaks)] * 160, (64, 64), generators).layer
    assert float(tabled(preset_of(streaks), 160).layer.mean()) == pytest.approx(
        float(alone.mean()), rel=0.2
    )
    assert as_field(replace(streaks, overlap="max")).overlap == "cap"
    assert as_field(replace(streaks, overlap="sum")).overlap == "sum"


@pytest.mark.parametrize("exact", [True, False])
@pytest.mark.parametrize("name", ["rain100h-textures", "downpour", "mixed"])
def test_a_picture_depends_on_its_key_alone(name: str, exact: bool, bank: rain.TextureBank) -> None:
    table, again = (rain.RainTable(rain.PRESETS[name], bank, CPU) for _ in range(2))
    table.exact = exact
    keys = torch.tensor([5, -7, 2**31 - 1, -(2**31), 0, 12345], dtype=torch.int32)
    together = table.sample(keys, (40, 50))
    clean = torch.rand(6, 3, 40, 50, generator=generator_for(4))
    for k in range(6):
        alone = again.sample(keys[k : k + 1], (40, 50))
        assert torch.allclose(alone.layer[0], together.layer[k], atol=1e-4)
        assert torch.allclose(
            rain.compose(clean[k], alone)[0], rain.compose(clean, together)[k], atol=2e-4
        )
    turned = table.sample(keys.flip(0), (40, 50)).layer
    assert torch.allclose(turned.flip(0), together.layer, atol=1e-4)
    assert len({round(float(layer.sum()), 3) for layer in together.layer}) >= 5  # one may be dry


@pytest.mark.parametrize(
    "name", ["clear", "rain100h", "rain100h-textures", "downpour", "shower", "mixed"]
)
def test_counted_layers_and_a_fixed_number_of_them_agree(name: str, bank: rain.TextureBank) -> None:
    table = rain.RainTable(rain.PRESETS[name], bank, CPU)
    assert table.exact
    for first in (0, 1000, 2000):
        counted = table.sample(keys_of(12, first), (40, 50))
        table.exact = False
        fixed = table.sample(keys_of(12, first), (40, 50))
        table.exact = True
        assert torch.allclose(counted.layer, fixed.layer, atol=1e-4)


def test_a_layer_that_is_hardly_ever_there(bank: rain.TextureBank) -> None:
    rare = preset_of(
        replace(LINE, probability=0.01), rain.Texture(otherwise=LINE, probability=0.01)
    )
    for exact in (True, False):
        table = rain.RainTable(rare, bank, CPU)
        table.exact = exact
        wet = table.sample(keys_of(1000), (20, 20)).layer.flatten(1).amax(1) > 0
        assert 5 < int(wet.sum()) < 40


@pytest.mark.parametrize("name", ["veil"])
def test_veils_are_refused(name: str) -> None:
    for preset in (
        rain.PRESETS[name],
        rain.RainPreset("both", "nothing", mixture=((1.0, rain.PRESETS[name]),)),
    ):
        with pytest.raises(
            ValueError,
            match=rf"^{preset.name}: veils are not drawn in batches; expected a preset without$",
        ):
            rain.RainTable(preset, None, CPU)


def test_a_scale_is_one_of_all_sizes() -> None:
    wide = replace(LINE, length=(10, 80), width=(1, 4), softness=(0.2, 1), coverage=(0.05, 0.4))
    halved = replace(wide, length=(5, 40), width=(0.5, 2), softness=(0.1, 0.5))
    scaled = tabled(preset_of(wide, scale=(0.5, 0.5)), 6).layer
    assert torch.allclose(scaled, tabled(preset_of(halved), 6).layer, atol=1e-4)
    assert not torch.allclose(scaled, tabled(preset_of(wide), 6).layer, atol=1e-2)


def test_scales_of_mixtures_multiply_as_often_as_they_say() -> None:
    inner = preset_of(LINE, scale=(0.5, 0.5))
    outer = rain.RainPreset(
        "outer", "nothing", mixture=((1.0, inner),), scale=(0.5, 0.5), scale_probability=0.25
    )
    found = tabled(outer, 160, (24, 24)).layer
    quarter, half = (
        tabled(preset_of(LINE, scale=(s, s)), 160, (24, 24)).layer for s in (0.25, 0.5)
    )
    once, twice = ((found - layer).abs().amax((1, 2, 3)) < 1e-4 for layer in (half, quarter))
    assert bool((once | twice).all())
    assert float(twice.float().mean()) == pytest.approx(0.25, abs=0.1)


def test_textures_are_scaled_dimmed_and_sheared_as_asked(bank: rain.TextureBank) -> None:
    layer = rain.Texture(otherwise=LINE, gain=(1, 1), portrait=0)
    levels = tabled(preset_of(layer), 200, bank=bank).layer.flatten(1).amax(1) * 255 / 219
    assert bool((((levels - 0.4).abs() < 0.02) | ((levels - 0.8).abs() < 0.03)).all())
    assert float((levels > 0.6).float().mean()) == pytest.approx(0.5, abs=0.12)
    dimmed = (
        tabled(preset_of(replace(layer, gain=(0.5, 0.5))), 200, bank=bank).layer.flatten(1).amax(1)
    )
    assert torch.allclose(dimmed * 2 * 255 / 219, levels, atol=1e-4)
    drawn = tabled(
        preset_of(replace(layer, sheared=1, angle=(30, 30), scale=(1.5, 1.5))), 5, (200, 200), bank
    ).layer
    assert [direction(each) for each in drawn] == pytest.approx([30] * 5, abs=1.5)


def test_layers_that_fall_together_have_one_direction(bank: rain.TextureBank) -> None:
    first, other = replace(LINE, angle=(25, 25)), replace(LINE, angle=(-40, -40))
    texture = rain.Texture(otherwise=LINE, angle=(-40, -40))
    for pair in ((first, other), (first, texture)):
        found = [
            direction(each)
            for each in tabled(preset_of(*pair, together=1), 4, (200, 200), bank).layer
        ]
        assert found == pytest.approx([25] * 4, abs=3)
    crossed = [
        direction(each) for each in tabled(preset_of(first, other), 4, (200, 200), bank).layer
    ]
    assert max(crossed) < 15


def direction(layer: torch.Tensor) -> float:
    """Return the direction of streaks by the structure tensor, in degrees from the vertical.

    It is positive towards the right on the way down.
    """
    # Differences of neighbours fall short of steep gradients: thin lines are blurred before.
    down, right = np.gradient(gaussian_filter(layer[0].double().numpy(), 2)[4:-4, 4:-4])
    cross = np.sum(right * down)
    x, y = np.linalg.eigh(np.array([[np.sum(right**2), cross], [cross, np.sum(down**2)]]))[1][:, 0]
    return math.degrees(math.atan(x / y))


def test_without_textures_what_stands_in_for_them_is_drawn(bank: rain.TextureBank) -> None:
    layer = rain.Texture(otherwise=replace(LINE, brightness=(0.3, 0.3)), probability=0.5)
    stand_in = replace(layer.otherwise, probability=0.5)
    assert torch.equal(tabled(preset_of(layer), 20).layer, tabled(preset_of(stand_in), 20).layer)
    assert not torch.equal(
        tabled(preset_of(layer), 20, bank=bank).layer, tabled(preset_of(layer), 20).layer
    )


def test_mixtures_give_their_parts_by_weight() -> None:
    dim, bright = (preset_of(replace(LINE, brightness=(level, level))) for level in (0.2, 0.8))
    inner = rain.RainPreset("inner", "nothing", mixture=((1, bright), (1, dim)))
    found = tabled(
        rain.RainPreset("both", "nothing", mixture=((3, dim), (1, inner))), 200, (24, 24)
    ).layer
    assert float((found.amax((1, 2, 3)) > 0.5).float().mean()) == pytest.approx(0.125, abs=0.06)


def test_compositions_follow_each_picture() -> None:
    light = replace(LINE, brightness=(0.4, 0.4))
    added, screened = (
        preset_of(light, composition=composition) for composition in ("add", "screen")
    )
    hiding = preset_of(light, composition="alpha", light=(0.5, 0.5))
    mixture = rain.RainPreset("all", "nothing", mixture=((1, added), (1, screened), (1, hiding)))
    rainy = rain.compose(torch.full((60, 3, 40, 40), 0.6), tabled(mixture, 60, (40, 40)))
    # 0.6 + 0.4; 0.6 + 0.4 of what is missing; six tenths of 0.6 and four of 0.5, which is darker.
    ends = torch.where(
        rainy[:, 1].amin((1, 2)) < 0.59, rainy[:, 1].amin((1, 2)), rainy[:, 1].amax((1, 2))
    )
    kinds = [int(((ends - level).abs() < 0.01).sum()) for level in (1, 0.76, 0.56)]
    assert sum(kinds) == 60
    assert min(kinds) > 8


def test_camera_noise_is_of_its_strength_and_on_every_channel() -> None:
    noisy = preset_of(replace(LINE, brightness=(0, 0)), camera=(0.02, 0.02))
    pictures = rain.compose(torch.full((2, 3, 90, 90), 0.5), tabled(noisy, 2, (90, 90)))
    assert pictures.std((2, 3)).flatten().tolist() == pytest.approx([0.02] * 6, rel=0.1)
    assert (
        float((torch.corrcoef(pictures.flatten(2).flatten(0, 1)) - torch.eye(6)).abs().max()) < 0.05
    )


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_same_key_same_rain_on_a_gpu(bank: rain.TextureBank) -> None:
    on_cpu = rain.RainTable(rain.PRESETS["mixed"], bank, CPU).sample(keys_of(32), (80, 90)).layer
    table = rain.RainTable(rain.PRESETS["mixed"], bank, torch.device("cuda"))
    assert not table.exact
    on_gpu = table.sample(keys_of(32).cuda(), (80, 90)).layer.cpu()
    # Rounding decides now and then whether a single streak is there.
    assert float(((on_cpu - on_gpu).abs().amax((1, 2, 3)) > 1e-3).float().mean()) < 0.1
