"""Answers that a slow client may take, part by part, but not for ever."""

import asyncio
from collections.abc import Callable, MutableMapping
from typing import Any

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from derain.serve.settings import Settings

PART = 1 << 17
"""Bytes that are sent at once."""


class PatientResponse(Response):
    """A picture whose client is given up if it does not take it.

    Args:
        content: The file.
        media_type: Of the file.
        headers: That it has besides.
        settings: Those of the server.
        on_sent: Called when the memory is free again.
    """

    def __init__(
        self,
        content: bytes,
        media_type: str,
        headers: dict[str, str],
        settings: Settings,
        on_sent: Callable[[], None],
    ) -> None:
        super().__init__(content, 200, headers, media_type)
        self._settings, self._on_sent = settings, on_sent

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002
        """Send it."""
        start: MutableMapping[str, Any] = {
            "type": "http.response.start",
            "status": self.status_code,
            "headers": self.raw_headers,
        }
        patience = self._settings.patience + PART / self._settings.least_rate
        try:
            await send(start)
            for place in range(0, len(self.body), PART):
                part = bytes(self.body[place : place + PART])
                more = place + PART < len(self.body)
                message = {"type": "http.response.body", "body": part, "more_body": more}
                await asyncio.wait_for(send(message), patience)
        except asyncio.TimeoutError:
            # Closing would wait for the client to take what was sent.
            transport = scope.get("state", {}).get("transport")
            if transport is not None:
                transport.abort()
        finally:
            self._on_sent()
