"""Reads checkpoints of other origin, recognised by the names of their tensors.

One module for each network says what its authors call the tensors. `pickled`, `tensorflow_bundle`
and `foreign` read the file formats, `search` finds the network in what they hold; nothing pickled
is ever run.
"""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from torch import Tensor

from derain.errors import UsageError
from derain.files import listed
from derain.networks import Network
from derain.weights.authors import crdnet, dpenet, nledn, own, remaen, tensorflow_bundle
from derain.weights.authors.foreign import read_safetensors
from derain.weights.authors.pickled import Content, read_content
from derain.weights.authors.reader import Reader
from derain.weights.authors.search import Held, describe, held_in
from derain.weights.authors.stored import read_all
from derain.weights.card import Card
from derain.weights.checkpoints import is_bundle, is_parts_folder
from derain.weights.graphs import SUFFIXES
from derain.weights.header import WeightsError, is_safetensors
from derain.weights.rebuilding import check_shapes, numbers_in, rebuilt, shapes_of

__all__ = ["READERS", "load"]

_log = logging.getLogger(__name__)

READERS: dict[str, Reader] = {
    "nledn": nledn.READER,
    "remaen": remaen.READER,
    "crdnet": crdnet.READER,
    "dpenet": dpenet.READER,
}
"""Of the authors' checkpoints, by the network's name."""

SLACK = 2
"""How many times the numbers of a network its checkpoint may hold: optimisers' lie elsewhere."""


@dataclass(frozen=True)
class Found:
    """A network in a checkpoint.

    Attributes:
        name: Of the network.
        reader: Says what its tensors are called.
        held: The tensors.
        authors: Whether they are called as the authors call them, not as derain does.
    """

    name: str
    reader: Reader
    held: Held
    authors: bool


def load(path: Path, *, bgr: bool = False) -> tuple[Network, Card]:
    """Return the network that a checkpoint holds, in evaluation mode, and a card.

    Where it holds several, such as ``params`` and ``params_ema``, running means of weights are
    preferred; the logger says which were taken.

    Args:
        path: A ``.pth`` or ``.safetensors`` file; any file of a TensorFlow checkpoint, or the name
            these share; or a folder of CRDNet's.
        bgr: The weights were trained on BGR pictures, as ReMAEN's authors do; the network that
            comes back takes RGB.

    Raises:
        FileNotFoundError: If there is no such file.
        UsageError: If ``bgr`` is given for a network whose authors train on RGB pictures.
        WeightsError: If the file cannot be read safely, or is of no network known here.
    """
    content, helds = _read(path)
    # Names of a small network may be among those of a large one.
    found = sorted(
        _networks_in(content, helds),
        key=lambda one: (one.held.rank, -len(one.reader.markers)),
    )
    if not found:
        raise _unknown(path, content, helds)
    if bgr and found[0].reader.from_bgr is None:
        raise UsageError(
            f"{found[0].name}'s authors train on RGB pictures, and {path} is theirs; leave it out",
            option="bgr",
        )
    network, taken = _first_complete(path, found, bgr=bgr)
    _say_choice(path, taken, found, content)
    card = _card(path, taken, network, bgr=bgr)
    return network, card if taken.authors else replace(card, history=own.history(content.tree))


def _read(path: Path) -> tuple[Content, list[Held]]:
    """Return what a file holds, and the mappings of tensors in it, unread."""
    if is_bundle(path):
        helds = [Held((), tensorflow_bundle.read(path))]
        return Content(None), helds
    if is_parts_folder(path):
        return Content(None), [crdnet.read_folder(path)]
    if is_safetensors(path):
        return Content(None), [Held((), read_safetensors(path))]
    try:
        content = read_content(path)
    except WeightsError as error:
        if path.suffix.lower() not in SUFFIXES:
            raise
        raise WeightsError(
            f"{path}: expected weights, found an exported file; name the weights that it was"
            " exported from"
        ) from error
    return content, held_in(content.tree)


