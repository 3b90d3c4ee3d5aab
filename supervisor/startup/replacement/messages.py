"""What an old host and the new one that replaces it say to each other: lines of JSON, some with descriptors.

The new one asks on the control socket (`…control.control_messages.HandOver`) and is answered with `ReplacementOffer` or
a refusal. It says `Take` when nothing can fail any more; until then either may leave and nothing has happened. `Taken`
answers it; from then on the new host is the host of the home, and both tell each other about conversations and clients
until the old one ends the connection. Members that a version does not know are ignored; whatever must not be ignored
changes `HAND_OVER_VERSION`.
"""

from typing import Final, TypeAlias

import msgspec

from greenroom.protocol.ids import ConversationId
from greenroom.supervisor.conversations.state.remembered import Remembered
from greenroom.supervisor.frontend.mcp.front_state import FrontState
from greenroom.supervisor.frontend.session_state import SessionState

LONGEST: Final = 256 * 1024 * 1024
"""Bytes of a line. The longest are the conversations of a host, and the events that a session keeps."""


class ReplacementOffer(msgspec.Struct, frozen=True, tag_field="type", tag="offer"):
    """Old to new: what the new one would get. With the descriptors of the lock, the Unix socket and, with HTTP, TCP."""

    program: str
    """The version of the old host's program, for people."""
    path: str = ""
    """The path of the Unix socket that is to be removed in the end; empty: it belongs to another process."""
    http: str | None = None
    """The address at which MCP over HTTP is served; `None`: it is not."""
    notify: str = ""
    """The address of the service manager that watches the old host."""


class Take(msgspec.Struct, frozen=True, tag_field="type", tag="take"):
    """New to old: it takes over now."""

    http_socket: str = ""
    """Path of a Unix socket for HTTP requests that belong to the new host; empty: it serves none."""


class Taken(msgspec.Struct, frozen=True, tag_field="type", tag="taken"):
    """Old to new: it accepts no more clients, and holds neither sockets nor lock any more."""

    run: str
    """The old host in the state of calls and tasks (`…frontend.server_run`)."""
    conversations: list[Remembered]
    """Those without a process in the old host; of the others it tells when it gives them."""
    held: list[ConversationId]
    """Those that have a process in the old host."""
    http_socket: str = ""
    """Path of a Unix socket for HTTP requests that belong to the old host; empty: it serves none."""
    takes_requests: bool = False
    """Whether it understands `RelayedRequest`."""


class Want(msgspec.Struct, frozen=True, tag_field="type", tag="want"):
    """Either: a conversation is wanted (`…conversations.claims`)."""

    id: ConversationId


class Give(msgspec.Struct, frozen=True, tag_field="type", tag="give"):
    """Either: a conversation now belongs to the other host."""

    id: ConversationId
    remembered: Remembered | None = None
    """What the host remembers of it, if anything."""


class MovedClient(msgspec.Struct, frozen=True, tag_field="type", tag="client"):
    """Old to new: a client at the Unix socket, with its descriptor."""

    state: FrontState
    pid: int = 0


class MovedSession(msgspec.Struct, frozen=True, tag_field="type", tag="session"):
    """Old to new: a session over HTTP."""

    state: SessionState


class RelayedRequest(msgspec.Struct, frozen=True, tag_field="type", tag="request"):
    """New to old: a request for what waits in the old host, with the descriptor at which that is to answer it.

    The old host serves it as that of a client which has come with this state, and has left when the descriptor ends.
    """

    state: FrontState


class SessionTaken(msgspec.Struct, frozen=True, tag_field="type", tag="session_taken"):
    """New to old: requests for a session are served there from now on."""

    id: str


class Stop(msgspec.Struct, frozen=True, tag_field="type", tag="stop"):
    """New to old: end as at a signal."""


FromOld: TypeAlias = ReplacementOffer | Taken | Want | Give | MovedClient | MovedSession
FromNew: TypeAlias = Take | Want | Give | RelayedRequest | SessionTaken | Stop

_encode: Final = msgspec.json.Encoder().encode
read_from_old: Final = msgspec.json.Decoder(FromOld).decode
"""Decodes a line of the old host. Raises `msgspec.MsgspecError`."""
read_from_new: Final = msgspec.json.Decoder(FromNew).decode
"""Decodes a line of the new host. Raises `msgspec.MsgspecError`."""


def replacement_line(message: FromOld | FromNew) -> bytes:
    """Return the line of a message."""
    return _encode(message) + b"\n"
