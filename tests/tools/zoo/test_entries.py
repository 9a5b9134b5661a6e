"""The zoo's entries: what the package holds, and how each is trained on."""

import pytest

from derain.recipes import RECIPES
from derain.weights.catalogue import CATALOGUE, RETIRED
from tools.zoo.entries import CONTINUED, ZOO


@pytest.mark.parametrize("name", ZOO)
def test_every_entry_of_the_zoo_can_be_trained_on_either_kind_of_machine(name: str) -> None:
    entry = ZOO[name]
    begun, continued = entry.stage("cpu", 300, ""), entry.stage("cuda", 20_000, "crdnet", 2)
    assert begun.name == name == entry.planned.name
    assert (begun.steps, begun.init, begun.lr) == (300, "", entry.planned.lr)
    assert (continued.init, continued.lr) == ("crdnet", pytest.approx(CONTINUED * entry.planned.lr))
    assert (begun.seed, continued.seed) == (0, 2)
    assert 0 < begun.warmup < 300
    assert continued.batch * (continued.crop or 0) ** 2 > begun.batch * (begun.crop or 0) ** 2


def test_the_zoo_lists_all_weights_of_the_package() -> None:
    assert set(CATALOGUE) <= set(ZOO)
    assert set(RETIRED).isdisjoint(ZOO)
    assert set(RETIRED) <= set(RECIPES), "retired weights can still be trained"


def test_entries_of_the_zoo_begin_from_earlier_ones_of_their_network() -> None:
    names = list(ZOO)
    for entry in ZOO.values():
        if entry.origin:
            assert names.index(entry.origin) < names.index(entry.recipe)
            origin, own = ZOO[entry.origin].planned.network, entry.planned.network
            # Which grows from it.
            assert origin == own or (origin, own) == (
                "petrichor",
                "petrichor-deep",
            )
