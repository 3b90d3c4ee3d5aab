"""Watches the workers of running turns, and kills those that hang or hold too much memory."""

import asyncio
from collections.abc import Collection, Iterable, Iterator

from greenroom.config.defaults import Limits
from greenroom.supervisor.conversations.assignments import WorkerAssignments
from greenroom.supervisor.conversations.state.conversation import Conversation
from greenroom.supervisor.processes import memory_limit as weight

INTERVAL = 1.0
"""Seconds between two checks. None is made while no turn runs."""


class HangWatchdog:
    """Checks the workers of `running` while there are any; call `begin` when there is one."""

    def __init__(self, assignments: WorkerAssignments, running: Collection[Conversation], limits: Limits) -> None:
        self._assignments = assignments
        self._running = running
        self._limits = limits
        self._timer: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()

    def begin(self) -> None:
        """Check from now on, unless it is active already."""
        if self._timer is None:
            self._timer = self._loop.call_later(INTERVAL, self._look)

    def weigh(self, conversation: Conversation) -> None:
        """Kill the worker of a conversation that holds too much memory."""
        pid = self._assignments.pid_of(conversation)
        burden = None if pid is None else weight.excess(pid, self._limits)
        if burden is not None:
            self._assignments.kill(conversation, burden)

    def close(self) -> None:
        """Stop checking."""
        if self._timer is not None:
            self._timer.cancel()

    def _look(self) -> None:
        self._timer = None
        for conversation, why in list(overdue_conversations(self._running, self._limits, self._loop.time())):
            self._assignments.kill(conversation, why)
        for conversation in list(self._running):
            self.weigh(conversation)
        if self._running:
            self.begin()


def overdue_conversations(
    conversations: Iterable[Conversation], limits: Limits, now: float
) -> Iterator[tuple[Conversation, str]]:
    """Yield each conversation whose worker has been silent for too long, with a text that says so."""
    for conversation in conversations:
        pulse = conversation.pulse
        if pulse is not None and now - pulse.heard_at > limits.hang_after:
            yield conversation, f"hung: no sign of life for {now - pulse.heard_at:.0f} s while {pulse.progress.doing}"
