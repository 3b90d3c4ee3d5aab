"""Questions to the auth broker, and who may ask them."""

from collections.abc import Mapping, Sequence
from typing import Annotated, ClassVar, Final, Literal, NamedTuple, TypeAlias, get_args

from msgspec import Meta

from greenroom.protocol.errors import RemoteProtocolError
from greenroom.protocol.ids import WorkerId
from greenroom.protocol.internal.broker.body import Body, Deadline, LimitKey
from greenroom.protocol.message import Message, unpack


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
    """Ask for the bearer that a provider's command prints. The command is run once for all requests."""

    wire: ClassVar[bytes] = b"get-provider-token"
    command: TokenCommand
    rejected: int | None = None
    """Serial of the token that the provider's server refused."""


class GetMcpBearer(Body):
    """Ask for the bearer of an MCP server that the user has logged in to."""

    wire: ClassVar[bytes] = b"get-mcp-bearer"
    withheld: ClassVar[frozenset[str]] = frozenset({"url"})
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


class Attach(Body):
    """Let these workers in: public key (Z85) by worker."""

    wire: ClassVar[bytes] = b"attach"
    keys: dict[WorkerId, str]
    on_node: bool = False
    """Whether they are on a node, and may ask for less (`greenroom.broker.node_grants`)."""


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
    withheld: ClassVar[frozenset[str]] = frozenset({"api_key"})
    api_key: str


class McpLoginStart(Body):
    """Begin the login of an MCP server that the configuration names; any number may be under way."""

    wire: ClassVar[bytes] = b"mcp-login-start"
    server: str
    login_id: str
    """Names it in `McpLoginComplete`."""
    scopes: tuple[str, ...] = ()
    """Those that are asked for; empty: those of the configuration, or of the server."""
    timeout_s: Annotated[int, Meta(ge=1, le=3600)] = 300
    """Seconds that the user has to finish in the browser."""


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


BrokerQuestion: TypeAlias = (
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
    | McpLoginStart
    | Logout
    | Reload
    | LeaveNodes
    | MeasureBroker
)

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
        *(Attach, Detach, GetStatus, LoginStart, LoginCancel, LoginApiKey, McpLoginStart, Logout, Reload, LeaveNodes),
        MeasureBroker,
    )
)

QUESTIONS: Final[Mapping[bytes, type[BrokerQuestion]]] = {kind.wire: kind for kind in get_args(BrokerQuestion)}


class ReceivedQuestion(NamedTuple):
    """A question as it arrived, with the id that its answer must repeat."""

    id: bytes
    question: BrokerQuestion


def read_question(parts: Sequence[bytes]) -> ReceivedQuestion:
    """Decode a question. Raises `RemoteProtocolError`."""
    if len(parts) != 3 or parts[0] not in QUESTIONS:
        raise RemoteProtocolError("not a question to the auth broker")
    return ReceivedQuestion(parts[1], unpack(QUESTIONS[parts[0]], parts[2]))
