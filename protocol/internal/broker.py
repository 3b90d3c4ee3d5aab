"""Messages between the auth broker and its clients (supervisor and workers).

Permissions belong to the CURVE key of a connection: `WORKER_MAY` and `SUPERVISOR_MAY` say which key may send which
kind. Every request has an id, which its answer repeats; answers may come out of order.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, ClassVar, Final, Literal, NamedTuple, TypeAlias, get_args

from msgspec import Meta

from greenroom.protocol.errors import RemoteProtocolError
from greenroom.protocol.footprint import Footprint
from greenroom.protocol.ids import WorkerId
from greenroom.protocol.internal.message import Message, pack, unpack

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
    "command_failed",
    "not_found",
    "login_failed",
    "login_disabled",
    "storage_failed",
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

Deadline: TypeAlias = Annotated[int, Meta(gt=0, le=60_000)]
"""Milliseconds for which the caller waits."""


LimitKey: TypeAlias = Annotated[str, Meta(max_length=64)]
"""Identifies a rate limit: a fingerprint of provider and account that reveals neither."""


class Body(Message):
    """Base of all message bodies."""

    wire: ClassVar[bytes]


# Requests of a worker


class Hello(Body):
    """The first message on a channel."""

    wire: ClassVar[bytes] = b"hello"
    worker_id: WorkerId
    version: Literal[1] = 1
    listens: bool = False
    """Whether broadcasts are received; if so, the answer waits until the subscription is established."""


class GetAuth(Body):
    """Request the access token for the next attempt."""

    wire: ClassVar[bytes] = b"get-auth"
    min_valid_s: int = 30
    pin_identity: str | None = None
    """Identity key of the turn's first snapshot; a different identity is then refused."""
    deadline_ms: Deadline = 15_000


class GetEnvironment(Body):
    """Request environment variables that are withheld from processes, such as a provider's `env_key`."""

    wire: ClassVar[bytes] = b"get-environment"
    names: tuple[str, ...]
    deadline_ms: Deadline = 15_000


class ReportUnauthorized(Body):
    """Report that the model's server rejected an access token."""

    wire: ClassVar[bytes] = b"report-unauthorized"
    broker_epoch: str
    generation: int
    http_status: int
    error_code: str | None = None
    request_id: str | None = None
    deadline_ms: Deadline = 15_000


class ReportClock(Body):
    """Report how far this machine's clock deviates from that of the model's server. Not answered."""

    wire: ClassVar[bytes] = b"clock"
    ahead_s: Annotated[int, Meta(ge=-(2**40), le=2**40)]
    """Seconds; negative if this clock is behind."""


class TokenCommand(Message):
    """A program of the user that prints a provider's access token (`model_providers.*.auth`)."""

    command: str
    args: tuple[str, ...] = ()
    cwd: str | None = None
    """Its working directory; by default the Codex home."""
    timeout_ms: Annotated[int, Meta(gt=0)] = 5_000
    refresh_interval_ms: Annotated[int, Meta(ge=0)] = 300_000
    """How long a token is kept; 0 = until the server rejects it."""


class GetProviderToken(Body):
    """Request the access token that a provider's command prints. It is run once for all callers."""

    wire: ClassVar[bytes] = b"get-provider-token"
    command: TokenCommand
    rejected: int | None = None
    """Serial of the token that the provider's server rejected."""


class GetMcpBearer(Body):
    """Request the access token of an MCP server to which the user has logged in."""

    wire: ClassVar[bytes] = b"get-mcp-bearer"
    hidden: ClassVar[frozenset[str]] = frozenset({"url"})
    server: str
    """The name in the configuration."""
    url: str
    rejected: str | None = None
    """Serial of the token that the server rejected."""


class GetSlot(Body):
    """Request a turn under a rate limit, or ask again for the same turn."""

    wire: ClassVar[bytes] = b"get-slot"
    key: LimitKey
    ticket: int
    """Counts the requests of the caller."""
    patience_ms: Annotated[int, Meta(ge=0, le=10_000)] = 0
    """How long the caller waits for the turn before it asks again."""


