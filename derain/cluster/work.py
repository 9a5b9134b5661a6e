"""What each worker of a cluster executes: the local command's pipelines, on files of a place."""

import hashlib
import random
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

from derain import pictures
from derain.cluster.ledger import Row, Shard
from derain.cluster.listing import Archive, Item
from derain.cluster.manifest import COLUMNS, Terms
from derain.cluster.model import Model
from derain.cluster.planning import Plan
from derain.cluster.tables import table_of
from derain.errors import reason
from derain.extras import require
from derain.restore import Derainer

PAUSE = 0.5
"""Seconds before a file is tried again; each further time twice as many."""
_FINAL = (FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError)
"""What is not worth another try."""

T = TypeVar("T")


@dataclass(frozen=True)
class Orders:
    """What a worker has to know.

    Attributes:
        archive: What to derain.
        plan: Its files, in shards.
        models: Weights and all else that results depend on, by kind of file.
        settings: For `derain.restore.load`.
        retries: Further tries.
    """

    archive: Archive
    plan: Plan
    models: dict[str, tuple[Model, Terms]]
    settings: dict[str, Any]
    retries: int


class PlaceStorage:
    """A `derain.pictures` storage that reads from one place and writes to another.

    Args:
        archive: The two.
        retries: Further tries after an error that may pass.
        on_read: Called with the name of a picture before it is read, in the thread that reads.
    """

    def __init__(self, archive: Archive, retries: int, on_read: Callable[[str], None]) -> None:
        self._archive, self._retries, self._on_read = archive, retries, on_read
        self._facts: dict[str, Row] = {}

    def read(self, source: Path) -> bytes:
        """Return a picture's bytes.

        Raises:
            OSError: If it cannot be read.
        """
        name = source.as_posix()
        self._on_read(name)
        data, tries = self._tried(lambda: self._archive.source.read(name))
        facts = self._facts.setdefault(name, {"attempts": 1})
        facts |= {"attempts": max(facts["attempts"], tries), "input_sha256": sha256_of(data)}
        return data

    def write(self, target: Path, data: bytes) -> None:
        """Write a result.

        Raises:
            OSError: If it cannot be written.
        """
        name = target.as_posix()
        _, tries = self._tried(lambda: self._archive.output.write(name, data))
        facts = {"attempts": tries, "output_sha256": sha256_of(data), "output_size": len(data)}
        self._facts[f">{name}"] = facts

    def facts(self, item: Item) -> Row:
        """Return what is known of a file's bytes, and forget it."""
        read = self._facts.pop(item.path, {})
        written = self._facts.pop(f">{item.target}", {})
        tries = max(read.get("attempts", 1 + self._retries), written.get("attempts", 1))
        return {**read, **written, "attempts": tries}

    def _tried(self, work: Callable[[], T]) -> tuple[T, int]:
        """Do something with a store; return what it gives, and how often it was tried."""
        for tries in range(1, self._retries + 2):
            try:
                return work(), tries
            except _FINAL:
                raise
            except OSError:
                if tries > self._retries:
                    raise
                # Not all workers at the same time.
                time.sleep(PAUSE * 2 ** (tries - 1) * (0.5 + random.random()))
        raise AssertionError("not reached")


