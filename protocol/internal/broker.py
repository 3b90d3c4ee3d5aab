"""Messages between the auth broker and those who ask it.

Authority belongs to the CURVE key, not to the message: `WORKER_MAY` and `SUPERVISOR_MAY` say which key may send which
kind. Every question carries an id that its answer repeats; answers may come in another order.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, ClassVar, Final, Literal, NamedTuple, TypeAlias, get_args

from msgspec import Meta

from greenroom.protocol.errors import RemoteProtocolError
from greenroom.protocol.footprint import Footprint
from greenroom.protocol.ids import WorkerId
from greenroom.protocol.message import Message, pack, unpack

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
"""Milliseconds that the asker is willing to wait."""


LimitKey: TypeAlias = Annotated[str, Meta(max_length=64)]
"""What a rate limit belongs to: a fingerprint of provider and account, nothing that is secret."""


class Body(Message):
    """Base of all message bodies."""

    wire: ClassVar[bytes]


# Questions of a worker


class Hello(Body):
    """The first message on a channel."""

    wire: ClassVar[bytes] = b"hello"
    worker_id: WorkerId
    version: Literal[1] = 1
    listens: bool = False
    """Whether broadcasts are received; the answer then waits until the subscription is there."""


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


class ReportClock(Body):
    """Say how far the clock of this machine is off, as the model's server tells it. It gets no answer."""

    wire: ClassVar[bytes] = b"clock"
    ahead_s: Annotated[int, Meta(ge=-(2**40), le=2**40)]
    """Seconds; negative where it is behind."""


class TokenCommand(Message):
    """A program of the user whose output is the bearer of a provider (`model_providers.*.auth`)."""

    command: str
    args: tuple[str, ...] = ()
    cwd: str | None = None
    """Where it runs; the Codex home where nothing is said."""
    timeout_ms: Annotated[int, Meta(gt=0)] = 5_000
    refresh_interval_ms: Annotated[int, Meta(ge=0)] = 300_000
    """How long a token is kept; 0 = until the server refuses it."""


class GetProviderToken(Body):
    """Ask for the bearer that a provider's command prints. It is run once for all who ask."""

    wire: ClassVar[bytes] = b"get-provider-token"
    command: TokenCommand
    rejected: int | None = None
    """Serial of the token that the provider's server refused."""


class GetMcpBearer(Body):
    """Ask for the bearer of an MCP server that the user has logged in to."""

    wire: ClassVar[bytes] = b"get-mcp-bearer"
    hidden: ClassVar[frozenset[str]] = frozenset({"url"})
    server: str
    """As the configuration names it."""
    url: str
    rejected: str | None = None
    """Serial of the bearer that the server refused."""


class GetSlot(Body):
    """Ask for the turn of a request under a rate limit, or once more for the same one."""

    wire: ClassVar[bytes] = b"get-slot"
    key: LimitKey
    ticket: int
    """Counts the requests of the asker."""
    patience_ms: Annotated[int, Meta(ge=0, le=10_000)] = 0
    """How long the asker waits for the turn before it asks again."""


class ReportLimited(Body):
    """Say that a server refused a request because of a rate limit, or is overloaded. It gets no answer."""

    wire: ClassVar[bytes] = b"limited"
    key: LimitKey
    ticket: int
    serial: Annotated[int, Meta(ge=0)] = 0
    """Of the turn; 0 for a request that had none."""
    wait_ms: Annotated[int, Meta(ge=0, le=2**40)] | None = None
    """What the server asks for; `None` where it does not say."""


class LeaveQueue(Body):
    """Give up a place that `GetSlot` has taken. It gets no answer."""

    wire: ClassVar[bytes] = b"leave-queue"
    key: LimitKey
    ticket: int


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


class LoginStart(Body):
    """Begin a login; one that is under way ends as replaced."""

    wire: ClassVar[bytes] = b"login-start"
    method: Literal["browser", "device"] = "browser"
    deadline_ms: Deadline = 30_000


class LoginCancel(Body):
    """End a login that is under way."""

    wire: ClassVar[bytes] = b"login-cancel"
    login_id: str


class LoginApiKey(Body):
    """Log in with an API key."""

    wire: ClassVar[bytes] = b"login-api-key"
    hidden: ClassVar[frozenset[str]] = frozenset({"api_key"})
    api_key: str


class Logout(Body):
    """Remove the store. `revoke`: tell the issuer as well, as far as it listens."""

    wire: ClassVar[bytes] = b"logout"
    revoke: bool = False


class Reload(Body):
    """Look at the store now."""

    wire: ClassVar[bytes] = b"reload"


