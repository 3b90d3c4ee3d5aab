"""Reads the configuration for clients. Only settings that hold no secrets are told. Blocks: run it on a thread."""

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec

from greenroom.config.document import Table, read_document
from greenroom.config.layers import CONFIG_FILE
from greenroom.config.overrides import assign, parse_assignment
from greenroom.config.tables.providers import ModelProvider
from greenroom.config.tolerance import read_tolerantly
from greenroom.protocol.app_server.settings import (
    ConfigLayer,
    ConfigLayerMetadata,
    ConfigReadResponse,
    ModelProviderListResponse,
    ModelProviderSummary,
    ProviderSettings,
)
from greenroom.runtime.files.content_version import version_of

TOLD: Final = frozenset(
    {
        *("model", "model_provider", "model_reasoning_effort", "model_reasoning_summary", "model_verbosity"),
        *("model_context_window", "model_auto_compact_token_limit", "approval_policy", "sandbox_mode"),
        *("sandbox_workspace_write", "developer_instructions", "compact_prompt", "web_search", "profile", "profiles"),
        *("forced_login_method", "tools", "project_doc_max_bytes", "features"),
    }
)
"""Settings at the top level that are told."""


def read_config(home: str, cli_overrides: Sequence[str], *, with_layers: bool) -> ConfigReadResponse:
    """Return the effective configuration, and where each value comes from. Raises `ConfigError`."""
    path = os.path.join(home, CONFIG_FILE)
    file: Table = read_document(path)
    flags: Table = {}
    for argument in cli_overrides:
        assign(flags, parse_assignment(argument))
    sources = [({"type": "user", "file": path}, version_of(path), _told(file))]
    if flags:
        sources.append(({"type": "sessionFlags"}, "", _told(flags)))
    effective: Table = {}
    origins: dict[str, ConfigLayerMetadata] = {}
    for name, version, table in sources:
        for key, value in table.items():
            present = effective.get(key)
            effective[key] = {**present, **value} if isinstance(present, dict) and isinstance(value, dict) else value
        origins |= {key: ConfigLayerMetadata(name=name, version=version) for key in _leaves(table)}
    layers = [ConfigLayer(name=name, version=version, config=table) for name, version, table in reversed(sources)]
    return ConfigReadResponse(config=_plain(effective), origins=origins, layers=layers if with_layers else None)


def list_providers(home: str, cli_overrides: Sequence[str]) -> ModelProviderListResponse:
    """Return the model providers of the configuration and those that are built in. Raises `ConfigError`."""
    table = read_document(os.path.join(home, CONFIG_FILE))
    for argument in cli_overrides:
        assign(table, parse_assignment(argument))
    file = read_tolerantly(table).file
    own = [_summary(name, provider) for name, provider in sorted(file.model_providers.items())]
    openai = ModelProviderSummary(id="openai", name="OpenAI", can_edit=False, settings=ProviderSettings(type="openai"))
    data = own if "openai" in file.model_providers else [*own, openai]
    return ModelProviderListResponse(
        can_change_default=False, data=data, default_provider_id=file.model_provider or "openai"
    )


def _summary(name: str, provider: ModelProvider) -> ModelProviderSummary:
    auth: dict[str, Any] = {"mode": "none"}
    if provider.env_key is not None:
        auth = {"mode": "environmentVariable", "envKey": provider.env_key}
    elif provider.experimental_bearer_token is not None or provider.auth is not None:
        auth = {"mode": "externallyConfigured"}
    settings = ProviderSettings(type="customGateway", auth=auth)
    return ModelProviderSummary(
        id=name, name=provider.name or name, can_edit=False, settings=settings, base_url=provider.base_url
    )


def _told(table: Table) -> Table:
    return {key: value for key, value in table.items() if key in TOLD}


def _leaves(table: Mapping[str, object], before: str = "") -> Iterator[str]:
    for key, value in table.items():
        if isinstance(value, dict):
            yield from _leaves(value, f"{before}{key}.")
        else:
            yield f"{before}{key}"


def _plain(table: Table) -> dict[str, Any]:
    """Return values in the forms that clients know."""
    plain: dict[str, Any] = msgspec.to_builtins(table)
    if plain.get("approval_policy") == "on-failure":
        plain["approval_policy"] = "on-request"
    tools = plain.get("tools")
    if isinstance(tools, dict) and isinstance(tools.get("web_search"), bool):
        plain["tools"] = {name: value for name, value in tools.items() if name != "web_search"}
    return plain
