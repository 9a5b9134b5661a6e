"""Rain: the same from the same seed, in range, as its preset says, like its benchmark."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from derain import metrics, rain
from derain.data import clean_pictures
from derain.images import read_image
from derain.rain.crops import generator_for, to_tensor


def draw(preset: rain.RainPreset, size: tuple[int, int] = (80, 90), seed: int = 3) -> rain.Rain:
    return rain.sample(preset, size, torch.Generator().manual_seed(seed))


def test_half_of_the_pictures_under_clear_are_dry_and_the_others_nearly() -> None:
    drawn = [draw(rain.PRESETS["clear"], seed=seed) for seed in range(60)]
    dry = [drops for drops in drawn if not drops.layer.any()]
    assert 20 <= len(dry) <= 45
    assert max(float(drops.coverage) for drops in drawn) < 0.1


# Ten thousandths of the mean light, and of that under a ramp, of seeds 0 to 2: what a seed gives
# stays.
LIGHT = {
    "rain100l": ((158.8, 219.7), (269.4, 371.4), (49.9, 62.3)),
    "rain100h": ((2743.0, 4331.1), (2156.2, 3427.3), (1559.4, 2273.8)),
    "rain800": ((216.0, 347.0), (336.3, 547.1), (521.9, 772.4)),
    "rain1200-light": ((84.6, 114.8), (146.7, 234.6), (413.2, 661.8)),
    "rain1200-medium": ((687.2, 979.6), (723.2, 994.1), (1200.4, 1910.2)),
    "rain1200-heavy": ((1303.7, 1998.2), (1400.2, 1993.3), (2631.4, 4028.8)),
    "rain1400": ((350.1, 565.5), (189.6, 292.7), (109.0, 160.9)),
    "veil": ((205.5, 325.6), (329.3, 472.3), (533.1, 747.7)),
    "photograph": ((153.4, 276.9), (50.1, 79.6), (88.3, 134.6)),
    "light": ((298.4, 442.1), (204.7, 374.4), (49.5, 84.1)),
    "heavy": ((739.8, 1247.8), (750.8, 1054.2), (1189.3, 1765.9)),
    "clear": ((0.0, 0.0), (1.1, 1.6), (0.0, 0.0)),
}


@pytest.mark.parametrize("name", LIGHT)
def test_presets_give_what_they_always_gave(name: str) -> None:
    ramp = torch.linspace(0, 1, 90) + torch.linspace(0, 2, 80).view(-1, 1)
    for seed, expected in enumerate(LIGHT[name]):
        layer = draw(rain.PRESETS[name], (80, 90), seed).layer[0].double()
        found = [1e4 * float(light.mean()) for light in (layer, layer * ramp)]
        assert found == pytest.approx(expected, rel=1e-3, abs=0.1)


@pytest.mark.parametrize("name", rain.PRESETS)
def test_same_seed_same_rain(name: str) -> None:
    first, again, other = (draw(rain.PRESETS[name], seed=seed) for seed in (3, 3, 4))
    assert torch.equal(first.layer, again.layer)
    assert not torch.equal(first.layer, other.layer)


def test_a_batch_is_its_pictures() -> None:
    names = sorted(rain.PRESETS)
    together = rain.sample_batch(
        [rain.PRESETS[name] for name in names],
        (60, 70),
        [generator_for(2, k) for k in range(len(names))],
    )
    clean = torch.rand(len(names), 3, 60, 70, generator=generator_for(4))
    rainy = rain.compose(clean, together)
    for k, name in enumerate(names):
        alone = rain.sample(rain.PRESETS[name], (60, 70), generator_for(2, k))
        assert torch.allclose(rain.compose(clean[k], alone), rainy[k], atol=2e-4)
        assert float(together.coverage[k]) == pytest.approx(float(alone.coverage), abs=2e-3)


def test_a_veiled_picture_does_not_depend_on_its_batch() -> None:
    bright = rain.Field(coverage=(0.5, 0.5), brightness=(3, 3), overlap="sum")
    veiled = rain.RainPreset("veiled", "nothing", (bright,), veil=rain.Veil((1, 1), (0.5, 0.5)))
    presets = [veiled, rain.PRESETS["photograph"]]
    clean = torch.rand(2, 3, 50, 60, generator=generator_for(4))
    together = rain.compose(
        clean, rain.sample_batch(presets, (50, 60), [generator_for(2, k) for k in range(2)])
    )
    alone = rain.compose(clean[0], rain.sample(veiled, (50, 60), generator_for(2, 0)))
    assert torch.allclose(alone, together[0], atol=1e-4)


RAIN_IN_A_PROCESS = """
import json, sys, torch
from derain import rain
from derain.rain import generator_for

