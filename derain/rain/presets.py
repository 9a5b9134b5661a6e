"""Kinds of rain: which layers, how they meet the picture, and what they imitate."""

from dataclasses import dataclass, replace
from typing import Literal

from derain.rain.field import Field
from derain.rain.numbers import Range, check_ranges
from derain.rain.streaks import Streaks
from derain.rain.textures import Texture

Layer = Streaks | Field | Texture

Composition = Literal["add", "screen", "alpha"]


@dataclass(frozen=True)
class Veil:
    """Haze of the many drops too far away to be seen, thicker with depth.

    Source: Li, Cheong, Tan, CVPR 2019, Eq. 2. There is no depth in a photograph: it is guessed as
    growing towards the top, with slow waves.

    Attributes:
        thickness: Optical depth where the picture is farthest.
        airlight: Colour of the haze, of 1, grey with a little blue.
    """

    thickness: Range = (0.3, 1.6)
    airlight: Range = (0.5, 0.95)


@dataclass(frozen=True)
class RainPreset:
    """A kind of rain.

    Attributes:
        name: What ``--preset`` calls it.
        imitates: The dataset or the situation, with its source.
        layers: Fields of streaks, their light added up. Empty for a mixture.
        mixture: Instead of layers: other presets, each with its weight, of which every picture gets
            one.
        together: Share of pictures whose layers all fall in the direction of the first.
        composition: ``add`` clips the sum, ``screen`` dims the picture where it is rained on,
            ``alpha`` hides it behind drops of grey light.
        light: Colour of drops under ``alpha``, of 1.
        veil: Haze behind, in ``veil_probability`` of the pictures.
        defocus: Blur in pixels of all streaks: drops nearer than the lens can see sharp.
        camera: Standard deviation of the camera's noise, of 1, on the rainy picture alone.
        scale: Factor on the size of all streaks, drawn log-uniformly in ``scale_probability`` of
            the pictures: rain seen from nearer or farther, or by a camera of another resolution.
    """

    name: str
    imitates: str
    layers: tuple[Layer, ...] = ()
    mixture: "tuple[tuple[float, RainPreset], ...]" = ()
    together: float = 0.0
    composition: Composition = "add"
    light: Range = (0.7, 1.0)
    veil: Veil | None = None
    veil_probability: float = 1.0
    defocus: Range = (0, 0)
    camera: Range = (0, 0)
    scale: Range = (1, 1)
    scale_probability: float = 1.0

    @property
    def has_textures(self) -> bool:
        """Whether layers of it, or of a part of the mixture, are cut from textures."""
        own = any(isinstance(layer, Texture) for layer in self.layers)
        return own or any(part.has_textures for _, part in self.mixture)

    def __post_init__(self) -> None:
        if bool(self.layers) == bool(self.mixture):
            raise ValueError(
                f"rain preset {self.name}: expected layers or a mixture, found"
                f" {'both' if self.layers else 'neither'}"
            )
        check_ranges(self)


# Rain100L, as its pairs' differences show: one direction to the pixel, soft cores under 2 pixels,
# ends that fade, clumps.
_FINE = Field(
    coverage=(0.25, 0.65),
    angle=(-27, 27),
    length=(30, 130),
    width=(0.6, 1.9),
    softness=(0.3, 0.9),
    brightness=(0.22, 0.74),
    fading=(1, 3),
    levels=(0, 0.45),
    clumping=(0, 1),
    shape=("tapered", "comet"),
    overlap="sum",
    noise_probability=0,
)

# Rain100H's lines: speckles under a motion filter, of nearly one brightness, capped or adding up.
# They leave room between them: on twice as many of them, or on sharper ones, a network that was
# trained on Rain100H is decibels worse than on the set itself.
_LINES = Field(
    coverage=(0.18, 0.48),
    angle=(-15, 15),
    length=(40, 150),
    width=(1.2, 3),
    softness=(0.5, 0.9),
    brightness=(0.3, 0.52),
    fading=(0, 0.3),
    levels=(0, 0),
    clumping=(0, 0.4),
    shape=("even", "even", "tapered"),
    overlap="either",
    noise=(0.03, 0.15),
    noise_probability=0.1,
)

