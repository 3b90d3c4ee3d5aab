"""A loop that has run leaves the process as it was."""

import asyncio
import os
import signal

import pytest

from greenroom.runtime import loop


def test_a_signal_wakes_what_it_woke_before() -> None:
    reader, writer = os.pipe2(os.O_NONBLOCK)
    before = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    handler = signal.signal(signal.SIGUSR1, lambda *_: None)
    try:
        assert loop.run(asyncio.sleep(0, "done")) == "done"
        os.kill(os.getpid(), signal.SIGUSR1)
        assert os.read(reader, 10) == bytes([signal.SIGUSR1])
    finally:
        signal.signal(signal.SIGUSR1, handler)
        signal.set_wakeup_fd(before)
        os.close(reader)
        os.close(writer)


def test_an_error_ends_the_run_and_comes_out() -> None:
    async def fails() -> None:
        raise KeyError("x")

    with pytest.raises(KeyError):
        loop.run(fails())
