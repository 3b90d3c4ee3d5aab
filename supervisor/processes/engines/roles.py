"""What a child becomes when it has received its spec: the one module that imports both supervisor and workers."""

import os
import signal
import sys
from typing import NoReturn

from greenroom.protocol.internal.process import AnyProcessSpec, BrokerSpec
from greenroom.runtime.process.launch import LIFELINE
from greenroom.workers import entry


def become(spec: AnyProcessSpec) -> NoReturn:
    """Run what the spec says, and exit."""
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGCHLD, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    # Handled and not ignored: what is ignored stays so in every program that is started from here (execve(2)), and an
    # interrupt that is meant for a command would be lost.
    signal.signal(signal.SIGINT, _take_no_notice)
    status = 1
    try:
        if isinstance(spec, BrokerSpec):
            entry.discard()
            from greenroom.broker import (
                broker,
            )  # in the broker only: imported earlier it would delay the fork server, and so the first call

            broker.main(spec, LIFELINE)
        else:
            entry.main(spec, LIFELINE)
        status = 0
    except SystemExit as leaving:
        status = leaving.code if isinstance(leaving.code, int) else 1
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stderr.flush()
        os._exit(status)  # without the exit handlers that were inherited from the fork server


def _take_no_notice(_number: int, _frame: object) -> None:
    """Leave an interrupt to the supervisor, which ends its processes in order."""


share_zygote = entry.share_zygote
"""Start another shared zygote in place of one that died, and return its pid."""

complete_worker = entry.complete
"""Import the rest of what workers need, part by part; for a process that forks workers."""
