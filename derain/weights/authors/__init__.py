"""Reads the authors' own checkpoints, recognised by their keys, as networks of ours. Nothing
pickled is ever run.
"""

import pickle
import re
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from derain.networks import NETWORKS, Hyperparameters, Network
from derain.networks.crdnet import CLASSIFIER_WIDTHS
from derain.networks.dpenet import DILATIONS, ERPABS
from derain.networks.nledn import DENSE_LAYERS
from derain.weights.authors import tensorflow_bundle
from derain.weights.card import Card
from derain.weights.store import WeightsError, check_is_file

Tensors = Mapping[str, Tensor]

NLEDN_BLOCKS = ("up_1", "up_2", "up_3", "down_3", "down_2", "down_1")
"""The authors' names in the order of the data: ``up`` is the way down, and the reverse."""

CRDNET_PARTS = {
    "stage1": "extractor",
    "stage2": "background",
    "derain": "refinement",
    "refine": "refinement",
    "classfy": "classifier",
}
"""The folders of CRDNet's authors, and the part of the network whose weights each holds."""


@dataclass(frozen=True)
class Reader:
    """How one network's published files are read.

    Attributes:
        is_ours: Whether tensors, by their names, are this network's.
        convert: The authors' tensors to a state dict of ours; what it leaves over makes strict
            loading fail, by name.
        hyperparameters: What the tensors say about the network's shape.
        from_bgr: For networks whose authors feed BGR pictures: a state dict for these to one for
            RGB.
    """

    is_ours: Callable[[Tensors], bool]
    convert: Callable[[Tensors], dict[str, Tensor]]
    hyperparameters: Callable[[Tensors], Hyperparameters] = lambda _: {}
    from_bgr: Callable[[dict[str, Tensor]], dict[str, Tensor]] | None = None


class _Renaming:
    """Takes tensors by the authors' names and puts them under ours."""

    def __init__(self, theirs: Tensors) -> None:
        self.remaining = dict(theirs)
        self.converted: dict[str, Tensor] = {}

    def move(
        self,
        theirs: str,
        ours: str,
        change: Callable[[Tensor], Tensor] = lambda t: t,
        *,
        parts: str = "weight bias",
    ) -> None:
        """Moves weight and bias (or the parts named), both changed alike."""
        for part in parts.split():
            self.converted[f"{ours}.{part}"] = change(self.remaining.pop(f"{theirs}.{part}"))

    def result(self) -> dict[str, Tensor]:
        return self.converted | self.remaining


def load(path: Path, *, bgr: bool = False) -> tuple[Network, Card]:
    """Recognises an authors' checkpoint and gives the network it holds, in evaluation mode.

    Args:
        path: A ``.pth`` file; any file of a TensorFlow checkpoint, or the name these share; or a
            folder of CRDNet's.
        bgr: The weights were trained on BGR pictures, as ReMAEN's authors do; the network that
            comes back takes RGB.

    Raises:
        FileNotFoundError: If there is none of this name.
        WeightsError: If the file cannot be read safely, or is of no network known here; says what
            was found.
    """
    tensors = _read_tensors(path)
    for name, reader in READERS.items():
        if reader.is_ours(tensors):
            if bgr and reader.from_bgr is None:
                raise WeightsError(
                    f"--bgr: {name}'s authors train on RGB pictures, and {path} is theirs; leave"
                    " it out"
                )
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
            return network.eval(), Card(
                name=path.absolute().stem,
                network=name,
                hyperparameters=network.hyperparameters,
                recipe="published by the authors",
                licence="none stated by the authors",
                note=f"imported from {path.name}{_channels(reader, bgr)}",
            )
    raise _unknown(path, list(tensors))


def _channels(reader: Reader, bgr: bool) -> str:
    """What a card says of the order of channels, where that is a question."""
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


def is_checkpoint(path: Path) -> bool:
    """Whether a path that is no file of one checkpoint still names one: a folder of CRDNet's parts,
    or a TensorFlow bundle.
    """
    return all(
        (path / part).is_dir() for part in ("stage1", "stage2")
    ) or tensorflow_bundle.is_bundle(path)


