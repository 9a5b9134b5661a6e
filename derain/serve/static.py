"""The files of the web page, read once: a request names one of them or nothing."""

import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response

TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".jpg": "image/jpeg",
    ".png": "image/png",
    ".webp": "image/webp",
    ".txt": "text/plain; charset=utf-8",
    ".md": "text/plain; charset=utf-8",
}
"""Media types by suffix. Files of other suffixes are not served."""


@dataclass(frozen=True)
class File:
    """A file of the page.

    Attributes:
        content: Its bytes.
        media_type: By its suffix.
        tag: Changes with the content, in quotes as HTTP wants it.
    """

    content: bytes
    media_type: str
    tag: str


def read_files(folder: Path) -> dict[str, File]:
    """Return the files in a folder and those in it, by the path of their URL."""
    files: dict[str, File] = {}
    for path in sorted(folder.rglob("*")):
        if not path.is_file() or path.suffix not in TYPES:
            continue
        content = path.read_bytes()
        tag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
        files[f"/{path.relative_to(folder).as_posix()}"] = File(content, TYPES[path.suffix], tag)
    if "/index.html" in files:
        files["/"] = files.pop("/index.html")
    return files


def route_of(file: File) -> Callable[[Request], Awaitable[Response]]:
    """Return what answers a request for a file."""
    headers = {"etag": file.tag, "cache-control": "no-cache"}

    async def serve(request: Request) -> Response:
        if file.tag in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=headers)
        return Response(file.content, headers=headers, media_type=file.media_type)

    return serve