_FLECKS = replace(_FINE, coverage=(0.005, 0.05), length=(2, 12), width=(1, 3))

_DRAWN = Streaks(
    coverage=(0.03, 0.3),
    angle=(-45, 45),
    angle_spread=(0, 4),
    length=(10, 120),
    length_spread=(0.1, 0.7),
    width=(0.7, 5),
    softness=(0, 1.6),
    brightness=(0.12, 1),
    fading=(0, 2.5),
    taper=(0, 1),
    flicker=(0, 0.7),
    noise_probability=0.1,
)

_RAIN100L = RainPreset(
    "rain100l",
    "Rain100L: soft streaks of one direction (JORDER, CVPR 2017)",
    (
        _FINE,
        replace(_FINE, probability=0.4, coverage=(0.02, 0.15)),
        replace(_FLECKS, probability=0.3),
    ),
    together=1,
)

_RAIN100H = RainPreset(
    "rain100h",
    "Rain100H: dense lines in up to four directions over soft streaks (JORDER, CVPR 2017)",
    (
        _LINES,
        replace(_LINES, probability=0.9),
        replace(_LINES, probability=0.12),
        replace(_FINE, angle=(-20, 20), brightness=(0.25, 0.8)),
    ),
)

_RAIN800 = RainPreset(
    "rain800",
    "Rain800: motion-blurred noise, thin to thick, one direction (Zhang, Sindagi, Patel, ID-CGAN,"
    " TCSVT 2019)",
    (
        replace(
            _FINE,
            coverage=(0.15, 0.6),
            brightness=(0.2, 0.7),
            shape=("even", "tapered"),
            levels=(0.1, 0.9),
        ),
        replace(_FINE, probability=0.4, coverage=(0.1, 0.4)),
    ),
    together=0.8,
)


def _photoshop(
    name: str,
    imitates: str,
    coverage: Range,
    brightness: Range,
    angle: Range,
    length: Range,
    levels: Range = (0.3, 0.9),
) -> RainPreset:
    """Return a preset of noise, motion blur, levels and ``screen``, as Photoshop tutorials do."""
    layer = Field(
        coverage=coverage,
        angle=angle,
        length=length,
        width=(0.6, 2),
        softness=(0.2, 0.7),
        brightness=brightness,
        fading=(0.5, 2),
        levels=levels,
        clumping=(0, 0.5),
        shape=("even", "tapered"),
        overlap="sum",
    )
    return RainPreset(name, imitates, (layer,), composition="screen")


_DID = "Rain1200: Photoshop rain of {} density (Zhang, Patel, DID-MDN, CVPR 2018)"
_RAIN1200 = (
    _photoshop(
        "rain1200-light", _DID.format("light"), (0.1, 0.4), (0.25, 0.5), (-40, 40), (15, 60)
    ),
    _photoshop(
        "rain1200-medium",
        _DID.format("medium"),
        (0.35, 0.75),
        (0.4, 0.7),
        (-40, 40),
        (15, 70),
        (0.2, 0.6),
    ),
    _photoshop(
        "rain1200-heavy",
        _DID.format("heavy"),
        (0.6, 0.95),
        (0.5, 0.95),
        (-40, 40),
        (15, 80),
        (0, 0.4),
    ),
)

_RAIN1400 = RainPreset(
    "rain1400",
    "Rain1400: Photoshop rain in seven orientations of two magnitudes each (Fu et al., DDN, CVPR"
    " 2017)",
    mixture=tuple(
        (
            1.0,
            _photoshop(
                f"rain1400 {angle:+d} {magnitude}",
                "one of the fourteen",
                coverage,
                brightness,
                (angle - 4, angle + 4),
                length,
            ),
        )
        for angle in (-45, -30, -15, 0, 15, 30, 45)
        for magnitude, coverage, brightness, length in (
            ("small", (0.2, 0.5), (0.25, 0.5), (12, 40)),
            ("large", (0.4, 0.8), (0.4, 0.8), (30, 100)),
        )
    ),
)

