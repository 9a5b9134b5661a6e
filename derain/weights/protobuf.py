"""The wire format of protocol buffers: as much of it as checkpoints and graphs need."""

from collections.abc import Iterator


def varint(content: bytes | memoryview, position: int) -> tuple[int, int]:
    """Return a number in groups of seven bits, lowest first, and the position behind it.

    Raises:
        IndexError: If the content ends too soon.
        ValueError: If the number is too long.
    """
    value = shift = 0
    while True:
        byte = content[position]
        position += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, position
        shift += 7
        if shift > 63:
            raise ValueError("a number in it is too long")


def fields(message: bytes | memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Yield the fields of a message: number, and an int or what a nested message or text holds.

    Nothing is copied.

    Raises:
        IndexError: If the message ends too soon.
        ValueError: If it is something else.
    """
    message = memoryview(message)
    position = 0
    while position < len(message):
        tag, position = varint(message, position)
        number, kind = tag >> 3, tag & 7
        if number == 0:  # as in a file of zeros
            raise ValueError("a field in it has no number")
        if kind == 0:
            value, position = varint(message, position)
            yield number, value
        elif kind == 2:
            size, position = varint(message, position)
            if position + size > len(message):
                raise ValueError("a field in it is too long")
            yield number, message[position : position + size]
            position += size
        elif kind in (1, 5):
            size = 8 if kind == 1 else 4
            if position + size > len(message):
                raise ValueError("a field in it is too long")
            yield number, int.from_bytes(message[position : position + size], "little")
            position += size
        else:
            raise ValueError("a field in it is of no known kind")
