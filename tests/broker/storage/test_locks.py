"""Lock files keep instances apart and die with their holder (docs/security.md, K5)."""

import asyncio
import errno
import fcntl
import logging
import multiprocessing
import os
import signal
from multiprocessing.connection import Connection
from typing import Any

import pytest

from greenroom.broker.storage.locks import REFRESH, STORE, locked
from greenroom.runtime.files.filelock import LockTimeoutError


def test_the_second_waits_and_gives_up_in_time(tmp_path: Any) -> None:
    async def run() -> None:
        async with locked(str(tmp_path), STORE, 1.0):
            with pytest.raises(LockTimeoutError):
                async with locked(str(tmp_path), STORE, 0.1):
                    pytest.fail("two holders")
        async with locked(str(tmp_path), STORE, 0.1) as descriptor:
            assert descriptor is not None

    asyncio.run(run())


def test_the_two_locks_are_independent_and_private(tmp_path: Any) -> None:
    async def run() -> None:
        async with locked(str(tmp_path), REFRESH, 0.1) as long, locked(str(tmp_path), STORE, 0.1) as short:
            assert {long, short} != {None}
            for name in (REFRESH, STORE):
                assert os.stat(tmp_path / name).st_mode & 0o777 == 0o600
            assert long is not None
            assert not os.get_inheritable(long)

    asyncio.run(run())
    assert (tmp_path / REFRESH).exists(), "a lock file is never deleted"


def test_a_symbolic_link_is_not_followed(tmp_path: Any) -> None:
    (tmp_path / STORE).symlink_to(tmp_path / "elsewhere")

    async def run() -> None:
        async with locked(str(tmp_path), STORE, 0.1) as descriptor:
            assert descriptor is None

    asyncio.run(run())
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize("code", [errno.ENOLCK, errno.ENOTSUP])
def test_a_file_system_without_locks_is_worked_on_all_the_same(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, code: int
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(fcntl, "flock", refuse)

    async def run() -> bool:
        async with locked(str(tmp_path), STORE, 0.1), locked(str(tmp_path), STORE, 0.1):
            return True

    with caplog.at_level(logging.WARNING):
        assert asyncio.run(run())
    assert "no locks" in caplog.text


def _hold(directory: str, ready: Connection) -> None:
    async def run() -> None:
        async with locked(directory, REFRESH, 1.0):
            ready.send("held")
            await asyncio.Event().wait()

    asyncio.run(run())


def test_a_killed_holder_lets_go(tmp_path: Any) -> None:
    """K28: the kernel releases what a dead broker held."""
    context = multiprocessing.get_context("forkserver")
    ours, theirs = context.Pipe()
    holder = context.Process(target=_hold, args=(str(tmp_path), theirs))
    holder.start()
    assert ours.recv() == "held"

    async def run() -> None:
        with pytest.raises(LockTimeoutError):
            async with locked(str(tmp_path), REFRESH, 0.0):
                pytest.fail("two holders")
        assert holder.pid is not None
        os.kill(holder.pid, signal.SIGKILL)
        holder.join()
        async with locked(str(tmp_path), REFRESH, 1.0) as descriptor:
            assert descriptor is not None

    asyncio.run(run())
