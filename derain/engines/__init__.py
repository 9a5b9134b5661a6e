"""Execute networks with PyTorch, ONNX Runtime or OpenVINO.

An `Engine` maps arrays to arrays. `open_model` makes one for weights by name or path,
`make_engine` for a network or an exported graph. `derain.engines.pytorch`, ``export`` and
``quantize`` need PyTorch; the rest does not import it.
"""

from derain.engines.engine import Engine, Tiled
from derain.engines.exported import (
    Exported,
    OnnxEngine,
    OpenvinoEngine,
    is_exported,
    open_exported,
)
from derain.engines.names import EngineName
from derain.engines.opening import (
    check_model,
    choose_engine,
    make_engine,
    open_model,
)

__all__ = [
    "Engine",
    "EngineName",
    "Exported",
    "OnnxEngine",
    "OpenvinoEngine",
    "Tiled",
    "check_model",
    "choose_engine",
    "is_exported",
    "make_engine",
    "open_exported",
    "open_model",
]
