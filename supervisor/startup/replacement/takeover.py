"""The side of the new host: it takes over from the one that runs, once nothing of its own start can fail any more.

It is a listener (`greenroom.supervisor.frontend.listener.Listener`) which is started last.
"""

import asyncio
import logging
import os
import socket
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final, TypeAlias

import msgspec

from greenroom.protocol.errors import StartError
from greenroom.protocol.ids import ConversationId
from greenroom.protocol.version import __version__
from greenroom.runtime.process import identity
from greenroom.supervisor.control.control_messages import (
    HAND_OVER_VERSION,
    ActionRefused,
    HandOver,
    control_line,
    read_control_reply,
)
from greenroom.supervisor.conversations.claims import DecidingClaims
from greenroom.supervisor.conversations.host import ConversationHost
from greenroom.supervisor.conversations.sharing import SharedConversations
from greenroom.supervisor.frontend.listener import ClientIntake
from greenroom.supervisor.frontend.mcp.front_state import FrontState
from greenroom.supervisor.frontend.unix_listener import UnixListener
from greenroom.supervisor.startup.host_lock import HostLock
from greenroom.supervisor.startup.replacement.holdings import Holdings, MakeConnection
from greenroom.supervisor.startup.replacement.link import Link, Received
from greenroom.supervisor.startup.replacement.messages import (
    FromNew,
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
    read_from_old,
    replacement_line,
)

if TYPE_CHECKING:
    from greenroom.supervisor.frontend.http.listener import HttpListener

log = logging.getLogger(__name__)

ANSWER_TIMEOUT: Final = 20.0
"""Seconds that the old host has for its offer."""
DEATH_TIMEOUT: Final = 5.0
"""Seconds for the death of an old host that has ended the connection in the middle."""
_LOOK: Final = 0.05

MakeUnix: TypeAlias = Callable[[socket.socket, str], UnixListener]
"""Makes what takes in clients at a socket; the path is to be removed in the end, if it is not empty."""
MakeHttp: TypeAlias = "Callable[[str | None, socket.socket | None], HttpListener | None]"
"""Makes what serves HTTP, given the address and the socket of the old host, if that serves it; `None`: nothing does."""


