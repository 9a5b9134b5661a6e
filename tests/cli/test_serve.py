"""derain serve: what it says before it serves, and that it ends as a service should."""

import contextlib
import http.client
import math
import os
import signal
import socket
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from benchmarks.serve.running import running
from derain import extras
from derain.cli import make_app
from derain.errors import UsageError
from derain.serve import server
from derain.serve.service import Service
from derain.serve.settings import Settings


def derain(*arguments: str) -> Result:
    return CliRunner().invoke(make_app(["serve", "run"]), ["serve", *arguments])


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[Settings]:
    """What would be served."""
    found: list[Settings] = []

    def run(settings: Settings, on_start: Callable[[Settings, str], None]) -> None:
        found.append(settings)
        on_start(settings, "http://127.0.0.1:8000")

    monkeypatch.setattr(server, "run", run)
    monkeypatch.delenv("DERAIN_API_KEY", raising=False)
    return found


def test_options_reach_the_server(served: list[Settings], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DERAIN_API_KEY", " secret\n")
    flags = "--host ::1 --port 0 --name a.example --workers 2 --queue 3 --max-bytes 10M"
    more = "--max-pixels 1G --timeout 9 --engine onnx -m petrichor-live -m petrichor"
    done = derain(*flags.split(), *more.split())
    assert (done.exit_code, done.stdout) == (0, "http://127.0.0.1:8000\n")
    assert served == [
        Settings(
            host="::1",
            port=0,
            names=("a.example",),
            models=("petrichor-live", "petrichor"),
            workers=2,
            queue=3,
            max_bytes=10_000_000,
            max_pixels=10**9,
            timeout=9.0,
            engine="onnx",
            api_key="secret",
        )
    ]


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "::ffff:127.0.0.1"])
def test_loopback_needs_no_key(served: list[Settings], host: str) -> None:
    assert "warning" not in derain("--host", host).stderr


def test_the_network_needs_a_key(served: list[Settings], monkeypatch: pytest.MonkeyPatch) -> None:
    assert "DERAIN_API_KEY" in derain("--host", "0.0.0.0").stderr
    monkeypatch.setenv("DERAIN_API_KEY", "secret")
    assert derain("--host", "0.0.0.0").stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("host", "is_loopback", "url"),
    [
        ("127.1", True, "http://127.1:"),
        ("localhost", True, "http://localhost:"),
        ("0", False, "http://localhost:"),
    ],
)
def test_the_address_decides_who_reaches_it(
    monkeypatch: pytest.MonkeyPatch, host: str, is_loopback: bool, url: str
) -> None:
    """Names and short forms are what the system takes them for."""
    monkeypatch.delenv("DERAIN_API_KEY", raising=False)
    found: list[Settings] = []

    class Served:
        def __init__(self, service: Service, on_start: Callable[[], None]) -> None:
            found.append(service.settings)
            self._on_start = on_start

        def run(self, _: list[socket.socket]) -> None:
            self._on_start()

    monkeypatch.setattr(server, "Server", Served)
    monkeypatch.setattr(Service, "start", Service.close)
    done = derain("--host", host, "--port", "0", "-m", "petrichor-live", "--engine", "onnx")
    assert done.exit_code == 0, done.stderr
    assert done.stdout.startswith(url)
    assert ("warning" in done.stderr) is not is_loopback
    assert [settings.is_loopback for settings in found] == [is_loopback]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--workers", "0"), "--workers 0: expected at least 1"),
        (("--workers", "257"), "--workers 257: expected at most 256"),
        (("--queue", "0"), "--queue 0: expected at least 1"),
        (("--port", "70000"), "--port 70000: expected 0 to 65535"),
        (("--timeout", "nan"), "--timeout nan: expected a number of seconds"),
        (("--timeout", "1e10"), "at most 86400 (a day)"),
        (("--name", "http://a.example"), "--name http://a.example: expected a host name alone"),
        (("--max-bytes", "much"), "--max-bytes much: expected a number of bytes"),
        (("--max-pixels", "0"), "--max-pixels 0: expected a number of pixels"),
    ],
)
def test_wrong_values_are_named(served: list[Settings], arguments: list[str], words: str) -> None:
    done = derain(*arguments)
    assert (done.exit_code, words in done.stderr) == (2, True), done.stderr
    assert served == []


