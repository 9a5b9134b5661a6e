"""The server as its clients meet it, over HTTP, with processes and a model."""

import asyncio
import http.client
import itertools
import json
import os
import re
import signal
import socket
import threading
import time
import uuid
from collections.abc import Callable, Generator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import numpy as np
import pytest
from drawn_rain import rain_on
from numpy.typing import NDArray
from PIL import Image

from benchmarks.serve.files import good_files, mutated, png_of
from derain import pictures
from derain.images import write_image
from derain.restore import load
from derain.serve.channel import Channel
from derain.serve.decoding import Decoder
from derain.serve.headers import SECURITY
from derain.serve.jobs import Job
from derain.serve.models import Choice
from derain.serve.negotiation import wish_of
from derain.serve.processes import StoppedError
from derain.serve.server import Server, listen
from derain.serve.service import Service, Task
from derain.serve.settings import Settings

MODEL = "petrichor-live"


@dataclass(frozen=True)
class Reply:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def problem(self) -> str:
        """The detail of a problem, whose other fields are checked."""
        assert self.headers["content-type"] == "application/problem+json"
        content = json.loads(self.body)
        assert (content["type"], content["status"]) == ("about:blank", self.status)
        assert content["title"]
        assert "\n" not in content["detail"]
        return str(content["detail"])


class Running:
    """A server in a thread of the test's process; its workers are processes."""

    loop: asyncio.AbstractEventLoop

    def __init__(self, settings: Settings) -> None:
        self.service = Service(settings)
        self.listener = listen(settings)
        self.port = self.listener.getsockname()[1]
        self.service.start()
        began = threading.Event()
        self.server = Server(self.service, began.set)
        self.thread = threading.Thread(target=self._run)
        self.thread.start()
        assert began.wait(10)

    def _run(self) -> None:
        async def serve() -> None:
            self.loop = asyncio.get_running_loop()
            await self.server.serve([self.listener])

        asyncio.run(serve())

    def stop(self) -> None:
        self.loop.call_soon_threadsafe(self.server.stop)

    def ask(self, method: str, path: str, body: bytes | None = None, **headers: str) -> Reply:
        """Send a request; underscores in the names of headers stand for dashes."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            lines = {name.replace("_", "-"): text for name, text in headers.items()}
            connection.request(method, path, body, lines)
            answer = connection.getresponse()
            found = {name.lower(): value for name, value in answer.getheaders()}
            return Reply(answer.status, found, answer.read())
        finally:
            connection.close()

    def post(self, picture: bytes, query: str = "", **headers: str) -> Reply:
        return self.ask("POST", f"/v1/derain{query}", picture, **headers)


@contextmanager
def running(**settings: Any) -> Generator[Running]:
    server = Running(Settings(port=0, models=(MODEL,), engine="onnx", **settings))
    try:
        yield server
    finally:
        server.stop()
        server.thread.join(60)
        server.service.close()
    assert not server.thread.is_alive()


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a page."""
    folder = tmp_path_factory.mktemp("page")
    (folder / "samples").mkdir()
    (folder / "index.html").write_text("<!doctype html><title>a page</title>")
    (folder / "style.css").write_text("body { margin: 0 }")
    (folder / "derain.js").write_text("export {}")
    (folder / "samples/rain.jpg").write_bytes(b"\xff\xd8\xff")
    (folder / "secret.key").write_text("not served")
    return folder


@pytest.fixture(scope="module")
def server(page: Path) -> Generator[Running]:
    """A server that refuses much, so that it can be tried."""
    with running(page=page, max_bytes=1_000_000, max_pixels=500_000, queue=4, patience=1.0) as made:
        yield made


