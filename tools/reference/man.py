"""Write the manual page ``derain(1)`` from the command line.

    python -m tools.reference.man --write

The page is committed, because it is installed by the wheel, which is built without derain's
dependencies. Without ``--write`` it is printed.
"""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from tools.reference.commands import Command, Entry, top_level, verbs

PAGE = Path(__file__).parent.parent.parent / "docs/man/derain.1"

EXIT_STATUS = {
    "0": "All was done.",
    "1": "Something could not be done; each failing file was named, and the others are done.",
    "2": "The command was used wrongly.",
    "130": "The work was interrupted.",
}

EXAMPLES = {
    "derain photo.jpg": "Write photo_derained.jpg beside the photograph.",
    "derain holiday/ -o dry/": "Derain a folder; run it again to finish what was interrupted.",
    "derain clip.mp4 --resume": "Continue a clip whose work was interrupted.",
    "derain evaluate petrichor Rain100L/ --csv scores.csv": "Score a model on pairs of pictures.",
}


def man_page() -> str:
    """Return the page in roff."""
    return "\n".join(_lines()) + "\n"


def _lines() -> Iterator[str]:
    commands = list(verbs())
    yield '.\\" Made by python -m tools.reference.man --write: do not edit.'
    yield '.TH DERAIN 1 "" "derain" "User Commands"'
    yield from (".SH NAME", _plain("derain - take the rain out of photographs and video"))
    yield ".SH SYNOPSIS"
    for usage in ("derain PICTURE...", *(command.usage for command in commands)):
        yield from (f".B {_plain(usage)}", ".br")
    yield ".SH DESCRIPTION"
    yield from _text(top_level().paragraphs)
    yield from (".SH OPTIONS", "These options are given without a verb.")
    yield from _entries(entry for entry in top_level().entries if entry.group == "options")
    yield ".SH VERBS"
    for command in commands:
        yield from _verb(command)
    yield ".SH EXAMPLES"
    yield from _definitions(EXAMPLES)
    yield ".SH EXIT STATUS"
    yield from _definitions(EXIT_STATUS)


def _verb(command: Command) -> Iterator[str]:
    yield f".SS {_plain(command.name)}"
    yield from (f".B {_plain(command.usage)}", ".PP")
    yield from _text(command.paragraphs)
    yield from _entries(command.entries)


def _text(paragraphs: Sequence[str]) -> Iterator[str]:
    for number, paragraph in enumerate(paragraphs):
        if number:
            yield ".PP"
        yield _plain(paragraph)


def _entries(entries: Iterator[Entry] | Sequence[Entry]) -> Iterator[str]:
    yield from _definitions({entry.names: entry.help for entry in entries})


def _definitions(items: dict[str, str]) -> Iterator[str]:
    for name, text in items.items():
        yield from (".TP", f".B {_plain(name)}", _plain(text) or "\\&")


def _plain(text: str) -> str:
    """Return text that roff prints as it is: no escapes, no requests, hyphens as typed."""
    escaped = text.replace("\\", "\\e").replace("-", "\\-")
    return f"\\&{escaped}" if escaped.startswith((".", "'")) else escaped


def main(arguments: Sequence[str]) -> None:
    """Print the page, or write it to its place."""
    if "--write" in arguments:
        PAGE.parent.mkdir(parents=True, exist_ok=True)
        PAGE.write_text(man_page(), encoding="utf-8")
    else:
        print(man_page(), end="")


if __name__ == "__main__":
    main(sys.argv[1:])
