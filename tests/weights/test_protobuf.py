"""The wire format of protocol buffers, against messages made by hand."""

import pytest
from headers import encoded, text
from hypothesis import given
from hypothesis import strategies as st

from derain.weights.protobuf import fields, varint


@given(st.integers(0, 2**64 - 1), st.binary(max_size=3))
def test_numbers_come_back(number: int, before: bytes) -> None:
    content = before + encoded(number) + b"more"
    assert varint(content, len(before)) == (number, len(content) - 4)


@given(st.lists(st.tuples(st.integers(1, 2**20), st.integers(0, 2**63) | st.binary(max_size=300))))
def test_fields_come_back_in_order(message: list[tuple[int, int | bytes]]) -> None:
    content = b"".join(
        text(field, value) if isinstance(value, bytes) else encoded(field << 3) + encoded(value)
        for field, value in message
    )
    found = [
        (field, bytes(value) if isinstance(value, memoryview) else value)
        for field, value in fields(content)
    ]
    assert found == message


def test_numbers_of_fixed_length_are_read() -> None:
    content = bytes([1 << 3 | 5, 1, 2, 0, 0, 2 << 3 | 1, 1, 0, 0, 0, 0, 0, 0, 128, 3 << 3, 7])
    assert list(fields(content)) == [(1, 513), (2, 1 + (128 << 56)), (3, 7)]


def test_nothing_is_copied() -> None:
    content = text(1, b"once upon a time")
    ((_, value),) = fields(content)
    assert isinstance(value, memoryview)
    assert value.obj is content


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (b"\x80", IndexError),
        (b"\x08", IndexError),
        (b"\x80" * 10 + b"\x01", ValueError),
        (text(1, b"1234")[:-1], ValueError),
        (b"\x0a\xff\xff\xff\xff\x0f", ValueError),
        (bytes([1 << 3 | 3]), ValueError),
        (bytes([1 << 3 | 7]), ValueError),
        (bytes([1 << 3 | 5, 1, 2]), ValueError),
        (bytes([1 << 3 | 1, 1, 2]), ValueError),
    ],
)
def test_what_is_cut_short_or_something_else_is_refused(
    content: bytes, error: type[Exception]
) -> None:
    with pytest.raises(error):
        list(fields(content))
