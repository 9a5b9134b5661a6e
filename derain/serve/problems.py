"""Answers to errors: RFC 9457, or a small page for a plain form."""

import html
import json
from http import HTTPStatus

from starlette.responses import Response

TYPE = "application/problem+json"

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title} - derain</title>
<link rel="stylesheet" href="/style.css">
</head>
<body>
<main>
<h1>{title}</h1>
<p role="alert">{detail}</p>
<p><a href="/">Back</a></p>
</main>
</body>
</html>
"""


class Problem(Exception):
    """A request cannot be served.

    Args:
        status: Of the answer.
        detail: What was found, what was expected and what to do, in one line.
        headers: That the answer has besides.
    """

    def __init__(self, status: int, detail: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status, self.detail, self.headers = status, detail, headers or {}

    @property
    def title(self) -> str:
        """The status in words."""
        return title_of(self.status)


def title_of(status: int) -> str:
    """Return an HTTP status in words.

    >>> title_of(429)
    'Too Many Requests'
    """
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Error"


def answer(problem: Problem, accept: str = "") -> Response:
    """Return a problem as JSON, or as a page for a client that prefers one.

    Args:
        problem: What is wrong.
        accept: The request's header ``Accept``.
    """
    # Browsers name text/html where they ask for a page, and nothing else does.
    if "text/html" in accept.lower():
        texts = {"title": problem.title, "detail": problem.detail}
        page = _PAGE.format_map({name: html.escape(text) for name, text in texts.items()})
        return Response(page, problem.status, problem.headers, "text/html")
    content = {
        "type": "about:blank",
        "title": problem.title,
        "status": problem.status,
        "detail": problem.detail,
    }
    return Response(json.dumps(content), problem.status, problem.headers, TYPE)
