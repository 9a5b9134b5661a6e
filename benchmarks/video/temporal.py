r"""Print what neighbouring frames add: before a still camera, past what moves, on a moving camera.

    python -m benchmarks.video.temporal --still yard.mp4 --clean CLEAN/val \
        --moving FRAMES --train CLEAN/train

Three tables, of which each needs one of the options:

- Real rain before a still camera: PSNR as `benchmarks.quality.still_camera` defines it.
- Scenes with seeded rain and moving things, whose clean frames are known: PSNR of RGB over all
  frames but the first and last three, apart for pixels that stay and pixels that move.
- Real rain before a moving camera, without clean frames: NIQE, averaged over the frames. Nothing
  counts as still there, so that the window makes no difference.
"""

from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np

from benchmarks.command import new_parser
from benchmarks.machine import describe_machine
from benchmarks.quality.still_camera import FRAMES, kept, read_frames, still_frames
from benchmarks.tables import table_head, table_row
from benchmarks.video.scene import Scene, scene
from derain.data import clean_pictures
from derain.images import read_image, to_eight_bits
from derain.metrics import Bytes, NaturalModel, psnr
from derain.metrics.niqe import fit, niqe
from derain.restore import Derainer, load
from derain.video.frame import Frame
from derain.video.temporal import AUTO, steadied

WINDOWS = 3, 5, 7, 11, 15
MODELS = "none", "petrichor-live", "petrichor"
SCENES = (("rain100h", 0, (5, 6, 7)), ("rain100l", 3, (8, 9, 10)), ("mixed", 11, (12, 13, 1)))
"""Presets, and places of the background and of what moves among the clean pictures."""
SCENE_FRAMES = 24
EDGE = 3
"""Frames at both ends of a scene that are not scored, for their windows are cut off."""


def main() -> None:
    """Print the tables for which there are data."""
    parser = new_parser(__doc__)
    parser.add_argument("--still", type=Path, help="clip before a still camera")
    parser.add_argument("--clean", type=Path, help="folder of clean pictures")
    parser.add_argument("--moving", type=Path, help="folder of frames of a moving camera")
    parser.add_argument("--train", type=Path, help="folder of clean pictures to fit NIQE on")
    parser.add_argument("--models", nargs="+", default=MODELS, help="weights; none for none")
    parser.add_argument("--windows", nargs="+", type=int, default=WINDOWS)
    arguments = parser.parse_args()
    models, windows = arguments.models, arguments.windows
    if arguments.still:
        _print_still(arguments.still, models, windows)
    if arguments.clean:
        _print_scenes(arguments.clean, models, windows)
    if arguments.moving:
        if not arguments.train:
            parser.error("--moving needs --train, clean pictures to fit NIQE on")
        _print_moving(arguments.moving, arguments.train, models)
    print(f"\nfloat32. Measured on {describe_machine()}.")


@cache
def _model(name: str) -> Derainer | None:
    return None if name == "none" else load(name, device="cpu", dtype="float32")


def _restored(name: str, frames: Sequence[Bytes]) -> list[Bytes]:
    model = _model(name)
    return list(frames) if model is None else [model(frame) for frame in frames]


def _steadied(frames: Sequence[Bytes], window: int) -> list[Bytes]:
    given = (Frame.of_rgb(np.ascontiguousarray(frame)) for frame in frames)
    return [frame.rgb() for frame in steadied(given, window)]


def _print_still(clip: Path, models: Sequence[str], windows: Sequence[int]) -> None:
    """Print a row for each model; only the frames that a window needs are derained."""
    scored = still_frames(clip)
    reach = max(windows) // 2
    wanted = {n + k for n in FRAMES for k in range(-reach, reach + 1)}
    rainy = read_frames(clip, wanted)
    print(table_head("model", "single frames", *(f"window {w}" for w in windows)))
    for name in models:
        clean = dict(zip(rainy, _restored(name, list(rainy.values())), strict=True))
        cells = [f"{np.mean([each.psnr(clean[each.number]) for each in scored]):.2f}"]
        for window in windows:
            half = window // 2
            found: list[float] = []
            for each in scored:
                around = [clean[n] for n in range(each.number - half, each.number + half + 1)]
                found.append(each.psnr(_steadied(around, window)[half]))
            cells.append(f"{np.mean(found):.2f}")
        print(table_row(f"`{name}`", *cells), flush=True)
    numbers = ", ".join(map(str, FRAMES))
    print(
        f"\nPSNR in dB, y-matlab, {clip.name}, frames {numbers}, {kept(scored):.1%} of the pixels."
    )


def _print_scenes(clean: Path, models: Sequence[str], windows: Sequence[int]) -> None:
    paths = clean_pictures(clean)
    columns = [f"window {w}, {kind}" for w in windows for kind in ("stays", "moves")]
    print("\n" + table_head("rain", "model", "single, stays", "single, moves", *columns))
    for seed, (preset, background, things) in enumerate(SCENES, 1):
        pictures = [to_eight_bits(read_image(paths[k])) for k in (background, *things)]
        made = scene(pictures, preset, seed, SCENE_FRAMES)
        for name in models:
            restored = _restored(name, made.rainy)
            single = _scores(made, restored)
            cells = [f"{value:.2f}" for value in single]
            for window in windows:
                found = _scores(made, _steadied(restored, window))
                cells += [f"{a - b:+.2f}" for a, b in zip(found, single, strict=True)]
            print(table_row(f"`{preset}`", f"`{name}`", *cells), flush=True)
    print(
        f"\nPSNR of RGB in dB, and the gain over single frames; {SCENE_FRAMES} frames of"
        f" {clean.parent.name}/{clean.name} a scene, rain of its own in each."
    )


def _scores(made: Scene, frames: Sequence[Bytes]) -> tuple[float, float]:
    """Return PSNR in dB of the pixels that stay, and of those that move."""
    part = slice(EDGE, len(frames) - EDGE)
    moves = np.stack(made.moves[part])
    one, other = np.stack(frames[part]), np.stack(made.clean[part])
    return psnr(one[~moves], other[~moves]), psnr(one[moves], other[moves])


def _print_moving(folder: Path, clean: Path, models: Sequence[str]) -> None:
    frames = [to_eight_bits(read_image(path)) for path in clean_pictures(folder)]
    natural = fit(read_image(path) for path in clean_pictures(clean))
    print("\n" + table_head("model", "single frames", f"window {AUTO}"))
    for name in models:
        restored = _restored(name, frames)
        made = _steadied(restored, AUTO)
        print(table_row(f"`{name}`", _niqe(restored, natural), _niqe(made, natural)), flush=True)
    print(f"\nNIQE, {natural.describe()}; {len(frames)} frames of {folder.name}.")


def _niqe(frames: Sequence[Bytes], natural: NaturalModel) -> str:
    return f"{np.mean([niqe(frame, natural) for frame in frames]):.3f}"


if __name__ == "__main__":
    main()
