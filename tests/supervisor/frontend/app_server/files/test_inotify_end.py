"""A watch that is being added when its client leaves uses no descriptor of anything else."""

import os
import threading

import pytest

from greenroom.supervisor.frontend.app_server.files.inotify import Inotify


class Slow:
    """The C library, whose additions take as long as the test wants."""

    def __init__(self, inotify: Inotify) -> None:
        self._inotify = inotify
        self.begun, self.go_on = threading.Event(), threading.Event()
        self.was_open = False

    def inotify_add_watch(self, descriptor: int, _: bytes, __: int) -> int:
        self.begun.set()
        assert self.go_on.wait(10)
        os.fstat(descriptor)
        self.was_open = True
        return 1


def test_the_descriptor_outlasts_an_addition_and_no_longer() -> None:
    inotify = Inotify()
    slow = Slow(inotify)
    inotify._libc = slow  # type: ignore[assignment]
    adding = threading.Thread(target=inotify.add, args=("/",))
    adding.start()
    assert slow.begun.wait(10)
    inotify.close()
    with pytest.raises(OSError, match="nothing is watched"):
        inotify.add("/")
    slow.go_on.set()
    adding.join(10)
    assert slow.was_open
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(inotify.descriptor)
