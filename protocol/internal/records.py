"""Messages between a worker on a node and the keeper of session records at home: a kind, a header, and lines.

They pass through the worker's mailbox, whose own messages have other kinds in the same direction.
A worker sends each request and reads each reply in order. What it names is its conversation and its incarnation of it;
which file that is was decided at home.
"""

from collections.abc import Mapping, Sequence
from typing import ClassVar, Final, NamedTuple, TypeAlias, get_args

from greenroom.protocol.errors import ErrorKind, RemoteProtocolError
from greenroom.protocol.ids import ConversationId, Incarnation
from greenroom.protocol.message import Message, pack, unpack


class RecordRequest(Message):
    """Base of what a worker asks."""

    number: int
    """Counts the requests of a worker, from 1. The reply has the same."""
    conversation_id: ConversationId
    incarnation: Incarnation


class ResumeRecords(RecordRequest):
    """Lock the conversation's file and send what it holds."""

    wire: ClassVar[bytes] = b"resume"


class WriteRecords(RecordRequest):
    """Append the lines of the payload. The first lines of a new conversation create its file."""

    wire: ClassVar[bytes] = b"write"
    commit: bool
    """Whether the reply is to wait until they are on the disk."""


class CloseRecords(RecordRequest):
    """Commit, and let go of the file."""

    wire: ClassVar[bytes] = b"close"


class RecordsResumed(Message):
    """Answers `ResumeRecords`. Payload: the conversation, as lines; empty where there is none yet."""

    wire: ClassVar[bytes] = b"resumed"
    number: int
    path: str
    """The file at home; empty where there is none."""
    ordinal: int | None = None
    """That of the next line, in a paginated file."""


class RecordsWritten(Message):
    """Answers `CloseRecords`, and `WriteRecords` with `commit`; others are answered where they fail."""

    wire: ClassVar[bytes] = b"written"
    number: int


class RecordsFailed(Message):
    """Answers any request that could not be carried out."""

    wire: ClassVar[bytes] = b"failed"
    number: int
    text: str
    """The reason, for people."""
    errno: int = 0
    """That of the system, 0 where the reason is another."""
    kind: ErrorKind = "session_unreadable"
    """Which error the worker is to raise where `errno` is 0."""


RecordsRequest: TypeAlias = ResumeRecords | WriteRecords | CloseRecords
RecordsReply: TypeAlias = RecordsResumed | RecordsWritten | RecordsFailed

_REQUESTS: Final[Mapping[bytes, type[RecordsRequest]]] = {kind.wire: kind for kind in get_args(RecordsRequest)}
_REPLIES: Final[Mapping[bytes, type[RecordsReply]]] = {kind.wire: kind for kind in get_args(RecordsReply)}


def is_request(kind: bytes) -> bool:
    """Tell whether a message with this first frame, from a worker, is one of these."""
    return kind in _REQUESTS


def is_reply(kind: bytes) -> bool:
    """Tell whether a message with this first frame, to a worker, is one of these."""
    return kind in _REPLIES


class ReceivedRequest(NamedTuple):
    """A request as it arrived."""

    request: RecordsRequest
    lines: bytes


class ReceivedReply(NamedTuple):
    """A reply as it arrived."""

    reply: RecordsReply
    lines: bytes


def record_frames(message: RecordsRequest | RecordsReply, lines: bytes = b"") -> list[bytes]:
    """Return the frames of a message."""
    return [message.wire, pack(message), lines]


def read_request(parts: Sequence[bytes]) -> ReceivedRequest:
    """Decode what a worker sent. Raises `RemoteProtocolError`."""
    if len(parts) != 3 or (kind := _REQUESTS.get(parts[0])) is None:
        raise RemoteProtocolError("a request of an unknown kind for session records")
    return ReceivedRequest(unpack(kind, parts[1]), parts[2])


def read_reply(parts: Sequence[bytes]) -> ReceivedReply:
    """Decode what the host sent. Raises `RemoteProtocolError`."""
    if len(parts) != 3 or (kind := _REPLIES.get(parts[0])) is None:
        raise RemoteProtocolError("a reply of an unknown kind about session records")
    return ReceivedReply(unpack(kind, parts[1]), parts[2])
