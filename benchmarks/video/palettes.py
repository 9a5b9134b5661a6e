r"""Print what 256 colours cost: PSNR and flicker of GIFs, by how their palettes are chosen.

    python -m benchmarks.video.palettes yard.mp4 moving.mp4
    python -m benchmarks.video.palettes FRAMES

The first frames of each clip, or folder of frames, are steadied by their neighbours as derain does,
without a network. Then they get palettes: by derain, which writes a GIF and reads it again, and by
Pillow in the usual ways. PSNR is that of RGB, averaged over the frames. Flicker is the root mean
square by which levels change from frame to frame, beyond what they changed before:
sqrt(after^2 - before^2). Seconds are those of a frame, on one thread.
"""

import tempfile
import time
from collections.abc import Callable, Sequence
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
from PIL import Image

from benchmarks.command import new_parser
from benchmarks.machine import describe_machine
from benchmarks.tables import table_head, table_row
from derain.clips.folders import frames_in
from derain.images import Picture, read_image, to_eight_bits
from derain.images.animations import Facts, TimedFrame, open_animation, write_animation
from derain.metrics import Bytes, psnr
from derain.restore import restore_frames

Way = Callable[[Sequence[Bytes]], list[Bytes]]
_NO_DITHER, _DITHER = Image.Dither.NONE, Image.Dither.FLOYDSTEINBERG


def main() -> None:
    """Print a table for each clip."""
    parser = new_parser(__doc__)
    parser.add_argument("clips", type=Path, nargs="+", help="video files, or folders of frames")
    parser.add_argument("--frames", type=int, default=30)
    arguments = parser.parse_args()
    print(describe_machine())
    for clip in arguments.clips:
        frames = list(restore_frames(_frames(clip, arguments.frames), None, temporal="auto"))
        height, width = frames[0].shape[:2]
        print(f"\n{clip.name}, {len(frames)} frames of {width}x{height}\n")
        print(table_head("palette", "PSNR", "flicker", "s/frame"))
        for name, way in WAYS.items():
            begin = time.perf_counter()
            made = way(frames)
            seconds = (time.perf_counter() - begin) / len(frames)
            score = np.mean([psnr(a, b) for a, b in zip(made, frames, strict=True)])
            flicker = np.sqrt(max(0.0, _changes(made) - _changes(frames)))
            print(table_row(name, f"{score:.2f}", f"{flicker:.2f}", f"{seconds:.3f}"))


def _frames(clip: Path, most: int) -> list[Bytes]:
    if clip.is_dir():
        return [to_eight_bits(read_image(path)) for path in frames_in(clip)[:most]]
    with av.open(str(clip)) as container:
        decoded = container.decode(container.streams.video[0])
        return [frame.to_ndarray(format="rgb24") for frame, _ in zip(decoded, range(most))]  # noqa: B905


def _changes(frames: Sequence[Bytes]) -> float:
    """Return the mean square of changes from frame to frame."""
    squares = [np.square(b.astype(float) - a).mean() for a, b in pairwise(frames)]
    return float(np.mean(squares))


def _by_derain(frames: Sequence[Bytes]) -> list[Bytes]:
    height, width = frames[0].shape[:2]
    facts = Facts(width, height, 0, Picture(np.zeros((1, 1, 3), np.uint8)))
    shots = (TimedFrame(frame, None, Fraction(1, 25)) for frame in frames)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.gif"
        write_animation(path, "GIF", facts, shots, [])
        return [to_eight_bits(frame.pixels) for frame in open_animation(path).frames()]


def _of_each(method: Image.Quantize, kmeans: int = 0) -> Way:
    """Return a way that gives each frame the palette that is best for it."""

    def way(frames: Sequence[Bytes]) -> list[Bytes]:
        return [_rgb(Image.fromarray(frame).quantize(256, method, kmeans)) for frame in frames]

    return way


def _of_all(dither: Image.Dither) -> Way:
    """Return a way that gives all frames one palette, of every fifth frame."""

    def way(frames: Sequence[Bytes]) -> list[Bytes]:
        every = Image.fromarray(np.concatenate(frames[::5]))
        palette = every.quantize(256, Image.Quantize.MEDIANCUT, 1)
        return [
            _rgb(Image.fromarray(frame).quantize(palette=palette, dither=dither))
            for frame in frames
        ]

    return way


def _rgb(image: Image.Image) -> Bytes:
    return np.asarray(image.convert("RGB"))


WAYS: dict[str, Way] = {
    "derain's": _by_derain,
    "median cut, each frame": _of_each(Image.Quantize.MEDIANCUT),
    "median cut and k-means, each frame": _of_each(Image.Quantize.MEDIANCUT, 1),
    "octree, each frame": _of_each(Image.Quantize.FASTOCTREE),
    "one for all": _of_all(_NO_DITHER),
    "one for all, dithered": _of_all(_DITHER),
}


if __name__ == "__main__":
    main()
