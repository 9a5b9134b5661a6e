"""Reads pickles as data: nothing that a pickle names is imported, and nothing is run.

A pickle is a program for a machine with a stack. This machine knows how plain data are built, and
what PyTorch writes for tensors. Whatever else a pickle calls leaves an `Unbuilt` behind, and what
that would be made of is dropped. The stream is read up to a limit, and no step makes more than it
read, so memory stays in proportion. Format: CPython's pickletools.py.
"""

import codecs
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

MOST_STEPS = 1_000_000
"""A tensor takes about 30, each number in a list one or two."""

MOST_TEXT = 32 << 20
"""Bytes of text in all."""

LONGEST = 1 << 20
"""Bytes of a text that is kept; longer text is passed over."""

HARMLESS = frozenset(
    [
        "bool",
        "bytearray",
        "bytes",
        "complex",
        "dict",
        "float",
        "frozenset",
        "int",
        "list",
        "long",
        "object",
        "range",
        "set",
        "slice",
        "str",
        "tuple",
        "unicode",
        "xrange",
    ]
)
"""Names of ``builtins``, also of Python 2, that checkpoints have for their data."""

HARMFUL = frozenset(
    [
        "asyncio",
        "bdb",
        "builtins",
        "code",
        "codeop",
        "commands",
        "ctypes",
        "http",
        "importlib",
        "io",
        "marshal",
        "nt",
        "os",
        "pdb",
        "pickle",
        "pip",
        "posix",
        "posixpath",
        "pty",
        "pydoc",
        "runpy",
        "shutil",
        "signal",
        "socket",
        "subprocess",
        "sys",
        "tempfile",
        "timeit",
        "urllib",
        "webbrowser",
        "zipimport",
    ]
)
"""Modules of which no checkpoint needs anything: a file that names one is not what it says.

Nothing of other modules is run either. The list serves to refuse such a file with a clear message.
"""


@dataclass(frozen=True)
class Name:
    """A class or a function that a pickle names."""

    name: str


@dataclass(eq=False)
class Unbuilt:
    """Something that only code could build.

    Attributes:
        name: What the pickle wanted to call.
        items: What was put into it, if it is a mapping.
    """

    name: str
    items: dict[str, Any] = field(default_factory=dict[str, Any], repr=False)


class StreamError(ValueError):
    """A pickle is damaged, or larger than any checkpoint's."""


class HarmfulError(StreamError):
    """A pickle asks to run something that no checkpoint needs; the message is its name."""


Builders = Mapping[str, Callable[..., Any]]
"""What is built of the arguments to a name, such as ``torch.Size``."""


