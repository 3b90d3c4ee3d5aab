"""Messages between the auth broker and those who ask it (spec/auth 7.4 and 7.5).

Authority belongs to the CURVE key, not to the message: `WORKER_MAY` and `SUPERVISOR_MAY` say which key may send which
kind. Every question carries an id that its answer repeats; answers may come in another order.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, ClassVar, Final, Literal, NamedTuple, TypeAlias

from pydantic import BaseModel, ConfigDict, Field

from protocol.errors import RemoteProtocolError
from protocol.ids import WorkerId
from protocol.mailbox import pack, unpack

AuthMode: TypeAlias = Literal["apikey", "chatgpt", "none"]

AuthState: TypeAlias = Literal[
    "SIGNED_OUT", "API_KEY", "FRESH", "STALE", "BLOCKED", "DEGRADED", "WAITING", "REAUTH_REQUIRED", "STORE_BAD"
]

AuthErrorCode: TypeAlias = Literal[
    "signed_out",
    "reauth_required",
    "transient",
    "store_malformed",
    "store_unwritable",
    "identity_mismatch",
    "not_refreshable",
    "not_supported",
    "forbidden",
    "deadline_exceeded",
    "protocol",
]

UnauthorizedOutcome: TypeAlias = Literal[
    "newer",
    "reloaded",
    "refreshed",
    "identity_changed",
    "not_refreshable",
    "signed_out",
    "transient",
    "permanent",
    "exhausted",
]

Deadline: TypeAlias = Annotated[int, Field(gt=0, le=60_000)]
"""Milliseconds that the asker is willing to wait."""


class Body(BaseModel):
    """Base of all message bodies."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    wire: ClassVar[bytes]


# Questions of a worker


class Hello(Body):
    """The first message on a channel."""

    wire: ClassVar[bytes] = b"hello"
    version: Literal[1] = 1
    worker_id: WorkerId


class GetAuth(Body):
    """Ask for the bearer of the next attempt."""

    wire: ClassVar[bytes] = b"get-auth"
    min_valid_s: int = 30
    pin_identity: str | None = None
    """Identity key of the turn's first snapshot: another identity is then refused."""
    deadline_ms: Deadline = 15_000


class GetEnvironment(Body):
    """Ask for variables of the environment that processes are born without, such as a provider's `env_key`."""

    wire: ClassVar[bytes] = b"get-environment"
    names: tuple[str, ...]
    deadline_ms: Deadline = 15_000


class ReportUnauthorized(Body):
    """Say that the model's server refused a bearer."""

    wire: ClassVar[bytes] = b"report-unauthorized"
    broker_epoch: str
    generation: int
    http_status: int
    error_code: str | None = None
    request_id: str | None = None
    deadline_ms: Deadline = 15_000


class Acknowledge(Body):
    """Say that a broadcast change has been seen. It gets no answer."""

    wire: ClassVar[bytes] = b"ack"
    generation: int


# Questions of the supervisor


class Attach(Body):
    """Let these workers in: public key (Z85) by worker."""

    wire: ClassVar[bytes] = b"attach"
    keys: dict[WorkerId, str]


class Detach(Body):
    """Shut these workers out."""

    wire: ClassVar[bytes] = b"detach"
    worker_ids: tuple[WorkerId, ...]


class GetStatus(Body):
    """Ask how things stand, optionally with the token and after a refresh."""

    wire: ClassVar[bytes] = b"status"
    include_token: bool = False
    refresh: bool = False
    deadline_ms: Deadline = 15_000


# Answers


class Welcome(Body):
    """Answers `Hello`."""

    wire: ClassVar[bytes] = b"welcome"
    version: Literal[1] = 1
    broker_epoch: str
    generation: int
    state: AuthState


class Snapshot(Body):
    """The credential as it stands. Answers `GetAuth`.

    `(broker_epoch, generation)` identifies one credential value. Refresh and id tokens are never in it.
    """

    wire: ClassVar[bytes] = b"snapshot"
    generation: int
    broker_epoch: str
    mode: AuthMode
    token: str = Field(repr=False)
    account_id: str | None = None
    plan_type: str | None = None
    expires_at: int | None = None
    """Seconds since the epoch; `None` for a key."""
    identity_key: str
    source: Literal["store", "env"]
    degraded: bool = False