def _read_tensors(path: Path) -> dict[str, Tensor]:
    """All tensors of a checkpoint, whatever it is kept in."""
    if tensorflow_bundle.is_bundle(path):
        names = tensorflow_bundle.read_index(path)
        if not _is_remaen(names):  # before the data is read, which may be large
            raise _unknown(path, list(names))
        return tensorflow_bundle.read(path, lambda name: not OPTIMISER_SLOT.search(name))
    if is_checkpoint(path):
        return _read_parts(path)
    return _read_pickle(path)


OPTIMISER_SLOT = re.compile(r"/Adam(_\d+)?$|(^|/)(beta[12]_power|global_step)(_\d+)?$")
"""TensorFlow variables that are the optimiser's, not the network's."""


def _parts_in(folder: Path) -> dict[str, Path]:
    """The part folders of a CRDNet checkpoint, by the part of the network.

    Raises:
        WeightsError: If two hold the same part.
    """
    found = [
        (part, folder / name) for name, part in CRDNET_PARTS.items() if (folder / name).is_dir()
    ]
    if len(dict(found)) < len(found):
        raise WeightsError(f"{folder}: holds both derain/ and refine/; expected one of them")
    return dict(found)


def _read_parts(folder: Path) -> dict[str, Tensor]:
    """CRDNet: each part from a file of its own, named for the epoch; the last epoch of which all
    parts are there.

    The classifier is not needed to derain: it is read if it is of that epoch.
    """
    parts = _parts_in(folder)
    epochs = {
        part: {path.stem: path for path in place.glob("*.pth")} for part, place in parts.items()
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
    return {
        f"{part}.{key}": value
        for part, file in chosen.items()
        for key, value in _read_pickle(file).items()
    }


def _read_pickle(path: Path) -> dict[str, Tensor]:
    check_is_file(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter(
                "ignore"
            )  # of unusual pickle protocols: what can be read safely is read
            content: Any = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        found = re.search(r"GLOBAL (\S+)", str(error))
        what = (
            f"it asks to run {found.group(1)}"
            if found
            else "it is damaged, something else, or holds more than that"
        )
        raise WeightsError(
            f"{path}: expected a PyTorch checkpoint of plain tensors, but {what}; not loaded"
        ) from None
    except Exception as error:  # damaged pickles raise whatever they stumble over
        reason = " ".join(str(error).split())[:120]
        raise WeightsError(
            f"{path}: expected a PyTorch checkpoint of plain tensors, but it is damaged or"
            f" something else ({reason})"
        ) from None
    return _state_dict(path, content)


def _state_dict(path: Path, content: Any) -> dict[str, Tensor]:
    """The state dict itself, or what common wrappings keep it under; without the prefix of
    DataParallel.
    """
    for wrapping in ("state_dict", "model", "params", "network"):
        if isinstance(content, Mapping) and isinstance(content.get(wrapping), Mapping):
            content = content[wrapping]
    if not isinstance(content, Mapping):
        raise WeightsError(
            f"{path}: holds a {type(content).__name__}; expected a state dict of tensors"
        )
    return {
        str(key).removeprefix("module."): value
        for key, value in content.items()
        if isinstance(value, Tensor)
    }


def _epoch(name: str) -> tuple[int, str]:
    """Orders names of epochs: by the last number in them."""
    numbers = re.findall(r"\d+", name)
    return (int(numbers[-1]) if numbers else -1, name)


def _is_nledn(tensors: Tensors) -> bool:
    return {"conv1.weight", "up_1.group_0.0.weight", "final_conv.0.weight"} <= tensors.keys()


def _convert_nledn(tensors: Tensors) -> dict[str, Tensor]:
    """The authors' names to ours; theta, phi and g become one convolution, and the rain map changes
    its sign.
    """
    names = _Renaming(tensors)
    names.move("conv1", "entrance.0")
    names.move("conv2", "entrance.1")
    for k, name in enumerate(NLEDN_BLOCKS):
        inside = "non_local" if name == "down_3" else "region_non_local.non_local_block"
        for part in ("weight", "bias"):
            names.converted[f"blocks.{k}.non_local.embed.{part}"] = torch.cat(
                [
                    names.remaining.pop(f"{name}.{inside}.{layer}.{part}")
                    for layer in ("theta", "phi.0", "g.0")
                ]
            )
        names.move(f"{name}.{inside}.W", f"blocks.{k}.non_local.project")
        for layer in range(DENSE_LAYERS):
            names.move(f"{name}.group_{layer}.0", f"blocks.{k}.layers.{layer}")
        names.move(f"{name}.fusion.0", f"blocks.{k}.fusion")
    names.move("down_2_fusion", "joints.0")
    names.move("down_1_fusion", "joints.1")
    names.move("fusion.0", "fusion.0")
    names.move("fusion.1", "fusion.1")
    names.move("final_conv.0", "exit", torch.neg)
    return names.result()


REMAEN_ROOT = "derainNet/"


def _is_remaen(tensors: Mapping[str, object]) -> bool:
    return f"{REMAEN_ROOT}ReMAEN/extracting_path/MAEB1/d1/weights" in tensors


def _from_tensorflow(tensor: Tensor) -> Tensor:
    """[height, width, in, out] or [in, out] -> (out, in, height, width) or (out, in)."""
    return (
        tensor.permute(3, 2, 0, 1) if tensor.ndim == 4 else tensor.T if tensor.ndim == 2 else tensor
    )


def _convert_remaen(tensors: Tensors) -> dict[str, Tensor]:
    """The authors' names to ours, TensorFlow's axes to PyTorch's; convolutions of one map become
    one.
    """
    names = _Renaming(
        {
            key.replace("/weights", ".weight").replace("/biases", ".bias"): _from_tensorflow(value)
            for key, value in tensors.items()
        }
    )
    main, maps = f"{REMAEN_ROOT}ReMAEN", f"{REMAEN_ROOT}RMG"

    def attention(theirs: str, ours: str) -> None:
        names.move(f"{theirs}/SEBlock/fully_connected", f"{ours}.squeeze")
        names.move(f"{theirs}/SEBlock/fully_connected_1", f"{ours}.excite")

    def gru(theirs: str, ours: str) -> None:
        for target, sources in (
            ("of_input", ("xz", "xn", "xr")),
            ("of_state", ("hz", "hr")),
            ("of_reset_state", ("hn",)),
        ):
            for part in ("weight", "bias"):
                joined = [
                    names.remaining.pop(f"{theirs}/conv_{source}.{part}") for source in sources
                ]
                names.converted[f"{ours}.{target}.{part}"] = torch.cat(joined)

    for k in range(4):
        names.move(f"{main}/extracting_path/MAEB{k + 1}/d1", f"extract.{k}.convs.0")
        names.move(f"{main}/extracting_path/MAEB{k + 1}/d2", f"extract.{k}.convs.1")
        attention(f"{main}/extracting_path/MAEB{k + 1}", f"extract.{k}.attention")
        gru(f"{main}/extracting_path/convGRU{k + 1}", f"extract_grus.{k}")
    attention(f"{main}/extracting_path", "extract_attention")
    for k in range(3):
        names.move(f"{main}/responding_path/conv{k + 5}", f"respond.{k}")
        gru(f"{main}/responding_path/convGRU{k + 5}", f"respond_grus.{k}")
    attention(f"{main}/responding_path", "respond_attention")
    names.move(f"{maps}/Conv", "residual.0")
    attention(maps, "residual.1")
    names.move(f"{maps}/Conv_1", "residual.2")
    return names.result()


def _remaen_from_bgr(ours: dict[str, Tensor]) -> dict[str, Tensor]:
    """Turns the order of the channels that come in and go out."""
    first, last = "extract.0.convs.0.weight", "residual.2"
    turned = {f"{last}.{part}": ours[f"{last}.{part}"].flip(0) for part in ("weight", "bias")}
    return ours | turned | {first: ours[first].flip(1)}


BATCH_NORM = "weight bias running_mean running_var num_batches_tracked"


def _is_crdnet(tensors: Tensors) -> bool:
    return {"extractor.conv_3_0.conv1.weight", "background.encode1.conv1.weight"} <= tensors.keys()


def _crdnet_shape(tensors: Tensors) -> Hyperparameters:
    return {
        "classifier": "paper" if any(key.startswith("classifier.") for key in tensors) else "none"
    }


def _turned(tensor: Tensor) -> Tensor:
    """The kernel of a transposed convolution of stride 1 as that of a convolution; a bias stays."""
    return tensor.transpose(0, 1).flip(2, 3) if tensor.ndim == 4 else tensor


def _convert_crdnet(tensors: Tensors) -> dict[str, Tensor]:
    """The authors' names to ours; kernels of their transposed convolutions turned round."""
    names = _Renaming(tensors)

    def block(theirs: str, ours: str, change: Callable[[Tensor], Tensor] = lambda t: t) -> None:
        names.move(f"{theirs}.conv1", f"{ours}.first", change)
        names.move(f"{theirs}.bn", f"{ours}.norm", parts=BATCH_NORM)
        names.move(f"{theirs}.conv2", f"{ours}.second", change)

    for stream, label in enumerate((3, 7, 9)):
        for k in range(3):
            block(f"extractor.conv_{label}_{k}", f"extractor.down.{stream}.{k}")
    for k in range(3):
        block(f"extractor.deconv_3_{k}", f"extractor.up.{k}", _turned)
    for k in range(5):
        block(f"background.encode{k + 1}", f"background.first_down.{k}")
        block(f"background.decode{k + 2}", f"background.first_up.{k}", _turned)
        block(f"background.eencode{k + 1}", f"background.second_down.{k}")
        block(f"background.ddecode{k + 1}", f"background.second_up.{k}", _turned)
    for theirs, ours in (("high1", "rain"), ("conv1", "merge"), ("conv2", "exit")):
        names.move(f"refinement.{theirs}.conv1", f"refinement.{ours}.0")
        names.move(f"refinement.{theirs}.conv2", f"refinement.{ours}.2")
    _move_classifier(names)
    return names.result()


def _move_classifier(names: _Renaming) -> None:
    """The layers of the classifier's file are told by their shapes, each of which occurs once."""
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


def _is_dpenet(tensors: Tensors) -> bool:
    return {"inconv1.0.weight", "ddrb1.dconv1.0.weight", "erpab1.pa.0.weight"} <= tensors.keys()


def _dpenet_shape(tensors: Tensors) -> Hyperparameters:
    return {"blocks": len({key.split(".")[0] for key in tensors if key.startswith("ddrb")})}


def _convert_dpenet(tensors: Tensors) -> dict[str, Tensor]:
    """The authors' names to ours; nothing else changes."""
    names = _Renaming(tensors)
    blocks = int(_dpenet_shape(tensors)["blocks"])
    for stage, number, count in (("r2net", 1, blocks), ("drnet", 2, ERPABS)):
        names.move(f"inconv{number}.0", f"{stage}.0", parts="weight")
        names.move(f"outconv{number}.0", f"{stage}.{count + 2}", parts="weight")
    for k in range(blocks):
        for pair, dilation in enumerate(DILATIONS):
            for layer in (0, 2):
                names.move(
                    f"ddrb{k + 1}.dconv{dilation}.{layer}",
                    f"r2net.{k + 2}.pairs.{pair}.{layer}",
                    parts="weight",
                )
    for k in range(ERPABS):
        theirs, ours = f"erpab{k + 1}", f"drnet.{k + 2}"
        for branch in range(len(DILATIONS)):
            names.move(f"{theirs}.inconv{branch + 1}", f"{ours}.branches.{branch}", parts="weight")
        names.move(f"{theirs}.outconv.0", f"{ours}.fusion")
        for layer in (0, 2):
            names.move(f"{theirs}.pa.{layer}", f"{ours}.attention.{layer}", parts="weight")
    return names.result()


READERS: dict[str, Reader] = {
    "nledn": Reader(_is_nledn, _convert_nledn),
    "remaen": Reader(_is_remaen, _convert_remaen, from_bgr=_remaen_from_bgr),
    "crdnet": Reader(_is_crdnet, _convert_crdnet, _crdnet_shape),
    "dpenet": Reader(_is_dpenet, _convert_dpenet, _dpenet_shape),
}
