"""Errors that users see, and how they are worded: what was found, what was expected, what to do.

A library error names the Python argument (``tile=3: expected at least 16 pixels``). The command
line adds the dashes and chooses the exit status by the type of the error.
"""

from collections.abc import Collection, Iterable


class DerainError(Exception):
    """An error that derain raises on purpose, with a message for the user in one line."""


class UsageError(DerainError, ValueError):
    """An argument has a value that cannot be meant.

    Args:
        problem: What was expected, or what is wrong with the value.
        option: Name of the Python argument.
        value: What was given; None to name the argument alone.
        advice: What the argument would do, where it was not given: the message ends with it, and
            with the argument.

    >>> str(UsageError("expected at least 16 pixels", option="tile", value=3))
    'tile=3: expected at least 16 pixels'
    >>> str(UsageError("/ has no folder beside it", option="output", advice="say where with"))
    '/ has no folder beside it; say where with output'
    """

    def __init__(
        self, problem: str, *, option: str, value: object = None, advice: str = ""
    ) -> None:
        self.problem, self.option, self.value, self.advice = problem, option, value, advice
        super().__init__(self.named(option, "="))

    def named(self, option: str, sign: str) -> str:
        """Return the message with another spelling of the argument, such as ``--tile`` and " "."""
        if self.advice:
            return f"{self.problem}; {self.advice} {option}"
        return f"{option}{'' if self.value is None else f'{sign}{self.value}'}: {self.problem}"


class SettingError(UsageError):
    """A field of a training recipe has a value that cannot be meant.

    The command line gives these as ``--set KEY=VALUE``.

    >>> str(SettingError("expected a value like 0.001", option="lr", value="abc"))
    'lr=abc: expected a value like 0.001'
    """


class UnknownNameError(DerainError, ValueError):
    """Nothing is known by a name, or a name that is needed was not given.

    It is wrong usage, as a `UsageError` is, but the name need not be the value of an option.
    """


class ExistsError(DerainError):
    """A file that would be written exists already, and may only be overwritten on request.

    Args:
        problem: What exists, in words.
        effect: What happens on request.

    >>> str(ExistsError("a.png already exists"))
    'a.png already exists; force=True overwrites it'
    """

    def __init__(self, problem: str, effect: str = "overwrites it") -> None:
        self.problem, self.effect = problem, effect
        super().__init__(self.named("force=True"))

    def named(self, request: str) -> str:
        """Return the message with another spelling of the request, such as ``--force``."""
        return f"{self.problem}; {request} {self.effect}"


SAID_IN_A_LINE = (
    DerainError,
    OSError,
    ValueError,
    FloatingPointError,
    ImportError,
    MemoryError,
    RuntimeError,
)
"""What input or the machine may cause: a user is told why in one line, without a traceback."""


def reason(error: BaseException) -> str:
    """Return an exception as one line for the user.

    The path of an `OSError` is part of the line. Exceptions that derain does not expect are shown
    with their class, so that a bug report says what happened.
    """
    if isinstance(error, OSError) and error.strerror:
        place = f": {error.filename}" if error.filename else ""
        return f"{error.strerror}{place}"
    if isinstance(error, OSError):
        return str(error)
    text = " ".join(str(error).split())
    if is_out_of_memory(error):
        return f"{text[:200] or 'out of memory'}; a smaller tile needs less memory"
    expected = isinstance(error, DerainError | ValueError | FloatingPointError | ImportError)
    return text if expected and text else f"{type(error).__name__}: {text[:200]}"


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error says that memory could not be allocated.

    PyTorch, ONNX Runtime and OpenVINO raise a `RuntimeError` for that, of no common class, so its
    text decides.
    """
    return isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError)
        and any(
            words in str(error).lower()
            for words in ("allocate memory", "out of memory", "bad_alloc")
        )
    )


def closest(word: str, known: Iterable[str]) -> str | None:
    """Return the name that a mistyped word most likely stands for; None if it is like none.

    A letter too many, one missing, a wrong one, or two exchanged count as one mistake each. There
    may be one in three letters.

    >>> closest("evalaute", ("run", "evaluate", "train"))
    'evaluate'
    >>> closest("photo", ("run", "evaluate", "train"))
    """
    typed = word.lower()
    distances = {name: _mistakes(typed, name.lower()) for name in known}
    name = min(distances, key=distances.__getitem__, default=None)
    return name if name and distances[name] <= max(1, len(name) // 3) < len(typed) else None


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return ``; did you mean NAME?`` to end a message with, or nothing if no name is like it."""
    name = closest(word, known)
    return f"; did you mean {name}?" if name else ""


def check_choice(
    name: str, known: Collection[str], option: str, error: type[UsageError] = UsageError
) -> None:
    """Check that a name is one of those known.

    Args:
        name: As the user wrote it.
        known: All that there are.
        option: Name of the Python argument.
        error: What is raised.

    Raises:
        UsageError: If it is another; it says which there are, and which may be meant.

    >>> check_choice("jgp", ("jpg", "png"), "format")
    Traceback (most recent call last):
    derain.errors.UsageError: format=jgp: expected one of jpg, png; did you mean jpg?
    """
    if name not in known:
        expected = f"expected one of {', '.join(known)}{did_you_mean(name, known)}"
        raise error(expected, option=option, value=name)


def _mistakes(one: str, other: str) -> int:
    """Return the number of mistakes between two words (optimal string alignment)."""
    before: list[int] = []
    row = list(range(len(other) + 1))
    for i, letter in enumerate(one, 1):
        last, before, row = before, row, [i]
        for j, wanted in enumerate(other, 1):
            row.append(min(before[j] + 1, row[-1] + 1, before[j - 1] + (letter != wanted)))
            if i > 1 and j > 1 and letter == other[j - 2] and one[i - 2] == wanted:
                row[j] = min(row[j], last[j - 2] + 1)
    return row[-1]
