"""The control socket: shows the instance to its user and accepts a few orders.

A connection carries one request and one answer, and ends within `TIMEOUT` whatever its peer does.
"""

import asyncio
import contextlib
import logging
import os
import socket
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final, Protocol, TypeAlias, cast

import msgspec

from greenroom.protocol.instance import Instance
from greenroom.supervisor.control import instances, peer
from greenroom.supervisor.control.control_messages import (
    MAX_REQUEST,
    ActionRefused,
    ApprovalsListed,
    ControlAction,
    ControlAnswer,
    ControlReply,
    GiveMetrics,
    GiveReport,
    HandOver,
    ListApprovals,
    MetricsReported,
    Reported,
    WatchConversation,
    control_line,
    read_control_request,
)

if TYPE_CHECKING:
    from greenroom.protocol.report import Report

log = logging.getLogger(__name__)

MAX_CONNECTIONS: Final = 16
TIMEOUT: Final = 5.0
"""Seconds that a peer has to send its request and to read the answer."""
BEAT: Final = 5.0
"""Seconds between two signs of life. The last one shows how long an instance has not been answering."""
NO_METRICS: Final = ActionRefused("this instance has no metrics")
NO_WATCHING: Final = ActionRefused("conversations of this instance cannot be watched")

ProvideReport: TypeAlias = "Callable[[GiveReport], Awaitable[Report]]"
PerformAction: TypeAlias = Callable[[ControlAction], ControlAnswer]
TellApprovals: TypeAlias = Callable[[ListApprovals], ApprovalsListed | ActionRefused]
GiveConnection: TypeAlias = Callable[[socket.socket], None]
"""Takes a connection over."""
OnHandOver: TypeAlias = Callable[[HandOver, int], ActionRefused | GiveConnection]
"""Returns what goes on with the connection of the process that asks, whose pid it is given, or why it is refused."""
ProvideMetrics: TypeAlias = Callable[[], Awaitable[MetricsReported]]


class Watching(Protocol):
    """Those who watch conversations."""

    def ask(self, request: WatchConversation) -> ActionRefused | GiveConnection:
        """Return what goes on with the connection, or why it is refused."""

    def close(self) -> None:
        """End all their connections."""


class ControlServer:
    """Serves the control socket of one instance on the running loop."""

    def __init__(
        self,
        directory: str,
        instance: Instance,
        provide_report: ProvideReport,
        act: PerformAction,
        list_approvals: TellApprovals = lambda _: ActionRefused("this instance has no approvals"),
        on_hand_over: OnHandOver | None = None,
        provide_metrics: ProvideMetrics | None = None,
        watching: Watching | None = None,
        *,
        timeout_s: float = TIMEOUT,
        beat_s: float = BEAT,
    ) -> None:
        """Prepare to serve in the runtime directory of `instance`. The callbacks run on the loop."""
        self._watching = watching
        self.timeout_s, self._beat_s = timeout_s, beat_s
        self._tell_approvals, self._on_hand_over = list_approvals, on_hand_over or _refuse_hand_over
        self._provide_metrics = provide_metrics
        self._directory = directory
        self._instance = instance
        self._provide_report = provide_report
        self._act = act
        self._server: asyncio.Server | None = None
        self._beat: asyncio.TimerHandle | None = None
        self.connections: set[_Connection] = set()
        """The open ones."""

    async def start(self) -> None:
        """Listen, and only then publish the instance. If that fails, the client is served all the same."""
        loop = asyncio.get_running_loop()
        try:
            listener = _listener(os.path.join(self._directory, instances.CONTROL))
            self._server = await loop.create_unix_server(lambda: _Connection(self), sock=listener)
            instances.write(self._directory, self._instance)
        except OSError as error:
            log.error("greenroom status will not find this instance: %s", error)
            return
        self._beat = loop.call_later(self._beat_s, self._give_signs_of_life)

    def close(self) -> None:
        """Stop listening, drop open connections, and remove the facts."""
        if self._beat is not None:
            self._beat.cancel()
        if self._server is not None:
            self._server.close()
        for connection in tuple(self.connections):
            connection.drop()
        if self._watching is not None:
            self._watching.close()
        for name in (instances.FACTS, instances.CONTROL):
            with contextlib.suppress(OSError):
                os.unlink(os.path.join(self._directory, name))

    async def answer(self, data: bytes, pid: int) -> ControlReply | GiveConnection:
        """Carry out a request. An error in this process ends the request and nothing else."""
        self._touch()
        try:
            request = read_control_request(data)
        except ValueError:
            return ActionRefused("this version knows no such request")
        try:
            if isinstance(request, GiveReport):
                return Reported(msgspec.Raw((await self._provide_report(request)).model_dump_json().encode()))
            if isinstance(request, HandOver):
                return self._on_hand_over(request, pid)
            if isinstance(request, WatchConversation):
                return NO_WATCHING if self._watching is None else self._watching.ask(request)
            if isinstance(request, GiveMetrics):
                return NO_METRICS if self._provide_metrics is None else await self._provide_metrics()
            if isinstance(request, ListApprovals):
                return self._tell_approvals(request)
            log.info("asked on the control socket: %s", request)
            return self._act(request)
        except Exception as error:
            log.exception("a request on the control socket failed")
            return ActionRefused(f"the instance failed to answer ({type(error).__name__}); its log has more")

    def _give_signs_of_life(self) -> None:
        self._touch()
        self._beat = asyncio.get_running_loop().call_later(self._beat_s, self._give_signs_of_life)

    def _touch(self) -> None:
        with contextlib.suppress(
            OSError
        ):  # the directory was removed: the instance is not found any more, and continues to serve
            os.utime(os.path.join(self._directory, instances.FACTS))


