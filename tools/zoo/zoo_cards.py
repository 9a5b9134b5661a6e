"""Print docs/zoo.md, a card for each set of weights; draw score against compute.

    python -m tools.zoo.zoo_cards --plot docs/zoo-curves.png > docs/zoo.md

All that it prints is taken from the weights' own cards.
"""

import json
import statistics
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.command import new_parser
from benchmarks.quality.still_camera import KEY_WORD
from benchmarks.tables import table_head, table_row
from derain import weights
from derain.networks import NETWORKS, Network
from derain.networks.cost import multiply_adds
from derain.train.batches import LONG_SIDE
from derain.weights import CATALOGUE, Card, Stage, loading
from derain.weights.facts import MACS_SIDE

HEAD = """# The zoo

These are the cards of the weights inside the package. `derain weights show NAME` prints the same,
and `tools/zoo/zoo_cards.py` printed this page. Validation is the mean PSNR (`y-matlab`) of the
middles (192x192; CRDNet's of the whole) of twenty photographs that were held out from training,
under seeded rain of the named presets. `rain100h` came closer to Rain100H at commit 93debc3, and
the same weights score up to half a decibel less under it. The older points of all curves are under
the old one, and all scores under the new one. Test scores are for ten pictures each of Rain100L and
Rain100H and for Rain12, whole, in float32. All weights are under the licence of the package, and
were never trained on a benchmark picture.

![Validation score against the operations spent](zoo-curves.png)
"""
FORWARD_AND_BACKWARD = 3
"""Times the multiply-adds of a forward pass that a training step takes."""


@dataclass(frozen=True)
class Spent:
    """PSNR in dB by kind of rain, and the multiply-adds that had been spent by then."""

    operations: float
    scores: dict[str, float]


def main() -> None:
    """Print the page and draw the plot."""
    parser = new_parser(__doc__)
    parser.add_argument("--plot", type=Path)
    arguments = parser.parse_args()
    cards = {name: weights.find_card(name) for name in CATALOGUE}
    print(HEAD + "\n".join(line for card in cards.values() for line in describe(card)))
    if arguments.plot:
        draw({name: curve for name in cards if (curve := spent(name, cards[name]))}, arguments.plot)


def describe(card: Card) -> Iterator[str]:
    """Yield the card of some weights as lines of Markdown."""
    yield f"\n## {card.name}\n"
    rows = {
        "network": card.network + (f", {hyperparameters_of(card)}" if card.hyperparameters else ""),
        "trained on": card.data,
        "rain": ", ".join(f"`{name}`" for name in card.rain.split(", ")) if card.rain else "",
        "steps, hours": f"{card.steps:,} in {card.hours:.2f} h",
        "validation, dB": ", ".join(
            f"{key.split()[1]} {value}" for key, value in card.scores.items() if is_validation(key)
        ),
        "real rain, still camera": still_gains(card),
        "file": f"{CATALOGUE[card.name].path.stat().st_size / 1e6:.2f} MB",
        "known failures": card.failures,
        "note": card.note,
        "licence": card.licence,
    }
    yield "| | |\n|---|---|"
    yield from (table_row(name, value) for name, value in rows.items() if value)
    yield from score_table(card)
    if card.history:
        columns = ("recipe", "began from", "steps", "batch, crop", "rate", "hours", "on")
        yield "\n" + table_head("stage", *columns)
        yield from (stage_row(number, stage) for number, stage in enumerate(card.history, start=1))


def score_table(card: Card) -> Iterator[str]:
    """Yield the lines of the test scores, a row for each dataset."""
    tests = {tuple(key.split(" ")): value for key, value in card.scores.items() if is_test(key)}
    protocols = ("y-matlab", "y-pil", "rgb")
    if tests:
        yield "\n" + table_head("PSNR in dB / SSIM", *protocols)
    for dataset in sorted({key[0] for key in tests}, reverse=True):
        yield table_row(dataset, *(tests.get((dataset, name), "") for name in protocols))


def is_validation(key: str) -> bool:
    """Return whether a score of a card is one of validation."""
    return key.startswith("validation ")


def is_still(key: str) -> bool:
    """Return whether a score of a card is of a clip from a still camera."""
    return key.split(" ")[1:2] == [KEY_WORD]


