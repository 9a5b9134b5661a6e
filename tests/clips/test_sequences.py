"""Clips whose frames are pictures: from animated files and folders to files and to frames."""

import threading
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from numpy_engines import Unchanged

from derain.clips.folders import frames_in
from derain.clips.names import is_animated, is_video, numbered
from derain.clips.options import USUAL, Options
from derain.clips.results import Result
from derain.clips.sequences import SequenceJob, kind_of_target, plan_sequence, run_sequences
from derain.clips.sources import trimmed
from derain.errors import DerainError, UsageError
from derain.images import Metadata, Picture, read, read_image, write_image
from derain.images.animations import Facts, TimedFrame, open_animation, write_animation
from derain.restore import Derainer, restore_frames
from derain.tiles import Float32s

HEIGHT, WIDTH, COUNT = 24, 32, 9
SECONDS = [Fraction(k, 100) for k in (4, 5, 0, 7, 8, 9, 10, 11, 12)]


class Darker(Unchanged):
    """Takes half of the light."""

    def forward(self, rainy: Float32s) -> Float32s:
        return rainy * np.float32(0.5)


@pytest.fixture
def frames() -> list[NDArray[Any]]:
    """A still scene with noise."""
    dice = np.random.default_rng(0)
    return [dice.integers(100, 110, (HEIGHT, WIDTH, 3), np.uint8) for _ in range(COUNT)]


@pytest.fixture
def alphas() -> list[NDArray[Any]]:
    """Holes that move."""
    made = np.full((COUNT, HEIGHT, WIDTH), 255, np.uint8)
    for k in range(COUNT):
        made[k, k : k + 5, 4:9] = 0
    return list(made)


@pytest.fixture
def clip(tmp_path: Path, frames: list[NDArray[Any]], alphas: list[NDArray[Any]]) -> Path:
    """An animated PNG of these, which is shown three times."""
    metadata = Metadata("PNG", xmp=b"<x:xmpmeta xmlns:x='adobe:ns:meta/'/>")
    picture = Picture(np.zeros((1, 1, 3), np.uint8), np.zeros((1, 1), np.uint8), metadata=metadata)
    shots = [TimedFrame(*each) for each in zip(frames, alphas, SECONDS, strict=True)]
    path = tmp_path / "clip.png"
    write_animation(path, "PNG", Facts(WIDTH, HEIGHT, 3, picture), shots, [])
    unmark(path)
    return path


def unmark(path: Path) -> None:
    """Take derain's mark out of a PNG, as if another program had made it."""
    data = path.read_bytes()
    place = data.index(b"eXIf") - 4
    length = int.from_bytes(data[place : place + 4], "big") + 12
    path.write_bytes(data[:place] + data[place + length :])


def planned(path: Path, output: str | Path | None = None, **options: Any) -> SequenceJob:
    """Return the job for a clip."""
    settings: dict[str, Any] = {"temporal": 5, **options}
    job = plan_sequence(path, output, Options(**settings))
    assert job is not None
    return job


def done(job: SequenceJob, derainer: Derainer | None = None) -> Result:
    """Do a job."""
    (result,) = run_sequences([job], derainer)
    return result


@pytest.mark.parametrize("suffix", [".png", ".webp", ".gif"])
def test_all_but_the_rain_is_kept(
    clip: Path, frames: list[NDArray[Any]], alphas: list[NDArray[Any]], suffix: str
) -> None:
    derainer = Derainer(Darker())
    job = planned(clip, clip.with_name(f"out{suffix}"))
    result = done(job, derainer)
    assert (result.status, result.frames, result.error) == ("done", COUNT, None)
    animation = open_animation(job.target)
    assert (animation.count, animation.facts.plays) == (COUNT, 3)
    assert animation.facts.picture.metadata.xmp.startswith(b"<x:xmpmeta")
    expected = restore_frames(frames, derainer, temporal=5)
    for k, (found, wanted) in enumerate(zip(animation.frames(), expected, strict=True)):
        assert found.seconds == SECONDS[k]
        assert found.alpha is not None
        assert np.array_equal(found.alpha, alphas[k])
        apart = np.abs(found.pixels.astype(int) - wanted)[alphas[k] > 0]
        assert apart.max() <= {".png": 0, ".webp": 12, ".gif": 4}[suffix]


