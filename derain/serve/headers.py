"""Check the headers of every request, and add headers to every answer."""

import hmac
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from typing import Any
from urllib.parse import urlsplit

from derain.serve.problems import Problem, answer
from derain.serve.settings import Settings, is_loopback_name

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]

SECURITY = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:;"
        " connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}
"""Headers of every answer."""

PROTECTED = ("/v1/derain", "/v1/jobs/", "/metrics")
"""Paths that take the key; pages, the list of models and health checks do without."""
SAFE = ("GET", "HEAD", "OPTIONS")
"""Methods that change nothing."""


class Guard:
    """Check host, origin and key of every request before the application sees it.

    A page of another site can make a browser send requests here, and can give its own name this
    server's address (DNS rebinding). The first is known by the header ``Origin``, the second by
    ``Host``.

    Args:
        app: The application.
        settings: Those of the server.
    """

    def __init__(self, app: App, settings: Settings) -> None:
        self._app, self._settings = app, settings
        self._names = frozenset(name.lower().rstrip(".") for name in settings.names)
        self._host = settings.host.lower().rstrip(".")

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Answer a request of ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), *_as_bytes(SECURITY)]
            await send(message)

        headers = headers_of(scope)
        problem = self._problem(scope["method"], scope["path"], headers)
        if problem is None:
            await self._app(scope, receive, send_with_headers)
        else:
            # The body is not read, so that nothing can follow it on the connection.
            response = answer(problem, headers.get(b"accept", ""))
            await response(scope, receive, send_with_headers)

    def _problem(self, method: str, path: str, headers: dict[bytes, str]) -> Problem | None:
        host = headers.get(b"host", "")
        if not self._is_known(host_of(host)):
            return Problem(
                421,
                f"the host is {host[:100]!r}; expected localhost or 127.0.0.1, or a name that the"
                " server was started with: derain serve --name NAME",
            )
        if method not in SAFE and not self._is_same_site(host, headers):
            return Problem(
                403, "the request comes from a page of another site; expected one of this server"
            )
        if path.startswith(PROTECTED) and not has_key(self._settings, headers):
            return Problem(
                401,
                "no key, or a wrong one; expected it in a header: Authorization: Bearer KEY",
                {"www-authenticate": 'Bearer realm="derain"'},
            )
        return None

    def _is_known(self, name: str) -> bool:
        """Return whether the server answers to a host name."""
        plain = name.lower().rstrip(".")
        if is_loopback_name(name) or plain in self._names or plain == self._host:
            return True
        # Whoever listens to the network is reached by names that are not known here.
        return not self._settings.is_loopback and not self._names

    def _is_same_site(self, host: str, headers: dict[bytes, str]) -> bool:
        """Return whether a request comes from a page of this server, or from no page."""
        if headers.get(b"sec-fetch-site", "same-origin") in ("cross-site", "same-site"):
            return False
        if b"origin" not in headers:
            return True
        origin = authority_of(headers[b"origin"])
        # A proxy may have changed the host to its own.
        return origin is not None and (
            origin.lower() == host.lower() or host_of(origin).lower() in self._names
        )


def headers_of(scope: Mapping[str, Any]) -> dict[bytes, str]:
    """Return the headers of a request by their names in lower case."""
    return {name: value.decode("latin-1") for name, value in scope["headers"]}


def has_key(settings: Settings, headers: Mapping[bytes, str]) -> bool:
    """Return whether a request has the key, compared in constant time; True if none is needed.

    Args:
        settings: Those of the server.
        headers: Of the request, by their names in lower case; decoded as Latin-1.
    """
    expected = settings.api_key
    if not expected:
        return True
    scheme, _, token = headers.get(b"authorization", "").partition(" ")
    given = token.strip() if scheme.lower() == "bearer" else headers.get(b"x-api-key", "")
    return hmac.compare_digest(given.encode("latin-1"), expected.encode())


def host_of(authority: str) -> str:
    """Return a host without its port.

    >>> host_of("[::1]:8000"), host_of("example.org:80"), host_of("localhost")
    ('[::1]', 'example.org', 'localhost')
    """
    if authority.startswith("["):
        return authority.partition("]")[0] + "]"
    return authority.partition(":")[0]


def authority_of(url: str) -> str | None:
    """Return host and port of a URL; None if it has none.

    >>> authority_of("http://localhost:8000"), authority_of("null")
    ('localhost:8000', None)
    """
    try:
        return urlsplit(url).netloc or None
    except ValueError:
        return None


def _as_bytes(headers: dict[str, str]) -> Iterable[tuple[bytes, bytes]]:
    return [(name.encode(), value.encode()) for name, value in headers.items()]
