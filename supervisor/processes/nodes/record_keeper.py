"""Writes the session files of conversations that run on nodes: a request counts once, in order, and only from the
incarnation that was given the conversation.

Files are read and written in threads, since the disk may be slow and the loop serves all conversations.
"""

import asyncio
import errno
import logging
import os
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Final, Literal, NamedTuple, TypeAlias

from greenroom.config.reader import Reader
from greenroom.protocol.errors import GreenroomError, RemoteProtocolError, SessionUnknownError
from greenroom.protocol.ids import ConversationId, Incarnation, WorkerId
from greenroom.protocol.internal.records import (
    CloseRecords,
    ReceivedRequest,
    RecordsFailed,
    RecordsReply,
    RecordsRequest,
    RecordsResumed,
    RecordsWritten,
    ResumeRecords,
    WriteRecords,
    read_request,
    record_frames,
)
from greenroom.runtime.threads.daemon_threads import DaemonThreads
from greenroom.sessions.file import SessionFile
from greenroom.sessions.finder import find_listed
from greenroom.sessions.lineage import names_origin, open_with_origins

log = logging.getLogger(__name__)

THREADS: Final = 4
SendReply: TypeAlias = Callable[[WorkerId, Sequence[bytes]], object]
"""Sends a reply to a worker: its frames."""
TOO_LATE: Final = "the host has ended before its disk had taken all records"
OUTDATED: Final = "this process of the conversation does not count any more"


@dataclass(frozen=True, slots=True)
class RecordOpening:
    """A conversation that a worker on a node was given."""

    conversation_id: ConversationId
    incarnation: Incarnation
    resume: Literal["no", "if-saved", "must"]
    path: str | None
    """The session file that the client has named."""
    session_path: str
    """That of a new conversation."""


class _Task(NamedTuple):
    """Something to be done in a thread."""

    work: Callable[[], None]
    then: Callable[[], None]
    """Called on the loop when it is done."""
    refuse: Callable[[], None] = lambda: None
    """Called instead of `then` where the time is over before it is done."""


@dataclass(slots=True, eq=False)
class _Entry:
    opening: RecordOpening
    file: SessionFile | None = None
    waiting: "deque[_Task]" = field(default_factory=deque)
    """What is to be done, one after the other."""
    running: _Task | None = None


