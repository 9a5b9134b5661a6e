"""The server's counters for Prometheus."""

from collections.abc import Callable

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

SECONDS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)
"""Bounds of the histograms."""


class Metrics:
    """Counters of one server, in a registry of their own."""

    content_type = CONTENT_TYPE_PLAIN_0_0_4

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        self.requests = Counter(
            "derain_requests",
            "Requests for a picture by the status of their answer",
            ["status"],
            registry=self.registry,
        )
        self.pixels = Counter("derain_pixels", "Pixels derained", registry=self.registry)
        self.replaced = Counter(
            "derain_replaced_processes",
            "Processes that were replaced",
            ["kind", "reason"],
            registry=self.registry,
        )
        self.seconds = Histogram(
            "derain_request_seconds",
            "Seconds from a request to its answer, of pictures that were derained",
            buckets=SECONDS,
            registry=self.registry,
        )
        self.worker_seconds = Histogram(
            "derain_worker_seconds",
            "Seconds that a picture took in a worker",
            ["model"],
            buckets=SECONDS,
            registry=self.registry,
        )

    def watch(self, name: str, about: str, read: Callable[[], float]) -> None:
        """Add a number that is read whenever somebody asks for it."""
        Gauge(name, about, registry=self.registry).set_function(read)

    def text(self) -> bytes:
        """Return all of them in Prometheus's text format."""
        return generate_latest(self.registry)
