"""Messages between a host and the nodes that run workers for it, over one link each: a kind, and a msgpack header.

The link may break and be made anew. Whatever was on its way then is lost, so each `Join` says how the node stands, and
both sides go on from there. Workers' own connections do not pass through the link.
"""

from collections.abc import Mapping, Sequence
from typing import ClassVar, Final, TypeAlias, get_args

import msgspec

from greenroom.protocol.errors import RemoteProtocolError
from greenroom.protocol.ids import WorkerId
from greenroom.protocol.internal.process import Exited, Spawn, Spawned
from greenroom.protocol.message import Message, pack, unpack

PROTOCOL: Final = 3
"""Version of all that a host, its nodes and the workers there say to each other, workers' own connections included.

It rises with each change after which programs of both versions would misunderstand each other. A test compares the form
of the messages with the one that they had."""
OLDEST_SERVED: Final = 3
"""The lowest version that a node may have: it differs from `PROTOCOL` where the host still understands older nodes."""
BEAT: Final = 0.2
"""Seconds between two beats of a node."""
LEASE: Final = 2.0
"""Seconds after which a node ends its workers: counted from the sending of the last beat that was answered."""
LEASE_AT_HOST: Final = 2.5
"""Seconds after which the host gives a node up: counted from the last beat that arrived, so after the node's lease."""
HEARTBEAT_MS: Final = 200
HEARTBEAT_TIMEOUT_MS: Final = 600
"""ZeroMQ's own heartbeats on the link, and the silence after which it counts as cut."""


class Enrol(Message):
    """Node to host, over a connection with the key of a ticket: remember this key under the name of the ticket.

    By the ticket of a pool, under a name that the node has given itself.
    """

    wire: ClassVar[bytes] = b"enrol"
    public_key: str
    name: str = ""


class Enrolled(Message):
    """Host to node: the key is known, and the ticket is not any more."""

    wire: ClassVar[bytes] = b"enrolled"


class Join(Message):
    """Node to host, first on each connection: which node it is, and its state."""

    wire: ClassVar[bytes] = b"join"
    version: str
    run: str
    """Names this run of the node's process."""
    capacity: int
    """Workers that it takes at a time."""
    protocol: int = 0
    """`PROTOCOL` of the node; 0: it is from before that was told."""
    workers: dict[WorkerId, int] = msgspec.field(default_factory=dict)
    """Workers that live: pid by worker."""
    sandbox: str = ""
    """Why commands cannot be confined there; empty where they can."""
    exits: tuple[Exited, ...] = ()
    """Ends that the host has not confirmed."""


class Joined(Message):
    """Host to node: it is in, under this name."""

    wire: ClassVar[bytes] = b"joined"
    name: str
    worker_memory: int
    """Bytes of resident memory beyond which the node kills a worker."""


class Refused(Message):
    """Host to node: it is not let in, and need not ask again."""

    wire: ClassVar[bytes] = b"refused"
    text: str
    """The reason, for people."""


class Rejoin(Message):
    """Host to node: what you say does not count, since your membership is over; join again."""

    wire: ClassVar[bytes] = b"rejoin"


class NodeLoad(Message):
    """What a node measures of itself."""

    memory: int = 0
    """Bytes of resident memory of the node, its fork server, zygote and workers."""
    free_memory: int = 0
    """Bytes that its machine could still give out."""
    free_disk: int = 0
    """Bytes that its user can still write where its state is."""
    load: float = 0.0
    """Load average of its machine over a minute, divided by its cores."""


class Beat(Message):
    """Node to host, every `BEAT` seconds."""

    wire: ClassVar[bytes] = b"beat"
    number: int
    round_trip: float | None = None
    """Seconds from the last answered beat to its answer, on the node's clock."""
    load: NodeLoad | None = None


class Beaten(Message):
    """Host to node: the answer to the beat of this number."""

    wire: ClassVar[bytes] = b"beaten"
    number: int


class Leaving(Message):
    """Node to host: it has been asked to end; drain it."""

    wire: ClassVar[bytes] = b"leaving"


class KillWorker(Message):
    """Host to node: kill a worker and what it started; `why` is told with its end, unless it is empty."""

    wire: ClassVar[bytes] = b"kill"
    id: WorkerId
    why: str = ""


class Confirm(Message):
    """Host to node: the end of this worker has been dealt with."""

    wire: ClassVar[bytes] = b"confirm"
    id: WorkerId


class Leave(Message):
    """Host to node: end all workers, and exit."""

    wire: ClassVar[bytes] = b"leave"
    text: str
    """The reason, for people."""


FromNode: TypeAlias = Enrol | Join | Beat | Spawned | Exited | Leaving
ToNode: TypeAlias = Enrolled | Joined | Refused | Rejoin | Beaten | Spawn | KillWorker | Confirm | Leave

_FROM_NODE: Final[Mapping[bytes, type[FromNode]]] = {kind.wire: kind for kind in get_args(FromNode)}
_TO_NODE: Final[Mapping[bytes, type[ToNode]]] = {kind.wire: kind for kind in get_args(ToNode)}


def node_frames(message: FromNode | ToNode) -> list[bytes]:
    """Return the frames of a message."""
    return [message.wire, pack(message)]


def read_from_node(parts: Sequence[bytes]) -> FromNode:
    """Decode what a node sent. Raises `RemoteProtocolError`."""
    if len(parts) != 2 or (kind := _FROM_NODE.get(parts[0])) is None:
        raise RemoteProtocolError("a message of an unknown kind from a node")
    return unpack(kind, parts[1])


def read_to_node(parts: Sequence[bytes]) -> ToNode:
    """Decode what the host sent. Raises `RemoteProtocolError`."""
    if len(parts) != 2 or (kind := _TO_NODE.get(parts[0])) is None:
        raise RemoteProtocolError("a message of an unknown kind from the host")
    return unpack(kind, parts[1])


FILES: Final = ("config.toml", "AGENTS.md", "AGENTS.override.md")
"""Files of the home that a worker on a node needs, besides those in `RULES`."""
RULES: Final = "rules"
RULES_SUFFIX: Final = ".rules"


class HomeParts(msgspec.Struct, frozen=True):
    """What a worker on a node is told of the host's home with its conversation: a member of the payload of `Open`."""

    files: dict[str, str]
    """Text by path below the home: settings, instructions and rules."""
    session_path: str
    """The file of a new conversation at home."""
    started: float
    """When it began, in seconds since the epoch of the host's clock."""
    cwd: str | None = None
    """The directory of a new conversation, or of one that is given another, as the host names it; absolute."""
    default_cwd: str = ""
    """The directory of a conversation for which neither the call nor its session names one, as the host names it."""
    paths: dict[str, str] = msgspec.field(default_factory=dict)
    """Directory of the node by directory of the host (`greenroom.config.path_map`)."""
    node: str = ""
    """The name of the node."""
