"""Devices and number formats by name."""

import ctypes
import os
import subprocess
import sys

import pytest
import torch

from derain.engines import choose_device, choose_dtype


def test_auto_takes_the_best_there_is() -> None:
    expected = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    assert choose_device("auto").type == expected
    assert choose_device("cpu").type == "cpu"
    assert choose_dtype("auto") == torch.float32


@pytest.mark.parametrize("name", ["float32", "bfloat16", "float16"])
def test_formats_by_name(name: str) -> None:
    assert choose_dtype(name) == getattr(torch, name)


CHUNKS = """
import ctypes, os
class Mallinfo2(ctypes.Structure):
    _fields_ = [(name, ctypes.c_size_t) for name in "arena ordblks smblks hblks rest".split()] + [("more", ctypes.c_size_t * 8)]
from derain.engines import keep_freed_memory
libc = ctypes.CDLL(None)
libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
libc.mallinfo2.restype = Mallinfo2
keep_freed_memory()
before = libc.mallinfo2().hblks
libc.malloc(64 << 20)
print(libc.mallinfo2().hblks - before)
"""


@pytest.mark.skipif(
    not hasattr(ctypes.CDLL(None) if sys.platform == "linux" else None, "mallinfo2"), reason="glibc 2.33 asked for"
)
@pytest.mark.parametrize(("environment", "mapped"), [({}, 0), ({"MALLOC_TOP_PAD_": "65536"}, 1)])
def test_large_blocks_are_kept_unless_the_user_decided(environment: dict[str, str], mapped: int) -> None:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
    result = subprocess.run(
        [sys.executable, "-c", CHUNKS], env=inherited | environment, capture_output=True, text=True, check=True
    )
    assert int(result.stdout) == mapped
