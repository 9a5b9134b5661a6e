"""How errors are worded: found, expected, what to do, in one line."""

import pytest

from derain.errors import (
    DerainError,
    ExistsError,
    UsageError,
    closest,
    did_you_mean,
    is_out_of_memory,
    reason,
)


def test_a_usage_error_names_the_argument_in_any_spelling() -> None:
    error = UsageError("expected at least 16 pixels", option="tile", value=3)
    assert str(error) == "tile=3: expected at least 16 pixels"
    assert error.named("--tile", " ") == "--tile 3: expected at least 16 pixels"
    assert UsageError("is one picture", option="parts").named("--parts", " ") == (
        "--parts: is one picture"
    )
    assert isinstance(error, DerainError)
    assert isinstance(error, ValueError)


def test_zero_and_empty_values_are_shown() -> None:
    assert str(UsageError("expected more", option="tile", value=0)) == "tile=0: expected more"
    assert str(UsageError("expected a name", option="model", value="")) == "model=: expected a name"


def test_an_existing_file_says_how_to_overwrite_it() -> None:
    error = ExistsError("a.png already exists")
    assert str(error) == "a.png already exists; force=True overwrites it"
    assert error.named("--force") == "a.png already exists; --force overwrites it"


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (
            FileNotFoundError(2, "No such file or directory", "a.png"),
            "No such file or directory: a.png",
        ),
        (OSError(28, "No space left on device"), "No space left on device"),
        (OSError("a.png: no such weights"), "a.png: no such weights"),
        (DerainError("two\nlines"), "two lines"),
        (ValueError(""), "ValueError: "),
        (KeyError("size"), "KeyError: 'size'"),
        (MemoryError(), "out of memory; a smaller tile needs less memory"),
    ],
)
def test_a_reason_is_one_line(error: BaseException, line: str) -> None:
    assert reason(error) == line


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (MemoryError(), True),
        (
            RuntimeError(
                "[enforce fail at alloc_cpu.cpp:124] DefaultCPUAllocator: can't allocate memory"
            ),
            True,
        ),
        (RuntimeError("MPS backend out of memory"), True),
        (
            RuntimeError(
                "Given groups=1, weight of size [4, 3, 3, 3], expected input to have 3 channels"
            ),
            False,
        ),
        (ValueError("out of memory"), False),
        (OSError("Cannot allocate memory"), False),
    ],
)
def test_running_out_of_memory_is_recognised(error: Exception, expected: bool) -> None:
    assert is_out_of_memory(error) == expected


@pytest.mark.torch
def test_running_out_of_a_gpus_memory_is_recognised() -> None:
    import torch

    assert is_out_of_memory(
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
    )


def test_advice_ends_with_the_argument() -> None:
    error = UsageError("/ is a root", option="output", advice="say where with")
    assert str(error) == "/ is a root; say where with output"
    assert error.named("-o", " ") == "/ is a root; say where with -o"


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("blanced", "balanced"),  # one missing
        ("ballanced", "balanced"),  # one too many
        ("balamced", "balanced"),  # a wrong one
        ("balanecd", "balanced"),  # two exchanged
        ("BALANCED", "balanced"),
        ("fsat", "fast"),
        ("bet", "best"),
        ("", None),
        ("b", None),
        ("quick", None),
        ("unbalanced load", None),
    ],
)
def test_the_closest_name_is_the_one_with_the_fewest_mistakes(word: str, meant: str | None) -> None:
    assert closest(word, ("fast", "balanced", "best")) == meant
    assert did_you_mean(word, ("fast", "balanced", "best")) == (
        f"; did you mean {meant}?" if meant else ""
    )
    assert closest(word, ()) is None
