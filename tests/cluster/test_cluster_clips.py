"""Long clips, of which several workers do some segments each, as one would do them all."""

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import archives
import av
import numpy as np
import pytest
from archives import EndedError, Here
from av import VideoFrame
from filming import Film, film, packets, shown

from derain.clips import pipeline, resume, shares
from derain.clips.plan import plan
from derain.cluster import Outcome, storage
from derain.cluster.manifest import read_manifest
from derain.cluster.places import Local
from derain.cluster.sharing import is_shared
from derain.restore import load
from derain.video.clip import Clip
from derain.video.reading import Decoded, FrameReader

MODEL = "petrichor-live"
LENGTH = 8
"""Frames of a segment in these tests."""
LONG = Film(
    times=[k * 3 + (k % 5 == 0) for k in range(70)],
    time_base=Fraction(1, 75),
    size=(32, 24),
    sound=True,
    options={"g": "12", "bf": "2"},
)
"""A clip of nine segments, with key frames inside, whose frames are shown at uneven times."""


Run = Callable[[Here], list[Outcome]]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Derain the folder ``in`` to ``out`` in this process, in short segments."""
    for module in (pipeline, resume, shares):
        monkeypatch.setattr(module, "SEGMENT_FRAMES", LENGTH)
    archives.without_ray(monkeypatch)
    (tmp_path / "in").mkdir()

    def run_here(here: Here) -> list[Outcome]:
        here.connect(monkeypatch)
        return archives.outcomes(tmp_path / "in", tmp_path / "out", MODEL, workers=2)

    return run_here


def locally(source: Path, output: Path) -> dict[str, bytes]:
    """Derain clips as the local command does it, and return the results."""
    planned = plan(sorted(source.iterdir()), output)
    for result in pipeline.run(planned.jobs, load(MODEL, **archives.SETTINGS)):
        assert result.error is None
    return archives.files_in(output)


def segments_in(output: Path) -> list[int]:
    """Return the numbers of the segments that are kept."""
    return sorted(int(path.name[:6]) for path in output.rglob("*.segment"))


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Numbers of the segments that workers store, as they do."""
    stored: list[int] = []
    write = Local.write

    def watched(place: Local, name: str, data: bytes) -> None:
        write(place, name, data)
        if name.endswith(".segment"):
            stored.append(int(Path(name).name[:6]))

    monkeypatch.setattr(Local, "write", watched)
    return stored


