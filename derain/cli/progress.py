"""Progress of the library, shown as bars."""

from rich.progress import Progress, TaskID

from derain.files import printable


class Stages:
    """A `derain.progress.Progress` that shows each stage of the work as a bar of its own."""

    def __init__(self, bars: Progress) -> None:
        self._bars = bars
        self._tasks: dict[str, TaskID] = {}

    def __call__(self, stage: str, done: int, total: int) -> None:
        """Show how far a stage has come."""
        if stage not in self._tasks:
            self._tasks[stage] = self._bars.add_task(printable(stage), total=total)
        self._bars.update(self._tasks[stage], completed=done, total=total)

    def remove(self, stage: str) -> None:
        """Remove the bar of a stage that is over."""
        if stage in self._tasks:
            self._bars.remove_task(self._tasks.pop(stage))
