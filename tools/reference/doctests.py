"""Let examples in docstrings be shown as code: mkdocs.yml names this extension.

Doctests stand between paragraphs in derain's docstrings. Markdown would take ``>>>`` for a
quotation in a quotation, so they are put into fences.
"""

import re
from typing import Any

from griffe import Extension, Object

_EXAMPLE = re.compile(r"(?:^>>> .*\n?(?:^(?!>>> )\S.*\n?)*)+", re.MULTILINE)
_DIRECTIVE = re.compile(r"\s*# doctest: .*$", re.MULTILINE)


def fenced(docstring: str) -> str:
    """Return a docstring whose doctests stand in fences, without directives of doctest."""

    def fence(found: re.Match[str]) -> str:
        code = _DIRECTIVE.sub("", found[0]).rstrip("\n")
        return f"```pycon\n{code}\n```\n"

    return _EXAMPLE.sub(fence, docstring)


class Doctests(Extension):
    """Put the doctests of every docstring into fences."""

    def on_instance(self, *, obj: Object, **_: Any) -> None:
        """Change the docstring of an object as it is found."""
        if obj.docstring:
            obj.docstring.value = fenced(obj.docstring.value)
