"""The README, the pages in docs and the messages are plain English that is easy to read.

`tests/prose.py` finds sentences without a verb by word lists. On eight pages of commit dafd51d, as
they were before they were rewritten, it reported 69 of 471 sentences. 63 of these are fragments.
"""

import ast
import re
from pathlib import Path

import pytest
from prose import has_verb, paragraphs, sentences

ROOT = Path(__file__).parent.parent
GENERATED = ("docs/zoo.md", "docs/reference")
PAGES = sorted(
    path.relative_to(ROOT).as_posix()
    for path in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md"))
    if not path.relative_to(ROOT).as_posix().startswith(GENERATED)
)
LINE = 100
README_LINES = 100
GRADES = {"README.md": 9, "docs/index.md": 9, "docs/quickstart.md": 9, "docs/guides": 9, "": 11}
"""The highest Flesch-Kincaid grade of pages whose path begins so; the first that fits counts."""

DIALECT = re.compile(
    r"\b(?:ours|told|mended|lest|whoever|twins?|goes on|go on|went on|by itself|be they|anew"
    r"|(?:is|are) none|what is to be|left alone)\b",
    re.IGNORECASE,
)
"""Words that these pages used in a way of their own, where plain English has better ones."""
KINDS = {"not twins"}
"""Kinds of problems of `derain data check`: programs read them, so that they stay."""

REVIEWED = (
    "All take RGB in [0, 1]",
    "The default network cuts pictures",
    "A file that is too small for its pixels,",
    "A pattern that no picture matches is an error",
    "Links to folders that a search finds are not",
    "If all results exist, no model is loaded",
)
"""How sentences begin whose verb the word lists do not find."""

FRAGMENTS = (
    "In a fresh virtual environment, from a checkout of this repository:",
    "More about which files are taken and made, and what a result keeps of a picture's file.",
    "Apache-2.0, weights included.",
    "Four published networks, each the authors' to the last weight, and one of ours in two sizes.",
    "Loss: squared error, and a tenth of that of the edges.",
    "Verified: output for weights in the authors' format, to 1e-4.",
    "What brought it, in the order of what it brought:",
    "Worth it with OpenVINO on processors with VNNI, for DPENet most; with ONNX Runtime hardly.",
    "No CUDA graphs and no compiled networks, since neither could be tried.",
    "What was measured, failures too.",
    "Measured at 6d0b7fe.",
)
SENTENCES = (
    "Nothing is overwritten without `--force`.",
    "Look at the pictures, and compare the mean PSNR.",
    "CRDNet's parameters are those that deraining needs.",
    "PNG files are written at zlib's level 3.",
    "A folder of 200 was not measured.",
    "Scripts measure speed.",
    "Textures that occur in a test set must not be used for training.",
    "Without a proof the name of the folder decides.",
)


def text_of(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


@pytest.mark.parametrize("page", PAGES)
def test_every_sentence_has_a_verb(page: str) -> None:
    found = [text for text in sentences(text_of(page)) if not has_verb(text)]
    assert [text for text in found if not text.startswith(REVIEWED)] == []


def test_fragments_are_found_and_sentences_are_not() -> None:
    assert [text for text in FRAGMENTS if has_verb(text)] == []
    assert [text for text in SENTENCES if list(sentences(text)) == [] or not has_verb(text)] == []


def test_no_review_outlives_its_sentence() -> None:
    everything = [text for page in PAGES for text in sentences(text_of(page))]
    assert [
        start
        for start in REVIEWED
        if not any(text.startswith(start) and not has_verb(text) for text in everything)
    ] == []


def test_only_prose_is_read() -> None:
    page = "# Title\n\n| a | b |\n\n```sh\nderain x\n```\n\n- [One](a.md) `code`\n  two.\n- Three\n"
    assert list(paragraphs(page)) == ["One Code two.", "Three"]
    assert list(sentences(page)) == ["One Code two."]
    assert list(sentences("It is, e.g. Here. *So* it goes.")) == [
        "It is, e.g. Here.",
        "So it goes.",
    ]


@pytest.mark.parametrize("page", PAGES)
def test_a_page_is_easy_to_read(page: str) -> None:
    textstat = pytest.importorskip("textstat")
    grade = textstat.flesch_kincaid_grade(" ".join(sentences(text_of(page))))
    assert grade <= next(most for start, most in GRADES.items() if page.startswith(start))


@pytest.mark.parametrize("page", PAGES)
def test_lines_are_short(page: str) -> None:
    """Check all lines but those of tables and code, and those that are one link."""
    text = re.sub(r"^( *)```.*?^\1```", "", text_of(page), flags=re.M | re.S)
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("|")]
    assert [line for line in lines if len(line) > LINE and " " in line.strip()] == []


def test_the_readme_is_short() -> None:
    lines = text_of("README.md").splitlines()
    assert len(lines) <= README_LINES
    assert [line for line in lines if len(line) > LINE] == []


@pytest.mark.parametrize("page", PAGES)
def test_no_page_uses_the_dialect(page: str) -> None:
    text = re.sub(r"^( *)```.*?^\1```|`[^`]*`", "", text_of(page), flags=re.M | re.S)
    assert DIALECT.findall(text) == []


def strings(tree: ast.Module) -> list[str]:
    """Return the strings of a module, but no docstrings: some of them are messages."""
    docstrings = {
        id(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    return [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and id(node) not in docstrings
    ]


def test_no_message_uses_the_dialect() -> None:
    found = [
        f"{path.relative_to(ROOT)}: {text}"
        for path in sorted((ROOT / "derain").rglob("*.py"))
        for text in strings(ast.parse(path.read_text(encoding="utf-8")))
        if " " in text and text not in KINDS and DIALECT.search(text)
    ]
    assert found == []
