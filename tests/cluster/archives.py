"""Archives of small pictures, and what the tests of them share."""

import os
import random
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import ray

from derain import pictures
from derain.cluster import Outcome, Request, run, storage, work
from derain.cluster import pipeline as driver
from derain.cluster.ledger import Ledger, Row
from derain.cluster.work import Orders, Worker
from derain.images import write_image
from derain.restore import load

SETTINGS: dict[str, Any] = {"engine": "onnx", "device": "cpu", "dtype": "float32"}
SIDE = 24


def draw(folder: Path, count: int, side: int = SIDE) -> list[str]:
    """Write small pictures, a third of them into a folder inside; return their names."""
    draws = np.random.default_rng(0)
    names: list[str] = []
    for number in range(count):
        name = f"{'day 2/' if number % 3 == 2 else ''}{number:04}.png"
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        write_image(folder / name, draws.integers(0, 255, (side, side, 3), np.uint8))
        names.append(name)
    return names


def locally(folder: Path, output: Path, model: str) -> None:
    """Derain a folder as the local command does."""
    plan = pictures.plan(folder, output)
    for _ in pictures.run(plan.jobs, load(model, **SETTINGS)):
        pass


def outcomes(source: object, output: object, model: str, **others: Any) -> list[Outcome]:
    """Derain an archive on the Ray that runs."""
    return list(run(Request(str(source), str(output), model, SETTINGS, **others)))


def workers_below(parent: int) -> Iterator[int]:
    """Yield the processes of Ray Data's actors that a process has started (Linux)."""
    parents: dict[int, int] = {}
    names: dict[int, str] = {}
    for place in Path("/proc").iterdir():
        if not place.name.isdecimal():
            continue
        try:
            status = (place / "stat").read_text()
            names[int(place.name)] = (place / "cmdline").read_text()
        except OSError:
            continue
        parents[int(place.name)] = int(status.rpartition(")")[2].split()[1])
    for process, name in names.items():
        above = process
        while above in parents and above != parent:
            above = parents[above]
        if above == parent and name.startswith("ray::MapWorker"):
            yield process


def quieten(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let Ray report and show nothing, and take no cluster that is there."""
    for name, value in (
        ("RAY_USAGE_STATS_ENABLED", "0"),
        ("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0"),
        ("OMP_NUM_THREADS", "1"),
    ):
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)


def start_ray(monkeypatch: pytest.MonkeyPatch, **settings: Any) -> None:
    """Start Ray on two cores."""
    quieten(monkeypatch)
    ray.init(
        address="local",
        num_cpus=2,
        include_dashboard=False,
        log_to_driver=False,
        object_store_memory=100 << 20,
        **settings,
    )


def files_in(folder: Path) -> dict[str, bytes]:
    """Return the files of a folder by name, without records."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and ".derain" not in path.parts
    }


def times_in(folder: Path) -> dict[str, int]:
    """Return when the files of a folder were written, by name."""
    return {name: os.stat(folder / name).st_mtime_ns for name in files_in(folder)}  # noqa: PTH116


class Now:
    """Ray's handle of a ledger, which calls at once."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._ledger, name)
        return type("Method", (), {"remote": staticmethod(method)})


class _Ray:
    """Ray, where everything is there at once."""

    @staticmethod
    def get(value: Any) -> Any:
        return value


def without_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let what ledgers return be there at once, and let nothing wait before another try."""
    real = work.require

    def require(name: str, purpose: str = "") -> Any:
        return _Ray if name == "ray" else real(name, purpose)

    monkeypatch.setattr(work, "require", require)
    monkeypatch.setattr(storage, "PAUSE", 0.001)


class EndedError(BaseException):
    """Stands for the end of a process."""


@dataclass
class Here:
    """A cluster of workers in this process, which take shards in any order.

    Attributes:
        seed: Of the order.
        last: The driver is interrupted after so many parts.
        tasks: What was done: path, task and first segment of each item.
    """

    seed: int = 0
    last: int = 1000
    tasks: list[tuple[str, str, int]] = field(default_factory=list[tuple[str, str, int]])

    def rows(self, orders: Orders, workers: int) -> Iterator[list[Row]]:
        """Yield rows, as `derain.cluster.engine.Cluster` does."""
        ledger = Now(Ledger())
        members = [Worker(orders, ledger) for _ in range(workers)]
        shards = list(range(orders.plan.shards))
        random.Random(self.seed).shuffle(shards)
        for k, shard in enumerate(shards):
            items = orders.plan.items(shard)
            if sum(task == "part" for _, task, _ in self.tasks) == self.last:
                raise KeyboardInterrupt
            self.tasks += [(item.path, item.task, item.first) for item in items]
            yield self._done(members[k % workers], orders, ledger, shard)

    def _done(self, worker: Worker, orders: Orders, ledger: object, shard: int) -> list[Row]:
        """Do a shard, with another worker if one ends."""
        while True:
            try:
                return worker.do(shard)
            except EndedError:
                worker = Worker(orders, ledger)

    def did(self, task: str) -> list[tuple[str, int]]:
        """Return path and first segment of what was done of a kind, in order."""
        return sorted((path, first) for path, found, first in self.tasks if found == task)

    def connect(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Let runs use it instead of Ray."""

        @contextmanager
        def connect(_: str) -> "Generator[Here]":
            yield self

        monkeypatch.setattr(driver, "connect", connect)
        without_ray(monkeypatch)