class ReportLimited(Body):
    """Report that a server rejected a request because of a rate limit, or is overloaded. Not answered."""

    wire: ClassVar[bytes] = b"limited"
    key: LimitKey
    ticket: int
    serial: Annotated[int, Meta(ge=0)] = 0
    """Of the turn; 0 for a request without one."""
    wait_ms: Annotated[int, Meta(ge=0, le=2**40)] | None = None
    """The time that the server asks to wait; `None` if it does not say."""


class LeaveQueue(Body):
    """Give up the place that `GetSlot` has taken. Not answered."""

    wire: ClassVar[bytes] = b"leave-queue"
    key: LimitKey
    ticket: int


class Acknowledge(Body):
    """Acknowledge a broadcast change. Not answered."""

    wire: ClassVar[bytes] = b"ack"
    generation: int


# Requests of the supervisor


class Attach(Body):
    """Admit these workers: public key (Z85) by worker."""

    wire: ClassVar[bytes] = b"attach"
    keys: dict[WorkerId, str]


class Detach(Body):
    """Revoke the admission of these workers."""

    wire: ClassVar[bytes] = b"detach"
    worker_ids: tuple[WorkerId, ...]


class GetStatus(Body):
    """Request the status, optionally with the token and after a refresh."""

    wire: ClassVar[bytes] = b"status"
    include_token: bool = False
    refresh: bool = False
    deadline_ms: Deadline = 15_000


class LoginStart(Body):
    """Start a login; one in progress ends as replaced."""

    wire: ClassVar[bytes] = b"login-start"
    method: Literal["browser", "device"] = "browser"
    deadline_ms: Deadline = 30_000


class LoginCancel(Body):
    """Cancel a login in progress."""

    wire: ClassVar[bytes] = b"login-cancel"
    login_id: str


class LoginApiKey(Body):
    """Log in with an API key."""

    wire: ClassVar[bytes] = b"login-api-key"
    hidden: ClassVar[frozenset[str]] = frozenset({"api_key"})
    api_key: str


class Logout(Body):
    """Delete the stored credentials. `revoke`: also try to revoke them at the issuer."""

    wire: ClassVar[bytes] = b"logout"
    revoke: bool = False


class Reload(Body):
    """Read the store again now."""

    wire: ClassVar[bytes] = b"reload"


class MeasureBroker(Body):
    """Request the resource figures of the broker's process."""

    wire: ClassVar[bytes] = b"measure"


# Answers


class Welcome(Body):
    """Answers `Hello`."""

    wire: ClassVar[bytes] = b"welcome"
    broker_epoch: str
    generation: int
    state: AuthState
    version: Literal[1] = 1
    limited: tuple[LimitKey, ...] = ()
    """The rate limits that are known."""


class BearerSnapshot(Body):
    """The current credential. Answers `GetAuth`.

    `(broker_epoch, generation)` identifies one value of the credential. It never contains refresh or ID tokens.
    """

    wire: ClassVar[bytes] = b"snapshot"
    hidden: ClassVar[frozenset[str]] = frozenset({"token"})
    generation: int
    broker_epoch: str
    mode: AuthMode
    token: str
    identity_key: str
    source: Literal["store", "env"]
    account_id: str | None = None
    plan_type: str | None = None
    expires_at: int | None = None
    """Seconds since the epoch; `None` for an API key."""
    degraded: bool = False


class EnvironmentValues(Body):
    """Answers `GetEnvironment` with those variables that are set."""

    wire: ClassVar[bytes] = b"environment"
    hidden: ClassVar[frozenset[str]] = frozenset({"values"})
    values: dict[str, str]


class UnauthorizedReport(Body):
    """Answers `ReportUnauthorized`."""

    wire: ClassVar[bytes] = b"unauthorized-report"
    outcome: UnauthorizedOutcome
    snapshot: BearerSnapshot | None = None
    user_text: str | None = None
    retry_after_ms: int | None = None


