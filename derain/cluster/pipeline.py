"""From an archive to its results: list, compare with the records, let workers do the rest.

    driver   list -> plan (files in the output)        rows -> manifest, outcomes
    Ray Data          numbers of shards -> workers ------^
    worker             read | network | write, overlapped, one shard after the other

Only numbers of shards and rows of the manifest pass through the driver. Ray Data gives a worker two
shards at most, and waits with more while their rows are not taken. Long clips take further rounds
of this, see `derain.cluster.sharing`.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace

import derain
from derain.cluster.engine import CLIENT, Cluster, connect
from derain.cluster.listing import Archive, Item, Passed, Refused, list_items
from derain.cluster.manifest import Known, Manifest, Row, Terms
from derain.cluster.model import Model, model_of
from derain.cluster.places import open_place
from derain.cluster.planning import Plan, Unfinished
from derain.cluster.remote import drive_there
from derain.cluster.request import Kind, Outcome, Request, Tally
from derain.cluster.sharing import Shared, is_shared
from derain.cluster.work import Orders
from derain.errors import DerainError, ExistsError
from derain.extras import require
from derain.progress import Progress, silent

KINDS: tuple[Kind, ...] = ("picture", "clip")
_USUAL = {"dtype": "auto", "engine": "auto", "strength": 1.0, "flips": 1}
"""Settings that go without saying."""


def run(
    request: Request,
    progress: Progress = silent,
    on_plan: Callable[[Tally], None] = lambda _: None,
) -> Iterator[Outcome]:
    """Derain an archive, and yield what became of each file that there was something to say of.

    Files whose results are there as the manifest has them are not mentioned. Whatever goes wrong
    with a file, the others are done.

    Args:
        request: What to do.
        progress: Takes reports of ``listing`` and ``files``.
        on_plan: Takes how much there is to do, before it is begun.

    Raises:
        DerainError: If a store does not answer, the archive cannot be listed, the records are
            damaged, or Ray fails.
        MissingExtraError: If Ray is not installed.
        ValueError: As `derain.restore.check_asked`; if the folders cannot be meant.
        OSError: If what is done cannot be recorded.
    """
    require("ray", "derain --cluster")
    require("pyarrow.fs", "derain --cluster")
    archive = Archive(
        open_place(request.source, "source"),
        open_place(request.output, "output"),
        request.format,
        request.max_pixels,
    )
    archive.check()
    models: dict[str, tuple[Model, Terms]] = {kind: _with_terms(request, kind) for kind in KINDS}
    if request.address.startswith(CLIENT):
        return _run_there(request, archive, models, progress, on_plan)
    return _Run(request, archive, models).outcomes(progress, on_plan)


def _run_there(
    request: Request,
    archive: Archive,
    models: dict[str, tuple[Model, Terms]],
    progress: Progress,
    on_plan: Callable[[Tally], None],
) -> Iterator[Outcome]:
    """Let an actor on the cluster be the driver."""
    with connect(request.address):
        drive = _Run(replace(request, address="auto"), archive, models).outcomes
        yield from drive_there(drive, progress, on_plan)


def _with_terms(request: Request, kind: Kind) -> tuple[Model, Terms]:
    """Return weights, and all else that results depend on."""
    model = model_of(request, kind)
    settings = {"flips": model.flips} | request.settings
    settings = {
        name: value
        for name, value in settings.items()
        # The weights stand for the quality; a machine of another kind makes nothing due again.
        if name not in ("quality", "device") and value is not None and value != _USUAL.get(name)
    }
    if kind == "picture" and request.format:
        settings["format"] = request.format
    text = json.dumps(settings, sort_keys=True)
    return model, Terms(model.name, model.sha256, text, derain.__version__)


class _Run:
    """One run over an archive."""

    def __init__(
        self,
        request: Request,
        archive: Archive,
        models: dict[str, tuple[Model, Terms]],
    ) -> None:
        self._request, self._archive, self._models = request, archive, models
        self._progress: Progress = silent
        self._plan = Plan(archive.output)
        self._others: list[Plan] = []
        self._clips = 0
        self._manifest = Manifest(archive.output)

    def outcomes(self, progress: Progress, on_plan: Callable[[Tally], None]) -> Iterator[Outcome]:
        """Yield what becomes of the files."""
        self._progress = progress
        passed, kept = Passed(), Counter[str]()
        self._archive.source.check_answers()
        self._archive.output.check_answers()
        unfinished = Unfinished(self._archive.output)
        yield from self._planned(unfinished, passed, kept)
        on_plan(Tally(self._plan.count, kept["kept"], passed.others))
        if self._plan.count:
            try:
                with connect(self._request.address) as cluster:
                    yield from self._worked(cluster)
            finally:
                # Also of a run that is interrupted: what is done need not be done again.
                self._manifest.flush()
            self._manifest.close()
        # Only now: until then they say which results may be there without a record.
        for plan in (self._plan, *self._others):
            plan.remove()
        unfinished.remove()

    def _planned(
        self, unfinished: Unfinished, passed: Passed, kept: Counter[str]
    ) -> Iterator[Outcome]:
        """Plan what is due, and yield what gives no result."""
        known = self._manifest.known()
        for count, item in enumerate(list_items(self._archive, passed), 1):
            if count % 1000 == 0:
                self._progress("listing", count, 0)
            if isinstance(item, Refused):
                yield Outcome(item.path, "", "failed", item.message)
            elif self._is_strange(item, known, unfinished):
                target = self._archive.output.shown(item.target)
                error = ExistsError(f"{target} already exists")
                yield Outcome(item.path, target, "skipped", str(error))
            elif self._request.force or not known.is_done(item, self._models[item.kind][1]):
                self._plan.add(item)
                self._clips += item.kind == "clip"
            else:
                kept["kept"] += 1

    def _is_strange(self, item: Item, known: Known, unfinished: Unfinished) -> bool:
        """Return whether what is in a result's place was made by no run of this archive."""
        if item.there is None or self._request.force:
            return False
        return not (known.has_made(item) or unfinished.has(item))

    def _worked(self, cluster: Cluster) -> Iterator[Outcome]:
        """Let workers do what is planned, and record it."""
        workers = self._request.workers or cluster.workers(self._request.settings)
        shared = Shared(workers)
        total, done = self._plan.count, 0
        self._progress("files", 0, total)
        for rows in self._rounds(cluster, workers, shared):
            self._manifest.add(rows)
            done += len(rows)
            self._progress("files", done, total)
            yield from map(self._outcome, rows)
        shared.remove_parts(self._archive.output, self._models["clip"][1])

    def _rounds(self, cluster: Cluster, workers: int, shared: Shared) -> Iterator[list[Row]]:
        """Yield rows: of files that are done whole, then of clips that are shared out."""
        share = is_shared(self._clips, workers)
        yield from self._round(cluster, workers, shared, self._plan, share=share)
        for items in (shared.parts, shared.joins):
            plan = Plan(self._archive.output)
            for item in items():
                plan.add(item)
            if plan.count:
                self._others.append(plan)
                yield from self._round(cluster, workers, shared, plan)

    def _round(
        self, cluster: Cluster, workers: int, shared: Shared, plan: Plan, *, share: bool = False
    ) -> Iterator[list[Row]]:
        """Let workers do one plan."""
        plan.close(workers)
        request = self._request
        orders = Orders(self._archive, plan, self._models, request.settings, request.retries, share)
        done = 0
        for rows in cluster.rows(orders, workers):
            done += len(rows)
            yield shared.ended(rows)
        if done < plan.count:
            raise DerainError(
                f"{plan.count - done} files were lost with their workers; the same command does"
                " them"
            )

    def _outcome(self, row: Row) -> Outcome:
        return Outcome(
            row["path"],
            self._archive.output.shown(row["target"]),
            row["status"],
            row["error"] or row["notes"],
            row["seconds"],
            row["attempts"],
        )