_FAR = replace(
    _FINE,
    coverage=(0.2, 0.7),
    length=(6, 25),
    width=(0.5, 1.2),
    softness=(0.2, 0.7),
    brightness=(0.05, 0.25),
)
_NEAR = replace(
    _DRAWN,
    coverage=(0.01, 0.1),
    length=(30, 150),
    width=(1.5, 6),
    softness=(0.5, 3),
    brightness=(0.1, 0.5),
)

_VEIL = RainPreset(
    "veil",
    "Outdoor-Rain: streaks of several depths behind a veil of haze (Li, Cheong, Tan, CVPR 2019)",
    (_FAR, replace(_FINE, probability=0.8), replace(_NEAR, probability=0.6)),
    together=0.9,
    veil=Veil(),
    camera=(0, 0.01),
)

_PHOTOGRAPH = RainPreset(
    "photograph",
    "rain as cameras see it: grey streaks at several depths that hide what is behind, near ones out"
    " of focus",
    (
        _FAR,
        replace(_DRAWN, coverage=(0.02, 0.15), angle_spread=(0, 8), probability=0.9),
        replace(_NEAR, probability=0.6),
    ),
    together=0.9,
    composition="alpha",
    light=(0.55, 1),
    defocus=(0, 0.8),
    camera=(0, 0.006),
)

# Wider than the benchmarks in every respect: what is trained on narrow ranges does not work on real
# benchmark rain.
_WIDE_FINE = replace(
    _FINE,
    coverage=(0.04, 0.75),
    angle=(-45, 45),
    length=(10, 180),
    width=(0.5, 3.5),
    softness=(0, 1.6),
    brightness=(0.1, 1),
    fading=(0, 4),
    levels=(0, 0.9),
    clumping=(0, 1.2),
    shape=("tapered", "comet", "even"),
    overlap="either",
    noise_probability=0.1,
)
_WIDE_LINES = replace(
    _LINES,
    coverage=(0.25, 0.95),
    angle=(-35, 35),
    length=(15, 180),
    width=(0.6, 4.5),
    softness=(0, 1),
    brightness=(0.12, 0.55),
    fading=(0, 1),
    levels=(0, 0.5),
    clumping=(0, 0.6),
    shape=("even", "tapered", "comet"),
    noise=(0.05, 0.4),
    noise_probability=0.2,
)

_WIDE_LIGHT = RainPreset(
    "wide light",
    "Rain100L and beyond",
    (_WIDE_FINE, replace(_WIDE_FINE, probability=0.4), replace(_FLECKS, probability=0.3)),
    together=0.9,
)
_WIDE_HEAVY = RainPreset(
    "wide heavy",
    "Rain100H and beyond",
    (
        _WIDE_LINES,
        replace(_WIDE_LINES, probability=0.6),
        replace(_WIDE_LINES, probability=0.3),
        replace(_WIDE_FINE, probability=0.9),
        replace(_WIDE_FINE, probability=0.4),
    ),
    together=0.1,
)
_WIDE_DRAWN = RainPreset(
    "wide drawn",
    "streak by streak, each its own way",
    (_DRAWN, replace(_DRAWN, probability=0.3)),
    together=0.5,
)
_WIDE_PHOTOSHOP = RainPreset(
    "wide photoshop", "Rain800 and Rain1400", mixture=((0.5, _RAIN800), (0.5, _RAIN1400))
)

_SCALES: Range = (0.4, 1.6)
"""Of the rain that weights train on: cameras differ in resolution and rain in distance."""

_LIGHT = RainPreset(
    "light",
    "light rain wider than any benchmark's, to train on",
    mixture=((0.25, _RAIN100L), (0.55, _WIDE_LIGHT), (0.2, _WIDE_DRAWN)),
)
_HEAVY = RainPreset(
    "heavy",
    "heavy rain wider than any benchmark's, to train on",
    mixture=((0.3, _RAIN100H), (0.7, _WIDE_HEAVY)),
)
_CLEAR = RainPreset(
    "clear",
    "no rain on half of the pictures, hardly any on the others: pictures to leave as they are",
    (replace(_FINE, probability=0.5, coverage=(0, 0.03), brightness=(0, 0.15)),),
)

