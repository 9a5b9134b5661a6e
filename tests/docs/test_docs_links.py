"""Links in the pages lead somewhere: files, headings and pictures exist."""

import re
import unicodedata
from functools import cache
from pathlib import Path

import pytest
from documents import GENERATED, ROOT, name_of, pages, prose

IMAGE = re.compile(r"!\[[^\]]*\]\(\s*([^)\s]+)[^)]*\)")
LINK = re.compile(r"\[[^\[\]]*\]\(\s*([^)\s]+)[^)]*\)|<(https?://[^>]+)>")
HTML = re.compile(r"<(?:img|a)\b[^>]*\b(?:src|href)=\"([^\"]+)\"")
LOCAL = ("http://127.0.0.1", "http://localhost")


def targets(text: str) -> list[str]:
    """Return what the links and pictures of a text lead to."""
    pictures = IMAGE.findall(text)
    # A picture may itself be a link.
    links = [found[1] or found[2] for found in LINK.finditer(IMAGE.sub("", text))]
    return [*pictures, *links, *HTML.findall(text)]


@cache
def anchors(page: Path) -> frozenset[str]:
    """Return the anchors of the headings of a page, as the site and code hosts make them."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.M)
    found: set[str] = set(re.findall(r'\bid="([^"]+)"', text))
    for heading in re.findall(r"^#{1,6} (.+?)\s*$", text, re.MULTILINE):
        words = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "")
        plain = unicodedata.normalize("NFKD", words).encode("ascii", "ignore").decode()
        slug = re.sub(r"[^\w\s-]", "", plain).strip().lower()
        found.add(re.sub(r"[-\s]+", "-", slug))
    return frozenset(found)


def fault(page: Path, target: str) -> str:
    """Return what is wrong with a target; empty if nothing is."""
    if re.match(r"[a-z]+:", target):
        fine = re.fullmatch(r"https://[\w.-]+\.\w+(/\S*)?|mailto:\S+@\S+", target)
        return "" if fine or target.startswith(LOCAL) else "is not https"
    path, _, anchor = target.partition("#")
    place = (page.parent / path).resolve() if path else page
    if not place.is_relative_to(ROOT):
        return "leaves the repository"
    if GENERATED.fullmatch(name_of(place)):
        return ""  # mkdocs build --strict checks it
    if not place.exists():
        return "does not exist"
    if anchor and place.suffix == ".md" and anchor not in anchors(place):
        return "has no such heading"
    return ""


@pytest.mark.parametrize("page", pages(), ids=name_of)
def test_links_and_pictures_of_a_page_exist(page: Path) -> None:
    faults = {target: fault(page, target) for target in targets(prose(page))}
    assert {target: text for target, text in faults.items() if text} == {}


def test_what_is_wrong_with_a_link_is_found(tmp_path: Path) -> None:
    page = ROOT / "README.md"
    assert fault(page, "docs/nothing.md") == "does not exist"
    assert fault(page, "docs/results.md#nothing") == "has no such heading"
    assert fault(page, "docs/results.md#across-sets") == ""
    assert fault(page, "../other.md") == "leaves the repository"
    assert fault(page, "http://derain.example") == "is not https"
    assert fault(page, "https://derain.example/docs") == ""


def test_links_are_found_in_all_their_forms() -> None:
    text = '[![a](b.svg)](c.md) [d](e.md "f") ![g\nh](i.png) <https://j.example> <img src="k.png">'
    assert targets(text) == ["b.svg", "i.png", "c.md", "e.md", "https://j.example", "k.png"]


def test_every_picture_of_the_docs_is_shown_somewhere() -> None:
    shown = {
        (page.parent / target.partition("#")[0]).resolve()
        for page in pages()
        for target in targets(prose(page))
        if ":" not in target
    }
    pictures = {
        path
        for path in (ROOT / "docs").rglob("*")
        if path.suffix in (".png", ".jpg", ".svg", ".webp")
    }
    assert pictures - shown == set()