def test_a_result_is_called_as_that_of_a_picture(clip: Path, tmp_path: Path) -> None:
    assert planned(clip).target == tmp_path / "clip_derained.png"
    assert planned(clip, tmp_path / "out/").target == tmp_path / "out" / "clip.png"
    assert planned(clip, preview=1).target == tmp_path / "clip_preview.png"
    job = plan_sequence(clip, None, USUAL, suffix=".webp")
    assert job is not None
    assert (job.target.name, job.format) == ("clip_derained.webp", "WEBP")


def test_results_are_left_alone(clip: Path) -> None:
    job = planned(clip)
    assert done(job, Derainer(Unchanged())).status == "done"
    again = done(job, Derainer(Unchanged()))
    assert again.status == "skipped"
    assert "already exists" in again.message
    assert plan_sequence(job.target, None, USUAL, is_named=False) is None
    assert "derained again" in done(planned(job.target), Derainer(Unchanged())).message


def test_a_part_is_what_begins_in_it(clip: Path) -> None:
    # A frame of no time is shown as browsers do, a tenth of a second.
    job = planned(clip, clip.with_name("out.png"), start=0.05, end=0.27)
    assert done(job, Derainer(Unchanged())).frames == 3
    assert [frame.seconds for frame in open_animation(job.target).frames()] == SECONDS[2:5]
    late = done(planned(clip, clip.with_name("late.png"), start=9), Derainer(Unchanged()))
    assert "ends at 0.76 s, and has no frame from 9 s on" in late.message
    assert not late.target.exists()


def test_frames_become_files_and_files_frames(
    clip: Path, tmp_path: Path, frames: list[NDArray[Any]], alphas: list[NDArray[Any]]
) -> None:
    job = planned(clip, tmp_path / "f" / "%03d.png")
    assert job.kind == "pictures"
    assert done(job, Derainer(Unchanged())).frames == COUNT
    files = frames_in(tmp_path / "f")
    assert [file.name for file in files] == [f"{k:03}.png" for k in range(1, COUNT + 1)]
    expected = list(restore_frames(frames, None, temporal=5))
    for file, pixels, alpha in zip(files, expected, alphas, strict=True):
        picture = read(file)
        assert np.array_equal(picture.pixels, pixels)
        assert picture.alpha is not None
        assert np.array_equal(picture.alpha, alpha)
        assert picture.is_result
    back = plan_sequence(
        tmp_path / "f", tmp_path / "b.webp", Options(temporal=3), files=files, rate=Fraction(10)
    )
    assert back is not None
    assert done(back).status == "done"
    assert [frame.seconds for frame in open_animation(back.target).frames()] == [
        Fraction(1, 10)
    ] * COUNT


@pytest.mark.parametrize("there", [1, 6, COUNT])
def test_frames_that_are_there_are_left_alone(clip: Path, tmp_path: Path, there: int) -> None:
    job = planned(clip, tmp_path / "f" / "%d.png")
    done(job)
    data = [job.path_of(k).read_bytes() for k in range(COUNT)]
    for k in range(there, COUNT):
        job.path_of(k).unlink()
    job.path_of(0).write_bytes(b"mine")
    result = done(job)
    assert result.status == ("skipped" if there == COUNT else "done")
    assert job.path_of(0).read_bytes() == b"mine"
    assert [job.path_of(k).read_bytes() for k in range(1, COUNT)] == data[1:]


