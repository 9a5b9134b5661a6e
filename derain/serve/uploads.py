"""Reading a request's body in the event loop: of limited size, and not for ever.

A body that comes slowly costs a connection and the bytes that have come, and nothing else. It is
read completely before the picture gets a place in the queue.
"""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass, field
from email.message import Message as MimeHeaders
from email.utils import collapse_rfc2231_value
from typing import Any

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from derain.serve.admission import Bytes
from derain.serve.problems import Problem
from derain.serve.settings import Settings

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]

FORM_OVERHEAD = 1 << 16
"""Bytes of a form besides its picture."""
LONGEST_FIELD = 1000
MOST_PARTS = 20
DRAINED = 4
"""So many times the largest picture is read, and thrown away, to answer a client that would not
read an answer before it has sent everything. Browsers are such clients."""

WINDOW = 3
"""So many times the patience after which a client's pace is measured anew: one that has sent much
at once may not take its time for the rest."""
SLOW = 10
"""Clients at less than so many times the least rate give way to others when there is no memory."""

UNREADABLE = (TypeError, ValueError)
"""What the standard library's parser of headers raises if it cannot read one: for a parameter that
comes whole and in parts (RFC 2231), and for a character set that decodes nothing."""

IMAGE = "image"
"""The field of the picture."""


class GoneError(Exception):
    """The client went away."""


@dataclass
class Upload:
    """The data that a client sent.

    Attributes:
        file: The picture's file.
        name: Of the file; empty if it had none.
        fields: Of the form besides the picture.
        pictures: How many there were.
    """

    file: bytearray = field(default_factory=bytearray)
    name: str = ""
    fields: dict[str, str] = field(default_factory=dict[str, str])
    pictures: int = 0


class Body:
    """The body of a request, part by part as it comes.

    Args:
        receive: Of ASGI.
        settings: Those of the server.
        bytes: Where the memory for it comes from. What was taken is in `taken`.

    Attributes:
        pace: Bytes a second in the present window; infinite until the patience is over.
    """

    def __init__(self, receive: Receive, settings: Settings, bytes: Bytes) -> None:
        self._receive, self._settings, self._bytes = receive, settings, bytes
        self._since, self._before = time.monotonic(), 0
        self._come = 0
        self._waiting: asyncio.Future[MutableMapping[str, Any]] | None = None
        self._is_given_up = False
        self.pace = math.inf
        self.taken = 0
        self.is_complete = False
        bytes.incoming.add(self)

    async def part(self) -> bytes:
        """Wait for the next part; empty at the end.

        Raises:
            GoneError: If the client went away.
            Problem: If it is too slow, or sends too much, or there is no memory.
        """
        part = b""
        while not part and not self.is_complete:
            part = await self._next()
        if not self._bytes.take(len(part)):
            self._bytes.give_up_slowest(SLOW * self._settings.least_rate)
            raise Problem(
                429, "too many files are being sent at once; try again", {"retry-after": "5"}
            )
        self.taken += len(part)
        if self.taken > self._settings.max_bytes + FORM_OVERHEAD:
            raise too_large(self._settings)
        return part

    async def _next(self) -> bytes:
        if self._is_given_up:
            raise _too_slow()
        self._waiting = asyncio.ensure_future(self._receive())
        try:
            message = await asyncio.wait_for(self._waiting, self._settings.patience)
        except asyncio.TimeoutError:
            raise _too_slow() from None
        except asyncio.CancelledError:
            if self._is_given_up:
                raise _too_slow() from None
            raise
        if message["type"] == "http.disconnect":
            raise GoneError
        part = message.get("body", b"")
        self.is_complete = not message.get("more_body", False)
        self._come += len(part)
        if self.is_complete:
            self._bytes.incoming.discard(self)
        else:
            self._measure()
        return part

    def _measure(self) -> None:
        """Measure the pace, and give up a client whose pace is too low.

        Raises:
            Problem: If it is.
        """
        patience, now = self._settings.patience, time.monotonic()
        seconds = now - self._since
        if seconds <= patience:
            return
        self.pace = (self._come - self._before) / seconds
        if self.pace < self._settings.least_rate:
            raise _too_slow()
        if seconds > WINDOW * patience:
            self._since, self._before = now, self._come

    def give_up(self) -> None:
        """Let nothing more come: others need the memory."""
        self._is_given_up = True
        if self._waiting is not None:
            self._waiting.cancel()

    async def drain(self) -> None:
        """Throw away what still comes, within limits, so that the client reads the answer."""
        most = DRAINED * self._settings.max_bytes
        try:
            while not self.is_complete and self._come < most:
                await self._next()
        except (GoneError, Problem):
            return

    def give_back(self) -> None:
        """Give the memory back."""
        self._bytes.incoming.discard(self)
        self._bytes.give_back(self.taken)
        self.taken = 0


def too_large(settings: Settings) -> Problem:
    """Return the problem of a file that is too large."""
    return Problem(
        413,
        f"the file is too large; expected at most {settings.max_bytes / 1e6:.6g} MB; send a smaller"
        " picture",
    )


def check_length(headers: Mapping[str, str], settings: Settings) -> None:
    """Refuse a body by the length that its client claims.

    Raises:
        Problem: If it is too long.
    """
    length = headers.get("content-length", "")
    if length.isdecimal() and int(length) > settings.max_bytes + FORM_OVERHEAD:
        raise too_large(settings)


