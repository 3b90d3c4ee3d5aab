"""The options of a server from the command line and the configuration."""

from typing import TYPE_CHECKING, get_args

import msgspec

from greenroom.config.defaults import IDLE_WORKERS, Limits
from greenroom.protocol.choices import CredentialsStore, EngineName, EventSetting, ForcedLogin, LogFormat, PreferredAuth

if TYPE_CHECKING:
    from greenroom.config.tables.http import HttpTable
    from greenroom.config.tables.nodes import NodesTable
    from greenroom.config.tables.otel import OtelTable

STDIO, UNIX = "stdio://", "unix://"
"""How the addresses begin at which clients of `app-server` may be."""
ENGINES: tuple[str, ...] = get_args(EngineName)
LOG_LEVELS = ("debug", "info", "warning", "error", "critical")
LOG_FORMATS: tuple[str, ...] = get_args(LogFormat)


class ServerOptions(msgspec.Struct, frozen=True):
    """Fixed at the start of the server."""

    codex_home: str
    engine: EngineName
    config_overrides: tuple[str, ...] = ()
    """`-c key=value`, as given."""
    idle_workers: int = IDLE_WORKERS
    """Workers kept ready in advance."""
    session_tools: bool = True
    """Whether the tools about conversations are offered beside `codex` and `codex-reply`."""
    approval_tools: bool = False
    """Whether approvals can be decided by tools and by operators."""
    events: EventSetting = "auto"
    """Which `codex/event` notifications are sent; `auto`: all, but none to a client that does not accept them."""
    environment_key_first: bool = False
    """Whether `CODEX_API_KEY` of the environment is used even where there is a login."""
    preferred_auth: PreferredAuth = "chatgpt"
    """Which credential is used where there are two (`preferred_auth_method`)."""
    credentials_store: CredentialsStore = "file"
    """Where credentials are kept (`cli_auth_credentials_store`)."""
    forced_login: ForcedLogin | None = None
    """The only way to log in (`forced_login_method`)."""
    forced_workspaces: tuple[str, ...] = ()
    """The accounts that may log in (`forced_chatgpt_workspace_id`)."""
    serves_many: bool = False
    """Whether there may be many clients, of which one must not take all."""
    takes_over: bool = False
    """Whether another host of the home serves yet, whose addresses become free later."""
    log_level: str = "warning"
    log_format: LogFormat = "text"
    limits: Limits = Limits()
    compress_sessions_after_days: int = 0
    """Days without a change after which session files are compressed; 0: never."""
    delete_sessions_after_days: int = 0
    """Days without a change after which session files are deleted; 0: never."""
    http: "HttpTable | None" = None
    """What is set about HTTP, for a host; `None`: nothing."""
    nodes: "NodesTable | None" = None
    """What is set about nodes; `None`: there are none."""
    metrics_listen: str | None = None
    """Where metrics are served; `None`: nowhere but at the control socket."""
    metrics_users: tuple[str, ...] = ()
    """Users that may read them there beside the one that runs the instance."""
    otel: "OtelTable | None" = None
    """What is sent to collectors of OpenTelemetry; `None`: nothing."""