@pytest.fixture(scope="module")
def rainy(photo: NDArray[np.uint8], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of rainy pictures: a JPEG with metadata, a deep PNG, a WebP."""
    folder = tmp_path_factory.mktemp("rainy")
    drawn = rain_on(photo, 0)
    exif = Image.Exif()
    exif[0x010F], exif[0x0112] = "a maker", 6
    Image.fromarray(drawn).save(folder / "a.jpg", quality=90, exif=exif, comment="rain")
    write_image(folder / "b.png", drawn.astype(np.uint16) * 257)
    Image.fromarray(drawn).convert("LA").save(folder / "c.webp")
    return folder


def as_commanded(source: Path, target: Path) -> bytes:
    """Return what ``derain run`` writes."""
    derainer = load(MODEL, engine="onnx")
    plan = pictures.plan([source], target)
    (result,) = pictures.run(plan.jobs, derainer)
    assert result.status == "done", result.message
    return target.read_bytes()


def form_of(file: bytes, name: str, **fields: str) -> tuple[bytes, str]:
    """Return a form and its type."""
    lines = b""
    for key, value in fields.items():
        head = f'--x\r\nContent-Disposition: form-data; name="{key}"\r\n\r\n{value}\r\n'
        lines += head.encode()
    head = f'--x\r\nContent-Disposition: form-data; name="image"; filename="{name}"\r\n\r\n'
    return lines + head.encode() + file + b"\r\n--x--\r\n", "multipart/form-data; boundary=x"


@pytest.mark.parametrize(
    ("name", "accept", "suffix"),
    [
        ("a.jpg", "*/*", ".jpg"),
        ("a.jpg", "image/png", ".png"),
        ("b.png", "image/avif,image/webp,*/*", ".png"),
        ("b.png", "image/tiff", ".tif"),
        ("c.webp", "", ".webp"),
    ],
)
def test_the_answer_is_what_the_command_writes(
    server: Running, rainy: Path, tmp_path: Path, name: str, accept: str, suffix: str
) -> None:
    body, kind = form_of((rainy / name).read_bytes(), name)
    reply = server.post(body, content_type=kind, accept=accept)
    assert reply.status == 200, reply.body
    assert reply.body == as_commanded(rainy / name, tmp_path / f"out{suffix}")
    stem = name.partition(".")[0]
    disposition = f'inline; filename="{stem}_derained{suffix}"'
    assert reply.headers["content-disposition"] == disposition
    assert reply.headers["x-derain-model"] == MODEL
    assert 0 < float(reply.headers["x-derain-seconds"]) < 60
    assert reply.headers.items() >= SECURITY.items()


def test_bytes_and_forms_are_the_same(server: Running, rainy: Path) -> None:
    file = (rainy / "a.jpg").read_bytes()
    job = str(uuid.uuid4())
    body, kind = form_of(file, "", model=MODEL, quality="", strength="0.5", job=job)
    of_form = server.post(body, content_type=kind)
    of_bytes = server.post(file, f"?model={MODEL}&strength=0.5")
    assert of_form.status == of_bytes.status == 200
    assert of_form.body == of_bytes.body != server.post(file).body
    state = json.loads(server.ask("GET", f"/v1/jobs/{job}").body)
    assert state == {"state": "done", "place": 0, "done": 1, "total": 1}


def test_a_result_is_derained_again_with_a_note(server: Running, rainy: Path) -> None:
    once = server.post((rainy / "a.jpg").read_bytes())
    again = server.post(once.body)
    assert "derained%20again" in again.headers["x-derain-notes"]


@pytest.mark.parametrize(
    ("query", "status", "words"),
    [
        ("?model=petrichor-lve", 422, "did you mean petrichor-live"),
        ("?model=../../etc/passwd", 422, "expected one of petrichor-live"),
        ("?quality=best", 422, "expected one of fast"),
        (f"?quality=fast&model={MODEL}", 422, "leave one of them out"),
        ("?strength=2", 422, "strength=2.0: expected 0 to 1.5"),
        ("?strength=nan", 422, "strength=nan: expected 0 to 1.5"),
        ("?strength=abc", 422, "strength=abc: expected a number"),
        ("?job=abc", 422, "job='abc': expected a UUID"),
        ("?strenght=0", 422, "strenght: not an option; did you mean strength?"),
        ("?other=0", 422, "other: not an option; expected one of model, quality, strength, job"),
        ("?format=webp", 422, "format: not an option; choose the format by the header Accept"),
    ],
)
def test_wrong_options_are_named(
    server: Running, rainy: Path, query: str, status: int, words: str
) -> None:
    file = (rainy / "a.jpg").read_bytes()
    fields = dict(parse_qsl(query[1:]))
    body, kind = form_of(file, "a.jpg", **fields)
    for reply in (server.post(file, query), server.post(body, content_type=kind)):
        assert (reply.status, words in reply.problem) == (status, True), reply.problem


def test_empty_options_choose_nothing(server: Running, rainy: Path) -> None:
    file = (rainy / "a.jpg").read_bytes()
    assert server.post(file, "?model=&quality=&strength=&job=").body == server.post(file).body


def test_options_of_the_url_and_the_form_are_described_alike(server: Running) -> None:
    paths = json.loads(server.ask("GET", "/openapi.json").body)["paths"]
    post = paths["/v1/derain"]["post"]
    form = post["requestBody"]["content"]["multipart/form-data"]["schema"]
    described = {each["name"]: each["schema"] for each in post["parameters"]}
    assert form["properties"] == {"image": form["properties"]["image"], **described}
    assert set(described) == {"model", "quality", "strength", "job"}


def test_wrong_pictures_are_named(server: Running, rainy: Path) -> None:
    file = (rainy / "b.png").read_bytes()
    cases: list[tuple[bytes, int, str]] = [
        (b"", 400, "no picture"),
        (b"<svg/>" * 9, 415, "not a picture"),
        (file[: len(file) // 2], 400, "truncated"),
        (png_of(2000, 1500), 413, "3 megapixels; expected at most 0.5"),
        (bytes(1_100_000), 413, "at most 1 MB"),
    ]
    for body, status, words in cases:
        reply = server.post(body)
        assert (reply.status, words in reply.problem) == (status, True), reply.problem
    reply = server.post(file, accept="image/gif")
    assert (reply.status, "image/png" in reply.problem) == (406, True)
    for field, value in (("strength", "much"), ("job", "not a uuid at all")):
        body, kind = form_of(file, "b.png", **{field: value})
        assert server.post(body, content_type=kind).status == 422


def test_a_browsers_form_gets_a_page(server: Running) -> None:
    reply = server.post(b"<script>alert(1)</script>", accept="text/html,*/*;q=0.8")
    assert (reply.status, reply.headers["content-type"]) == (415, "text/html; charset=utf-8")
    assert b"&#x27;&lt;script&gt;alert" in reply.body
    assert b"<script" not in reply.body


def test_damaged_pictures_never_break_it(server: Running) -> None:
    statuses = {
        server.post(file).status for file in itertools.islice(mutated(good_files(16), 1), 60)
    }
    assert statuses <= {200, 400, 413, 415}
    assert 400 in statuses


def test_pages(server: Running) -> None:
    front = server.ask("GET", "/")
    assert (front.status, b"a page" in front.body) == (200, True)
    for path, kind in (
        ("/", "text/html; charset=utf-8"),
        ("/style.css", "text/css; charset=utf-8"),
        ("/derain.js", "text/javascript; charset=utf-8"),
        ("/samples/rain.jpg", "image/jpeg"),
        ("/docs", "text/html; charset=utf-8"),
        ("/openapi.json", "application/json"),
    ):
        reply = server.ask("GET", path)
        assert (reply.status, reply.headers["content-type"]) == (200, kind)
        assert reply.headers.items() >= SECURITY.items()
    assert server.ask("HEAD", "/").body == b""
    assert server.ask("GET", "/", if_none_match=front.headers["etag"]).status == 304
    for path in ("/secret.key", "/../settings.py", "/%2e%2e/settings.py", "/samples", "/x"):
        reply = server.ask("GET", path)
        assert (reply.status, "/docs" in reply.problem) == (404, True)
    assert server.ask("GET", "/v1/derain").status == 405


def test_docs_are_of_this_server_alone(server: Running) -> None:
    page = server.ask("GET", "/docs").body.decode()
    assert "POST /v1/derain" in page
    place = re.search(r"image=@rainy.jpg (http://127.0.0.1:\d+)/v1/derain", page)
    assert place
    assert "//" not in page.replace(place[1], "")
    assert "<script" not in page


def test_it_tells_of_itself(server: Running, rainy: Path) -> None:
    found = json.loads(server.ask("GET", "/v1/models").body)
    assert [model["name"] for model in found["models"] if model["default"]] == [MODEL]
    assert found["qualities"] == ["fast"]
    assert found["needs_key"] is False
    assert found["limits"] == {"bytes": 1_000_000, "pixels": 500_000, "queue": 4}
    assert server.ask("GET", "/healthz").status == server.ask("GET", "/readyz").status == 200
    server.post((rainy / "a.jpg").read_bytes())
    text = server.ask("GET", "/metrics").body.decode()
    numbers = dict(line.rsplit(" ", 1) for line in text.splitlines() if line[:1] != "#")
    assert float(numbers['derain_requests_total{status="200"}']) >= 1
    assert float(numbers["derain_pixels_total"]) >= 120 * 160
    assert float(numbers["derain_file_bytes"]) == 0
    assert float(numbers["derain_waiting_pictures"]) == 0


def test_a_full_queue_says_when_to_come_again(server: Running, rainy: Path) -> None:
    file = (rainy / "a.jpg").read_bytes()
    with (
        paused(server),
        ThreadPoolExecutor(20) as clients,
    ):
        replies = [clients.submit(server.post, file) for _ in range(20)]
        wait_until(lambda: sum(reply.done() for reply in replies) == 13)
        resume(server)
        found = [reply.result() for reply in replies]
    # Three are at work, as many as there are decoders, and four wait.
    assert sorted({reply.status for reply in found}) == [200, 429]
    full = [reply for reply in found if reply.status == 429]
    assert len(full) == 13
    assert all(int(reply.headers["retry-after"]) >= 1 for reply in full)
    assert len({reply.body for reply in found if reply.status == 200}) == 1


def test_a_job_is_followed_and_taken_back(server: Running, rainy: Path) -> None:
    file = (rainy / "a.jpg").read_bytes()
    names = [str(uuid.uuid4()) for _ in range(5)]
    with paused(server), ThreadPoolExecutor(5) as clients:
        replies: list[Any] = []
        for name in names:
            replies.append(clients.submit(server.post, file, f"?job={name}"))
            wait_until(lambda name=name: server.ask("GET", f"/v1/jobs/{name}").status == 200)
        states = [json.loads(server.ask("GET", f"/v1/jobs/{name}").body) for name in names]
        assert [state["state"] for state in states] == 3 * ["working"] + 2 * ["queued"]
        assert [state["place"] for state in states] == [0, 0, 0, 0, 1]
        assert server.post(file, f"?job={names[0]}").status == 409
        assert server.ask("DELETE", f"/v1/jobs/{names[4]}").status == 204
        assert replies[4].result().status == 409
        resume(server)
        assert [reply.result().status for reply in replies[:4]] == 4 * [200]
    assert json.loads(server.ask("GET", f"/v1/jobs/{names[4]}").body)["state"] == "failed"
    assert server.ask("GET", f"/v1/jobs/{uuid.uuid4()}").status == 404
    for method in ("GET", "DELETE"):
        reply = server.ask(method, "/v1/jobs/nonsense")
        assert (reply.status, reply.problem) == (422, "job='nonsense': expected a UUID")


def test_a_picture_is_cancelled_while_its_worker_gets_it(
    server: Running, rainy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = (rainy / "a.jpg").read_bytes()
    hand_over = Decoder.hand_over
    job = Job()

    def cancelled_meanwhile(decoder: Decoder, target: Channel) -> None:
        job.cancel()
        hand_over(decoder, target)

    with monkeypatch.context() as patch:
        patch.setattr(Decoder, "hand_over", cancelled_meanwhile)
        derain_directly(server, file, job)
    assert server.post(file).status == 200


def test_a_picture_is_cancelled_just_before_its_worker_can_be_stopped(
    server: Running, rainy: Path
) -> None:
    class LateJob(Job):
        def on_cancel(self, stop: Callable[[], None] | None) -> None:
            self.cancel()
            super().on_cancel(stop)

    derain_directly(server, (rainy / "a.jpg").read_bytes(), LateJob())


def test_a_client_that_goes_away_leaves_no_work(server: Running, rainy: Path) -> None:
    file = (rainy / "a.jpg").read_bytes()
    with paused(server):
        for _ in range(5):
            with send_head(server, len(file)) as client:
                client.sendall(file)
                wait_until(lambda: server.service.admission.working > 0)
        wait_until(lambda: server.service.admission.waiting == 0)
        resume(server)
    wait_until(lambda: server.service.is_idle)
    # As many as there are decoders, and one more: what was left in them spoils none.
    assert [server.post(file).status for _ in range(4)] == [200] * 4


def test_slow_clients_hold_nothing_but_a_connection(server: Running, rainy: Path) -> None:
    with (
        send_head(server, 1000) as slow,
        socket.create_connection(("127.0.0.1", server.port)) as silent,
    ):
        slow.sendall(b"\xff")
        silent.sendall(b"POST /v1/de")
        assert server.post((rainy / "a.jpg").read_bytes()).status == 200
        assert server.service.is_idle
        slow.settimeout(10)
        silent.settimeout(10)
        assert slow.recv(100).startswith(b"HTTP/1.1 408")
        with pytest.raises((ConnectionError, IndexError)):
            silent.recv(1)[0]
    wait_until(lambda: server.service.bytes.taken == 0)


def test_a_silent_client_is_waited_for_once(server: Running) -> None:
    with send_head(server, 1000) as silent:
        began = time.monotonic()
        silent.settimeout(10)
        answer = b"".join(iter(lambda: silent.recv(1000), b""))
        seconds = time.monotonic() - began
    assert answer.startswith(b"HTTP/1.1 408")
    assert 1 <= seconds < 1.9  # the server's patience is a second


def test_a_worker_that_is_killed_fails_one_picture(server: Running, rainy: Path) -> None:
    file = (rainy / "a.jpg").read_bytes()
    with paused(server), ThreadPoolExecutor(3) as clients:
        replies = [clients.submit(server.post, file) for _ in range(3)]
        wait_until(lambda: server.service.admission.working == 3)
        time.sleep(0.3)  # one of them is in the worker
        signal_workers(server, signal.SIGKILL)
        answers = sorted((reply.result() for reply in replies), key=lambda answer: answer.status)
    assert [answer.status for answer in answers] == [200, 200, 413], answers[1].body
    assert server.ask("GET", "/readyz").status == 200


def test_stopping_finishes_what_was_accepted(rainy: Path) -> None:
    file = (rainy / "a.jpg").read_bytes()
    with running(queue=8) as server, ThreadPoolExecutor(6) as clients:
        with paused(server):
            replies = [clients.submit(server.post, file) for _ in range(6)]
            wait_until(lambda: server.service.admission.waiting == 3)
            server.stop()
            wait_until(lambda: server.ask("GET", "/readyz").status == 503)
            refused = server.post(file)
            assert (refused.status, "stopping" in refused.problem) == (503, True)
            resume(server)
        assert [reply.result().status for reply in replies] == 6 * [200]
        server.thread.join(20)
        assert not server.thread.is_alive()
        server.stop = lambda: None


def test_a_picture_that_takes_too_long_is_given_up(server: Running, rainy: Path) -> None:
    file = (rainy / "a.jpg").read_bytes()
    (worker,) = server.service.workers.children
    worker.timeout = 0.3
    with paused(server):
        reply = server.post(file)
    assert (reply.status, "took too long" in reply.problem) == (504, True)
    assert server.post(file).status == 200
    assert worker not in server.service.workers.children


# Helpers


def derain_directly(server: Running, file: bytes, job: Job) -> None:
    """Derain a picture whose job is cancelled on the way; check that its worker stops."""
    wish = wish_of("")
    assert wish is not None
    with pytest.raises(StoppedError):
        server.service.derain(Task(file, "a.jpg", wish, Choice(MODEL)), job)


def signal_workers(server: Running, number: int) -> None:
    for pid in server.service.workers.pids():
        os.kill(pid, number)


@contextmanager
def paused(server: Running) -> Generator[None]:
    """Stop the workers in this context, as a picture that takes long would."""
    signal_workers(server, signal.SIGSTOP)
    try:
        yield
    finally:
        resume(server)


def resume(server: Running) -> None:
    signal_workers(server, signal.SIGCONT)


def wait_until(holds: Any) -> None:
    deadline = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@contextmanager
def send_head(server: Running, length: int) -> Generator[socket.socket]:
    """Begin a request whose body follows."""
    with socket.create_connection(("127.0.0.1", server.port)) as client:
        head = f"POST /v1/derain HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n"
        client.sendall(head.encode())
        yield client