@pytest.mark.parametrize("option", ["timeout", "decode_timeout", "wait", "patience"])
@pytest.mark.parametrize("seconds", [0.0, 1e10, math.inf, math.nan])
def test_seconds_are_those_that_timers_take(option: str, seconds: Any) -> None:
    with pytest.raises(UsageError, match=rf"{option}=.*: expected a number of seconds"):
        Settings(**{option: seconds})


def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    def require(package: str, purpose: str = "") -> None:
        raise extras.missing(package, purpose)

    monkeypatch.setattr(extras, "require", require)
    done = derain()
    expected = 'error: derain serve needs FastAPI: pip install "derain[serve]"\n'
    assert (done.exit_code, done.stderr) == (1, expected)


def test_a_port_in_use_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        done = derain("--port", str(port))
    assert (done.exit_code, done.stderr.count("\n")) == (1, 1)
    assert f"cannot listen on 127.0.0.1 port {port} (Address already in use)" in done.stderr


def test_unknown_weights_are_named_before_anything_starts() -> None:
    done = derain("--port", "0", "-m", "petrichor-lve")
    assert (done.exit_code, "did you mean petrichor-live" in done.stderr) == (2, True)


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("0.0.0.0", "http://localhost:"),
        ("127.0.0.1", "http://127.0.0.1:"),
        ("::1", "http://[::1]:"),
    ],
)
def test_the_url_is_one_that_browsers_take(host: str, expected: str) -> None:
    settings = Settings(host=host, port=0)
    try:
        listener = server.listen(settings)
    except server.PlaceTakenError:  # a machine without IPv6
        assert ":" in host
        return
    with listener:
        assert server.url_of(listener, settings).startswith(expected)


def test_settings_bound_the_memory() -> None:
    guide = (Path(__file__).parents[2] / "docs/guides/serve.md").read_text()
    assert f"that is {Settings().most_memory() / 1e9:.1f} GB at the very most" in guide
    assert f"makes it {Settings(max_pixels=24_000_000).most_memory() / 1e9:.1f} GB" in guide
    assert f"which is {Settings().decoder_memory / 1e9:.1f} GB by default" in guide
    with pytest.raises(UsageError):
        Settings(max_bytes=0)


def test_two_signals_end_it_at_once() -> None:
    with running("-q", "-m", "petrichor-live", "--engine", "onnx") as made:
        family = made.family()
        for pid in family[1:]:
            os.kill(pid, signal.SIGSTOP)
        photo = Path(__file__).parents[2] / "examples/rocket.jpg"
        with ThreadPoolExecutor(1) as client:
            reply = client.submit(made.post, photo.read_bytes())
            while b"derain_working_pictures 1" not in made.request("GET", "/metrics").body:
                time.sleep(0.01)
            made.process.send_signal(signal.SIGINT)
            while made.request("GET", "/readyz").status != 503:
                time.sleep(0.01)
            assert made.process.poll() is None
            made.process.send_signal(signal.SIGINT)
            assert made.process.wait(10) == 130
            with pytest.raises((http.client.HTTPException, OSError)):
                reply.result()
    # What watches over the processes ends with them, but it was stopped as well.
    for pid in family[1:]:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)
    check_gone(family)


def check_gone(family: list[int]) -> None:
    """Check that nothing of a server is left."""
    deadline = time.monotonic() + 10
    while any(Path(f"/proc/{pid}").exists() for pid in family):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_service_manager_can_run_it() -> None:
    with running("-q", "-m", "petrichor-live", "--engine", "onnx") as made:
        photo = Path(__file__).parents[2] / "examples/rocket.jpg"
        assert made.post(photo.read_bytes()).status == 200
        family = made.family()
        assert len(family) > 4
        assert made.stop() == 0
    check_gone(family)
