"""Jobs that are cancelled while their work begins or ends."""

import threading

from derain.serve.jobs import Job


def test_what_stopped_the_work_is_not_called_after_its_end() -> None:
    """A worker that has gone on to another picture must not be stopped."""
    job = Job()
    stopping, may_end, ended = threading.Event(), threading.Event(), threading.Event()

    def stop() -> None:
        stopping.set()
        assert may_end.wait(10)

    def end() -> None:
        job.on_cancel(None)
        ended.set()

    job.on_cancel(stop)
    threads = [threading.Thread(target=job.cancel), threading.Thread(target=end)]
    threads[0].start()
    assert stopping.wait(10)
    threads[1].start()
    assert not ended.wait(0.1)
    may_end.set()
    for thread in threads:
        thread.join()
    assert ended.is_set()
