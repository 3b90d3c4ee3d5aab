"""Our own settings, the table `[greenroom]`: all that the front process needs of the file, and quick to import."""

from collections.abc import Sequence
from typing import Annotated, Final, NamedTuple

from msgspec import Meta, field

from greenroom.config.defaults import DELTA_WINDOW, IDLE_WORKERS, RATE_LIMIT_WAIT, Limits
from greenroom.config.document import Table
from greenroom.config.layers import layered
from greenroom.config.overrides import parse_assignment
from greenroom.config.section import OwnSection, Section, Strings, check
from greenroom.config.tables.http import HttpTable
from greenroom.protocol.choices import (
    AttachMode,
    CredentialsStore,
    EngineName,
    EventForm,
    EventSetting,
    ForcedLogin,
    PreferredAuth,
)

MIB: Final = 1024 * 1024
_DEFAULTS: Final = Limits()


class GreenroomTable(OwnSection, frozen=True):
    """The table itself."""

    engine: EngineName | None = None
    """How workers are born; `None` = as suits the platform."""
    idle_workers: Annotated[int, Meta(ge=0, le=64)] = IDLE_WORKERS
    """Workers that wait, ready, for the next conversation."""
    session_tools: bool = True
    """Whether there are tools about conversations beside the two that hold them."""
    approval_tools: bool = False
    """Whether approvals can be decided by tools and by `greenroom approve`."""
    ignore_rules: bool = False
    """Whether the `.rules` files of the home and of projects are left unread."""
    events: EventSetting = "auto"
    """What clients are told while a turn runs."""
    event_form: EventForm = "current"
    """Which form events have that releases write differently; `baseline` is that of August 2025."""
    park_after_s: Annotated[float, Meta(gt=0.0)] = _DEFAULTS.park_after
    """Seconds that a conversation may be idle before its process saves and leaves."""
    live_workers: Annotated[int, Meta(ge=1, le=100_000)] = _DEFAULTS.live_workers
    """Conversations that have a process at a time."""
    known_at_rest: Annotated[int, Meta(ge=0)] = _DEFAULTS.known_at_rest
    """Conversations without a process that the front process remembers beside their session files."""
    open_calls: Annotated[int, Meta(ge=1)] = _DEFAULTS.open_calls
    """Tool calls that wait for their answer at a time."""
    queued_turns: Annotated[int, Meta(ge=0)] = _DEFAULTS.queued_turns
    """Turns that wait in one conversation."""
    worker_memory_mb: Annotated[int, Meta(ge=128)] = _DEFAULTS.worker_memory // MIB
    """Mebibytes of resident memory beyond which a worker is killed."""
    approval_timeout_s: Annotated[float, Meta(gt=0.0)] = _DEFAULTS.approval_timeout
    """Seconds that the user has for an approval; no answer is a no."""
    task_after_s: Annotated[float, Meta(ge=0.0)] = _DEFAULTS.task_after
    """Seconds after which a call of a client that knows tasks goes on as one."""
    start_timeout_s: Annotated[float, Meta(gt=0.0)] = _DEFAULTS.start_timeout
    """Seconds that calls wait for a process while none can be started."""
    hang_after_s: Annotated[float, Meta(ge=1.0)] = _DEFAULTS.hang_after
    """Seconds without a sign of life after which the worker of a running turn is killed."""
    attach: AttachMode = "off"
    """Whether `greenroom mcp-server` and `app-server` join a running host (`greenroom.supervisor.startup.attach`)."""
    client_calls: Annotated[int, Meta(ge=1)] = _DEFAULTS.client_calls
    """Tool calls of one client of a host that wait for their answer at a time."""
    client_buffer_mb: Annotated[int, Meta(ge=2)] = _DEFAULTS.client_buffer // MIB
    """Mebibytes that may wait for a client of a host to read."""
    slow_client_s: Annotated[float, Meta(gt=0.0)] = _DEFAULTS.slow_client
    """Seconds for which a client of a host may read nothing while much waits for it."""
    max_clients: Annotated[int, Meta(ge=1, le=10_000)] = _DEFAULTS.max_clients
    """Clients that a host serves at a time."""
    first_line_timeout_s: Annotated[float, Meta(gt=0.0)] = _DEFAULTS.first_line_timeout
    """Seconds that a client of a host has for its first line."""
    drain_s: Annotated[float, Meta(ge=0.0)] = _DEFAULTS.drain
    """Seconds that turns have to end when a host is stopped."""
    replaced_s: Annotated[float, Meta(ge=0.0)] = _DEFAULTS.replaced
    """Seconds for which a host that was replaced serves the turns and clients that it has left."""
    rate_limit_wait_s: Annotated[float, Meta(ge=0.0)] = RATE_LIMIT_WAIT
    """Seconds that a model request waits for rate limits in all; then it fails."""
    delta_window_ms: Annotated[int, Meta(ge=0, le=1000)] = round(DELTA_WINDOW * 1000)
    """Milliseconds for which pieces of a text are gathered where they come faster than that; 0: each by itself."""
    http: HttpTable = field(default_factory=HttpTable)
    """Where a host is reached over HTTP."""
    nodes: dict[str, object] = field(default_factory=dict)
    """Other machines that run workers (`greenroom.config.tables.nodes.NodesTable`). Checked when a server starts."""
    resources: dict[str, Annotated[float, Meta(gt=0.0)]] = field(default_factory=dict)
    """What a conversation needs of its node, by names of resources; set in the `config` of a call."""
    metrics_listen: str | None = None
    """Where metrics are served: `[HOST:]PORT` of loopback, or `unix:PATH`."""
    metrics_users: tuple[str, ...] = ()
    """Users of this machine that may read them beside the one that runs the instance; `*`: all."""
    compress_sessions_after_days: Annotated[int, Meta(ge=0)] = 0
    """Days without a change after which session files are compressed; 0: never."""
    delete_sessions_after_days: Annotated[int, Meta(ge=0)] = 0
    """Days without a change after which session files are deleted; 0: never."""
    unix_sockets: tuple[Annotated[str, Meta(pattern="^/")], ...] = ()
    """Unix sockets of programs outside the sandbox, by absolute paths, that sandboxed commands with network may use."""
    models: dict[str, dict[str, object]] = field(default_factory=dict)
    """What the user knows of models: a slug, or how slugs begin, and a `greenroom.config.models.ModelRow`. Checked
    at use."""

    prices: dict[str, dict[str, object]] = field(default_factory=dict)
    """What models cost: a slug, or how slugs begin, and a `greenroom.config.tables.prices.PriceRow`. Checked at use."""

    def limits(self) -> Limits:
        """Return what the table says as limits of the front process."""
        return Limits(
            park_after=self.park_after_s,
            live_workers=self.live_workers,
            known_at_rest=self.known_at_rest,
            open_calls=self.open_calls,
            queued_turns=self.queued_turns,
            worker_memory=self.worker_memory_mb * MIB,
            approval_timeout=self.approval_timeout_s,
            task_after=self.task_after_s,
            hang_after=self.hang_after_s,
            start_timeout=self.start_timeout_s,
            client_calls=self.client_calls,
            client_buffer=self.client_buffer_mb * MIB,
            slow_client=self.slow_client_s,
            max_clients=self.max_clients,
            first_line_timeout=self.first_line_timeout_s,
            drain=self.drain_s,
            replaced=self.replaced_s,
        )


