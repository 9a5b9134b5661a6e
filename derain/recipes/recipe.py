"""Recipes: everything that decides what a training run computes, checked."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Literal, get_args

from derain.errors import SettingError, check_choice, did_you_mean
from derain.networks import NETWORKS, Hyperparameters
from derain.rain import PRESETS

Augment = Literal["none", "flip", "dihedral"]
Schedule = Literal["cosine", "plateau", "steps", "trunk", "branch"]
Optimiser = Literal["adam", "adamw"]
Loss = Literal["network", "rmse"]


@dataclass(frozen=True)
class Recipe:
    """Everything that decides what a training run computes.

    Attributes:
        name: As given to ``derain train``; weights carry it.
        source: Where it comes from.
        network: A name of `derain.networks.NETWORKS`.
        rain: Names of `derain.rain.PRESETS`; every crop of a clean picture takes one at random. Not
            used on paired data.
        hyperparameters: Arguments of the network's constructor.
        loss: ``network`` is the network's own, which is its paper's; ``rmse`` the root of each
            picture's mean squared error, which PSNR is the logarithm of.
        textures: Folder of grey streak textures that layers of textures are cut from; empty draws
            them instead.
        init: Name of shipped weights, or path of a weights file, to start from; empty for random
            weights. Weights of a smaller Petrichor grow into the recipe's. A branch begins from a
            checkpoint, ``last.pt``, with all that it holds.
        batch: Crops a step.
        crop: Side of the square crops in pixels; None for whole pictures with a long side of at
            most 512.
        augment: ``flip`` is left to right; ``dihedral`` all eight flips and quarter turns; ``none``
            leaves crops as they are.
        bars: Share of crops of clean pictures before which upright bars stand, as those of railings
            and fences, which look like rain.
        exposure: By up to how many stops a crop of a clean picture is made brighter or darker,
            clipped at white, before it rains.
        blown: Share of crops whose brighter part is blown out to white instead, and the rest hazed,
            as skies behind leaves are.
        compressed: Share of crops that are compressed as JPEG after it has rained, rainy and clean
            at one quality, 30 to 96. It and the three before it are for photographs; pairs stay as
            they are.
        steps: Optimiser steps in all.
        lr: Highest learning rate of the schedule.
        min_lr: Lowest learning rate of the schedule, at most lr.
        schedule: ``cosine`` falls from lr to min_lr over all steps after a linear warm-up;
            ``plateau`` multiplies by 0.9 after each epoch whose mean loss did not fall, down to
            min_lr; ``steps`` multiplies by decay at each milestone. ``trunk`` keeps the rate after
            the warm-up, and can run for days; a ``branch`` from any of its checkpoints takes it to
            min_lr as 1 - sqrt (Hägele et al., "Scaling Laws and Compute-Optimal Training Beyond
            Fixed Training Durations", 2024).
        milestones: Where, as shares of all steps, in rising order; none keeps the rate as it is.
        decay: What each milestone multiplies the rate by, between 0 and 1.
        warmup: Steps over which the rate rises from 0 to lr.
        lr_of: Rates of parts of the network relative to lr, by the beginning of their parameters'
            names; 0 keeps a part as it is.
        optimiser: ``adam`` or ``adamw`` (decoupled weight decay).
        betas: Decays of the optimiser's running means of gradients and of their squares.
        weight_decay: Of the optimiser: times the rate, the share of the weights that a step of
            ``adamw`` takes off; 0 for none.
        ema: Decay of the running mean of the weights that is validated and saved; 0 keeps none.
        clip: Largest norm of the gradient; 0 does not clip.
        frozen_norms: Keep the statistics that batch normalisation has, and train by them, as in
            use; for weights that have some.
        validate_every: Steps between validations, each of which may give a new best.
        validation_rain: Presets under which clean validation pictures are seen, each picture under
            each; none for those of rain.
        validation_crop: Side of the centre crop of each validation picture; None for the whole, its
            long side at most 512.
        seed: Of the weights, and of crops, augmentation and rain.
    """

    name: str
    source: str
    network: str
    rain: tuple[str, ...]
    hyperparameters: Hyperparameters = field(default_factory=dict)
    loss: Loss = "network"
    textures: str = ""
    init: str = ""
    batch: int = 4
    crop: int | None = 128
    augment: Augment = "dihedral"
    bars: float = 0.0
    exposure: float = 0.0
    blown: float = 0.0
    compressed: float = 0.0
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
    frozen_norms: bool = False
    validate_every: int = 500
    validation_rain: tuple[str, ...] = ()
    validation_crop: int | None = 192
    seed: int = 0

    def __post_init__(self) -> None:
        self._check_names()
        self._check_batch()
        self._check_optimisation()
        self._check_start()

    def _check_names(self) -> None:
        """Check the names of networks, presets, and of what there is a choice of."""
        self._expect("rain", bool(self.rain), f"names of presets: {', '.join(PRESETS)}")
        for key, names in (("rain", self.rain), ("validation_rain", self.validation_rain)):
            for name in names:
                check_choice(name, PRESETS, key, SettingError)
        for key, choices in (
            ("network", NETWORKS),
            ("schedule", get_args(Schedule)),
            ("augment", get_args(Augment)),
            ("optimiser", get_args(Optimiser)),
            ("loss", get_args(Loss)),
        ):
            check_choice(getattr(self, key), choices, key, SettingError)

    def _check_batch(self) -> None:
        """Check what a step and a validation see of the pictures."""
        for key in ("bars", "blown", "compressed"):
            self._expect(key, 0 <= getattr(self, key) <= 1, "a share from 0 to 1")
        for key in ("batch", "steps", "validate_every"):
            self._expect(key, getattr(self, key) >= 1, "a whole number of at least 1")
        for key in ("warmup", "seed", "clip", "weight_decay", "exposure"):
            self._expect(key, getattr(self, key) >= 0, "at least 0")
        validated, crop = self.validation_crop, self.crop
        fits = validated is None or validated >= 16
        self._expect("validation_crop", fits, "at least 16 pixels, or none")
        if crop is None and self.batch != 1:
            raise SettingError(
                "whole pictures differ in size, expected batch=1, or give crop=128",
                option="batch",
                value=self.batch,
            )
        self._expect("crop", crop is None or crop >= 16, "at least 16 pixels")

    def _check_optimisation(self) -> None:
        """Check the numbers of the optimiser and of its rate's schedule."""
        shares = list(self.milestones)
        rising = shares == sorted(shares) and all(0 < share < 1 for share in shares)
        self._expect("milestones", rising, "rising shares between 0 and 1")
        self._expect("decay", 0 < self.decay < 1, "over 0 and under 1")
        moments = len(self.betas) == 2 and all(0 <= beta < 1 for beta in self.betas)
        self._expect("betas", moments, "two numbers, each at least 0 and under 1")
        self._expect("ema", 0 <= self.ema < 1, "at least 0 and under 1")
        if not 0 < self.min_lr <= self.lr < 1000:
            raise SettingError(
                "expected 0 < min_lr <= lr, and a number",
                option="min_lr",
                value=f"{self.min_lr}, lr={self.lr}",
            )

    def _check_start(self) -> None:
        """Check that a run that needs something to begin from has it."""
        if self.schedule == "branch" and not self.init:
            raise SettingError(
                "begins from a trunk's checkpoint; expected init too",
                option="schedule",
                value=self.schedule,
            )
        if self.frozen_norms and not self.init:
            raise SettingError(
                "random weights have no statistics to keep; expected init too",
                option="frozen_norms",
                value=self.frozen_norms,
            )

    def _expect(self, key: str, holds: bool, what: str) -> None:
        """Raise SettingError for a field unless what is expected of it holds."""
        if not holds:
            value = getattr(self, key)
            text = ",".join(map(str, value)) if isinstance(value, tuple) else value
            raise SettingError(f"expected {what}", option=key, value=text)


_FIXED = ("name", "source", "hyperparameters", "network", "lr_of")
"""Fields that no setting changes."""


def override(recipe: Recipe, settings: Mapping[str, str]) -> Recipe:
    """Return the recipe with settings such as ``{"lr": "3e-4"}`` put in.

    Raises:
        SettingError: For an unknown field, or a value that does not fit it.
    """
    return replace(recipe, **{key: _parse(recipe, key, text) for key, text in settings.items()})


def _parse(recipe: Recipe, key: str, text: str) -> object:
    """Return the value of a field from its text, of the kind that the field has."""
    known = [f.name for f in fields(recipe) if f.name not in _FIXED]
    if key not in known:
        hint = did_you_mean(key, known)
        raise SettingError(f"no such setting; expected one of {', '.join(known)}{hint}", option=key)
    default = getattr(recipe, key)
    try:
        if key in ("crop", "validation_crop"):
            return None if text == "none" else int(text)
        if key in ("rain", "validation_rain", "betas", "milestones"):
            parts = [part for part in text.split(",") if part]
            names = key in ("rain", "validation_rain")
            return tuple(parts) if names else tuple(float(part) for part in parts)
        if isinstance(default, bool):
            return {"true": True, "false": False}[text.lower()]
        return type(default)(text)
    except (ValueError, KeyError):
        raise SettingError(f"expected a value like {default}", option=key, value=text) from None
