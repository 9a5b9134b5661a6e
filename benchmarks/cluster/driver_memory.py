"""Print how much memory the driver takes for archives of different sizes (Linux).

    python -m benchmarks.cluster.driver_memory

Files are empty, so that workers refuse each at once, and the driver has to list, plan and record
all of them. What Ray takes is taken off: the memory of the driver after an archive of 500 files,
which has imported and started everything. The rest is the most that it holds while it works on an
archive, and again on that archive when all is recorded, where it compares 200,000 rows.
"""

import tempfile
import time
from pathlib import Path

from benchmarks.cluster.started import SETTINGS, started
from benchmarks.command import new_parser
from benchmarks.machine import describe_machine
from benchmarks.tables import table_head, table_row
from derain.cluster import Request, run
from derain.cluster.listing import Archive, Item, list_items
from derain.cluster.manifest import Manifest
from derain.cluster.places import Local
from derain.machine import PeakMemory

PER_FOLDER = 1000
WARM = 500


def main() -> None:
    """Measure one after the other, and print a table."""
    parser = new_parser(__doc__)
    parser.add_argument("--counts", nargs="+", type=int, default=(2000, 20_000, 200_000))
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, started():
        folder = Path(name)
        peak_of(folder, WARM)
        print(table_head("files", "driver, MB more", "comparing with the records", "seconds"))
        for count in arguments.counts:
            begin = time.perf_counter()
            grown, compared = peak_of(folder, count)
            seconds = time.perf_counter() - begin
            print(
                table_row(
                    f"{count:,}", f"{grown / 1e6:.0f}", f"{compared / 1e6:.0f}", f"{seconds:.0f}"
                ),
                flush=True,
            )
    print(f"\nMeasured on {describe_machine('onnx')}.")


def resident() -> int:
    """Return the bytes that this process holds."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096


def peak_of(folder: Path, count: int) -> tuple[int, int]:
    """Return how many bytes more the driver held than before, at most: a run, and a comparison.

    Raises:
        SystemExit: If not every file is reported.
    """
    source, output = folder / f"in{count}", folder / f"out{count}"
    for number in range(count):
        path = source / f"{number // PER_FOLDER:05}" / f"IMG_{number:08}.jpg"
        if number % PER_FOLDER == 0:
            path.parent.mkdir(parents=True)
        path.touch()
    peak, before = PeakMemory(), resident()
    request = Request(str(source), str(output), "petrichor-live", SETTINGS)
    reported = sum(1 for _ in run(request))
    grown = (peak.read() or 0) - before
    if reported != count:
        raise SystemExit(f"{reported} of {count} files reported")
    peak, before = PeakMemory(), resident()
    archive = Archive(Local(str(source)), Local(str(output)))
    known = Manifest(archive.output).known()
    found = sum(isinstance(one, Item) for one in list_items(archive))
    if not found == len(known) == count:
        raise SystemExit(f"{found} files listed and {len(known)} recorded, of {count}")
    return grown, (peak.read() or 0) - before


if __name__ == "__main__":
    main()
