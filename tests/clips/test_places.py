"""Places of results, of which every input has its own."""

from pathlib import Path

import pytest

from derain.clips.places import Places
from derain.errors import DerainError


def test_no_two_inputs_become_one_file(tmp_path: Path) -> None:
    places = Places()
    places.check(Path("a.gif"), [Path("out/x.gif")])
    places.take(Path("a.gif"), [tmp_path / "x.gif", tmp_path / "y.gif"])
    places.check(Path("b.gif"), [tmp_path / "z.gif"])
    same = tmp_path / "sub" / ".." / "y.gif"
    with pytest.raises(DerainError, match=r"would become .*y\.gif, which a\.gif needs; give them"):
        places.check(Path("b.gif"), [tmp_path / "z.gif", same])


def test_no_result_overwrites_an_input_that_is_still_to_be_read(tmp_path: Path) -> None:
    places = Places()
    places.take(Path("a.gif"), [tmp_path / "x.gif"])
    with pytest.raises(DerainError, match=r"x\.gif: is overwritten by the result of a\.gif"):
        places.check(tmp_path / "x.gif", [tmp_path / "z.gif"])
