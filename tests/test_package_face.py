"""What others see of the package first: metadata, addresses, citation, forms."""

import re
from pathlib import Path

import pytest

import derain
from derain.weights.citations import PAPERS, own_citation, to_bibtex

ROOT = Path(__file__).parent.parent
PROJECT = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
CITATION = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
RESERVED = "derain.example"
URL = re.compile(r"https://[^\s\"'\\)]+")


def table(name: str) -> str:
    """Return the text of a table of pyproject.toml."""
    return PROJECT.partition(f"\n[{name}]\n")[2].partition("\n[")[0]


def test_addresses_are_stated_in_one_place() -> None:
    addresses = dict(re.findall(r'^(\w+) = "(https://[^"]+)"$', table("project.urls"), re.M))
    assert {"Homepage", "Documentation", "Source", "Issues", "Security", "Changelog"} == {
        *addresses
    }
    home = addresses["Homepage"]
    assert all(address.startswith(home) for address in addresses.values())
    # Those of the README on the package index follow the address of the sources.
    substitutions = PROJECT.partition("[tool.hatch.metadata.hooks.fancy-pypi-readme]")[2]
    used = URL.findall(substitutions.partition("\n[tool.ruff")[0])
    assert len(used) == 2
    assert all(address.startswith(addresses["Source"]) for address in used)


def test_no_other_file_holds_the_address() -> None:
    address = re.search(r'Homepage = "https://([^"]+)"', PROJECT)
    assert address is not None
    texts = [*ROOT.glob("*.md"), *ROOT.glob("*.cff"), *ROOT.glob("*.yml")]
    texts += [
        *ROOT.glob("docs/**/*.md"),
        *ROOT.glob("derain/**/*.py"),
        *ROOT.glob(".github/**/*.*"),
    ]
    # CONTRIBUTING.md says that the name is reserved.
    holders = [
        path.name
        for path in texts
        if f"//{address[1]}" in path.read_text(encoding="utf-8") and path.name != "CONTRIBUTING.md"
    ]
    assert holders == []


def substituted(text: str) -> str:
    """Return a README as the package index gets it."""
    rules = re.findall(r"pattern = '(.+)'\nreplacement = '(.+)'", PROJECT)
    assert len(rules) == 2
    for pattern, replacement in rules:
        text = re.sub(pattern, replacement, text)
    return text


def test_links_of_the_readme_become_whole_addresses_for_the_package_index() -> None:
    source = "https://derain.example/source"
    assert RESERVED in source
    assert substituted("![a](x/b.jpg)") == f"![a]({source}/raw/main/x/b.jpg)"
    assert substituted("[a](docs/b.md#c)") == f"[a]({source}/blob/main/docs/b.md#c)"
    assert substituted("[a](#b) [c](https://d.example/e)") == "[a](#b) [c](https://d.example/e)"
    badge = substituted("[![a](b.svg)](LICENSE)")
    assert badge == f"[![a]({source}/raw/main/b.svg)]({source}/blob/main/LICENSE)"
    links = re.findall(r"\]\(([^)]+)\)", substituted((ROOT / "README.md").read_text()))
    assert links
    assert all(link.startswith(("https://", "#")) for link in links)


def test_classifiers_name_the_versions_of_python_and_the_systems() -> None:
    versions = set(re.findall(r'"Programming Language :: Python :: (3\.\d+)"', PROJECT))
    least = re.search(r'requires-python = ">=(3\.\d+)"', PROJECT)
    assert least is not None
    assert min(versions, key=lambda text: int(text[2:])) == least[1]
    for system in ("MacOS", "Microsoft :: Windows", "POSIX :: Linux"):
        assert f'"Operating System :: {system}"' in PROJECT


def test_the_wheel_installs_the_manual_page() -> None:
    sources = re.findall(r'^"(.+)" = "share/man/man1/derain.1"$', PROJECT, re.M)
    assert [(ROOT / source).is_file() for source in sources] == [True]
    # The container is built from a few files only.
    for name in ("Dockerfile", ".dockerignore"):
        assert sources[0].rpartition("/")[0] in (ROOT / name).read_text()


def test_the_citation_file_holds_derain_and_the_papers() -> None:
    assert f"version: {derain.__version__}\n" in CITATION
    assert "license: Apache-2.0\n" in CITATION
    assert own_citation("1").title in CITATION
    plain = re.sub(r"\s+", " ", CITATION)
    assert CITATION.count("  - type: ") == len(PAPERS) == 4
    for paper in PAPERS.values():
        assert f"title: {paper.title}" in plain.replace("title: >- ", "title: ").replace('"', "")
        assert f"year: {paper.fields['year']}" in plain
        for author in paper.authors:
            given, _, family = author.rpartition(" ")
            assert f"{{given-names: {given}, family-names: {family}}}" in plain


def test_bibtex_is_balanced_and_complete() -> None:
    text = to_bibtex([*PAPERS, "petrichor", "nledn"], "1.2.3")
    assert text.count("{") == text.count("}")
    keys = re.findall(r"^@\w+\{(\w+),$", text, re.M)
    assert keys == [*(paper.key for paper in PAPERS.values()), "derain"]
    assert re.search(r"version = \{1\.2\.3\},\n\}$", text)
    fields = re.findall(r"^  (\w+) += \{.+\},$", text, re.M)
    assert fields.count("title") == fields.count("author") == len(keys)


@pytest.mark.torch
def test_every_published_network_has_its_paper() -> None:
    from derain.networks import NETWORKS

    own = {name for name in NETWORKS if name.startswith("petrichor")}
    assert set(PAPERS) == set(NETWORKS) - own


@pytest.mark.parametrize("form", sorted((ROOT / ".github/ISSUE_TEMPLATE").glob("*.yml")))
def test_forms_for_issues_point_to_files_that_exist(form: Path) -> None:
    for name in re.findall(r"\b[A-Z_]+\.md\b", form.read_text()):
        assert (ROOT / name).is_file()


@pytest.mark.parametrize("name", ["SECURITY.md", "CODE_OF_CONDUCT.md", "CITATION.cff", "LICENSE"])
def test_files_that_code_hosts_look_for_are_there(name: str) -> None:
    assert (ROOT / name).read_text().strip()
