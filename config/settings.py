"""All settings of one conversation, resolved from the file, the command line and the caller's arguments."""

import os
from collections.abc import Mapping, Sequence
from typing import ClassVar, Final, Literal, TypeVar

import msgspec

from greenroom.config.defaults import DELTA_WINDOW, RATE_LIMIT_WAIT
from greenroom.config.document import Table
from greenroom.config.encoding import decode_text
from greenroom.config.layers import layered
from greenroom.config.models import Effort, ModelFamily, ModelRow, Summary, Verbosity, model_family
from greenroom.config.overrides import config_assignments, parse_assignment
from greenroom.config.paths import resolve_path
from greenroom.config.reader import Reader
from greenroom.config.reason import reason
from greenroom.config.rules.rules import NO_RULES, Rules
from greenroom.config.rules.rules_files import FoundRules, find_rules
from greenroom.config.schema import ConfigFile, HistorySettings, SearchOptions, WebSearchMode
from greenroom.config.section import Name, OwnSection, Section, check
from greenroom.config.skills import NONE_DISABLED, DisabledSkills, disabled_skills
from greenroom.config.tables.environment import ShellEnvironmentPolicy, shell_environment
from greenroom.config.tables.prices import PriceRow
from greenroom.config.tables.providers import ModelProvider, find_provider
from greenroom.config.tables.sandbox import (
    ConfinementPolicy,
    DangerFullAccessPolicy,
    ReadOnlyPolicy,
    WorkspaceWritePolicy,
)
from greenroom.config.tables.servers import McpServer
from greenroom.config.texts import base_instructions, compaction_prompt
from greenroom.config.tolerance import Tolerated, read_tolerantly
from greenroom.config.trust import project_root, trusted_project
from greenroom.protocol.choices import EventForm
from greenroom.protocol.errors import ConfigError
from greenroom.protocol.guarded_struct import GuardedStruct
from greenroom.protocol.policy import ApprovalPolicy, Reviewer, SandboxMode

R = TypeVar("R", bound=Section)

DEFAULT_MODEL: Final = "gpt-5"
LONGEST_TEXT: Final = 1024 * 1024
"""Bytes of a file that replaces a built-in text."""
LOCAL_MODELS: Final[Mapping[str, str]] = {
    "oss": "gpt-oss:20b",
    "ollama": "gpt-oss:20b",
    "lmstudio": "openai/gpt-oss-20b",
}
"""Default models of the built-in providers that run on this machine."""
DEFAULT_PROVIDER: Final = "openai"
DEFAULT_APPROVAL_POLICY: Final[ApprovalPolicy] = "on-request"
DEFAULT_SANDBOX_MODE: Final[SandboxMode] = "read-only"


class ConversationOverrides(OwnSection, frozen=True):
    """What a caller asks for when it starts a conversation. Travels between processes as JSON."""

    model: Name | None = None
    profile: str | None = None
    cwd: str | None = None
    """A relative path starts at the directory of the process that the client started."""
    approval_policy: ApprovalPolicy | None = None
    sandbox_mode: SandboxMode | None = None
    config: dict[str, object] | None = None
    """Keys of `config.toml`, dotted where they lie deeper, with JSON values."""
    base_instructions: str | None = None
    developer_instructions: str | None = None
    compact_prompt: str | None = None
    include_plan_tool: bool | None = None
    writable_roots: tuple[str, ...] = ()
    """Directories that commands may write to beside those of the configuration, where they may write at all."""
    skill_roots: tuple[str, ...] = ()
    """Folders in which skills are looked for beside the usual ones; absolute."""
    source: Literal["mcp", "exec"] = "mcp"
    """Which program began it, as its session file says."""
    thread_source: str | None = None
    """What has caused it, in the caller's words, as its session file says."""
    reconfigured: bool = False
    """Whether a resumed conversation uses the present configuration instead of the settings in its file."""
    worktree: bool | None = None
    """Whether a new conversation gets a git worktree of its own, made of the repository around `cwd`."""

    @classmethod
    def from_json(cls, data: bytes) -> "ConversationOverrides":
        """Read what came from another process. Raises `ConfigError`."""
        try:
            table = msgspec.json.decode(data)
        except (msgspec.DecodeError, RecursionError) as error:
            raise ConfigError(f"the conversation's arguments cannot be read: {error}") from None
        return check(cls, table)


