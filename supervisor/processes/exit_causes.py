"""Why processes have died, where the kernel's report of their end does not tell."""

import signal

from greenroom.protocol.ids import WorkerId
from greenroom.protocol.internal.process import Exited
from greenroom.runtime.process.oom import OomKills
from greenroom.supervisor.processes import exits
from greenroom.supervisor.processes.nodes.wish import NODE_LOST

STARTING_COMMANDS = "starting commands"
"""What a zygote was doing when it died."""


class ExitCauses:
    """Collects the causes of kills, until the ends of the processes are reported."""

    def __init__(self) -> None:
        self._reasons: dict[WorkerId, str] = {}
        self._hung_zygotes: dict[int, str] = {}
        self._oom_kills = OomKills()

    def note_kill(self, worker_id: WorkerId, why: str) -> None:
        """Note why the supervisor kills a worker; the first reason counts."""
        self._reasons.setdefault(worker_id, why)

    def note_hung_zygote(self, pid: int, why: str) -> None:
        """Note why a worker has killed the shared zygote, whose end its parent reports."""
        self._hung_zygotes[pid] = why

    def of(self, exited: Exited) -> str | None:
        """Return the cause of a death where it is not the kernel's: a kill by the supervisor, or lack of memory."""
        why = self._reasons.pop(exited.id, None)
        if exited.node:
            return exited.cause if exited.cause == NODE_LOST else why or exited.cause
        if why is None and exited.returncode == -signal.SIGKILL and self._oom_kills.happened():
            return exits.OUT_OF_MEMORY
        return why

    def of_zygote(self, exited: Exited) -> str | None:
        """Return the same for a shared zygote, which a worker may have killed."""
        return self._hung_zygotes.pop(exited.pid, None) or self.of(exited)

    def tidy_up(self) -> None:
        """Drop what is known of earlier kills for lack of memory: they explain no later death."""
        self._oom_kills.happened()
