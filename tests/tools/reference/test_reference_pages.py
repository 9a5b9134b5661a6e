"""The pages of reference say what the command line and the package say."""

import importlib
import re
from inspect import getdoc, isclass, signature
from pathlib import Path

import pytest
import typer

from derain import cli
from derain.extras import is_installed
from tools.reference import man
from tools.reference.commands import top_level, verbs
from tools.reference.pages import (
    PACKAGES,
    PROVISIONAL,
    STABLE,
    api_page,
    cli_page,
    project_urls,
    public_names,
    reference_pages,
)

ROOT = Path(__file__).parents[3]
STABLE_PAGE = (ROOT / "docs/reference/stable.md").read_text(encoding="utf-8")


def options_of_the_parser() -> set[str]:
    """Return all options that the command line takes."""
    found: set[str] = set()
    waiting = [typer.main.get_command(cli.make_app())]
    while waiting:
        command = waiting.pop()
        waiting += getattr(command, "commands", {}).values()
        found |= {name for param in command.params for name in param.opts if name[0] == "-"}
    return found


def test_the_page_of_the_command_line_has_every_verb_and_option() -> None:
    page = cli_page()
    for command in verbs():
        assert f"\n## {command.name} {{" in page
        assert command.paragraphs[0].endswith(".")
    named = set(re.findall(r"(?<![\w-])--?[a-z][\w-]*", page))
    assert options_of_the_parser() <= named


def test_usage_and_kinds_of_values_are_shown_as_users_write_them() -> None:
    found = {command.name: command for command in verbs()}
    assert found["derain run"].usage == "derain run [OPTIONS] PICTURE..."
    assert found["derain data check"].usage == "derain data check [OPTIONS] [DIR]"
    names = {entry.names for entry in found["derain run"].entries}
    assert {"-o, --output TEXT", "--tile N", "--temporal auto|off|N", "--force"} <= names
    assert "-h, --help" in {entry.names for entry in top_level().entries}


def test_signs_of_markdown_are_escaped_in_tables() -> None:
    row = next(line for line in cli_page().splitlines() if "--temporal" in line)
    assert row.count("|") - row.count("\\|") == 3


def test_the_manual_page_is_that_of_the_commands() -> None:
    committed = man.PAGE.read_text(encoding="utf-8")
    assert committed == man.man_page(), "run: python -m tools.reference.man --write"


def test_roff_takes_no_text_of_the_manual_page_for_a_request() -> None:
    requests = {line.split()[0] for line in man.man_page().splitlines() if line[:1] in ".'"}
    assert requests <= {'.\\"', ".TH", ".SH", ".SS", ".B", ".br", ".PP", ".TP"}


def section(package: str) -> str:
    """Return the part of the page of the stable API that is about a package."""
    return STABLE_PAGE.partition(f"\n## {package}\n")[2].partition("\n## ")[0]


@pytest.mark.parametrize("package", STABLE)
def test_the_page_of_the_stable_api_names_what_a_package_offers(package: str) -> None:
    named = re.findall(r"`(\w+)`", section(package))
    assert named == public_names(package)


@pytest.mark.parametrize("package", STABLE)
def test_stable_classes_describe_everything_they_are_given(package: str) -> None:
    module = importlib.import_module(package)
    classes = [value for name in public_names(package) if isclass(value := getattr(module, name))]
    lacking = [
        f"{cls.__name__}({name}=...)"
        for cls in classes
        if re.search(r"^(Args|Attributes):$", text := getdoc(cls) or "", re.MULTILINE)
        for name in signature(cls).parameters
        if not re.search(rf"^ +(\w+, )*{name}(, \w+)*:|``{name}``", text, re.MULTILINE)
    ]
    assert lacking == []


def test_the_page_of_the_stable_api_names_the_provisional_packages() -> None:
    assert re.findall(r"^- \[`([\w.]+)`\]", STABLE_PAGE, re.MULTILINE) == list(PROVISIONAL)


@pytest.mark.parametrize("package", PACKAGES)
def test_names_that_are_read_from_the_source_are_those_of_the_package(package: str) -> None:
    offered = set(importlib.import_module(package).__all__) - {"__version__"}
    missing = set() if is_installed("torch") else {"NETWORKS"}
    assert set(public_names(package)) - offered <= missing
    assert offered <= set(public_names(package))


def test_every_public_name_has_a_section_in_the_reference() -> None:
    assert "\n::: derain.metrics.psnr\n" in api_page("derain.metrics")
    assert set(reference_pages()) == {
        "reference/cli.md",
        "reference/api/index.md",
        *(f"reference/api/{package}.md" for package in PACKAGES),
    }


def test_a_package_without_public_names_is_refused() -> None:
    with pytest.raises(ValueError, match="no __all__"):
        public_names("derain.serve")


def test_the_site_shows_every_page_of_the_docs() -> None:
    shown = set(re.findall(r"[\w./-]+\.md", (ROOT / "mkdocs.yml").read_text()))
    written = {path.relative_to(ROOT / "docs").as_posix() for path in ROOT.glob("docs/**/*.md")}
    assert shown == written | set(reference_pages())


def test_addresses_are_read_from_the_project() -> None:
    assert project_urls()["Source"].startswith("https://")
