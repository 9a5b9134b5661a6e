"""Write the pages of reference: the command line, and the API of each public package.

The names of the API are read from the sources, so that the site can be built without PyTorch.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from tools.reference.commands import Command, Entry, top_level, verbs

ROOT = Path(__file__).parent.parent.parent

STABLE = {
    "derain": "Derain pictures and frames, read and write files, measure.",
    "derain.images": "Read and write image files, with everything that is not pixels.",
    "derain.metrics": "Measure PSNR, SSIM and NIQE under named protocols.",
    "derain.data": "Find pairs of rainy and clean pictures in folders.",
    "derain.weights": "Find the weights inside the package, their cards, and the header of a file.",
    "derain.evaluate": "Score models on data sets, and write tables and reports.",
    "derain.networks": "Build the networks as PyTorch modules.",
    "derain.rain": "Make synthetic rain.",
    "derain.recipes": "Find the settings that networks are trained with.",
}
"""The public packages whose names are stable, each with a line that says what it is for."""

PROVISIONAL = {
    "derain.engines": "Execute a network with ONNX Runtime, PyTorch or OpenVINO.",
    "derain.train": "Train a network.",
    "derain.pictures": "Derain many files.",
    "derain.bench": "Time models on this machine.",
}
"""Packages that are documented, but may still change in any release."""

PACKAGES = {**STABLE, **PROVISIONAL}


def public_names(package: str) -> list[str]:
    """Return the names in ``__all__`` of a package, sorted, without importing it."""
    source = ROOT.joinpath(*package.split("."), "__init__.py").read_text(encoding="utf-8")
    for node in ast.parse(source).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return sorted(name for name in ast.literal_eval(node.value) if not name.startswith("_"))
    raise ValueError(f"{package}: its __init__.py has no __all__")


def project_urls() -> dict[str, str]:
    """Return the addresses of the project, which pyproject.toml alone states."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    # tomllib comes with Python 3.11 only.
    _, _, table = text.partition("[project.urls]\n")
    return dict(re.findall(r'^(\w+) = "([^"]+)"$', table.partition("\n[")[0], re.MULTILINE))


def reference_pages() -> dict[str, str]:
    """Return the generated pages: path in the site's sources, and Markdown."""
    api = {f"reference/api/{package}.md": api_page(package) for package in PACKAGES}
    return {"reference/cli.md": cli_page(), "reference/api/index.md": api_index(), **api}


def cli_page() -> str:
    """Return the page of the command line."""
    commands = list(verbs())
    lines = [
        "# Command line",
        "",
        "This page is made from the commands. `derain VERB --help` prints the same.",
        "",
        "`derain photo.jpg` means `derain run photo.jpg`.",
        "The exit status is 0 if all was done, 1 if something could not be done,",
        "2 for wrong usage, and 130 if the work was interrupted.",
        "",
        "| verb | what it does |",
        "|---|---|",
        *(
            f"| [`{command.name}`](#{_anchor(command.name)}) | {command.paragraphs[0]} |"
            for command in commands
        ),
        "",
        "## Options without a verb",
        "",
        *_table("option", [entry for entry in top_level().entries if entry.group == "options"]),
    ]
    for command in commands:
        lines += _section(command)
    return "\n".join(lines) + "\n"


def _section(command: Command) -> Iterator[str]:
    yield f"## {command.name} {{ #{_anchor(command.name)} }}"
    yield from ("", "```text", command.usage, "```", "")
    for paragraph in command.paragraphs:
        yield from (_escaped(paragraph), "")
    for group in ("arguments", "options"):
        entries = [entry for entry in command.entries if entry.group == group]
        if entries:
            yield from _table(group.removesuffix("s"), entries)


def _anchor(name: str) -> str:
    return name.replace(" ", "-")


def _table(kind: str, entries: list[Entry]) -> Iterator[str]:
    yield from (f"| {kind} | what it does |", "|---|---|")
    for entry in entries:
        names = ", ".join(f"`{name}`" for name in entry.names.replace("|", "\\|").split(", "))
        yield f"| {names} | {_escaped(entry.help)} |"
    yield ""


def _escaped(text: str) -> str:
    for sign in "*_|<[":
        text = text.replace(sign, "\\" + sign)
    return text


def api_index() -> str:
    """Return the page that lists the pages of the API."""
    rows = [f"| [`{package}`]({package}.md) | {line} |" for package, line in PACKAGES.items()]
    return "\n".join(
        [
            "# API",
            "",
            "These pages are made from the docstrings. [Stable API](../stable.md) says which names",
            "you can rely on.",
            "",
            "| package | what it is for |",
            "|---|---|",
            *rows,
            "",
        ]
    )


def api_page(package: str) -> str:
    """Return the page of a package, with a section for each public name.

    The page is Markdown with the directives of mkdocstrings.
    """
    names = "".join(f"::: {package}.{name}\n\n" for name in public_names(package))
    head = f"# {package}\n\n{PACKAGES[package]}\n\n"
    options = ("members", "show_root_heading", "show_root_toc_entry")
    about = "\n".join([f"::: {package}", "    options:", *(f"      {it}: false" for it in options)])
    return f"{head}{about}\n\n{names}"
