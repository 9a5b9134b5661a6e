"""Rain made by hand, on CPU or GPU, the same from the same seed."""

from derain.rain.field import Field
from derain.rain.presets import PRESETS, Composition, RainPreset, Veil
from derain.rain.scene import MASK_THRESHOLD, Density, Rain, compose, compose_pixels, rain_on, sample, sample_batch
from derain.rain.streaks import Streaks

__all__ = [
    "MASK_THRESHOLD",
    "PRESETS",
    "Composition",
    "Density",
    "Field",
    "Rain",
    "RainPreset",
    "Streaks",
    "Veil",
    "compose",
    "compose_pixels",
    "rain_on",
    "sample",
    "sample_batch",
]
