"""The workers of a node as it answers for them to its host: those that live, and ends that are not confirmed.

Free of I/O. Whatever the host orders twice is done once.
"""

from collections.abc import Callable, Iterator

from greenroom.protocol.ids import WorkerId
from greenroom.protocol.internal.process import Exited, Spawned

KEPT = 10_000
"""Ids of ended workers that are remembered, so that an order for one of them that comes late starts nothing."""


class WorkerLedger:
    """The workers of one run of a node."""

    def __init__(self, pid_of: Callable[[WorkerId], int | None]) -> None:
        self._pid_of = pid_of
        self._workers: dict[WorkerId, bool] = {}
        """Those that were ordered and have not ended, each with whether the host knows its pid."""
        self._doomed: set[WorkerId] = set()
        self._unconfirmed: dict[WorkerId, Exited] = {}
        self._ended: dict[WorkerId, None] = {}

    def __len__(self) -> int:
        return len(self._workers)

    def __iter__(self) -> Iterator[WorkerId]:
        return iter(tuple(self._workers))

    def __contains__(self, worker_id: object) -> bool:
        return worker_id in self._workers

    def order(self, worker_id: WorkerId) -> bool:
        """Enter a worker that is ordered; return whether it is to be started."""
        if worker_id in self._workers or worker_id in self._ended:
            return False
        self._workers[worker_id] = False
        return True

    def doom(self, worker_id: WorkerId) -> bool:
        """Note that a worker is to be killed; return whether it can be now, or else once it has a pid."""
        if worker_id in self._workers and self._pid_of(worker_id) is None:
            self._doomed.add(worker_id)
            return False
        return worker_id in self._workers

    def newborn(self) -> list[Spawned]:
        """Return the workers that have got a pid since the last call."""
        found = []
        for worker_id, is_told in self._workers.items():
            pid = None if is_told else self._pid_of(worker_id)
            if pid is not None:
                found.append(Spawned(id=worker_id, pid=pid))
        for one in found:
            self._workers[one.id] = True
        return found

    def take_doomed(self) -> list[WorkerId]:
        """Return the workers that were to be killed and have a pid now."""
        found = [worker_id for worker_id in self._doomed if self._pid_of(worker_id) is not None]
        self._doomed.difference_update(found)
        return found

    def ended(self, exited: Exited) -> bool:
        """Note an end; return whether it is that of a worker."""
        if self._workers.pop(exited.id, None) is None:
            return False
        self._doomed.discard(exited.id)
        self._unconfirmed[exited.id] = exited
        self._ended[exited.id] = None
        while len(self._ended) > KEPT:
            del self._ended[next(iter(self._ended))]
        return True

    def confirm(self, worker_id: WorkerId) -> None:
        """Note that the host knows of an end."""
        self._unconfirmed.pop(worker_id, None)

    def standing(self) -> tuple[dict[WorkerId, int], tuple[Exited, ...]]:
        """Return the pids of those that live, and the ends that are not confirmed."""
        pids = {worker_id: pid for worker_id in self._workers if (pid := self._pid_of(worker_id)) is not None}
        return pids, tuple(self._unconfirmed.values())
