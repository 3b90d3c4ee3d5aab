"""Params and results of the methods about the configuration, models and the account."""

from typing import Any, ClassVar, Literal, TypeAlias

from msgspec import field

from greenroom.protocol.app_server.wire import Params, Result

MergeStrategy: TypeAlias = Literal["replace", "upsert"]


class ConfigReadParams(Params, frozen=True):
    """Params of `config/read`."""

    include_layers: bool = False
    cwd: str | None = None


class ConfigLayer(Result, frozen=True):
    """One source of the configuration."""

    name: dict[str, Any]
    """Tagged by `type`: `user` with its `file`, or `sessionFlags`."""
    version: str
    config: Any


class ConfigLayerMetadata(Result, frozen=True):
    """Which source a value comes from."""

    name: dict[str, Any]
    version: str


class ConfigReadResponse(Result, frozen=True):
    """Result of `config/read`. Settings that may hold secrets are left out."""

    config: dict[str, Any]
    origins: dict[str, ConfigLayerMetadata]
    layers: list[ConfigLayer] | None = None


class ConfigEdit(Params, frozen=True):
    """One change of the file."""

    key_path: str
    """As in TOML: dotted, parts with other characters in quotes."""
    value: Any
    """`None` removes the key."""
    merge_strategy: MergeStrategy


class ConfigValueWriteParams(ConfigEdit, frozen=True):
    """Params of `config/value/write`."""

    expected_version: str | None = None
    file_path: str | None = None


class ConfigBatchWriteParams(Params, frozen=True):
    """Params of `config/batchWrite`."""

    job: ClassVar[str] = "write-config"

    edits: list[ConfigEdit]
    expected_version: str | None = None
    file_path: str | None = None
    reload_user_config: bool = False


class ConfigWriteResponse(Result, frozen=True):
    """Result of both."""

    status: Literal["ok", "okOverridden"]
    version: str
    file_path: str


class ConfigRequirementsReadResponse(Result, frozen=True):
    """Result of `configRequirements/read`: nothing is prescribed."""

    requirements: None


class PermissionProfileListParams(Params, frozen=True):
    """Params of `permissionProfile/list`."""

    cursor: str | None = None
    cwd: str | None = None
    limit: int | None = None


class PermissionProfile(Result, frozen=True):
    """One of the sandbox modes, under the name of its profile."""

    id: str
    allowed: bool
    description: str | None = None


class PermissionProfileListResponse(Result, frozen=True):
    """Result of `permissionProfile/list`."""

    data: list[PermissionProfile]


class ProviderSettings(Result, frozen=True):
    """How a model provider is reached, tagged by `type`."""

    type: Literal["openai", "customGateway"]
    auth: dict[str, Any] | None = None


class ModelProviderSummary(Result, frozen=True):
    """One model provider."""

    id: str
    name: str
    can_edit: bool
    settings: ProviderSettings
    base_url: str | None = None


class ModelProviderListResponse(Result, frozen=True):
    """Result of `modelProvider/list`."""

    can_change_default: bool
    data: list[ModelProviderSummary]
    default_provider_id: str


class SkillsListParams(Params, frozen=True):
    """Params of `skills/list`."""

    cwds: list[str] = field(default_factory=list)
    force_reload: bool = False


class HooksListParams(Params, frozen=True):
    """Params of `hooks/list`."""

    cwds: list[str] = field(default_factory=list)
    thread_id: str | None = None


class HooksListEntry(Result, frozen=True):
    """The hooks of a directory."""

    cwd: str
    hooks: list[dict[str, Any]]
    errors: list[dict[str, Any]]
    warnings: list[str]


class HooksListResponse(Result, frozen=True):
    """Result of `hooks/list`."""

    data: list[HooksListEntry]
