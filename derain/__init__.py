"""derain takes the rain out of pictures.

>>> import derain
>>> remove_rain = derain.load()  # doctest: +SKIP
>>> derain.write_image("clean.jpg", remove_rain(derain.read_image("rainy.jpg")))  # doctest: +SKIP

Names are looked up on first use, so that ``import derain`` and ``derain --help`` load nothing
heavy. What the package has to say while it works goes to the logger ``derain``, which is silent
until a program gives it a handler.
"""

import importlib
import logging
from typing import TYPE_CHECKING, Any

from derain.extras import is_installed, require

if TYPE_CHECKING:
    from derain.errors import DerainError
    from derain.images import read_image, write_image
    from derain.metrics import psnr, ssim
    from derain.networks import NETWORKS  # pyright: ignore[reportUnusedImport]
    from derain.restore import Derainer, load, restore_frames

__version__ = "0.1.0"

logging.getLogger(__name__).addHandler(logging.NullHandler())

_HOMES = {
    "NETWORKS": "networks",
    "DerainError": "errors",
    "Derainer": "restore",
    "load": "restore",
    "psnr": "metrics",
    "read_image": "images",
    "restore_frames": "restore",
    "ssim": "metrics",
    "write_image": "images",
}

_NEED_TORCH = ("NETWORKS",)

__all__ = [
    "NETWORKS",
    "DerainError",
    "Derainer",
    "__version__",
    "load",
    "psnr",
    "read_image",
    "restore_frames",
    "ssim",
    "write_image",
]

if not is_installed("torch"):  # what cannot be had is not offered
    __all__.remove("NETWORKS")


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'derain' has no attribute {name!r}")
    if name in _NEED_TORCH:
        require("torch", f"derain.{name}")
    value = getattr(importlib.import_module(f"derain.{_HOMES[name]}"), name)
    globals()[name] = value  # found at once the next time
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
