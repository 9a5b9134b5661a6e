"""Recipes: what the paper says, and settings that are checked."""

import pytest

from derain.errors import SettingError, UnknownNameError
from derain.networks import NETWORKS
from derain.recipes import RECIPES, find_recipe


def test_the_papers_recipe() -> None:
    recipe = find_recipe("nledn-rain100l-paper")  # NLEDN, section 4.2
    assert (recipe.lr, recipe.min_lr, recipe.schedule, recipe.batch, recipe.crop) == (
        5e-4,
        1e-4,
        "plateau",
        1,
        None,
    )
    assert (recipe.betas[0], recipe.weight_decay, recipe.augment, recipe.ema) == (
        0.9,
        1e-4,
        "flip",
        0,
    )


def test_the_other_papers_recipes() -> None:
    remaen = find_recipe("remaen-rain100h-paper")
    assert (remaen.batch, remaen.crop, remaen.lr, remaen.steps, remaen.augment) == (
        32,
        64,
        1e-3,
        40_000,
        "none",
    )
    assert [share * remaen.steps for share in remaen.milestones] == [30_000]
    assert remaen.decay == 0.1
    dpenet = find_recipe("dpenet-rain100l-paper")
    assert (dpenet.batch, dpenet.crop, dpenet.lr, dpenet.decay, dpenet.milestones) == (
        18,
        128,
        1e-3,
        0.2,
        (0.3, 0.5, 0.8),
    )
    assert dpenet.augment == "none"
    crdnet = find_recipe("crdnet-rain100l-paper")
    assert (crdnet.batch, crdnet.crop, crdnet.lr, crdnet.milestones) == (16, 512, 1e-4, ())
    assert crdnet.lr * crdnet.lr_of["classifier."] == pytest.approx(3e-6)
    assert crdnet.hyperparameters == {"classifier": "paper"}


@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_has_a_recipe_of_its_name_for_the_same_rain(name: str) -> None:
    recipe = find_recipe(name)
    assert recipe.network == name
    assert recipe.rain == find_recipe("nledn").rain


@pytest.mark.parametrize("network", ["nledn", "remaen", "crdnet", "dpenet"])
def test_every_published_network_has_recipes_for_light_and_heavy_rain_alone(network: str) -> None:
    general, light, heavy = (find_recipe(network + kind) for kind in ("", "-rain100l", "-rain100h"))
    assert (light.rain, light.validation_rain) == (("light",), ("rain100l",))
    assert (heavy.rain, heavy.validation_rain) == (("heavy",), ("rain100h",))
    assert light.hyperparameters == heavy.hyperparameters == general.hyperparameters


@pytest.mark.parametrize("name", RECIPES)
def test_names_and_sources(name: str) -> None:
    assert RECIPES[name].name == name
    assert RECIPES[name].source


def test_overrides() -> None:
    recipe = find_recipe(
        "nledn",
        {
            "lr": "3e-4",
            "steps": "10",
            "crop": "none",
            "batch": "1",
            "rain": "rain100l,rain100h",
            "betas": "0.8,0.9",
        },
    )
    assert (recipe.lr, recipe.steps, recipe.crop) == (3e-4, 10, None)
    assert (recipe.rain, recipe.betas) == (("rain100l", "rain100h"), (0.8, 0.9))


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"lr": "fast"}, "^lr=fast: expected a value like"),
        ({"speed": "1"}, "^speed: no such setting; expected one of"),
        ({"network": "other"}, "^network: no such setting"),
        ({"batch": "0"}, "batch=0: expected a whole number of at least 1"),
        ({"crop": "none"}, "whole pictures differ in size"),
        ({"crop": "8"}, "crop=8: expected at least 16"),
        ({"rain": "snow"}, "rain=snow: expected one of "),
        ({"rain": "rain100l,raim100h"}, r"rain=raim100h: .*; did you mean rain100h\?"),
        ({"augment": "dihedrel"}, r"did you mean dihedral\?"),
        ({"lr": "1e-9"}, "expected 0 < min_lr <= lr"),
        ({"ema": "1"}, "ema=1.0: expected"),
        ({"schedule": "linear"}, "schedule=linear: expected one of cosine"),
        ({"augment": "twist"}, "augment=twist: expected"),
        ({"milestones": "0.5,0.2"}, "milestones=0.5,0.2: expected rising shares"),
        ({"milestones": "2000"}, "milestones=2000.0: expected rising shares"),
        ({"decay": "1"}, "decay=1.0: expected over 0"),
        ({"frozen_norms": "perhaps"}, "^frozen_norms=perhaps: expected a value like False"),
        ({"frozen_norms": "true"}, "random weights have no statistics to keep; expected init too"),
        ({"lr_of": "1"}, "^lr_of: no such setting"),
    ],
)
def test_settings_are_checked(setting: dict[str, str], message: str) -> None:
    with pytest.raises(SettingError, match=message):
        find_recipe("nledn", setting)


def test_unknown_recipe_names_the_closest_or_lists_all() -> None:
    with pytest.raises(UnknownNameError, match="no recipe 'unet'; expected one of nledn, "):
        find_recipe("unet")
    for word, meant in (("petrichor-liev", "petrichor-live"), ("cdrnet", "crdnet")):
        with pytest.raises(UnknownNameError, match=rf"no recipe '{word}'; did you mean {meant}\?$"):
            find_recipe(word)


def test_validation_rain_is_set_as_rain_is() -> None:
    assert find_recipe("nledn", {"validation_rain": "rain800,veil"}).validation_rain == (
        "rain800",
        "veil",
    )
    with pytest.raises(ValueError, match="validation_rain=snow"):
        find_recipe("nledn", {"validation_rain": "snow"})