class Settings(GuardedStruct, frozen=True, kw_only=True):
    """The settings of one conversation. Paths are absolute, sizes in the unit of their name."""

    withheld: ClassVar[frozenset[str]] = frozenset({"mcp_servers"})

    home: str
    cwd: str

    model: str
    model_family: ModelFamily
    """With the configured context window and limits."""
    provider_id: str
    provider: ModelProvider
    reasoning_effort: Effort | None
    """`None`: not sent."""
    reasoning_summary: Summary
    verbosity: Verbosity | None
    """`None`: not sent, because neither the user nor the model's family has one or the model knows none."""
    show_raw_agent_reasoning: bool
    tool_output_token_limit: int
    web_search: WebSearchMode | None
    """`None`: as the provider and the sandbox suggest."""
    search_options: SearchOptions

    approval_policy: ApprovalPolicy
    reviewer: Reviewer
    """Who decides what the policy leaves to the user."""
    sandbox_policy: ConfinementPolicy
    shell_environment_policy: ShellEnvironmentPolicy
    allow_login_shell: bool
    """Whether shell text may run in a login shell, which reads the user's profile first."""
    background_terminal_max_timeout: int
    """Milliseconds that the model may wait for a command that goes on, in one call."""

    base_instructions: str | None
    """What replaces the built-in text: the caller's, else that of the configured file."""
    developer_instructions: str | None
    compact_prompt: str | None
    """What replaces the built-in text, from the same sources."""
    include_plan_tool: bool
    project_doc_max_bytes: int
    """Budget of all project documents together; 0 = read none."""
    project_doc_fallback_filenames: tuple[str, ...]
    project_root_markers: tuple[str, ...]

    notify: tuple[str, ...]
    """Program and arguments; empty where none is to be run."""
    history: HistorySettings
    mcp_servers: Mapping[str, McpServer]
    faulty_mcp_servers: Mapping[str, str]
    """Servers that were left out, each with what is wrong with its table."""
    warnings: tuple[str, ...]
    """What of the file was left out, in words for the user."""
    event_form: EventForm
    """In which form clients are told what releases write differently."""
    unix_sockets: tuple[str, ...]
    """Those of programs outside the sandbox that its commands may use where they have network."""
    output_schema: Mapping[str, object] | None = None
    """JSON Schema that the agent's last message must fit; set for single turns."""
    disabled_skills: DisabledSkills = NONE_DISABLED
    skill_roots: tuple[str, ...] = ()
    """Folders in which skills are looked for beside the usual ones."""
    """The skills that the user has switched off."""
    rules: Rules = NO_RULES
    """What the user's `.rules` files say of commands."""
    own_models: Mapping[str, ModelRow] = msgspec.field(default_factory=dict)
    """What the user says of models, by slug."""
    prices: Mapping[str, PriceRow] = msgspec.field(default_factory=dict)
    """What models cost, by slug or by the beginning of slugs."""
    rate_limit_wait: float = RATE_LIMIT_WAIT
    """Seconds that a model request waits for rate limits in all."""
    delta_window: float = DELTA_WINDOW
    """Seconds for which pieces of a text are gathered; 0 where each is told by itself."""


