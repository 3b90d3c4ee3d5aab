"""The side of the old host: it hands over what it holds, and then its clients and conversations one by one."""

import asyncio
import logging
import os
import socket
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final, Protocol

import msgspec

from greenroom.protocol.ids import ConversationId
from greenroom.protocol.version import __version__
from greenroom.supervisor.control.control import GiveConnection
from greenroom.supervisor.control.control_messages import HAND_OVER_VERSION, ActionRefused, HandOver
from greenroom.supervisor.conversations.claims import AskingClaims
from greenroom.supervisor.conversations.host import ConversationHost
from greenroom.supervisor.conversations.sharing import SharedConversations
from greenroom.supervisor.frontend import server_run as runs
from greenroom.supervisor.frontend.connection import Connection
from greenroom.supervisor.startup.replacement.holdings import Holdings, MakeConnection
from greenroom.supervisor.startup.replacement.link import Link, Received
from greenroom.supervisor.startup.replacement.messages import (
    FromOld,
    Give,
    MovedClient,
    MovedSession,
    RelayedRequest,
    ReplacementOffer,
    SessionTaken,
    Stop,
    Take,
    Taken,
    Want,
    read_from_new,
    replacement_line,
)
from greenroom.supervisor.startup.replacement.same_service import is_same_service

log = logging.getLogger(__name__)


OFFER_TIMEOUT: Final = 30.0
"""Seconds that a new host has to take what it was offered."""
LOOK: Final = 0.05
"""Seconds between two looks at what is left."""
GRACE: Final = 10.0
"""Seconds of rest after which a client is disconnected that cannot be moved."""


class HostServer(Protocol):
    """The server of the old host (`greenroom.supervisor.startup.server.Server`)."""

    @property
    def connections(self) -> Sequence[Connection]:
        """The connections that are being served, oldest first."""

    @property
    def host(self) -> ConversationHost:
        """The conversations."""

    @property
    def is_stopping(self) -> bool:
        """Whether it was told to end."""

    def attach(self, connection: Connection) -> None:
        """Serve another client."""

    def replaced(self) -> None:
        """Note that another host has taken over."""

    def stop(self) -> None:
        """End as at a signal."""


