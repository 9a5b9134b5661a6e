"""Average several weights of one network, score the mean and its parts, and write it.

Weights that come from the same ones by different stages often do better in the mean (Wortsman et
al., Model soups, ICML 2022). All are scored on the whole pictures of CLEAN/val, whatever they were
trained on. The card lists the stages of the first weights. With `--still CLIP` each is also scored
on real rain before a still camera, as `benchmarks.quality.still_camera` does.

    python -m tools.zoo.means CLEAN runs/nledn/best.safetensors nledn --out runs/mean.safetensors
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn

from benchmarks.command import new_parser
from benchmarks.machine import describe_machine
from benchmarks.quality.still_camera import still_frames, still_scores
from derain import train
from derain.engines.pytorch import choose_device
from derain.networks import Network
from derain.recipes import find_recipe
from derain.restore import Derainer
from derain.train import on_a_card
from derain.weights import loading, store


def main() -> None:
    """Score each, then the mean, and write it where asked to."""
    parser = new_parser(__doc__)
    parser.add_argument("clean", type=Path, help="holds val/ of clean pictures")
    parser.add_argument(
        "weights", nargs="+", help="names or files; one that is given twice counts twice"
    )
    parser.add_argument("--out", type=Path)
    parser.add_argument("--still", type=Path, metavar="CLIP", help="from a still camera, in rain")
    parser.add_argument("--device", default="auto")
    arguments = parser.parse_args()
    still = still_frames(arguments.still) if arguments.still else []
    found = {name: loading.find(name) for name in arguments.weights}
    card = next(iter(found.values()))[1]
    # The recipe of the network's name validates on light and on heavy rain.
    recipe = replace(find_recipe(card.network), validation_crop=None)
    device = choose_device(arguments.device)
    validation = train.ValidationSet(recipe, arguments.clean / "val")
    mean = mean_of([found[name][0] for name in arguments.weights])
    scores: dict[str, float] = {}
    networks = {name: network for name, (network, _) in found.items()} | {"their mean": mean}
    for name, network in networks.items():
        cast("nn.Module", network).to(device).eval()
        scores = validation.score(network, device)
        words = [f"{rain} {score:.2f} dB" for rain, score in scores.items()]
        if still:
            score = still_scores(still, Derainer(network, device=arguments.device))
            words.append(f"still camera {score.psnr:.2f} dB ({score.gain:+.2f})")
        print(f"{name}: {', '.join(words)}", flush=True)
    print(f"y-matlab, whole pictures, float32. Measured on {describe_machine()}.")
    if arguments.out:
        others = ", ".join(Path(name).name for name in arguments.weights[1:])
        note = "; ".join(filter(None, [card.note, f"the mean of these weights and of {others}"]))
        # The scores are the mean's, which came last.
        store.save(mean, replace(card, note=note, scores=on_a_card(scores)), arguments.out)


def mean_of(networks: Sequence[Network]) -> Network:
    """Return a network with the mean weights of several.

    Raises:
        ValueError: If they are not of one network with the same hyperparameters.
    """
    first = networks[0]
    if any(
        type(other) is not type(first) or other.hyperparameters != first.hyperparameters
        for other in networks
    ):
        raise ValueError(
            "weights of different networks have no mean; expected the same network and"
            " hyperparameters"
        )
    states = [cast("nn.Module", network).state_dict() for network in networks]
    mean: dict[str, Tensor] = {}
    for key, value in states[0].items():
        stacked = torch.stack([state[key] for state in states])
        mean[key] = stacked.mean(dim=0) if value.is_floating_point() else value
    made = type(first)(**first.hyperparameters)
    cast("nn.Module", made).load_state_dict(mean)
    return made


if __name__ == "__main__":
    main()
