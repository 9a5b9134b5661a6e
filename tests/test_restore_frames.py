"""Frames as they come: as many, in order, of the same types, and steadied by their neighbours."""

import itertools
import weakref
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from numpy_engines import Unchanged
from PIL import Image

import derain
from derain.errors import UsageError
from derain.restore import Derainer
from derain.tiles import Float32s


class Darker(Unchanged):
    """Takes half of the light."""

    def forward(self, rainy: Float32s) -> Float32s:
        return rainy * np.float32(0.5)


def still_scene(count: int, dtype: str = "uint8") -> list[NDArray[Any]]:
    """A scene that stays, each frame with a bright drop of rain somewhere else, (48, 64, 3)."""
    top = np.iinfo(dtype).max
    rows, columns = np.mgrid[:48, :64]
    scene = (top * (0.2 + 0.3 * (rows + columns) / 110)).astype(dtype)
    frames = [np.repeat(scene[..., None], 3, axis=2) for _ in range(count)]
    for k, frame in enumerate(frames):
        row, column = 6 + 17 * k % 30, 6 + 23 * k % 50
        frame[row : row + 6, column] = 0.7 * top
    return frames


def error(frames: list[NDArray[Any]], clean: NDArray[Any]) -> float:
    return float(np.mean([np.abs(frame.astype(float) - clean).mean() for frame in frames]))


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_neighbours_take_the_rain_out(dtype: str) -> None:
    frames = still_scene(15, dtype)
    clean = np.median(np.stack(frames), axis=0)
    made = list(derain.restore_frames(frames, None, temporal="auto"))
    assert [(frame.dtype, frame.shape) for frame in made] == [(dtype, (48, 64, 3))] * 15
    assert error(made, clean) < 0.5 * error(frames, clean)


def test_a_network_works_on_each_frame() -> None:
    frames = still_scene(4)
    made = list(derain.restore_frames(frames, Derainer(Darker()), temporal="off"))
    assert all(
        np.array_equal(new, Derainer(Darker())(old)) for new, old in zip(made, frames, strict=True)
    )


@pytest.mark.parametrize("count", [0, 1, 2, 3, 12])
@pytest.mark.parametrize("temporal", ["off", 3, "auto"])
def test_as_many_come_out(count: int, temporal: str | int) -> None:
    frames = still_scene(count)
    assert len(list(derain.restore_frames(frames, Derainer(Darker()), temporal=temporal))) == count


def test_frames_come_half_a_window_later() -> None:
    taken: list[int] = []

    def camera() -> Iterator[NDArray[Any]]:
        for k, frame in enumerate(still_scene(10)):
            taken.append(k)
            yield frame

    made = derain.restore_frames(camera(), None, temporal=5)
    assert taken == []
    next(made)
    assert len(taken) == 5
    assert len([next(made) for _ in range(3)]) == 3
    assert len(taken) == 6
    assert len(list(made)) == 6


def test_a_camera_may_film_for_ever() -> None:
    made: list[weakref.ref[Any]] = []
    most = 0

    def camera() -> Iterator[NDArray[Any]]:
        nonlocal most
        for frame in itertools.cycle(still_scene(3)):
            one = frame.copy()
            made.append(weakref.ref(one))
            most = max(most, sum(each() is not None for each in made))
            yield one
            del one

    frames = derain.restore_frames(camera(), Derainer(Darker()), temporal=5)
    assert len(list(itertools.islice(frames, 60))) == 60
    # What was given is held as long as it may be wanted back in its own kind.
    assert most <= 5 + 2
    # Nobody asks for more: the camera is put away.
    frames.close()  # pyright: ignore[reportAttributeAccessIssue]


def test_another_type_begins_a_new_scene() -> None:
    one = still_scene(1)[0]
    frames = [one, one, one / 255, one[..., 0], one]
    made = list(derain.restore_frames(frames, None, temporal=3))
    kinds = [(frame.shape, frame.dtype) for frame in frames]
    assert [(frame.shape, frame.dtype) for frame in made] == kinds


def test_kinds_of_frames_are_kept() -> None:
    rgb = still_scene(3)
    alpha = [np.dstack([frame, np.full((48, 64), 40 * k, np.uint8)]) for k, frame in enumerate(rgb)]
    floats = [frame / np.float32(255) for frame in rgb]
    for frames in (alpha, floats, [frame[..., 0] for frame in rgb]):
        made = list(derain.restore_frames(frames, None, temporal=3))
        assert [(m.shape, m.dtype) for m in made] == [(f.shape, f.dtype) for f in frames]
    made = list(derain.restore_frames(alpha, None, temporal=3))
    assert [int(frame[0, 0, 3]) for frame in made] == [0, 40, 80]
    pictures = [Image.fromarray(frame) for frame in rgb]
    assert all(
        isinstance(made, Image.Image) and made.size == (64, 48)
        for made in derain.restore_frames(pictures, None, temporal=3)
    )


def test_floats_of_half_precision_keep_their_light() -> None:
    white = [np.ones((8, 8, 3), np.float16)] * 3
    for made in derain.restore_frames(white, None, temporal=3):
        assert made.dtype == np.float16
        assert float(made.min()) > 0.99


def test_a_reader_may_use_its_memory_again() -> None:
    def camera() -> Iterator[NDArray[np.uint8]]:
        frame = np.zeros((16, 24, 4), np.uint8)
        for k in range(6):
            frame[:] = 40 * k
            yield frame

    made = derain.restore_frames(camera(), None, temporal=3)
    assert [int(frame[0, 0, 3]) for frame in made] == [0, 40, 80, 120, 160, 200]


def test_another_size_begins_a_new_scene() -> None:
    frames = [*still_scene(4), *(frame[:24] for frame in still_scene(4))]
    made = list(derain.restore_frames(frames, None, temporal=3))
    assert [frame.shape for frame in made] == [frame.shape for frame in frames]


@pytest.mark.parametrize("temporal", [2, 4, -3, 1, "often", True, 5.0])
def test_a_window_is_odd(temporal: Any) -> None:
    with pytest.raises(UsageError, match=r"temporal=.*expected auto, off, or an odd number"):
        derain.restore_frames([], None, temporal=temporal)


def test_what_cannot_be_meant_is_refused_at_once() -> None:
    with pytest.raises(UsageError, match="nothing to do without a model"):
        derain.restore_frames([], None, temporal="off")
    with pytest.raises(TypeError, match="strength"):
        derain.restore_frames([], Derainer(Unchanged()), strength=0.5)
    with pytest.raises(FileNotFoundError):
        derain.restore_frames([], "petrichor-of-tomorrow")


def test_several_images_are_no_frame() -> None:
    with pytest.raises(ValueError, match="3 images for a frame: expected one at a time"):
        list(derain.restore_frames([np.stack(still_scene(3))], Derainer(Unchanged())))
