"""Compare the page without a server with the library: results, seconds a megapixel, memory, size.

    npm --prefix web ci && npm --prefix web run build
    python -m benchmarks.web.page examples/rocket.jpg

A photograph is resized to 481x321 and to 12 megapixels, and saved as PNG and as JPEG. Chromium,
driven by Playwright, and the library with ONNX Runtime take turns at them, on all cores. Seconds
are those from the file's bytes to the result's, the fastest of some rounds; the page's are as it
shows them, without loading the model. Memory is the sum of all of Chromium's processes, each with
its share of what several use (PSS).
"""

import gzip
import json
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.command import new_parser
from benchmarks.machine import describe_machine
from benchmarks.tables import table_head, table_row
from derain import load
from derain.images import read
from derain.images.writing import encode
from derain.restore import Derainer

WEB = Path(__file__).parents[2] / "web"
SIZES = ((481, 321), (4000, 3000))
MODEL = "petrichor"


def main() -> None:
    """Run the page and the library, and print the tables."""
    parser = new_parser(__doc__)
    parser.add_argument("photo", type=Path)
    parser.add_argument("--rounds", type=int, default=5, help="for the small picture")
    parser.add_argument("--large-rounds", type=int, default=2, help="for the large one")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        files = pictures_of(arguments.photo, folder)
        remove_rain = load(MODEL, engine="onnx", device="cpu")
        print(table_head(*COLUMNS), flush=True)
        queue = files[:2] * arguments.rounds + files[2:] * arguments.large_rounds
        with Page(folder, queue) as page:
            rows: dict[Path, tuple[float, float, dict[str, Any], Path]] = {}
            for answer in page.answers():
                file = Path(answer["file"])
                ours, expected = library(remove_rain, file)
                theirs = shown_seconds(answer["facts"])
                old = rows.get(file)
                if old:
                    ours, theirs = min(ours, old[0]), min(theirs, old[1])
                    answer["longest"] = max(answer["longest"], old[2]["longest"])
                rows[file] = (ours, theirs, answer, expected)
        for file, (ours, theirs, answer, expected) in rows.items():
            print(row_of(file, ours, theirs, answer, expected))
    print(f"\n{page.facts['means'].strip(' ·')}; Chromium {page.facts['browser']}.")
    print(f"Longest task of the page while it loads: {page.facts['longest']:.0f} ms.")
    idle, peak = (value / 2**20 for value in (page.idle, page.peak))
    print(f"Memory: {idle:.0f} MiB when the page is ready, {peak:.0f} MiB at the peak.")
    print_sizes(WEB / "dist")
    print(f"Measured on {describe_machine('onnx')}.")


COLUMNS = (
    "picture",
    "format",
    "levels apart, at most",
    "in the mean",
    "page, s/MP",
    "library, s/MP",
    "longest task, ms",
)


def pictures_of(photo: Path, folder: Path) -> list[Path]:
    """Write the photograph in both sizes and formats, the small ones first."""
    files: list[Path] = []
    with Image.open(photo) as opened:
        image = opened.convert("RGB")
    for size in SIZES:
        resized = image.resize(size, Image.Resampling.LANCZOS)
        name = f"{size[0]}x{size[1]}"
        files += (folder / f"{name}.png", folder / f"{name}.jpg")
        resized.save(files[-2])
        resized.save(files[-1], quality=90)
    return files


def library(remove_rain: Derainer, file: Path) -> tuple[float, Path]:
    """Derain a file; return the seconds it took, and the result's file."""
    data = file.read_bytes()
    began = time.perf_counter()
    picture = read(data)
    clean = picture.with_pixels(remove_rain(picture.pixels))
    result = encode(clean, picture.metadata.format)
    seconds = time.perf_counter() - began
    expected = file.with_name(f"expected-{file.name}")
    expected.write_bytes(result)
    return seconds, expected


def shown_seconds(facts: str) -> float:
    """Return the seconds that the page shows, such as ``2 min 5 s``."""
    found = re.search(r"(?:(\d+) min )?([\d.]+) s$", facts)
    if not found:
        raise SystemExit(f"the page shows {facts!r}; expected it to end with seconds")
    return 60 * int(found[1] or 0) + float(found[2])


