"""Reads the TensorFlow checkpoints of ReMAEN's authors."""

import torch
from torch import Tensor

from derain.weights.authors.reader import Reader, Renaming, Tensors

ROOT = "derainNet/"

MARKERS = frozenset({f"{ROOT}ReMAEN/extracting_path/MAEB1/d1/weights"})


def _wanted(name: str) -> bool:
    """Return whether a variable is the network's: optimisers keep others beside these."""
    return name.startswith(ROOT) and name.rpartition("/")[2] in ("weights", "biases")


def _from_tensorflow(tensor: Tensor) -> Tensor:
    """[height, width, in, out] or [in, out] -> (out, in, height, width) or (out, in)."""
    if tensor.ndim == 4:
        return tensor.permute(3, 2, 0, 1)
    return tensor.T if tensor.ndim == 2 else tensor


def _convert(tensors: Tensors) -> dict[str, Tensor]:
    """Rename, turn TensorFlow's axes to PyTorch's, and join the convolutions of one map."""
    names = Renaming(
        {
            key.replace("/weights", ".weight").replace("/biases", ".bias"): _from_tensorflow(value)
            for key, value in tensors.items()
        }
    )
    main, maps = f"{ROOT}ReMAEN", f"{ROOT}RMG"
    for k in range(4):
        names.move(f"{main}/extracting_path/MAEB{k + 1}/d1", f"extract.{k}.convs.0")
        names.move(f"{main}/extracting_path/MAEB{k + 1}/d2", f"extract.{k}.convs.1")
        _move_attention(names, f"{main}/extracting_path/MAEB{k + 1}", f"extract.{k}.attention")
        _move_gru(names, f"{main}/extracting_path/convGRU{k + 1}", f"extract_grus.{k}")
    _move_attention(names, f"{main}/extracting_path", "extract_attention")
    for k in range(3):
        names.move(f"{main}/responding_path/conv{k + 5}", f"respond.{k}")
        _move_gru(names, f"{main}/responding_path/convGRU{k + 5}", f"respond_grus.{k}")
    _move_attention(names, f"{main}/responding_path", "respond_attention")
    names.move(f"{maps}/Conv", "residual.0")
    _move_attention(names, maps, "residual.1")
    names.move(f"{maps}/Conv_1", "residual.2")
    return names.result()


def _move_attention(names: Renaming, theirs: str, ours: str) -> None:
    names.move(f"{theirs}/SEBlock/fully_connected", f"{ours}.squeeze")
    names.move(f"{theirs}/SEBlock/fully_connected_1", f"{ours}.excite")


def _move_gru(names: Renaming, theirs: str, ours: str) -> None:
    for target, sources in (
        ("of_input", ("xz", "xn", "xr")),
        ("of_state", ("hz", "hr")),
        ("of_reset_state", ("hn",)),
    ):
        for part in ("weight", "bias"):
            joined = [names.remaining.pop(f"{theirs}/conv_{source}.{part}") for source in sources]
            names.converted[f"{ours}.{target}.{part}"] = torch.cat(joined)


def _from_bgr(ours: dict[str, Tensor]) -> dict[str, Tensor]:
    """Reverse the order of the channels that come in and go out."""
    first, last = "extract.0.convs.0.weight", "residual.2"
    reversed_ = {f"{last}.{part}": ours[f"{last}.{part}"].flip(0) for part in ("weight", "bias")}
    return ours | reversed_ | {first: ours[first].flip(1)}


READER = Reader(MARKERS, _convert, wanted=_wanted, from_bgr=_from_bgr)
