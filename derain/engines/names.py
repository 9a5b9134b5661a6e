"""Names of engines, devices and number formats, and sizes of tiles: what is wrong in any case.

Nothing is loaded for it, so that a mistyped name is known at once.
"""

from typing import Literal, get_args

from derain.errors import UsageError, closest

EngineName = Literal["torch", "onnx", "openvino"]

ENGINES = ("auto", *get_args(EngineName))
DEVICES = ("auto", "cpu", "cuda", "mps", "directml", "coreml", "openvino")
DTYPES = ("auto", "float32", "bfloat16", "float16")

_ALSO_CALLED = {
    "onnxruntime": "onnx",
    "ort": "onnx",
    "pytorch": "torch",
    "gpu": "cuda",
    "nvidia": "cuda",
    "metal": "mps",
    "dml": "directml",
    "bf16": "bfloat16",
    "fp16": "float16",
    "f16": "float16",
    "half": "float16",
    "fp32": "float32",
    "f32": "float32",
    "single": "float32",
}
"""What others call engines, devices and number formats."""


def check_names(engine: str, device: str, dtype: str) -> None:
    """Check names that nothing is known by, here or on another machine.

    Raises:
        UsageError: If there is no engine, device or number format of the name.
    """
    check_name(engine)
    _check("device", device, device.partition(":")[0], DEVICES, "not available; ")
    _check("dtype", dtype, dtype, DTYPES)


def check_name(engine: str) -> None:
    """Raise UsageError unless there is an engine of the name, or it is ``auto``."""
    if engine not in ENGINES:
        raise UsageError(
            f"expected auto or one of {', '.join(ENGINES[1:])}{_hint(engine, ENGINES)}",
            option="engine",
            value=engine,
        )


def check_tile(tile: int | None, overlap: int | None, least: int) -> None:
    """Check a tile and its overlap, as far as that can be done without a network.

    Args:
        tile: Side in pixels; None for the network's own.
        overlap: In pixels; None for the network's own.
        least: Smallest side of a tile.

    Raises:
        UsageError: If no network has such tiles.
    """
    if tile is not None and (tile < 0 or 0 < tile < least):
        raise UsageError(
            f"expected at least {least} pixels, or 0 for whole pictures",
            option="tile",
            value=tile,
        )
    most = None if tile is None else tile // 4
    if overlap is not None and (overlap < 0 or (most is not None and overlap > most)):
        quarter = "the tile" if most is None else f"the tile, here {most}"
        raise UsageError(f"expected 0 to a quarter of {quarter}", option="overlap", value=overlap)


def _check(option: str, value: str, name: str, known: tuple[str, ...], found: str = "") -> None:
    if name not in known:
        expected = f"{found}expected one of {', '.join(known)}{_hint(name, known)}"
        raise UsageError(expected, option=option, value=value)


def _hint(name: str, known: tuple[str, ...]) -> str:
    meant = _ALSO_CALLED.get(name.lower())
    meant = meant if meant in known else closest(name, known)
    return f"; did you mean {meant}?" if meant else ""