class LeaveNodes(Body):
    """Stop listening at the addresses for nodes, which end their connections: another host takes them."""

    wire: ClassVar[bytes] = b"leave-nodes"


class MeasureBroker(Body):
    """Say what the broker's process holds."""

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
    """The credential as it stands. Answers `GetAuth`.

    `(broker_epoch, generation)` identifies one credential value. Refresh and id tokens are never in it.
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
    """Seconds since the epoch; `None` for a key."""
    degraded: bool = False


class EnvironmentValues(Body):
    """Answers `GetEnvironment` with those of the variables that are set."""

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
    """Answers `GetMcpBearer`. A refresh token is never in it."""

    wire: ClassVar[bytes] = b"mcp-bearer"
    hidden: ClassVar[frozenset[str]] = frozenset({"token"})
    token: str
    serial: str


class Slot(Body):
    """Answers `GetSlot`."""

    wire: ClassVar[bytes] = b"slot"
    granted: bool
    is_limited: bool = True
    """Whether a limit is known at all; if not, there is no need to ask before the next request."""
    serial: int = 0
    wait_ms: int = 0
    """How long it will take, as far as can be told."""


class Status(Body):
    """Answers `GetStatus`. `mode` is `none` as well where there is a login but no token to be had from it."""

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
    """What the user opens in a browser."""
    user_code: str | None = None
    """What the user enters there, for a login of the method `device`."""


class InForce(Body):
    """Answers `LoginApiKey` and `Logout`: what is in force now."""

    wire: ClassVar[bytes] = b"in-force"
    mode: AuthMode
    plan_type: str | None = None
    removed: bool = False
    """Whether a logout found a store to remove."""


class Reloaded(Body):
    """Answers `Reload`."""

    wire: ClassVar[bytes] = b"reloaded"
    changed: bool
    generation: int


class PaceStanding(Message):
    """How one rate limit stands (`greenroom.broker.pace.PaceFigures`). Times are in seconds."""

    key: LimitKey
    interval: float
    waiting: int
    hold: float
    quiet_for: float
    refusals: int


class BrokerMeasured(Body):
    """Answers `MeasureBroker`."""

    wire: ClassVar[bytes] = b"measured"
    footprint: Footprint
    paces: tuple[PaceStanding, ...] = ()
    """The rate limits that are known."""


class Succeeded(Body):
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
    mode_changed: bool = False
    plan_type: str | None = None


class RateLimited(Body):
    """Tells the workers that a rate limit has become known: whom it concerns asks for a turn before each request."""

    wire: ClassVar[bytes] = b"rate-limited"
    key: LimitKey


class CredentialStanding(Body):
    """Tells the supervisor alone how things stand: once at the start of a broker, then after every change."""

    wire: ClassVar[bytes] = b"standing"
    generation: int
    mode: AuthMode
    state: AuthState
    expires_at: int | None = None
    """Seconds since the epoch, on the clock of this machine; `None` for a key, and where the token does not tell."""
    plan_type: str | None = None


class LoginComplete(Body):
    """Tells the supervisor that a login has ended, once for each."""

    wire: ClassVar[bytes] = b"login-complete"
    login_id: str
    success: bool
    error: str | None = None
    mode: AuthMode = "none"
    """What is in force now."""
    plan_type: str | None = None


class AuthProblem(Body):
    """Tells the supervisor of something that a person has to see to."""

    wire: ClassVar[bytes] = b"auth-problem"
    state: AuthState
    reason: str
    user_text: str


class Stopping(Body):
    """Tells everyone that the broker will be gone."""

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
    | LeaveNodes
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
    | Succeeded
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
    for kind in (
        *(Attach, Detach, GetStatus, LoginStart, LoginCancel, LoginApiKey, Logout, Reload, LeaveNodes, MeasureBroker),
    )
)

QUESTIONS: Final[Mapping[bytes, type[Question]]] = {kind.wire: kind for kind in get_args(Question)}
ANSWERS: Final[Mapping[bytes, type[Answer]]] = {kind.wire: kind for kind in get_args(Answer)}
BROADCASTS: Final[Mapping[bytes, type[Broadcast]]] = {kind.wire: kind for kind in get_args(Broadcast)}


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


def read_broadcast(parts: Sequence[bytes]) -> Broadcast:
    """Decode a broadcast. Raises `RemoteProtocolError`."""
    if len(parts) != 2 or parts[0] not in BROADCASTS:
        raise RemoteProtocolError("not a broadcast of the auth broker")
    return unpack(BROADCASTS[parts[0]], parts[1])
