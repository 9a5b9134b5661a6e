"""Print tables of docs/results.md from JSON files of scores.

`derain evaluate --json`, `benchmarks.quality.scores --json` and `tools.zoo.ship_weights --json`
write such files. The first table shows every model on every dataset. The second is laid out as the
papers' Table 1: published checkpoint, shipped weights and the paper's figure, under the paper's
protocol and `y-matlab`.

    python -m benchmarks.quality.results_tables scores/*.json
"""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks.command import new_parser
from benchmarks.tables import table_head, table_row

JsonScores = dict[str, Any]
"""Scores of a model on a dataset, as the files hold them."""


def main() -> None:
    """Print both tables."""
    parser = new_parser(__doc__)
    parser.add_argument("scores", nargs="+", type=Path)
    arguments = parser.parse_args()
    rows: list[JsonScores] = [
        row for path in arguments.scores for row in json.loads(path.read_text())
    ]
    print("\n".join([*across_sets(rows), "", *beside_papers(rows)]))


def across_sets(rows: Sequence[JsonScores]) -> Iterator[str]:
    """Yield a line for each model: PSNR / SSIM (y-matlab), and the gain over the input."""
    datasets = list(dict.fromkeys(row["dataset"] for row in rows))
    yield table_head("model", *datasets)
    inputs = {row["dataset"]: score_of(row, "y-matlab", "rainy") for row in rows}
    yield table_row("rainy input", *(cell(inputs[dataset]) for dataset in datasets))
    for model in dict.fromkeys(row["model"] for row in rows):
        scores = {
            row["dataset"]: score_of(row, "y-matlab") for row in rows if row["model"] == model
        }
        gains = {
            name: f"{score['psnr'] - inputs[name]['psnr']:+.1f}" for name, score in scores.items()
        }
        cells = [
            f"{cell(scores[name])} ({gains[name]})" if name in scores else "" for name in datasets
        ]
        yield table_row(f"`{model}`", *cells)


def beside_papers(rows: Sequence[JsonScores]) -> Iterator[str]:
    """Yield a line for each model and dataset for which its paper prints a figure."""
    heads = [
        "network",
        "dataset",
        "model",
        "y-matlab",
        "as the paper",
        "that is",
        "the paper's figure, whole set",
    ]
    yield table_head(*heads)
    for row in sorted(rows, key=lambda row: (row["network"], row["dataset"])):
        paper = row["paper"]
        if paper:
            ours = [cell(score_of(row, protocol)) for protocol in ("y-matlab", paper["protocol"])]
            theirs = [paper["protocol"], f"{paper['psnr']} / {paper['ssim']}"]
            cells = [row["network"], row["dataset"], f"`{row['model']}`", *ours, *theirs]
            yield table_row(*cells)


def score_of(row: JsonScores, protocol: str, of: str = "output") -> JsonScores:
    """Return mean PSNR and SSIM under a protocol.

    Raises:
        SystemExit: If the file does not hold the protocol.
    """
    found = [score for score in row["mean"][of] if score["protocol"] == protocol]
    if not found:
        raise SystemExit(
            f"{row['model']} on {row['dataset']}: not scored under {protocol}, which the tables"
            " want"
        )
    return found[0]


def cell(score: JsonScores) -> str:
    """Return a score as the tables print it."""
    return f"{score['psnr']:.2f} / {score['ssim']:.4f}"


if __name__ == "__main__":
    main()