def is_test(key: str) -> bool:
    """Return whether a score of a card is of a test set."""
    return not is_validation(key) and not is_still(key)


def still_gains(card: Card) -> str:
    """Return the gain in dB on each clip, with its protocol."""
    gains: list[str] = []
    for key, value in card.scores.items():
        if is_still(key):
            clip, _, protocol, _ = key.split(" ")
            gains.append(f"`{clip}` {value} dB over the input, `{protocol}`")
    return "; ".join(gains)


def hyperparameters_of(card: Card) -> str:
    """Return the hyperparameters of a card in one line."""
    return ", ".join(f"{key}={value}" for key, value in card.hyperparameters.items())


def recipe_of(stage: Stage) -> dict[str, Any]:
    """Return a stage's settings; empty where the card only names the recipe."""
    try:
        return json.loads(stage.recipe)
    except ValueError:
        return {}


def stage_row(number: int, stage: Stage) -> str:
    """Return the row of a stage."""
    recipe = recipe_of(stage)
    where = f"{stage.machine}{f'; commit {stage.commit}' if stage.commit else ''}"
    began = recipe.get("init") or "random weights"
    size = f"{recipe.get('batch', '?')}, {recipe.get('crop', '?')}"
    name, rate, hours = recipe.get("name", "?"), recipe.get("lr", "?"), f"{stage.hours:.2f}"
    return table_row(number, f"`{name}`", began, f"{stage.steps:,}", size, rate, hours, where)


def spent(name: str, card: Card) -> list[list[Spent]]:
    """Return the validations of each stage that lists them, with the multiply-adds spent so far."""
    own = per_pixel_of(loading.find(name)[0])
    before, curves = 0.0, list[list[Spent]]()
    for stage in card.history:
        recipe = recipe_of(stage)
        trained = recipe.get("network", card.network)
        grew = trained != card.network  # from a smaller network, whose steps cost less
        per_pixel = per_pixel_of(NETWORKS[trained]()) if grew else own
        per_step = per_pixel * recipe.get("batch", 4) * (recipe.get("crop") or LONG_SIDE) ** 2
        if stage.curve:
            curves.append(
                [Spent(before + point.step * per_step, point.scores) for point in stage.curve]
            )
        before += stage.steps * per_step
    return curves


def per_pixel_of(network: Network) -> float:
    """Return the multiply-adds of a training step for each pixel."""
    return (
        (multiply_adds(network, (MACS_SIDE, MACS_SIDE)) or 0) / MACS_SIDE**2 * FORWARD_AND_BACKWARD
    )


def draw(curves: dict[str, list[list[Spent]]], target: Path) -> None:
    """Draw a panel for both kinds of validation rain and one for each, by operations spent."""
    import matplotlib as mpl

    mpl.use("agg")
    from matplotlib import pyplot as plt
    from matplotlib.ticker import NullFormatter

    figure, panels = plt.subplots(1, 3, figsize=(13, 4.2), layout="constrained")
    both = ("rain100l", "rain100h")
    kinds = {"mean of both": both, "light rain": both[:1], "heavy rain": both[1:]}
    colours = {
        "petrichor": "#0072b2",
        "petrichor-live": "#56b4e9",
        "petrichor-deep": "#000000",
        "nledn": "#d55e00",
        "dpenet": "#009e73",
        "remaen": "#cc79a7",
        "crdnet": "#e69f00",
    }
    for panel, (title, rains) in zip(panels, kinds.items(), strict=True):
        for name, stages in curves.items():
            for number, stage in enumerate(stages):
                xs = [point.operations / 1e12 for point in stage]
                ys = [statistics.mean(point.scores[rain] for rain in rains) for point in stage]
                label = name if number == 0 else None
                panel.plot(xs, ys, ".-", color=colours[name], markersize=5, label=label)
        panel.set_title(title)
        panel.set_xlabel("10¹² multiply-adds spent")
        panel.set_ylabel("validation PSNR, dB (y-matlab)")
        panel.set_xscale("log")
        panel.xaxis.set_minor_formatter(NullFormatter())
        panel.set_xlim(10, 20_000)
        panel.grid(alpha=0.3)
    # The last panel holds every name, and no corner of it is free.
    handles, names = panels[-1].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=len(names), fontsize=8)
    figure.savefig(target, dpi=110)


if __name__ == "__main__":
    main()
