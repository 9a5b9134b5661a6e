"""Bodies: forms and raw pictures, whole, in parts, too large and too slow."""

import asyncio
from collections.abc import Iterable, MutableMapping, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from derain.serve import uploads
from derain.serve.admission import Bytes
from derain.serve.problems import Problem
from derain.serve.settings import Settings
from derain.serve.uploads import (
    FORM_OVERHEAD,
    Body,
    GoneError,
    Upload,
    check_length,
    read_upload,
)

BOUNDARY = "limit"
SETTINGS = Settings()
FORM = f"multipart/form-data; boundary={BOUNDARY}"


def form_of(parts: Iterable[tuple[str, bytes]]) -> bytes:
    """Return a form of parts, each of the rest of its first header and its content."""
    lines = b""
    for header, content in parts:
        head = f"--{BOUNDARY}\r\nContent-Disposition: form-data; {header}\r\n\r\n"
        lines += head.encode() + content + b"\r\n"
    return lines + f"--{BOUNDARY}--\r\n".encode()


def read(
    parts: Sequence[bytes],
    content_type: str = "",
    settings: Settings = SETTINGS,
    memory: Bytes | None = None,
    pause: float = 0.0,
) -> Upload:
    """Read a body that comes in parts; after the last one the client goes away."""

    async def run() -> Upload:
        left = list(parts)

        async def receive() -> MutableMapping[str, Any]:
            await asyncio.sleep(pause)
            if not left:
                return {"type": "http.disconnect"}
            part = left.pop(0)
            return {"type": "http.request", "body": part, "more_body": bool(left)}

        body = Body(receive, settings, memory or Bytes(1 << 30))
        return await read_upload(body, content_type, settings)

    return asyncio.run(run())


def problem(*arguments: Any, **named: Any) -> Problem:
    with pytest.raises(Problem) as caught:
        read(*arguments, **named)
    return caught.value


GOOD = form_of(
    [
        ('name="model"', b"petrichor"),
        ('name="image"; filename="a b.jpg"', b"\r\n--limi\xff\xd8" * 20),
        ('name="strength"', b" 0.5 "),
        ('name="quality"', b""),
    ]
)


def test_bytes_are_a_picture_whatever_they_are_called() -> None:
    for content_type in ("", "image/png", "application/x-www-form-urlencoded", "text/plain"):
        upload = read([b"ab", b"", b"c"], content_type)
        assert (bytes(upload.file), upload.name, upload.fields) == (b"abc", "", {})


@given(st.integers(1, len(GOOD)))
def test_a_form_may_come_in_any_parts(size: int) -> None:
    upload = read([GOOD[k : k + size] for k in range(0, len(GOOD), size)], FORM)
    assert bytes(upload.file) == b"\r\n--limi\xff\xd8" * 20
    assert upload.name == "a b.jpg"
    assert upload.fields == {"model": "petrichor", "strength": "0.5", "quality": ""}


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ('name="image"; filename="réal.jpg"', "réal.jpg"),
        ("name=\"image\"; filename*=UTF-8''r%C3%A9al.jpg", "réal.jpg"),
        ('name="image"', ""),
        ("name=image; filename=x.png", "x.png"),
    ],
)
def test_names_are_read(header: str, name: str) -> None:
    assert read([form_of([(header, b"x")])], FORM).name == name


@pytest.mark.parametrize(
    ("parts", "content_type", "words"),
    [
        ([b""], "", "no picture"),
        ([form_of([])], FORM, "no picture"),
        ([form_of([('name="image"; filename=""', b"")])], FORM, "no picture"),
        ([form_of([('name="photo"', b"x")])], FORM, "no picture"),
        ([form_of([('name="image"', b"x")] * 2)], FORM, "2 pictures"),
        ([form_of([('name="image"', b"x")])[:-12]], FORM, "truncated form"),
        ([b"nonsense"], FORM, "damaged form"),
        ([GOOD], "multipart/form-data", "no boundary"),
        ([GOOD], "multipart/form-data; boundary=" + 300 * "x", "damaged form"),
        ([form_of([('name="x"', b"")] * 21)], FORM, "more than 20 fields"),
        ([form_of([("name=image; filename*=undefined''a.png", b"x")])], FORM, "cannot be decoded"),
        ([form_of([("name=image; filename*=a; filename*0=b", b"x")])], FORM, "cannot be decoded"),
    ],
)
def test_what_is_no_form_with_a_picture_is_refused(
    parts: list[bytes], content_type: str, words: str
) -> None:
    found = problem(parts, content_type)
    assert (found.status, words in found.detail) == (400, True), found.detail


