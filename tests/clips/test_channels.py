"""Stages in threads: in order, bounded, and all ended by the first failure."""

import threading
import time

import pytest

from derain.clips.channels import CancelledError, Channel, Stages


def test_items_arrive_in_order() -> None:
    channel: Channel[int] = Channel(2)

    def give() -> None:
        for k in range(50):
            channel.put(k)
        channel.end()

    with Stages([channel]) as stages:
        stages.start("give", give)
        assert list(channel) == list(range(50))


def test_whoever_is_ahead_waits() -> None:
    channel: Channel[int] = Channel(3)
    given: list[int] = []

    def give() -> None:
        for k in range(10):
            channel.put(k)
            given.append(k)
        channel.end()

    with Stages([channel]) as stages:
        stages.start("give", give)
        for taken, _ in enumerate(channel, 1):
            time.sleep(0.01)
            assert len(given) <= taken + 3
    assert len(given) == 10


def test_a_failure_ends_all_and_is_raised() -> None:
    full, empty = Channel[int](1), Channel[int](1)

    def fill() -> None:
        while True:
            full.put(0)

    def fail() -> None:
        raise ValueError("first")

    def work() -> None:
        with Stages([full, empty]) as stages:
            stages.start("fill", fill)
            stages.start("fail", fail)
            list(empty)

    with pytest.raises(ValueError, match="first"):
        work()
    assert not [thread for thread in threading.enumerate() if thread.name in ("fill", "fail")]


def test_what_interrupts_the_caller_ends_all() -> None:
    channel: Channel[int] = Channel(1)
    seen: list[BaseException] = []

    def fill() -> None:
        try:
            while True:
                channel.put(0)
        except CancelledError as error:
            seen.append(error)
            raise

    def work() -> None:
        with Stages([channel]) as stages:
            stages.start("fill", fill)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        work()
    assert len(seen) == 1
