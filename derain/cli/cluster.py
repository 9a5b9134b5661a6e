"""derain run --cluster: an archive on many machines."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from derain.cli.console import complain, interruptible, one_line_errors, say
from derain.cli.console import result as show_result
from derain.cli.progress import Bars
from derain.cli.shown import SKIPPED, say_skipped
from derain.errors import UsageError
from derain.files import printable

if TYPE_CHECKING:
    from derain.cluster import Outcome, Request
    from derain.cluster.request import Tally
    from derain.images import Format

ClusterOption = Annotated[
    str | None,
    typer.Option(
        metavar="auto|ADDRESS",
        help="Derain a folder or address on Ray's machines: auto, ray://HOST:PORT or HOST:PORT.",
    ),
]
RetriesOption = Annotated[
    int | None,
    typer.Option(
        metavar="N", help="With --cluster: further tries at a file. Default: 2.", show_default=False
    ),
]


@dataclass(frozen=True)
class ClusterOptions:
    """What the command line says of a cluster; names are those of the flags."""

    cluster: str | None = None
    retries: int | None = None

    def check_unused(self) -> None:
        """Check that nothing is said of a cluster, where there is none.

        Raises:
            UsageError: Else.
        """
        if self.retries is not None:
            raise UsageError("applies to --cluster, which is not given", option="retries")


def check_others(*others: object, but: Sequence[str] = ()) -> None:
    """Check that nothing is asked for that is not done on a cluster.

    Args:
        others: Options that were given, as dataclasses.
        but: Names of those that are done.

    Raises:
        UsageError: Else.
    """
    for options in others:
        for option, value in vars(options).items():
            if option not in but and value != getattr(type(options), option):
                raise UsageError("is not done with --cluster; leave one of them out", option=option)


def request_of(
    inputs: Sequence[str],
    output: str | None,
    model: str | None,
    settings: dict[str, Any],
    options: ClusterOptions,
    *,
    force: bool,
    format: "Format | None",
    max_pixels: int | None,
) -> "Request":
    """Return what the command line asks for.

    Raises:
        UsageError: If that cannot be meant.
    """
    from derain.cluster import Request
    from derain.cluster.request import RETRIES

    if len(inputs) != 1 or inputs[0] == "-":
        found = "standard input" if len(inputs) == 1 else f"{len(inputs)} inputs"
        raise UsageError(
            f"{found} with it; expected one folder, or one address such as s3://bucket/rainy",
            option="cluster",
            value=options.cluster,
        )
    if not options.cluster:
        raise UsageError(
            "expected auto, HOST:PORT or ray://HOST:PORT", option="cluster", value=options.cluster
        )
    if model == "none":
        raise UsageError(
            "is not done with --cluster; expected weights", option="model", value=model
        )
    return Request(
        inputs[0],
        _output_of(inputs[0], output),
        model,
        settings,
        format,
        max_pixels,
        force=force,
        address=options.cluster,
        retries=RETRIES if options.retries is None else options.retries,
    )


def _output_of(source: str, output: str | None) -> str:
    """Return where results go; beside a folder of this machine where nobody says."""
    if output is not None:
        return output
    from derain.pictures.finding import absolute, result_folder

    beside = None if "://" in source else result_folder(absolute(Path(source)))
    if beside is None:
        raise UsageError(
            f"{source}: no results can lie beside it", option="output", advice="say where with"
        )
    return str(beside)


def derain_archive(request: "Request") -> None:
    """Derain an archive and report what there is to say of each file.

    Raises:
        typer.Exit: If something could not be done, or the user interrupts it.
    """
    done = _Done()
    with (
        one_line_errors(has_limit=True, has_quality=True),
        interruptible(done.describe),
        Bars() as bars,
    ):
        from derain.cluster import run

        def progress(stage: str, count: int, total: int, /) -> None:
            bars(stage, count, total or None)

        for outcome in run(request, progress, done.begin):
            done.add(outcome)
    done.report()
    if done.failed:
        raise typer.Exit(1)


@dataclass
class _Done:
    """What has become of the files so far.

    Attributes:
        statuses: Number of files of each status.
        failed: Those that could not be done.
        due: How many are to be done.
        kept: How many results were there.
        others: Files that are neither pictures nor clips.
    """

    statuses: Counter[str] = field(default_factory=Counter[str])
    failed: "list[Outcome]" = field(default_factory=list[Any])
    due: int = 0
    kept: int = 0
    others: int = 0

    def begin(self, tally: "Tally") -> None:
        """Take how much there is to do."""
        self.due, self.kept, self.others = tally.due, tally.kept, tally.others

    def add(self, outcome: "Outcome") -> None:
        """Count a file; the path or address of its result goes to standard output."""
        self.statuses[outcome.status] += 1
        source = printable(outcome.source)
        if outcome.status == "failed":
            self.failed.append(outcome)
        elif outcome.status == "skipped":
            say_skipped(f"{source}: {_line_of(outcome)}", is_only=False)
        elif outcome.status == "done":
            note = f" ({printable(outcome.message)})" if outcome.message else ""
            place = f"[{self.statuses['done']}/{self.due}] "
            say(f"{place}{source}: {outcome.seconds:.1f} s{note}")
            show_result(outcome.target)

    def report(self) -> None:
        """Name the files that failed, and say how many files became what."""
        for outcome in self.failed:
            tries = f" (tried {outcome.attempts} times)" if outcome.attempts > 1 else ""
            complain(f"error: {printable(outcome.source)}: {_line_of(outcome)}{tries}")
        if self.others:
            say(f"{self.others} other files were not derained")
        if self.statuses["left"]:
            say(f"{self.statuses['left']} results of derain were not derained again")
        say(
            f"{self.statuses['done']} done, {self.kept + self.statuses['skipped']} {SKIPPED},"
            f" {len(self.failed)} failed"
        )

    def describe(self) -> str:
        """Return what was done by the time of an interruption."""
        return f"{self.statuses['done']} of {self.due} done; the same command does the rest"


def _line_of(outcome: "Outcome") -> str:
    """Return why a file was skipped or failed, with flags: errors of other machines are text."""
    text = printable(outcome.message).replace("max_pixels=", "--max-pixels ")
    return text.replace("force=True", "--force")
