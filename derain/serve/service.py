"""Takes one picture through decoder and worker."""

import logging
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

from derain.serve.admission import Admission, Bytes, Pixels
from derain.serve.decoding import Decoded, Decoder
from derain.serve.jobs import Job, Jobs
from derain.serve.metrics import Metrics
from derain.serve.models import Choice, Models
from derain.serve.negotiation import Wish
from derain.serve.problems import Problem
from derain.serve.processes import EndedError, NotStartedError, Pool, RefusedError, StoppedError
from derain.serve.settings import Settings
from derain.serve.workers import Worker

_log = logging.getLogger(__name__)

PICTURES_PER_DECODER = 1000
"""A decoder is replaced after so many: libraries that lose memory lose it for good."""


@dataclass(frozen=True)
class Task:
    """A picture to derain.

    Attributes:
        file: As it was sent.
        name: Of the file; empty if it had none.
        wish: The formats that the client takes.
        choice: Of model, flips and strength.
    """

    file: bytes | bytearray
    name: str
    wish: Wish
    choice: Choice


@dataclass(frozen=True)
class Answer:
    """A derained picture.

    Attributes:
        file: As ``derain run`` writes it.
        decoded: What was known of it before: format and name.
        notes: What could not be kept, in words.
        seconds: That it took in a worker.
    """

    file: bytes
    decoded: Decoded
    notes: str
    seconds: float


class Service:
    """The queue, the processes and what is known of them.

    Args:
        settings: Those of the server.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.models = Models(settings.models, settings.engine, settings.device)
        self.metrics = Metrics()
        self.jobs = Jobs()
        self.bytes = Bytes(settings.queue_bytes)
        self.admission = Admission(settings.queue, settings.decoders, settings.workers)
        self.is_stopping = False
        self._pixels = Pixels(settings.pixels_at_once)
        warm = self.models[self.models.default]
        self.workers = Pool(
            lambda: Worker(settings, warm),
            settings.workers,
            on_replaced=lambda reason: self._count_replaced("worker", reason),
        )
        self.decoders = Pool(
            lambda: Decoder(settings),
            settings.decoders,
            jobs=PICTURES_PER_DECODER,
            on_replaced=lambda reason: self._count_replaced("decoder", reason),
        )
        # As many threads as pictures may be worked on: none waits for a thread.
        self.threads = ThreadPoolExecutor(settings.decoders, "derain-picture")
        self._watch()

    def start(self) -> None:
        """Start the processes, and wait for one of each kind.

        Raises:
            NotStartedError: If a model cannot be loaded.
        """
        try:
            self.decoders.start()
            self.workers.start()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """End the processes at once."""
        self.workers.close()
        self.decoders.close()
        self.threads.shutdown(wait=False, cancel_futures=True)

    @property
    def is_ready(self) -> bool:
        """Whether it takes pictures."""
        return not self.is_stopping and self.workers.alive > 0

    @property
    def is_idle(self) -> bool:
        """Whether everything that was accepted is done."""
        return self.admission.waiting + self.admission.working == 0

    def derain(self, task: Task, job: Job) -> Answer:
        """Derain a picture, in a thread whose turn has come.

        Raises:
            Problem: If that cannot be done.
            StoppedError: If nobody waits for it.
        """
        with _as_problems(), self.decoders.held() as decoder:
            try:
                return self._derain(task, job, decoder)
            finally:
                decoder.forget()

    def _derain(self, task: Task, job: Job, decoder: Decoder) -> Answer:
        with _naming("decode"):
            pixels = decoder.judge(task.file)
        with self._pixels.held(pixels):
            _check_wanted(job)
            with _naming("decode"):
                decoded = decoder.decode(task.wish, task.name)
            with self.workers.held() as worker:
                job.on_cancel(worker.stop)
                model = self.models[task.choice.model]
                try:
                    _check_wanted(job)
                    seconds = worker.derain(decoder, decoded, model, task.choice, job)
                finally:
                    job.on_cancel(None)
            with _naming("encode"):
                file, notes = decoder.encode()
        height, width, _ = decoded.shape
        self.metrics.pixels.inc(height * width)
        self.metrics.worker_seconds.labels(task.choice.model).observe(seconds)
        return Answer(file, decoded, notes, seconds)

    def _count_replaced(self, kind: str, reason: str) -> None:
        self.metrics.replaced.labels(kind, reason).inc()

    def _watch(self) -> None:
        """Add what is not counted but read."""
        watch = self.metrics.watch
        watch("derain_waiting_pictures", "Pictures in the queue", lambda: self.admission.waiting)
        watch("derain_working_pictures", "Pictures at work", lambda: self.admission.working)
        watch("derain_file_bytes", "Bytes of files in memory", lambda: self.bytes.taken)
        watch("derain_workers", "Workers that are alive", lambda: self.workers.alive)


def _check_wanted(job: Job) -> None:
    if job.cancelled.is_set():
        raise StoppedError


@contextmanager
def _naming(phase: str) -> Generator[None]:
    """Say of a process that ends what it was doing."""
    try:
        yield
    except EndedError as error:
        error.phase = phase
        raise


@contextmanager
def _as_problems() -> Generator[None]:
    """Raise what went wrong with a picture as the problem that its client receives."""
    try:
        yield
    except StoppedError:
        raise
    except RefusedError as error:
        raise Problem(error.status, error.detail) from error
    except NotStartedError as error:
        _log.error("a process does not start: %s", error)
        raise Problem(503, f"the server lacks a process for it ({error}); try again") from error
    except EndedError as error:
        raise _problem_of(error) from error


def _problem_of(error: EndedError) -> Problem:
    """Return the problem of a picture at which a process ended."""
    if error.cause == "memory":
        return Problem(413, "the picture takes too much memory; send a smaller one")
    if error.phase == "decode":
        # A file that makes a decoder crash or take for ever is at fault, not the server.
        took = "takes too long to be" if error.cause == "timeout" else "cannot be"
        return Problem(400, f"the picture {took} decoded; save it again with another program")
    if error.cause == "timeout":
        return Problem(504, "the picture took too long; send a smaller one, or try quality=fast")
    if error.phase == "encode":
        return Problem(400, "the result cannot be encoded; ask for another format")
    return Problem(500, "the worker ended while it worked on the picture; try again")
