"""Write the files of a run while it trains: weights, log, checkpoint, curve and samples."""

from collections.abc import Callable
from contextlib import suppress
from typing import Any

from torch import Tensor

from derain.errors import reason
from derain.files import write_file
from derain.recipes import Recipe
from derain.train.batches import BatchSource
from derain.train.board import Board
from derain.train.cards import Provenance
from derain.train.checkpoint import CHECKPOINT
from derain.train.curve import curve_svg
from derain.train.log import append_record, read_log
from derain.train.place import saying_what_is_left
from derain.train.ranks import ALONE, Ranks
from derain.train.run import BEST, CURVE, LOG
from derain.train.samples import Samples
from derain.train.sources import ValidationSet
from derain.train.state import State
from derain.train.step import check_loss, settle_norms
from derain.weights import store

AS_GOOD = 1e-3
"""Validations that differ by less, in dB, are equal, and the latest is kept."""


class Recorder:
    """Validates a run, and writes its files.

    Weights, log and checkpoint have to be written, or the run stops. Samples, curve and TensorBoard
    events are for people: if they cannot be written, it is said once, and the run continues.

    Args:
        recipe: The recipe it trains by.
        provenance: What cards say, and where the run writes.
        validation: What is validated on.
        batches: What is trained on, for normalisation of averaged weights.
        state: As it stands; the step of a resumed run is that of its checkpoint.
        on_note: Called if something for people cannot be written.
        ranks: The processes that validate together, of which the first writes.
    """

    def __init__(
        self,
        recipe: Recipe,
        provenance: Provenance,
        validation: ValidationSet,
        batches: BatchSource,
        state: State,
        on_note: Callable[[str], None],
        ranks: Ranks = ALONE,
    ) -> None:
        self._recipe, self._provenance = recipe, provenance
        self._validation, self._batches, self._state = validation, batches, state
        self._on_note, self._ranks = on_note, ranks
        self._saved = state.step or None
        self._samples = Samples(validation.pairs)
        self._begun = state.step
        self._board: Board | None = None
        self._shows = ranks.writes

    def record(self, losses: dict[str, Tensor], *, validates: bool, saves: bool) -> dict[str, Any]:
        """Write a record of the log, and return it.

        Args:
            losses: Of the step just taken.
            validates: Validate, and keep the weights if they are the best.
            saves: Write a checkpoint.

        Raises:
            FloatingPointError: If the loss, or what the network gives, is not a finite number.
            RunStoppedError: If something that has to be kept cannot be written.
        """
        run, state = self._provenance.run, self._state
        record = _losses(state, losses)
        with saying_what_is_left(run, state.step, self._saved):
            if validates:
                record |= self._validate()
            if self._ranks.writes:
                append_record(run.out / LOG, record)
            # After the log, which a resumed run cuts to where its checkpoint stands.
            if saves and self._ranks.writes:
                stage = self._provenance.stage(state, record.get("validation", {}))
                state.checkpoint(self._recipe, stage).write(run.out / CHECKPOINT)
                self._saved = state.step
        if self._shows:
            self._show(record)
        return record

    def close(self) -> None:
        """Close what is open."""
        if self._board is not None:
            with suppress(OSError):
                self._board.close()

    def _validate(self) -> dict[str, Any]:
        """Return the validation's part of a record, and save the weights if they are the best."""
        run, state = self._provenance.run, self._state
        if state.averaged and not self._recipe.frozen_norms:
            settle_norms(state.averaged, self._batches, state.step, run.device, self._ranks)
        network = state.evaluated.eval()
        scores = self._validation.score(network, run.device, self._samples.keep, self._ranks)
        self._samples.share(self._ranks)
        # Of equal ones the latest is kept: a part may be trained that no picture shows, such as the
        # density classifier alone.
        if scores["mean"] > state.best - AS_GOOD:
            state.best = max(state.best, scores["mean"])
            if self._ranks.writes:
                store.save(network, self._provenance.card(state, scores), run.out / BEST)
        return {"validation": scores, "best": state.best}

    def _show(self, record: dict[str, Any]) -> None:
        """Write what people look at."""
        run = self._provenance.run
        try:
            if self._board is None:
                self._board = Board(run, self._begun)
            self._board.add(record)
            if "validation" in record:
                self._samples.write(run.out)
                title = f"{self._recipe.name}, step {record['step']} of {self._recipe.steps}"
                svg = curve_svg(read_log(run.out / LOG), title)
                write_file(run.out / CURVE, svg.encode())
        except OSError as error:
            self._shows = False
            self._on_note(f"{reason(error)}: no more curves and samples are written")


def _losses(state: State, losses: dict[str, Tensor]) -> dict[str, Any]:
    """Return the training's part of a record.

    Raises:
        FloatingPointError: If the loss is not a finite number. On a GPU it is looked at here only.
    """
    check_loss(losses["loss"], state.step - 1)
    group = state.optimiser.param_groups[0]
    lr = group["lr"] / group["relative_lr"]
    values = {name: float(term) for name, term in losses.items()}
    return {"step": state.step, "lr": lr, **values, "seconds": round(state.seconds, 1)}
