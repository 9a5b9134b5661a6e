"""Deraining in processes that keep their models loaded.

server                          worker
"derain", choice; pixels  ->    "tiles": done, total ...; "derained"; pixels
"stop"                    ->    "stopped"
"""

import contextlib
import os
import threading
import time
from collections.abc import Mapping
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, Any

from derain.serve.channel import Channel, array_size, bytes_of, pixels_of
from derain.serve.decoding import Decoded, Decoder
from derain.serve.jobs import Job
from derain.serve.models import Choice, Model
from derain.serve.processes import (
    Child,
    RefusedError,
    StoppedError,
    ignore_stop_signals,
    limit_memory,
    limited,
    serve_forever,
)
from derain.serve.settings import Settings

if TYPE_CHECKING:
    from derain.restore import Derainer

WARM_SIDE = 256
"""Pixels of a side of the picture that a worker begins with."""


class Worker(Child):
    """A process that derains, as the server sees it.

    Args:
        settings: Those of the server.
        warm: The model that is loaded from the start.
    """

    def __init__(self, settings: Settings, warm: Model) -> None:
        self.timeout = settings.timeout
        self._telling = threading.Lock()
        self._is_deraining = False
        super().__init__(main, (settings, warm), "derain worker")

    def derain(
        self,
        decoder: Decoder,
        decoded: Decoded,
        model: Model,
        choice: Choice,
        job: Job,
    ) -> float:
        """Derain the picture that waits in a decoder's pipe; its result goes there.

        Args:
            decoder: Has decoded the picture.
            decoded: What it said of it.
            model: The weights.
            choice: Of flips and strength.
            job: Gets the tiles that are done, and may be cancelled.

        Returns:
            The seconds that it took.

        Raises:
            EndedError: If the worker or the decoder ended meanwhile.
            RefusedError: If it cannot be done.
            StoppedError: If it was stopped.
        """
        size = array_size(decoded.shape, decoded.kind)
        # Each end of the relay is watched: a process that falls silent is killed.
        with limited(self.timeout, self, decoder):
            with self._telling:
                self.channel.tell(
                    do="derain",
                    source=model.source,
                    flips=choice.flips,
                    strength=choice.strength,
                    shape=decoded.shape,
                    kind=decoded.kind,
                )
            decoder.hand_over(self.channel)
            with self._telling:
                self._is_deraining = True
                # While the pixels were in the pipe, no message could be.
                if job.cancelled.is_set():
                    self.channel.tell(do="stop")
            seconds = self._heard_result(job)
            decoder.channel.tell(do="encode")
            self.channel.relay(decoder.channel, size)
        return seconds

    def _heard_result(self, job: Job) -> float:
        """Wait for the worker to be done, and return the seconds that it took."""
        try:
            while True:
                said = self.channel.hear()
                if "tiles" in said:
                    job.progress(*said["tiles"])
                elif "stopped" in said:
                    raise StoppedError
                elif "refused" in said:
                    raise RefusedError(said["refused"], said["detail"])
                else:
                    return float(said["seconds"])
        finally:
            with self._telling:
                self._is_deraining = False

    def stop(self) -> None:
        """Stop the work on a picture, from another thread; nothing happens if there is none.

        A job that is cancelled before the worker has its picture is stopped by `derain`.
        """
        with self._telling, contextlib.suppress(OSError):
            if self._is_deraining:
                self.channel.tell(do="stop")


# In the process


def main(connection: "Connection[Any, Any]", settings: Settings, warm: Model) -> None:
    """Derain for a server until it closes the pipe."""
    ignore_stop_signals()
    # Read when the engines' libraries are loaded. A single worker has all cores, as a command.
    if settings.workers > 1:
        os.environ.setdefault("OMP_NUM_THREADS", str(settings.threads))
    from derain.errors import DerainError, reason

    bench = _Bench(settings)
    try:
        derainer = bench.derainer(warm.source, 1, 1.0)
        _warm_up(derainer)
    except (DerainError, OSError, ValueError, RuntimeError, MemoryError) as error:
        Channel(connection).tell(failed=reason(error))
        return
    # Drivers of other devices map far more memory than they use.
    if derainer.engine.device == "cpu":
        limit_memory(settings.worker_memory)
    serve_forever(connection, bench.answer)


def _warm_up(derainer: "Derainer") -> None:
    import numpy as np

    derainer(np.zeros((WARM_SIDE, WARM_SIDE, 3), np.uint8))


class _Bench:
    """The models of a worker."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._loaded: dict[str, Derainer] = {}

    def derainer(self, source: str, flips: int, strength: float) -> "Derainer":
        """Return what derains with some weights, which are loaded once."""
        from derain.restore import Derainer, load

        if source not in self._loaded:
            self._loaded[source] = load(
                source, engine=self._settings.engine, device=self._settings.device
            )
        loaded = self._loaded[source]
        return Derainer(loaded.engine, name=loaded.name, flips=flips, strength=strength)

    def answer(self, channel: Channel, message: Mapping[str, Any]) -> None:
        """Derain a picture."""
        if message["do"] != "derain":  # a stop that came too late
            return
        from derain.errors import is_out_of_memory, reason

        height, width, channels = message["shape"]
        shape, kind = (height, width, channels), message["kind"]
        rainy = pixels_of(channel.receive(array_size(shape, kind)), shape, kind)

        def progress(_stage: str, done: int, total: int) -> None:
            if channel.has_message():
                channel.hear()
                raise StoppedError
            channel.tell(tiles=[done, total])

        began = time.monotonic()
        try:
            derainer = self.derainer(message["source"], message["flips"], message["strength"])
            clean = derainer(rainy, progress)
        except StoppedError:
            channel.tell(stopped=True)
        except Exception as error:
            status = 413 if is_out_of_memory(error) else 500
            channel.tell(refused=status, detail=reason(error))
        else:
            channel.tell(seconds=time.monotonic() - began)
            channel.send(bytes_of(clean))
