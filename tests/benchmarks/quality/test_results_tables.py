"""The tables of docs/results.md."""

from benchmarks.quality import results_tables
from derain.evaluate import to_json


def row(
    model: str, dataset: str, psnr: float, paper: dict[str, str] | None = None
) -> results_tables.JsonScores:
    means = {
        of: [
            {"protocol": protocol, "psnr": value, "ssim": 0.9} for protocol in ("y-matlab", "y-pil")
        ]
        for of, value in (("rainy", 20.0), ("output", psnr))
    }
    return {"model": model, "network": "NLEDN", "dataset": dataset, "mean": means, "paper": paper}


def test_tables_across_sets_and_beside_papers() -> None:
    paper = {"protocol": "y-pil", "psnr": "36.57", "ssim": "0.9747"}
    rows = [row("a", "light", 31.0, paper), row("a", "heavy", 25.0), row("b", "light", 19.5, paper)]
    across = list(results_tables.across_sets(rows))
    assert across[1] == "| rainy input | 20.00 / 0.9000 | 20.00 / 0.9000 |"
    assert across[2] == "| `a` | 31.00 / 0.9000 (+11.0) | 25.00 / 0.9000 (+5.0) |"
    assert across[3] == "| `b` | 19.50 / 0.9000 (-0.5) |  |"
    beside = list(results_tables.beside_papers(rows))
    assert beside[1:] == [
        "| NLEDN | light | `a` | 31.00 / 0.9000 | 31.00 / 0.9000 | y-pil | 36.57 / 0.9747 |",
        "| NLEDN | light | `b` | 19.50 / 0.9000 | 19.50 / 0.9000 | y-pil | 36.57 / 0.9747 |",
    ]
    assert to_json([]) == "[]"  # what the scripts write and this reads