def resolve_settings(
    home: str,
    cli_overrides: Sequence[str],
    overrides: ConversationOverrides,
    process_cwd: str,
    environment: Mapping[str, str],
) -> Settings:
    """Resolve the settings of a new conversation, reading the file afresh. Raises `ConfigError`.

    From the weakest to the strongest: built-in defaults, the file's top level, the chosen profile, `-c` in order, the
    `config` argument, the arguments with a name of their own.
    """
    assignments = [*map(parse_assignment, cli_overrides), *config_assignments(overrides.config or {})]
    table = layered(home, assignments)
    read = read_tolerantly(table, assignments, overrides.profile)
    explicit = frozenset(assignment.path[0] for assignment in assignments)
    if overrides.cwd is not None and "\0" in overrides.cwd:
        raise ConfigError("invalid value: no directory has a NUL in its name\nin `cwd`")
    cwd = resolve_path(process_cwd, overrides.cwd or "", environment)
    read = read._replace(file=read.file.with_profile(overrides.profile, explicit))
    return _settle(read, overrides, home, cwd, environment)


def preload() -> None:
    """Do what only the first resolution in a process does: read the data files, look through the types.

    A process that forks others calls it once, so that they share the result.
    """
    overrides = ConversationOverrides.from_json(b"{}")
    _settle(Tolerated(check(ConfigFile, {}), {}), overrides, home=os.sep, cwd=os.sep, environment={})
    shell_environment(ShellEnvironmentPolicy(), {"": ""})
    base_instructions()
    compaction_prompt()


def _settle(
    read: Tolerated,
    overrides: ConversationOverrides,
    home: str,
    cwd: str,
    environment: Mapping[str, str],
) -> Settings:
    file = read.file
    provider_id = _provider_id(file)
    providers = msgspec.convert(read.table.get("model_providers", {}), dict[str, Table])
    model = _model(overrides.model or file.model, provider_id)
    rows, misfits = _rows(file.greenroom.models, ModelRow, "models")
    prices, unreadable = _rows(file.greenroom.prices, PriceRow, "prices")
    family = _family(model, file, rows)
    reader = Reader(home)
    configured_instructions = _instructions(reader, file, cwd, environment)
    configured_prompt = _compact_prompt(reader, file, cwd, environment)
    project = trusted_project(read.table, cwd, project_root(cwd, file.project_root_markers))
    found_rules = FoundRules() if file.greenroom.ignore_rules else find_rules(home, project, reader)
    planning = overrides.include_plan_tool
    return Settings(
        home=home,
        cwd=cwd,
        model=model,
        model_family=family,
        provider_id=provider_id,
        provider=find_provider(provider_id, providers, environment, file.openai_base_url),
        reasoning_effort=file.model_reasoning_effort or family.default_effort,
        reasoning_summary=file.model_reasoning_summary or family.default_summary,
        verbosity=(file.model_verbosity or family.default_verbosity) if family.supports_verbosity else None,
        show_raw_agent_reasoning=file.show_raw_agent_reasoning,
        tool_output_token_limit=file.tool_output_token_limit or family.output_token_limit,
        web_search=file.search_mode,
        search_options=file.search_options,
        approval_policy=overrides.approval_policy or file.approval_policy or DEFAULT_APPROVAL_POLICY,
        reviewer="user" if file.approvals_reviewer == "user" else "auto_review",
        sandbox_policy=_sandbox_policy(
            overrides.sandbox_mode or file.sandbox_mode, _workspace(file, overrides), cwd, environment
        ),
        shell_environment_policy=file.shell_environment_policy,
        allow_login_shell=file.allow_login_shell,
        background_terminal_max_timeout=file.background_terminal_max_timeout,
        base_instructions=_first(overrides.base_instructions, configured_instructions),
        developer_instructions=_first(overrides.developer_instructions, file.developer_instructions) or None,
        compact_prompt=_first(overrides.compact_prompt, file.compact_prompt, configured_prompt) or None,
        include_plan_tool=file.tools.update_plan.enabled if planning is None else planning,
        project_doc_max_bytes=file.project_doc_max_bytes,
        project_doc_fallback_filenames=file.project_doc_fallback_filenames,
        project_root_markers=file.project_root_markers,
        notify=file.notify,
        history=file.history,
        mcp_servers=file.mcp_servers,
        faulty_mcp_servers=read.servers,
        warnings=(*read.warnings, *misfits, *unreadable, *found_rules.warnings),
        event_form=file.greenroom.event_form,
        disabled_skills=disabled_skills(read.table),
        skill_roots=overrides.skill_roots,
        rules=found_rules.rules,
        own_models=rows,
        prices=prices,
        rate_limit_wait=file.greenroom.rate_limit_wait_s,
        delta_window=file.greenroom.delta_window_ms / 1000,
        unix_sockets=file.greenroom.unix_sockets,
    )


