"""One request for a picture, from its body to the answer."""

import asyncio
import re
import time
from collections.abc import AsyncGenerator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response

from derain.errors import UsageError, did_you_mean
from derain.serve.admission import FullError, Ticket
from derain.serve.jobs import Job, JobExistsError
from derain.serve.models import Choice
from derain.serve.negotiation import TYPES, Wish, offered_formats, wish_of
from derain.serve.problems import Problem
from derain.serve.processes import StoppedError
from derain.serve.sending import PatientResponse
from derain.serve.service import Answer, Service, Task
from derain.serve.uploads import Body, GoneError, check_length, printable_name, read_upload

JOB = "^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$"
"""A UUID."""
CLOSED = 499
"""What is counted, and sent to nobody, for a client that went away."""
LONGEST_NOTES = 2000
"""Characters of notes that go into a header."""


@dataclass(frozen=True)
class Options:
    """The options that a client sends, besides the format.

    Attributes:
        model: Weights; None for the default.
        quality: In place of a model.
        strength: How much of the rain is removed.
        job: Name of the job; None for one that nobody follows.
    """

    model: str | None = None
    quality: str | None = None
    strength: float = 1.0
    job: str | None = None

    def with_fields(self, fields: Mapping[str, str]) -> "Options":
        """Return these with others in their place; empty ones choose nothing.

        Args:
            fields: Parameters of a URL, or fields of a form.

        Raises:
            Problem: If one is no option, the strength no number, or the job no UUID.
        """
        _check_known(fields)
        strength = fields.get("strength", "").strip()
        try:
            number = float(strength) if strength else self.strength
        except ValueError:
            raise Problem(422, f"strength={printable_name(strength)}: expected a number") from None
        job = fields.get("job", "").strip()
        return Options(
            fields.get("model", "").strip() or self.model,
            fields.get("quality", "").strip() or self.quality,
            number,
            checked_job(job) if job else self.job,
        )


def _check_known(fields: Iterable[str]) -> None:
    known = ("model", "quality", "strength", "job")
    for name in fields:
        if name == "format":
            hint = "choose the format by the header Accept, such as Accept: image/webp"
            raise Problem(422, f"format: not an option; {hint}")
        if name not in known:
            hint = did_you_mean(name[:40], known) or f"; expected one of {', '.join(known)}"
            raise Problem(422, f"{printable_name(name)}: not an option{hint}")


def checked_job(job: str) -> str:
    """Return the name of a job.

    Raises:
        Problem: If it is no UUID.
    """
    if not re.fullmatch(JOB, job):
        raise Problem(422, f"job={job[:40]!r}: expected a UUID")
    return job


async def exchange(service: Service, request: Request) -> Response:
    """Answer a request for a picture, and count it.

    Raises:
        Problem: If it cannot be served.
    """
    began = time.monotonic()
    body = Body(request.receive, service.settings, service.bytes)
    status = 500
    try:
        response = await _answer(service, request, body)
        status = response.status_code
    except (GoneError, StoppedError):
        # Of a client that is there, another request took the picture back.
        status = 409 if body.is_complete and not await request.is_disconnected() else CLOSED
        if status == CLOSED:
            return Response(status_code=CLOSED)
        raise Problem(status, "the client cancelled the picture") from None
    except Problem as problem:
        status = problem.status
        # A client that waits for permission to send its body sends nothing, and one that was too
        # slow was waited for already.
        sends = status != 408 and ("expect" not in request.headers or body.taken)
        body.give_back()
        if sends:
            await body.drain()
        raise
    finally:
        body.give_back()
        service.metrics.requests.labels(str(status)).inc()
    service.metrics.seconds.observe(time.monotonic() - began)
    return response


