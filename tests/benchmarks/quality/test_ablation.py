"""Variants of NLEDN, as the paper's Table 2 lists them."""

import pytest

from benchmarks.quality import ablation
from derain.networks import NETWORKS, NLEDN
from derain.recipes import RECIPES


@pytest.mark.parametrize("name", ablation.VARIANTS)
def test_variants_are_those_of_table_2(name: str) -> None:
    recipe = ablation.recipe_of(name, 1, 400, 2, 64)
    assert (recipe.rain, recipe.seed) == (RECIPES["nledn-rain100l"].rain, 1)
    network = NETWORKS["nledn"](**recipe.hyperparameters)
    assert isinstance(network, NLEDN)
    names = " ".join(network.state_dict())
    assert ("non_local" in names) == (name in ("Re", "Rf"))
    assert ("joints" in names) == (name in ("Rd", "Rf"))
    assert len(network.blocks) == (1 if name in ("Ra", "Rb") else 6)
