"""Compare the rate of a folder of files with that of the network alone.

    python -m benchmarks.performance.folder_rate -m petrichor-live --pictures 200

What is missing from 100% is the time for reading and writing. Both are measured in one process, in
turns of a chunk of pictures: the Derainer on arrays in memory, and `derain.pictures.run` on files;
every second chunk begins with the files. In each chunk the network waits while the first picture
is read and the last one is written; in one whole folder that happens only once.
"""

import tempfile
import time
from pathlib import Path

from PIL import Image

from benchmarks.command import new_parser
from benchmarks.machine import describe_machine
from benchmarks.tables import table_head, table_row
from derain import pictures
from derain.images import read_image
from derain.restore import Derainer, load

QUALITY = 92
"""Of the JPEG files."""
STEPS = 7919, 104_729
"""Pixels from one picture's crop to the next one's, across and down, beginning again at the border.
"""
PHOTO = Path(__file__).parents[2] / "examples/rocket.jpg"


def main() -> None:
    """Make the pictures, run them, and print a table."""
    parser = new_parser(__doc__)
    parser.add_argument("-m", "--model", default="petrichor")
    parser.add_argument("--pictures", type=int, default=200)
    parser.add_argument(
        "--size", nargs=2, type=int, default=(1024, 683), metavar=("WIDTH", "HEIGHT")
    )
    parser.add_argument("--format", choices=("jpg", "png"), default="jpg")
    parser.add_argument("--chunk", type=int, default=10, help="pictures in a row of each kind")
    parser.add_argument("--device", default="auto")
    arguments = parser.parse_args()
    derainer = load(arguments.model, device=arguments.device)
    with tempfile.TemporaryDirectory() as folder:
        jobs = make_jobs(Path(folder), arguments.pictures, arguments.size, arguments.format)
        engine, files = measure(jobs, derainer, arguments.chunk)
    width, height = arguments.size
    print(table_head("model", "pictures", "engine, pictures/s", "folder, pictures/s", "ratio"))
    what = f"{len(jobs)} {arguments.format}, {width}x{height}"
    rates = [f"{len(jobs) / seconds:.2f}" for seconds in (engine, files)]
    print(table_row(f"`{arguments.model}`", what, *rates, f"{engine / files:.1%}"))
    print(
        f"\n{derainer.describe()}; in turns of {arguments.chunk} pictures, after one picture to"
        " warm up."
    )
    print(f"Measured on {describe_machine()}.")


def make_jobs(folder: Path, count: int, size: tuple[int, int], suffix: str) -> list[pictures.Job]:
    """Write pictures that differ, and return a job for each.

    They are cut from one photograph, enlarged to one and a half times their size, at other places.
    """
    (folder / "in").mkdir()
    width, height = size
    jobs: list[pictures.Job] = []
    with Image.open(PHOTO) as photo:
        scale = 1.5 * max(width / photo.width, height / photo.height)
        large = photo.resize(
            (round(scale * photo.width), round(scale * photo.height)), Image.Resampling.BICUBIC
        )
    for k in range(count):
        left, top = STEPS[0] * k % (large.width - width), STEPS[1] * k % (large.height - height)
        jobs.append(pictures.Job(folder / f"in/{k}.{suffix}", folder / f"out/{k}.{suffix}"))
        large.crop((left, top, left + width, top + height)).save(jobs[-1].source, quality=QUALITY)
    return jobs


def measure(jobs: list[pictures.Job], derainer: Derainer, size: int) -> tuple[float, float]:
    """Return the seconds for all pictures in memory, and from file to file."""
    derainer(read_image(jobs[0].source))
    engine = files = 0.0
    for number, begin in enumerate(range(0, len(jobs), size)):
        chunk = jobs[begin : begin + size]
        for from_files in (number % 2 == 1, number % 2 == 0):
            if from_files:
                files += time_files(chunk, derainer)
            else:
                engine += time_engine(chunk, derainer)
    return engine, files


def time_engine(chunk: list[pictures.Job], derainer: Derainer) -> float:
    """Return the seconds for decoded pictures, whose results are thrown away."""
    pictures = [read_image(job.source) for job in chunk]
    began = time.perf_counter()
    for picture in pictures:
        derainer(picture)
    return time.perf_counter() - began


def time_files(chunk: list[pictures.Job], derainer: Derainer) -> float:
    """Return the seconds for the same pictures from file to file.

    Raises:
        SystemExit: If a picture could not be done.
    """
    began = time.perf_counter()
    results = list(pictures.run(chunk, derainer))
    seconds = time.perf_counter() - began
    failures = [result.message for result in results if result.status != "done"]
    if failures:
        raise SystemExit(f"a picture was not done: {failures[0]}")
    return seconds


if __name__ == "__main__":
    main()
