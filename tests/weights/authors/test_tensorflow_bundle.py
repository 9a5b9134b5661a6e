"""TensorFlow bundles: read without TensorFlow, verified, and never trusted."""

import contextlib
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from derain.weights import WeightsError, protobuf
from derain.weights.authors.tensorflow_bundle import MAGIC, masked_crc32c, read, read_index
from derain.weights.loading import find

Arrays = dict[str, NDArray[np.float32]]


def varint(value: int) -> bytes:
    groups = bytearray()
    while value > 127:
        groups.append(value & 127 | 128)
        value >>= 7
    return bytes([*groups, value])


def block(pairs: list[tuple[bytes, bytes]]) -> bytes:
    """A table's block with shared prefixes, its one restart, its trailer."""
    content, before = b"", b""
    for key, value in pairs:
        shared = next(
            (k for k, (a, b) in enumerate(zip(key, before, strict=False)) if a != b),
            min(len(key), len(before)),
        )
        content += (
            varint(shared) + varint(len(key) - shared) + varint(len(value)) + key[shared:] + value
        )
        before = key
    content += struct.pack("<II", 0, 1)
    return content + b"\0" + struct.pack("<I", masked_crc32c(content + b"\0"))


def entry(
    content: bytes, shape: tuple[int, ...], offset: int, size: int | None = None, dtype: int = 1
) -> bytes:
    dimensions = b"".join(
        b"\x12" + varint(len(size)) + size for size in (b"\x08" + varint(n) for n in shape)
    )
    message = b"\x08" + varint(dtype) + b"\x12" + varint(len(dimensions)) + dimensions
    message += b"\x20" + varint(offset) + b"\x28" + varint(len(content) if size is None else size)
    return message + b"\x35" + struct.pack("<I", masked_crc32c(content))


def write(folder: Path, arrays: Arrays, name: str = "model") -> Path:
    """A bundle as TensorFlow writes it."""
    data, pairs = b"", [(b"", b"\x08\x01")]
    for key in sorted(arrays):
        pairs.append((key.encode(), entry(arrays[key].tobytes(), arrays[key].shape, len(data))))
        data += arrays[key].tobytes()
    return write_pairs(folder, pairs, data, name)


def write_pairs(
    folder: Path, pairs: list[tuple[bytes, bytes]], data: bytes = b"", name: str = "model"
) -> Path:
    """A bundle of whatever its index is to say, in blocks of three variables."""
    index, handles = b"", list[tuple[bytes, bytes]]()
    for k in range(0, len(pairs), 3):
        group = block(pairs[k : k + 3])
        handles.append(
            (pairs[min(k + 2, len(pairs) - 1)][0], varint(len(index)) + varint(len(group) - 5))
        )
        index += group
    meta = len(index), block([])
    index += meta[1]
    root = block(handles)
    footer = varint(meta[0]) + varint(len(meta[1]) - 5) + varint(len(index)) + varint(len(root) - 5)
    index += root + footer.ljust(40, b"\0") + struct.pack("<Q", MAGIC)
    (folder / f"{name}.data-00000-of-00001").write_bytes(data)
    (folder / f"{name}.index").write_bytes(index)
    return folder / f"{name}.index"


def some_arrays() -> Arrays:
    numbers = np.random.default_rng(0)
    shapes: dict[str, tuple[int, ...]] = {
        "net/conv/weights": (3, 3, 2, 4),
        "net/conv/biases": (4,),
        "net/step": (),
        "other": (200,),
    }
    return {
        name: np.asarray(numbers.normal(size=shape), np.float32) for name, shape in shapes.items()
    }


def read_values(index: Path) -> dict[str, torch.Tensor]:
    """All variables of a bundle."""
    return {name: stored.read() for name, stored in read(index).items()}


def test_crc_of_the_standard_check_string() -> None:
    crc = 0xE3069283  # CRC-32C of "123456789", RFC 3720 and elsewhere
    assert masked_crc32c(b"123456789") == ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def test_reads_what_was_written(tmp_path: Path) -> None:
    arrays = some_arrays()
    index = write(tmp_path, arrays)
    assert {name: found.shape for name, found in read_index(index).items()} == {
        name: a.shape for name, a in arrays.items()
    }
    tensors = read_values(index)
    assert all(np.array_equal(tensors[name].numpy(), array) for name, array in arrays.items())
    assert {name: tensor.shape for name, tensor in read(index).items()} == {
        name: array.shape for name, array in arrays.items()
    }


@given(st.integers(0, 2**63 - 1))
def test_varints(value: int) -> None:
    assert protobuf.varint(b"x" + varint(value), 1)[0] == value


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-20])


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 3] ^= 4
    path.write_bytes(bytes(content))


def empty(path: Path) -> None:
    path.write_bytes(b"")


@pytest.mark.parametrize("harm", [cut, flip, empty])
@pytest.mark.parametrize("part", ["model.index", "model.data-00000-of-00001"])
def test_damage_is_found(part: str, harm: Callable[[Path], None], tmp_path: Path) -> None:
    index = write(tmp_path, some_arrays())
    harm(tmp_path / part)
    with pytest.raises(
        WeightsError, match=r"model\.(index|data\S+): .*(damaged|checksum)"
    ) as caught:
        read_values(index)
    assert "\n" not in str(caught.value)


def test_no_mutation_of_the_index_does_worse_than_an_error(tmp_path: Path) -> None:
    index = write(tmp_path, some_arrays())
    whole = index.read_bytes()
    numbers = np.random.default_rng(3)
    for _ in range(400):
        content = bytearray(whole)
        for place in numbers.integers(len(content), size=int(numbers.integers(1, 4))):
            content[place] = int(numbers.integers(256))
        index.write_bytes(bytes(content))
        with contextlib.suppress(WeightsError):
            read_values(index)


