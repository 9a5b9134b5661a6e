"""Packages that the small installation lacks, and the extras that bring them."""

import importlib
import importlib.util
import os
from types import ModuleType

from derain.errors import DerainError

EXTRA_OF = {
    "av": "video",
    "fastapi": "serve",
    "fsspec": "cluster",
    "jinja2": "report",
    "matplotlib": "report",
    "onnx": "onnx",
    "openvino": "openvino",
    "pillow_heif": "heif",
    "prometheus_client": "serve",
    "pyarrow": "cluster",
    "python_multipart": "serve",
    "ray": "cluster",
    "torch": "torch",
    "uvicorn": "serve",
}
"""By the name under which a package is imported. ONNX Runtime comes with derain."""

_TITLES = {
    "av": "PyAV",
    "fastapi": "FastAPI",
    "onnxruntime": "ONNX Runtime",
    "openvino": "OpenVINO",
    "pillow_heif": "pillow-heif",
    "prometheus_client": "prometheus-client",
    "pyarrow": "PyArrow",
    "python_multipart": "python-multipart",
    "ray": "Ray",
    "torch": "PyTorch",
}


class MissingExtraError(DerainError, ImportError):
    """A package is needed that is not installed, or cannot be imported; says what brings it."""


def is_installed(package: str) -> bool:
    """Return whether a package can be found, without importing it."""
    found = importlib.util.find_spec(package)
    # A folder without a module may be what is left of one.
    return found is not None and found.origin is not None


def require(package: str, purpose: str = "") -> ModuleType:
    """Import a package that an extra brings, or one of its modules.

    Args:
        package: As it is imported, such as ``torch`` or ``onnxruntime.quantization``.
        purpose: What needs it, to begin the error with, such as ``derain train``.

    Raises:
        MissingExtraError: If it is not installed, or an installed one cannot be imported.

    >>> require("torch_of_tomorrow", "derain forecast")
    Traceback (most recent call last):
    derain.extras.MissingExtraError: derain forecast needs torch_of_tomorrow: pip install derain
    """
    top = package.partition(".")[0]
    if top == "onnxruntime":
        _silence_onnxruntime()
    try:
        return importlib.import_module(package)
    except ModuleNotFoundError as error:
        if error.name != top:
            raise _broken(top, error, purpose) from error
        raise missing(top, purpose) from None
    # A library that a package is linked to may be absent or of another version.
    except (ImportError, OSError) as error:
        raise _broken(top, error, purpose) from error


def _silence_onnxruntime() -> None:
    """Keep ONNX Runtime from reporting to its makers; it decides when it is imported.

    Some of its builds, also for Linux, send descriptions of the machine and of every model that is
    opened, and leave a number for the machine in the user's folder.
    """
    for name in ("ORT_DISABLE_TELEMETRY", "ORT_TELEMETRY_DISABLED"):  # of newer and older versions
        os.environ.setdefault(name, "1")


def missing(package: str, purpose: str = "") -> MissingExtraError:
    """Return the error for a package that is not installed; arguments are those of `require`."""
    title = _TITLES.get(package, package)
    extra = f'"derain[{EXTRA_OF[package]}]"' if package in EXTRA_OF else "derain"
    problem = f"{purpose} needs {title}" if purpose else f"{title} is not installed"
    return MissingExtraError(f"{problem}: pip install {extra}")


def _broken(package: str, error: Exception, purpose: str) -> MissingExtraError:
    """Return the error for a package that is there but does not work."""
    title = _TITLES.get(package, package)
    reason = " ".join(str(error).split())[:200]
    problem = f"{purpose} needs {title}, which" if purpose else title
    return MissingExtraError(
        f"{problem} is installed but cannot be imported ({reason}); install it again"
    )
