"""Reads the checkpoints of CRDNet's authors: folders of parts, with a file for each epoch."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path

from torch import Tensor

from derain.files import is_litter
from derain.networks import Hyperparameters
from derain.networks.crdnet import CLASSIFIER_WIDTHS
from derain.weights.authors.pickled import read_content
from derain.weights.authors.reader import BATCH_NORM, Reader, Renaming, Tensors
from derain.weights.authors.search import Held, held_in, largest
from derain.weights.authors.stored import Stored
from derain.weights.header import WeightsError

PARTS = {
    "stage1": "extractor",
    "stage2": "background",
    "derain": "refinement",
    "refine": "refinement",
    "classfy": "classifier",
}
"""The folders of the authors, and the part of the network whose weights each holds."""


PART_MARKERS = {
    "extractor": frozenset({"conv_3_0.conv1.weight"}),
    "background": frozenset({"encode1.conv1.weight"}),
    "refinement": frozenset({"high1.conv1.weight"}),
    "classifier": frozenset[str](),
}
"""Names of tensors that the file of a part has."""


def read_folder(folder: Path) -> Held:
    """Return the tensors of all parts, of the last epoch of which every part has a file.

    The classifier is not needed to derain: it is read if it has a file of that epoch.

    Raises:
        WeightsError: If no epoch has all parts, or a part is there twice.
    """
    parts = _parts_in(folder)
    epochs = {
        part: {path.stem: path for path in place.glob("*.pth") if not is_litter(path.name)}
        for part, place in parts.items()
    }
    common = set.intersection(
        *(set(files) for part, files in epochs.items() if part != "classifier")
    )
    if not common:
        found = "; ".join(
            f"{parts[part].name}: {', '.join(sorted(files)) or 'none'}"
            for part, files in epochs.items()
        )
        raise WeightsError(
            f"{folder}: expected a .pth file of one epoch's name in each of its parts, found"
            f" {found}"
        )
    last = max(common, key=_epoch)
    chosen = {part: files[last] for part, files in epochs.items() if last in files}
    return Held(
        (),
        {
            f"{part}.{key}": value
            for part, file in chosen.items()
            for key, value in _tensors_of(part, file).items()
        },
    )


def _tensors_of(part: str, file: Path) -> dict[str, Stored]:
    """Return the tensors in the file of a part."""
    helds = held_in(read_content(file).tree)
    found = [choice for held in helds for choice in held.stripped(PART_MARKERS[part])]
    return largest(found or helds).tensors if helds else {}


def _parts_in(folder: Path) -> dict[str, Path]:
    """Return the folders of a checkpoint, by the part of the network.

    Raises:
        WeightsError: If two hold the same part.
    """
    found = [(part, folder / name) for name, part in PARTS.items() if (folder / name).is_dir()]
    if len(dict(found)) < len(found):
        raise WeightsError(f"{folder}: holds both derain/ and refine/; expected one of them")
    return dict(found)


def _epoch(name: str) -> tuple[int, str]:
    """Return a sort key for names of epochs: the last number in them."""
    numbers = re.findall(r"\d+", name)
    return (int(numbers[-1]) if numbers else -1, name)


MARKERS = frozenset({"extractor.conv_3_0.conv1.weight", "background.encode1.conv1.weight"})


def _hyperparameters(tensors: Mapping[str, Stored]) -> Hyperparameters:
    has_classifier = any(key.startswith("classifier.") for key in tensors)
    return {"classifier": "paper" if has_classifier else "none"}


def _convert(tensors: Tensors) -> dict[str, Tensor]:
    """Rename, and turn the kernels of the transposed convolutions into those of convolutions."""
    names = Renaming(tensors)
    for stream, label in enumerate((3, 7, 9)):
        for k in range(3):
            _move_block(names, f"extractor.conv_{label}_{k}", f"extractor.down.{stream}.{k}")
    for k in range(3):
        _move_block(names, f"extractor.deconv_3_{k}", f"extractor.up.{k}", _turned)
    for k in range(5):
        _move_block(names, f"background.encode{k + 1}", f"background.first_down.{k}")
        _move_block(names, f"background.decode{k + 2}", f"background.first_up.{k}", _turned)
        _move_block(names, f"background.eencode{k + 1}", f"background.second_down.{k}")
        _move_block(names, f"background.ddecode{k + 1}", f"background.second_up.{k}", _turned)
    for theirs, ours in (("high1", "rain"), ("conv1", "merge"), ("conv2", "exit")):
        names.move(f"refinement.{theirs}.conv1", f"refinement.{ours}.0")
        names.move(f"refinement.{theirs}.conv2", f"refinement.{ours}.2")
    _move_classifier(names)
    return names.result()


def _move_block(
    names: Renaming, theirs: str, ours: str, change: Callable[[Tensor], Tensor] = lambda t: t
) -> None:
    names.move(f"{theirs}.conv1", f"{ours}.first", change)
    names.move(f"{theirs}.bn", f"{ours}.norm", parts=BATCH_NORM)
    names.move(f"{theirs}.conv2", f"{ours}.second", change)


def _turned(tensor: Tensor) -> Tensor:
    """Turn the kernel of a transposed convolution of stride 1 into a convolution's.

    A kernel (in, out, k, k) becomes (out, in, k, k), rotated by half a turn; a bias stays.
    """
    return tensor.transpose(0, 1).flip(2, 3) if tensor.ndim == 4 else tensor


def _move_classifier(names: Renaming) -> None:
    """Rename the layers of the classifier's file, known by their shapes: each occurs once."""
    shapes = {
        key.removesuffix(".weight"): value.shape
        for key, value in names.remaining.items()
        if key.endswith(".weight")
    }
    for theirs, shape in shapes.items():
        if not theirs.startswith("classifier."):
            continue
        kind = {4: "convs", 1: "norms", 2: "linears"}.get(len(shape), "")
        order: list[int] = [4096, 1000, 3] if kind == "linears" else list(CLASSIFIER_WIDTHS)
        if kind and shape[0] in order:
            parts = BATCH_NORM if kind == "norms" else "weight bias"
            names.move(theirs, f"classifier.{kind}.{order.index(shape[0])}", parts=parts)


READER = Reader(MARKERS, _convert, _hyperparameters)
