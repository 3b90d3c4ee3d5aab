"""A file lock has one holder, dies with it, and is waited for no longer than was asked."""

import errno
import fcntl
import os
import sys
import time
from pathlib import Path

import pytest

from greenroom.runtime.files import filelock
from greenroom.runtime.files.filelock import LockTimeoutError, acquire, attempts, holders, open_lock, opened, try_lock


def test_one_descriptor_holds_the_lock_until_it_is_closed(tmp_path: Path) -> None:
    path = str(tmp_path / "lock")
    with opened(path) as second:
        with opened(path) as first:
            assert try_lock(first)
            assert not try_lock(second)
        assert try_lock(second)


def test_a_lock_is_handed_on_with_its_descriptor(tmp_path: Path) -> None:
    """A process that inherits the descriptor holds the lock after the death of the one that took it."""
    path = str(tmp_path / "lock")
    first = open_lock(path)
    assert try_lock(first)
    heir = os.dup(first)
    os.close(first)
    with opened(path) as other:
        assert not try_lock(other)
        os.close(heir)
        assert try_lock(other)


def test_a_lock_file_is_private_not_inherited_and_no_link(tmp_path: Path) -> None:
    with opened(str(tmp_path / "lock")) as descriptor:
        assert os.fstat(descriptor).st_mode & 0o777 == 0o600
        assert not os.get_inheritable(descriptor)
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="symbolic link"):
        open_lock(str(tmp_path / "link"))
    assert not (tmp_path / "elsewhere").exists()


def test_each_failed_attempt_asks_for_a_pause_until_the_time_is_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = str(tmp_path / "lock")
    with opened(path) as first, opened(path) as second:
        assert list(attempts(first, 1.0, 0.3)) == []
        clock = iter([0.0, 0.4, 0.8, 1.0])
        monkeypatch.setattr(time, "monotonic", lambda: next(clock))
        waiting = attempts(second, 1.0, 0.3)
        assert [next(waiting), next(waiting)] == [0.3, 0.3]
        with pytest.raises(LockTimeoutError, match="for 1 s"):
            next(waiting)


def test_a_lock_that_becomes_free_is_acquired(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = str(tmp_path / "lock")
    with opened(path) as first, opened(path) as second:
        assert try_lock(first)
        slept = []

        def sleep(seconds: float) -> None:
            slept.append(seconds)
            fcntl.flock(first, fcntl.LOCK_UN)

        monkeypatch.setattr(time, "sleep", sleep)
        acquire(second, 60.0, 0.25)
        assert slept == [0.25]
        assert not try_lock(first)


@pytest.mark.parametrize("code", sorted(filelock.UNSUPPORTED))
def test_a_file_system_without_locks_is_an_error_and_not_a_holder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(fcntl, "flock", refuse)
    with opened(str(tmp_path / "lock")) as descriptor, pytest.raises(OSError, match=r".") as caught:
        try_lock(descriptor)
    assert caught.value.errno == code


@pytest.mark.parametrize("code", [errno.EAGAIN, errno.EACCES])
def test_both_errors_of_a_held_lock_mean_that_it_is_held(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(fcntl, "flock", refuse)
    with opened(str(tmp_path / "lock")) as descriptor:
        assert not try_lock(descriptor)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc/locks")
def test_the_kernel_names_the_holder(tmp_path: Path) -> None:
    with opened(str(tmp_path / "lock")) as descriptor:
        inode = os.fstat(descriptor).st_ino
        assert inode not in holders()
        assert try_lock(descriptor)
        assert holders()[inode] == os.getpid()