class _Connection(asyncio.Protocol):
    """One peer, its request and its answer."""

    def __init__(self, server: ControlServer) -> None:
        self._server = server
        self._received = b""
        self._pid = peer.OUTSIDE
        self._answering: asyncio.Task[None] | None = None
        self._transport: asyncio.Transport
        self._deadline: asyncio.TimerHandle

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._deadline = asyncio.get_running_loop().call_later(self._server.timeout_s, self.drop)
        self._server.connections.add(self)
        reason = self._refusal()
        if reason is not None:
            self._end(ActionRefused(reason))

    def data_received(self, data: bytes) -> None:
        if self._transport.is_closing() or self._answering is not None:
            return
        self._received += data
        request, newline, _ = self._received.partition(b"\n")
        if newline and len(request) < MAX_REQUEST:
            self._answering = asyncio.get_running_loop().create_task(self._answer(request), name="status")
        elif len(self._received) >= MAX_REQUEST:
            self._end(ActionRefused(f"a request has at most {MAX_REQUEST} bytes"))

    def connection_lost(self, _: Exception | None) -> None:
        self._deadline.cancel()
        if self._answering is not None:
            self._answering.cancel()
        self._server.connections.discard(self)

    def drop(self) -> None:
        """End the connection, whether its answer was read or not."""
        self._transport.abort()

    async def _answer(self, request: bytes) -> None:
        reply = await self._server.answer(request, self._pid)
        if callable(reply):
            self._give(reply)
        else:
            self._end(reply)

    def _give(self, give: GiveConnection) -> None:
        """Let go of the connection, which goes on elsewhere."""
        copy = self._transport.get_extra_info("socket").dup()
        self._transport.abort()
        give(copy)

    def _refusal(self) -> str | None:
        if len(self._server.connections) > MAX_CONNECTIONS:
            return "too many ask at once; try again"
        try:
            found = peer.peer_of(self._transport.get_extra_info("socket"))
            self._pid = found.pid
            return peer.peer_refusal(found)
        except OSError as error:
            return f"it cannot be told who asks ({error})"

    def _end(self, reply: ControlReply) -> None:
        self._transport.write(control_line(reply))
        self._transport.close()


def _listener(path: str) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listener.bind(path)
        os.chmod(path, 0o600)
    except OSError:
        listener.close()
        raise
    return listener


def _refuse_hand_over(_: HandOver, __: int) -> ActionRefused:
    return ActionRefused("this instance is no host, and cannot be replaced")
