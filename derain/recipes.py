"""What the papers, and we, train: frozen dataclasses, each with the section it comes from.

An override is ``dataclasses.replace``; ``derain train NAME --set lr=3e-4`` does that.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Literal, get_args

from derain.data import Augment
from derain.networks import NETWORKS, Hyperparameters
from derain.rain import PRESETS

Schedule = Literal["cosine", "plateau", "steps"]
Optimiser = Literal["adam", "adamw"]


@dataclass(frozen=True)
class Recipe:
    """Everything that decides what a training run computes.

    Attributes:
        name: As given to ``derain train``; weights carry it.
        source: Where it comes from.
        network: A name of `derain.networks.NETWORKS`.
        rain: Names of `derain.rain.PRESETS`; every crop of a clean picture takes one at random. Not used on paired data.
        hyperparameters: Arguments of the network's constructor.
        init: Name of shipped weights, or path of a weights file, to start from; empty for random weights.
        batch: Crops a step.
        crop: Side of the square crops in pixels; None for whole pictures with a long side of at most 512.
        augment: ``flip`` is left to right; ``dihedral`` all eight flips and quarter turns; ``none`` leaves crops as they are.
        steps: Optimiser steps in all.
        schedule: ``cosine`` falls from lr to min_lr over all steps after a linear warm-up; ``plateau`` multiplies by 0.9 after
            each epoch whose mean loss did not fall, down to min_lr; ``steps`` multiplies by decay at each milestone.
        milestones: Where, as shares of all steps, in rising order; none keeps the rate as it is.
        lr_of: Rates of parts of the network relative to lr, by the beginning of their parameters' names; 0 keeps a part as it is.
        optimiser: ``adam`` or ``adamw`` (decoupled weight decay).
        ema: Decay of the running mean of the weights that is validated and saved; 0 keeps none.
        clip: Largest norm of the gradient; 0 does not clip.
        validate_every: Steps between validations, each of which may give a new best.
        validation_rain: Presets under which clean validation pictures are seen, each picture under each; none for those of rain.
        validation_crop: Side of the centre crop of each validation picture; None for the whole, its long side at most 512.
    """

    name: str
    source: str
    network: str
    rain: tuple[str, ...]
    hyperparameters: Hyperparameters = field(default_factory=dict)
    init: str = ""
    batch: int = 4
    crop: int | None = 128
    augment: Augment = "dihedral"
    steps: int = 100_000
    lr: float = 5e-4
    min_lr: float = 1e-6
    optimiser: Optimiser = "adamw"
    schedule: Schedule = "cosine"
    milestones: tuple[float, ...] = ()
    decay: float = 0.1
    lr_of: Mapping[str, float] = field(default_factory=dict)
    warmup: int = 200
    betas: tuple[float, float] = (0.9, 0.999)
    weight_decay: float = 0.0
    ema: float = 0.999
    clip: float = 0.0
    validate_every: int = 500
    validation_rain: tuple[str, ...] = ()
    validation_crop: int | None = 192
    seed: int = 0

    def __post_init__(self) -> None:
        if self.network not in NETWORKS:
            raise ValueError(f"network={self.network}: expected one of {', '.join(NETWORKS)}")
        for key, names in (("rain", self.rain), ("validation_rain", self.validation_rain)):
            unknown = [name for name in names if name not in PRESETS]
            if unknown or not self.rain:
                raise ValueError(f"{key}={','.join(unknown)}: expected names of presets: {', '.join(PRESETS)}")
        choices_of = {"schedule": get_args(Schedule), "augment": get_args(Augment), "optimiser": get_args(Optimiser)}
        for name, choices in choices_of.items():
            if getattr(self, name) not in choices:
                raise ValueError(f"{name}={getattr(self, name)}: expected one of {', '.join(choices)}")
        if list(self.milestones) != sorted(self.milestones) or not all(0 < share < 1 for share in self.milestones):
            raise ValueError(f"milestones={','.join(map(str, self.milestones))}: expected rising shares between 0 and 1")
        if not 0 < self.decay < 1:
            raise ValueError(f"decay={self.decay}: expected over 0 and under 1")
        for name in ("batch", "steps", "validate_every"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}={getattr(self, name)}: expected a whole number of at least 1")
        for name in ("warmup", "seed", "clip", "weight_decay"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name}={getattr(self, name)}: expected at least 0")
        if len(self.betas) != 2 or not all(0 <= beta < 1 for beta in self.betas):
            raise ValueError(f"betas={','.join(map(str, self.betas))}: expected two numbers, each at least 0 and under 1")
        if self.validation_crop is not None and self.validation_crop < 16:
            raise ValueError(f"validation_crop={self.validation_crop}: expected at least 16 pixels, or none")
        if self.crop is None and self.batch != 1:
            raise ValueError(f"batch={self.batch}: whole pictures differ in size, expected batch=1, or give crop=128")
        if self.crop is not None and self.crop < 16:
            raise ValueError(f"crop={self.crop}: expected at least 16 pixels")
        if not 0 < self.min_lr <= self.lr < 1000:
            raise ValueError(f"min_lr={self.min_lr}, lr={self.lr}: expected 0 < min_lr <= lr, and a number")
        if not 0 <= self.ema < 1:
            raise ValueError(f"ema={self.ema}: expected at least 0 and under 1")


def _general(network: str) -> Recipe:
    """What we train any network with, one set of weights for light and heavy rain; its loss is its own."""
    return Recipe(
        name=network,
        source="derain: general use, one set of weights for light and heavy rain",
        network=network,
        rain=("mixed",),
        validation_rain=("rain100l", "rain100h"),
        batch=4,
        crop=128,
        steps=100_000,
        lr=1e-3,
        min_lr=1e-6,
        clip=1.0,
    )


_PAPER = Recipe(
    name="",
    source="",
    network="nledn",
    rain=("rain100l",),
    augment="none",
    optimiser="adam",
    schedule="steps",
    warmup=0,
    ema=0.0,
    validate_every=2000,
)
"""What most of the papers' recipes share: Adam, a rate in steps, no warm-up, no running mean, crops as they are."""

