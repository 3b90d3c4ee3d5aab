"""The specification of a new process, and the messages between the fork server and the supervisor.

A `ProcessSpec` reaches its process through fork or through an inherited socket, never through a file, the environment
or the command line, because it contains the process's secret key.
"""

from typing import ClassVar, Final, Literal, TypeAlias, get_args

import msgspec

from greenroom.protocol.errors import RemoteProtocolError
from greenroom.protocol.footprint import Footprint
from greenroom.protocol.ids import WorkerId
from greenroom.protocol.message import Message, pack, unpack


class KeyPair(Message):
    """A CURVE key pair, both halves in Z85."""

    withheld: ClassVar[frozenset[str]] = frozenset({"secret"})

    public: str
    secret: str


class ProcessSpec(Message):
    """Base of all specifications."""

    id: WorkerId
    keys: KeyPair
    supervisor_pid: int
    codex_home: str
    runtime_directory: str
    """The directory of the instance's sockets."""
    log_level: str


class WorkerSpec(ProcessSpec, tag_field="role", tag="worker"):
    """The specification of a worker. Its conversation comes later, as a message."""

    withheld: ClassVar[frozenset[str]] = frozenset({"events_ticket"})

    mailbox_address: str
    mailbox_key: str
    """Public key of the supervisor's mailbox socket."""
    events_path: str
    """Unix socket that takes the stream of events; empty on a node."""
    events_ticket: bytes
    """What the stream begins with (`greenroom.protocol.internal.event_stream`)."""
    broker_address: str
    broker_key: str
    broadcast_address: str = ""
    """Where the broker publishes changes; empty if there is nothing to subscribe to."""
    greets_broker: bool = False
    """Whether it connects to the broker before it has a conversation: on a node that takes several round trips."""

    @property
    def is_on_node(self) -> bool:
        """Whether its events and session records are messages in its mailbox: the host is on another machine."""
        return not self.events_path


class BrokerSpec(ProcessSpec, tag_field="role", tag="broker"):
    """The specification of the auth broker: the clients to admit, and the secrets that no other process gets."""

    withheld: ClassVar[frozenset[str]] = frozenset({"secrets"})

    address: str
    broadcast_address: str
    supervisor_key: str
    """Public key of the connection that sends the supervisor's requests."""
    address_for_nodes: str = ""
    """A second address for the workers of nodes; empty where there are none."""
    broadcast_address_for_nodes: str = ""
    admitted: dict[WorkerId, str] = msgspec.field(default_factory=dict)
    """Workers that may already be starting: public key by worker."""
    on_nodes: tuple[WorkerId, ...] = ()
    """Those of them that are on nodes, and may ask for less."""
    preferred_mode: Literal["chatgpt", "apikey"] = "chatgpt"
    environment_key_first: bool = False
    """Whether `CODEX_API_KEY` of the environment is used even where there is a login."""
    store: Literal["file", "keyring", "auto", "ephemeral"] = "file"
    """`cli_auth_credentials_store`: where credentials are kept."""
    forced_method: Literal["chatgpt", "api"] | None = None
    """`forced_login_method`: the only permitted way to log in."""
    forced_workspaces: tuple[str, ...] = ()
    """`forced_chatgpt_workspace_id`: the permitted accounts; empty if all are."""
    secrets: dict[str, str] = msgspec.field(default_factory=dict)
    """Variables of the supervisor's environment that other processes do not get."""
    issuer: str | None = None
    """`GREENROOM_ISSUER`: base URL of the token issuer."""
    refresh_url: str | None = None
    """`CODEX_REFRESH_TOKEN_URL_OVERRIDE`: where tokens are refreshed."""
    revoke_url: str | None = None
    """`CODEX_REVOKE_TOKEN_URL_OVERRIDE`: where tokens are revoked."""
    login_ports: tuple[int, ...] = (1455, 1457)
    """Local ports to which the issuer may redirect browsers; the first free one is used."""
    client_id: str | None = None
    """`CODEX_APP_SERVER_LOGIN_CLIENT_ID`: the client id at the issuer."""
    config_overrides: tuple[str, ...] = ()
    """Overrides of `config.toml` from the command line that name MCP servers and model providers."""


AnyProcessSpec: TypeAlias = WorkerSpec | BrokerSpec


class Spawn(Message):
    """Supervisor to fork server: fork a child."""

    wire: ClassVar[bytes] = b"B"
    spec: WorkerSpec | BrokerSpec


class Spawned(Message):
    """Fork server to supervisor: the child is running."""

    wire: ClassVar[bytes] = b"b"
    id: WorkerId
    pid: int


class ForkServerServes(Message):
    """Fork server to supervisor, its first message: it accepts requests."""

    wire: ClassVar[bytes] = b"s"
    pid: int


class ForkServerReady(Message):
    """Fork server to supervisor: all imports are done, and what they left is immortal where the interpreter allows it;
    children forked from now on share the most memory."""

    wire: ClassVar[bytes] = b"r"
    pid: int


class Exited(Message):
    """Fork server to supervisor: the child has ended and was reaped."""

    wire: ClassVar[bytes] = b"x"
    id: WorkerId
    pid: int
    returncode: int
    """As in `subprocess`: the exit status, or minus the signal's number."""
    max_rss: int
    """Its maximum resident memory, in bytes."""
    start_error: str | None = None
    """Why it could not be started, as text; `None` if it was."""
    node: str = ""
    """The node on which it ran; empty for this machine."""
    cause: str | None = None
    """Why it ended, as text, where its node knows another reason than the kernel's."""


class MeasureForkServer(Message):
    """Supervisor to fork server: report your resource figures."""

    wire: ClassVar[bytes] = b"M"


class Prepare(Message):
    """Supervisor to fork server: do all imports now, and not only after the first child."""

    wire: ClassVar[bytes] = b"P"
    runtime_directory: str
    """The directory of the instance's sockets."""


class EndChildren(Message):
    """Supervisor to fork server: kill what is left, and exit. A channel that closes without it: the supervisor died."""

    wire: ClassVar[bytes] = b"E"


class ForkServerMeasured(Message):
    """Fork server to supervisor: its resource figures."""

    wire: ClassVar[bytes] = b"m"
    footprint: Footprint


ForkServerMessage: TypeAlias = (
    Spawn
    | MeasureForkServer
    | Prepare
    | EndChildren
    | Spawned
    | ForkServerServes
    | ForkServerReady
    | Exited
    | ForkServerMeasured
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
