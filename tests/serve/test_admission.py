"""The queue, and memory for pictures."""

import asyncio
import threading
import time

import pytest

from derain.serve.admission import LONGEST_RETRY, Admission, Bytes, FullError, Pixels


def test_tickets_get_their_turn_in_order() -> None:
    async def run() -> None:
        admission = Admission(places=3, at_once=2, lanes=1)
        tickets = [admission.enter() for _ in range(5)]
        assert [ticket.turn.is_set() for ticket in tickets] == [True, True, False, False, False]
        assert [admission.place(ticket) for ticket in tickets] == [0, 0, 0, 1, 2]
        with pytest.raises(FullError):
            admission.enter()
        admission.leave(tickets[3])  # taken back while it waited
        admission.leave(tickets[0])
        assert [ticket.turn.is_set() for ticket in tickets[2:]] == [True, False, False]
        assert (admission.waiting, admission.working) == (1, 2)
        for ticket in tickets:
            admission.leave(ticket)
        assert (admission.waiting, admission.working) == (0, 0)

    asyncio.run(run())


def test_clients_are_asked_to_come_when_the_queue_should_be_empty() -> None:
    async def run() -> None:
        admission = Admission(places=4, at_once=1, lanes=2)
        for _ in range(50):
            admission.took(6.0)
        for _ in range(5):
            admission.enter()
        with pytest.raises(FullError) as caught:
            admission.check()
        assert caught.value.retry_after == 15  # five times six seconds in two lanes
        for _ in range(50):
            admission.took(1e6)
        assert admission.retry_after == LONGEST_RETRY

    asyncio.run(run())


def test_bytes_are_taken_whole_or_not_at_all() -> None:
    memory = Bytes(10)
    assert memory.take(6)
    assert not memory.take(5)
    assert memory.take(4)
    memory.give_back(10)
    memory.take_anyway(20)
    assert memory.taken == 20
    assert not memory.take(1)


def test_pictures_wait_for_room_in_order() -> None:
    pixels = Pixels(10)
    order: list[str] = []

    def hold(name: str, count: int) -> None:
        with pixels.held(count):
            order.append(name)

    with pixels.held(8):
        threads: list[threading.Thread] = []
        # The small one would fit, but the large one was there before.
        for name, count in (("larger than all", 99), ("small", 1)):
            threads.append(threading.Thread(target=hold, args=(name, count)))
            threads[-1].start()
            time.sleep(0.05)
        assert order == []
    for thread in threads:
        thread.join(5)
    assert order == ["larger than all", "small"]
