"""All that the workers of a process tree are used for: the conversations, and the jobs outside of them."""

import socket
import time
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Final, Protocol, TypeVar

from greenroom.protocol.failure import Failure
from greenroom.protocol.ids import ConversationId, Incarnation, TurnId, WorkerId
from greenroom.protocol.internal.process import Exited
from greenroom.protocol.internal.worker.notices import JobDone, JobReport, ReceivedNotice, RequestServed
from greenroom.supervisor.conversations.approvals import Approvals
from greenroom.supervisor.conversations.jobs.jobs import Jobs
from greenroom.supervisor.conversations.node_follower import NodeFollower
from greenroom.supervisor.conversations.registry import Conversations
from greenroom.supervisor.conversations.state.started_turns import StartedTurns
from greenroom.supervisor.conversations.state.turn import Client
from greenroom.supervisor.conversations.telemetry_records import TelemetryRecords
from greenroom.supervisor.options import ServerOptions
from greenroom.supervisor.processes.tree import ProcessTree

OPEN_AT_ONCE: Final = 64
"""Commands of clients that run at a time, each in a worker of its own; further ones wait."""


class Shared(Protocol):
    """What the front ends of all clients share."""

    async def close(self) -> None:
        """Settle the rest; all turns have ended."""


S = TypeVar("S", bound=Shared)


class ConversationHost:
    """Implements `greenroom.supervisor.processes.worker_users.WorkerUsers`. Runs on the supervisor's loop."""

    def __init__(self, tree: ProcessTree, options: ServerOptions, environment: Mapping[str, str]) -> None:
        """`environment` is that of this process, with the home's `.env` in it."""
        self.tree = tree
        self.started_at = time.time()
        """Seconds since the epoch."""
        self.options = options
        self.environment = environment
        limits = options.limits
        self.conversations = Conversations(
            tree.router, tree.workers, tree.exit_history, limits, options.config_overrides
        )
        self.approvals = Approvals(self.conversations, limits.approval_timeout) if options.approval_tools else None
        """The approvals that can be decided by tools; `None` where that is not allowed."""
        self.started = StartedTurns()
        """The turns that no call waits for."""
        self.open_calls: Callable[[], int] = int
        """Returns how many calls of all clients wait for their answer; set by the server."""
        self.others: dict[str, Callable[[bytes, str], socket.socket]] = {}
        """The hosts that share the conversations with this one and hold calls that wait for their client, by their
        runs: each returns a connection at which a line is answered, of a client in this directory."""
        self.departed: Counter[str] = Counter()
        """Bytes `read` from clients that have left, and `written` to them."""
        self.telemetry_records = TelemetryRecords()
        self._shared: dict[type[Shared], Shared] = {}
        self.jobs = Jobs(tree.router, tree.workers, limits.start_timeout, config_overrides=options.config_overrides)
        self.open_jobs = Jobs(tree.router, tree.workers, limits.start_timeout, OPEN_AT_ONCE, options.config_overrides)
        """The jobs that clients keep open: commands, which may go on for long and are not to hold up others."""
        if tree.nodes is not None:
            tree.node_listeners.add(NodeFollower(tree.nodes, self.conversations, limits.drain).follow)

    def shared(self, kind: type[S], make: Callable[[], S]) -> S:
        """Return the one object of a kind that the front ends of all clients share, made at its first use."""
        found = self._shared.get(kind)
        if not isinstance(found, kind):
            found = self._shared[kind] = make()
        return found

    async def close_shared(self) -> None:
        """Close what front ends have shared, once all of them are closed."""
        for one in self._shared.values():
            await one.close()

    @property
    def leaving(self) -> frozenset[WorkerId]:
        """The workers whose conversations are being saved."""
        return self.conversations.leaving

    @property
    def are_at_rest(self) -> bool:
        """Whether no turn runs."""
        return self.conversations.are_at_rest

    def receive_events(self, worker_id: WorkerId, turn_id: TurnId, events: bytes) -> None:
        """Take events of a worker's conversation."""
        self.conversations.notices.receive_events(worker_id, turn_id, events)

    def receive(self, worker_id: WorkerId, received: ReceivedNotice) -> None:
        """Take a notice of a worker."""
        match received.notice:
            case JobDone() as done:
                for jobs in (self.jobs, self.open_jobs):
                    jobs.receive(worker_id, done, received.payload)
            case RequestServed() as served:
                self.conversations.notices.receive_result(worker_id, served, received.payload)
            case JobReport():
                self.open_jobs.receive_report(worker_id, received.payload)
            case _:
                self.conversations.notices.receive(worker_id, received)

    def follow_reader(self, client: Client) -> None:
        """Hold back what a client is told while it does not read (`Client.is_reading`)."""
        self.conversations.follow_reader(client)
        self.open_jobs.follow_reader(client)

    def lost(self, exited: Exited, why: str | None) -> None:
        """Take the end of a worker, and its cause where that is another than the kernel tells."""
        if not self.jobs.lost(exited, why) and not self.open_jobs.lost(exited, why):
            self.conversations.lost(exited, why)

    def kill(self, worker_id: WorkerId, why: str) -> bool:
        """Kill the worker of a conversation and say why; return whether it hosts one."""
        return self.conversations.kill(worker_id, why)

    def place_of(self, worker_id: WorkerId) -> tuple[ConversationId | None, Incarnation | None]:
        """Return the conversation that a worker hosts and its incarnation, if it hosts one."""
        conversation = self.conversations.of_worker(worker_id)
        return (None, None) if conversation is None else (conversation.id, conversation.incarnation)

    def fail_waiting(self, cause: str, facts: dict[str, object]) -> None:
        """Fail every call and job that waits for a worker. `facts` are for programs."""
        text = f"Failed to start Codex session: there is no process for it ({cause})"
        self.conversations.fail_waiting(Failure("start_failed", text, {**facts, "cause": cause, "resumable": True}))
        self.jobs.fail_waiting(cause)
        self.open_jobs.fail_waiting(cause)

    def abort_all(self, reason: str) -> None:
        """Answer every turn, and ask every worker to save and leave."""
        self.conversations.abort_all(reason)
