"""Reads the authors' own checkpoints, recognised by the names of their tensors.

One module for each network says what its authors call the tensors. `tensorflow_bundle` and
`pickled` read the two file formats; nothing pickled is ever run.
"""

from pathlib import Path

from torch import Tensor

from derain.errors import UsageError
from derain.networks import NETWORKS, Network
from derain.weights.authors import crdnet, dpenet, nledn, remaen, tensorflow_bundle
from derain.weights.authors.pickled import read_pickle
from derain.weights.authors.reader import Reader, Tensors
from derain.weights.card import Card
from derain.weights.checkpoints import is_bundle, is_parts_folder
from derain.weights.header import WeightsError

__all__ = ["READERS", "load"]

READERS: dict[str, Reader] = {
    "nledn": nledn.READER,
    "remaen": remaen.READER,
    "crdnet": crdnet.READER,
    "dpenet": dpenet.READER,
}
"""By the network's name."""


def load(path: Path, *, bgr: bool = False) -> tuple[Network, Card]:
    """Return the network that an authors' checkpoint holds, in evaluation mode, and a card.

    Args:
        path: A ``.pth`` file; any file of a TensorFlow checkpoint, or the name these share; or a
            folder of CRDNet's.
        bgr: The weights were trained on BGR pictures, as ReMAEN's authors do; the network that
            comes back takes RGB.

    Raises:
        FileNotFoundError: If there is no such file.
        UsageError: If ``bgr`` is given for a network whose authors train on RGB pictures.
        WeightsError: If the file cannot be read safely, or is of no network known here.
    """
    tensors = _read_tensors(path)
    found = next((name for name, reader in READERS.items() if reader.recognises(tensors)), None)
    if found is None:
        raise _unknown(path, list(tensors))
    if bgr and READERS[found].from_bgr is None:
        raise UsageError(
            f"{found}'s authors train on RGB pictures, and {path} is theirs; leave it out",
            option="bgr",
        )
    network = _build(found, path, tensors, bgr=bgr)
    return network.eval(), Card(
        name=path.absolute().stem,
        network=found,
        hyperparameters=network.hyperparameters,
        recipe="published by the authors",
        licence="none stated by the authors",
        note=f"imported from {path.name}{_channels(READERS[found], bgr=bgr)}",
    )


def _build(name: str, path: Path, tensors: Tensors, *, bgr: bool) -> Network:
    reader = READERS[name]
    try:
        network = NETWORKS[name](**reader.hyperparameters(tensors))
        network.load_state_dict(reader.convert(tensors))
        if bgr and reader.from_bgr:
            network.load_state_dict(reader.from_bgr(network.state_dict()))
    except (KeyError, RuntimeError, ValueError) as error:
        reason = " ".join(str(error).split())[:300]
        raise WeightsError(
            f"{path}: looks like the authors' {name}, but is not complete ({reason})"
        ) from None
    return network


def _channels(reader: Reader, *, bgr: bool) -> str:
    """Return what a card says of the order of channels, for networks that may take BGR."""
    if reader.from_bgr is None:
        return ""
    return (
        ", turned from BGR pictures to RGB"
        if bgr
        else ", taken to be for RGB pictures; the authors' own are for BGR: --bgr"
    )


def _unknown(path: Path, names: list[str]) -> WeightsError:
    found = ", ".join(names[:4]) or "nothing"
    return WeightsError(
        f"{path}: no network known here has these weights; found {len(names)} tensors ({found}, …),"
        f" expected an authors' checkpoint of {', '.join(READERS)}"
    )


def _read_tensors(path: Path) -> dict[str, Tensor]:
    """Return all tensors of a checkpoint of any format."""
    if is_bundle(path):
        # The index comes first: the data of something else may be large.
        names = tensorflow_bundle.read_index(path)
        if not remaen.recognises(names):
            raise _unknown(path, list(names))
        return remaen.read_bundle(path)
    if is_parts_folder(path):
        return crdnet.read_folder(path)
    return read_pickle(path)
