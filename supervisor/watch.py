"""Looks after the workers of running turns: are they alive, and do they stay within their memory."""

import os
from collections.abc import Iterable, Iterator

from supervisor.conversation import Conversation
from supervisor.limits import Limits

INTERVAL = 1.0
"""Seconds between two looks. Nobody looks while no turn runs."""

_PAGE = os.sysconf("SC_PAGE_SIZE")


def overdue(conversations: Iterable[Conversation], limits: Limits, now: float) -> Iterator[tuple[Conversation, str]]:
    """Yield the conversations whose worker has not been heard of for too long, and say so in words."""
    for conversation in conversations:
        pulse = conversation.pulse
        if pulse is not None and now - pulse.heard_at > limits.hang_after:
            yield conversation, f"hung: no sign of life for {now - pulse.heard_at:.0f} s while {pulse.doing}"


def overweight(memory: int, limits: Limits) -> str | None:
    """Say in words that a worker holds too much, `None` where it does not."""
    if memory <= limits.worker_memory:
        return None
    return f"over its memory limit: {memory >> 20} MiB of {limits.worker_memory >> 20} MiB"


def resident_memory(pid: int) -> int:
    """Return the resident memory of a process in bytes, 0 where it cannot be told.

    Read from procfs, which shows this much of undumpable processes too; elsewhere through psutil.
    """
    try:
        with open(f"/proc/{pid}/statm", "rb") as file:
            return int(file.read().split()[1]) * _PAGE
    except FileNotFoundError:
        return 0 if os.path.isdir("/proc/self") else _resident_memory_elsewhere(pid)
    except OSError:
        return 0


def _resident_memory_elsewhere(pid: int) -> int:
    import psutil

    try:
        memory: int = psutil.Process(pid).memory_info().rss
    except psutil.Error:
        return 0
    return memory
