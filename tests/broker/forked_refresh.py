"""Has refresh processes forked from their brokers, which have imported what they need, instead of executed.

A fork has nothing of its broker but modules and memory. Tests about the start of a refresh process, and about what it
gives away, execute it (`refresh/test_subprocess.py`, and those that start a server).
"""

import gc
import logging
import os
import signal
import traceback
from collections.abc import Mapping
from typing import NoReturn

from greenroom.broker.refresh import process
from greenroom.broker.refresh import subprocess as delegation

_SIGNALS = (signal.SIGTERM, signal.SIGCHLD, signal.SIGALRM)


def fork_refreshes() -> None:
    """Fork the refresh processes of this process from now on."""
    delegation.spawn = fork_refresh  # type: ignore[attr-defined]


def fork_refresh(
    statement: str, environment: Mapping[str, str], inherited: Mapping[int, int], *, same_session: bool = False
) -> int:
    """Stand in for `greenroom.runtime.process.spawn.spawn`."""
    assert statement == process.STATEMENT
    pid = os.fork()
    if pid == 0:
        _become(environment, inherited)
    return pid


def _become(environment: Mapping[str, str], inherited: Mapping[int, int]) -> NoReturn:
    try:
        gc.freeze()  # what the broker has left is not to be finalized here
        os.setpgid(0, 0)
        signal.set_wakeup_fd(-1)
        for number in _SIGNALS:
            signal.signal(number, signal.SIG_DFL)
        _take(inherited)
        os.environ.clear()
        os.environ.update(environment)
        logging.root.handlers.clear()
        process.main()
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(1)


def _take(inherited: Mapping[int, int]) -> None:
    """Have these descriptors under their numbers, the standard streams, and no others."""
    kept = {target: os.dup(source) for target, source in inherited.items()}
    spare = 1 + max((*kept, *kept.values()))
    for number, (target, source) in enumerate(kept.items(), spare):
        os.dup2(source, number)
        kept[target] = number
    for target, number in kept.items():
        os.dup2(number, target)
    end = 3
    for target in (*sorted(kept), os.sysconf("SC_OPEN_MAX")):
        os.closerange(end, target)
        end = target + 1