def test_frames_of_other_sizes_are_named(clip: Path, tmp_path: Path) -> None:
    (tmp_path / "f").mkdir()
    for k in range(3):
        write_image(tmp_path / "f" / f"{k}.png", np.zeros((8, 9 + k // 2, 3), np.uint8))
    files = frames_in(tmp_path / "f")
    job = plan_sequence(tmp_path / "f", tmp_path / "a.gif", Options(temporal=3), files=files)
    assert job is not None
    result = done(job)
    assert result.status == "failed"
    assert "2.png: a frame of 10x8 pixels; expected 9x8, as the first" in result.message
    assert not job.target.exists()


def test_what_fails_leaves_nothing(clip: Path, tmp_path: Path) -> None:
    class Failing(Unchanged):
        def forward(self, rainy: Float32s) -> Float32s:
            if len(self.seen) > 3:
                raise ValueError("broken")
            return rainy

    for name in ("a.gif", "a.png", "a.webp"):
        result = done(planned(clip, tmp_path / name), Derainer(Failing()))
        assert (result.status, result.message) == ("failed", "broken")
    assert [path.name for path in tmp_path.iterdir()] == ["clip.png"]
    assert not [each for each in threading.enumerate() if each.name.startswith("derain-")]


def test_few_frames_are_held(clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = read_image_of(clip)
    picture = Picture(np.zeros((1, 1, 3), np.uint8))
    shots = (TimedFrame(pixels, None, Fraction(1, 10)) for _ in range(200))
    write_animation(tmp_path / "long.gif", "GIF", Facts(WIDTH, HEIGHT, 0, picture), shots, [])
    given, taken, most = 0, 0, 0

    def counted(frames: Iterator[TimedFrame], *_: Any) -> Iterator[TimedFrame]:
        nonlocal given, most
        for frame in frames:
            given += 1
            most = max(most, given - taken)
            yield frame

    def write(path: Path, _format: str, _facts: Facts, frames: Any, notes: Any) -> int:
        nonlocal taken
        for _ in frames:
            taken += 1
        return taken

    monkeypatch.setattr("derain.clips.sequences.trimmed", counted)
    monkeypatch.setattr("derain.clips.sequences.write_animation", write)
    assert done(planned(tmp_path / "long.gif"), Derainer(Unchanged())).frames == 200
    # Half a window, two queues, and those in the hands of three threads.
    assert most <= 2 + 4 + 4 + 5


def read_image_of(clip: Path) -> NDArray[Any]:
    return next(open_animation(clip).frames()).pixels


def test_what_cannot_be_meant_is_refused(clip: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"a .jpg holds one picture; expected .* clean-%06d.jpg"):
        planned(clip, "clean.jpg")
    with pytest.raises(UsageError, match="not a picture format"):
        planned(clip, "clean.xyz")
    with pytest.raises(DerainError, match="the result would overwrite its input"):
        planned(clip, clip)
    with pytest.raises(DerainError, match="no such file"):
        planned(tmp_path / "absent.gif")
    with pytest.raises(UsageError, match="nothing to do without a model"):
        run_sequences([planned(clip, temporal="off")], None)
    with pytest.raises(UsageError, match="preview=0"):
        planned(clip, preview=0)


def test_kinds_of_targets(tmp_path: Path) -> None:
    (tmp_path / "folder.gif").mkdir()
    assert kind_of_target(tmp_path / "folder.gif") is None
    assert kind_of_target("a/") is None
    assert kind_of_target("dry") is None
    assert kind_of_target("a.GIF") == kind_of_target("a.avif") == "animation"
    assert kind_of_target("a.mkv") == "video"
    assert kind_of_target("a.jpg") == kind_of_target("a.TIFF") == "picture"
    assert kind_of_target("a/%d.jpg") == kind_of_target("a-%06d.tif") == "pictures"


def test_names_that_count() -> None:
    assert numbered("a/f%4d.png", 12) == Path("a/f0012.png")
    assert numbered("f%d.png", 12) == Path("f12.png")
    assert numbered("f%d-%d.png", 12) is None


def test_animated_pictures_are_known_by_their_heads(clip: Path, tmp_path: Path) -> None:
    assert is_animated(clip)
    assert is_animated(tmp_path / "absent.gif")
    assert not is_animated(tmp_path / "absent.png")
    assert not is_animated(tmp_path)
    for name in ("still.png", "still.webp"):
        write_image(tmp_path / name, np.zeros((3, 4, 3), np.uint8))
        assert not is_animated(tmp_path / name)
    for name in ("a.webp", "one.webp"):
        count = COUNT if name == "a.webp" else 1
        picture = Picture(np.zeros((1, 1, 3), np.uint8))
        shots = list(open_animation(clip).frames())[:count]
        write_animation(tmp_path / name, "WEBP", Facts(WIDTH, HEIGHT, 0, picture), shots, [])
        assert is_animated(tmp_path / name) == (count > 1)
    (tmp_path / "short.png").write_bytes(clip.read_bytes()[:20])
    assert not is_animated(tmp_path / "short.png")


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (b"\0\0\0\x20ftypisom", True),
        (b"\0\0\0\x14ftypqt  ", True),
        (b"\0\0\0\x18ftypheic", False),
        (b"\0\0\0\x18ftypcrx ", False),  # a raw photograph
        (b"\0\0\0\x08wide\0\0\0\0mdat", True),
        (b"\x1aE\xdf\xa3", True),
        (b"RIFF\0\0\0\0AVI LIST", True),
        (b"RIFF\0\0\0\0WEBPVP8 ", False),
        (b"\0\0\x01\xba", True),
        (b"G" + bytes(187) + b"G", True),
        (bytes(4) + b"G" + bytes(187) + b"G", True),
        (b"GIF89a", False),
        (b"\xff\xd8\xff\xe0", False),
        (b"II*\0", False),
        (b"", False),
    ],
)
def test_a_video_is_known_by_its_beginning(head: bytes, expected: bool, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(head)
    assert is_video(tmp_path / "a") == expected
    # An ending that derain reads as a picture is believed.
    (tmp_path / "a.jpg").write_bytes(head)
    assert not is_video(tmp_path / "a.jpg")
    assert is_video(tmp_path / "absent.mp4")
    assert not is_video(tmp_path / "absent")
    assert not is_video(tmp_path)


@pytest.mark.parametrize("name", ["a.png", "a.gif", "a.webp", "a.avif"])
def test_pipes_are_no_clips(name: str, tmp_path: Path, mkfifo: Callable[[Path], None]) -> None:
    mkfifo(tmp_path / name)
    assert not is_animated(tmp_path / name)
    with pytest.raises(DerainError, match="a pipe or a device; expected a file or a folder"):
        planned(tmp_path / name)


def test_parts_count_time_as_browsers_do() -> None:
    pixels = np.zeros((1, 1, 3), np.uint8)
    shots = [TimedFrame(pixels, None, Fraction(k % 2, 10)) for k in range(6)]
    assert len(list(trimmed(iter(shots), "a", 0, 0.3))) == 3
    assert len(list(trimmed(iter(shots), "a", 0.2, None))) == 4
    with pytest.raises(DerainError, match="ends at"):
        list(trimmed(iter(shots), "a", 1, None))


def test_pictures_of_one_frame_are_still(tmp_path: Path, clip: Path) -> None:
    picture = Picture(np.zeros((1, 1, 3), np.uint8))
    shots = list(open_animation(clip).frames())[:1]
    write_animation(tmp_path / "a.gif", "GIF", Facts(WIDTH, HEIGHT, 1, picture), shots, [])
    job = planned(tmp_path / "a.gif")
    assert job.is_still
    assert not planned(clip).is_still
    assert done(job).frames == 1
    assert np.array_equal(read_image_of(job.target)[8:], read_image_of(tmp_path / "a.gif")[8:])
    with pytest.raises(ValueError, match="a GIF animation of 1 frame"):
        read_image(job.target)
