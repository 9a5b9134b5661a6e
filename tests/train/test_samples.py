"""Windows of validation pictures: with rain, derained, and clean."""

from pathlib import Path

import numpy as np
import torch
from tiny_runs import TINY

from derain.images import read_image
from derain.recipes import find_recipe
from derain.train import TrainingRun, ValidationSet
from derain.train.samples import LINE, SIDE, Samples, spread
from derain.train.sources import ValidationPair


def pair(rain: str = "light", side: int = 8) -> ValidationPair:
    return ValidationPair(rain, torch.zeros(3, side, side), torch.zeros(3, side, side))


def test_three_different_pictures_of_all_kinds_of_rain() -> None:
    pairs = [pair(rain) for rain in ("a", "b", "c") for _ in range(20)]
    chosen = list(spread(pairs))
    assert [pairs[number].rain for number in chosen] == ["a", "b", "c"]
    assert len({number % 20 for number in chosen}) == 3
    assert list(spread([pair(), pair()])) == [0, 1]
    assert list(spread([pair("a"), pair("b")])) == [0, 1]
    assert list(spread([])) == []


def test_side_by_side_where_it_rains_most(tmp_path: Path) -> None:
    one = pair(side=SIDE + 100)
    one.rainy[:, 80:, 90:] = 1.0
    samples = Samples([one])
    samples.keep(0, torch.full_like(one.rainy, 0.5) * 1.002)
    samples.keep(7, one.rainy)  # a pair that is not shown
    samples.write(tmp_path)
    shown = read_image(tmp_path / "sample-1.png")
    assert [path.name for path in tmp_path.iterdir()] == ["sample-1.png"]
    assert shown.shape == (SIDE, 3 * SIDE + 2 * LINE, 3)
    rainy, derained, clean = (
        shown[:, k * (SIDE + LINE) : k * (SIDE + LINE) + SIDE] for k in range(3)
    )
    assert (rainy.min(), rainy.max()) == (255, 255)
    assert np.unique(derained).tolist() == [128]
    assert clean.max() == 0
    assert shown[:, SIDE : SIDE + LINE].min() == 255


def test_the_network_is_shown_as_it_is(run: TrainingRun, tmp_path: Path) -> None:
    class Nothing(torch.nn.Module):
        def forward(self, rainy: torch.Tensor) -> torch.Tensor:
            return rainy

    recipe = find_recipe("petrichor-live", TINY)
    validation = ValidationSet(recipe, run.validation)
    samples = Samples(validation.pairs)
    validation.score(Nothing(), run.device, samples.keep)  # pyright: ignore[reportArgumentType]
    out = tmp_path / "samples"
    out.mkdir()
    samples.write(out)
    for path in sorted(out.iterdir()):
        shown = read_image(path)
        width = (shown.shape[1] - 2 * LINE) // 3
        assert np.array_equal(shown[:, :width], shown[:, width + LINE : 2 * width + LINE])
        assert not np.array_equal(shown[:, :width], shown[:, -width:])
    assert len(list(out.iterdir())) == 3
