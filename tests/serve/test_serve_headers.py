"""Hosts, origins and keys."""

import asyncio
from collections.abc import MutableMapping
from typing import Any

import pytest

from derain.errors import UsageError
from derain.serve.headers import SECURITY, Guard, has_key
from derain.serve.settings import Settings


async def _app(_scope: Any, _receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"in"})


def ask(
    settings: Settings, method: str = "GET", path: str = "/v1/derain", **headers: str
) -> tuple[int, dict[str, str]]:
    """Return status and headers of an answer; underscores in names stand for dashes."""
    sent: list[MutableMapping[str, Any]] = []

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    async def receive() -> MutableMapping[str, Any]:
        raise AssertionError("the body is not read")

    given = {"host": "localhost:8000", **headers}
    lines = [(name.replace("_", "-").encode(), text.encode()) for name, text in given.items()]
    scope = {"type": "http", "method": method, "path": path, "headers": lines}
    asyncio.run(Guard(_app, settings)(scope, receive, send))
    found = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return sent[0]["status"], found


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost", 200),
        ("LOCALHOST.:80", 200),
        ("127.0.0.1:8000", 200),
        ("127.8.9.1", 200),
        ("[::1]:8000", 200),
        ("evil.example", 421),
        ("localhost.evil.example", 421),
        ("127.0.0.1.evil.example", 421),
        ("10.0.0.7", 421),
        ("", 421),
    ],
)
def test_other_hosts_are_refused_on_loopback(host: str, status: int) -> None:
    assert ask(Settings(), host=host)[0] == status


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.1:8000", 200),
        ("127.0.0.1:8000", 200),
        ("evil.example", 421),
        ("evil.example:127.1", 421),
    ],
)
def test_the_address_decides_what_is_loopback(host: str, status: int) -> None:
    assert ask(Settings(host="127.1", address="127.0.0.1"), host=host)[0] == status
    assert ask(Settings(host="localhost", address="192.0.2.7"), host=host)[0] == 200


def test_a_name_that_was_given_is_known() -> None:
    settings = Settings(names=("Derain.example",))
    origin = "https://derain.example"
    assert ask(settings, host="derain.example")[0] == 200
    assert ask(settings, host="other.example")[0] == 421
    # A proxy that changes the host leaves the origin.
    assert ask(settings, "POST", host="127.0.0.1:8000", origin=origin)[0] == 200


def test_an_address_may_be_a_name() -> None:
    settings = Settings(names=("[2001:DB8::7]", "192.0.2.7", "my_host."))
    for host in ("[2001:db8::7]:8000", "192.0.2.7:80", "my_host"):
        assert ask(settings, host=host)[0] == 200


@pytest.mark.parametrize(
    "name",
    [
        "https://derain.example",
        "derain.example:8000",
        "derain.example/",
        "2001:db8::7",
        "[2001:db8::7]:8000",
        "*.example",
        "a b",
        "",
    ],
)
def test_a_name_that_no_host_can_have_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="expected a host name alone"):
        Settings(names=(name,))


def test_who_listens_to_the_network_answers_to_any_name() -> None:
    assert ask(Settings(host="0.0.0.0"), host="nas.lan:8000")[0] == 200
    assert ask(Settings(host="0.0.0.0", names=("nas.lan",)), host="evil.example")[0] == 421


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"origin": "http://localhost:8000"}, 200),
        ({"origin": "http://localhost:9000"}, 403),
        ({"origin": "http://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": "http://[evil"}, 403),
        ({"sec_fetch_site": "cross-site"}, 403),
        ({"sec_fetch_site": "same-origin"}, 200),
        ({"sec_fetch_site": "none"}, 200),
    ],
)
def test_other_sites_cannot_post(headers: dict[str, str], status: int) -> None:
    assert ask(Settings(), "POST", **headers)[0] == status
    assert ask(Settings(), "DELETE", "/v1/jobs/1", **headers)[0] == status
    assert ask(Settings(), "GET", **headers)[0] == 200


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 401),
        ({"authorization": "Bearer wrong"}, 401),
        ({"authorization": "Basic secret"}, 401),
        ({"x_api_key": "secre"}, 401),
        ({"x_api_key": "sécret"}, 401),
        ({"authorization": "Bearer secret"}, 200),
        ({"authorization": "bearer secret"}, 200),
        ({"x_api_key": "secret"}, 200),
    ],
)
def test_a_key_is_asked_for(headers: dict[str, str], status: int) -> None:
    settings = Settings(api_key="secret")
    for path in ("/v1/derain", "/v1/jobs/1", "/metrics"):
        assert ask(settings, path=path, **headers)[0] == status
    for path in ("/", "/v1/models", "/healthz", "/readyz"):
        assert ask(settings, path=path, **headers)[0] == 200


def test_a_key_is_missing_only_where_one_is_wanted() -> None:
    locked = Settings(api_key="secret")
    assert has_key(Settings(), {})
    assert not has_key(locked, {})
    assert not has_key(locked, {b"authorization": "Bearer secre"})
    assert has_key(locked, {b"x-api-key": "secret"})


@pytest.mark.parametrize("host", ["localhost", "evil.example"])
def test_every_answer_has_the_headers(host: str) -> None:
    _, headers = ask(Settings(), host=host)
    assert headers.items() >= SECURITY.items()
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy


def test_the_key_is_not_shown() -> None:
    assert "secret" not in repr(Settings(api_key="secret"))