class Machine:
    """Reads one pickle after another.

    Args:
        content: The stream, as far as it is read.
        builders: What is known how to build.
        persistent: Returns what stands for a persistent id, PyTorch's reference to a storage.

    Attributes:
        position: Where in the stream the next pickle begins.
        unbuilt: What was not built, in order.
    """

    def __init__(
        self, content: bytes, builders: Builders, persistent: Callable[[Any], Any]
    ) -> None:
        self.position = 0
        self.unbuilt: dict[str, None] = {}
        self.stack: list[Any] = []
        self._below: list[list[Any]] = []
        self._memo: dict[int, Any] = {}
        self._content, self._builders, self._persistent = content, builders, persistent
        self._steps = self._text = 0

    def read(self) -> Any:
        """Return what the next pickle holds: mappings with text as keys, lists, tuples, numbers.

        Raises:
            StreamError: If it is damaged, larger than any checkpoint's, or harmful.
        """
        self.stack, self._below, self._memo = [], [], {}
        try:
            while True:
                self._steps += 1
                if self._steps > MOST_STEPS:
                    raise StreamError(f"its pickle takes more than {MOST_STEPS} steps to read")
                code = self._content[self.position]
                self.position += 1
                if code == STOP:
                    return self.stack.pop()
                STEPS[code](self)
        except StreamError:
            raise
        except (LookupError, struct.error, TypeError, ValueError):
            raise StreamError("its pickle is damaged, or ends too soon") from None

    def number(self, kind: str) -> Any:
        """Take a number off the stream, in a format of `struct`."""
        (value,) = struct.unpack_from(kind, self._content, self.position)
        self.position += struct.calcsize(kind)
        return value

    def skip(self, size: int) -> None:
        """Pass over bytes."""
        self.position += size
        if self.position > len(self._content):
            raise IndexError

    def take(self, size: int) -> bytes:
        """Take bytes off the stream; none of them if they are too many to be kept."""
        begin = self.position
        self.skip(size)
        if size > LONGEST:
            return b""
        self._text += size
        if self._text > MOST_TEXT:
            raise StreamError(f"its pickle holds more than {MOST_TEXT >> 20} MiB of text")
        return self._content[begin : self.position]

    def line(self) -> bytes:
        """Take a line off the stream."""
        end = self._content.index(b"\n", self.position, self.position + LONGEST)
        line = self.take(end - self.position)
        self.position += 1
        return line

    def push(self, value: Any) -> None:
        """Put a value on the stack."""
        self.stack.append(value)

    def mark(self) -> None:
        """Remember how high the stack is."""
        self._below.append(self.stack)
        self.stack = []

    def marked(self) -> list[Any]:
        """Return what lies above the last mark, and take both away."""
        items, self.stack = self.stack, self._below.pop()
        return items

    def bytes_of(self, kind: str) -> None:
        """Pass over bytes after their count: no name, shape or place is bytes."""
        self.skip(self.number(kind))
        self.push(None)

    def integer(self, size: int) -> None:
        """Push an integer of so many bytes; what is longer than any count is passed over."""
        content = self.take(size)
        self.push(int.from_bytes(content, "little", signed=True) if size <= 16 else None)

    def decimal(self) -> None:
        """Push an integer, or a truth value, that is written out on a line."""
        line = self.line().rstrip(b"L")
        truth = {b"00": False, b"01": True}
        self.push(truth[line] if line in truth else int(line[:40]))

    def top(self, count: int) -> None:
        """Put the uppermost values into a tuple."""
        items = tuple(self.stack[-count:])
        if len(items) != count:
            raise IndexError
        self.stack[-count:] = [items]

    def name(self, module: Any, name: Any) -> None:
        """Push what a name stands for, without looking it up."""
        if not (isinstance(module, str) and isinstance(name, str)) or len(module + name) > 500:
            raise TypeError
        package = module.partition(".")[0].replace("__builtin__", "builtins")
        if package in HARMFUL and not (package == "builtins" and name in HARMLESS):
            raise HarmfulError(f"{module}.{name}")
        self.push(Name(f"{module}.{name}"))

    def call(self, wanted: Any, arguments: Any) -> None:
        """Push what a call would give; what is not known how to build is noted, and not called."""
        build = self._builders.get(wanted.name) if isinstance(wanted, Name) else None
        if build is not None and isinstance(arguments, tuple):
            # One list could be copied time and again.
            self._steps += sum(len(part) for part in arguments if isinstance(part, list | tuple))
            self.push(build(*arguments))
            return
        name = wanted.name if isinstance(wanted, Name | Unbuilt) else type(wanted).__name__
        self.unbuilt[name] = None
        self.push(Unbuilt(name))

    def call_marked(self, *, named: bool) -> None:
        """Push what a class would make of marked arguments."""
        wanted = self.stack.pop() if named else None
        items = self.marked()
        self.call(items[0] if wanted is None else wanted, None)

    def put(self, key: int) -> None:
        """Remember the uppermost value under a number."""
        if not 0 <= key <= MOST_STEPS:
            raise StreamError("its pickle numbers what it holds in an unusual way")
        self._memo[key] = self.stack[-1]

    def memoize(self) -> None:
        """Remember the uppermost value under the next number."""
        self.put(len(self._memo))

    def get(self, key: int) -> None:
        """Push what is remembered under a number."""
        self.push(self._memo[key])

    def set_items(self, pairs: list[Any]) -> None:
        """Put keys and values into the uppermost mapping.

        Keys are text from here on, or left out: others could be made to take for ever to compare.
        """
        target = self.stack[-1]
        items = target.items if isinstance(target, Unbuilt) else target
        if not isinstance(items, dict):
            raise TypeError
        for key, value in zip(pairs[::2], pairs[1::2], strict=True):
            if isinstance(key, str | int | float):
                items[str(key)] = value

    def extend(self, items: list[Any]) -> None:
        """Append to the uppermost list; what is not known how to build takes anything."""
        target = self.stack[-1]
        if isinstance(target, list):
            target.extend(items)
        elif not isinstance(target, Unbuilt):
            raise TypeError

    def refer(self, persistent_id: Any) -> None:
        """Push what stands for a persistent id."""
        self.push(self._persistent(persistent_id))


Step = Callable[[Machine], Any]

STOP = ord(".")


def _old_text(machine: Machine) -> None:
    content, _ = codecs.escape_decode(machine.line().strip()[1:-1])
    machine.push(content.decode("latin-1"))


def _name_above(machine: Machine) -> None:
    name, module = machine.stack.pop(), machine.stack.pop()
    machine.name(module, name)