# Rain100L as it was made (derain/rain/textures.py), and beyond: sheared further, of other sizes and
# strengths.
_TEXTURE = Texture(otherwise=_FINE)
_WIDE_TEXTURE = Texture(otherwise=_WIDE_FINE, scale=(0.4, 1.4), gain=(0.4, 1.2), sheared=0.5)
_RAIN100L_TEXTURES = RainPreset(
    "rain100l-textures",
    "Rain100L as it was made: one streak texture, a third of them sheared (JORDER, CVPR 2017)",
    (replace(_TEXTURE, sheared=0.35),),
)
_WIDE_TEXTURES = RainPreset(
    "wide textures",
    "Rain100L and beyond, from textures",
    (_WIDE_TEXTURE, replace(_WIDE_TEXTURE, probability=0.2)),
    together=0.5,
)

# Rain100H's soft layer is up to five textures over its lines.
_SOME_TEXTURE = Texture(otherwise=replace(_FINE, angle=(-20, 20)), gain=(0.2, 1), sheared=0.3)
_RAIN100H_TEXTURES = RainPreset(
    "rain100h-textures",
    "Rain100H as it was made: dense lines over up to three streak textures (JORDER, CVPR 2017)",
    (
        *_RAIN100H.layers[:3],
        replace(_SOME_TEXTURE, probability=0.8),
        replace(_SOME_TEXTURE, probability=0.5),
        replace(_SOME_TEXTURE, probability=0.25),
    ),
)
_WIDE_HEAVY_TEXTURES = RainPreset(
    "wide heavy textures",
    "Rain100H and beyond, with textures",
    (
        _WIDE_LINES,
        replace(_WIDE_LINES, probability=0.6),
        replace(_WIDE_LINES, probability=0.3),
        replace(_WIDE_TEXTURE, probability=0.8, gain=(0.2, 1.1)),
        replace(_WIDE_TEXTURE, probability=0.4, gain=(0.2, 1.1)),
    ),
    together=0.1,
)

# A downpour near the camera's limit of sharpness: short streaks and drops by the thousand, at
# several depths.
_SHORT = Field(
    coverage=(0.08, 0.5),
    angle=(-25, 25),
    length=(2, 14),
    width=(0.5, 1.6),
    softness=(0, 0.6),
    brightness=(0.25, 1),
    fading=(0.3, 2.5),
    levels=(0, 0.5),
    clumping=(0, 0.8),
    shape=("tapered", "even", "comet"),
    noise_probability=0.05,
)
_DROPS = replace(_SHORT, coverage=(0.005, 0.06), length=(1, 4), width=(1, 3.5), brightness=(0.3, 1))
_REDUCED = Texture(otherwise=_SHORT, scale=(0.18, 0.6), gain=(0.5, 2.1), sheared=0.3)
_DOWNPOUR_DRAWN = RainPreset(
    "drawn downpour",
    "short streaks and drops, drawn",
    (
        _SHORT,
        replace(_SHORT, probability=0.7, length=(2, 8), width=(0.5, 1), brightness=(0.1, 0.6)),
        replace(_SHORT, probability=0.4, length=(8, 30), width=(1, 3), coverage=(0.01, 0.1)),
        replace(_DROPS, probability=0.5),
    ),
    together=0.9,
    scale=(0.7, 1.6),
)
_DOWNPOUR_TEXTURES = RainPreset(
    "textured downpour",
    "textures reduced to a fifth to three fifths",
    (
        _REDUCED,
        replace(_REDUCED, probability=0.75),
        replace(_REDUCED, probability=0.5),
        replace(_REDUCED, probability=0.25),
        replace(_DROPS, probability=0.2),
    ),
    together=0.7,
)


def _hiding(preset: RainPreset) -> RainPreset:
    """Let drops hide what is behind them, as a camera sees it, instead of adding light."""
    seen = {"composition": "alpha", "light": (0.55, 1), "defocus": (0, 0.5), "camera": (0, 0.006)}
    return replace(preset, name=f"{preset.name}, hiding", **seen)  # pyright: ignore[reportArgumentType]