class ProviderToken(Body):
    """Answers `GetProviderToken`."""

    wire: ClassVar[bytes] = b"provider-token"
    hidden: ClassVar[frozenset[str]] = frozenset({"token"})
    serial: int
    token: str


class McpBearer(Body):
    """Answers `GetMcpBearer`. Never contains a refresh token."""

    wire: ClassVar[bytes] = b"mcp-bearer"
    hidden: ClassVar[frozenset[str]] = frozenset({"token"})
    token: str
    serial: str


class Slot(Body):
    """Answers `GetSlot`."""

    wire: ClassVar[bytes] = b"slot"
    granted: bool
    is_limited: bool = True
    """Whether a limit is known at all; if not, the next request need not ask."""
    serial: int = 0
    wait_ms: int = 0
    """Estimated waiting time."""


class Status(Body):
    """Answers `GetStatus`. `mode` is also `none` if there is a login without a usable token."""

    wire: ClassVar[bytes] = b"status-report"
    hidden: ClassVar[frozenset[str]] = frozenset({"token"})
    mode: AuthMode
    state: AuthState
    generation: int
    token: str | None = None
    email: str | None = None
    plan_type: str | None = None


class LoginStarted(Body):
    """Answers `LoginStart`. `LoginComplete` follows, once."""

    wire: ClassVar[bytes] = b"login-started"
    hidden: ClassVar[frozenset[str]] = frozenset({"url"})
    login_id: str
    url: str
    """The URL to open in a browser."""
    user_code: str | None = None
    """The code to enter there, for a login of the method `device`."""


class InForce(Body):
    """Answers `LoginApiKey` and `Logout` with the credential now in use."""

    wire: ClassVar[bytes] = b"in-force"
    mode: AuthMode
    plan_type: str | None = None
    removed: bool = False
    """Whether a logout found stored credentials to delete."""


class Reloaded(Body):
    """Answers `Reload`."""

    wire: ClassVar[bytes] = b"reloaded"
    changed: bool
    generation: int


class BrokerMeasured(Body):
    """Answers `MeasureBroker`."""

    wire: ClassVar[bytes] = b"measured"
    footprint: Footprint


class Completed(Body):
    """Answers a request that has no result."""

    wire: ClassVar[bytes] = b"done"


class AuthError(Body):
    """Answers a request that failed. Never contains a token or a response body."""

    wire: ClassVar[bytes] = b"error"
    code: AuthErrorCode
    user_text: str | None = None
    retry_after_ms: int | None = None
    reason: str | None = None


# Broadcasts


class AuthChanged(Body):
    """Tells every client that the credential has changed."""

    wire: ClassVar[bytes] = b"auth-changed"
    generation: int
    state: AuthState
    mode: AuthMode
    identity_changed: bool
    reason: Literal["login", "logout", "refresh", "external", "env"]
    mode_changed: bool = False
    plan_type: str | None = None


class RateLimited(Body):
    """Tells the workers that a rate limit has become known; workers under it request a turn before each request."""

    wire: ClassVar[bytes] = b"rate-limited"
    key: LimitKey


class CredentialStanding(Body):
    """Tells the supervisor the status: once when a broker starts, then after every change."""

    wire: ClassVar[bytes] = b"standing"
    generation: int
    mode: AuthMode
    state: AuthState
    expires_at: int | None = None
    """Seconds since the epoch, on this machine's clock; `None` for an API key, or if the token does not say."""
    plan_type: str | None = None


class LoginComplete(Body):
    """Tells the supervisor that a login has ended, once per login."""

    wire: ClassVar[bytes] = b"login-complete"
    login_id: str
    success: bool
    error: str | None = None
    mode: AuthMode = "none"
    """The credential now in use."""
    plan_type: str | None = None


