r"""Put trained weights into the package: round them to float16, score them, write card and file.

A Petrichor is also written as an ONNX graph, whose weights are those of the file. The hashes are
listed in the catalogue. The card already says how the weights were trained; validation scores are
measured again, in the same way for all: on middles of 192x192 pixels of CLEAN/val under the seeded
rain of the weights' recipe. With `--still CLIP` the card also holds the gain on real rain before a
still camera, as `benchmarks.quality.still_camera` measures it.

    python -m tools.zoo.ship_weights runs/zoo/nledn/stage-2/best.safetensors nledn CLEAN \
        Rain100L-dev10 Rain100H-dev10
"""

import tempfile
from dataclasses import replace
from pathlib import Path

import torch

from benchmarks.command import new_parser
from benchmarks.machine import describe_machine
from benchmarks.quality.still_camera import card_key, still_frames, still_scores
from derain.data import find_pairs
from derain.engines.shipped import write_graph
from derain.evaluate import evaluate, to_json, to_markdown
from derain.files import file_digest
from derain.networks import Network, Petrichor
from derain.recipes import find_recipe
from derain.restore import Derainer
from derain.train import ValidationSet, on_a_card
from derain.weights import Card, catalogue, store


def main() -> None:
    """Round, score, and write the weights."""
    parser = new_parser(__doc__)
    parser.add_argument("weights", type=Path)
    parser.add_argument("name", help="of the recipe, and of a row in derain/weights/catalogue.json")
    parser.add_argument("clean", type=Path, help="holds val/ of clean pictures")
    parser.add_argument("datasets", nargs="*", type=Path)
    parser.add_argument(
        "--data", help="what they were trained on, in words; default: what their card says"
    )
    parser.add_argument(
        "--failures",
        help="what they were seen to do badly; default, as for --note: as the weights before",
    )
    parser.add_argument("--note")
    parser.add_argument("--still", type=Path, metavar="CLIP", help="from a still camera, in rain")
    parser.add_argument("--json", type=Path, help="where all scores go, for results_tables.py")
    arguments = parser.parse_args()
    target = catalogue.FOLDER / f"{arguments.name}.safetensors"
    network, card = store.load(arguments.weights)
    check(arguments.name, card)
    still = still_frames(arguments.still) if arguments.still else []
    before = store.load(target)[1] if target.exists() else card
    said = {"failures": before.failures, "note": before.note} | {
        key: value
        for key in ("data", "failures", "note")
        if (value := getattr(arguments, key)) is not None
    }
    # What the package ships is under its licence.
    card = replace(card, **{"name": arguments.name, "licence": "Apache-2.0"} | said)
    # The file in the package stays as it is listed until all scores are known.
    with tempfile.TemporaryDirectory() as folder:
        draft = Path(folder) / target.name
        store.save(network, card, draft, torch.float16)
        rounded, _ = store.load(draft)
    evaluations = [
        evaluate(Derainer(rounded, name=arguments.name), find_pairs(folder))
        for folder in arguments.datasets
    ]
    scores = validation_scores(rounded, arguments.name, arguments.clean) | {
        f"{evaluation.dataset} {score.protocol}": f"{score.psnr:.2f} / {score.ssim:.4f}"
        for evaluation in evaluations
        for score in (evaluation.mean(protocol) for protocol in evaluation.protocols)
    }
    if still:
        score = still_scores(still, Derainer(rounded, name=arguments.name))
        scores[card_key(arguments.still)] = f"{score.gain:+.2f}"
        print(f"{arguments.still}: {score.psnr:.2f} dB, {score.gain:+.2f} over the input")
    ship(rounded, replace(card, scores=scores), target)
    if evaluations:
        print(to_markdown(evaluations))
    if arguments.json:
        arguments.json.write_text(to_json(evaluations))
    print(f"\n{arguments.name}: {target.stat().st_size} bytes. {scores}")
    print(f"Measured on {describe_machine()}.")


def check(name: str, card: Card) -> None:
    """Check that the weights fit their name, before minutes of scoring.

    Raises:
        ValueError: If the weights are of another network than the recipe of the name, or the
            catalogue has no row for them.
    """
    if find_recipe(name).network != card.network:
        raise ValueError(
            f"{name}: expected weights of {find_recipe(name).network}, found {card.network}"
        )
    if name not in catalogue.read_rows(catalogue.TABLE):
        raise ValueError(f"{catalogue.TABLE}: no row of {name}; expected one to put the hash into")


def validation_scores(network: Network, name: str, clean: Path) -> dict[str, str]:
    """Return scores over the whole validation set, worded as the trainer words them."""
    found = ValidationSet(find_recipe(name), clean / "val").score(network, torch.device("cpu"))
    return on_a_card(found)


def ship(network: Network, card: Card, target: Path) -> None:
    """Write weights and, of a Petrichor, the graph beside them; list the hashes of both.

    Args:
        network: Its weights are numbers of float16.
        card: Goes into both files.
        target: The weights file; its name without the suffix is that of a row of the catalogue.
    """
    row = catalogue.read_rows(catalogue.TABLE)[target.stem]
    target.parent.mkdir(parents=True, exist_ok=True)
    # A graph refers to places in its weights file: the package never holds one without the other.
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        draft = Path(folder) / target.name
        store.save(network, card, draft, torch.float16)
        row = replace(row, sha256=file_digest(draft))
        if isinstance(network, Petrichor):
            graph = draft.with_suffix(".onnx")
            write_graph(network, store.load(draft)[1], draft, graph)
            row = replace(row, graph=file_digest(graph))
            graph.replace(target.with_suffix(".onnx"))
        draft.replace(target)
    catalogue.replace_row(catalogue.TABLE, row)


if __name__ == "__main__":
    main()
