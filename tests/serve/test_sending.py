"""Answers that are taken, and answers that are not."""

import asyncio
from collections.abc import MutableMapping
from typing import Any

from derain.serve.sending import PART, PatientResponse
from derain.serve.settings import Settings


class Transport:
    """A connection that remembers whether it was cut."""

    cut = False

    def abort(self) -> None:
        self.cut = True


def send_to(takes: int, content: bytes) -> tuple[list[MutableMapping[str, Any]], Transport, int]:
    """Send a file to a client that takes so many messages and then none.

    Returns:
        The messages that were taken, the connection, and how often memory was given back.
    """
    messages: list[MutableMapping[str, Any]] = []
    transport = Transport()
    given_back: list[int] = []

    async def send(message: MutableMapping[str, Any]) -> None:
        if len(messages) == takes:
            await asyncio.sleep(60)
        messages.append(message)

    async def receive() -> MutableMapping[str, Any]:
        raise AssertionError("nothing is read")

    settings = Settings(patience=0.05, least_rate=PART * 100)
    response = PatientResponse(
        content, "image/png", {"x-derain-model": "m"}, settings, lambda: given_back.append(1)
    )
    scope = {"type": "http", "state": {"transport": transport}}
    asyncio.run(response(scope, receive, send))
    return messages, transport, len(given_back)


def test_a_client_that_takes_it_gets_all_of_it() -> None:
    content = bytes(range(256)) * (PART // 100)
    messages, transport, given_back = send_to(99, content)
    start, *parts = messages
    headers = {name.decode(): value.decode() for name, value in start["headers"]}
    assert headers["content-length"] == str(len(content))
    assert (headers["content-type"], headers["x-derain-model"]) == ("image/png", "m")
    assert b"".join(part["body"] for part in parts) == content
    assert [part["more_body"] for part in parts] == [True] * (len(parts) - 1) + [False]
    assert (transport.cut, given_back) == (False, 1)


def test_a_client_that_does_not_is_cut_off_and_its_memory_given_back() -> None:
    messages, transport, given_back = send_to(2, bytes(3 * PART))
    assert (len(messages), transport.cut, given_back) == (2, True, 1)
