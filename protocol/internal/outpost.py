"""Messages between a host and its process `gr-ray`, which has the connection to a Ray cluster. JSON, one by datagram.

Both directions tell how things are and never what has changed, so that either side may start anew at any time.
"""

from typing import Final, Literal, TypeAlias

import msgspec

from greenroom.protocol.errors import RemoteProtocolError

OutpostState: TypeAlias = Literal["pending", "running", "gone"]
"""`pending`: asked for, starting, or starting again. `gone`: Ray has given it up, or it has ended by itself."""


class Outpost(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A node that Ray is to start: an actor that starts and watches it, and what that claims."""

    name: str
    cpus: float = 1.0
    memory: int = 0
    """Bytes."""
    resources: dict[str, float] = msgspec.field(default_factory=dict)
    group: str = ""
    """Nodes of one group claim the same and are placed together, by one placement group; empty: without one."""
    group_size: int = 1
    bundle: int = 0
    """Which part of its group's claim it has."""
    spread: str = "SPREAD"
    """The strategy of the group."""


class SeenOutpost(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A node as the cluster has it."""

    outpost: Outpost
    state: OutpostState
    public_key: str = ""
    """Of the node's present run; empty while it is not known."""
    machine: str = ""
    """Ray's id of the machine."""
    is_leaving: bool = False
    """Whether Ray has announced that the machine goes."""


class Begin(msgspec.Struct, frozen=True, tag_field="say", tag="begin"):
    """Host to `gr-ray`, first: where the cluster is, and how nodes reach the host."""

    address: str
    namespace: str
    owner: str
    """Names the host among those that use the cluster; actors' names begin with it."""
    join: str
    """Address at which the host listens."""
    host_key: str
    """Public key of the host."""
    max_restarts: int
    detached: bool
    capacity: int
    log_level: str


class Wanted(msgspec.Struct, frozen=True, tag_field="say", tag="wanted"):
    """Host to `gr-ray`: the nodes that there are to be, and the keys that the host knows by now. No others are kept."""

    outposts: tuple[Outpost, ...]
    admitted: dict[str, str]
    """Public key by name."""


class Finish(msgspec.Struct, frozen=True, tag_field="say", tag="finish"):
    """Host to `gr-ray`: the host ends."""


class Seen(msgspec.Struct, frozen=True, tag_field="say", tag="seen"):
    """`gr-ray` to host: what there is."""

    is_connected: bool
    outposts: tuple[SeenOutpost, ...] = ()
    error: str = ""
    """Why there is no connection."""


ToRay: TypeAlias = Begin | Wanted | Finish

_TO_RAY: Final[msgspec.json.Decoder[ToRay]] = msgspec.json.Decoder(ToRay)
_FROM_RAY: Final = msgspec.json.Decoder(Seen)


def encode_datagram(message: ToRay | Seen) -> bytes:
    """Return the datagram of a message."""
    return msgspec.json.encode(message)


def read_to_ray(data: bytes) -> ToRay:
    """Decode what the host sent. Raises `RemoteProtocolError`."""
    try:
        return _TO_RAY.decode(data)
    except msgspec.MsgspecError as error:
        raise RemoteProtocolError(f"a message that cannot be read: {error}") from error


def read_from_ray(data: bytes) -> Seen:
    """Decode what `gr-ray` sent. Raises `RemoteProtocolError`."""
    try:
        return _FROM_RAY.decode(data)
    except msgspec.MsgspecError as error:
        raise RemoteProtocolError(f"a message that cannot be read: {error}") from error
