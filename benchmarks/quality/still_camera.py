"""Scores models on real rain before a still camera, whose other frames tell what the rain hides.

Rain passes a pixel in a few frames only. The temporal median of frames that lie more than ten
frames away from a frame is therefore a pseudo ground truth for it. Single frames are scored
against it: PSNR of the luma of protocol `y-matlab`, averaged over the frames. Pixels that move
for other reasons (leaves, people, water) have no such ground truth and are left out: a pixel
counts where the temporal median absolute deviation of its luma is below four levels.

The median is taken over a regular subset of at most `--references` frames of the clip, less those
too close to the scored frame. These and the scored frames are all that is held in memory: at
1920x1080, 180 of them take 1.1 GB. On a clip of 376 frames, `--references 60` moves scores by up
to 0.07 dB against all frames, and 180 by less than 0.04 dB.

CLIP is a video, or a folder with its frames in natural order. Frames are counted from 0.

    python -m benchmarks.quality.still_camera clip.mp4 petrichor nledn runs/nledn/best.safetensors
"""

import statistics
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.command import new_parser
from benchmarks.machine import describe_machine
from benchmarks.tables import table_head, table_row
from derain import metrics
from derain.data import clean_pictures
from derain.images import read_image, to_eight_bits
from derain.metrics import Bytes, Float64s
from derain.restore import load

FRAMES = (20, 120, 220, 320)
REFERENCES = 180
APART = 10
"""Frames; a splash lasts for some, and compression carries traces of rain on to the next."""
FEWEST_REFERENCES = 10
"""A median of fewer frames still holds rain."""
STEADY = 4.0
"""Levels of luma; sensor noise and compression stay below, what moves does not."""
STRIP_VALUES = 4_000_000
"""Values of luma, over all frames, that are sorted at a time; it bounds memory, not the result."""
KEY_WORD = "still-camera"

Derain = Callable[[Bytes], Bytes]


@dataclass(frozen=True)
class StillFrame:
    """A frame to score, and what the other frames say is behind its rain.

    Attributes:
        number: Its place in the clip, from 0.
        rainy: (H, W, 3) RGB.
        truth: (H, W) luma, the pseudo ground truth.
        steady: (H, W), the pixels that count.
    """

    number: int
    rainy: Bytes
    truth: Float64s
    steady: NDArray[np.bool_]

    def psnr(self, picture: Bytes) -> float:
        """Return the PSNR in dB of a picture (H, W, 3) against the pseudo ground truth."""
        return metrics.psnr(metrics.luma_matlab(picture)[self.steady], self.truth[self.steady])


@dataclass(frozen=True)
class StillScore:
    """Mean PSNR in dB over the frames, under `y-matlab`, and the gain over the rainy input."""

    psnr: float
    gain: float


def main() -> None:
    """Prints a row for the input and for each model."""
    parser = new_parser(__doc__)
    parser.add_argument("clip", type=Path, help="a video, or a folder of frames")
    parser.add_argument("models", nargs="+", help="weights by name or file")
    parser.add_argument("--frames", nargs="+", type=int, default=FRAMES, help="to score, from 0")
    parser.add_argument("--references", type=int, default=REFERENCES, help="at most, for a median")
    parser.add_argument("--device", default="auto")
    arguments = parser.parse_args()
    try:
        frames = still_frames(arguments.clip, arguments.frames, arguments.references)
        print_table(frames, arguments.models, arguments.device)
    except (OSError, ValueError) as error:
        raise SystemExit(f"still_camera.py: {error}") from None
    numbers = ", ".join(str(frame.number) for frame in frames)
    median = f"median of at most {arguments.references} frames"
    print(f"\n{kept(frames):.1%} of the pixels are steady and count. ", end="")
    print(f"{name_of(arguments.clip)}, frames {numbers} against the {median}; ", end="")
    print(f"y-matlab, float32. Measured on {describe_machine()}.")


def print_table(frames: Sequence[StillFrame], models: Sequence[str], device: str) -> None:
    """Print each row as soon as it is known."""
    rainy = still_scores(frames, lambda picture: picture)
    print(table_head("model", "PSNR, dB", "gain, dB"))
    print(f"| input | {rainy.psnr:.2f} | |", flush=True)
    for name in models:
        score = still_scores(frames, load(name, device=device, dtype="float32"))
        print(table_row(f"`{name}`", f"{score.psnr:.2f}", f"{score.gain:+.2f}"), flush=True)


def still_scores(frames: Sequence[StillFrame], derain: Derain) -> StillScore:
    """Score a model on the frames of a still camera.

    Args:
        frames: From `still_frames`; the same ones do for any number of models.
        derain: A `Derainer`, or any function from (H, W, 3) of uint8 to the same.
    """
    rainy = statistics.mean(frame.psnr(frame.rainy) for frame in frames)
    clean = statistics.mean(frame.psnr(derain(frame.rainy)) for frame in frames)
    return StillScore(clean, clean - rainy)


def card_key(clip: Path) -> str:
    """Return the key under which a card holds the gain on a clip, such as +0.72."""
    return f"{name_of(clip)} {KEY_WORD} y-matlab gain"


def name_of(clip: Path) -> str:
    """Return the name of a clip without its suffix and its spaces, which part a card's keys."""
    place = clip.resolve()
    return "-".join((place.name if place.is_dir() else place.stem).split())


def kept(frames: Sequence[StillFrame]) -> float:
    """Return the share of all pixels that count."""
    return statistics.mean(float(frame.steady.mean()) for frame in frames)