def sha256_of(data: bytes) -> str:
    """Return the SHA-256 of bytes, in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


class Worker:
    """Does shards; it loads the models that they need once.

    Args:
        orders: What to do.
        ledger: Ray's handle of a `Ledger`; None to keep no account, in one process.
    """

    def __init__(self, orders: Orders, ledger: Any = None) -> None:
        self._orders, self._ledger = orders, ledger
        self._models: dict[str, Derainer] = {}
        self._places: dict[str, int] = {}
        self._shard = 0
        self._storage = PlaceStorage(orders.archive, orders.retries, self._begun)

    def __call__(self, batch: dict[str, Any]) -> Iterator[Any]:
        """Yield Arrow's table of rows for each shard of a batch."""
        for number in batch["id"]:
            rows = [{**row, "shard": int(number)} for row in self.do(int(number))]
            yield table_of(rows, ROW_COLUMNS)

    def do(self, number: int) -> list[Row]:
        """Return the rows of the manifest for a shard."""
        items = self._orders.plan.items(number)
        known = self._opened(number)
        self._shard, self._places = number, {item.path: k for k, item in enumerate(items)}
        rows = dict(known.rows)
        suspects = [items[k] for k in sorted(known.begun) if k not in rows]
        fresh = [item for k, item in enumerate(items) if k not in rows and k not in known.begun]
        for item, row in self._done(fresh):
            rows[self._ended(item, row)] = row
        for item in suspects:
            deaths = known.begun[self._places[item.path]]
            for _, row in self._done_alone(item, deaths):
                rows[self._ended(item, row)] = row
        return [rows[k] for k in sorted(rows)]

    def _done_alone(self, item: Item, deaths: int) -> Iterator[tuple[Item, Row]]:
        """Do a file at which a worker ended, unless that was too often."""
        # The first time it may have been a neighbour's fault.
        if deaths <= max(1, self._orders.retries):
            for _, row in self._done([item]):
                yield item, row | {"attempts": deaths + row["attempts"]}
            return
        times = "once" if deaths == 1 else f"{deaths} times"
        message = f"a worker ended {times} at this file; does it take more memory than there is?"
        yield item, self._row(item, "failed", error=message) | {"attempts": deaths}

    def _done(self, items: Sequence[Item]) -> Iterator[tuple[Item, Row]]:
        """Do files: pictures overlapped, then clips."""
        stills = [item for item in items if item.kind == "picture"]
        by_path = {item.path: item for item in stills}
        jobs = [self._job(item) for item in stills]
        derainer = self._model("picture") if jobs else None
        if derainer is not None:
            for result in pictures.run(jobs, derainer):
                item = by_path[result.source.as_posix()]
                yield item, self._row_of(item, result)
        for item in items:
            if item.kind == "clip":
                yield item, self._clip(item)

    def _job(self, item: Item) -> pictures.Job:
        return pictures.Job(
            Path(item.path),
            Path(item.target),
            item.format,
            # The plan knows what may be overwritten; names here are not those of local files.
            force=True,
            max_pixels=self._orders.archive.max_pixels,
            storage=self._storage,
        )

    def _row_of(self, item: Item, result: pictures.Result) -> Row:
        return self._row(
            item,
            result.status,
            error=result.message if result.error else "",
            notes="" if result.error else result.message,
            seconds=result.seconds,
        ) | self._storage.facts(item)

    def _row(
        self,
        item: Item,
        status: str,
        *,
        error: str = "",
        notes: str = "",
        seconds: float = 0.0,
    ) -> Row:
        """Return the row of the manifest for a file."""
        terms = self._orders.models[item.kind][1]
        return {
            "path": item.path,
            "target": item.target,
            "size": item.size,
            "modified": item.modified,
            "model": terms.model,
            "model_sha256": terms.model_sha256,
            "settings": terms.settings,
            "version": terms.version,
            "seconds": seconds,
            "status": status,
            "error": error,
            "notes": notes,
            "attempts": 1,
            "finished": datetime.now(timezone.utc),
        }

    def _model(self, kind: str) -> Derainer:
        if kind not in self._models:
            model, _ = self._orders.models[kind]
            self._models[kind] = model.load(self._orders.settings)
        return self._models[kind]

    # Clips, whole, through files of this machine: decoders and encoders seek in them.

    def _clip(self, item: Item) -> Row:
        self._begun(item.path)
        begin = time.monotonic()
        try:
            row = self._derained_clip(item)
        except Exception as error:
            row = self._row(item, "failed", error=reason(error))
        return row | {"seconds": time.monotonic() - begin}

    def _derained_clip(self, item: Item) -> Row:
        require("av", "derain --cluster for clips")
        from derain.clips.pipeline import run
        from derain.clips.plan import plan

        with tempfile.TemporaryDirectory(prefix="derain-") as folder:
            source = Path(folder, PurePosixPath(item.path).name)
            data = self._storage.read(Path(item.path))
            source.write_bytes(data)
            del data
            planned = plan([source], Path(folder, "done"))
            for _, error in planned.refused:
                raise error
            (result,) = run(planned.jobs, self._model("clip"))
            if result.error is not None:
                raise result.error
            target = PurePosixPath(item.target).with_suffix(result.target.suffix).as_posix()
            self._storage.write(Path(target), result.target.read_bytes())
        row = self._row(item, "done", notes=result.message) | {"target": target}
        return row | self._storage.facts(Item(item.path, target, item.size, item.modified))

    # Notes in the ledger. Nothing waits for it but the first question about a shard.

    def _opened(self, number: int) -> Shard:
        if self._ledger is None:
            return Shard()
        return require("ray").get(self._ledger.open.remote(number))

    def _begun(self, path: str) -> None:
        if self._ledger is not None:
            self._ledger.begin.remote(self._shard, self._places[path])

    def _ended(self, item: Item, row: Row) -> int:
        place = self._places[item.path]
        if self._ledger is not None:
            self._ledger.end.remote(self._shard, place, row)
        return place


ROW_COLUMNS = {**COLUMNS, "shard": "int64"}
"""Of what workers give: rows of the manifest, each with its shard."""
