"""Goes on in another process, while this one waits for it: for service managers that reload by a command."""

import os
from collections.abc import Callable
from typing import Final

_READY: Final = b"r"


def start_in_background() -> Callable[[], None] | int:
    """Fork; return what says that the process is ready, and in this process the exit code to end with.

    That is 0 once the other process is ready, else its own. To be called before anything else is started.
    """
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reader)
        os.setsid()
        return lambda: _report_ready(writer)
    os.close(writer)
    with os.fdopen(reader, "rb") as waiting:
        if waiting.read(1) == _READY:
            return 0
    _, status = os.waitpid(pid, 0)
    return os.waitstatus_to_exitcode(status) or 1


def _report_ready(writer: int) -> None:
    try:
        os.write(writer, _READY)
    except OSError:  # the command that waited for it is gone
        return
    finally:
        os.close(writer)
