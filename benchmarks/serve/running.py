"""A server in a process of its own, as the scripts and the tests use it."""

import http.client
import os
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

START = 120.0
"""Seconds that a server may take to start."""


@dataclass(frozen=True)
class Reply:
    """An answer of the server.

    Attributes:
        status: Of HTTP.
        headers: By name in small letters.
        body: As it came.
        seconds: From the request to the last byte.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    seconds: float


@dataclass
class Running:
    """A server that runs.

    Attributes:
        process: Its main process.
        url: Where it is.
    """

    process: "subprocess.Popen[str]"
    url: str
    host: str = field(init=False)

    def __post_init__(self) -> None:
        self.host = urlsplit(self.url).netloc

    def request(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float = 300.0,
    ) -> Reply:
        """Send a request on a connection of its own, and return the answer."""
        began = time.perf_counter()
        connection = http.client.HTTPConnection(self.host, timeout=timeout)
        try:
            connection.request(method, path, body, dict(headers or {}))
            answer = connection.getresponse()
            content = answer.read()
        finally:
            connection.close()
        found = {name.lower(): value for name, value in answer.getheaders()}
        return Reply(answer.status, found, content, time.perf_counter() - began)

    def post(
        self, picture: bytes, headers: Mapping[str, str] | None = None, query: str = ""
    ) -> Reply:
        """Send a picture, and return the answer."""
        return self.request("POST", f"/v1/derain{query}", picture, headers)

    def stop(self) -> int:
        """Stop it as a service manager does, and return its exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(120)

    def family(self) -> list[int]:
        """Return the numbers of its processes, its own first (Linux)."""
        found: set[int] = set()
        for thread in Path(f"/proc/{self.process.pid}/task").iterdir():
            with suppress(OSError):  # it has just ended
                found |= {int(child) for child in (thread / "children").read_text().split()}
        return [self.process.pid, *sorted(found)]

    def memory(self) -> dict[str, int]:
        """Return the bytes that its processes hold, by what they are (Linux)."""
        sums = {"server": 0, "workers": 0, "decoders": 0}
        for pid in self.family():
            kind = "server" if pid == self.process.pid else "decoders"
            try:
                status = Path(f"/proc/{pid}/status").read_text()
            except OSError:  # it has just ended
                continue
            if "Threads:\t1\n" not in status and kind != "server" and _is_worker(pid):
                kind = "workers"
            found = re.search(r"VmRSS:\s+(\d+) kB", status)
            sums[kind] += int(found[1]) * 1024 if found else 0
        return sums


def _is_worker(pid: int) -> bool:
    """Return whether a process has loaded an engine's library."""
    try:
        maps = Path(f"/proc/{pid}/maps").read_text()
    except OSError:
        return False
    return "onnxruntime" in maps or "libtorch" in maps


@contextmanager
def running(*arguments: str, environment: Mapping[str, str] | None = None) -> Generator[Running]:
    """Start ``derain serve`` on any free port, and stop it afterwards.

    Raises:
        RuntimeError: If it does not start.
    """
    command = [sys.executable, "-m", "derain", "serve", "--port", "0", *arguments]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env={**os.environ, **(environment or {})}
    )
    try:
        assert process.stdout is not None
        ready, _, _ = select.select([process.stdout], [], [], START)
        url = process.stdout.readline().strip() if ready else ""
        if not url:
            raise RuntimeError("the server did not start")
        yield Running(process, url)
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()