class HostHandover:
    """Gives way to one other host. Must be made on the running loop."""

    def __init__(self, holdings: Holdings, server: HostServer, make_connection: MakeConnection) -> None:
        self._holdings, self._server, self._make_connection = holdings, server, make_connection
        self._successor = 0
        self._link: Link | None = None
        self._deadline: asyncio.TimerHandle | None = None
        self._giving_way: asyncio.Task[None] | None = None
        self._claims: AskingClaims | None = None
        self._rests_since: dict[Connection, float] = {}
        self._loop = asyncio.get_running_loop()

    # The decision

    def asked(self, request: HandOver, pid: int) -> ActionRefused | GiveConnection:
        """Return what goes on with the connection of a process that wants to take over, or why it cannot."""
        reason = self._refusal(request, pid)
        if reason is not None:
            log.warning("process %d cannot replace this host: %s", pid, reason)
            return ActionRefused(reason)
        self._successor = pid
        return self._offer

    def _refusal(self, request: HandOver, pid: int) -> str | None:
        holdings = self._holdings
        if request.version != HAND_OVER_VERSION:
            return (
                f"it (greenroom {__version__}) hands over by version {HAND_OVER_VERSION}, and the new one (greenroom "
                f"{request.program or 'of unknown version'}) takes over by version {request.version}; stop it instead"
            )
        if self._claims is not None:
            return f"process {self._successor} has replaced it already, and it only finishes its turns"
        if self._link is not None:
            return f"process {self._successor} is replacing it at the moment"
        if self._server.is_stopping:
            return "it is shutting down"
        if holdings.lock is None or holdings.unix is None:
            return "it is just starting; try again"
        if holdings.replaces is not None:
            return (
                f"the host before it, process {holdings.replaces}, has turns or clients left; try again later, or end "
                f"that with `greenroom stop --instance {holdings.replaces}`"
            )
        if holdings.manager.notify_address and not is_same_service(pid, os.getpid()):
            return "it runs under systemd, which replaces it by `systemctl --user reload greenroom`"
        return None

    def _offer(self, connected: socket.socket) -> None:
        holdings = self._holdings
        if holdings.lock is None or holdings.unix is None:
            connected.close()
            return
        descriptors = [holdings.lock.descriptor, holdings.unix.descriptor]
        address = None
        if holdings.http is not None:
            descriptors.append(holdings.http.descriptor)
            address = holdings.http.address.text
        self._link = link = Link(connected, self._received, self._link_ended)
        link.send(
            replacement_line(
                ReplacementOffer(__version__, holdings.unix.path, address, holdings.manager.notify_address)
            ),
            descriptors,
        )
        self._deadline = self._loop.call_later(OFFER_TIMEOUT, self._withdraw)

    def _withdraw(self) -> None:
        log.warning("process %d was to replace this host and did not", self._successor)
        self._drop_link()

    def _drop_link(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        if self._link is not None:
            self._link.close()
        if self._claims is None:  # another process may ask
            self._link = self._giving_way = None

    # The connection

    def _received(self, received: Received) -> None:
        try:
            message = read_from_new(received.line)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            log.error(
                "process %d, which replaces this host, has sent what is not understood: %s", self._successor, error
            )
            self._drop_link()
            self._link_ended()
            return
        if isinstance(message, Take):
            if self._giving_way is None:
                self._giving_way = self._loop.create_task(self._give_way(message), name="give way")
        elif self._claims is not None:
            self._handle(message, self._claims, received.descriptors)

    def _handle(
        self,
        message: Want | Give | RelayedRequest | SessionTaken | Stop,
        claims: AskingClaims,
        descriptors: deque[int],
    ) -> None:
        match message:
            case RelayedRequest() if not descriptors:
                log.error("process %d has passed on a request without a connection", self._successor)
            case RelayedRequest(state):
                self._server.attach(self._make_connection(state, descriptors.popleft(), self._successor))
            case Want(conversation_id):
                claims.wanted(conversation_id)
            case Give(conversation_id, remembered):
                if remembered is not None:
                    self._shared.remember(remembered)
                claims.given(conversation_id)
            case SessionTaken(session_id):
                if self._holdings.http is not None:
                    self._holdings.http.sessions.given(session_id)
            case Stop():
                self._server.stop()

    def _link_ended(self) -> None:
        """Handle the end of the new host: before it has taken over nothing has happened."""
        if self._claims is None:
            self._drop_link()
            return
        log.error("process %d, which has replaced this host, has ended", self._successor)
        self._claims.be_alone()
        if self._holdings.http is not None:
            self._holdings.http.pass_nothing_on()

    async def _give_way(self, take: Take) -> None:
        """Hand over. Between the last look at whether it may and the end nothing is waited for."""
        link, http, shared = self._link, self._holdings.http, self._shared
        passed_on = ""
        try:
            if http is not None:
                passed_on = await http.take_passed_on(self._server.host.tree.directory)
        except OSError as error:
            log.error("process %d cannot replace this host: %s", self._successor, error)
            self._end_attempt(link)
            return
        if link is None or link is not self._link or link.has_left() or self._server.is_stopping:
            self._end_attempt(link)
            return
        if self._deadline is not None:
            self._deadline.cancel()
        held = shared.with_process()
        self._claims = claims = AskingClaims(held, self, shared)
        shared.share(claims)
        self._holdings.give_up()
        if http is not None and take.http_socket:
            http.pass_on(take.http_socket, is_replaced=True)
        self._holdings.manager.notify(f"MAINPID={self._successor}", f"STATUS=Replaced by process {self._successor}")
        self._send(Taken(runs.THIS, shared.without_process(), held, passed_on, takes_requests=True))
        shared.park_idle()
        self._server.host.tree.leave_nodes()
        log.warning("process %d has replaced this host, which finishes its turns", self._successor)
        self._server.replaced()

    def _end_attempt(self, link: Link | None) -> None:
        """Give an attempt up, unless that has happened already and another one has begun."""
        if link is self._link:
            self._drop_link()

    # For the claims

    def want(self, conversation_id: ConversationId) -> None:
        """Ask the new host for a conversation."""
        self._send(Want(conversation_id))

    def give(self, conversation_id: ConversationId) -> None:
        """Give a conversation to the new host."""
        self._send(Give(conversation_id, self._shared.remembered(conversation_id)))

    # What is left

    async def finish(self) -> None:
        """Serve what is left until nothing is, and move what is at rest to the new host."""
        http = self._holdings.http
        if http is not None:
            http.on_rest(self._move_sessions)
        while not self._is_done:
            self._move_clients()
            self._move_sessions()
            self._shared.park_on_nodes()
            await asyncio.sleep(LOOK)

    def close(self) -> None:
        """End the connection to the new host."""
        self._drop_link()

    @property
    def _is_done(self) -> bool:
        unix, http = self._holdings.unix, self._holdings.http
        listeners_rest = (unix is None or unix.is_at_rest) and (http is None or http.is_at_rest)
        has_clients = any(connection.is_local for connection in self._server.connections)
        return listeners_rest and not has_clients and self._server.host.conversations.have_no_turns

    def _move_clients(self) -> None:
        link = self._link
        if link is None or link.is_closed:
            return
        for connection in [one for one in self._server.connections if one.is_local]:
            if not self._move(connection, link):
                self._part_with(connection)
                # one that asks without a pause is at rest for a moment only
                connection.channel.on_rest = partial(self._loop.call_soon, self._move, connection, link)

    def _move(self, connection: Connection, link: Link) -> bool:
        """Move a client, if it is at rest; return whether it was."""
        moved = None if link.is_closed else connection.move()
        if moved is None:
            return False
        link.send(replacement_line(MovedClient(moved.state, connection.pid or 0)), [moved.descriptor])
        connection.forget()
        return True

    def _part_with(self, connection: Connection) -> None:
        """Disconnect a client that cannot be moved, once it has been at rest for a while."""
        if not connection.is_at_rest:
            self._rests_since.pop(connection, None)
        elif self._loop.time() - self._rests_since.setdefault(connection, self._loop.time()) >= GRACE:
            connection.disconnect()

    def _move_sessions(self) -> None:
        http, link = self._holdings.http, self._link
        if http is None:
            return
        if link is not None and not link.is_closed:
            for state in http.sessions.give_away():
                self._send(MovedSession(state))
        http.let_go()

    @property
    def _shared(self) -> SharedConversations:
        return self._server.host.conversations.shared

    def _send(self, message: FromOld) -> None:
        if self._link is not None:
            self._link.send(replacement_line(message))


MakeHandover = Callable[[HostServer], HostHandover]