async def read_upload(body: Body, content_type: str, settings: Settings) -> Upload:
    """Read a form with a picture, or the bytes of a picture.

    Args:
        body: Of the request.
        content_type: Its header; whatever is no form is taken for a picture.
        settings: Those of the server.

    Raises:
        GoneError: If the client went away.
        Problem: If it is no form, or there is not one picture in it, or it is too large.
    """
    try:
        kind, parameters = parse_options_header(content_type)
    except UNREADABLE:
        raise Problem(400, "a damaged header Content-Type; send the picture again") from None
    if kind.lower() == b"multipart/form-data":
        upload = await _read_form(body, parameters.get(b"boundary", b""))
    else:
        upload = Upload(pictures=1)
        while part := await body.part():
            upload.file += part
    if upload.pictures > 1:
        raise Problem(400, f"{upload.pictures} pictures; expected one in each request")
    if not upload.file:
        raise Problem(
            400,
            "no picture; expected one in the field image of a form, or as the body of the request",
        )
    if len(upload.file) > settings.max_bytes:
        raise too_large(settings)
    return upload


async def _read_form(body: Body, boundary: bytes) -> Upload:
    form = _Form()
    try:
        parser = form.parser(boundary)
        while part := await body.part():
            parser.write(part)
        parser.finalize()
    except FormParserError as error:
        raise Problem(400, f"a damaged form ({str(error)[:100]}); send it again") from error
    if not form.is_complete:
        raise Problem(400, "a truncated form; send it again")
    return form.upload


class _Form:
    """Gathers the parts of a form as the parser finds them."""

    def __init__(self) -> None:
        self.upload = Upload()
        self.is_complete = False
        self._parts = 0
        self._header = bytearray()
        self._value = bytearray()
        self._headers: dict[str, str] = {}
        self._field: str | None = None
        self._name, self._before = "", 0
        self._text = bytearray()

    def parser(self, boundary: bytes) -> MultipartParser:
        """Return a parser that fills this form.

        Raises:
            FormParserError: If the boundary is none.
        """
        if not boundary:
            raise FormParserError("no boundary")
        callbacks: Any = {
            "on_part_begin": self._begin,
            "on_header_field": self._take_header,
            "on_header_value": self._take_value,
            "on_header_end": self._end_header,
            "on_headers_finished": self._end_headers,
            "on_part_data": self._take,
            "on_part_end": self._end,
            "on_end": self._finish,
        }
        return MultipartParser(boundary, callbacks)

    def _begin(self) -> None:
        self._parts += 1
        if self._parts > MOST_PARTS:
            raise Problem(400, f"a form of more than {MOST_PARTS} fields; expected at most 5")
        self._headers, self._field = {}, None
        self._text.clear()

    def _take_header(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]

    def _take_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _end_header(self) -> None:
        name = self._header.decode("latin-1").lower()
        self._headers[name] = self._value.decode("utf-8", "replace")
        self._header.clear()
        self._value.clear()

    def _end_headers(self) -> None:
        found = _disposition(self._headers.get("content-disposition", ""))
        self._field = found.get("name")
        self._name, self._before = found.get("filename", ""), len(self.upload.file)
        # Before the file comes: nothing of it is kept.
        if self._name and self._field != IMAGE:
            raise _not_the_picture(self._field, "a file")

    def _take(self, data: bytes, start: int, end: int) -> None:
        if self._field == IMAGE:
            self.upload.file += memoryview(data)[start:end]
            return
        self._text += memoryview(data)[start:end]
        if len(self._text) > LONGEST_FIELD:
            raise _not_the_picture(self._field, f"a value of more than {LONGEST_FIELD} bytes")

    def _end(self) -> None:
        # Browsers send an empty part for a field without a file.
        if self._field == IMAGE and len(self.upload.file) > self._before:
            self.upload.pictures += 1
            self.upload.name = self._name
        elif self._field:
            self.upload.fields[self._field] = self._text.decode("utf-8", "replace").strip()

    def _finish(self) -> None:
        self.is_complete = True


def _disposition(header: str) -> dict[str, str]:
    """Return the parameters of a header ``Content-Disposition``."""
    parsed = MimeHeaders()
    # A line break would begin another header.
    parsed["content-disposition"] = " ".join(header.split())
    try:
        parameters: Any = parsed.get_params(header="content-disposition")
        return {name.lower(): collapse_rfc2231_value(value) for name, value in parameters or ()}
    except UNREADABLE:
        raise Problem(400, "a damaged form: a name that cannot be decoded") from None


def _not_the_picture(name: str | None, found: str) -> Problem:
    """Return the problem of a field that holds what is probably the picture."""
    return Problem(
        422,
        f"{printable_name(name)}: {found}; the picture belongs in the field {IMAGE}, or is the body"
        " of the request",
    )


def printable_name(name: str | None) -> str:
    """Return a field's name as it may be repeated to its client."""
    return "".join(letter for letter in name or "a field" if letter.isprintable())[:40]


def _too_slow() -> Problem:
    detail = "the picture came too slowly; try again on a better connection"
    # Otherwise the connection would be kept for a while, as between two requests.
    return Problem(408, detail, {"connection": "close"})
