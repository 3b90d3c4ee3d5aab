"""Many clients with some conversations each, at the pace of people: what they use, and how long they wait."""

import select
import time
from collections import deque
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Final

from benchmarks.app_client import AppClient
from benchmarks.client import SubjectError
from benchmarks.processes import cpu_seconds, shared_bytes
from greenroom.demo.scripts import bench_prompt

CLIENTS: Final = 20
CONVERSATIONS: Final = 5
"""Of each client."""
PERIOD: Final = 4.0
"""Seconds between two turns of a conversation; those of different conversations are evenly spread."""
_HELLO: Final = bench_prompt("hello")
_PATIENCE: Final = 60.0
_SETTLING: Final = 2.0


@dataclass(frozen=True, slots=True)
class Conversation:
    """A conversation, and the client that has it."""

    client: AppClient
    thread: str


@dataclass(frozen=True, slots=True)
class Used:
    """What one run has shown."""

    cpu: float
    """CPU seconds of all processes for a turn."""
    memory: int | None
    """Bytes of all processes, those that are shared counted once (PSS); `None` where they may not be read."""
    delays: list[float]
    """Seconds from the moment at which a turn was due to the moment at which its end was read."""


def measure(clients: Sequence[AppClient], pids: Sequence[int], seconds: float) -> Used:
    """Open the conversations of started clients, have a turn in each, and then turns for some seconds.

    `pids` are the processes whose trees are measured. Raises `SubjectError`.
    """
    conversations = [Conversation(client, client.open()) for _ in range(CONVERSATIONS) for client in clients]
    for one in conversations:
        one.client.turn(one.thread, _HELLO)
    time.sleep(_SETTLING)
    before = sum(map(cpu_seconds, pids))
    delays = paced(conversations, PERIOD, seconds)
    used = sum(map(cpu_seconds, pids)) - before
    known = [shared_bytes(pid) for pid in pids]
    memory = [size for size in known if size is not None]
    return Used(used / len(delays), sum(memory) if len(memory) == len(known) else None, delays)


def paced(conversations: Sequence[Conversation], period: float, seconds: float) -> list[float]:
    """Have turns at a pace, whatever the program does, and return how long each took from when it was due.

    A conversation that is not done with a turn begins the next one afterwards, and that is late by so much.
    """
    begun = time.monotonic()
    pause = period / len(conversations)
    rounds = max(1, round(seconds / period))
    due = {
        one.thread: deque(begun + number * pause + turn * period for turn in range(rounds))
        for number, one in enumerate(conversations)
    }
    running: dict[str, float] = {}
    delays: list[float] = []
    with ExitStack() as stack:
        poll = stack.enter_context(select.epoll())
        by_output = {one.client.output: one.client for one in conversations}
        for output in by_output:
            poll.register(output, select.EPOLLIN)
        deadline = begun + seconds + period + _PATIENCE
        while running or any(due.values()):
            now = time.monotonic()
            if now > deadline:
                raise SubjectError(f"{len(running)} turns have not ended")
            for one in conversations:
                if one.thread not in running and due[one.thread] and due[one.thread][0] <= now:
                    running[one.thread] = due[one.thread].popleft()
                    one.client.say(one.thread, _HELLO)
            for output, _ in poll.poll(_until_next(due, running)):
                for thread, at in by_output[output].read().items():
                    delays.append(at - running.pop(thread))
    return delays


def _until_next(due: dict[str, "deque[float]"], running: dict[str, float]) -> float:
    """Return the seconds until a turn is due in a conversation that is free, at most one."""
    waiting = [times[0] for thread, times in due.items() if times and thread not in running]
    return min(1.0, max(0.0, min(waiting) - time.monotonic())) if waiting else 1.0
