"""Executes refreshes in processes of their own, which outlive the broker (`greenroom.broker.refresh.process`)."""

import asyncio
import logging
import os
import signal
import socket
from contextlib import suppress

import msgspec

from greenroom.broker.clock import Clock
from greenroom.broker.credential.refresh_request import RefreshRequest
from greenroom.broker.refresh.exchange import RefreshOutcome, note
from greenroom.broker.refresh.journal import Journal
from greenroom.broker.refresh.process import (
    LIFETIME,
    LOCK,
    SENDING,
    STATEMENT,
    RefreshReport,
    RefreshTask,
    packed,
    unpacked,
)
from greenroom.broker.storage.store import Store
from greenroom.broker.token_issuer.classify import Unanswered, Unreached, token_fingerprint
from greenroom.broker.token_issuer.endpoints import IssuerEndpoints
from greenroom.runtime.process import child
from greenroom.runtime.process.launch import CONTROL, LIFELINE
from greenroom.runtime.process.orphans import terminate
from greenroom.runtime.process.spawn import OWN_VARIABLES, spawn

log = logging.getLogger(__name__)

_DIED = "the process that refreshes has died"
HANG = LIFETIME + 5.0
"""Seconds after which a refresh process is killed: it ends by itself before that, unless it is stopped."""


class SubprocessExecutor:
    """Starts the processes of one broker (`greenroom.broker.refresh.exchange.RefreshExecutor`)."""

    def __init__(
        self, store: Store, endpoints: IssuerEndpoints, clock: Clock, lifeline: int, instance: int, log_level: str
    ) -> None:
        """`lifeline`: the descriptor whose end of file means that the supervisor is gone; `instance`: its pid."""
        self._store = store
        self._endpoints = endpoints
        self._clock = clock
        self._lifeline = lifeline
        self._instance = instance
        self._log_level = log_level
        self._pid: int | None = None

    async def perform(self, order: RefreshRequest, journal: Journal, lock: int | None) -> RefreshOutcome:
        """Exchange once. The outcome is unknown if the process dies after it may have sent the request."""
        said = await self._delegate(self._task(order, journal, lock), lock)
        if said is None:
            return self._lost(order, journal, lock, Unreached("no process could be started for it"))
        if not said.startswith(SENDING):
            return self._lost(order, journal, lock, Unreached(_DIED))
        try:
            report = unpacked(said.removeprefix(SENDING), RefreshReport)
        except msgspec.MsgspecError:
            return self._lost(order, journal, lock, Unanswered(_DIED))
        journal.adopt(report.entry)
        self._clock.learn(report.ahead)
        return report.outcome

    def hurry(self) -> None:
        """Tell the process that the server ends."""
        if self._pid is not None:
            terminate(self._pid)

    def _task(self, order: RefreshRequest, journal: Journal, lock: int | None) -> RefreshTask:
        return RefreshTask(
            order=order,
            endpoints=self._endpoints,
            home=self._store.home,
            store=self._store.kind,
            has_lock=lock is not None,
            entry=journal.entry,
            ahead=self._clock.offset,
            instance=self._instance,
            log_level=self._log_level,
        )

    async def _delegate(self, task: RefreshTask, lock: int | None) -> bytes | None:
        """Return the output of a process up to its end; `None` where none could be started."""
        channel, child_end = socket.socketpair()
        with channel, child_end:
            inherited = {CONTROL: child_end.fileno(), LIFELINE: self._lifeline} | ({} if lock is None else {LOCK: lock})
            try:
                self._pid = spawn(STATEMENT, {**os.environ, **OWN_VARIABLES}, inherited, same_session=True)
            except OSError as error:
                log.error("no process can be started for a refresh: %s", error.strerror)
                return None
            child_end.close()
            child.watch(self._pid, self._ended)
            limit = asyncio.get_running_loop().call_later(HANG, self._kill, self._pid)
            try:
                return await _converse(channel, packed(task))
            finally:
                limit.cancel()

    def _kill(self, pid: int) -> None:
        if self._pid == pid:  # not reaped yet, so the number is its own
            log.error("the process of a refresh, %d, hangs and is killed", pid)
            os.kill(pid, signal.SIGKILL)

    def _ended(self, ending: child.ChildExit) -> None:
        if self._pid == ending.pid:
            self._pid = None
        if ending.returncode != 0:
            log.error("the process of a refresh died (%d)", ending.returncode)

    def _lost(
        self, order: RefreshRequest, journal: Journal, lock: int | None, answer: Unreached | Unanswered
    ) -> RefreshOutcome:
        note(journal, lock, token_fingerprint(order.token), answer)
        return RefreshOutcome(answer)


async def _converse(channel: socket.socket, order: bytes) -> bytes:
    loop, said = asyncio.get_running_loop(), b""
    channel.setblocking(False)
    with suppress(OSError):  # it died: its output until then counts
        await loop.sock_sendall(channel, order)
        channel.shutdown(socket.SHUT_WR)
        while part := await loop.sock_recv(channel, 65536):
            said += part
    return said
