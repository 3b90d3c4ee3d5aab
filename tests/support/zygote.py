"""A zygote for the commands of tests: a small process, as a worker has it, where forks of the tests would be large."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from greenroom.workers.sandbox import zygote_link
from tests.support import processes


@contextmanager
def shared_zygote() -> Iterator[None]:
    """Let launchers that are made meanwhile share one (`greenroom.workers.entry.share_zygote`)."""
    pid = zygote_link.start_shared_zygote()
    try:
        yield
    finally:
        zygote_link.leave_zygote()
        assert processes.ends(pid, 10.0)
        os.waitpid(pid, 0)
