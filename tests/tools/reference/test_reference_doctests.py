"""Doctests in docstrings are shown as code."""

import pytest

pytest.importorskip("griffe")

from tools.reference.doctests import fenced

BEFORE = """Return the larger.

>>> import derain
>>> larger(1, 2)  # doctest: +SKIP
2

More text, with >>> in it."""

AFTER = """Return the larger.

```pycon
>>> import derain
>>> larger(1, 2)
2
```

More text, with >>> in it."""


def test_doctests_stand_in_fences() -> None:
    assert fenced(BEFORE) == AFTER


def test_a_docstring_without_doctests_stays() -> None:
    assert fenced("Return it.\n\nArgs:\n    a: One.") == "Return it.\n\nArgs:\n    a: One."
