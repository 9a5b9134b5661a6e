"""Scores on real rain before a still camera, on clips whose truth is known."""

import struct
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks.quality import still_camera
from derain.images import write_image
from derain.metrics import luma_matlab
from derain.restore import load

COUNT = 60
NUMBER = 30
BLOCK = (slice(70, 100), slice(40, 90))
"""Where something moves in every frame."""

Bytes = NDArray[np.uint8]


@pytest.fixture
def rainy_frames(photo: Bytes) -> list[Bytes]:
    """A photograph with a flickering block, under streaks that fall on other columns each time."""
    draws = np.random.default_rng(0)
    frames: list[Bytes] = []
    for _ in range(COUNT):
        frame = photo.astype(int)
        frame[BLOCK] = draws.integers(0, 256, (30, 50, 1))
        for column in draws.integers(0, 160, 16):
            top = draws.integers(0, 90)
            frame[top : top + 30, column] += 60
        frames.append(np.clip(frame, 0, 255).astype(np.uint8))
    return frames


@pytest.fixture
def clip(tmp_path: Path, rainy_frames: list[Bytes]) -> Path:
    """The frames as files; by their plain names frame10 would come before frame2."""
    folder = tmp_path / "a clip"
    folder.mkdir()
    for number, frame in enumerate(rainy_frames):
        write_image(folder / f"frame{number}.png", frame)
    return folder


def by_hand(frames: list[Bytes], number: int, picture: Bytes) -> float:
    """The score as the docstring of the script defines it, on all frames at once."""
    far = [frame for k, frame in enumerate(frames) if k < number - 10 or k > number + 10]
    luma = np.stack([luma_matlab(frame) for frame in far])
    truth = np.median(luma, axis=0)
    steady = np.median(np.abs(luma - truth), axis=0) < 4
    error = (luma_matlab(picture) - truth)[steady]
    return float(10 * np.log10(255**2 / np.mean(error**2)))


def test_the_input_scores_as_computed_by_hand(clip: Path, rainy_frames: list[Bytes]) -> None:
    numbers = [5, NUMBER]
    expected = np.mean([by_hand(rainy_frames, k, rainy_frames[k]) for k in numbers])
    score = still_camera.still_scores(still_camera.still_frames(clip, numbers), lambda frame: frame)
    assert score.psnr == pytest.approx(expected, abs=1e-9)
    assert score.gain == 0