def row_of(file: Path, ours: float, theirs: float, answer: dict[str, Any], expected: Path) -> str:
    """Return the table's row of a picture."""
    found, wanted = read(answer["result"]).pixels, read(expected).pixels
    most, total = 0, 0
    for one, other in zip(found, wanted, strict=True):  # row by row: differences are large
        apart = np.abs(one.astype(np.int16) - other)
        most, total = max(most, int(apart.max())), total + int(apart.sum())
    megapixels = found.shape[0] * found.shape[1] / 1e6
    return table_row(
        file.stem.replace("x", " x "),
        file.suffix[1:].upper().replace("JPG", "JPEG"),
        most,
        f"{total / found.size:.4f}",
        f"{theirs / megapixels:.2f}",
        f"{ours / megapixels:.2f}",
        f"{answer['longest']:.0f}",
    )


class Page:
    """The page in Chromium, with a watch on the memory of its processes.

    Attributes:
        facts: What the page says of itself when it is ready.
        idle: Bytes of all processes then.
        peak: Most bytes since then.
    """

    def __init__(self, folder: Path, files: list[Path]) -> None:
        script = WEB / "browser-tests" / "drive.mjs"
        command = ["node", str(script), str(folder), *map(str, files)]
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True)
        self._left = len(files)
        self.facts: dict[str, Any] = {}
        self.idle = self.peak = 0
        self._ended = threading.Event()
        self._watch = threading.Thread(target=self._watch_memory)

    def __enter__(self) -> "Page":
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._process.terminate()
        self._process.wait()
        if self._watch.ident is not None:
            self._watch.join()

    def answers(self) -> Iterator[dict[str, Any]]:
        """Yield what became of each file."""
        to, out = self._process.stdin, self._process.stdout
        assert to is not None
        assert out is not None
        for line in out:
            answer = json.loads(line)
            if "means" in answer:
                self.facts, self.idle = answer, memory_below(self._process.pid)
                self._watch.start()
            elif "file" in answer:
                # While the library works, the page waits for the next line.
                yield answer
            if self._left:
                self._left -= 1
                print(file=to, flush=True)
        if self._process.wait() != 0:
            raise SystemExit("the page failed; see above")

    def _watch_memory(self) -> None:
        while not self._ended.wait(0.5):
            self.peak = max(self.peak, memory_below(self._process.pid))


def memory_below(parent: int) -> int:
    """Return the bytes of all Chromium processes below one, each with its share (PSS)."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            children.setdefault(int(fields[1]), []).append(int(entry.name))
    found, waiting = 0, list(children.get(parent, []))
    while waiting:
        process = waiting.pop()
        waiting += children.get(process, [])
        try:
            text = Path(f"/proc/{process}/smaps_rollup").read_text()
        except OSError:
            continue
        match = re.search(r"^Pss:\s+(\d+) kB", text, re.MULTILINE)
        found += int(match[1]) * 1024 if match else 0
    return found


def print_sizes(site: Path) -> None:
    """Print the size of the site, and of what a visitor fetches, compressed by gzip."""
    sizes = {path: path.stat().st_size for path in site.rglob("*") if path.is_file()}
    packed = {path: len(gzip.compress(path.read_bytes(), 9)) for path in sizes}
    largest = max(sizes, key=sizes.__getitem__)
    fetched = [path for path in sizes if "jspi" not in path.name]
    whole, small = sum(sizes.values()) / 1e6, sum(packed.values()) / 1e6
    visit = sum(packed[path] for path in fetched) / 1e6
    print(
        f"Site: {len(sizes)} files, {whole:.1f} MB, {small:.1f} MB compressed; a visit without"
        f" WebGPU fetches {visit:.1f} MB of that. Largest file: {largest.relative_to(site)},"
        f" {sizes[largest] / 1e6:.1f} MB, {packed[largest] / 1e6:.1f} MB compressed."
    )


if __name__ == "__main__":
    sys.exit(main())
