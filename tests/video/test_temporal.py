"""Neighbouring frames: rain goes, what moves stays, and nothing becomes a ghost."""

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from derain.video.frame import Frame
from derain.video.temporal import TemporalFilter, steadied

Bytes = NDArray[Any]


@pytest.fixture
def scene(photo: Bytes) -> Bytes:
    return np.ascontiguousarray(cv2.resize(photo, (160, 120)))


def steady(frames: Sequence[NDArray[Any]], window: int = 7, **options: Any) -> list[NDArray[Any]]:
    given = (Frame.of_rgb(frame) for frame in frames)
    return [frame.rgb() for frame in steadied(given, window, **options)]


def noisy(frame: Bytes, seed: int) -> Bytes:
    noise = np.random.default_rng(seed).normal(0, 2, frame.shape)
    return np.clip(np.rint(frame + noise), 0, 255).astype(np.uint8)


def error(one: NDArray[Any], other: NDArray[Any]) -> float:
    return float(np.sqrt(np.mean((one.astype(float) - other) ** 2)))


def rained_on(frame: Bytes, seed: int, brightness: int = 60) -> Bytes:
    rng = np.random.default_rng(seed)
    rain = np.zeros(frame.shape[:2], np.float32)
    for _ in range(12):
        x, y = (
            int(rng.integers(0, frame.shape[1])),
            int(rng.integers(0, frame.shape[0])),
        )
        cv2.line(rain, (x, y), (x + 3, y + 25), 1.0, 1)
    return np.clip(frame + brightness * rain[..., None], 0, 255).astype(np.uint8)


def with_ball(frame: Bytes, x: float, colour: tuple[int, int, int] = (220, 40, 30)) -> Bytes:
    return cv2.circle(frame.copy(), (round(x), 60), 14, colour, -1).astype(np.uint8)


def test_rain_before_a_still_camera_goes(scene: Bytes) -> None:
    rainy = [rained_on(noisy(scene, k), 100 + k) for k in range(15)]
    clean = steady(rainy)
    assert len(clean) == len(rainy)
    for before, after in zip(rainy, clean, strict=True):
        assert error(after, scene) < 0.55 * error(before, scene)


def test_a_still_clip_stays_as_it_is(scene: Bytes) -> None:
    assert all(np.array_equal(frame, scene) for frame in steady([scene] * 9))


@pytest.mark.parametrize("speed", [1, 3, 10, 40])
@pytest.mark.parametrize("colour", [(220, 40, 30), (250, 250, 250), (5, 5, 5)])
def test_what_moves_is_neither_smeared_nor_lost(
    scene: Bytes, speed: int, colour: tuple[int, int, int]
) -> None:
    truth = [with_ball(scene, -20 + speed * (k - 2), colour) for k in range(24)]
    clean = steady([noisy(frame, k) for k, frame in enumerate(truth)], 11)
    for after, frame in zip(clean, truth, strict=True):
        # Nothing of another place of the ball: far more than noise, on a few pixels.
        wrong = np.abs(cv2.blur(after.astype(np.float32) - frame, (3, 3))).max(axis=2)
        assert (wrong > 30).sum() <= 4


@pytest.mark.parametrize("size", [(80, 24), (400, 12), (640, 16), (24, 640), (2560, 50), (33, 31)])
@pytest.mark.parametrize("motion", ["auto", "on"])
def test_flat_frames_are_steadied(photo: Bytes, size: tuple[int, int], motion: Any) -> None:
    width, height = size
    wide = cv2.resize(photo, (width + 40, height))
    frames = [np.ascontiguousarray(wide[:, 5 * k : 5 * k + width]) for k in range(7)]
    assert len(steady(frames, 5, motion=motion)) == 7


def test_a_moving_camera_leaves_no_ghosts(photo: Bytes) -> None:
    wide = cv2.resize(photo, (400, 140))
    truth = [np.ascontiguousarray(wide[:, 5 * k : 5 * k + 160]) for k in range(20)]
    clean = steady([noisy(frame, k) for k, frame in enumerate(truth)])
    for after, frame in zip(clean, truth, strict=True):
        assert error(after, frame) < 2.4  # the noise alone is 2


