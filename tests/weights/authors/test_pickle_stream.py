"""The machine that reads pickles gives what pickle gives, for data; it calls nothing."""

import pickle
from collections import OrderedDict, defaultdict
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from derain.weights.authors.pickle_stream import (
    MOST_STEPS,
    HarmfulError,
    Machine,
    StreamError,
    Unbuilt,
)
from derain.weights.authors.pickled import BUILDERS

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False)
    | st.text(max_size=300)
)
DATA = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=5)
        | st.tuples(inner, inner)
        | st.dictionaries(st.text(max_size=5) | st.integers(0, 99), inner, max_size=5)
    ),
    max_leaves=20,
)


def read(content: bytes) -> Any:
    return Machine(content, BUILDERS, lambda identity: identity).read()


def with_text_keys(data: Any) -> Any:
    if isinstance(data, dict):
        return {str(key): with_text_keys(value) for key, value in data.items()}  # pyright: ignore
    if isinstance(data, list | tuple):
        return type(data)(map(with_text_keys, data))  # pyright: ignore
    return data


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@given(DATA)
def test_data_come_back(protocol: int, data: Any) -> None:
    assert read(pickle.dumps(data, protocol)) == with_text_keys(data)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_mappings_of_other_kinds_are_mappings(protocol: int) -> None:
    kinds: Any = [OrderedDict(a=1), defaultdict(int, {"a": 1})]
    assert read(pickle.dumps(kinds, protocol)) == [{"a": 1}, {"a": 1}]


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_what_is_shared_stays_shared(protocol: int) -> None:
    inner = [1]
    one, other = read(pickle.dumps([inner, inner], protocol))
    assert one is other


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_objects_stay_unbuilt_and_are_noted(protocol: int) -> None:
    machine = Machine(
        pickle.dumps({"a": complex(1, 2), "b": {1, 2}, "c": b"x", "d": 3}, protocol),
        BUILDERS,
        lambda identity: identity,
    )
    found = machine.read()
    assert isinstance(found["a"], Unbuilt)
    assert found["d"] == 3
    assert any(name.endswith(".complex") for name in machine.unbuilt)


@pytest.mark.parametrize("function", [eval, exec, open, __import__, getattr, print])
@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_what_could_do_harm_is_refused(protocol: int, function: Any) -> None:
    with pytest.raises(HarmfulError, match=rf"\.{function.__name__}$"):
        read(pickle.dumps([function], protocol))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b".",
        b"\x80",
        b"t.",
        b"K",
        b"a.",
        b"(lu.",
        b"h\x05.",
        b"Q.",
        b"\x82\x01.",
        b"\xff",
        b"I" + b"9" * 9000,
        b"cos\n",
        b"X\xff\xff\xff\xff.",
        b"}NNs",
        b"NR.",
    ],
)
def test_what_is_no_program_is_refused(content: bytes) -> None:
    with pytest.raises(StreamError, match=r"damaged|referred to"):
        read(content)


def test_no_cut_gives_anything_else_than_an_error() -> None:
    whole = pickle.dumps({"a": [1.5, "text", (2, 3)], "b": OrderedDict(c=None)}, 2)
    for length in range(len(whole)):
        with pytest.raises(StreamError):
            read(whole[:length])


def test_steps_are_counted_over_all_programs() -> None:
    machine = Machine(b"N0" * (MOST_STEPS // 4) + b"N.", BUILDERS, lambda identity: identity)
    assert machine.read() is None
    machine.position = 0
    with pytest.raises(StreamError, match="more than 1000000 steps"):
        machine.read()
