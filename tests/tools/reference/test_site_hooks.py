"""What is done to the pages while the site is built."""

from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("mkdocs")

from mkdocs.exceptions import PluginError

from tools.reference import hooks

ELSEWHERE = [
    '<script src="https://cdn.example/a.js">',
    "<img alt='x' src='//img.example/b.png'>",
    '<link rel="stylesheet" href="https://fonts.example/c.css">',
    '<iframe width="3" src="http://d.example/"></iframe>',
]

HARMLESS = [
    '<a href="https://a.example/">',
    '<script src="../assets/b.js">',
    '<link rel="canonical" href="https://c.example/">',
    '<img src="data:image/png;base64,AAAA">',
]


class Known:
    """The files of a site that has one picture."""

    def get_file_from_path(self, path: str) -> str | None:
        return path if path == "examples/before-after.jpg" else None


def rewritten(markdown: str, page: str) -> str:
    """Return the Markdown of a page with its links replaced."""
    place: Any = SimpleNamespace(file=SimpleNamespace(src_uri=page))
    files: Any = Known()
    return hooks.on_page_markdown(markdown, page=place, files=files, config=None)


def test_links_out_of_the_docs_lead_to_the_sources() -> None:
    source = "https://derain.example/source/blob/main"
    code = "[nledn](../../derain/networks/nledn.py)"
    assert rewritten(code, "concepts/x.md") == f"[nledn]({source}/derain/networks/nledn.py)"
    listed = "[list](../benchmarks/README.md#video)"
    assert rewritten(listed, "results.md") == f"[list]({source}/benchmarks/README.md#video)"


def test_links_within_the_docs_stay() -> None:
    for link in ("[a](../results.md#flips)", "[a](files.md)", "[a](https://b.example)", "[a](#b)"):
        assert rewritten(link, "guides/x.md") == link


def test_pictures_of_the_examples_are_those_of_the_site() -> None:
    picture = "![a](../examples/before-after.jpg)"
    assert rewritten(picture, "index.md") == "![a](examples/before-after.jpg)"
    deeper = "![a](../../examples/before-after.jpg)"
    assert rewritten(deeper, "guides/x.md") == "![a](../examples/before-after.jpg)"


@pytest.mark.parametrize("html", ELSEWHERE)
def test_a_page_that_loads_from_another_host_is_refused(html: str) -> None:
    page: Any = SimpleNamespace(file=SimpleNamespace(src_uri="index.md"))
    with pytest.raises(PluginError, match=r"index\.md: loads from another host: \S+\.example/"):
        hooks.on_post_page(f"<p>{html}</p>", page=page)


@pytest.mark.parametrize("html", HARMLESS)
def test_what_stays_here_is_no_fault(html: str) -> None:
    assert hooks.loaded_from_elsewhere(html) == []
