"""The figures that papers print."""

import pytest

from derain.evaluate import PAPER_SCORES, paper_score


@pytest.mark.parametrize(
    ("network", "dataset", "psnr"),
    [
        ("NLEDN", "Rain100L", "36.57"),
        ("NLEDN", "rain100h-dev10", "30.38"),
        ("ReMAEN", "Rain100H", "28.97"),
        ("ReMAEN", "DDN-sample3", "32.31"),
        ("NLEDN", "DID-MDN", "33.16"),
        ("NLEDN", "Rain1000", None),
        ("NLEDN", "Rain100Large", None),
        ("NLEDN", "Rain800", None),
        ("DPENet", "Rain100L", None),
    ],
)
def test_papers_figures_are_found_by_the_datasets_name(
    network: str, dataset: str, psnr: str | None
) -> None:
    found = paper_score(network, dataset)
    assert (found.psnr if found else None) == psnr


@pytest.mark.torch
def test_papers_figures_are_of_networks_that_are_here() -> None:
    from derain.networks import NETWORKS

    assert {entry.network for entry in PAPER_SCORES} <= {
        type(NETWORKS[name]()).__name__ for name in NETWORKS
    }