_DOWNPOUR = RainPreset(
    "downpour",
    "a downpour as a camera sees it: dense, short, bright, nearly parallel streaks and drops",
    mixture=(
        (0.3, _DOWNPOUR_DRAWN),
        (0.2, _hiding(_DOWNPOUR_DRAWN)),
        (0.3, _DOWNPOUR_TEXTURES),
        (0.2, _hiding(_DOWNPOUR_TEXTURES)),
    ),
)

# A shower before a wall or trees: few, short, bright streaks, most of them upright, some out of
# focus.
_SHOWER_STREAKS = Field(
    coverage=(0.003, 0.08),
    angle=(-20, 20),
    length=(4, 50),
    width=(0.8, 4),
    softness=(0.1, 1.2),
    brightness=(0.1, 0.9),
    fading=(0.3, 2.5),
    levels=(0, 0.4),
    clumping=(0.2, 1.2),
    shape=("tapered", "even", "comet"),
    overlap="cap",
    noise_probability=0.05,
)
_SHOWER_ADDED = RainPreset(
    "added shower",
    "few short streaks of light",
    (
        _SHOWER_STREAKS,
        replace(
            _SHOWER_STREAKS,
            probability=0.6,
            width=(0.5, 1.5),
            brightness=(0.05, 0.4),
            coverage=(0.02, 0.2),
        ),
        replace(_DROPS, probability=0.3, coverage=(0.001, 0.02)),
    ),
    together=0.8,
)
_SHOWER = RainPreset(
    "shower",
    "a shower as a camera sees it: few, short, bright streaks over many faint ones",
    mixture=((0.4, _SHOWER_ADDED), (0.6, _hiding(_SHOWER_ADDED))),
)

# Dense, fine and of low contrast: the grey rain of an ordinary wet day. Photoshop's recipes give
# it, too.
_GREY_DAY = RainPreset(
    "grey day",
    "dense fine rain of low contrast, screened over the picture",
    (
        replace(
            _FINE,
            coverage=(0.4, 0.9),
            length=(6, 50),
            width=(0.5, 1.6),
            brightness=(0.08, 0.4),
            fading=(0.3, 2),
            levels=(0, 0.6),
            shape=("even", "tapered"),
            overlap="either",
        ),
        replace(_FAR, probability=0.5),
    ),
    together=0.9,
    composition="screen",
    camera=(0, 0.006),
)


def _at_scales(preset: RainPreset, probability: float = 0.5) -> RainPreset:
    return replace(preset, scale=_SCALES, scale_probability=probability)


_MIXED = RainPreset(
    "mixed",
    "all kinds: what the general weights train on",
    mixture=(
        (0.12, _RAIN100L_TEXTURES),
        (0.08, _at_scales(_WIDE_TEXTURES, 0.3)),
        (0.17, _RAIN100H_TEXTURES),
        (0.09, _at_scales(_WIDE_HEAVY_TEXTURES)),
        (0.09, _at_scales(_DOWNPOUR, 0.3)),
        (0.10, _at_scales(_SHOWER, 0.3)),
        (0.07, _at_scales(_LIGHT)),
        (0.07, _at_scales(_HEAVY)),
        (0.06, _at_scales(_WIDE_PHOTOSHOP, 1)),
        (0.05, _at_scales(_GREY_DAY, 1)),
        (0.05, _at_scales(_PHOTOGRAPH, 1)),
        (0.05, _CLEAR),
    ),
)

PRESETS: dict[str, RainPreset] = {
    preset.name: preset
    for preset in (
        _RAIN100L,
        _RAIN100L_TEXTURES,
        _RAIN100H,
        _RAIN100H_TEXTURES,
        _RAIN800,
        *_RAIN1200,
        _RAIN1400,
        _VEIL,
        _PHOTOGRAPH,
        _DOWNPOUR,
        _SHOWER,
        _LIGHT,
        _HEAVY,
        _CLEAR,
        _MIXED,
    )
}
