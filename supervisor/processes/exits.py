"""The ends of processes: what is recorded of them, and their text for people."""

import signal
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from typing import Final

import msgspec

from greenroom.protocol.ids import ConversationId, Incarnation, WorkerId
from greenroom.protocol.internal.process import Exited
from greenroom.supervisor.processes.nodes.wish import NODE_LOST

OUT_OF_MEMORY = "out of memory: killed by the kernel (signal 9, SIGKILL)"
REMEMBERED = 100
"""Deaths that are kept."""
ROLES: Final = ("broker", "fork_server", "zygote", "monitor")
"""The roles that ids of processes begin with; the others are workers."""


class ExitRecord(msgspec.Struct, frozen=True):
    """One death."""

    at: float
    """Seconds since the epoch."""
    process: WorkerId
    pid: int
    cause: str
    """Text for people."""
    max_rss: int
    """Largest resident memory of its lifetime, in bytes."""
    signal: int | None = None
    exit_code: int | None = None
    """`None`, as is `signal`, for a process that was never started."""
    conversation_id: ConversationId | None = None
    incarnation: Incarnation | None = None
    doing: str | None = None
    """What it was doing, as last reported."""
    log_lines: tuple[str, ...] = ()
    """Its last log lines."""
    node: str = ""
    """The node on which it ran; empty for this machine."""


class ExitHistory:
    """The last unexpected deaths, newest last."""

    def __init__(self, last_words: Callable[[int], Sequence[str]] = lambda _: ()) -> None:
        """`last_words` returns the last log lines of a pid."""
        self._last_words = last_words
        self._deaths: deque[ExitRecord] = deque(maxlen=REMEMBERED)
        self.counts: Counter[tuple[str, str]] = Counter()
        """All deaths since the start, by role and by a word for the cause (`role_of`, `CAUSES`)."""

    def enter(
        self,
        exited: Exited,
        doing: str,
        why: str | None = None,
        conversation_id: ConversationId | None = None,
        incarnation: Incarnation | None = None,
    ) -> ExitRecord:
        """Record a death; `why` is set where the cause is another than the kernel reports."""
        number, status = _signal_and_status(exited)
        death = ExitRecord(
            at=time.time(),
            process=exited.id,
            pid=exited.pid,
            cause=why or cause(exited),
            max_rss=exited.max_rss,
            signal=number,
            exit_code=status,
            conversation_id=conversation_id,
            incarnation=incarnation,
            doing=doing,
            log_lines=tuple(self._last_words(exited.pid)) if exited.pid and not exited.node else (),
            node=exited.node,
        )
        self._deaths.append(death)
        self.counts[role_of(death.process), cause_of(death)] += 1
        return death

    def __iter__(self) -> Iterator[ExitRecord]:
        return iter(self._deaths)

    def of(self, conversation_id: ConversationId) -> ExitRecord | None:
        """Return the last death in one conversation."""
        return next((death for death in reversed(self._deaths) if death.conversation_id == conversation_id), None)


def cause(exited: Exited) -> str:
    """Return how a process ended as text, such as `signal 9 (SIGKILL)` or `exit status 1`."""
    if exited.start_error is not None:
        return f"could not be started: {exited.start_error}"
    if exited.returncode >= 0:
        return f"exit status {exited.returncode}"
    number = -exited.returncode
    try:
        return f"signal {number} ({signal.Signals(number).name})"
    except ValueError:
        return f"signal {number}"


CAUSES: Final = (
    ("could not be started", "not_started"),
    (OUT_OF_MEMORY, "out_of_memory"),
    ("over its memory limit", "memory_limit"),
    ("hung", "hung"),
    ("it gave no answer", "hung"),
    ("cannot be reached", "unreachable"),
    ("did not end its turn", "unresponsive"),
    ("exit status", "exit"),
    (NODE_LOST, "node_lost"),
    ("its connection to the host broke", "node_lost"),
    ("the lease of its node", "node_lost"),
)
"""Words for causes, by how their texts for people begin. Signals have their own names, and the rest `other`."""


def cause_of(death: ExitRecord) -> str:
    """Return one of few words for the cause of a death."""
    for beginning, word in CAUSES:
        if death.cause.startswith(beginning):
            return word
    try:
        return "other" if death.signal is None else signal.Signals(death.signal).name
    except ValueError:
        return "other"


def role_of(process: WorkerId) -> str:
    """Return the role of a process by its id."""
    name = process.partition("-")[0]
    return "worker" if name == "w" else name if name in ROLES else "other"


def exit_facts(exited: Exited) -> dict[str, object]:
    """Return the same as data."""
    number, status = _signal_and_status(exited)
    return {"signal": number, "exitCode": status, "pid": exited.pid or None} | (
        {"node": exited.node} if exited.node else {}
    )


def _signal_and_status(exited: Exited) -> tuple[int | None, int | None]:
    if exited.start_error is not None:
        return None, None
    return (-exited.returncode, None) if exited.returncode < 0 else (None, exited.returncode)
