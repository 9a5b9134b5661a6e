"""The limits of the server."""

import os
import re
from dataclasses import dataclass, field
from ipaddress import IPv6Address, ip_address
from pathlib import Path

from derain.errors import UsageError
from derain.machine import available_cores, compute_threads

PAGE = Path(__file__).parent / "page"
"""The files of the web page."""
KEY_VARIABLE = "DERAIN_API_KEY"
"""Environment variable that holds the key which clients have to send."""

HOST_NAME = r"[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]"
"""A host as a request's header ``Host`` has it, without a port."""

LONGEST = 86_400
"""Seconds that anything may take, at the most. Timers of threads fail after some centuries."""

MOST_WORKERS = 256
"""Processes that derain pictures, at the most: each holds models of its own."""

MEBIBYTE = 1 << 20
DECODER_BASE = 320 * MEBIBYTE
"""Bytes that a decoder may take besides the picture: for coding, and for the file itself."""
BYTES_PER_PIXEL = 24
"""What a decoder may take for each pixel. The hungriest format, 16 bits with alpha, takes 16 to be
decoded; encoding AVIF takes about as much."""
WORKER_BYTES_PER_PIXEL = 16
"""What a worker takes for each pixel besides its tiles: the picture and its result, 16 bits deep,
and the rows that are being blended."""


@dataclass(frozen=True)
class Settings:
    """The settings of the server.

    Attributes:
        host: Name or address to listen on.
        port: Port to listen on; 0 for any that is free.
        names: Host names under which browsers reach the server, besides loopback ones; an IPv6
            address is in brackets.
        models: Weights that are offered, by name or path; the first is the default. Empty for the
            weights that derain ships as graphs.
        workers: Processes that derain pictures, each with its own models.
        queue: Pictures that may wait.
        max_bytes: Bytes of a picture's file.
        max_pixels: Pixels of a picture.
        queue_bytes: Bytes of all files that are being received, wait, or are being sent.
        timeout: Seconds that one picture may take in a worker, and again to be encoded.
        decode_timeout: Seconds that a picture may take to be decoded.
        wait: Seconds that a picture may wait in the queue.
        patience: Seconds without progress after which a client is given up.
        least_rate: Bytes a second that a client has to send, in any three times the patience, and
            to take in the mean.
        worker_memory: Bytes that a worker may ask for on the CPU (Linux).
        connections: Clients that may be connected at once.
        engine: As `derain.load` takes it.
        device: As `derain.load` takes it.
        api_key: Key that clients have to send; empty for none.
        page: Folder of the web page.
        address: That the host turned out to be; empty as long as nothing is listened on.

    Raises:
        UsageError: If a number or a name cannot be meant.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    names: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    workers: int = 1
    queue: int = 32
    max_bytes: int = 64_000_000
    max_pixels: int = 64_000_000
    queue_bytes: int = 256 * MEBIBYTE
    timeout: float = 120.0
    decode_timeout: float = 20.0
    wait: float = 300.0
    patience: float = 10.0
    least_rate: int = 8192
    worker_memory: int = 4096 * MEBIBYTE
    connections: int = 512
    engine: str = "auto"
    device: str = "auto"
    api_key: str = field(default="", repr=False)
    page: Path = PAGE
    address: str = ""

    def __post_init__(self) -> None:
        for option in ("workers", "queue", "max_bytes", "max_pixels"):
            value = getattr(self, option)
            if value < 1:
                raise UsageError("expected at least 1", option=option, value=value)
        if self.workers > MOST_WORKERS:
            expected = f"expected at most {MOST_WORKERS}; a worker per core is enough"
            raise UsageError(expected, option="workers", value=self.workers)
        if not 0 <= self.port <= 65535:
            raise UsageError("expected 0 to 65535", option="port", value=self.port)
        for option in ("timeout", "decode_timeout", "wait", "patience"):
            value = getattr(self, option)
            # Refuses NaN as well.
            if not 0 < value <= LONGEST:
                expected = f"expected a number of seconds, at most {LONGEST} (a day)"
                raise UsageError(expected, option=option, value=value)

        for name in self.names:
            if not re.fullmatch(HOST_NAME, name):
                expected = "expected a host name alone, such as derain.example.org"
                raise UsageError(expected, option="name", value=name)

    @property
    def decoders(self) -> int:
        """Processes that decode and encode.

        There are two more than workers, so that a picture is ready when a worker is free although
        others take long to be decoded.
        """
        return self.workers + 2

    @property
    def pixels_at_once(self) -> int:
        """Pixels of all pictures that are decoded at once: two of the largest."""
        return 2 * self.max_pixels

    @property
    def decoder_memory(self) -> int:
        """Bytes that a decoder may ask for once it has started (Linux)."""
        return DECODER_BASE + BYTES_PER_PIXEL * self.max_pixels

    @property
    def threads(self) -> int:
        """Threads of a worker."""
        return max(1, (compute_threads() or available_cores()) // self.workers)

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine reaches the server."""
        return is_loopback_name(self.address or self.host)

    def most_memory(self) -> int:
        """Return the bytes that files and pictures take at the very most, besides processes.

        Those are the files that wait, the pictures that are decoded, and what workers hold of
        theirs; tiles come on top.
        """
        decoding = self.pixels_at_once * BYTES_PER_PIXEL
        return self.queue_bytes + decoding + self.pixels_at_once * WORKER_BYTES_PER_PIXEL


def is_loopback_name(host: str) -> bool:
    """Return whether a host name or address, without a port, stands for this machine itself.

    >>> [is_loopback_name(host) for host in ("localhost", "[::1]", "127.0.0.2", "example.org")]
    [True, True, True, False]
    >>> is_loopback_name("::ffff:127.0.0.1")
    True
    """
    if host.lower().rstrip(".") == "localhost":
        return True
    try:
        address = ip_address(host.strip("[]"))
    except ValueError:
        return False
    if isinstance(address, IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped  # which Python before 3.13 does not look through
    return address.is_loopback


def key_from_environment() -> str:
    """Return the key that clients have to send; empty for none."""
    return os.environ.get(KEY_VARIABLE, "").strip()
