"""Send pictures from many clients at once, and compare with the engine's own rate.

    python -m benchmarks.serve.load -m petrichor-live --requests 500 --clients 16

Every answer is compared with the file that `derain.pictures.run` writes for the same picture, or is
429. The engine's own rate is that of one Derainer on arrays in memory, in a process of its own with
the same threads, before and after the load. Clients and server share the machine.
"""

import json
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.command import new_parser
from benchmarks.machine import describe_machine
from benchmarks.performance.folder_rate import make_jobs
from benchmarks.serve.running import Running, running
from benchmarks.tables import table_head, table_row
from derain import pictures

RATE = """
import json, sys, time
from derain.images import read_image
from derain.restore import load
derainer = load(sys.argv[1], engine=sys.argv[2])
images = [read_image(path) for path in sys.argv[4:]]
for image in images[:3]:
    derainer(image)
count = int(sys.argv[3])
began = time.perf_counter()
for k in range(count):
    derainer(images[k % len(images)])
print(json.dumps([count / (time.perf_counter() - began), derainer.describe()]))
"""


@dataclass
class Load:
    """What became of the requests.

    Attributes:
        statuses: Answers by status.
        wrong: Pictures that are not what the library writes.
        seconds: Of each answer with a picture.
        memory: Bytes of the server's processes after each answer, by kind.
    """

    statuses: Counter[int] = field(default_factory=Counter[int])
    wrong: int = 0
    seconds: list[float] = field(default_factory=list[float])
    memory: list[dict[str, int]] = field(default_factory=list[dict[str, int]])


def main() -> None:
    """Make the pictures, send them, and print a table."""
    parser = new_parser(__doc__)
    parser.add_argument("-m", "--model", default="petrichor-live")
    parser.add_argument("--requests", type=int, default=500)
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--pictures", type=int, default=20, help="that differ")
    parser.add_argument(
        "--size", nargs=2, type=int, default=(1024, 683), metavar=("WIDTH", "HEIGHT")
    )
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--queue", type=int, default=32)
    parser.add_argument("--engine", default="auto")
    parser.add_argument("--own", type=int, default=60, help="pictures for the engine's own rate")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        jobs = make_jobs(Path(folder), arguments.pictures, arguments.size, "jpg")
        expected = library_results(jobs, arguments.model, arguments.engine)
        rainy = [job.source for job in jobs]
        own = [own_rate(arguments.model, arguments.engine, arguments.own, rainy)]
        options = ("-q", "-m", arguments.model, "--workers", str(arguments.workers))
        options += ("--queue", str(arguments.queue), "--engine", arguments.engine)
        with running(*options) as server:
            for path in rainy[:3]:
                server.post(path.read_bytes())
            began = time.perf_counter()
            load = send(server, rainy, expected, arguments.requests, arguments.clients)
            seconds = time.perf_counter() - began
            status = server.stop()
        own.append(own_rate(arguments.model, arguments.engine, arguments.own, rainy))
    report(load, load.statuses[200] / seconds, [rate for rate, _ in own], arguments.workers)
    print(
        f"\n`{arguments.model}`, {own[0][1]}; {arguments.requests} requests of"
        f" {arguments.pictures} JPEGs, {arguments.size[0]}x{arguments.size[1]}, from"
        f" {arguments.clients} clients; the server ended with status {status}."
    )
    runtime = "onnx" if "onnx" in own[0][1] else "torch"
    print(f"Measured on {describe_machine(runtime)}.")


def library_results(jobs: Sequence[pictures.Job], model: str, engine: str) -> list[bytes]:
    """Return the files that ``derain run`` writes for some pictures."""
    folder = jobs[0].source.parent
    command = [sys.executable, "-m", "derain", "run", str(folder), "-o", str(folder.parent / "out")]
    command += ["-m", model, "--engine", engine, "-q"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return [job.target.read_bytes() for job in jobs]


def own_rate(model: str, engine: str, count: int, paths: Sequence[Path]) -> tuple[float, str]:
    """Return pictures a second of the engine alone, and what it is."""
    command = [sys.executable, "-c", RATE, model, engine, str(count), *map(str, paths)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    rate, described = json.loads(done.stdout)
    return rate, described


def send(
    server: Running, rainy: Sequence[Path], expected: Sequence[bytes], count: int, clients: int
) -> Load:
    """Send pictures from several clients, each of which waits for its answer."""
    load, lock = Load(), threading.Lock()
    numbers = iter(range(count))
    files = [path.read_bytes() for path in rainy]

    def client() -> None:
        while True:
            with lock:
                number = next(numbers, None)
            if number is None:
                return
            place = number % len(files)
            reply = server.post(files[place])
            memory = server.memory()
            with lock:
                load.statuses[reply.status] += 1
                load.memory.append(memory)
                if reply.status == 200:
                    load.seconds.append(reply.seconds)
                    load.wrong += reply.body != expected[place]
            if reply.status == 429:
                time.sleep(float(reply.headers["retry-after"]))

    threads = [threading.Thread(target=client) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return load


def report(load: Load, rate: float, own: Sequence[float], workers: int) -> None:
    """Print what was measured."""
    mean = sum(own) / len(own)
    others = sum(load.statuses.values()) - load.statuses[200] - load.statuses[429]
    print(table_head("what", "figure"))
    rows = {
        "answers 200 / 429 / others": f"{load.statuses[200]} / {load.statuses[429]} / {others}",
        "pictures that differ from the library's": str(load.wrong),
        "workers": str(workers),
        "throughput, pictures/s": f"{rate:.2f}",
        "engine's own rate, before and after, pictures/s": " and ".join(f"{x:.2f}" for x in own),
        "share of the engine's own rate": f"{rate / mean:.1%}",
    }
    ordered = sorted(load.seconds)
    if ordered:
        slow = ordered[int(0.95 * (len(ordered) - 1))]
        rows["seconds to an answer, median / 95%"] = (
            f"{ordered[len(ordered) // 2]:.2f} / {slow:.2f}"
        )
    for kind in ("server", "workers", "decoders"):
        first, last = mean_memory(load.memory[:100], kind), mean_memory(load.memory[-100:], kind)
        rows[f"memory of {kind}, MB, first and last hundred"] = f"{first:.0f} and {last:.0f}"
    totals = [sum(sample.values()) for sample in load.memory]
    first, last = (sum(part) / len(part) for part in (totals[:100], totals[-100:]))
    rows["memory in all, last hundred against first"] = f"{last / first - 1:+.1%}"
    for what, figure in rows.items():
        print(table_row(what, figure))


def mean_memory(samples: Sequence[dict[str, int]], kind: str) -> float:
    """Return megabytes in the mean."""
    return sum(sample[kind] for sample in samples) / len(samples) / 1e6


if __name__ == "__main__":
    main()
