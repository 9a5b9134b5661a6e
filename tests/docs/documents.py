"""The pages for readers, and what stands in them: blocks of code, links, headings."""

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]

GENERATED = re.compile(r"docs/reference/(cli|api/.*)\.md")
"""Pages that are made while the site is built."""

BLOCK = re.compile(
    r"(?:<!-- (?P<mark>[^>]*?) -->\n)?^```(?P<language>[\w-]*)\n(?P<text>.*?)^```$",
    re.DOTALL | re.MULTILINE,
)


@dataclass(frozen=True)
class Block:
    """A fenced block of code.

    Attributes:
        page: Path of its page from the root of the repository.
        number: Its place among the blocks of the page.
        language: As the fence says; empty if it says nothing.
        text: The code.
        mark: The comment in the line above; empty if there is none.
    """

    page: str
    number: int
    language: str
    text: str
    mark: str

    @property
    def example(self) -> bool:
        """Whether the page says that the block is an example, which cannot be run in a test."""
        return self.mark.startswith("example")

    def __str__(self) -> str:
        return f"{self.page}#{self.number}"


def pages() -> list[Path]:
    """Return the pages for readers, but not the generated ones."""
    tops = [path for path in ROOT.glob("*.md") if path.name != "CHANGELOG.md"]
    others = [ROOT / "examples/README.md", ROOT / "benchmarks/README.md"]
    return sorted([*tops, *others, *(ROOT / "docs").rglob("*.md")])


def name_of(page: Path) -> str:
    """Return the path of a page from the root of the repository."""
    return page.relative_to(ROOT).as_posix()


def blocks(*languages: str) -> list[Block]:
    """Return all blocks of some languages, page by page."""
    return [
        Block(name_of(page), number, found["language"], found["text"], found["mark"] or "")
        for page in pages()
        for number, found in enumerate(BLOCK.finditer(page.read_text(encoding="utf-8")))
        if found["language"] in languages
    ]


def prose(page: Path) -> str:
    """Return the text of a page without its code, in which nothing is a link."""
    return re.sub(r"`[^`\n]*`", "``", BLOCK.sub("", page.read_text(encoding="utf-8")))


def commands(text: str) -> list[str]:
    """Return the lines of a block of shell code, joined where they continue, without comments."""
    lines = re.sub(r"\\\n\s*", "", text).splitlines()
    plain = (re.sub(r"(^|\s)#.*", "", line).strip() for line in lines)
    return [line for line in plain if line]