async def _answer(service: Service, request: Request, body: Body) -> Response:
    wish = _wished(request)
    # What can be refused is refused before the picture is sent.
    check_length(request.headers, service.settings)
    _check_room(service)
    options = Options().with_fields(request.query_params)
    _chosen(service, options)
    upload = await read_upload(body, request.headers.get("content-type", ""), service.settings)
    options = options.with_fields(upload.fields)
    task = Task(upload.file, upload.name, wish, _chosen(service, options))
    found = await _derained(service, request, task, options.job)
    body.give_back()
    return _response(service, task, found)


def _wished(request: Request) -> Wish:
    accept = request.headers.get("accept", "")
    wish = wish_of(accept)
    if wish is None:
        types = ", ".join(TYPES[format] for format in offered_formats())
        raise Problem(406, f"the header Accept is {accept[:100]!r}; expected */* or one of {types}")
    return wish


def _check_room(service: Service) -> None:
    """Refuse a picture for which there is no place."""
    if service.is_stopping:
        raise Problem(503, "the server is stopping; try again later", {"retry-after": "10"})
    try:
        service.admission.check()
    except FullError as error:
        raise _full(error) from None


def _full(error: FullError) -> Problem:
    seconds = str(error.retry_after)
    return Problem(429, f"{error.detail}; try again in {seconds} s", {"retry-after": seconds})


def _chosen(service: Service, options: Options) -> Choice:
    try:
        return service.models.choose(options.model, options.quality, options.strength)
    except UsageError as error:
        raise Problem(422, str(error)) from None


async def _derained(service: Service, request: Request, task: Task, name: str | None) -> Answer:
    """Wait for the picture's turn, and for its result."""
    _check_room(service)
    try:
        job = service.jobs.add(name)
    except JobExistsError:
        raise Problem(409, "there is a job with this UUID already; expected another UUID") from None
    try:
        ticket = service.admission.enter()
    except FullError as error:
        job.end("failed")
        raise _full(error) from None
    job.place = lambda: service.admission.place(ticket)
    try:
        async with _watched(request, job):
            await _turn(service, ticket, job)
            job.state = "working"
            loop = asyncio.get_running_loop()
            found = await loop.run_in_executor(service.threads, service.derain, task, job)
        service.admission.took(found.seconds)
        job.end("done")
        return found
    finally:
        job.end("failed")
        service.admission.leave(ticket)


async def _turn(service: Service, ticket: Ticket, job: Job) -> None:
    """Wait in the queue."""
    job.on_cancel(ticket.turn.set)
    try:
        await asyncio.wait_for(ticket.turn.wait(), service.settings.wait)
    except asyncio.TimeoutError:
        raise Problem(504, "the picture waited too long; try again later") from None
    finally:
        job.on_cancel(None)
    if job.cancelled.is_set():
        raise StoppedError


@asynccontextmanager
async def _watched(request: Request, job: Job) -> AsyncGenerator[None]:
    """Cancel a job if its client goes away in this context."""

    async def watch() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass
        job.cancel()

    watcher = asyncio.create_task(watch())
    try:
        yield
    finally:
        watcher.cancel()


def _response(service: Service, task: Task, found: Answer) -> Response:
    service.bytes.take_anyway(len(found.file))
    name = found.decoded.name
    headers = {
        "content-disposition": _disposition(name),
        "cache-control": "no-store",
        "x-derain-model": quote(task.choice.model),
        "x-derain-seconds": f"{found.seconds:.3f}",
    }
    if found.notes:
        headers["x-derain-notes"] = quote(found.notes[:LONGEST_NOTES])
    return PatientResponse(
        found.file,
        TYPES[found.decoded.format],
        headers,
        service.settings,
        lambda: service.bytes.give_back(len(found.file)),
    )


def _disposition(name: str) -> str:
    """Return the header of a file's name (RFC 6266).

    >>> _disposition("rain.png")
    'inline; filename="rain.png"'
    """
    plain = "".join(letter if letter.isascii() and letter not in '"\\' else "_" for letter in name)
    header = f'inline; filename="{plain}"'
    return header if plain == name else f"{header}; filename*=UTF-8''{quote(name, safe='')}"