def test_a_content_type_that_cannot_be_read_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def parse(_: str) -> None:  # as python-multipart 0.0.20 does for "x*=a; x*0=b"
        raise TypeError("'<' not supported between instances of 'int' and 'NoneType'")

    monkeypatch.setattr(uploads, "parse_options_header", parse)
    found = problem([GOOD], FORM)
    assert (found.status, "Content-Type" in found.detail) == (400, True)


@pytest.mark.parametrize(
    ("header", "size", "found"),
    [
        ('name="file"; filename="a.png"', 10, "file: a file"),
        ('name="file"; filename="a.png"', 100_000, "file: a file"),
        ('name="file"', 100_000, "file: a value of more than 1000 bytes"),
        ('name="model"', 1001, "model: a value of more than 1000 bytes"),
    ],
)
def test_a_picture_in_a_wrong_field_is_refused(header: str, size: int, found: str) -> None:
    refused = problem([form_of([(header, b"x" * size)])], FORM)
    expected = "the picture belongs in the field image, or is the body of the request"
    assert (refused.status, refused.detail) == (422, f"{found}; {expected}")


def test_nothing_of_a_file_in_a_wrong_field_is_kept() -> None:
    whole = form_of([('name="file"; filename="a.png"', b"x" * 1_000_000)])
    memory = Bytes(1 << 30)
    assert problem([whole[:200], whole[200:]], FORM, memory=memory).status == 422
    assert memory.taken == 200  # the rest has not been read


def test_large_bodies_are_refused_before_they_are_there() -> None:
    settings = Settings(max_bytes=100_000)
    parts = [b"x" * 50_000] * 1000
    memory = Bytes(1 << 20)
    assert problem(parts, "", settings, memory).status == 413
    assert memory.taken < 100_000 + FORM_OVERHEAD + 50_001
    assert problem([b"x" * 100_001], "", settings).status == 413
    assert len(read([b"x" * 100_000], "", settings).file) == 100_000
    with pytest.raises(Problem, match="too large"):
        check_length({"content-length": "99999999"}, settings)
    check_length({"content-length": "nonsense"}, settings)


def test_without_memory_a_client_has_to_wait() -> None:
    found = problem([b"x" * 60, b"x" * 60], "", Settings(), Bytes(100))
    assert (found.status, found.headers) == (429, {"retry-after": "5"})


def test_slow_clients_are_given_up() -> None:
    settings = Settings(patience=0.05, least_rate=1000)
    assert problem([b"x"] * 100, "", settings, pause=0.02).status == 408
    assert problem([b"x"], "", settings, pause=0.5).status == 408
    # Fast enough, although not done within the patience.
    assert len(read([b"x" * 100] * 10, "", settings, pause=0.02).file) == 1000


def test_what_was_sent_at_once_buys_no_time() -> None:
    settings = Settings(patience=0.05, least_rate=1000)
    # In the mean 10 kB a second, but the rest would take for ever.
    assert problem([b"x" * 10_000, *[b"x"] * 100], "", settings, pause=0.02).status == 408


async def come(body: Body, parts: int) -> int:
    """Take parts of a body; return the status that it ends with, 200 if it does not."""
    try:
        for _ in range(parts):
            await body.part()
    except Problem as problem:
        body.give_back()
        return problem.status
    return 200


@pytest.mark.parametrize(("size", "status"), [(2, 408), (4000, 200)])
def test_the_slowest_gives_way_to_others(size: int, status: int) -> None:
    """Of clients that hold the memory, one that barely comes is given up; the asker tries again."""
    memory = Bytes(40_000)
    settings = Settings(patience=0.03, least_rate=20)

    async def slow() -> MutableMapping[str, Any]:
        await asyncio.sleep(0.02)
        return {"type": "http.request", "body": b"x" * size, "more_body": True}

    async def quick() -> MutableMapping[str, Any]:
        return {"type": "http.request", "body": b"x" * 35_000, "more_body": True}

    async def run() -> None:
        holder = Body(slow, settings, memory)
        assert memory.take(10_000)
        holder.taken = 10_000
        task = asyncio.create_task(come(holder, 6))
        await asyncio.sleep(0.07)
        assert await come(Body(quick, settings, memory), 1) == 429
        assert await task == status
        again = await come(Body(quick, settings, memory), 1)
        assert again == (200 if status == 408 else 429)

    asyncio.run(run())


def test_a_client_that_goes_away_is_noticed() -> None:
    async def receive() -> MutableMapping[str, Any]:
        return {"type": "http.disconnect"}

    async def run() -> None:
        await Body(receive, Settings(), Bytes(100)).part()

    with pytest.raises(GoneError):
        asyncio.run(run())
