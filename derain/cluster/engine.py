"""Ray: found or started, quiet, and made to execute the workers."""

import logging
import os
import re
import socket
import tempfile
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from derain.cluster.ledger import Ledger
from derain.cluster.manifest import Row
from derain.cluster.places import ANSWER
from derain.cluster.work import Orders, Worker
from derain.errors import DerainError, UsageError
from derain.extras import require
from derain.machine import available_cores

_log = logging.getLogger(__name__)

STORE = 256 << 20
"""Bytes of shared memory for Ray where derain starts it: only records go through it."""
AHEAD = 2
"""Shards that a worker has at once: one in work, one that waits."""
CLIENT = "ray://"


class Cluster:
    """A connection to Ray."""

    def __init__(self) -> None:
        self._ray: Any = require("ray")
        self._data: Any = require("ray.data")

    def workers(self, settings: dict[str, Any]) -> int:
        """Return how many workers there can be: one for each GPU, or for each core.

        Args:
            settings: For `derain.restore.load`; the device counts.
        """
        resources = self._ray.cluster_resources()
        return max(1, int(resources.get("GPU" if self._on_gpus(settings) else "CPU", 1)))

    def rows(self, orders: Orders, workers: int) -> Iterator[list[Row]]:
        """Yield rows of the manifest, as shards are done.

        Raises:
            DerainError: If Ray fails, or a worker cannot load the models.
        """
        ray, plan = self._ray, orders.plan
        ledger = ray.remote(num_cpus=0)(Ledger).options(**self._beside_driver()).remote()
        count = min(workers, plan.shards)
        shards = self._data.range(plan.shards, override_num_blocks=plan.shards)
        worked = shards.map_batches(
            Worker,
            fn_constructor_args=(orders, ledger),
            batch_size=None,
            batch_format="numpy",
            compute=self._data.ActorPoolStrategy(size=count, max_tasks_in_flight_per_actor=AHEAD),
            num_cpus=1,
            num_gpus=1 if self._on_gpus(orders.settings) else 0,
        )
        try:
            for table in worked.iter_batches(
                batch_size=None, batch_format="pyarrow", prefetch_batches=0
            ):
                rows = table.to_pylist()
                ledger.forget.remote(sorted({row.pop("shard") for row in rows}))
                yield rows
        except ray.exceptions.RayError as error:
            raise DerainError(_line_of(error)) from error
        finally:
            with suppress(Exception):
                ray.kill(ledger)

    def _on_gpus(self, settings: dict[str, Any]) -> bool:
        device = str(settings.get("device", "auto"))
        has_gpus = self._ray.cluster_resources().get("GPU", 0) >= 1
        return has_gpus and (device == "auto" or device.startswith("cuda"))

    def _beside_driver(self) -> dict[str, Any]:
        """Return options that keep an actor on the driver's machine, which has to live anyway."""
        scheduling = require("ray.util.scheduling_strategies")
        node = self._ray.get_runtime_context().get_node_id()
        strategy = scheduling.NodeAffinitySchedulingStrategy(node, soft=False)
        return {"scheduling_strategy": strategy}


@contextmanager
def connect(address: str) -> Generator[Cluster]:
    """Yield a connection to Ray; what derain starts it also stops.

    Args:
        address: ``auto`` for one that runs on this machine or that RAY_ADDRESS names, and
            otherwise one that is started for the time being; ``HOST:PORT`` for another.

    Raises:
        UsageError: If there is none at the address.
        DerainError: If Ray cannot be started.
    """
    ray = _quiet_ray()
    with _logged_messages():
        if ray.is_initialized():  # by the program that calls derain
            yield Cluster()
            return
        try:
            _initialise(ray, address)
        except (ConnectionError, OSError, RuntimeError, ValueError) as error:
            text = " ".join(str(error).split())[:200]
            raise UsageError(f"no Ray there ({text})", option="cluster", value=address) from error
        try:
            yield Cluster()
        finally:
            ray.shutdown()


@contextmanager
def _logged_messages() -> Generator[None]:
    """Log what machines of the cluster report, one line each.

    Ray prints it to standard output, which is for the paths of results; no setting of Ray's keeps
    it from there.
    """
    worker: Any = require("ray._private.worker")
    printing = getattr(worker, "print_to_stdstream", None)

    def log(data: dict[str, Any], *_others: object, **_more: object) -> None:
        for line in list(data.get("lines", []))[:1]:
            _log.info("Ray: %s", " ".join(str(line).split())[:300])

    worker.print_to_stdstream = log
    try:
        yield
    finally:
        worker.print_to_stdstream = printing


def _quiet_ray() -> Any:
    """Import Ray, without reports to its makers, dashboards, bars and chatter."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")  # has to be set before the import
    # Ray warns of a change in what it does with GPUs that does not matter here.
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    ray = require("ray", "derain --cluster")
    data = require("ray.data", "derain --cluster")
    context = data.DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    for name in ("ray", "ray.data"):
        logging.getLogger(name).setLevel(logging.ERROR)
    return ray


def _initialise(ray: Any, address: str) -> None:
    settings: dict[str, Any] = {
        "log_to_driver": False,
        "logging_level": logging.ERROR,
        "configure_logging": True,
    }
    there = running_address() if address == "auto" else address
    if there:
        _check_answers(there)
        ray.init(address=there, **settings)
        return
    ray.init(
        address="local",
        num_cpus=available_cores(),
        include_dashboard=False,
        object_store_memory=STORE,
        **settings,
    )


def _check_answers(address: str) -> None:
    """Check that something listens at an address: Ray itself waits for minutes.

    Raises:
        OSError: If nothing does.
        ValueError: If it is no address.
    """
    if address == "local":
        return
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal():
        raise ValueError("expected auto, HOST:PORT or ray://HOST:PORT")
    with socket.create_connection((host.strip("[]"), int(port)), timeout=ANSWER):
        return


def running_address() -> str | None:
    """Return the address of the cluster that RAY_ADDRESS names or that runs on this machine.

    Ray leaves the address of one that has ended, and waits for minutes for an answer there.
    """
    named = os.environ.get("RAY_ADDRESS")
    if named and named != "local":
        return named
    folder = os.environ.get("RAY_TMPDIR") or tempfile.gettempdir()
    try:
        found = Path(folder, "ray", "ray_current_cluster").read_text(encoding="utf-8").strip()
        host, _, port = found.rpartition(":")
        with socket.create_connection((host, int(port)), timeout=ANSWER):
            return found
    except (OSError, ValueError):
        return None


def _line_of(error: Exception) -> str:
    """Return what Ray raised in one line: the last error that its text names."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    named = [line for line in lines if re.match(r"[\w.]*(Error|Exception): ", line)]
    return f"Ray: {(named or lines or [type(error).__name__])[-1][:300]}"
