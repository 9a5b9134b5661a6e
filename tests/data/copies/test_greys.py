"""Grey pictures kept in memory, in a file, or not at all."""

import errno
from typing import Any

import numpy as np
import pytest

from derain.data.copies.greys import GreyStore
from derain.data.copies.vision import Grey


def noise(seed: int, size: tuple[int, int] = (30, 40)) -> Grey:
    return np.random.default_rng(seed).integers(0, 256, size, np.uint8)


@pytest.mark.parametrize("memory", [1 << 20, 2000])
def test_pictures_come_back_as_they_were(memory: int) -> None:
    store = GreyStore(memory)
    pictures = [noise(seed, (30 + seed, 40)) for seed in range(10)]
    for seed, grey in enumerate(pictures):
        store.put(str(seed), grey)
        store.put(str(seed), noise(99))  # the first of a name stays
    for seed, grey in reversed(list(enumerate(pictures))):
        found = store.get(str(seed))
        assert found is not None
        assert np.array_equal(found, grey)
    assert store.get("10") is None


def test_what_does_not_fit_is_left_out() -> None:
    store = GreyStore(at_most=2500)
    for seed in range(3):
        store.put(str(seed), noise(seed))
    assert [store.get(str(seed)) is not None for seed in range(3)] == [True, True, False]


def test_a_full_disk_keeps_what_was_there(monkeypatch: pytest.MonkeyPatch) -> None:
    store = GreyStore()
    store.put("first", noise(1))
    file: Any = getattr(store, "_file")  # noqa: B009

    def full(_data: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(file, "write", full)
    store.put("second", noise(2))
    monkeypatch.undo()
    store.put("third", noise(3))
    first = store.get("first")
    assert first is not None
    assert np.array_equal(first, noise(1))
    assert store.get("second") is None
    assert store.get("third") is None
