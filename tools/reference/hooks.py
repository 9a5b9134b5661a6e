"""What mkdocs calls while it builds the site; mkdocs.yml names this file.

The hooks add the generated pages of reference, add pictures that lie outside docs/, let links to
other files of the repository lead to the address of the sources, and refuse what would be loaded
from other hosts.
"""

import posixpath
import re
import sys
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parent.parent.parent
PICTURES = (".png", ".jpg", ".svg")
LINK = re.compile(r"(!?\[[^\]]*\]\()((?:\.\./)+)([^)#\s]+)(#[^)\s]*)?\)")
"""A Markdown link that begins by going up: text, ups, path, anchor."""
LOADED = re.compile(
    r"""<(?:script|img|iframe|source|video|audio)\b[^>]*?\bsrc=["']((?:https?:)?//[^"']+)"""
    r"""|<link\b(?![^>]*\brel=["']canonical)[^>]*?\bhref=["']((?:https?:)?//[^"']+)"""
)
"""What a browser loads from another host as soon as it shows a page."""


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Let the reference be made from this checkout, whichever derain is installed."""
    if str(ROOT) not in sys.path:
        sys.path.insert(0, str(ROOT))
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the generated pages, and the pictures of examples/."""
    from tools.reference.pages import reference_pages

    for path, text in reference_pages().items():
        files.append(File.generated(config, path, content=text))
    for picture in sorted((ROOT / "examples").iterdir()):
        if picture.suffix in PICTURES:
            place = f"examples/{picture.name}"
            files.append(File.generated(config, place, abs_src_path=str(picture)))
    return files


def on_page_markdown(markdown: str, *, page: Page, files: Files, **_: object) -> str:
    """Let links that leave docs/ lead to a copied picture or to the sources."""
    from tools.reference.pages import project_urls

    folder = posixpath.dirname(page.file.src_uri)
    source = project_urls()["Source"].rstrip("/")

    def target(found: re.Match[str]) -> str:
        text, ups, path, anchor = found.groups()
        place = posixpath.normpath(posixpath.join("docs", folder, ups, path))
        if place.startswith("docs/"):
            return found[0]
        if files.get_file_from_path(place) is not None:
            return f"{text}{posixpath.relpath(place, folder or '.')}{anchor or ''})"
        return f"{text}{source}/blob/main/{place}{anchor or ''})"

    return LINK.sub(target, markdown)


def loaded_from_elsewhere(html: str) -> list[str]:
    """Return the addresses of other hosts that a page would load something from."""
    return [first or second for first, second in LOADED.findall(html)]


def on_post_page(output: str, *, page: Page, **_: object) -> str:
    """Refuse a page that would load something from another host.

    Raises:
        PluginError: If it would.
    """
    if found := loaded_from_elsewhere(output):
        raise PluginError(f"{page.file.src_uri}: loads from another host: {', '.join(found)}")
    return output
