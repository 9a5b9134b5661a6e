"""Describe the verbs of the command line as data, so that pages of reference can be made of it."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import typer

from derain import cli

_KINDS = {
    "str": "TEXT",
    "list[str]": "",
    "path": "PATH",
    "list[path]": "",
    "int": "N",
    "float": "NUMBER",
}
"""How the types that typer prints behind a name are written in the reference."""


@dataclass(frozen=True)
class Entry:
    """An argument or an option.

    Attributes:
        names: As a user writes it, such as ``-o, --output PATH``.
        help: What it does, with its default where there is one.
        group: Arguments come before options.
    """

    names: str
    help: str
    group: str


@dataclass(frozen=True)
class Command:
    """A verb.

    Attributes:
        name: Its words, such as ``derain weights show``.
        usage: The line that shows how it is called.
        paragraphs: Its help; the first paragraph is one sentence.
        entries: Its arguments and options, in the order of its help.
    """

    name: str
    usage: str
    paragraphs: tuple[str, ...]
    entries: tuple[Entry, ...]


def top_level() -> Command:
    """Return the command without a verb, with the options that belong to it."""
    command: Any = typer.main.get_command(cli.make_app())
    return _described(command, _context(command, "derain"), "derain [OPTIONS] VERB ...")


def verbs() -> Iterator[Command]:
    """Yield each verb, and each verb of a group in place of the group."""
    top: Any = typer.main.get_command(cli.make_app())
    context = _context(top, "derain")
    for name, command in top.commands.items():
        below = _context(command, name, context)
        for inner, verb in getattr(command, "commands", {"": command}).items():
            here = _context(verb, inner, below) if inner else below
            yield _described(verb, here, _usage(verb, " ".join(("derain", name, inner)).strip()))


def _context(command: Any, name: str, parent: Any = None) -> Any:
    settings = getattr(command, "context_settings", {})
    return type(command).context_class(command, info_name=name, parent=parent, **settings)


def _usage(verb: Any, name: str) -> str:
    arguments = [param for param in verb.params if param.param_type_name == "argument"]
    shown = [str(param.metavar or param.name.upper()) for param in arguments]
    words = [
        word if param.required or word.startswith("[") else f"[{word}]"
        for param, word in zip(arguments, shown, strict=True)
    ]
    return " ".join([name, "[OPTIONS]", *words])


def _described(command: Any, context: Any, usage: str) -> Command:
    text = re.sub(r"(?<!\n)\n(?!\n)", " ", command.help or "")
    entries = [_entry(param, context) for param in command.get_params(context)]
    return Command(
        name=usage.partition(" [")[0],
        usage=usage,
        paragraphs=tuple(part.strip() for part in text.split("\n\n") if part.strip()),
        entries=tuple(sorted(entries, key=lambda entry: entry.group)),
    )


def _entry(param: Any, context: Any) -> Entry:
    names, help_text = param.get_help_record(context)
    plain = re.sub(r"<([\w\[\]]+)>", lambda found: _KINDS.get(found[1], found[1].upper()), names)
    return Entry(" ".join(plain.split()), " ".join(help_text.split()), f"{param.param_type_name}s")
