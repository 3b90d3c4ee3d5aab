"""Writes the session files of conversations that run on nodes: a request counts once, in order, and only from the
incarnation that was given the conversation. What carries authority in them is the host's own.

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
from io import BytesIO
from typing import Final, NamedTuple, TypeAlias

from greenroom.config.reader import Reader
from greenroom.protocol.errors import ConfigError, GreenroomError, RemoteProtocolError, SessionUnknownError
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
from greenroom.protocol.internal.worker.notices import Opened
from greenroom.protocol.internal.worker.operations import TurnSettings
from greenroom.runtime.threads.daemon_threads import DaemonThreads
from greenroom.sessions.records.format import SessionRecord
from greenroom.sessions.records.restored import restore
from greenroom.sessions.storage.file import SessionFile, session_path
from greenroom.sessions.storage.finder import find_listed
from greenroom.sessions.storage.lineage import open_with_origins
from greenroom.sessions.storage.received import received_records
from greenroom.supervisor.processes.nodes.authority import Authority, AuthorityResolver
from greenroom.supervisor.processes.nodes.wish import Opening

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
    opening: Opening
    started: float
    """When a new one began, in seconds since the epoch; its session file has its name by it."""


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
    authority: Authority | None = None
    """`None` until it is known whether the conversation goes on from a session, and where `fault` is set."""
    metadata: SessionRecord | None = None
    """The first record of a new conversation, until it is written."""
    fault: str = "it was not opened"
    """Why there is no authority."""
    turn: TurnSettings | None = None
    """What the present turn overrides."""
    breach: str = ""
    """What the worker has sent that no worker sends. It writes nothing after that."""
    is_given_up: bool = False
    """Whether the breach was told."""


class RecordKeeper:
    """Runs on the host's loop."""

    def __init__(
        self,
        reply: SendReply,
        catch_up: Callable[[], None],
        on_breach: Callable[[WorkerId, str], None],
        resolver: AuthorityResolver,
        home: str,
        *closed: str,
    ) -> None:
        """`reply` sends frames to a worker, and `catch_up` hands over requests that have arrived.

        `on_breach` is called with each worker that has sent what no worker sends, and with what that was. Files below
        the directories `closed` are not read.
        """
        self._on_breach = on_breach
        self._resolver = resolver
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
        entry = self._entries[worker_id] = _Entry(opening)
        if opening.opening.resume == "no" or opening.opening.ephemeral:
            self._begin(entry)

    def begin_turn(self, worker_id: WorkerId, settings: TurnSettings | None) -> None:
        """Note what the turn overrides that a worker is sent next."""
        if (entry := self._entries.get(worker_id)) is not None:
            entry.turn = settings

    def announced(self, worker_id: WorkerId, notice: Opened) -> tuple[Opened, bytes] | None:
        """Return the notice of a worker that has opened its conversation, and its event `session_configured`.

        Both say what the host has resolved. `None` where it has resolved nothing, which is a breach.
        """
        entry = self._entries.get(worker_id)
        if entry is None or entry.authority is None:
            self._on_breach(worker_id, OUTDATED if entry is None else _unresolved(entry.fault))
            return None
        return entry.authority.announced(notice, self._path(entry))

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
        turn = entry.turn

        def work() -> None:
            answer.append(self._carry_out(entry, received, turn))

        def answered() -> None:
            if _is_waited_for(request) or isinstance(answer[0][0], RecordsFailed):
                self._reply(name, *answer[0])
            if entry.breach and not entry.is_given_up:
                entry.is_given_up = True
                self._on_breach(name, entry.breach)

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

    def _path(self, entry: _Entry) -> str:
        """Return the session file; empty where nothing is saved."""
        if entry.opening.opening.ephemeral:
            return ""
        if entry.file is not None:
            return entry.file.path
        return session_path(self._home, entry.opening.conversation_id, entry.opening.started)

    # Also in threads

    def _begin(self, entry: _Entry) -> None:
        """Resolve what a conversation may do that has no session."""
        known = entry.opening
        try:
            entry.authority, entry.metadata = self._resolver.of_new(known.opening, known.conversation_id, known.started)
        except ConfigError as error:
            entry.fault = str(error)

    def _carry_out(
        self, entry: _Entry, received: ReceivedRequest, turn: TurnSettings | None
    ) -> tuple[RecordsReply, bytes]:
        request, lines = received
        if entry.breach:
            return RecordsFailed(number=request.number, text=OUTDATED, kind="session_busy"), b""
        try:
            match request:
                case ResumeRecords():
                    return self._resume(entry, request)
                case WriteRecords():
                    self._write(entry, request, lines, turn)
                case CloseRecords():
                    file, entry.file = entry.file, None
                    if file is not None:
                        file.close()
            return RecordsWritten(number=request.number), b""
        except OSError as error:
            text, number = error.strerror or str(error), error.errno or 0
            return RecordsFailed(number=request.number, text=text, errno=number), b""
        except GreenroomError as error:
            if isinstance(error, RemoteProtocolError):
                entry.breach = str(error)
            return RecordsFailed(number=request.number, text=str(error), kind=error.kind), b""
        except Exception as error:  # whatever it is, the worker is answered, and what waits behind it goes on
            log.exception("session records of conversation %s could not be written", request.conversation_id)
            return RecordsFailed(number=request.number, text=str(error)), b""

    def _resume(self, entry: _Entry, request: ResumeRecords) -> tuple[RecordsReply, bytes]:
        conversation_id, opening = entry.opening.conversation_id, entry.opening.opening
        if entry.authority is not None or entry.file is not None:
            raise RemoteProtocolError("a conversation without a session is resumed, or one that was resumed already")
        path = opening.path or find_listed(self._home, conversation_id)
        if path is None:
            if opening.resume == "must":
                raise SessionUnknownError(f"no conversation with id: {conversation_id}")
            self._begin(entry)
            return RecordsResumed(number=request.number, path=""), b""
        file = SessionFile.resume(self._home, os.path.realpath(path), conversation_id)
        entry.file = file
        with open_with_origins(self._reader, file.path) as conversation:
            lines = conversation.read()
        restored = restore(BytesIO(lines))
        try:
            entry.authority = self._resolver.of_resumed(opening, restored)
        except ConfigError as error:  # which the worker finds too, and reports
            entry.fault = str(error)
        return RecordsResumed(number=request.number, path=file.path, ordinal=file.ordinal), lines

    def _write(self, entry: _Entry, request: WriteRecords, lines: bytes, turn: TurnSettings | None) -> None:
        if entry.authority is None:
            raise RemoteProtocolError(_unresolved(entry.fault))
        if entry.opening.opening.ephemeral:
            raise RemoteProtocolError("records of a conversation that is not saved")
        file, metadata = entry.file, entry.metadata
        if file is None and metadata is None:
            raise RemoteProtocolError("records of a conversation that was closed")
        mode = "legacy" if file is None else file.history_mode
        records = received_records(lines, entry.authority.of_turn(turn), mode, begins_file=file is None)
        if file is None and metadata is not None:
            known = entry.opening
            file = entry.file = SessionFile.create(self._home, known.conversation_id, metadata, known.started)
            entry.metadata = None
        assert file is not None
        file.append(records)
        file.begin()
        if request.commit:
            file.commit()


def _unresolved(fault: str) -> str:
    return f"what the conversation may do is not known on the host: {fault}"


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