class CredentialSettings(Section, frozen=True):
    """The top-level keys about the login, which are read once, at the start of the server or of a command."""

    preferred_auth_method: PreferredAuth = "chatgpt"
    cli_auth_credentials_store: CredentialsStore = "file"
    """Where credentials are kept."""
    forced_login_method: ForcedLogin | None = None
    """The one way to log in."""
    forced_chatgpt_workspace_id: Strings = ()
    """The ChatGPT accounts that may log in, one as a string or several as a list; empty where all may."""

    @classmethod
    def plain(cls, table: Table) -> Table:
        key = "forced_chatgpt_workspace_id"
        return {**table, key: [table[key]]} if isinstance(table.get(key), str) else table


class ServerSettings(NamedTuple):
    """The settings of the process that answers the client first."""

    table: GreenroomTable
    credentials: CredentialSettings


def server_settings(home: str, cli_overrides: Sequence[str]) -> ServerSettings:
    """Return the front process's settings; the rest of the file is parsed but not checked. Raises `ConfigError`."""
    file = layered(home, map(parse_assignment, cli_overrides))
    return ServerSettings(
        check(GreenroomTable, file.get("greenroom", {}), ("greenroom",)), check(CredentialSettings, file)
    )


def credential_settings(home: str) -> CredentialSettings:
    """Return what the file says about the login. Raises `ConfigError`."""
    return check(CredentialSettings, layered(home, ()))