def still_frames(
    clip: Path,
    numbers: Sequence[int] = FRAMES,
    references: int = REFERENCES,
) -> list[StillFrame]:
    """Read frames of a clip, each with its pseudo ground truth.

    Args:
        clip: A video, or a folder with its frames in natural order.
        numbers: The frames to score, from 0.
        references: The most frames to take a median over.

    Raises:
        FileNotFoundError: If there is no such clip.
        ValueError: If it cannot be read, is too short for these frames, or has no steady pixels.
    """
    count = count_frames(clip)
    for number in numbers:
        if not 0 <= number < count:
            there = f"{clip} has frames 0 to {count - 1}"
            raise ValueError(f"frame {number}: {there}; name others with --frames")
    subset = regular_subset(count, references)
    others = {number: [k for k in subset if abs(k - number) > APART] for number in numbers}
    for number, used in others.items():
        if len(used) < FEWEST_REFERENCES:
            there = f"{len(used)} reference frames lie more than {APART} frames away from it"
            wanted = f"expected at least {FEWEST_REFERENCES}"
            advice = "take a longer clip or raise --references"
            raise ValueError(f"frame {number}: {there}, {wanted}; {advice}")
    pictures = read_frames(clip, {*subset, *numbers})
    found: list[StillFrame] = []
    for number in numbers:
        truth, deviation = temporal_median([pictures[k] for k in others[number]])
        found.append(StillFrame(number, pictures[number], truth, deviation < STEADY))
        if not found[-1].steady.any():
            raise ValueError(f"{clip}: no pixel is steady; expected a clip from a still camera")
    return found


def regular_subset(count: int, most: int) -> list[int]:
    """Return at most so many frame numbers, evenly spread from the first frame to the last."""
    return np.linspace(0, count - 1, min(count, max(most, 0))).round().astype(int).tolist()


def temporal_median(pictures: Sequence[Bytes]) -> tuple[Float64s, Float64s]:
    """Return the median luma of each pixel over time, and the median absolute deviation from it.

    Args:
        pictures: Each (H, W, 3).

    Returns:
        Two arrays (H, W). They are computed in strips of rows, because the luma of all frames would
        take more memory than the frames themselves.
    """
    height, width = pictures[0].shape[:2]
    median, deviation = np.empty((height, width)), np.empty((height, width))
    rows = max(1, STRIP_VALUES // (len(pictures) * width))
    for top in range(0, height, rows):
        strip = slice(top, top + rows)
        # (rows, W, frames): a median is faster along the axis that is dense in memory
        luma = np.stack([metrics.luma_matlab(picture[strip]) for picture in pictures], axis=-1)
        median[strip] = np.median(luma, axis=-1)
        deviation[strip] = np.median(np.abs(luma - median[strip][..., None]), axis=-1)
    return median, deviation


def count_frames(clip: Path) -> int:
    """Count the frames that can be read; what a video's header says is often wrong."""
    return sum(1 for _ in (frame_files(clip) if clip.is_dir() else video_frames(clip, ())))


def read_frames(clip: Path, numbers: Collection[int]) -> dict[int, Bytes]:
    """Read some frames of a clip, upright, by their numbers.

    Raises:
        ValueError: If they differ in size.
    """
    if clip.is_dir():
        files = frame_files(clip)
        found = {number: to_eight_bits(read_image(files[number])) for number in sorted(numbers)}
    else:
        frames = enumerate(video_frames(clip, numbers))
        found = {number: frame for number, frame in frames if frame is not None}
    shapes = sorted({picture.shape[:2] for picture in found.values()})
    if len(shapes) > 1:
        sizes = " and ".join(f"{width}x{height}" for height, width in shapes[:2])
        raise ValueError(f"{clip}: frames of {sizes}; expected frames of one size")
    return found


def frame_files(folder: Path) -> list[Path]:
    """Return the frames in a folder, img2 before img10.

    Raises:
        FileNotFoundError: If there are none.
        ValueError: If they lie in several folders, which would be several clips.
    """
    files = clean_pictures(folder)
    parents = {path.parent for path in files}
    if len(parents) > 1:
        there = f"pictures lie in {len(parents)} folders"
        raise ValueError(f"{folder}: {there}; expected the frames of one clip in one folder")
    return files


def video_frames(clip: Path, numbers: Collection[int]) -> Iterator[Bytes | None]:
    """Yield each frame of a video that is among the numbers, and None for each other.

    Frames are turned upright, as the header says a phone was held, because rain falls down.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is not a video that OpenCV can read.
    """
    if not clip.exists():
        raise FileNotFoundError(f"{clip}: no such clip; expected a video or a folder of frames")
    capture = cv2.VideoCapture(str(clip))
    try:
        capture.set(cv2.CAP_PROP_ORIENTATION_AUTO, 1)
        if not capture.grab():
            wanted = "a video that OpenCV can read, or a folder of frames"
            raise ValueError(f"{clip}: not a readable video; expected {wanted}")
        number, more = 0, True
        while more:
            yield _retrieved(capture) if number in numbers else None
            number, more = number + 1, capture.grab()
    finally:
        capture.release()


def _retrieved(capture: cv2.VideoCapture) -> Bytes:
    _, frame = capture.retrieve()
    return cv2.cvtColor(frame, cv2.COLOR_BGR2RGB).astype(np.uint8)


if __name__ == "__main__":
    main()
