"""Rain density: what counts as rain, from what share of a picture on it is light, medium or heavy.

Everything that names a density takes it from here: the description of synthetic rain
(`derain.rain.Rain.density`), the labels that CRDNet's classifier is trained on (`labels`), and
what a network senses (`RainDensity`).
"""

from dataclasses import dataclass
from typing import Literal

Density = Literal["light", "medium", "heavy"]
DensityWord = Literal["none", "light", "medium", "heavy"]

THRESHOLD = 8 / 255
"""A pixel counts as rain where rain makes it brighter than this, of 1."""

STEPS = (0.0, 0.25, 0.55)
"""Share of a picture under rain: above the first it is light, from the others on medium, heavy."""


@dataclass(frozen=True)
class RainDensity:
    """The density of a picture's rain, as a network estimates it.

    The numbers are cumulative, each from 0 (no) to 1 (yes) or a little beyond.

    Attributes:
        light: Whether there is rain at all.
        medium: Whether it is at least medium.
        heavy: Whether it is heavy.
    """

    light: float
    medium: float
    heavy: float

    @property
    def word(self) -> DensityWord:
        """The heaviest step that is more likely than not, as is every lighter one."""
        if self.light < 0.5:
            return "none"
        if self.medium < 0.5:
            return "light"
        return "medium" if self.heavy < 0.5 else "heavy"


def density_of(coverage: float) -> Density:
    """Return the word for rain that covers this share of a picture.

    >>> density_of(0.1), density_of(0.25), density_of(0.55)
    ('light', 'medium', 'heavy')
    """
    _, medium, heavy = STEPS
    if coverage < medium:
        return "light"
    return "medium" if coverage < heavy else "heavy"
