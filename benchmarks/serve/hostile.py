"""Send what no honest client sends, and look at how the others fare.

    pip install schemathesis
    python -m benchmarks.serve.hostile -m petrichor-live --requests 1000

Half of the requests are made by schemathesis from the server's OpenAPI document, valid ones and
invalid ones; half are damaged pictures. Then two clients send decompression bombs and pictures of
200 megapixels as fast as they can while a third sends photographs; one sends a byte a second; and
SIGTERM comes while pictures are under way.
"""

import importlib
import itertools
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.command import new_parser
from benchmarks.machine import describe_machine
from benchmarks.serve.files import bombs, good_files, mutated
from benchmarks.serve.running import Running, running
from benchmarks.tables import table_head, table_row

PHOTO = Path(__file__).parents[2] / "examples/rocket.jpg"
REFUSED = range(400, 500)


def main() -> None:
    """Do all of it, and print a table."""
    parser = new_parser(__doc__)
    parser.add_argument("-m", "--model", default="petrichor-live")
    parser.add_argument("--requests", type=int, default=1000, help="that are malformed")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--third", type=int, default=20, help="pictures of the third client")
    parser.add_argument("--engine", default="auto")
    arguments = parser.parse_args()
    options = ("-q", "-m", arguments.model, "--engine", arguments.engine)
    print(table_head("what", "figure"))
    with running(*options) as server:
        half = arguments.requests // 2
        statuses, count = from_openapi(server, half)
        print(table_row(f"{count} requests from the OpenAPI document", _counted(statuses)))
        rest = arguments.requests - count
        statuses = damaged(server, rest, arguments.seed)
        print(table_row(f"{rest} damaged pictures", _counted(statuses)))
        print(table_row("processes that were replaced", replaced(server)))
        alone, beside, sent = third_client(server, arguments.third)
        print(table_row("a third client alone, median and longest, s", _seconds(alone)))
        print(table_row("beside two with bombs, median and longest, s", _seconds(beside)))
        print(table_row("what the two got", _counted(sent)))
        print(table_row("one byte a second, ended after, s", f"{slow_client(server):.1f}"))
        print(table_row("a picture meanwhile", server.post(PHOTO.read_bytes()).status))
    with running(*options) as server:
        answers, status = stopped_under_load(server)
        print(table_row("SIGTERM under load: answers", _counted(answers)))
        print(table_row("SIGTERM under load: exit status", status))
    print(f"\n`{arguments.model}`, seed {arguments.seed}.")
    runtime = "torch" if arguments.engine == "auto" else arguments.engine
    print(f"Measured on {describe_machine(runtime)}.")


def _counted(statuses: Counter[int]) -> str:
    """Return statuses and how often each came; 0 stands for a connection that was closed."""
    return ", ".join(f"{status}: {count}" for status, count in sorted(statuses.items()))


def _seconds(times: Sequence[float]) -> str:
    ordered = sorted(times)
    return f"{ordered[len(ordered) // 2]:.2f} and {ordered[-1]:.2f}"


def from_openapi(server: Running, count: int) -> tuple[Counter[int], int]:
    """Send requests that schemathesis makes, and return their statuses and how many there were."""
    schemathesis: Any = importlib.import_module("schemathesis")
    hypothesis: Any = importlib.import_module("hypothesis")
    schema = schemathesis.openapi.from_url(f"{server.url}/openapi.json")
    statuses: Counter[int] = Counter()
    operations = [found.ok() for found in schema.get_all_operations()]
    modes = list(schemathesis.GenerationMode)
    # Most of what can be wrong is wrong about a picture.
    shares = [30 if operation.path == "/v1/derain" else 1 for operation in operations]
    for operation, share in zip(operations, shares, strict=True):
        for mode in modes:
            examples = max(1, count * share // (sum(shares) * len(modes)))
            _try_operation(hypothesis, operation, mode, examples, statuses)
    return statuses, statuses.total()


def _try_operation(
    hypothesis: Any, operation: Any, mode: Any, examples: int, statuses: Counter[int]
) -> None:
    """Send examples of one operation, valid or invalid ones."""
    try:
        strategy = operation.as_strategy(generation_mode=mode)
    except Exception as error:  # an operation without parameters cannot be invalid
        if "negative" not in str(error).lower():
            raise
        return

    def send(case: Any) -> None:
        statuses[case.call(timeout=60).status_code] += 1

    checks = hypothesis.HealthCheck
    settings = hypothesis.settings(
        max_examples=examples,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(checks),
    )
    test: Callable[[], None] = settings(hypothesis.given(case=strategy)(send))
    try:
        test()
    except hypothesis.errors.Unsatisfiable:
        return


def damaged(server: Running, count: int, seed: int) -> Counter[int]:
    """Send damaged pictures, and return the statuses of their answers."""
    statuses: Counter[int] = Counter()
    for file in itertools.islice(mutated(good_files(), seed), count):
        statuses[server.post(file).status] += 1
    return statuses


def replaced(server: Running) -> str:
    """Return which processes were replaced, and why."""
    text = server.request("GET", "/metrics").body.decode()
    lines = [
        line.removeprefix("derain_replaced_processes_total")
        for line in text.splitlines()
        if line.startswith("derain_replaced_processes_total{")
    ]
    return "; ".join(lines) or "none"


def third_client(server: Running, count: int) -> tuple[list[float], list[float], Counter[int]]:
    """Return the seconds of a client's pictures alone and beside two hostile ones.

    Besides, what those two got.
    """
    photo = PHOTO.read_bytes()
    server.post(photo)
    alone = [server.post(photo).seconds for _ in range(count)]
    over = threading.Event()
    statuses: Counter[int] = Counter()
    files = list(bombs().values())

    def attack() -> None:
        for file in itertools.cycle(files):
            if over.is_set():
                return
            statuses[server.post(file).status] += 1

    attackers = [threading.Thread(target=attack) for _ in range(2)]
    for attacker in attackers:
        attacker.start()
    beside = [server.post(photo).seconds for _ in range(count)]
    over.set()
    for attacker in attackers:
        attacker.join()
    return alone, beside, statuses


def slow_client(server: Running) -> float:
    """Send a byte a second; return the seconds until the server ends it."""
    began = time.perf_counter()
    name, _, port = server.host.partition(":")
    with socket.create_connection((name, int(port))) as connection:
        head = (
            "POST /v1/derain HTTP/1.1",
            f"Host: {server.host}",
            "Content-Length: 100000",
            "\r\n",
        )
        connection.sendall("\r\n".join(head).encode())
        connection.settimeout(1.0)
        while time.perf_counter() - began < 120:
            try:
                connection.sendall(b"\xff")
                if connection.recv(4096):
                    break
            except TimeoutError:
                continue
            except OSError:
                break
    return time.perf_counter() - began


def stopped_under_load(server: Running, clients: int = 8) -> tuple[Counter[int], int]:
    """Stop a server while pictures are under way; return the answers and its exit status."""
    photo = PHOTO.read_bytes()
    server.post(photo)
    statuses: Counter[int] = Counter()
    lock = threading.Lock()

    def client() -> None:
        try:
            status = server.post(photo).status
        except OSError:
            status = 0
        with lock:
            statuses[status] += 1

    threads = [threading.Thread(target=client) for _ in range(clients)]
    for thread in threads:
        thread.start()
    while b"derain_waiting_pictures 0" in server.request("GET", "/metrics").body:
        time.sleep(0.01)
    time.sleep(0.2)  # the last of them have been accepted
    status = server.stop()
    for thread in threads:
        thread.join()
    return statuses, status


if __name__ == "__main__":
    main()
