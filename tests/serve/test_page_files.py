"""The files of the page: whole, from this server alone, and without inline script or style."""

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "derain" / "serve" / "page"
TEXTS = sorted(path for path in PAGE.iterdir() if path.suffix in (".html", ".css", ".js", ".svg"))


class Elements(HTMLParser):
    """Every element of a page: its name and attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, {name: value or "" for name, value in attrs}))


@pytest.fixture(scope="module")
def elements() -> list[tuple[str, dict[str, str]]]:
    return Elements((PAGE / "index.html").read_text(encoding="utf-8")).found


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.name)
def test_no_other_host_is_named(path: Path) -> None:
    addresses = re.findall(r"(?:https?:)?//[\w.-]+\.\w+", path.read_text(encoding="utf-8"))
    # An SVG's namespace is a name, which is not fetched.
    assert set(addresses) <= {"http://www.w3.org"}


def test_script_and_style_are_not_inline(elements: list[tuple[str, dict[str, str]]]) -> None:
    for tag, attributes in elements:
        assert tag != "style"
        assert tag != "script" or attributes["src"]
        assert not [name for name in attributes if name == "style" or name.startswith("on")]


def test_every_file_that_is_named_is_there(elements: list[tuple[str, dict[str, str]]]) -> None:
    named = {attributes.get("src") for _, attributes in elements}
    named |= {attributes.get("href") for tag, attributes in elements if tag == "link"}
    named |= {
        f"samples/{attributes['data-sample']}"
        for _, attributes in elements
        if "data-sample" in attributes
    }
    for script in PAGE.glob("*.js"):
        named |= set(re.findall(r'from "\./([^"]+)"', script.read_text(encoding="utf-8")))
    missing = [name for name in named if name and not (PAGE / name).is_file()]
    assert missing == []


def test_ids_and_what_refers_to_them(elements: list[tuple[str, dict[str, str]]]) -> None:
    identifiers = [attributes["id"] for _, attributes in elements if "id" in attributes]
    assert len(identifiers) == len(set(identifiers))
    referring = ("for", "aria-labelledby", "aria-describedby", "aria-controls")
    referred = {
        name
        for _, attributes in elements
        for attribute in referring
        for name in attributes.get(attribute, "").split()
    }
    # Scripts name elements by their ids.
    script = (PAGE / "derain.js").read_text(encoding="utf-8")
    referred |= set(re.findall(r'\$\("([a-z-]+)"\)', script)) - {"alarm"}
    assert referred <= set(identifiers)


def test_samples_are_the_examples() -> None:
    """So that source and licence in examples/README.md are theirs, too."""
    samples = sorted((PAGE / "samples").glob("*.jpg"))
    assert samples
    for sample in samples:
        assert sample.read_bytes() == (ROOT / "examples" / sample.name).read_bytes()