def _name_on_lines(machine: Machine) -> None:
    machine.name(machine.line().decode(), machine.line().decode())


def _instance(machine: Machine) -> None:
    _name_on_lines(machine)
    machine.call_marked(named=True)


def _reduce(machine: Machine) -> None:
    arguments = machine.stack.pop()
    machine.call(machine.stack.pop(), arguments)


def _new_with_keywords(machine: Machine) -> None:
    machine.stack.pop()
    _reduce(machine)


def _set_item(machine: Machine) -> None:
    value, key = machine.stack.pop(), machine.stack.pop()
    machine.set_items([key, value])


def _mapping(machine: Machine) -> None:
    pairs = machine.marked()
    machine.push({})
    machine.set_items(pairs)


def _pop(machine: Machine) -> None:
    # Where the mark is uppermost, it goes.
    machine.stack.pop() if machine.stack else machine.marked()


def _text(kind: str) -> Step:
    return lambda machine: machine.push(
        machine.take(machine.number(kind)).decode("utf-8", "surrogatepass")
    )


def _bytes(kind: str) -> Step:
    return lambda machine: machine.bytes_of(kind)


def _constant(value: Any) -> Step:
    return lambda machine: machine.push(value)


_NAMED: dict[str, Step] = {
    "(": Machine.mark,
    "0": _pop,
    "1": lambda machine: machine.marked(),
    "2": lambda machine: machine.push(machine.stack[-1]),
    "F": lambda machine: machine.push(float(machine.line())),
    "G": lambda machine: machine.push(machine.number(">d")),
    "I": Machine.decimal,
    "L": Machine.decimal,
    "J": lambda machine: machine.push(machine.number("<i")),
    "K": lambda machine: machine.push(machine.number("<B")),
    "M": lambda machine: machine.push(machine.number("<H")),
    "N": _constant(None),
    "S": _old_text,
    "T": lambda machine: machine.push(machine.take(machine.number("<I")).decode("latin-1")),
    "U": lambda machine: machine.push(machine.take(machine.number("<B")).decode("latin-1")),
    "V": lambda machine: machine.push(machine.line().decode("raw-unicode-escape")),
    "X": _text("<I"),
    "B": _bytes("<I"),
    "C": _bytes("<B"),
    "R": _reduce,
    "b": lambda machine: machine.stack.pop(),  # the state of what is below
    "c": _name_on_lines,
    "i": _instance,
    "o": lambda machine: machine.call_marked(named=False),
    "Q": lambda machine: machine.refer(machine.stack.pop()),
    "d": _mapping,
    "}": lambda machine: machine.push({}),
    "s": _set_item,
    "u": lambda machine: machine.set_items(machine.marked()),
    "l": lambda machine: machine.push(machine.marked()),
    "]": lambda machine: machine.push([]),
    "a": lambda machine: machine.extend([machine.stack.pop()]),
    "e": lambda machine: machine.extend(machine.marked()),
    "t": lambda machine: machine.push(tuple(machine.marked())),
    ")": _constant(()),
    "p": lambda machine: machine.put(int(machine.line()[:10])),
    "q": lambda machine: machine.put(machine.number("<B")),
    "r": lambda machine: machine.put(machine.number("<I")),
    "g": lambda machine: machine.get(int(machine.line()[:10])),
    "h": lambda machine: machine.get(machine.number("<B")),
    "j": lambda machine: machine.get(machine.number("<I")),
}
_NUMBERED: dict[int, Step] = {
    0x80: lambda machine: machine.skip(1),  # the protocol
    0x81: _reduce,  # of a class
    0x85: lambda machine: machine.top(1),
    0x86: lambda machine: machine.top(2),
    0x87: lambda machine: machine.top(3),
    0x88: _constant(value=True),
    0x89: _constant(value=False),
    0x8A: lambda machine: machine.integer(machine.number("<B")),
    0x8B: lambda machine: machine.integer(machine.number("<I")),
    0x8C: _text("<B"),
    0x8D: _text("<Q"),
    0x8E: _bytes("<Q"),
    0x8F: lambda machine: machine.push([]),  # a set
    0x90: lambda machine: machine.extend(machine.marked()),
    0x91: lambda machine: machine.push(machine.marked()),  # a frozen set
    0x92: _new_with_keywords,
    0x93: _name_above,
    0x94: Machine.memoize,
    0x95: lambda machine: machine.skip(8),  # a frame, which says how long it is
    0x96: _bytes("<Q"),
}
STEPS = {ord(letter): step for letter, step in _NAMED.items()} | _NUMBERED
"""What each byte of a program does. Extensions and buffers outside the stream are left out."""