def _networks_in(content: Content, helds: Sequence[Held]) -> list[Found]:
    """Return the networks in a checkpoint: by the authors' names, or else by derain's."""

    def called(readers: dict[str, Reader], *, authors: bool) -> Iterator[Found]:
        for held in helds:
            for name, reader in readers.items():
                for one in held.stripped(reader.markers):
                    yield Found(name, reader, one, authors)

    return list(called(READERS, authors=True)) or list(
        called(own.readers(content.tree), authors=False)
    )


def _first_complete(path: Path, found: Sequence[Found], *, bgr: bool) -> tuple[Network, Found]:
    """Return the first network whose tensors are all there: running means may lack some.

    Raises:
        WeightsError: If there is no network; says what is wrong with the first candidate.
    """
    problems: list[WeightsError] = []
    for one in found:
        try:
            return _build(path, one, bgr=bgr), one
        except WeightsError as error:
            problems.append(error)
    raise problems[0]


def _build(path: Path, found: Found, *, bgr: bool) -> Network:
    name, reader = found.name, found.reader
    wanted = {key: value for key, value in found.held.tensors.items() if reader.wanted(key)}
    try:
        hyperparameters = reader.hyperparameters(wanted)
        expected = shapes_of(name, hyperparameters)
        tensors = read_all(wanted, SLACK * numbers_in(expected))
        converted = {
            key: value
            for key, value in reader.convert(tensors).items()
            if key in expected or not _is_count(key, value)
        }
        check_shapes(expected, {key: tuple(value.shape) for key, value in converted.items()})
        if bgr and reader.from_bgr:
            converted = reader.from_bgr(converted)
        return rebuilt(name, hyperparameters, converted)
    except (KeyError, RuntimeError, ValueError) as error:
        reason = " ".join(str(error).split())[:300]
        whose = f"the authors' {name}" if found.authors else f"derain's {name}"
        raise WeightsError(
            f"{path}: {found.held.title} looks like {whose}, but is incomplete ({reason})"
        ) from None


def _is_count(name: str, tensor: Tensor) -> bool:
    """Return whether a tensor that no network has is one number that tools leave there.

    Such are ``total_ops`` and ``n_averaged``.
    """
    return tensor.numel() <= 1 and name.rpartition(".")[2] not in ("weight", "bias")


def _say_choice(path: Path, taken: Found, found: Sequence[Found], content: Content) -> None:
    """Log which weights were taken where there was a choice, and what was left out."""
    others = dict.fromkeys(one.held.title for one in found)
    del others[taken.held.title]
    if others:
        _log.warning("%s: took %s, not %s", path, taken.held.title, listed(list(others), 3))
    if content.unbuilt:
        _log.info("%s: left out what needs code: %s", path, ", ".join(content.unbuilt[:5]))


def _card(path: Path, taken: Found, network: Network, *, bgr: bool) -> Card:
    """Return a card that says where weights come from."""
    place = "" if taken.held.title == "the top level" else f", {taken.held.title}"
    note = f"imported from {path.name}{place}"
    if taken.authors:
        note += _channels(taken.reader, bgr=bgr)
    return Card(
        name=path.absolute().stem,
        network=taken.name,
        hyperparameters=network.hyperparameters,
        recipe="published by the authors" if taken.authors else "",
        licence="none stated by the authors" if taken.authors else "",
        note=note,
    )


def _channels(reader: Reader, *, bgr: bool) -> str:
    """Return what a card says of the order of channels, for networks that may take BGR."""
    if reader.from_bgr is None:
        return ""
    return (
        ", turned from BGR pictures to RGB"
        if bgr
        else ", taken to be for RGB pictures; the authors' own are for BGR: --bgr"
    )


def _unknown(path: Path, content: Content, helds: Sequence[Held]) -> WeightsError:
    unbuilt = f"; it also asks to run {content.unbuilt[0]}" if content.unbuilt else ""
    return WeightsError(
        f"{path}: holds {describe(content.tree, helds)}{unbuilt}; expected a state dict of"
        f" tensors of an authors' {', '.join(READERS)}, or of a network of derain's"
    )