_PAPERS = (
    replace(
        _PAPER,
        name="nledn",
        source="Li et al., ACM MM 2018, section 4.2",
        network="nledn",
        batch=1,
        crop=None,
        augment="flip",
        steps=200_000,
        lr=5e-4,
        min_lr=1e-4,
        schedule="plateau",
        weight_decay=1e-4,
        validation_crop=None,
    ),
    replace(
        _PAPER,
        name="remaen",
        source="Yang and Lu, ICME 2019, and the authors' settings",
        network="remaen",
        batch=32,
        crop=64,
        steps=40_000,
        lr=1e-3,
        milestones=(0.75,),
        decay=0.1,
    ),
    replace(
        _PAPER,
        name="crdnet",
        source="Peng et al., IEEE SPL 2020, and the authors' settings; their decay of the rate has no effect, and none is here; "
        "the number of steps, and a refinement that starts near the identity, are ours",
        network="crdnet",
        hyperparameters={"classifier": "paper"},
        batch=16,
        crop=512,
        steps=100_000,
        lr=1e-4,
        lr_of={"classifier.": 0.03},
    ),
    replace(
        _PAPER,
        name="dpenet",
        source="Gao et al., arXiv 2205.03553, and the authors' settings; epochs 30, 50 and 80 of 100 as shares of all steps, "
        "whose number is ours",
        network="dpenet",
        batch=18,
        crop=128,
        steps=100_000,
        lr=1e-3,
        milestones=(0.3, 0.5, 0.8),
        decay=0.2,
    ),
)

_NLEDN = _general("nledn")
_CRDNET = replace(
    _general("crdnet"),
    source="derain: general use, as the others, with a small density classifier beside it; normalisation wants larger batches, "
    "the narrow refinement a lower rate",
    hyperparameters={"classifier": "compact"},
    batch=16,
    lr_of={"refinement.": 0.2},
)

_PETRICHOR = replace(
    _general("petrichor"),
    source="derain: general use, as the others, with the rate and moments that were found by trials (docs/design-notes.md)",
    lr=1.5e-3,
    betas=(0.9, 0.99),
    weight_decay=1e-4,
    clip=0.5,
)

RECIPES: dict[str, Recipe] = {
    recipe.name: recipe
    for recipe in (
        *(_general(network) for network in NETWORKS),
        _CRDNET,
        _PETRICHOR,
        replace(_PETRICHOR, name="petrichor-live", network="petrichor-live"),
        replace(
            _CRDNET,
            name="crdnet-density",
            source="derain: the small density classifier alone, beside the weights of init, which stay as they are",
            init="crdnet",
            steps=5000,
            lr_of={"extractor.": 0.0, "background.": 0.0, "refinement.": 0.0},
        ),
        replace(
            _general("dpenet"),
            name="dpenet-light",
            source="derain: general use, the light variant",
            hyperparameters={"blocks": 5},
        ),
        replace(_NLEDN, name="nledn-rain100l", source="derain: light rain alone", rain=("light",), validation_rain=("rain100l",)),
        replace(_NLEDN, name="nledn-rain100h", source="derain: heavy rain alone", rain=("heavy",), validation_rain=("rain100h",)),
        *(
            replace(paper, name=f"{paper.name}-{rain}-paper", rain=(rain,))
            for paper in _PAPERS
            for rain in ("rain100l", "rain100h")
        ),
    )
}
"""By name. Every network has one of its own name, `_general` where no other is written down."""


def find_recipe(name: str, overrides: dict[str, str] | None = None) -> Recipe:
    """The recipe of a name, with ``{"lr": "3e-4"}`` and the like put in.

    Raises:
        ValueError: For an unknown name or field, or a value that does not fit it.
    """
    if name not in RECIPES:
        raise ValueError(f"no recipe {name!r}: expected one of {', '.join(RECIPES)}")
    recipe = RECIPES[name]
    return replace(recipe, **{key: _parse(recipe, key, text) for key, text in (overrides or {}).items()})


def _parse(recipe: Recipe, key: str, text: str) -> object:
    """The value of a field from its text, of the kind that the field has."""
    known = [f.name for f in fields(recipe) if f.name not in ("name", "source", "hyperparameters", "network", "lr_of")]
    if key not in known:
        raise ValueError(f"--set {key}: no such setting; expected one of {', '.join(known)}")
    try:
        if key in ("crop", "validation_crop"):
            return None if text == "none" else int(text)
        if key in ("rain", "validation_rain", "betas", "milestones"):
            parts = [part for part in text.split(",") if part]
            return tuple(parts) if key in ("rain", "validation_rain") else tuple(float(part) for part in parts)
        return type(getattr(recipe, key))(text)
    except ValueError:
        raise ValueError(f"--set {key}={text}: expected a value like {getattr(recipe, key)}") from None
