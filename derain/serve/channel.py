"""Messages and pixels between processes.

Messages are JSON. A decoder handles files of anybody, and what it sends is never unpickled.
"""

import json
from collections.abc import Mapping
from multiprocessing.connection import Connection
from typing import Any

import numpy as np
from numpy.typing import NDArray

PART = 1 << 20
"""Bytes that are sent at once. What passes through the server is never held as a whole."""
LONGEST_MESSAGE = 1 << 20


class Channel:
    """One end of a pipe.

    Sending and receiving raise `EOFError` or `OSError` if the other end is gone.

    Args:
        connection: The pipe.
    """

    def __init__(self, connection: "Connection[Any, Any]") -> None:
        self._connection = connection

    def tell(self, **message: Any) -> None:
        """Send a message."""
        self._connection.send_bytes(json.dumps(message).encode())

    def hear(self) -> Mapping[str, Any]:
        """Wait for a message, and return it.

        Raises:
            OSError: If it is not a message.
        """
        try:
            message = json.loads(self._connection.recv_bytes(LONGEST_MESSAGE))
        except ValueError as error:
            raise OSError("no message in a pipe") from error
        if not isinstance(message, dict):
            raise OSError("no message in a pipe")
        return message

    def has_message(self) -> bool:
        """Return whether a message waits, or the other end is gone."""
        return self._connection.poll()

    def send(self, block: bytes | bytearray | memoryview) -> None:
        """Send bytes; their number has to be known at the other end."""
        view = memoryview(block)
        for start in range(0, len(view), PART):
            self._connection.send_bytes(view[start : start + PART])

    def receive(self, size: int) -> bytearray:
        """Wait for so many bytes, and return them.

        Raises:
            OSError: If there are more.
        """
        block = bytearray(size)
        view = memoryview(block)
        start = 0
        while start < size:
            part = self._connection.recv_bytes(size - start)
            view[start : start + len(part)] = part
            start += len(part)
        return block

    def close(self) -> None:
        """Close this end."""
        self._connection.close()

    def relay(self, target: "Channel", size: int) -> None:
        """Pass so many bytes on to another channel, as they come."""
        left = size
        while left > 0:
            part = self._connection.recv_bytes(left)
            target.send(part)
            left -= len(part)

    def drop(self, size: int) -> None:
        """Wait for so many bytes, and throw them away."""
        left = size
        while left > 0:
            left -= len(self._connection.recv_bytes(left))


def bytes_of(pixels: NDArray[Any]) -> memoryview:
    """Return the bytes of an array, which are not copied if they lie in a row."""
    return np.ascontiguousarray(pixels).data.cast("B")


def pixels_of(block: bytearray, shape: tuple[int, int, int], kind: str) -> NDArray[Any]:
    """Return bytes as an array.

    Args:
        block: As `bytes_of` gives them.
        shape: Of the array.
        kind: ``uint8`` or ``uint16``.
    """
    return np.frombuffer(block, np.dtype(kind)).reshape(shape)


def array_size(shape: tuple[int, int, int], kind: str) -> int:
    """Return the bytes of an array."""
    return shape[0] * shape[1] * shape[2] * np.dtype(kind).itemsize
