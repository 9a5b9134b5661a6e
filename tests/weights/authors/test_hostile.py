"""Files that ask for more than they hold are refused before they get it: memory and time."""

import json
import os
import pickle
import struct
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import torch
from test_tensorflow_bundle import block, entry, varint, write_pairs

from derain.weights import Card, WeightsError, loading
from derain.weights.authors.archive import Archive
from derain.weights.authors.tensorflow_bundle import MAGIC, masked_crc32c

MARKERS = ("conv1.weight", "up_1.group_0.0.weight", "final_conv.0.weight")
"""Of an NLEDN: a file with these is looked into."""

GIBI = 1 << 30


def text(content: str) -> bytes:
    return b"X" + struct.pack("<I", len(content)) + content.encode()


def named(module: str, name: str) -> bytes:
    return f"c{module}\n{name}\n".encode()


def number(value: int) -> bytes:
    return b"\x8a\x08" + struct.pack("<q", value)


def row(*values: int) -> bytes:
    return b"(" + b"".join(map(number, values)) + b"t"


def tensor(count: int, shape: tuple[int, ...], stride: tuple[int, ...], offset: int = 0) -> bytes:
    """What PyTorch writes for a tensor in storage 0, of so many numbers."""
    storage = b"(" + text("storage") + named("torch", "FloatStorage") + text("0") + text("cpu")
    return (
        named("torch._utils", "_rebuild_tensor_v2")
        + b"("
        + storage
        + number(count)
        + b"tQ"
        + number(offset)
        + row(*shape)
        + row(*stride)
        + b"\x89"
        + named("collections", "OrderedDict")
        + b")RtR"
    )


def state(one: bytes) -> bytes:
    return b"\x80\x02}(" + b"".join(text(name) + one for name in MARKERS) + b"u."


def zipped(path: Path, content: bytes, storage: bytes = b"", *, packed: bool = False) -> Path:
    kind = zipfile.ZIP_DEFLATED if packed else zipfile.ZIP_STORED
    with zipfile.ZipFile(path, "w", kind) as archive:
        archive.writestr("a/data.pkl", content)
        archive.writestr("a/data/0", storage)
    return path


def streamed(path: Path, content: bytes, count: int, size: int) -> Path:
    """The format before zip archives, with a storage of holes."""
    begin = (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True})
    with path.open("wb") as file:
        file.write(b"".join(pickle.dumps(part, 2) for part in begin) + content)
        file.write(pickle.dumps(["0"], 2) + struct.pack("<q", count))
        file.truncate(file.tell() + size)
    return path


def safetensors(path: Path, header: Mapping[str, object], size: int) -> Path:
    begin = json.dumps(header).encode()
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(begin)) + begin)
        file.truncate(8 + len(begin) + size)
    return path


def of_card(card: Card) -> dict[str, object]:
    return {"__metadata__": {"derain": card.to_json()}}