class Takeover:
    """Of one host, whose process is known. Must be made on the running loop."""

    def __init__(
        self,
        old_pid: int,
        control_path: str,
        holdings: Holdings,
        make_unix: MakeUnix,
        make_http: MakeHttp,
        make_connection: MakeConnection,
        conversations: Callable[[], ConversationHost],
        *,
        death_timeout_s: float = DEATH_TIMEOUT,
    ) -> None:
        """`holdings` are completed at the start; `conversations` returns those of this host, once they are there."""
        self._old_pid, self._control_path, self._holdings = old_pid, control_path, holdings
        self._old_created = identity.created(old_pid)
        self._make_unix, self._make_http, self._make_connection = make_unix, make_http, make_connection
        self._conversations, self._death_timeout_s = conversations, death_timeout_s
        self._loop = asyncio.get_running_loop()
        self._offered: asyncio.Future[tuple[ReplacementOffer, list[int]]] = self._loop.create_future()
        self._taken: asyncio.Future[Taken] = self._loop.create_future()
        self._gone = asyncio.Event()
        self._link: Link | None = None
        self._http: HttpListener | None = None
        self._claims: DecidingClaims | None = None
        self._intake: ClientIntake | None = None

    # As a listener

    async def start(self, intake: ClientIntake) -> None:
        """Take over, and listen. Raises `StartError`; then the old host serves on."""
        self._intake = intake
        offer, descriptors = await self._ask()
        log.info("process %d (greenroom %s) offers its sockets", self._old_pid, offer.program)
        lock, unix, http = self._received_sockets(offer, descriptors)
        passed_on = ""
        self._http = http
        if http is not None:
            await http.prepare(intake)
            passed_on = await http.take_passed_on(self._host.tree.directory)
        taken = await self._take(passed_on)
        try:
            lock.write(unix.address)
        except OSError as error:  # the kernel knows the holder of the lock; the file is for people
            log.error("the lock of the home cannot be written: %s", error.strerror or error)
        holdings = self._holdings
        holdings.lock, holdings.unix, holdings.http = lock, unix, http
        if not holdings.manager.notify_address:
            holdings.manager = holdings.manager._replace(notify_address=offer.notify)
        if http is not None and taken is not None and taken.http_socket:
            http.pass_on(taken.http_socket, is_replaced=False)
        await unix.start(intake)
        if http is not None:
            await http.start(intake)

    def stop(self) -> None:
        """Take in no more clients, and let the old host end too."""
        self._send(Stop())
        for listener in (self._holdings.unix, self._holdings.http):
            if listener is not None:
                listener.stop()

    async def drained(self) -> None:
        """Wait for the end of the old host."""
        await self._gone.wait()

    async def close(self) -> None:
        """Drop what has not become a connection yet, and remove what was made for listening.

        The connection to the old host ends with the process: to that, every conversation then belongs to the old host.
        """
        for listener in (self._holdings.unix, self._http):
            if listener is not None:
                await listener.close()

    # Taking over

    async def _ask(self) -> tuple[ReplacementOffer, list[int]]:
        connected = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connected.setblocking(False)
            async with asyncio.timeout(ANSWER_TIMEOUT):
                await self._loop.sock_connect(connected, self._control_path)
                await self._loop.sock_sendall(connected, control_line(HandOver(HAND_OVER_VERSION, __version__)))
                self._link = Link(connected, self._received, self._link_ended)
                return await self._offered
        except (OSError, TimeoutError) as error:
            if self._link is None:
                connected.close()
            raise StartError(f"{self._who} cannot be replaced: it does not answer ({error})") from error

    async def _take(self, passed_on: str) -> Taken | None:
        """Return what the old host leaves; `None` where it has died before it could say."""
        self._send(Take(passed_on))
        try:
            taken = await self._taken  # without a limit: after one, it would not be known who is the host
        except ConnectionError:
            if not await self._has_died():
                raise StartError(f"{self._who} was not replaced: it has changed its mind, or is ending") from None
            return None
        self._holdings.replaces = self._old_pid
        return taken

    def _received_sockets(
        self, offer: ReplacementOffer, descriptors: list[int]
    ) -> "tuple[HostLock, UnixListener, HttpListener | None]":
        expected = 2 if offer.http is None else 3
        if len(descriptors) != expected:
            raise StartError(f"{self._who} was not replaced: it has sent {len(descriptors)} descriptors")
        lock, unix, *more = descriptors
        http = self._make_http(offer.http, socket.socket(fileno=more[0]) if more else None)
        return HostLock(lock), self._make_unix(socket.socket(fileno=unix), offer.path), http

    async def _has_died(self) -> bool:
        """Wait for the death of the old host, which has ended the connection; return whether it has died."""
        ends_at = self._loop.time() + self._death_timeout_s
        while identity.created(self._old_pid) == self._old_created:
            if self._loop.time() >= ends_at:
                return False
            await asyncio.sleep(_LOOK)
        return True

    # The connection

    def _received(self, received: Received) -> None:
        if not self._offered.done():
            self._read_answer(received)
            return
        try:
            message = read_from_old(received.line)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            log.error("%s has sent what is not understood: %s", self._who, error)
            while received.descriptors:  # those of this line, lest a client be served with the state of another
                os.close(received.descriptors.popleft())
            return
        match message:
            case Taken():
                self._begin_sharing(message)
            case Want(conversation_id) if self._claims is not None:
                self._claims.wanted(conversation_id)
            case Give(conversation_id, remembered) if self._claims is not None:
                if remembered is not None:
                    self._shared.remember(remembered)
                self._claims.given(conversation_id)
            case MovedClient() if not received.descriptors:
                log.error("%s has moved a client without its connection", self._who)
            case MovedClient(state, pid):
                self._take_client(state, pid, received.descriptors.popleft())
            case MovedSession(state):
                if self._http is not None:
                    self._http.sessions.take_over(state)
                self._send(SessionTaken(state.id))

    def _read_answer(self, received: Received) -> None:
        """Read the answer to the request: an offer, or a refusal as on the control socket."""
        try:
            offer = read_from_old(received.line)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            self._offered.set_exception(StartError(f"{self._who} cannot be replaced: {_refusal_in(received.line)}"))
            return
        if isinstance(offer, ReplacementOffer):
            self._offered.set_result((offer, list(received.descriptors)))
            received.descriptors.clear()

    def _begin_sharing(self, taken: Taken) -> None:
        for remembered in taken.conversations:
            self._shared.remember(remembered)
        self._claims = DecidingClaims(taken.held, self, self._shared)
        self._shared.share(self._claims)
        if taken.takes_requests:
            self._host.others[taken.run] = self._relay
        self._taken.set_result(taken)

    def _take_client(self, state: FrontState, pid: int, descriptor: int) -> None:
        if self._intake is not None:
            self._intake.attach(self._make_connection(state, descriptor, pid))

    def _relay(self, request: bytes, cwd: str) -> socket.socket:
        """Return a connection at which the old host answers a request, a line. Raises `OSError`."""
        if self._link is None or self._link.is_closed:
            raise ConnectionResetError("the process that was replaced has ended")
        near, far = socket.socketpair()
        with far:
            self._send(RelayedRequest(FrontState(cwd=cwd, received=request)), [far.fileno()])
        return near

    def _link_ended(self) -> None:
        self._gone.set()
        if self._taken.done() and not self._taken.cancelled() and self._taken.exception() is None:
            self._host.others.pop(self._taken.result().run, None)
        for waiting in (self._offered, self._taken):
            if not waiting.done():
                waiting.set_exception(ConnectionResetError("it has ended the connection"))
                waiting.exception()  # retrieved, in case it is not awaited
        self._holdings.replaces = None
        if self._claims is not None:
            self._claims.be_alone()
            if self._http is not None:
                self._http.pass_nothing_on()

    # For the claims

    def want(self, conversation_id: ConversationId) -> None:
        """Ask the old host for a conversation."""
        self._send(Want(conversation_id))

    def give(self, conversation_id: ConversationId) -> None:
        """Give a conversation to the old host."""
        self._send(Give(conversation_id, self._shared.remembered(conversation_id)))

    @property
    def _host(self) -> ConversationHost:
        return self._conversations()

    @property
    def _shared(self) -> SharedConversations:
        return self._host.conversations.shared

    @property
    def _who(self) -> str:
        return f"the host of the home, process {self._old_pid},"

    def _send(self, message: FromNew, descriptors: Sequence[int] = ()) -> None:
        if self._link is not None:
            self._link.send(replacement_line(message), descriptors)


def _refusal_in(data: bytes) -> str:
    try:
        reply = read_control_reply(data)
    except (ValueError, UnicodeDecodeError):
        return f"its answer is not understood: {data[:200]!r}"
    return reply.text if isinstance(reply, ActionRefused) else "its answer is not understood"
