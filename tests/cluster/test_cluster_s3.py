"""Archives in an S3-compatible store that refuses a request now and then."""

import logging
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import archives
import pytest
import ray

from derain.cluster.manifest import read_manifest
from derain.cluster.places import Place, open_place

moto = pytest.importorskip("moto.moto_server.werkzeug_app", reason="needs moto")
serving = pytest.importorskip("werkzeug.serving")

pytestmark = pytest.mark.filterwarnings("default")  # Ray warns of its own use of itself

EVERY = 25
"""Of so many requests one is refused."""
SLOW_DOWN = b"<Error><Code>SlowDown</Code><Message>Please reduce your rate</Message></Error>"

Start = Callable[[str, list[tuple[str, str]]], object]


class Flaky:
    """A WSGI application that answers 503 to every n-th request while it is busy, as stores do."""

    def __init__(self, application: Any) -> None:
        self._application = application
        self._lock = threading.Lock()
        self.requests: Counter[str] = Counter()
        self.refused = 0
        self.busy = False

    def __call__(self, environ: dict[str, Any], start: Start) -> Iterable[bytes]:
        with self._lock:
            self.requests[environ["REQUEST_METHOD"]] += 1
            refuse = self.busy and self.requests.total() % EVERY == 0
            self.refused += refuse
        if refuse:
            environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
            start("503 Slow Down", [("Content-Type", "application/xml")])
            return [SLOW_DOWN]
        return self._application(environ, start)


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, Flaky]]:
    """The address of a store with a bucket, and what its requests go through."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    flaky = Flaky(moto.DomainDispatcherApplication(moto.create_backend_app))
    server = serving.make_server("127.0.0.1", 0, flaky, threaded=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.port}")
    import pyarrow.fs

    files = pyarrow.fs.S3FileSystem(
        endpoint_override=f"127.0.0.1:{server.port}", scheme="http", allow_bucket_creation=True
    )
    files.create_dir("rain")
    yield "s3://rain", flaky
    server.shutdown()


def put(folder: Path, place: Place) -> None:
    """Put the files of a folder into a place."""
    for name, data in archives.files_in(folder).items():
        place.write(name, data)


def got(place: Place, folder: str = "") -> dict[str, bytes]:
    """Return the files of a place by name, without records."""
    found = place.contents(folder)
    files = [f"{folder}/{one.name}".lstrip("/") for one in found.files]
    inside = {name: place.read(name) for name in files}
    for name in found.folders:
        if name != ".derain":
            inside |= got(place, f"{folder}/{name}".lstrip("/"))
    return inside


def test_places_of_a_store_are_read_and_written(store: tuple[str, Flaky], tmp_path: Path) -> None:
    place = open_place(f"{store[0]}/deep/er", "source")
    assert place.contents("").files == []
    place.write("a/b.png", b"123")
    place.write("c.png", b"")
    found = place.contents("")
    assert [(one.name, one.size) for one in found.files] == [("c.png", 0)]
    assert found.folders == ["a"]
    assert found.files[0].modified > 1_600_000_000 * 10**9
    assert place.read("a/b.png") == b"123"
    place.fetch("a/b.png", tmp_path / "copy.png")
    assert (tmp_path / "copy.png").read_bytes() == b"123"
    assert place.shown("a/b.png") == "s3://rain/deep/er/a/b.png"
    place.remove("c.png")
    place.remove("c.png")
    assert place.contents("").files == []
    with pytest.raises(FileNotFoundError):
        place.read("c.png")
    with pytest.raises(FileNotFoundError):
        place.fetch("c.png", tmp_path / "none.png")
    assert place.inside(open_place(f"{store[0]}/deep", "source")) == "er"
    assert place.inside(open_place(f"{store[0]}/dee", "source")) is None


def test_an_archive_in_a_store_that_refuses_now_and_then(
    tmp_path: Path, store: tuple[str, Flaky], monkeypatch: pytest.MonkeyPatch
) -> None:
    address, flaky = store
    names = archives.draw(tmp_path / "in", 100)
    put(tmp_path / "in", open_place(f"{address}/rainy", "source"))
    archives.start_ray(monkeypatch)
    try:
        flaky.requests.clear()
        flaky.busy = True
        done = archives.outcomes(f"{address}/rainy", f"{address}/clean", "petrichor-live")
        assert sorted(one.source for one in done) == sorted(names)
        assert {one.status for one in done} == {"done"}
        assert done[0].target.startswith("s3://rain/clean/")
        assert flaky.refused >= 10
        flaky.busy = False  # each refusal costs a pause
        output = open_place(f"{address}/clean", "output")
        archives.locally(tmp_path / "in", tmp_path / "local", "petrichor-live")
        assert got(output) == archives.files_in(tmp_path / "local")
        assert len(read_manifest(output)) == 100
        requests = flaky.requests["PUT"]
        assert not archives.outcomes(f"{address}/rainy", f"{address}/clean", "petrichor-live")
        assert flaky.requests["PUT"] == requests
    finally:
        ray.shutdown()