class AuthProblem(Body):
    """Tells the supervisor of something that needs the user's attention."""

    wire: ClassVar[bytes] = b"auth-problem"
    state: AuthState
    reason: str
    user_text: str


class Stopping(Body):
    """Tells every client that the broker is about to exit."""

    wire: ClassVar[bytes] = b"stopping"
    grace_ms: int


Question: TypeAlias = (
    Hello
    | GetAuth
    | GetEnvironment
    | ReportUnauthorized
    | GetProviderToken
    | GetMcpBearer
    | ReportClock
    | GetSlot
    | ReportLimited
    | LeaveQueue
    | Acknowledge
    | Attach
    | Detach
    | GetStatus
    | LoginStart
    | LoginCancel
    | LoginApiKey
    | Logout
    | Reload
    | MeasureBroker
)
Answer: TypeAlias = (
    Welcome
    | BearerSnapshot
    | EnvironmentValues
    | UnauthorizedReport
    | ProviderToken
    | McpBearer
    | Slot
    | Status
    | LoginStarted
    | InForce
    | Reloaded
    | BrokerMeasured
    | Completed
    | AuthError
)
Broadcast: TypeAlias = AuthChanged | RateLimited | CredentialStanding | LoginComplete | AuthProblem | Stopping

WORKER_MAY: Final[frozenset[bytes]] = frozenset(
    kind.wire
    for kind in (
        Hello,
        GetAuth,
        GetEnvironment,
        ReportUnauthorized,
        GetProviderToken,
        GetMcpBearer,
        ReportClock,
        GetSlot,
        ReportLimited,
        LeaveQueue,
        Acknowledge,
    )
)
SUPERVISOR_MAY: Final[frozenset[bytes]] = frozenset(
    kind.wire
    for kind in (Attach, Detach, GetStatus, LoginStart, LoginCancel, LoginApiKey, Logout, Reload, MeasureBroker)
)

QUESTIONS: Final[Mapping[bytes, type[Question]]] = {kind.wire: kind for kind in get_args(Question)}
ANSWERS: Final[Mapping[bytes, type[Answer]]] = {kind.wire: kind for kind in get_args(Answer)}
BROADCASTS: Final[Mapping[bytes, type[Broadcast]]] = {kind.wire: kind for kind in get_args(Broadcast)}


class ReceivedQuestion(NamedTuple):
    """A request as received, with the id that its answer must repeat."""

    id: bytes
    question: Question


class ReceivedAnswer(NamedTuple):
    """An answer as received."""

    id: bytes
    answer: Answer


def frames(message_id: bytes, body: Question | Answer) -> list[bytes]:
    """Return the frames of a request or an answer."""
    return [body.wire, message_id, pack(body)]


def broadcast_frames(body: Broadcast) -> list[bytes]:
    """Return the frames of a broadcast."""
    return [body.wire, pack(body)]


def read_question(parts: Sequence[bytes]) -> ReceivedQuestion:
    """Decode a request. Raises `RemoteProtocolError`."""
    if len(parts) != 3 or parts[0] not in QUESTIONS:
        raise RemoteProtocolError("not a question to the auth broker")
    return ReceivedQuestion(parts[1], unpack(QUESTIONS[parts[0]], parts[2]))


def read_answer(parts: Sequence[bytes]) -> ReceivedAnswer:
    """Decode an answer. Raises `RemoteProtocolError`."""
    if len(parts) != 3 or parts[0] not in ANSWERS:
        raise RemoteProtocolError("not an answer of the auth broker")
    return ReceivedAnswer(parts[1], unpack(ANSWERS[parts[0]], parts[2]))


def read_broadcast(parts: Sequence[bytes]) -> Broadcast:
    """Decode a broadcast. Raises `RemoteProtocolError`."""
    if len(parts) != 2 or parts[0] not in BROADCASTS:
        raise RemoteProtocolError("not a broadcast of the auth broker")
    return unpack(BROADCASTS[parts[0]], parts[1])
