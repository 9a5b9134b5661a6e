"""Petrichor: tiles give what the whole picture gives, and it can be exported."""

import numpy as np
import pytest
import torch
from torch import nn

from derain.networks.petrichor import (
    GatedBlock,
    Petrichor,
    PetrichorDeep,
    PetrichorLive,
    PetrichorWide,
    ResidualBlock,
    grown,
)
from derain.restore import Derainer

PARAMETERS: dict[type[Petrichor], int] = {
    Petrichor: 1_036_172,
    PetrichorLive: 253_356,
    PetrichorDeep: 1_665_676,
    PetrichorWide: 4_869_644,
}
LARGER = [PetrichorDeep, PetrichorWide]


def awake(size: type[Petrichor]) -> Petrichor:
    """A network as lively as a trained one; a new one gives back what it is given."""
    torch.manual_seed(0)
    network = size().eval()
    nn.init.normal_(network.out.weight, std=0.02)
    for name, parameter in network.named_parameters():
        if name.endswith("scale"):
            nn.init.ones_(parameter)
    return network


@pytest.mark.parametrize("size", PARAMETERS)
def test_parameters(size: type[Petrichor]) -> None:
    assert sum(parameter.numel() for parameter in size().parameters()) == PARAMETERS[size]


@pytest.mark.parametrize("size", PARAMETERS)
def test_a_new_network_changes_nothing(size: type[Petrichor], seeded: None) -> None:
    rainy = torch.rand(1, 3, 19, 30)
    assert torch.equal(size().eval()(rainy), rainy)


@pytest.mark.parametrize("phase", [0, 7])
@pytest.mark.parametrize("size", PARAMETERS)
def test_a_pixel_changes_what_is_within_reach_and_nothing_beyond(
    size: type[Petrichor], phase: int
) -> None:
    network, reach = awake(size).double(), size.tiling.reach
    assert reach is not None
    middle = (reach + 32) // 8 * 8
    rainy = torch.rand(1, 3, 8, 2 * middle, dtype=torch.double)
    other = rainy.clone()
    column = other[..., middle + phase]
    other[..., middle + phase] = 1 - column
    with torch.inference_mode():
        changed = (network.estimate(rainy) - network.estimate(other)).abs().amax((0, 1, 2))
    distances = (changed.nonzero().flatten() - middle - phase).abs()
    # The last few pixels change by less than rounding shows.
    assert reach - 16 <= int(distances.max()) <= reach


@pytest.mark.parametrize(
    ("size", "upright"), [(Petrichor, False), (PetrichorLive, True), (PetrichorLive, False)]
)
def test_tiles_give_what_the_whole_picture_gives(size: type[Petrichor], upright: bool) -> None:
    network = awake(size)
    tile = 4 * size.tiling.overlap
    shape = (tile * 5 // 8 + 3, 2 * tile - 24)
    image = np.random.default_rng(0).random((*(shape[::-1] if upright else shape), 3), np.float32)
    done: list[tuple[str, int, int]] = []

    def note(stage: str, count: int, total: int) -> None:
        done.append((stage, count, total))

    whole = Derainer(network, tile=0, device="cpu")(image)
    tiled = Derainer(network, tile=tile, device="cpu")(image, note)
    assert done == [("tiles", k, 3) for k in (1, 2, 3)]
    assert np.abs(tiled - whole).max() < 1e-5
    # Two tiles that share 24 pixels.
    careless = Derainer(network, tile=tile, overlap=16, device="cpu")(image)
    assert np.abs(careless - whole).max() > 1e-3


@pytest.mark.parametrize("size", [Petrichor, PetrichorLive])
def test_one_exported_graph_takes_every_size_of_its_grid(size: type[Petrichor]) -> None:
    network = awake(size)
    dynamic = {2: torch.export.Dim.AUTO, 3: torch.export.Dim.AUTO}
    graph = torch.export.export(
        network, (torch.rand(1, 3, 40, 56),), dynamic_shapes=(dynamic,)
    ).module()
    for shape in ((40, 48), (16, 136), (64, 64)):
        rainy = torch.rand(1, 3, *shape)
        assert torch.allclose(graph(rainy), network(rainy), atol=1e-5)


@pytest.mark.parametrize("size", LARGER)
def test_a_grown_network_computes_the_same(size: type[Petrichor]) -> None:
    small = awake(Petrichor)
    large = grown(small, size).eval()
    assert type(large) is size
    rainy = torch.rand(1, 3, 50, 61)
    with torch.inference_mode():
        expected, found = small.estimate(rainy), large.estimate(rainy)
    assert float((expected - rainy).abs().max()) > 0.1  # it does something at all
    assert torch.allclose(found, expected, rtol=0, atol=1e-6)


def is_identity(block: nn.Module) -> bool:
    """Whether a block adds nothing."""
    parameters = (
        [block.second.weight, block.second.bias] if isinstance(block, ResidualBlock) else []
    )
    if isinstance(block, GatedBlock):
        parameters = [block.scale]
    return not any(bool(parameter.any()) for parameter in parameters if parameter is not None)


@pytest.mark.parametrize("size", LARGER)
def test_new_blocks_begin_as_identities_and_learn(size: type[Petrichor]) -> None:
    large = grown(awake(Petrichor), size)
    blocks = [block for block in large.modules() if isinstance(block, GatedBlock | ResidualBlock)]
    new = [block for block in blocks if is_identity(block)]
    fine, middle, coarse = (
        now - then for then, now in zip(Petrichor.blocks, size.blocks, strict=True)
    )
    assert len(new) == 2 * fine + 2 * middle + coarse
    rainy, clean = torch.rand(2, 3, 32, 32), torch.rand(2, 3, 32, 32)
    torch.stack(list(large.loss(rainy, clean).values())).sum().backward()
    for block in new:
        opened = (
            block.scale if isinstance(block, GatedBlock) else block.get_parameter("second.weight")
        )
        assert opened.grad is not None
        assert bool(opened.grad.any())
    # Behind what is zero, gradients come with the second step.
    torch.optim.SGD(large.parameters(), lr=0.1).step()
    large.zero_grad()
    torch.stack(list(large.loss(rainy, clean).values())).sum().backward()
    still = [
        name for name, p in large.named_parameters() if p.grad is None or not bool(p.grad.any())
    ]
    assert still == []


def test_doubled_channels_learn_different_things() -> None:
    large = grown(awake(Petrichor), PetrichorWide)
    torch.stack(
        list(large.loss(torch.rand(2, 3, 32, 32), torch.rand(2, 3, 32, 32)).values())
    ).sum().backward()
    for name in ("door.weight", "to_coarse.weight", "coarse.3.mix.weight"):
        gradient = large.get_parameter(name).grad
        assert gradient is not None
        first, second = gradient.chunk(2)
        assert not torch.allclose(first, second, rtol=0.01), name


def test_growing_is_the_same_from_the_same_seed() -> None:
    small = awake(Petrichor)
    first, again, other = (grown(small, PetrichorWide, seed).state_dict() for seed in (3, 3, 4))
    shared = "coarse.0.spread.weight"
    assert torch.equal(first[shared], again[shared])
    assert not torch.equal(first[shared], other[shared])


def test_what_does_not_grow_is_refused() -> None:
    with pytest.raises(
        ValueError,
        match=r"widths \(32, 64, 160\) do not grow to \(16, 48, 96\); expected the same or twice",
    ):
        grown(Petrichor(), PetrichorLive)
    with pytest.raises(
        ValueError,
        match=r"blocks \(7, 6, 14\) do not grow to \(1, 3, 10\); expected at least as many",
    ):
        grown(PetrichorDeep(), Petrichor)