class Environment(Body):
    """Answers `GetEnvironment` with those of the variables that are set."""

    wire: ClassVar[bytes] = b"environment"
    values: dict[str, str] = Field(repr=False)


class UnauthorizedReport(Body):
    """Answers `ReportUnauthorized`."""

    wire: ClassVar[bytes] = b"unauthorized-report"
    outcome: UnauthorizedOutcome
    snapshot: Snapshot | None = None


class Status(Body):
    """Answers `GetStatus`."""

    wire: ClassVar[bytes] = b"status-report"
    mode: AuthMode
    state: AuthState
    generation: int
    token: str | None = Field(None, repr=False)


class Done(Body):
    """Answers a question that has nothing to tell."""

    wire: ClassVar[bytes] = b"done"


class AuthError(Body):
    """Answers any question that could not be answered. Never holds a token or a response body."""

    wire: ClassVar[bytes] = b"error"
    code: AuthErrorCode
    user_text: str | None = None
    retry_after_ms: int | None = None
    reason: str | None = None


# Broadcasts


class AuthChanged(Body):
    """Tells everyone that another credential is in force."""

    wire: ClassVar[bytes] = b"auth-changed"
    generation: int
    state: AuthState
    mode: AuthMode
    identity_changed: bool
    reason: Literal["login", "logout", "refresh", "external", "env"]


class Stopping(Body):
    """Tells everyone that the broker will be gone."""

    wire: ClassVar[bytes] = b"stopping"
    grace_ms: int


Question: TypeAlias = Hello | GetAuth | GetEnvironment | ReportUnauthorized | Acknowledge | Attach | Detach | GetStatus
Answer: TypeAlias = Welcome | Snapshot | Environment | UnauthorizedReport | Status | Done | AuthError
Broadcast: TypeAlias = AuthChanged | Stopping

WORKER_MAY: Final[frozenset[bytes]] = frozenset(
    kind.wire for kind in (Hello, GetAuth, GetEnvironment, ReportUnauthorized, Acknowledge)
)
SUPERVISOR_MAY: Final[frozenset[bytes]] = frozenset(kind.wire for kind in (Attach, Detach, GetStatus, Acknowledge))

QUESTIONS: Final[Mapping[bytes, type[Question]]] = {
    kind.wire: kind
    for kind in (Hello, GetAuth, GetEnvironment, ReportUnauthorized, Acknowledge, Attach, Detach, GetStatus)
}
ANSWERS: Final[Mapping[bytes, type[Answer]]] = {
    kind.wire: kind for kind in (Welcome, Snapshot, Environment, UnauthorizedReport, Status, Done, AuthError)
}
BROADCASTS: Final[Mapping[bytes, type[Broadcast]]] = {kind.wire: kind for kind in (AuthChanged, Stopping)}


class ReceivedQuestion(NamedTuple):
    """A question as it arrived, with the id that its answer must repeat."""

    id: bytes
    question: Question


class ReceivedAnswer(NamedTuple):
    """An answer as it arrived."""

    id: bytes
    answer: Answer


def frames(message_id: bytes, body: Question | Answer) -> list[bytes]:
    """Return the frames of a question or an answer."""
    return [body.wire, message_id, pack(body)]


def broadcast_frames(body: Broadcast) -> list[bytes]:
    """Return the frames of a broadcast."""
    return [body.wire, pack(body)]


def read_question(parts: Sequence[bytes]) -> ReceivedQuestion:
    """Decode a question. Raises `RemoteProtocolError`."""
    if len(parts) != 3 or parts[0] not in QUESTIONS:
        raise RemoteProtocolError("not a question to the auth broker")
    return ReceivedQuestion(parts[1], unpack(QUESTIONS[parts[0]], parts[2]))


def read_answer(parts: Sequence[bytes]) -> ReceivedAnswer:
    """Decode an answer. Raises `RemoteProtocolError`."""
    if len(parts) != 3 or parts[0] not in ANSWERS:
        raise RemoteProtocolError("not an answer of the auth broker")
    return ReceivedAnswer(parts[1], unpack(ANSWERS[parts[0]], parts[2]))