def light_of_each_preset():
    presets = [rain.PRESETS[name] for name in sorted(rain.PRESETS)]
    dice = [generator_for(1, k) for k in range(len(presets))]
    drops = rain.sample_batch(presets, (64, 80), dice)
    return drops.layer.double().sum((1, 2, 3)).tolist()

if __name__ == "__main__":
    torch.set_num_threads(int(sys.argv[1]))
    print(json.dumps(light_of_each_preset()))
"""


def test_rain_is_the_same_in_other_processes_and_with_other_threads() -> None:
    here: dict[str, Any] = {"__name__": "here"}
    exec(RAIN_IN_A_PROCESS, here)
    sums = np.array(here["light_of_each_preset"]())
    threads = "1" if torch.get_num_threads() > 1 else "2"
    command = [sys.executable, "-c", RAIN_IN_A_PROCESS, threads]
    done = subprocess.run(command, capture_output=True, check=True)
    assert np.allclose(sums, json.loads(done.stdout), rtol=1e-5)
    assert np.count_nonzero(sums) >= len(rain.PRESETS) - 1  # under one of them it may be dry


@pytest.mark.parametrize("kind", [rain.Field, rain.Streaks])
@pytest.mark.parametrize(
    ("name", "bounds"),
    [
        ("coverage", (0.5, 1)),
        ("length", (0, 10)),
        ("width", (0, 0)),
        ("brightness", (0.5, 0.2)),
        ("angle", (-120, 0)),
    ],
)
def test_ranges_that_cannot_be_drawn_from_are_refused(
    kind: type, name: str, bounds: tuple[float, float]
) -> None:
    with pytest.raises(ValueError, match=rf"^{name}=\("):
        kind(**{name: bounds})


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("name", rain.PRESETS)
def test_same_seed_same_rain_on_a_gpu(name: str) -> None:
    on_cpu = draw(rain.PRESETS[name])
    on_gpu = rain.sample(rain.PRESETS[name], (80, 90), torch.Generator().manual_seed(3), "cuda")
    assert float((on_cpu.layer - on_gpu.layer.cpu()).abs().max()) < 1e-4


@given(
    seed=st.integers(0, 10_000),
    name=st.sampled_from(sorted(rain.PRESETS)),
    height=st.integers(1, 70),
    width=st.integers(1, 70),
)
def test_rain_is_in_range_at_every_size(seed: int, name: str, height: int, width: int) -> None:
    drops = draw(rain.PRESETS[name], (height, width), seed)
    assert drops.layer.shape == drops.mask.shape == (1, height, width)
    assert bool((drops.layer >= 0).all())
    assert bool(torch.isfinite(drops.layer).all())
    assert 0 <= float(drops.coverage) <= 1
    rainy = rain.compose(torch.full((3, height, width), 0.7), drops)
    assert rainy.shape == (3, height, width)
    assert bool(((rainy >= 0) & (rainy <= 1)).all())
    if name in ("rain100l", "rain100h"):  # never negative, as the differences of real pairs
        assert bool((rainy >= 0.7 - 1e-6).all())


def flat_rain(
    light: float, composition: rain.Composition, level: float = 0.4, **settings: Any
) -> torch.Tensor:
    """A grey picture under a layer that is 0.4 where lines are."""
    line = rain.Field(
        coverage=(0.5, 0.5),
        brightness=(level, level),
        fading=(0, 0),
        levels=(0, 0),
        shape=("even",),
        overlap="cap",
    )
    preset = rain.RainPreset(
        "flat", "nothing", (line,), composition=composition, light=(1, 1), **settings
    )
    return rain.compose(torch.full((3, 64, 64), light), draw(preset, (64, 64)))


@pytest.mark.parametrize(
    ("composition", "brightest"), [("add", 0.9), ("screen", 0.7), ("alpha", 0.7)]
)
def test_compositions(composition: rain.Composition, brightest: float) -> None:
    # The sum of 0.5 and 0.4; what both let through, 0.5 times 0.6, from 1; six tenths of 0.5 and
    # four of white.
    assert float(flat_rain(0.5, composition)[1].max()) == pytest.approx(brightest, abs=0.01)


def test_sums_are_clipped_and_screens_are_not() -> None:
    assert float((flat_rain(0.9, "add") == 1).float().mean()) > 0.1
    assert float(flat_rain(0.9, "screen").max()) < 0.95


def test_a_veil_grows_towards_the_top() -> None:
    foggy = rain.RainPreset("fog", "nothing", (NO_RAIN,), veil=rain.Veil((1, 1), (1, 1)))
    rows = torch.stack(
        [
            rain.compose(torch.zeros(3, 80, 60), draw(foggy, (80, 60), seed))[1].mean(1)
            for seed in range(8)
        ]
    ).mean(0)
    assert float(rows[:20].mean()) > float(rows[-20:].mean()) + 0.1
    assert draw(replace(foggy, veil_probability=0.0)).transmission is None


def test_camera_noise_is_of_its_strength_and_on_every_channel() -> None:
    noisy = rain.RainPreset("noise", "nothing", (NO_RAIN,), camera=(0.02, 0.02))
    picture = rain.compose(torch.full((3, 90, 90), 0.5), draw(noisy, (90, 90)))
    assert picture.std((1, 2)).tolist() == pytest.approx([0.02] * 3, rel=0.1)
    assert abs(float(torch.corrcoef(picture.flatten(1))[0, 1])) < 0.05


def test_defocus_blurs_and_dims() -> None:
    sharp = rain.RainPreset(
        "sharp", "nothing", (replace(NO_RAIN, brightness=(0.5, 0.5), coverage=(0.1, 0.1)),)
    )
    blurred = replace(sharp, defocus=(2, 2))
    a, b = draw(sharp, (128, 128)).layer, draw(blurred, (128, 128)).layer
    assert float(b.max()) < 0.8 * float(a.max())
    assert float(b.diff(dim=2).abs().max()) < 0.5 * float(a.diff(dim=2).abs().max())


def test_together_means_one_direction() -> None:
    upright, leaning = replace(NO_RAIN, angle=(0, 0)), replace(NO_RAIN, angle=(40, 40))
    pair = rain.RainPreset("pair", "nothing", (upright, leaning), together=1)
    crossed = replace(pair, together=0)
    assert spread_of_directions(pair) < spread_of_directions(crossed)


def spread_of_directions(preset: rain.RainPreset) -> float:
    """Ratio of the structure tensor's eigenvalues: 0 where all lines are parallel."""
    bright = tuple(
        replace(layer, brightness=(0.5, 0.5), coverage=(0.2, 0.2)) for layer in preset.layers
    )
    layer = draw(replace(preset, layers=bright), (200, 200)).layer[0].double()
    down, right = torch.gradient(layer)
    cross = float((down * right).sum())
    values = torch.linalg.eigvalsh(
        torch.tensor([[float((down**2).sum()), cross], [cross, float((right**2).sum())]])
    )
    return float(values[0] / values[1])


