"""What the command line and the configuration say to `greenroom mcp-server`."""

from typing import Literal, NamedTuple, TypeAlias, get_args

from supervisor.limits import Limits

EngineName: TypeAlias = Literal["fork", "spawn"]
PreferredAuth: TypeAlias = Literal["chatgpt", "apikey"]
EventMode: TypeAlias = Literal["full", "progress", "off"]

ENGINES: tuple[str, ...] = get_args(EngineName)
LOG_LEVELS = ("debug", "info", "warning", "error", "critical")


class ServerOptions(NamedTuple):
    """Fixed at the start of the server."""

    codex_home: str
    engine: EngineName
    config_overrides: tuple[str, ...] = ()
    """`-c key=value`, as given."""
    idle_workers: int = 2
    """Workers kept waiting in advance."""
    events: EventMode = "full"
    """Which `codex/event` notifications are sent."""
    preferred_auth: PreferredAuth = "chatgpt"
    """Which credential is used where there are two (`preferred_auth_method`)."""
    log_level: str = "warning"
    limits: Limits = Limits()