def _model(slug: str | None, provider_id: str) -> str:
    """Return the model, the usual one of this machine under the name that its server has for it."""
    default = LOCAL_MODELS.get(provider_id, DEFAULT_MODEL)
    return default if slug is None or (provider_id in LOCAL_MODELS and slug in LOCAL_MODELS.values()) else slug


def _provider_id(file: ConfigFile) -> str:
    """Return the provider. What `oss` stands for can be chosen apart."""
    provider_id = file.model_provider or DEFAULT_PROVIDER
    return file.oss_provider or provider_id if provider_id == "oss" else provider_id


def _rows(tables: Mapping[str, Table], kind: type[R], key: str) -> tuple[dict[str, R], list[str]]:
    """Return what the user knows of models, and what is wrong with the tables that say nothing usable."""
    rows: dict[str, R] = {}
    faults: list[str] = []
    for name, row in tables.items():
        try:
            rows[name] = check(kind, row, ("greenroom", key, name))
        except ConfigError as error:
            faults.append(f"config.toml: `greenroom.{key}.{name}` is left out: {error}")
    return rows, faults


def _family(model: str, file: ConfigFile, own: Mapping[str, ModelRow]) -> ModelFamily:
    family = model_family(model, own).configured(
        context_window=file.model_context_window, auto_compact=file.model_auto_compact_token_limit
    )
    if family.known or file.model_supports_reasoning_summaries is None:
        return family
    return msgspec.structs.replace(family, supports_reasoning=file.model_supports_reasoning_summaries)


def _workspace(file: ConfigFile, overrides: ConversationOverrides) -> WorkspaceWritePolicy:
    workspace = file.sandbox_workspace_write
    return msgspec.structs.replace(workspace, writable_roots=(*workspace.writable_roots, *overrides.writable_roots))


def _sandbox_policy(
    mode: SandboxMode | None, workspace: WorkspaceWritePolicy, cwd: str, environment: Mapping[str, str]
) -> ConfinementPolicy:
    match mode or DEFAULT_SANDBOX_MODE:
        case "read-only":
            return ReadOnlyPolicy()
        case "workspace-write":
            roots = tuple(resolve_path(cwd, root, environment) for root in workspace.writable_roots)
            return msgspec.structs.replace(workspace, writable_roots=roots)
        case "danger-full-access":
            return DangerFullAccessPolicy()


def _instructions(reader: Reader, file: ConfigFile, cwd: str, environment: Mapping[str, str]) -> str | None:
    if file.model_instructions_file is not None:
        return _read_text(reader, "model instructions file", file.model_instructions_file, cwd, environment)
    if file.experimental_instructions_file is not None:
        return _read_text(
            reader, "experimental instructions file", file.experimental_instructions_file, cwd, environment
        )
    return None


def _compact_prompt(reader: Reader, file: ConfigFile, cwd: str, environment: Mapping[str, str]) -> str | None:
    path = file.experimental_compact_prompt_file
    return None if path is None else _read_text(reader, "experimental compact prompt file", path, cwd, environment)


def _read_text(reader: Reader, what: str, path: str, cwd: str, environment: Mapping[str, str]) -> str:
    path = resolve_path(cwd, path, environment)
    try:
        text = decode_text(reader.read(path, LONGEST_TEXT)).replace("\r\n", "\n").strip()
    except (OSError, ValueError) as error:
        raise ConfigError(f"failed to read {what} {path}: {reason(error)}") from error
    if not text:
        raise ConfigError(f"{what} is empty: {path}")
    return text


def _first(*texts: str | None) -> str | None:
    return next((text for text in texts if text is not None), None)
