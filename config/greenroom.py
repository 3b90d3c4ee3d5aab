"""Greenroom's own settings, the table `[greenroom]`: all that the supervisor needs of the file, and fast to import."""

from collections.abc import Sequence
from typing import Annotated, Final, NamedTuple

from msgspec import Meta, field

from greenroom.config.defaults import IDLE_WORKERS, RATE_LIMIT_WAIT, Limits
from greenroom.config.document import Table
from greenroom.config.layers import layered
from greenroom.config.overrides import parse_assignment
from greenroom.config.section import OwnSection, Section, Strings, check
from greenroom.protocol.choices import CredentialsStore, EngineName, EventForm, EventSetting, ForcedLogin, PreferredAuth

MIB: Final = 1024 * 1024
_DEFAULTS: Final = Limits()


class GreenroomTable(OwnSection, frozen=True):
    """The table itself."""

    engine: EngineName | None = None
    """How workers are started; `None` = depends on the platform."""
    idle_workers: Annotated[int, Meta(ge=0, le=64)] = IDLE_WORKERS
    """Workers kept ready for the next conversations."""
    session_tools: bool = True
    """Whether to offer the tools about conversations."""
    events: EventSetting = "auto"
    """Which events clients get while a turn runs."""
    event_form: EventForm = "current"
    """The form of events that differ between releases; `baseline` is that of August 2025."""
    park_after_s: Annotated[float, Meta(gt=0.0)] = _DEFAULTS.park_after
    """Seconds of idleness after which a conversation's process saves and exits."""
    live_workers: Annotated[int, Meta(ge=1, le=100_000)] = _DEFAULTS.live_workers
    """Conversations that may have a process at once."""
    known_at_rest: Annotated[int, Meta(ge=0)] = _DEFAULTS.known_at_rest
    """Conversations without a process that the supervisor remembers."""
    open_calls: Annotated[int, Meta(ge=1)] = _DEFAULTS.open_calls
    """Tool calls that may be open at once."""
    queued_turns: Annotated[int, Meta(ge=0)] = _DEFAULTS.queued_turns
    """Turns that may be queued in one conversation."""
    worker_memory_mb: Annotated[int, Meta(ge=128)] = _DEFAULTS.worker_memory // MIB
    """Mebibytes of resident memory beyond which a worker is killed."""
    approval_timeout_s: Annotated[float, Meta(gt=0.0)] = _DEFAULTS.approval_timeout
    """Seconds that the user has to answer an approval request; no answer counts as no."""
    task_after_s: Annotated[float, Meta(ge=0.0)] = _DEFAULTS.task_after
    """Seconds after which a call becomes a task, if its client supports tasks."""
    start_timeout_s: Annotated[float, Meta(gt=0.0)] = _DEFAULTS.start_timeout
    """Seconds that calls wait while no process can be started."""
    hang_after_s: Annotated[float, Meta(ge=1.0)] = _DEFAULTS.hang_after
    """Seconds without a heartbeat after which the worker of a running turn is killed."""
    rate_limit_wait_s: Annotated[float, Meta(ge=0.0)] = RATE_LIMIT_WAIT
    """Seconds that a model request waits for rate limits in total before it fails."""
    unix_sockets: tuple[Annotated[str, Meta(pattern="^/")], ...] = ()
    """Absolute paths of Unix sockets outside the sandbox that sandboxed commands with network access may use."""
    models: dict[str, dict[str, object]] = field(default_factory=dict)
    """Descriptions of models by the user: a slug or a prefix of slugs, and a `greenroom.config.models.ModelRow`.
    Validated when used."""

    def limits(self) -> Limits:
        """Return the limits that the table sets for the supervisor."""
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
        )


class CredentialSettings(Section, frozen=True):
    """The top-level keys about the login, read once when the server or a command starts."""

    preferred_auth_method: PreferredAuth = "chatgpt"
    cli_auth_credentials_store: CredentialsStore = "file"
    """Where credentials are kept."""
    forced_login_method: ForcedLogin | None = None
    """The only permitted way to log in."""
    forced_chatgpt_workspace_id: Strings = ()
    """The permitted ChatGPT accounts, one as a string or several as a list; empty if all are."""

    @classmethod
    def plain(cls, table: Table) -> Table:
        key = "forced_chatgpt_workspace_id"
        return {**table, key: [table[key]]} if isinstance(table.get(key), str) else table


class ServerSettings(NamedTuple):
    """The settings of the supervisor."""

    table: GreenroomTable
    credentials: CredentialSettings


def server_settings(home: str, cli_overrides: Sequence[str]) -> ServerSettings:
    """Return the supervisor's settings; the rest of the file is parsed but not validated. Raises `ConfigError`."""
    file = layered(home, map(parse_assignment, cli_overrides))
    return ServerSettings(
        check(GreenroomTable, file.get("greenroom", {}), ("greenroom",)), check(CredentialSettings, file)
    )


def credential_settings(home: str) -> CredentialSettings:
    """Return the file's settings about the login. Raises `ConfigError`."""
    return check(CredentialSettings, layered(home, ()))