def test_no_mutation_that_checksums_hide_does_worse_than_an_error(tmp_path: Path) -> None:
    numbers = np.random.default_rng(4)
    data = numbers.bytes(64)
    refused = 0
    for _ in range(300):
        message = bytearray(entry(data, (4, 4), 0))
        for place in numbers.integers(len(message), size=int(numbers.integers(1, 4))):
            message[place] = int(numbers.integers(256))
        index = write_pairs(tmp_path, [(b"net/weights", bytes(message))], data)
        try:
            read_values(index)
        except WeightsError:
            refused += 1
    assert refused > 200


@pytest.mark.parametrize(
    "message",
    [
        entry(b"", (1,), 2**63),
        entry(b"", (1,), 0, size=2**62),
        entry(b"", (2**62,), 0, size=2**63),
        entry(b"", (2**32, 2**32), 0, size=0),
        entry(b"1234", (1,), 0, dtype=7),
        entry(b"1234", (1,), 0)[:-3],
        b"\x0c",
        b"\xff" * 12,
        b"\x12\x7f",
    ],
)
def test_entries_that_ask_for_too_much(message: bytes, tmp_path: Path) -> None:
    with pytest.raises(WeightsError):
        read_values(write_pairs(tmp_path, [(b"net/weights", message)], b"1234"))


@pytest.mark.parametrize(
    "content",
    [
        varint(9)
        + varint(1)
        + varint(0)
        + b"x"
        + struct.pack("<II", 0, 1),  # shares more than there is
        varint(0)
        + varint(99)
        + varint(0)
        + b"x"
        + struct.pack("<II", 0, 1),  # a name longer than the block
        varint(0)
        + varint(1)
        + varint(99)
        + b"x"
        + struct.pack("<II", 0, 1),  # a value longer than the block
        struct.pack("<I", 2**31),  # more restarts than fit
        varint(0)
        + varint(5000)
        + varint(0)
        + b"x" * 5000
        + struct.pack("<II", 0, 1),  # a name no checkpoint has
    ],
)
def test_blocks_that_lie(content: bytes, tmp_path: Path) -> None:
    bad = content + b"\0" + struct.pack("<I", masked_crc32c(content + b"\0"))
    root = block([(b"z", varint(0) + varint(len(content)))])
    footer = varint(0) + varint(0) + varint(len(bad)) + varint(len(root) - 5)
    (tmp_path / "m.index").write_bytes(
        bad + root + footer.ljust(40, b"\0") + struct.pack("<Q", MAGIC)
    )
    with pytest.raises(
        WeightsError, match=r"m\.index: expected the index of a TensorFlow checkpoint"
    ):
        read_index(tmp_path / "m.index")


def test_blocks_named_twice_are_refused(tmp_path: Path) -> None:
    inner = block([(b"a", b"")])
    root = block([(bytes([k]), varint(0) + varint(len(inner) - 5)) for k in range(90)])
    footer = varint(0) + varint(0) + varint(len(inner)) + varint(len(root) - 5)
    (tmp_path / "m.index").write_bytes(
        inner + root + footer.ljust(40, b"\0") + struct.pack("<Q", MAGIC)
    )
    with pytest.raises(WeightsError, match="its blocks overlap"):
        read_index(tmp_path / "m.index")


def test_a_missing_half_is_named(tmp_path: Path) -> None:
    index = write(tmp_path, some_arrays())
    (tmp_path / "model.data-00000-of-00001").unlink()
    with pytest.raises(
        FileNotFoundError, match=r"model\.data-00000-of-00001: not there; .* and model\.index"
    ):
        read_values(index)
    index.unlink()
    with pytest.raises(FileNotFoundError, match=r"model\.index: no such weights file"):
        find(str(index))
    with pytest.raises(FileNotFoundError, match="model: no such file or folder"):
        find(str(tmp_path / "model"))


def test_another_network_is_described(tmp_path: Path) -> None:
    with pytest.raises(
        WeightsError,
        match=(
            r"the top level \(4 tensors, first net/conv/biases 4\); expected .* an authors' nledn,"
            r" remaen"
        ),
    ):
        find(str(write(tmp_path, some_arrays())))


def test_optimiser_slots_are_ignored(golden: Path, tmp_path: Path) -> None:
    plain = read_values(golden / "remaen/ReMAEN.index")
    arrays: Arrays = {name: tensor.numpy() for name, tensor in plain.items()}
    arrays |= {f"{name}/Adam{k}": np.zeros(2, np.float32) for name in plain for k in ("", "_1")}
    arrays |= {
        "beta1_power": np.ones((), np.float32),
        "derainNet/beta2_power": np.ones((), np.float32),
    }
    network, _ = find(str(write(tmp_path, arrays, "ReMAEN")))
    expected, _ = find(str(golden / "remaen/ReMAEN.index"))
    pairs = zip(network.parameters(), expected.parameters(), strict=True)
    assert all(torch.equal(ours, theirs) for ours, theirs in pairs)


def test_the_published_index_lists_what_the_golden_one_does(
    reference_data: Path, golden: Path
) -> None:
    published = read_index(reference_data / "published-weights/remaen/ReMAEN.index")
    ours = read_index(golden / "remaen/ReMAEN.index")
    kept = {
        name: found.shape
        for name, found in published.items()
        if "Adam" not in name and "_power" not in name
    }
    assert kept == {name: found.shape for name, found in ours.items()}
    assert sum(int(np.prod(shape)) for shape in kept.values()) == 495_771
