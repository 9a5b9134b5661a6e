"""TensorBoard events of a run, where tensorboard is installed."""

import importlib
from typing import Any

from derain.extras import is_installed
from derain.files import printable
from derain.train.run import BOARD, TrainingRun


class Board:
    """Writes the records of a run as TensorBoard scalars; does nothing without tensorboard.

    Args:
        run: Its folder gets a folder of events.
        step: Steps taken before; events after these, of a run that was stopped, are dropped.

    Raises:
        OSError: If the events cannot be written.
    """

    def __init__(self, run: TrainingRun, step: int) -> None:
        self._writer: Any = None
        if not is_installed("tensorboard"):
            return
        try:
            module = importlib.import_module("torch.utils.tensorboard")
        except (ImportError, AttributeError):  # a version that does not fit this PyTorch
            return
        purge = step + 1 if step else None
        self._writer = module.SummaryWriter(str(run.out / BOARD), purge_step=purge)

    def add(self, record: dict[str, Any]) -> None:
        """Write a record of the log.

        Raises:
            OSError: If it cannot be written.
        """
        if self._writer is None:
            return
        scores = record.get("validation", {})
        values = {f"validation/{printable(name)}": value for name, value in scores.items()}
        values |= {
            f"training/{name}": value
            for name, value in record.items()
            if name not in ("step", "validation", "best", "seconds")
        }
        for name, value in values.items():
            self._writer.add_scalar(name, value, record["step"])
        self._writer.flush()

    def close(self) -> None:
        """Write what waits, and close the file.

        Raises:
            OSError: If it cannot be written.
        """
        if self._writer is not None:
            self._writer.close()
