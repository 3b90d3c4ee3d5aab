"""What a child of ours becomes once it has been told its birth: the one place where supervisor and worker meet."""

import os
import signal
import sys
from typing import NoReturn

from greenroom.protocol.internal.process import AnyProcessSpec, BrokerSpec
from greenroom.runtime.launch import LIFELINE
from greenroom.workers import entry


def become(spec: AnyProcessSpec) -> NoReturn:
    """Live and end as what `birth` says."""
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGCHLD, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    status = 1
    try:
        if isinstance(spec, BrokerSpec):
            entry.discard()
            from greenroom.broker import broker  # in the broker alone: a first call waits for the fork server's imports

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
        os._exit(status)  # what the fork server registered to run at exit is not ours to run


share_zygote = entry.share_zygote
"""Start another process that workers share, in the place of one that died, and return its pid."""

complete_worker = entry.complete
"""Make ready the rest of what workers need, and return the pid of what they share; for a process that forks them."""