class RecordKeeper:
    """Runs on the host's loop."""

    def __init__(self, reply: SendReply, catch_up: Callable[[], None], home: str, *closed: str) -> None:
        """`reply` sends frames to a worker, and `catch_up` hands over requests that have arrived.

        Files below the directories `closed` are not read.
        """
        self._send = reply
        self._catch_up = catch_up
        self._home = home
        self._reader = Reader(home, *closed)
        self._entries: dict[WorkerId, _Entry] = {}
        self._unfinished: set[_Entry] = set()
        """Those that have something to do, also of workers that are gone."""
        self._threads = DaemonThreads(THREADS, "records")
        self._finished = asyncio.Event()
        self._takes_requests = True
        self._closed = False

    def expect(self, worker_id: WorkerId, opening: RecordOpening) -> None:
        """Take the records of a worker's conversation from now on."""
        self._entries[worker_id] = _Entry(opening)

    def release(self, worker_id: WorkerId, then: Callable[[], None]) -> None:
        """Write what has arrived of a worker that is gone, let go of its file, and call `then`."""
        self._catch_up()
        entry = self._entries.pop(worker_id, None)
        if entry is None or (entry.file is None and entry not in self._unfinished):
            then()
        else:
            self._add(entry, _Task(partial(_close, entry), then))

    async def close(self, within: float) -> None:
        """Write what has arrived, and take nothing more; what is not on the disk in `within` seconds is answered so."""
        if self._closed:
            return
        self._catch_up()
        self._takes_requests = False
        for entry in self._entries.values():
            self._add(entry, _Task(partial(_close, entry), lambda: None))
        self._entries.clear()
        if self._unfinished:
            with suppress(TimeoutError):
                async with asyncio.timeout(within):
                    await self._finished.wait()
        self._closed = True
        for entry in self._unfinished:
            log.error("conversation %s: %s", entry.opening.conversation_id, TOO_LATE)
            for task in (entry.running, *entry.waiting):
                if task is not None:
                    task.refuse()
        self._threads.close()

    def receive(self, name: WorkerId, frames: Sequence[bytes]) -> None:
        """Take a request of a worker."""
        try:
            received = read_request(frames)
        except RemoteProtocolError as error:
            log.error("worker %s: %s; dropped", name, error)
            return
        entry, request = self._entries.get(name), received.request
        opening = None if entry is None else entry.opening
        too_late = RecordsFailed(number=request.number, text=TOO_LATE, errno=errno.ETIMEDOUT)
        if not self._takes_requests:
            self._reply(name, too_late)
            return
        if (
            entry is None
            or opening is None
            or request.conversation_id != opening.conversation_id
            or request.incarnation != opening.incarnation
        ):
            log.warning("worker %s: records of an outdated process are refused", name)
            self._reply(name, RecordsFailed(number=request.number, text=OUTDATED, kind="session_busy"))
            return
        answer: list[tuple[RecordsReply, bytes]] = []

        def work() -> None:
            answer.append(self._carry_out(entry, received))

        def answered() -> None:
            if _is_waited_for(request) or isinstance(answer[0][0], RecordsFailed):
                self._reply(name, *answer[0])

        self._add(entry, _Task(work, answered, lambda: self._reply(name, too_late)))

    def _add(self, entry: _Entry, task: _Task) -> None:
        entry.waiting.append(task)
        self._unfinished.add(entry)
        self._finished.clear()
        self._go_on(entry)

    def _go_on(self, entry: _Entry) -> None:
        if entry.running is not None:
            return
        if entry.waiting:
            entry.running = task = entry.waiting.popleft()
            self._threads.submit(task.work, partial(self._done, entry, task))
            return
        self._unfinished.discard(entry)
        if not self._unfinished:
            self._finished.set()

    def _done(self, entry: _Entry, task: _Task) -> None:
        if self._closed:
            return
        entry.running = None
        task.then()
        self._go_on(entry)

    def _reply(self, name: WorkerId, reply: RecordsReply, lines: bytes = b"") -> None:
        self._send(name, record_frames(reply, lines))

    # In threads

    def _carry_out(self, entry: _Entry, received: ReceivedRequest) -> tuple[RecordsReply, bytes]:
        request, lines = received
        try:
            match request:
                case ResumeRecords():
                    return self._resume(entry, request)
                case WriteRecords():
                    self._write(entry, request, lines)
                case CloseRecords():
                    file, entry.file = entry.file, None
                    if file is not None:
                        file.close()
            return RecordsWritten(number=request.number), b""
        except OSError as error:
            text, number = error.strerror or str(error), error.errno or 0
            return RecordsFailed(number=request.number, text=text, errno=number), b""
        except GreenroomError as error:
            return RecordsFailed(number=request.number, text=str(error), kind=error.kind), b""
        except Exception as error:  # whatever it is, the worker is answered, and what waits behind it goes on
            log.exception("session records of conversation %s could not be written", request.conversation_id)
            return RecordsFailed(number=request.number, text=str(error)), b""

    def _resume(self, entry: _Entry, request: ResumeRecords) -> tuple[RecordsReply, bytes]:
        opening = entry.opening
        path = opening.path or find_listed(self._home, opening.conversation_id)
        if path is None:
            if opening.resume == "must":
                raise SessionUnknownError(f"no conversation with id: {opening.conversation_id}")
            return RecordsResumed(number=request.number, path=""), b""
        file = SessionFile.resume(self._home, os.path.realpath(path), opening.conversation_id)
        entry.file = file
        with open_with_origins(self._reader, file.path) as conversation:
            return RecordsResumed(number=request.number, path=file.path, ordinal=file.ordinal), conversation.read()

    def _write(self, entry: _Entry, request: WriteRecords, lines: bytes) -> None:
        if lines and not lines.endswith(b"\n"):
            raise RemoteProtocolError("records that do not end with their line")
        if entry.file is None:
            if names_origin(lines):  # which would have the next incarnation be sent the other conversation
                raise RemoteProtocolError("a conversation on a node begins in no file of another one")
            opening = entry.opening
            entry.file = SessionFile.receive(self._home, opening.session_path, opening.conversation_id)
        entry.file.append_lines(lines)
        (entry.file.commit if request.commit else entry.file.flush)()


def _is_waited_for(request: RecordsRequest) -> bool:
    """Tell whether a worker waits for the reply to a request also where it says nothing but that it was done."""
    return not isinstance(request, WriteRecords) or request.commit


def _close(entry: _Entry) -> None:
    file, entry.file = entry.file, None
    if file is not None:
        try:
            file.close()
        except (OSError, GreenroomError) as error:
            log.error("%s: %s", file.path, error)
