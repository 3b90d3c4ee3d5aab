"""The supported keys of `config.toml` with their types; defaults that depend on others are in settings.py.

Keys of August 2025 and of later releases exist side by side. Unknown keys are ignored, because much of the file is for
other programs; only `[greenroom]` accepts none.
"""

from typing import Literal, TypeAlias

from msgspec import field
from msgspec.structs import asdict, replace

from greenroom.config.document import Table
from greenroom.config.models import Effort, Summary, Verbosity
from greenroom.config.section import Count, Name, Section, Size, Strings, plain_tables
from greenroom.config.tables.environment import ShellEnvironmentPolicy
from greenroom.config.tables.greenroom import GreenroomTable
from greenroom.config.tables.providers import ModelProvider
from greenroom.config.tables.sandbox import WorkspaceWritePolicy
from greenroom.config.tables.servers import McpServer
from greenroom.protocol.errors import ConfigError
from greenroom.protocol.policy import ApprovalPolicy, SandboxMode

WebSearchMode: TypeAlias = Literal["disabled", "cached", "indexed", "live"]


def _plain_policy(value: object) -> object:
    """Reduce the granular form of `approval_policy` to the part about commands."""
    match value:
        case {"granular": {"sandbox_approval": bool(asked)}}:
            return "on-request" if asked else "never"
        case _:
            return value


class HistorySettings(Section, frozen=True):
    """The table `history`."""

    persistence: Literal["save-all", "none"] | None = None
    """`None`: not given, which the reference treats as `save-all`."""
    max_bytes: Count | None = None

    @property
    def wanted(self) -> bool:
        """Whether the user has asked for it: messages from programs are not the user's history by default."""
        return self.persistence == "save-all"


class PlanTool(Section, frozen=True):
    """The table `tools.update_plan`."""

    enabled: bool = True


class SearchLocation(Section, frozen=True):
    """The table `tools.web_search.location`: the user's approximate location."""

    country: Name | None = None
    region: Name | None = None
    city: Name | None = None
    timezone: Name | None = None


class SearchOptions(Section, frozen=True):
    """The table `tools.web_search`."""

    allowed_domains: Strings = ()
    context_size: Name | None = None
    """How much search context the server uses: `low`, `medium`, `high`."""
    location: SearchLocation | None = None


class Tools(Section, frozen=True):
    """The table `tools`."""

    web_search: bool | SearchOptions = SearchOptions()
    """Options, or in the form of 2025 whether to search at all; the key `web_search` overrides that."""
    update_plan: PlanTool = PlanTool()


class Profile(Section, frozen=True):
    """One table of `profiles`: the keys that a profile can set."""

    model: Name | None = None
    model_provider: Name | None = None
    model_reasoning_effort: Effort | None = None
    model_reasoning_summary: Summary | None = None
    model_verbosity: Verbosity | None = None
    model_instructions_file: Name | None = None
    experimental_instructions_file: Name | None = None
    """The former name of `model_instructions_file`."""
    approval_policy: ApprovalPolicy | None = None
    sandbox_mode: SandboxMode | None = None

    @classmethod
    def plain(cls, table: Table) -> Table:
        policy = table.get("approval_policy")
        return table if policy is None else {**table, "approval_policy": _plain_policy(policy)}


class ConfigFile(Profile, frozen=True):
    """The whole file."""

    model_context_window: Size | None = None
    model_auto_compact_token_limit: Size | None = None
    model_supports_reasoning_summaries: bool | None = None
    show_raw_agent_reasoning: bool = False
    tool_output_token_limit: Size | None = None
    web_search: WebSearchMode | None = None

    developer_instructions: str | None = None
    compact_prompt: str | None = None
    experimental_compact_prompt_file: Name | None = None
    project_doc_max_bytes: Count = 32_768
    project_doc_fallback_filenames: Strings = ()
    project_root_markers: Strings = (".git",)

    approvals_reviewer: Literal["user", "auto_review", "guardian_subagent"] = "user"
    """Who is asked for consent; the last two are the same."""
    sandbox_workspace_write: WorkspaceWritePolicy = WorkspaceWritePolicy()
    shell_environment_policy: ShellEnvironmentPolicy = ShellEnvironmentPolicy()
    allow_login_shell: bool = True
    background_terminal_max_timeout: Size = 300_000
    notify: Strings = ()
    history: HistorySettings = HistorySettings()
    tools: Tools = Tools()
    mcp_servers: dict[str, McpServer] = field(default_factory=dict)
    openai_base_url: Name | None = None
    oss_provider: Literal["ollama", "lmstudio"] | None = None
    """Which local server the provider `oss` is; `None`: the one that listens on Ollama's port."""
    model_providers: dict[str, ModelProvider] = field(default_factory=dict)

    profile: Name | None = None
    profiles: dict[str, Profile] = field(default_factory=dict)
    greenroom: GreenroomTable = GreenroomTable()

    @classmethod
    def plain(cls, table: Table) -> Table:
        own = super().plain(table)
        return plain_tables(own, mcp_servers=McpServer, model_providers=ModelProvider, profiles=Profile)

    @property
    def search_mode(self) -> WebSearchMode | None:
        """How to search the web, if the file says so."""
        if self.web_search is not None or not isinstance(self.tools.web_search, bool):
            return self.web_search
        return "live" if self.tools.web_search else "disabled"

    @property
    def search_options(self) -> SearchOptions:
        """The details of a search."""
        return SearchOptions() if isinstance(self.tools.web_search, bool) else self.tools.web_search

    def with_profile(self, name: str | None, explicit: frozenset[str]) -> "ConfigFile":
        """Return the file with a profile applied, if `name` or else the key `profile` selects one.

        `explicit` are the keys given for this run or conversation: they override the profile. Raises `ConfigError` if
        there is no such profile.
        """
        name = self.profile if name is None else name
        if name is None:
            return self
        if name not in self.profiles:
            known = ", ".join(f"`{known}`" for known in self.profiles) or "none"
            raise ConfigError(f"config profile `{name}` not found; there are {known}")
        changes = {key: value for key, value in asdict(self.profiles[name]).items() if value is not None}
        return replace(self, **{key: value for key, value in changes.items() if key not in explicit})
