"""Which credentials of this machine the settings of a home name: variables, and programs that print a token."""

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import msgspec

from greenroom.config.document import Table
from greenroom.config.layers import layered
from greenroom.config.overrides import assign, config_assignments, parse_assignment
from greenroom.config.tables.providers import ProviderTokenCommand, usable_providers
from greenroom.config.tolerance import read_tolerantly

_NAMING: Final = frozenset({"auth", "bearer_token_env_var", "env_http_headers", "env_key", "env_vars"})
"""Keys of model providers and MCP servers that name one."""
_TABLES: Final = ("model_providers", "mcp_servers")


class NamedCredentials(NamedTuple):
    """What model providers and MCP servers need of the machine that has the credentials."""

    variables: frozenset[str] = frozenset()
    commands: frozenset[ProviderTokenCommand] = frozenset()


def named_credentials(home: str, cli_overrides: Sequence[str] = ()) -> NamedCredentials:
    """Read the home's file again. Tables that no conversation can use are left out. Raises `ConfigError`."""
    table = layered(home, map(parse_assignment, cli_overrides))
    providers = list(usable_providers(_tables(table.get("model_providers"))))
    servers = table.get("mcp_servers")
    only = {} if servers is None else {"mcp_servers": servers}
    variables = {name for provider in providers for name in provider.credential_variables}
    for server in read_tolerantly(only).file.mcp_servers.values():
        variables.update(server.credential_variables)
    commands = frozenset(provider.auth for provider in providers if provider.auth is not None)
    return NamedCredentials(frozenset(variables), commands)


def names_credentials(config: Mapping[str, object]) -> bool:
    """Tell whether the `config` of a call names one itself. Raises `ConfigError`."""
    table: Table = {}
    for assignment in config_assignments({key: value for key, value in config.items() if key.startswith(_TABLES)}):
        assign(table, assignment)
    return any(not _NAMING.isdisjoint(one) for name in _TABLES for one in _tables(table.get(name)).values())


def _tables(value: object) -> dict[str, Table]:
    try:
        return msgspec.convert(value or {}, dict[str, Table])
    except msgspec.ValidationError:
        return {}