def lit_runs(layer: torch.Tensor) -> float:
    """Median height in pixels of what is lit."""
    columns = (layer[0] > 0.1).T.numpy()
    return float(
        np.median(
            [len(run) for row in columns for run in "".join("#" if p else " " for p in row).split()]
        )
    )


def test_a_scale_enlarges_streaks_and_keeps_how_many_and_bright() -> None:
    upright = replace(
        NO_RAIN,
        angle=(0, 0),
        length=(16, 16),
        width=(2, 2),
        brightness=(0.5, 0.5),
        coverage=(0.1, 0.1),
    )
    plain = rain.RainPreset("plain", "nothing", (upright,))
    layers = {
        scale: draw(replace(plain, scale=(scale, scale)), (300, 300)).layer for scale in (1, 0.5, 2)
    }
    assert [lit_runs(layers[scale]) for scale in (0.5, 1, 2)] == pytest.approx([8, 16, 32], abs=2)
    means = [float(layers[scale].mean()) for scale in (0.5, 1, 2)]
    assert means == pytest.approx([means[1]] * 3, rel=0.25)


def test_a_scale_is_drawn_as_often_as_it_says() -> None:
    upright = replace(
        NO_RAIN,
        angle=(0, 0),
        length=(12, 12),
        width=(2, 2),
        brightness=(0.5, 0.5),
        coverage=(0.15, 0.15),
    )
    preset = rain.RainPreset("some", "nothing", (upright,), scale=(3, 3), scale_probability=0.3)
    mixture = rain.RainPreset(
        "all", "nothing", mixture=((1.0, preset),), scale=(0.25, 0.25), scale_probability=0.5
    )
    generators = [generator_for(seed) for seed in range(80)]
    layers = rain.sample_batch([preset] * 40 + [mixture] * 40, (96, 96), generators).layer
    enlarged = [lit_runs(layer) > 24 for layer in layers[:40]]
    assert 0.15 < np.mean(enlarged) < 0.45
    # Within a mixture both scales count: 12 pixels, 36, 3 and 9.
    runs = [lit_runs(layer) for layer in layers[40:]]
    kinds = [
        sum(low <= run < high for run in runs)
        for low, high in ((0, 6), (6, 10.5), (10.5, 20), (20, 60))
    ]
    assert sum(kinds) == 40
    assert [kind / 40 for kind in kinds] == pytest.approx([0.35, 0.15, 0.35, 0.15], abs=0.2)


