"""What each worker of a cluster executes: the local command's pipelines, on files of a place."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from derain import pictures
from derain.cluster.clips import ClipWork
from derain.cluster.ledger import Row, Shard
from derain.cluster.listing import Archive, Item
from derain.cluster.manifest import COLUMNS, Terms
from derain.cluster.model import Model
from derain.cluster.planning import Plan
from derain.cluster.storage import PlaceStorage
from derain.cluster.tables import table_of
from derain.extras import require
from derain.restore import Derainer


@dataclass(frozen=True)
class Orders:
    """What a worker has to know.

    Attributes:
        archive: What to derain.
        plan: Its files, in shards.
        models: Weights and all else that results depend on, by kind of file.
        settings: For `derain.restore.load`.
        retries: Further tries.
        share: Whether long clips are to be shared out.
    """

    archive: Archive
    plan: Plan
    models: dict[str, tuple[Model, Terms]]
    settings: dict[str, Any]
    retries: int
    share: bool = False


class Worker:
    """Does shards; it loads the models that they need once.

    Args:
        orders: What to do.
        ledger: Ray's handle of a `Ledger`; None to keep no account, in one process.
    """

    def __init__(self, orders: Orders, ledger: Any = None) -> None:
        self._orders, self._ledger = orders, ledger
        self._models: dict[str, Derainer] = {}
        self._places: dict[tuple[str, int], int] = {}
        self._shard = 0
        self._storage = PlaceStorage(orders.archive, orders.retries, self._read)

    def __call__(self, batch: dict[str, Any]) -> Iterator[Any]:
        """Yield Arrow's table of rows for each shard of a batch."""
        for number in batch["id"]:
            rows = [{**row, "shard": int(number)} for row in self.do(int(number))]
            yield table_of(rows, ROW_COLUMNS)

    def do(self, number: int) -> list[Row]:
        """Return the rows of the manifest for a shard."""
        items = self._orders.plan.items(number)
        known = self._opened(number)
        self._shard, self._places = number, {item.key: k for k, item in enumerate(items)}
        rows = dict(known.rows)
        suspects = [items[k] for k in sorted(known.begun) if k not in rows]
        fresh = [item for k, item in enumerate(items) if k not in rows and k not in known.begun]
        for item, row in self._done(fresh):
            rows[self._ended(item, row)] = row
        for item in suspects:
            deaths = known.begun[self._places[item.key]]
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
            "task": item.task,
            "finished": datetime.now(timezone.utc),
        }

    def _model(self, kind: str) -> Derainer:
        if kind not in self._models:
            model, _ = self._orders.models[kind]
            self._models[kind] = model.load(self._orders.settings)
        return self._models[kind]

    def _clip(self, item: Item) -> Row:
        self._begun(item)
        begin = time.monotonic()
        terms = self._orders.models["clip"][1]
        work = ClipWork(
            self._orders.archive.output,
            self._storage,
            terms,
            lambda: self._model("clip"),
            share=self._orders.share,
        )
        row = self._row(item, "failed") | work.do(item)
        return row | {"seconds": time.monotonic() - begin}

    # Notes in the ledger. Nothing waits for it but the first question about a shard.

    def _opened(self, number: int) -> Shard:
        if self._ledger is None:
            return Shard()
        return require("ray").get(self._ledger.open.remote(number))

    def _begun(self, item: Item) -> None:
        self._note(item.key)

    def _read(self, picture: str) -> None:
        self._note((picture, 0))

    def _note(self, key: tuple[str, int]) -> None:
        if self._ledger is not None:
            self._ledger.begin.remote(self._shard, self._places[key])

    def _ended(self, item: Item, row: Row) -> int:
        place = self._places[item.key]
        if self._ledger is not None:
            self._ledger.end.remote(self._shard, place, row)
        return place


ROW_COLUMNS = {**COLUMNS, "shard": "int64", "task": "string", "segments": "int64"}
"""Of what workers give: rows of the manifest, each with its shard; see `derain.cluster.sharing`."""
