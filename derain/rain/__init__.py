"""Synthetic rain, on CPU or GPU; the same seed gives the same rain."""

from derain.rain.compression import Compression
from derain.rain.field import Field
from derain.rain.presets import PRESETS, Composition, Layer, RainPreset, Veil
from derain.rain.scene import (
    Density,
    Rain,
    compose,
    compose_pixels,
    rain_on,
    sample,
    sample_batch,
)
from derain.rain.streaks import Streaks
from derain.rain.table import RainTable
from derain.rain.textures import Texture, TextureBank, bank_of, load_textures

__all__ = [
    "PRESETS",
    "Composition",
    "Compression",
    "Density",
    "Field",
    "Layer",
    "Rain",
    "RainPreset",
    "RainTable",
    "Streaks",
    "Texture",
    "TextureBank",
    "Veil",
    "bank_of",
    "compose",
    "compose_pixels",
    "load_textures",
    "rain_on",
    "sample",
    "sample_batch",
]