@pytest.mark.parametrize("scale", [(0, 1), (2, 0.5)])
def test_scales_that_cannot_be_drawn_from_are_refused(scale: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match=r"^scale=\("):
        rain.RainPreset("none", "nothing", (NO_RAIN,), scale=scale)


def test_a_preset_has_layers_or_a_mixture() -> None:
    with pytest.raises(ValueError, match="layers or a mixture, found neither"):
        rain.RainPreset("empty", "nothing")


def test_a_mixture_gives_all_its_parts() -> None:
    parts = {
        name: rain.RainPreset(name, "nothing", (replace(NO_RAIN, brightness=(level, level)),))
        for name, level in (("a", 0.2), ("b", 0.8))
    }
    mixture = rain.RainPreset("both", "nothing", mixture=((3, parts["a"]), (1, parts["b"])))
    bright = [float(draw(mixture, (40, 40), seed).layer.max()) > 0.5 for seed in range(200)]
    assert 0.15 < np.mean(bright) < 0.35


def test_rain1400_has_fourteen_kinds() -> None:
    assert len(rain.PRESETS["rain1400"].mixture) == 14


def test_densities_of_rain1200_are_in_order() -> None:
    shares = [
        float(
            np.mean(
                [
                    float(draw(rain.PRESETS[f"rain1200-{word}"], (96, 96), seed).coverage)
                    for seed in range(12)
                ]
            )
        )
        for word in ("light", "medium", "heavy")
    ]
    assert shares == sorted(shares)


NO_RAIN = rain.Field(
    coverage=(0.3, 0.3),
    brightness=(0, 0),
    softness=(0, 0),
    fading=(0, 0),
    levels=(0, 0),
    shape=("even",),
    noise_probability=0,
)


def test_rain_on_keeps_depth(photo: NDArray[np.uint8]) -> None:
    shallow = rain.rain_on(photo, rain.PRESETS["rain100h"], generator_for(5))
    deep = rain.rain_on(photo.astype(np.uint16) * 257, rain.PRESETS["rain100h"], generator_for(5))
    assert shallow.dtype == np.uint8
    assert deep.dtype == np.uint16
    assert np.abs(deep / 257 - shallow).max() <= 0.51


@pytest.mark.parametrize(
    ("name", "expected", "tolerance"), [("rain100l", 26.9, 1.0), ("rain100h", 13.6, 1.5)]
)
def test_presets_spoil_pictures_as_much_as_the_benchmarks_do(
    name: str, expected: float, tolerance: float, reference_data: Path
) -> None:
    scores: list[float] = []
    for k, path in enumerate(clean_pictures(reference_data / "clean/val")):
        clean = to_bytes(read_image(path))
        for seed in range(6):  # pictures of one preset differ by 6 dB
            rainy = rain.rain_on(clean, rain.PRESETS[name], generator_for(seed, k))
            scores.append(metrics.psnr(metrics.luma_matlab(rainy), metrics.luma_matlab(clean)))
    assert np.mean(scores) == pytest.approx(expected, abs=tolerance)


def to_bytes(image: NDArray[np.uint8 | np.uint16]) -> NDArray[np.uint8]:
    return (to_tensor(image) * 255).permute(1, 2, 0).numpy().round().astype(np.uint8)