def wide(path: Path) -> Path:
    tensors = {
        name: {"dtype": "F32", "shape": [GIBI // 4], "data_offsets": [k * GIBI, (k + 1) * GIBI]}
        for k, name in enumerate(MARKERS)
    }
    return safetensors(path, tensors, len(MARKERS) * GIBI)


def long_header(path: Path) -> Path:
    with path.open("wb") as file:
        file.write(struct.pack("<Q", 90 << 20) + b"{")
        file.truncate(100 << 20)
    return path


def long_names(path: Path) -> Path:
    """An index whose names share four thousand letters with their neighbours."""
    content = varint(0) + varint(4000) + varint(0) + b"k" * 4000
    content += (varint(3999) + varint(1) + varint(0) + b"z") * 100_000 + struct.pack("<II", 0, 1)
    bad = content + b"\0" + struct.pack("<I", masked_crc32c(content + b"\0"))
    root = block([(b"z", varint(0) + varint(len(content)))])
    footer = varint(0) + varint(0) + varint(len(bad)) + varint(len(root) - 5)
    path = path.with_suffix(".index")
    path.write_bytes(bad + root + footer.ljust(40, b"\0") + struct.pack("<Q", MAGIC))
    return path


def large_variable(path: Path) -> Path:
    name = b"derainNet/ReMAEN/extracting_path/MAEB1/d1/weights"
    index = write_pairs(path.parent, [(name, entry(b"", (GIBI,), 0, size=4 * GIBI))])
    with index.with_name("model.data-00000-of-00001").open("wb") as file:
        file.truncate(4 * GIBI)
    return index


def overlapping(path: Path) -> Path:
    """An archive whose two members are the same bytes."""
    zipped(path, state(tensor(1, (1,), (1,))), bytes(4096))
    content = bytearray(path.read_bytes())
    last = content.rfind(b"PK\1\2")
    content[last + 42 : last + 46] = bytes(4)
    path.write_bytes(bytes(content))
    return path


STRIDE = tensor(1, (GIBI,), (0,))
HALF = b"(" + text("k") + b"Nt"

ASKING: dict[str, tuple[Callable[[Path], Path], str]] = {
    "a stride of zero": (lambda p: zipped(p, state(STRIDE), bytes(4)), "numbers in its tensors"),
    "the same before zip": (
        lambda p: streamed(p, state(STRIDE), 1, 4),
        "numbers in its tensors",
    ),
    "numbers far apart": (
        lambda p: streamed(p, state(tensor(GIBI, (2,), (GIBI - 1,))), GIBI, 4 * GIBI),
        "numbers in its tensors",
    ),
    "a tensor beyond its storage": (
        lambda p: zipped(p, state(tensor(1, (2,), (1,))), bytes(4)),
        "reaches beyond its storage",
    ),
    "an offset beyond it": (
        lambda p: zipped(p, state(tensor(1, (1,), (1,), 1 << 40)), bytes(4)),
        "reaches beyond its storage",
    ),
    "a negative stride": (
        lambda p: zipped(p, state(tensor(4, (2,), (-1,), 3)), bytes(16)),
        "a tensor in its pickle is malformed",
    ),
    "a storage beyond its member": (
        lambda p: zipped(p, state(tensor(GIBI, (GIBI,), (1,))), bytes(4)),
        "its storage 0 is shorter than",
    ),
    "a storage beyond the file": (
        lambda p: streamed(p, state(tensor(GIBI, (GIBI,), (1,))), GIBI, 4),
        "ends before its tensors do",
    ),
    "a large storage of holes": (
        lambda p: streamed(p, state(tensor(GIBI, (GIBI,), (1,))), GIBI, 4 * GIBI),
        "numbers in its tensors",
    ),
    "four gigabytes of zeros": (
        lambda p: zipped(
            p, b"\x80\x02" + named("__builtin__", "bytearray") + row(4 * GIBI) + b"R."
        ),
        "asks to run __builtin__.bytearray",
    ),
    "text that is encoded": (
        lambda p: zipped(
            p,
            b"\x80\x02" + named("_codecs", "encode") + b"(" + text("x") + text("utf-32") + b"tR.",
        ),
        "asks to run _codecs.encode",
    ),
    "bytes that are not there": (
        lambda p: zipped(p, b"\x80\x04\x8e" + struct.pack("<Q", 4 * GIBI) + b"x."),
        "ends too soon",
    ),
    "a hundred doublings": (
        lambda p: zipped(
            p,
            b"\x80\x04]\x94"
            + b"".join(b"(" + 2 * bytes([104, k]) + b"t\x94" for k in range(99))
            + b".",
        ),
        "holds a tuple",
    ),
    "doublings as a key": (
        lambda p: zipped(
            p,
            b"\x80\x04})\x940"
            + b"".join(b"(" + 2 * bytes([104, k]) + b"t\x940" for k in range(99))
            + b"h\x63Ns.",
        ),
        "holds a mapping of nothing",
    ),
    "millions of mappings": (
        lambda p: zipped(p, b"\x80\x04(" + b"}" * 4_000_000 + b"t."),
        "more than 1000000 steps",
    ),
    "copies of a mapping": (
        lambda p: zipped(
            p,
            b"\x80\x04("
            + HALF * 50_000
            + b"l\x94"
            + (named("collections", "OrderedDict") + b"(h\x00tR") * 10_000
            + b"t.",
        ),
        "more than 1000000 steps",
    ),
    "a pickle that was squeezed": (
        lambda p: zipped(p, b"\x80\x04" + b"N" * (80 << 20) + b".", packed=True),
        "claims to hold",
    ),
    "a storage that was squeezed": (
        lambda p: zipped(p, state(tensor(20 << 20, (9,), (1,))), bytes(80 << 20), packed=True),
        "claims to hold",
    ),
    "members that overlap": (overlapping, "its members overlap"),
    "holes": (lambda p: streamed(p, b"", 0, 8 * GIBI), "damaged"),
    "large safetensors": (
        lambda p: safetensors(
            p,
            of_card(Card("a", "nledn"))
            | {"w": {"dtype": "F32", "shape": [GIBI], "data_offsets": [0, 4 * GIBI]}},
            4 * GIBI,
        ),
        "not those of the nledn it says it holds",
    ),
    "large safetensors of others": (wide, "numbers in its tensors"),
    "a long header": (long_header, "its header claims 94371840 bytes"),
    "a thousand million blocks": (
        lambda p: safetensors(p, of_card(Card("a", "dpenet", {"blocks": 10**9})), 0),
        "blocks=1000000000; expected 0 to 64",
    ),
    "blocks that are no number": (
        lambda p: safetensors(p, of_card(Card("a", "dpenet", {"blocks": [1]})), 0),  # pyright: ignore[reportArgumentType]
        "blocks is a list",
    ),
    "a large network without numbers": (
        lambda p: safetensors(p, of_card(Card("a", "crdnet", {"classifier": "paper"})), 0),
        "it lacks ",
    ),
    "long names in an index": (long_names, "its names are longer than"),
    "a large variable": (large_variable, "numbers in its tensors"),
}


def name_of(case: str, folder: Path) -> Path:
    return folder / ("w.safetensors" if "safetensors" in case else "w.pth")


@pytest.mark.parametrize("case", ASKING)
def test_what_asks_for_too_much_is_refused_at_once(case: str, tmp_path: Path) -> None:
    make, message = ASKING[case]
    path = make(name_of(case, tmp_path))
    began = time.process_time()
    with pytest.raises(WeightsError, match=message) as raised:
        loading.find(str(path))
    # What it asks for would take several times as long.
    assert time.process_time() - began < 5
    assert "\n" not in str(raised.value)
    assert len(str(raised.value)) < 600


PROGRAM = """
import re, sys
from derain.weights import WeightsError, authors, loading
def peak():
    # Not getrusage, in which what the parent took counts.
    return int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1]) * 1024
for path in sys.argv[1:]:
    open("/proc/self/clear_refs", "w").write("5")  # forgets the peak
    before = peak()
    try:
        loading.find(path)
    except WeightsError:
        print(peak() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux says what a process took")
def test_what_asks_for_too_much_gets_no_memory(tmp_path: Path) -> None:
    paths: list[Path] = []
    for case in (
        *("a stride of zero", "a large storage of holes"),
        *("millions of mappings", "large safetensors"),
    ):
        (tmp_path / case).mkdir()
        paths.append(ASKING[case][0](name_of(case, tmp_path / case)))
    command = [sys.executable, "-c", PROGRAM, *map(str, paths)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, env=environment, timeout=120
    )
    # Each asks for a gigabyte or more.
    grown = [int(line) for line in done.stdout.split()]
    assert len(grown) == len(paths)
    assert max(grown) < 300 << 20


def test_a_sound_archive_gives_what_zipfile_gives(tmp_path: Path) -> None:
    path = tmp_path / "net.pth"
    torch.save({"w": torch.arange(1000.0)}, path)
    archive = Archive(path)
    with zipfile.ZipFile(path) as usual:
        assert set(archive.members) == set(usual.namelist())
        for name in usual.namelist():
            assert archive.read(name) == usual.read(name)
            assert archive.read(name, 0, 1) == usual.read(name)[:1]


@pytest.mark.parametrize("packed", [True, False])
def test_damage_in_a_member_is_found(packed: bool, tmp_path: Path) -> None:
    path = zipped(tmp_path / "net.pth", b"\x80\x02}.", bytes(range(256)) * 16, packed=packed)
    sound = path.read_bytes()
    assert Archive(path).read("a/data/0") == bytes(range(256)) * 16
    begin = sound.find(b"a/data/0") + 12
    path.write_bytes(sound[:begin] + b"\x55\xaa" + sound[begin + 2 :])
    with pytest.raises(ValueError, match=r"its member a/data/0 (is damaged|ends)|the checksum of"):
        Archive(path).read("a/data/0")
