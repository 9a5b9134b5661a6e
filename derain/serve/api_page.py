"""The description of the API as a page: plain HTML, made of the OpenAPI document."""

import html
from collections.abc import Iterator, Mapping
from typing import Any

_HEAD = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>derain: the HTTP API</title>
<link rel="stylesheet" href="/style.css">
</head>
<body>
<main>
<h1>derain: the HTTP API</h1>
<p>For programs: <a href="/openapi.json">openapi.json</a>. <a href="/">Back to the page</a></p>
<pre>curl -o clean.jpg -F image=@rainy.jpg {place}/v1/derain</pre>
"""
_FOOT = "</main>\n</body>\n</html>\n"


def page_of(document: Mapping[str, Any], place: str) -> str:
    """Return a page that describes every path of an OpenAPI document.

    Args:
        document: The API's.
        place: Where the server is found, without a slash at the end.
    """
    parts = [_HEAD.replace("{place}", html.escape(place))]
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            parts += _operation(f"{method.upper()} {path}", operation)
    return "".join([*parts, _FOOT])


def _operation(title: str, operation: Mapping[str, Any]) -> Iterator[str]:
    yield f"<section>\n<h2><code>{html.escape(title)}</code></h2>\n"
    text = str(operation.get("description", ""))
    yield "".join(f"<p>{html.escape(part)}</p>\n" for part in text.split("\n\n") if part)
    if parameters := operation.get("parameters"):
        rows = [(each["name"], each["in"], each.get("description", "")) for each in parameters]
        yield _table(("parameter", "in", "meaning"), rows)
    if body := operation.get("requestBody"):
        yield f"<p>Body: {html.escape(', '.join(body['content']))}</p>\n"
    rows = [
        (status, answer.get("description", ""), ", ".join(answer.get("content", ())))
        for status, answer in operation["responses"].items()
    ]
    yield _table(("answer", "meaning", "type"), rows)
    yield "</section>\n"


def _table(head: tuple[str, ...], rows: list[tuple[Any, ...]]) -> str:
    """Return a table of HTML."""
    titles = "".join(f'<th scope="col">{html.escape(title)}</th>' for title in head)
    lines = [
        "<tr>" + "".join(f"<td>{html.escape(str(cell))}</td>" for cell in row) + "</tr>\n"
        for row in rows
    ]
    return f"<table>\n<tr>{titles}</tr>\n{''.join(lines)}</table>\n"
