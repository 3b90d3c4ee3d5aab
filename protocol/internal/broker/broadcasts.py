"""What the auth broker tells all workers and the supervisor without being asked."""

from collections.abc import Mapping, Sequence
from typing import ClassVar, Final, Literal, TypeAlias, get_args

from greenroom.protocol.errors import RemoteProtocolError
from greenroom.protocol.internal.broker.body import AuthMode, AuthState, Body, LimitKey
from greenroom.protocol.message import pack, unpack


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


class McpLoginComplete(Body):
    """Tells the supervisor that a login of an MCP server has ended, once for each."""

    wire: ClassVar[bytes] = b"mcp-login-complete"
    login_id: str
    success: bool
    error: str | None = None


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


Broadcast: TypeAlias = (
    AuthChanged | RateLimited | CredentialStanding | LoginComplete | McpLoginComplete | AuthProblem | Stopping
)

BROADCASTS: Final[Mapping[bytes, type[Broadcast]]] = {kind.wire: kind for kind in get_args(Broadcast)}


def broadcast_frames(body: Broadcast) -> list[bytes]:
    """Return the frames of a broadcast."""
    return [body.wire, pack(body)]


def read_broadcast(parts: Sequence[bytes]) -> Broadcast:
    """Decode a broadcast. Raises `RemoteProtocolError`."""
    if len(parts) != 2 or parts[0] not in BROADCASTS:
        raise RemoteProtocolError("not a broadcast of the auth broker")
    return unpack(BROADCASTS[parts[0]], parts[1])
