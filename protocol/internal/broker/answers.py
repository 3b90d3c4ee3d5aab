"""Answers of the auth broker. Each repeats the id of its question."""

from collections.abc import Mapping, Sequence
from typing import ClassVar, Final, Literal, NamedTuple, TypeAlias, get_args

from greenroom.protocol.errors import RemoteProtocolError
from greenroom.protocol.footprint import Footprint
from greenroom.protocol.internal.broker.body import (
    AuthErrorCode,
    AuthMode,
    AuthState,
    Body,
    LimitKey,
    UnauthorizedOutcome,
)
from greenroom.protocol.internal.broker.questions import (
    BrokerQuestion,
)
from greenroom.protocol.message import Message, pack, unpack


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
    withheld: ClassVar[frozenset[str]] = frozenset({"token"})
    generation: int
    broker_epoch: str
    mode: AuthMode
    token: str
    identity_key: str
    source: Literal["store", "env"]
    account_id: str | None = None
    user_id: str | None = None
    plan_type: str | None = None
    expires_at: int | None = None
    """Seconds since the epoch; `None` for a key."""
    degraded: bool = False


class EnvironmentValues(Body):
    """Answers `GetEnvironment` with those of the variables that are set."""

    wire: ClassVar[bytes] = b"environment"
    withheld: ClassVar[frozenset[str]] = frozenset({"values"})
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
    withheld: ClassVar[frozenset[str]] = frozenset({"token"})
    serial: int
    token: str


class McpBearer(Body):
    """Answers `GetMcpBearer`. A refresh token is never in it."""

    wire: ClassVar[bytes] = b"mcp-bearer"
    withheld: ClassVar[frozenset[str]] = frozenset({"token"})
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
    withheld: ClassVar[frozenset[str]] = frozenset({"token"})
    mode: AuthMode
    state: AuthState
    generation: int
    token: str | None = None
    email: str | None = None
    plan_type: str | None = None


class LoginStarted(Body):
    """Answers `LoginStart` and `McpLoginStart`. `LoginComplete` or `McpLoginComplete` follows, once."""

    wire: ClassVar[bytes] = b"login-started"
    withheld: ClassVar[frozenset[str]] = frozenset({"url"})
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


BrokerAnswer: TypeAlias = (
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

ANSWERS: Final[Mapping[bytes, type[BrokerAnswer]]] = {kind.wire: kind for kind in get_args(BrokerAnswer)}


class ReceivedAnswer(NamedTuple):
    """An answer as it arrived."""

    id: bytes
    answer: BrokerAnswer


def broker_frames(message_id: bytes, body: BrokerQuestion | BrokerAnswer) -> list[bytes]:
    """Return the frames of a question or an answer."""
    return [body.wire, message_id, pack(body)]


def read_broker_answer(parts: Sequence[bytes]) -> ReceivedAnswer:
    """Decode an answer. Raises `RemoteProtocolError`."""
    if len(parts) != 3 or parts[0] not in ANSWERS:
        raise RemoteProtocolError("not an answer of the auth broker")
    return ReceivedAnswer(parts[1], unpack(ANSWERS[parts[0]], parts[2]))
