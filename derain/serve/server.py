"""Running the application: the socket, patience with connections, and stopping.

The first SIGTERM or SIGINT stops taking pictures; those that were accepted are finished, and the
process ends when their answers are sent. Meanwhile the server still tells of jobs and of its state.
A second signal ends everything at once.
"""

import asyncio
import contextlib
import logging
import os
import signal
import socket
import threading
from collections.abc import Callable, Generator
from dataclasses import replace
from typing import Any

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from derain.errors import DerainError
from derain.serve.app import create_app
from derain.serve.service import Service
from derain.serve.settings import Settings

KEEP_ALIVE = 5
"""Seconds that a connection may be idle between requests."""
LONGEST_HEADERS = 1 << 15
"""Bytes of a request before its body."""
INTERRUPTED = 130


class PlaceTakenError(DerainError):
    """The server cannot listen where it should."""


def listen(settings: Settings) -> socket.socket:
    """Return a socket that is bound to the server's address.

    Raises:
        PlaceTakenError: If that cannot be.
    """
    host, port = settings.host, settings.port
    try:
        found = socket.getaddrinfo(
            host.strip("[]"), port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        family, kind, protocol, _, address = found[0]
        made = socket.socket(family, kind, protocol)
    except OSError as error:
        raise PlaceTakenError(f"--host {host}: {error.strerror or error}") from error
    try:
        if os.name == "posix":
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind(address)
    except OSError as error:
        made.close()
        raise PlaceTakenError(
            f"cannot listen on {host} port {port} ({error.strerror or error}); another port:"
            f" --port {port + 1 if 0 < port < 65535 else 8000}, any that is free: --port 0"
        ) from error
    return made


def url_of(listener: socket.socket, settings: Settings) -> str:
    """Return where browsers of this machine find the server."""
    address, port = listener.getsockname()[:2]
    host = settings.host
    if address in ("0.0.0.0", "::"):
        host = "localhost"
    elif ":" in host and not host.startswith("["):
        host = f"[{host}]"
    return f"http://{host}:{port}"


def run(settings: Settings, on_start: Callable[[Settings, str], None]) -> None:
    """Serve until a signal comes.

    Args:
        settings: Of the server.
        on_start: Called when the server takes requests, with the settings, which now have the
            address, and the URL.

    Raises:
        DerainError: If it cannot listen, or a model cannot be loaded.
    """
    with contextlib.closing(listen(settings)) as listener:
        # What a name or a short form such as 127.1 stands for decides who reaches the server.
        settings = replace(settings, address=listener.getsockname()[0])
        service = Service(settings)
        service.start()
        try:
            server = Server(service, lambda: on_start(settings, url_of(listener, settings)))
            server.run([listener])
        finally:
            service.close()


class PatientProtocol(H11Protocol):
    """HTTP on one connection, which is closed if a request's header does not come.

    Uvicorn waits for it for ever. There are only so many connections, too.
    """

    patience = 10.0
    most = 512

    def connection_made(self, transport: Any) -> None:
        """Begin a connection."""
        super().connection_made(transport)
        self._late: asyncio.TimerHandle | None = None
        # What answers slowly can so be ended by the application.
        self.app_state = {**self.app_state, "transport": transport}
        if len(self.connections) > self.most:
            transport.abort()
            return
        self._expect_request()

    def data_received(self, data: bytes) -> None:
        """Take what has come."""
        super().data_received(data)
        if self.conn.their_state is not h11.IDLE:
            self._forget_late()
        elif self._late is None:
            self._expect_request()

    def connection_lost(self, exc: Exception | None) -> None:
        """End the connection."""
        self._forget_late()
        super().connection_lost(exc)

    def _expect_request(self) -> None:
        self._late = self.loop.call_later(self.patience, self.transport.abort)

    def _forget_late(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None


class Server(uvicorn.Server):
    """Uvicorn with another way to stop.

    Args:
        service: What is served; it has been started.
        on_start: Called when requests are taken.
    """

    def __init__(self, service: Service, on_start: Callable[[], None] = lambda: None) -> None:
        settings = service.settings
        limits = {"patience": settings.patience, "most": settings.connections}
        config = uvicorn.Config(
            create_app(service),  # pyright: ignore[reportArgumentType]
            http=type("Protocol", (PatientProtocol,), limits),
            ws="none",
            loop="asyncio",
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_keep_alive=KEEP_ALIVE,
            h11_max_incomplete_event_size=LONGEST_HEADERS,
        )
        super().__init__(config)
        self._service, self._on_start = service, on_start
        self._stopping: asyncio.Task[None] | None = None
        # It warns of every client that does not speak HTTP.
        logging.getLogger("uvicorn.error").setLevel(logging.ERROR)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to take requests."""
        await super().startup(sockets)
        self._on_start()

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        """Stop as this class does when a signal comes in this context."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        loop = asyncio.get_running_loop()

        def handle(_number: int, _frame: Any) -> None:
            loop.call_soon_threadsafe(self.stop)

        numbers = (signal.SIGINT, signal.SIGTERM)
        before = [signal.signal(number, handle) for number in numbers]
        try:
            yield
        finally:
            for number, handler in zip(numbers, before, strict=True):
                signal.signal(number, handler)

    def stop(self) -> None:
        """Finish what was accepted, and end; end at once when called again."""
        if self._stopping is not None:
            try:
                self._service.close()
            finally:
                os._exit(INTERRUPTED)
        self._service.is_stopping = True
        self._stopping = asyncio.get_running_loop().create_task(self._finish())

    async def _finish(self) -> None:
        while not self._service.is_idle:
            await asyncio.sleep(0.02)
        self.should_exit = True