def test_scenes_do_not_mix(scene: Bytes) -> None:
    other = np.ascontiguousarray(scene[::-1, ::-1])
    frames = [noisy(scene, k) for k in range(6)] + [noisy(other, k) for k in range(6)]
    clean = steady(frames)
    for after, truth in zip(clean, [scene] * 6 + [other] * 6, strict=True):
        assert error(after, truth) < 2.2


def test_another_size_begins_another_scene(scene: Bytes) -> None:
    small = np.ascontiguousarray(scene[:50, :70])
    clean = steady([scene] * 5 + [small] * 2 + [scene])
    assert [frame.shape for frame in clean] == [scene.shape] * 5 + [small.shape] * 2 + [scene.shape]


@given(
    count=st.integers(0, 12),
    window=st.sampled_from([3, 5, 7, 11]),
    size=st.tuples(st.integers(1, 20), st.integers(1, 20)),
    deep=st.booleans(),
)
def test_every_frame_comes_out_in_order_and_in_its_type(
    count: int, window: int, size: tuple[int, int], deep: bool
) -> None:
    dtype = np.uint16 if deep else np.uint8
    levels = [np.full((*size, 3), 10 + 20 * k, dtype) for k in range(count)]
    clean = steady(levels, window)
    assert [frame.dtype for frame in clean] == [dtype] * count
    assert [frame.shape for frame in clean] == [(*size, 3)] * count


def test_no_more_than_a_window_is_held_or_waited_for(scene: Bytes) -> None:
    filter_ = TemporalFilter(5)
    out = [len(list(filter_.push(Frame.of_rgb(noisy(scene, k))))) for k in range(8)]
    assert out == [0, 0, 0, 0, 3, 1, 1, 1]
    assert len(list(filter_.flush())) == 2
    assert not list(filter_.flush())


def planes_of(frame: Bytes, bits: int) -> Frame:
    ycc = cv2.cvtColor(frame, cv2.COLOR_RGB2YCrCb)
    scale = 2 ** (bits - 8)
    half = [cv2.resize(ycc[..., k], (80, 60), interpolation=cv2.INTER_AREA) for k in (1, 2)]
    kind = np.uint8 if bits == 8 else np.uint16
    planes = tuple((plane * float(scale)).astype(kind) for plane in (ycc[..., 0], *half))
    return Frame(planes, planes[0], 2**bits - 1)


@pytest.mark.parametrize("bits", [8, 10])
def test_planes_of_yuv_are_steadied_as_colours_are(scene: Bytes, bits: int) -> None:
    truth = planes_of(scene, bits)
    rainy = [planes_of(rained_on(noisy(scene, k), 100 + k), bits) for k in range(11)]
    for before, after in zip(rainy, steadied(rainy), strict=True):
        assert after.luma is after.planes[0]
        assert error(after.luma, truth.luma) < 0.6 * error(before.luma, truth.luma)
        assert after.planes[1].shape == (60, 80)
        assert error(after.planes[1], truth.planes[1]) < error(before.planes[1], truth.planes[1])


def test_steadiness_is_measured_on_what_stays(scene: Bytes) -> None:
    filter_ = TemporalFilter(7)
    for k in range(12):
        list(filter_.push(Frame.of_rgb(noisy(scene, k))))
    list(filter_.flush())
    # Two frames of noise 2 differ by 2.8, their luma by less: the noise of channels averages.
    assert 1.2 < filter_.steadiness.before < 2.2
    assert filter_.steadiness.after < 0.4 * filter_.steadiness.before
    assert filter_.steadiness.pixels > 10_000


@pytest.mark.parametrize("window", [0, 1, 2, 4, -3])
def test_impossible_windows_are_refused(window: int) -> None:
    with pytest.raises(ValueError, match="expected an odd number from 3"):
        TemporalFilter(window)