def test_parts_in_any_order_give_the_bytes_of_the_local_command(
    tmp_path: Path, run: Run, kept: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = film(tmp_path / "in/yard.mp4", LONG)
    film(tmp_path / "in/short.mkv", Film(times=range(LENGTH * 2)))
    starts: list[float] = []

    class Watched(FrameReader):
        def __init__(self, clip: Clip, *, start: float) -> None:
            super().__init__(clip, start=start)
            starts.append(start)

    monkeypatch.setattr(shares, "FrameReader", Watched)
    here = Here(seed=3)
    done = run(here)
    assert {(one.source, one.status, one.message) for one in done} == {
        ("yard.mp4", "done", ""),
        ("short.mkv", "done", ""),
    }
    assert here.did("part") == [("yard.mp4", 0), ("yard.mp4", 3), ("yard.mp4", 6)]
    assert here.did("join") == [("yard.mp4", 0)]
    assert sorted(kept) == list(range(9))
    # Each begins twelve frames before its first, for the temporal filter, and not at the beginning.
    zero, second, third = (round(start * 75) + LONG.times[0] for start in sorted(starts))
    assert zero == LONG.times[0]
    assert LONG.times[11] <= second <= LONG.times[12]
    assert LONG.times[35] <= third <= LONG.times[36]
    assert archives.files_in(tmp_path / "out") == locally(tmp_path / "in", tmp_path / "local")
    made = tmp_path / "out/yard_derained.mp4"
    assert [time for time, _ in shown(made)] == [time for time, _ in shown(clip)]
    assert packets(made, "audio") == packets(clip, "audio")
    assert segments_in(tmp_path / "out") == []
    row = read_manifest(Local(str(tmp_path / "out")))["yard.mp4"]
    assert row["output_sha256"] == storage.sha256_of(made.read_bytes())
    assert row["input_sha256"] == storage.sha256_of(clip.read_bytes())
    assert run(Here()) == []


def test_a_part_that_fails_fails_its_clip_and_is_all_that_the_next_run_does(
    tmp_path: Path, run: Run, kept: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    film(tmp_path / "in/yard.mp4", LONG)
    film(tmp_path / "in/other.mp4", replace(LONG, times=range(LENGTH * 3), sound=False))
    write = Local.write

    def full(place: Local, name: str, data: bytes) -> None:
        if Path(name).name.startswith("000004-"):
            raise OSError(28, "No space left on device")
        write(place, name, data)

    with monkeypatch.context() as patch:
        patch.setattr(Local, "write", full)
        done = {one.source: one for one in run(Here())}
    failed = done.pop("yard.mp4")
    assert (failed.status, failed.message) == ("failed", "No space left on device")
    assert [(one.source, one.status) for one in done.values()] == [("other.mp4", "done")]
    missing = {4, 5}
    assert segments_in(tmp_path / "out") == sorted({*range(9)} - missing)
    kept.clear()
    (again,) = run(Here())
    assert (again.source, again.status, again.message) == ("yard.mp4", "done", "")
    assert sorted(kept) == sorted(missing)
    assert archives.files_in(tmp_path / "out") == locally(tmp_path / "in", tmp_path / "local")
    assert segments_in(tmp_path / "out") == []


def test_an_interrupted_run_leaves_parts_for_the_next(
    tmp_path: Path, run: Run, kept: list[int]
) -> None:
    clip = film(tmp_path / "in/yard.mp4", LONG)
    with pytest.raises(KeyboardInterrupt):
        run(Here(seed=1, last=2))
    before = set(kept)
    assert len(before) == 6
    kept.clear()
    here = Here(seed=1)
    (done,) = run(here)
    assert done.status == "done"
    assert sorted(kept) == sorted({*range(9)} - before)
    assert archives.files_in(tmp_path / "out") == locally(tmp_path / "in", tmp_path / "local")
    assert clip.exists()


def test_another_worker_continues_a_part_whose_worker_ends(
    tmp_path: Path, run: Run, kept: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    film(tmp_path / "in/yard.mp4", LONG)
    write = Local.write
    ends = ["000004-"]

    def ending(place: Local, name: str, data: bytes) -> None:
        if ends and Path(name).name.startswith(ends[0]):
            ends.clear()
            raise EndedError
        write(place, name, data)

    monkeypatch.setattr(Local, "write", ending)
    (done,) = run(Here())
    assert done.status == "done"
    assert not ends
    assert sorted(kept) == list(range(9))  # none twice
    assert archives.files_in(tmp_path / "out") == locally(tmp_path / "in", tmp_path / "local")


def test_a_damaged_clip_is_as_the_local_command_makes_it(
    tmp_path: Path, run: Run, kept: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    # With several threads FFmpeg conceals some damage in H.264 otherwise each time.
    monkeypatch.setattr("derain.video.reading._ONE_THREAD", ("h264",))
    clip = film(tmp_path / "in/yard.mp4", replace(LONG, sound=False))
    with av.open(str(clip)) as container:
        places = [packet.pos for packet in container.demux() if packet.pos is not None]
    data = bytearray(clip.read_bytes())
    data[places[30] : places[30] + 4] = b"\xff" * 4  # a length, without which it is lost
    clip.write_bytes(data)
    here = Here()
    (done,) = run(here)
    assert done.status == "done"
    assert "damaged" in done.message
    assert len(here.did("part")) == 3
    # Nothing from the damage on, and nothing of the part before it that is not sure.
    assert 0 < len(kept) < 9
    assert archives.files_in(tmp_path / "out") == locally(tmp_path / "in", tmp_path / "local")


def test_frames_that_only_a_part_has_seen_are_not_used(
    tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Drifting(FrameReader):
        """After a jump it gives other pixels, as decoders do of some streams."""

        def __next__(self) -> Decoded:
            decoded = super().__next__()
            if self.jumped:
                pixels = np.bitwise_xor(decoded.frame.to_ndarray(), 1).astype(np.uint8)
                frame = VideoFrame.from_ndarray(pixels, format=decoded.frame.format.name)
                return replace(decoded, frame=frame)
            return decoded

        def __init__(self, clip: Clip, *, start: float) -> None:
            super().__init__(clip, start=start)
            self.jumped = start > 1

    film(tmp_path / "in/yard.mp4", replace(LONG, sound=False))
    monkeypatch.setattr(shares, "FrameReader", Drifting)
    (done,) = run(Here())
    assert (done.status, done.message) == ("done", "")
    assert archives.files_in(tmp_path / "out") == locally(tmp_path / "in", tmp_path / "local")


@pytest.mark.parametrize(
    ("clips", "workers", "expected"), [(1, 2, True), (7, 2, True), (8, 2, False), (1, 1, False)]
)
def test_clips_are_shared_out_where_they_do_not_keep_all_busy(
    clips: int, workers: int, expected: bool
) -> None:
    assert is_shared(clips, workers) == expected


def test_a_clip_that_no_one_can_decode_fails_in_one_line(tmp_path: Path, run: Run) -> None:
    (tmp_path / "in/yard.mp4").write_bytes(b"no clip at all")
    film(tmp_path / "in/other.mp4", replace(LONG, times=range(LENGTH * 3)))
    done = {one.source: one for one in run(Here())}
    assert done["other.mp4"].status == "done"
    assert done["yard.mp4"].status == "failed"
    assert "\n" not in done["yard.mp4"].message
    assert "/" not in done["yard.mp4"].message  # where the worker's copy lay
