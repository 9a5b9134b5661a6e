"""The table of recipes: those of the papers, each with its section, and those of derain.

An override is ``dataclasses.replace``; ``derain train NAME --set lr=3e-4`` does that.
"""

from dataclasses import replace

from derain.errors import UnknownNameError, did_you_mean
from derain.networks import NETWORKS
from derain.recipes.recipe import Recipe, override


def _general(network: str) -> Recipe:
    """Return the recipe for one set of weights for light and heavy rain; the loss is the network's.

    Every network has one; its weights are for general use.
    """
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
"""Settings that most papers share: Adam, a rate in steps, no warm-up, no mean, no augmentation."""

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
        source=(
            "Peng et al., IEEE SPL 2020, and the authors' settings; their decay of the rate has no"
            " effect and is left out; the number of steps, and a refinement that starts near the"
            " identity, are derain's"
        ),
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
        source=(
            "Gao et al., arXiv 2205.03553, and the authors' settings; epochs 30, 50 and 80 of 100"
            " as shares of all steps, whose number is derain's choice"
        ),
        network="dpenet",
        batch=18,
        crop=128,
        steps=100_000,
        lr=1e-3,
        milestones=(0.3, 0.5, 0.8),
        decay=0.2,
    ),
)

_CRDNET = replace(
    _general("crdnet"),
    source=(
        "derain: general use, with a small density classifier beside it, larger batches for"
        " normalisation, and a lower rate for the narrow refinement"
    ),
    hyperparameters={"classifier": "compact"},
    batch=16,
    lr_of={"refinement.": 0.2},
    validation_crop=None,
)

_PETRICHOR = replace(
    _general("petrichor"),
    source=(
        "derain: general use, with the loss, rate and moments of the trials in"
        " docs/lab-notes/petrichor.md, exposures that make skies white behind leaves, and bars as"
        " those of railings; larger sizes grow from petrichor"
    ),
    loss="rmse",
    bars=0.1,
    exposure=1.0,
    blown=0.1,
    compressed=0.35,
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
            _PETRICHOR, name="petrichor-deep", network="petrichor-deep", init="petrichor", lr=1e-3
        ),
        replace(
            _PETRICHOR, name="petrichor-wide", network="petrichor-wide", init="petrichor", lr=1e-3
        ),
        replace(
            _CRDNET,
            name="crdnet-density",
            source=(
                "derain: only the small density classifier, beside the unchanged weights of init;"
                " on whole pictures, some of them without rain"
            ),
            init="crdnet",
            rain=("light", "heavy", "mixed", "clear"),
            batch=1,
            crop=None,
            steps=5000,
            lr_of={"extractor.": 0.0, "background.": 0.0, "refinement.": 0.0},
            frozen_norms=True,
        ),
        replace(
            _general("dpenet"),
            name="dpenet-light",
            source="derain: general use, the light variant",
            hyperparameters={"blocks": 5},
        ),
        *(
            replace(
                recipe,
                name=f"{recipe.name}-{validation}",
                source=f"derain: {rain} rain alone",
                rain=(rain,),
                validation_rain=(validation,),
            )
            for recipe in (_general("nledn"), _general("remaen"), _CRDNET, _general("dpenet"))
            for rain, validation in (("light", "rain100l"), ("heavy", "rain100h"))
        ),
        *(
            replace(paper, name=f"{paper.name}-{rain}-paper", rain=(rain,))
            for paper in _PAPERS
            for rain in ("rain100l", "rain100h")
        ),
    )
}
"""By name. Every network has one of its own name, `_general` where no other is written down."""


def find_recipe(name: str, overrides: dict[str, str] | None = None) -> Recipe:
    """Return the recipe of a name, with settings such as ``{"lr": "3e-4"}`` put in.

    Raises:
        UnknownNameError: For an unknown name.
        SettingError: For an unknown field, or a value that does not fit it.
    """
    if name not in RECIPES:
        expected = f"; expected one of {', '.join(RECIPES)}"
        raise UnknownNameError(f"no recipe {name!r}{did_you_mean(name, RECIPES) or expected}")
    return override(RECIPES[name], overrides or {})
