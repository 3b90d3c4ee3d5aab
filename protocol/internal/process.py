"""What a new process is told at its birth, and what the fork server and the supervisor say to each other.

A `ProcessSpec` reaches its process through fork or through an inherited socket, never through a file, the
environment or the
command line: it holds the process's secret key.
"""

from typing import ClassVar, Final, Literal, TypeAlias, get_args

import msgspec

from greenroom.protocol.errors import RemoteProtocolError
from greenroom.protocol.footprint import Footprint
from greenroom.protocol.ids import WorkerId
from greenroom.protocol.internal.message import Message, pack, unpack


class KeyPair(Message):
    """A CURVE key pair, both halves in Z85."""

    hidden: ClassVar[frozenset[str]] = frozenset({"secret"})

    public: str
    secret: str


class ProcessSpec(Message):
    """Base of what every child is told."""

    id: WorkerId
    keys: KeyPair
    supervisor_pid: int
    codex_home: str
    runtime_directory: str
    """Where the sockets of the instance are."""
    log_level: str


class WorkerSpec(ProcessSpec, tag_field="role", tag="worker"):
    """What a worker is told. Its conversation comes later, as a message."""

    hidden: ClassVar[frozenset[str]] = frozenset({"events_ticket"})

    mailbox_address: str
    mailbox_key: str
    """Public key of the supervisor's mailbox socket."""
    events_path: str
    """Unix socket that takes the stream of events."""
    events_ticket: bytes
    """What the stream begins with (`greenroom.protocol.internal.event_stream`)."""
    broker_address: str
    broker_key: str
    broadcast_address: str = ""
    """Where the broker tells of changes; nobody listens where it is empty."""


class BrokerSpec(ProcessSpec, tag_field="role", tag="broker"):
    """What the auth broker is told: whom to admit, and the secrets that no other process is given."""

    hidden: ClassVar[frozenset[str]] = frozenset({"secrets"})

    address: str
    broadcast_address: str
    supervisor_key: str
    """Public key under which the supervisor's questions come."""
    admitted: dict[WorkerId, str] = msgspec.field(default_factory=dict)
    """Workers that may already be on their way: public key by worker."""
    preferred_mode: Literal["chatgpt", "apikey"] = "chatgpt"
    store: Literal["file", "keyring", "auto", "ephemeral"] = "file"
    """`cli_auth_credentials_store`: where credentials are kept."""
    forced_method: Literal["chatgpt", "api"] | None = None
    """`forced_login_method`: the one way to log in."""
    forced_workspaces: tuple[str, ...] = ()
    """`forced_chatgpt_workspace_id`: the accounts that may log in; empty where all may."""
    secrets: dict[str, str] = msgspec.field(default_factory=dict)
    """Variables of the supervisor's environment that other processes are born without."""
    issuer: str | None = None
    """`GREENROOM_ISSUER`: base address of the issuer of tokens."""
    refresh_url: str | None = None
    """`CODEX_REFRESH_TOKEN_URL_OVERRIDE`: where tokens are refreshed."""
    revoke_url: str | None = None
    """`CODEX_REVOKE_TOKEN_URL_OVERRIDE`: where tokens are revoked."""
    login_ports: tuple[int, ...] = (1455, 1457)
    """Where the issuer may send browsers back to; the first that is free is taken."""
    client_id: str | None = None
    """`CODEX_APP_SERVER_LOGIN_CLIENT_ID`: the name under which we are known to the issuer."""
    config_overrides: tuple[str, ...] = ()
    """What the command line sets over `config.toml`, where the broker looks up which MCP servers there are."""


AnyProcessSpec: TypeAlias = WorkerSpec | BrokerSpec


class Spawn(Message):
    """Supervisor to fork server: fork a child."""

    wire: ClassVar[bytes] = b"B"
    spec: WorkerSpec | BrokerSpec


class Spawned(Message):
    """Fork server to supervisor: the child runs."""

    wire: ClassVar[bytes] = b"b"
    id: WorkerId
    pid: int


class ForkServerServes(Message):
    """Fork server to supervisor, its first word: it can be told births."""

    wire: ClassVar[bytes] = b"s"
    pid: int


class ForkServerReady(Message):
    """Fork server to supervisor: everything is imported; children born from now on share more than those before."""

    wire: ClassVar[bytes] = b"r"
    pid: int


class Exited(Message):
    """Fork server to supervisor: the child is gone and reaped."""

    wire: ClassVar[bytes] = b"x"
    id: WorkerId
    pid: int
    returncode: int
    """As `subprocess` has it: the exit status, or minus the signal's number."""
    max_rss: int
    """Largest resident memory of its life, in bytes."""
    start_error: str | None = None
    """Why it never came to life, in words; `None` for one that lived."""


class MeasureForkServer(Message):
    """Supervisor to fork server: say what you hold."""

    wire: ClassVar[bytes] = b"M"


class ForkServerMeasured(Message):
    """Fork server to supervisor: what it holds."""

    wire: ClassVar[bytes] = b"m"
    footprint: Footprint


ForkServerMessage: TypeAlias = (
    Spawn | MeasureForkServer | Spawned | ForkServerServes | ForkServerReady | Exited | ForkServerMeasured
)

_KINDS: Final[dict[bytes, type[ForkServerMessage]]] = {kind.wire: kind for kind in get_args(ForkServerMessage)}


def datagram(message: ForkServerMessage) -> bytes:
    """Encode a message of the fork server channel."""
    return message.wire + pack(message)


def read_datagram(data: bytes) -> ForkServerMessage:
    """Decode a message of the fork server channel. Raises `RemoteProtocolError`."""
    if data[:1] not in _KINDS:
        raise RemoteProtocolError(f"unknown kind {data[:1]!r} on the fork server channel")
    return unpack(_KINDS[data[:1]], data[1:])