def test_strips_change_nothing(rainy_frames: list[Bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    whole = still_camera.temporal_median(rainy_frames)
    monkeypatch.setattr(still_camera, "STRIP_VALUES", COUNT * 160 * 7)  # seven rows of 120
    for strips, expected in zip(still_camera.temporal_median(rainy_frames), whole, strict=True):
        np.testing.assert_array_equal(strips, expected)


def test_a_model_that_returns_the_truth_scores_higher(clip: Path, photo: Bytes) -> None:
    frames = still_camera.still_frames(clip, [NUMBER])
    rainy = still_camera.still_scores(frames, lambda frame: frame)
    half = still_camera.still_scores(frames, lambda frame: frame // 2 + photo // 2)
    perfect = still_camera.still_scores(frames, lambda _: photo)
    assert rainy.psnr < half.psnr < perfect.psnr
    assert half.gain == pytest.approx(half.psnr - rainy.psnr)
    assert perfect.psnr > 60, "the median of the frames is the photograph"


def test_pixels_that_move_do_not_count(clip: Path, photo: Bytes) -> None:
    (frame,) = still_camera.still_frames(clip, [NUMBER])
    outside = np.ones((120, 160), bool)
    outside[BLOCK] = False
    assert not frame.steady[BLOCK].any()
    assert frame.steady[outside].all(), "rain alone does not make a pixel move"
    spoilt = photo.copy()
    spoilt[BLOCK] = 255
    assert frame.psnr(spoilt) == frame.psnr(photo)
    assert still_camera.kept([frame]) == pytest.approx(1 - 1500 / 19200)


def test_a_subset_is_regular_and_leaves_out_what_is_near(
    clip: Path, rainy_frames: list[Bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert still_camera.regular_subset(376, 4) == [0, 125, 250, 375]
    assert still_camera.regular_subset(5, 60) == [0, 1, 2, 3, 4]
    read: list[set[int]] = []
    read_frames = still_camera.read_frames

    def noting(place: Path, numbers: set[int]) -> dict[int, Bytes]:
        read.append(numbers)
        return read_frames(place, numbers)

    monkeypatch.setattr(still_camera, "read_frames", noting)
    (frame,) = still_camera.still_frames(clip, [NUMBER], references=20)
    assert read == [{*still_camera.regular_subset(COUNT, 20), NUMBER}]
    far = [rainy_frames[k] for k in read[0] if abs(k - NUMBER) > 10]
    assert len(far) < 20
    np.testing.assert_array_equal(frame.truth, still_camera.temporal_median(far)[0])


def test_a_clip_that_is_too_short_is_refused(clip: Path) -> None:
    with pytest.raises(ValueError, match=r"frame 60: .* has frames 0 to 59; name others"):
        still_camera.still_frames(clip, [5, COUNT])
    with pytest.raises(ValueError, match=r"frame -1: .* has frames 0 to 59; name others"):
        still_camera.still_frames(clip, [-1])
    for number in range(20, COUNT):
        (clip / f"frame{number}.png").unlink()
    with pytest.raises(ValueError, match="frame 10: 0 reference frames lie more than 10 "):
        still_camera.still_frames(clip, [10])


def test_other_input_is_refused(clip: Path, tmp_path: Path, photo: Bytes) -> None:
    with pytest.raises(FileNotFoundError, match="no such clip; expected a video or a folder"):
        still_camera.still_frames(tmp_path / "none.mp4")
    (tmp_path / "text.mp4").write_text("no video")
    with pytest.raises(ValueError, match="not a readable video; expected"):
        still_camera.still_frames(tmp_path / "text.mp4")
    write_image(clip / "frame3.png", photo[:50])
    with pytest.raises(ValueError, match="frames of 160x50 and 160x120; expected frames of one"):
        still_camera.still_frames(clip, [NUMBER])
    (clip / "more").mkdir()
    write_image(clip / "more/1.png", photo)
    with pytest.raises(ValueError, match="pictures lie in 2 folders; expected the frames of"):
        still_camera.still_frames(clip, [NUMBER])
    noise = tmp_path / "noise"
    noise.mkdir()
    for number in range(COUNT):
        level = np.full((8, 8, 3), 20 * (number % 13), np.uint8)
        write_image(noise / f"{number}.png", level)
    with pytest.raises(ValueError, match="no pixel is steady; expected a clip from a still camera"):
        still_camera.still_frames(noise, [NUMBER])


def write_video(path: Path, frames: list[Bytes], codec: str) -> None:
    height, width = frames[0].shape[:2]
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*codec), 25, (width, height))
    assert writer.isOpened()
    for frame in frames:
        writer.write(cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))
    writer.release()


def test_a_video_is_read_as_its_frames_are(tmp_path: Path, rainy_frames: list[Bytes]) -> None:
    path = tmp_path / "yard.avi"
    write_video(path, rainy_frames, "FFV1")
    assert still_camera.count_frames(path) == COUNT
    found = still_camera.read_frames(path, {0, NUMBER, COUNT - 1})
    assert sorted(found) == [0, NUMBER, COUNT - 1]
    for number, frame in found.items():
        difference = np.abs(frame.astype(int) - rainy_frames[number])
        assert difference.mean() < 2, "the codec is lossless but for its colour space"


def test_a_turned_video_is_read_upright(tmp_path: Path, rainy_frames: list[Bytes]) -> None:
    path = tmp_path / "phone.mp4"
    write_video(path, rainy_frames[:3], "mp4v")
    (lying,) = still_camera.read_frames(path, {1}).values()
    assert lying.shape == (120, 160, 3)
    data = path.read_bytes()
    # The matrix of a track's header: ISO/IEC 14496-12, section 8.3.2; a quarter turn clockwise.
    matrix = data.index(b"tkhd") + 4 + 40
    turn = struct.pack(">9i", 0, 0x10000, 0, -0x10000, 0, 0, 120 << 16, 0, 0x40000000)
    path.write_bytes(data[:matrix] + turn + data[matrix + len(turn) :])
    (upright,) = still_camera.read_frames(path, {1}).values()
    np.testing.assert_array_equal(upright, np.rot90(lying, -1))


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> None:
    monkeypatch.setattr("sys.argv", ["still_camera.py", *arguments])
    still_camera.main()


def test_the_table(
    clip: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run(monkeypatch, str(clip), "petrichor-live", "--frames", str(NUMBER), "--device", "cpu")
    frames = still_camera.still_frames(clip, [NUMBER])
    rainy = still_camera.still_scores(frames, lambda frame: frame)
    score = still_camera.still_scores(frames, load("petrichor-live", device="cpu", dtype="float32"))
    lines = capsys.readouterr().out.splitlines()
    assert lines[2] == f"| input | {rainy.psnr:.2f} | |"
    assert lines[3] == f"| `petrichor-live` | {score.psnr:.2f} | {score.gain:+.2f} |"
    assert score.gain > 1
    assert lines[-1].startswith("92.2% of the pixels are steady and count. a-clip, frames 30 ")
    assert "y-matlab, float32. Measured on" in lines[-1]


def test_errors_are_one_line(clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SystemExit, match=r"^still_camera.py: frame 120: .*--frames$"):
        run(monkeypatch, str(clip), "petrichor-live", "--frames", "20", "120")
    with pytest.raises(SystemExit, match=r"^still_camera.py: no-such-weights: .*$"):
        run(monkeypatch, str(clip), "no-such-weights", "--frames", "20")
