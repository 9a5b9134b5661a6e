"""Choose the engine of a model, by its kind, the request and the installed packages."""

from dataclasses import replace
from pathlib import Path

from derain import machine
from derain.engines.engine import Engine, Tiled
from derain.engines.exported import PROVIDERS, Exported, is_exported, open_exported
from derain.engines.names import check_name
from derain.errors import UsageError
from derain.extras import MissingExtraError, is_installed, require
from derain.weights.card import Card
from derain.weights.catalogue import CATALOGUE, check, check_exists


def make_engine(
    model: Engine | Tiled | Exported,
    engine: str = "auto",
    device: str = "auto",
    dtype: str = "auto",
) -> Engine:
    """Return an engine for a network or an exported graph; an engine as it is.

    Args:
        model: What is executed.
        engine: ``auto`` is PyTorch for a network, and for a file what its suffix says.
        device: Name of a device; ``auto`` is the fastest that the engine has.
        dtype: Number format; ``auto`` is bfloat16 where it is faster and costs nothing.

    Raises:
        ValueError: If engine, device or number format are unknown or do not go together.
        MissingExtraError: If the engine is not installed.
    """
    if isinstance(model, Engine):
        return _as_it_is(model, engine=engine, device=device, dtype=dtype)
    check_name(engine)
    if isinstance(model, Exported):
        return open_exported(model, engine, device, dtype)
    if isinstance(model, str | Path):
        raise TypeError(f"{model}: expected a network or an engine; derain.load takes names")
    # Whoever has a network has PyTorch.
    from derain.engines import export, pytorch

    if engine in ("auto", "torch"):
        return pytorch.open_network(model, device, dtype)
    return open_exported(export.exported(pytorch.as_network(model)), engine, device, dtype)


def open_model(
    name_or_path: str, engine: str = "auto", device: str = "auto", dtype: str = "auto"
) -> tuple[Engine, Card]:
    """Return an engine for weights by name, for a weights file or an exported file, and the card.

    Args:
        name_or_path: As `derain.load` takes it.
        engine: ``auto`` is PyTorch if it is installed, otherwise ONNX Runtime, and for an exported
            file what its suffix says.
        device: As for `make_engine`.
        dtype: As for `make_engine`.

    Raises:
        FileNotFoundError: If there are no such weights.
        WeightsError: If the file does not hold a known network.
        ValueError: If engine, device or number format are unknown or do not go together.
        MissingExtraError: If what is asked for needs a package that is not installed.
    """
    check_name(engine)
    check_exists(name_or_path)
    if is_exported(Path(name_or_path)):
        exported = Exported.read(Path(name_or_path))
        return open_exported(exported, engine, device, dtype), exported.card
    chosen = choose_engine(engine, device)
    row = CATALOGUE.get(name_or_path)
    if chosen != "torch" and row and row.graph:
        check(row)
        exported = replace(Exported.read(row.graph_path), trusted=True)
        if engine == "auto":
            _require_for(device, dtype)
        return open_exported(exported, chosen, device, dtype), exported.card
    _require_torch(name_or_path, engine)
    from derain.engines import export, pytorch

    if chosen == "torch":
        return pytorch.open_weights(name_or_path, device, dtype)
    return export.open_weights(name_or_path, chosen, device, dtype)


def check_model(name_or_path: str) -> None:
    """Open a model's file, if it is one, so that a wrong one is known before the work.

    Weights in the catalogue are part of the package and need no such look.

    Raises:
        FileNotFoundError: If there are no such weights.
        WeightsError: If the file does not hold a known network.
        MissingExtraError: If the weights need PyTorch, and that is not installed.
    """
    check_exists(name_or_path)
    row = CATALOGUE.get(name_or_path)
    if is_exported(Path(name_or_path)):
        Exported.read(Path(name_or_path))
    elif row is None:
        _require_torch(name_or_path)
        from derain.weights.loading import find

        find(name_or_path)
    # Where PyTorch is installed it is not imported: it would count as memory of the models.
    elif not (row.graph or is_installed("torch")):
        _require_torch(name_or_path)


def choose_engine(engine: str, device: str = "auto") -> str:
    """Return the engine for weights: with ``auto``, by what is installed and who has the device."""
    if engine != "auto":
        return engine
    kind = device.partition(":")[0]
    only_onnx = kind in PROVIDERS and kind not in ("cpu", "cuda")
    return "torch" if is_installed("torch") and not only_onnx else "onnx"


def _require_torch(name_or_path: str, engine: str = "auto") -> None:
    """Raise MissingExtraError where there is no PyTorch, with what can be had without it."""
    machine.wait_briefly()
    try:
        require("torch", "the engine torch" if engine == "torch" else name_or_path)
    except MissingExtraError as error:
        without = [row.name for row in CATALOGUE.values() if row.graph]
        if engine == "torch" and name_or_path in without:
            raise
        raise MissingExtraError(f"{error}; these work without it: {', '.join(without)}") from None


def _require_for(device: str, dtype: str) -> None:
    """Raise MissingExtraError for what PyTorch would bring, where nobody asked for an engine.

    An unknown name is not among these: the engine says what it expects.
    """
    if dtype in ("bfloat16", "float16"):
        require("torch", dtype)
    if device.partition(":")[0] == "mps":
        require("torch", f"the device {device}")


def _as_it_is(model: Engine, **asked: str) -> Engine:
    """Return an engine; refuse to make it another one."""
    for option, value in asked.items():
        if value != "auto":
            raise UsageError(
                f"the engine {model.name} is already created; leave this setting out",
                option=option,
                value=value,
            )
    return model
