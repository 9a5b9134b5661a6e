"""Processes that crash, hang or take too much memory, and those that take their place."""

import os
import signal
import sys
import time
from collections.abc import Generator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from derain.serve.channel import PART, Channel
from derain.serve.processes import (
    Child,
    EndedError,
    NotStartedError,
    Pool,
    RefusedError,
    ignore_stop_signals,
    limit_memory,
    limited,
    serve_forever,
)

EXTRA = 64 << 20


def answer(channel: Channel, message: Mapping[str, Any]) -> None:
    """Do as the message says."""
    match message["do"]:
        case "add":
            channel.tell(sum=message["a"] + message["b"])
        case "sleep":
            time.sleep(60)
        case "crash":
            os.kill(os.getpid(), signal.SIGSEGV)
        case "be killed":
            os.kill(os.getpid(), signal.SIGKILL)
        case "write nonsense":
            channel.send(b"\x80\x04nonsense")
        case "take memory":
            try:
                channel.tell(size=len(bytearray(message["size"])))
            except MemoryError:
                channel.tell(size=0)
        case _:
            channel.send(channel.receive(message["size"]))


def main(connection: Any, how: str) -> None:
    if how == "fails":
        Channel(connection).tell(failed="no such weights")
    elif how == "ends":
        return
    if how == "limited":
        limit_memory(EXTRA)
    elif how == "barely limited":
        limit_memory(10**30)
    ignore_stop_signals()
    serve_forever(connection, answer)


def pool_of(how: str = "", **settings: Any) -> Pool[Child]:
    return Pool(lambda: Child(main, (how,), "worker of a test"), 1, **settings)


@pytest.fixture(scope="module")
def replaced() -> list[str]:
    """Why processes were replaced."""
    return []


@pytest.fixture(scope="module")
def pool(replaced: list[str]) -> Generator[Pool[Child]]:
    """A process that crashes on demand."""
    made = pool_of(on_replaced=replaced.append)
    made.start()
    yield made
    made.close()


def ask(pool: Pool[Child], seconds: float, do: str, **more: int) -> Mapping[str, Any]:
    with pool.held() as child, limited(seconds, child):
        child.channel.tell(do=do, **more)
        return child.channel.hear()


def add(pool: Pool[Child]) -> int:
    return int(ask(pool, 20, "add", a=2, b=3)["sum"])


@pytest.mark.parametrize(
    ("do", "cause"),
    [
        ("sleep", "timeout"),
        ("crash", "crash"),
        ("be killed", "memory"),
        ("write nonsense", "crash"),
    ],
)
def test_one_that_ends_is_replaced(
    pool: Pool[Child], replaced: list[str], do: str, cause: str
) -> None:
    before = pool.pids()
    with pytest.raises(EndedError, match=cause):
        ask(pool, 0.3 if do == "sleep" else 20, do)
    assert replaced[-1] == cause
    assert add(pool) == 5
    assert set(before).isdisjoint(pool.pids())


@pytest.mark.skipif(sys.version_info < (3, 11), reason="Python has no PYTHONSAFEPATH")
def test_one_runs_no_file_of_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pickle.py").write_text("raise SystemExit('the file of somebody was run')")
    monkeypatch.chdir(tmp_path)
    child = Child(main, ("works",), "worker")
    try:
        child.wait_ready()
    finally:
        child.kill()


def test_one_that_refuses_is_kept(pool: Pool[Child]) -> None:
    before = pool.pids()
    with pytest.raises(RefusedError), pool.held():
        raise RefusedError(400, "no picture")
    assert (add(pool), pool.pids()) == (5, before)


def test_one_that_was_killed_while_it_was_idle_is_replaced(pool: Pool[Child]) -> None:
    (pid,) = pool.pids()
    os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + 10
    while pool.alive and time.monotonic() < deadline:
        time.sleep(0.01)
    assert add(pool) == 5
    assert pool.alive == 1


def test_one_may_be_ended_by_several_threads() -> None:
    child = Child(main, ("",), "worker of a test")
    child.wait_ready()
    with ThreadPoolExecutor(8) as threads:
        for each in [threads.submit(child.kill) for _ in range(8)]:
            each.result()
    assert not child.is_alive


def test_stopping_is_the_servers_decision(pool: Pool[Child]) -> None:
    (pid,) = pool.pids()
    for number in (signal.SIGTERM, signal.SIGINT):
        os.kill(pid, number)
    assert (add(pool), pool.pids()) == (5, [pid])


def test_large_blocks_arrive(pool: Pool[Child]) -> None:
    block = os.urandom(1000) * (PART // 400)
    with pool.held() as child, limited(20, child):
        child.channel.tell(do="echo", size=len(block))
        child.channel.send(block)
        assert child.channel.receive(len(block)) == block


def test_memory_is_limited() -> None:
    pool = pool_of("limited")
    pool.start()
    sizes: list[int] = []
    with pool.held() as child, limited(20, child):
        for size in (EXTRA // 2, 2 * EXTRA):
            child.channel.tell(do="take memory", size=size)
            sizes.append(child.channel.hear()["size"])
    pool.close()
    assert sizes == [EXTRA // 2, 0]


def test_a_limit_that_no_system_knows_is_none() -> None:
    pool = pool_of("barely limited")
    pool.start()
    assert add(pool) == 5
    pool.close()


@pytest.mark.parametrize(
    ("how", "words"), [("fails", "no such weights"), ("ends", "ended while it started")]
)
def test_one_that_cannot_start_says_why(how: str, words: str) -> None:
    pool = pool_of(how)
    with pytest.raises(NotStartedError, match=words):
        pool.start()
    pool.close()
    assert pool.alive == 0


def test_old_ones_are_replaced() -> None:
    reasons: list[str] = []
    pool = pool_of(jobs=2, on_replaced=reasons.append)
    pool.start()  # which is one use
    before = pool.pids()
    add(pool)
    assert (reasons, pool.pids() != before) == (["age"], True)
    pool.close()
