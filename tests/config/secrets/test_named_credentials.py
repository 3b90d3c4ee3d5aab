"""Which variables and programs the settings of a home, or a call, name for credentials."""

from pathlib import Path

import pytest

from greenroom.config.secrets.named_credentials import NamedCredentials, named_credentials, names_credentials
from greenroom.config.tables.providers import ProviderTokenCommand
from greenroom.protocol.errors import ConfigError

BUILT_IN = frozenset({"OPENAI_ORGANIZATION", "OPENAI_PROJECT"})
SETTINGS = """
[model_providers.one]
env_key = "ONE_KEY"
env_http_headers = { "X-Team" = "ONE_TEAM" }
[model_providers.two]
auth = { command = "print-token", args = ["two"] }
[model_providers.broken]
env_key = 5
[mcp_servers.files]
command = "files"
env_vars = ["FILES_KEY", { name = "FILES_TEAM" }]
[mcp_servers.wiki]
url = "https://wiki.example"
bearer_token_env_var = "WIKI_TOKEN"
env_http_headers = { "X-Wiki" = "WIKI_TEAM" }
[mcp_servers.broken]
env_vars = ["BROKEN"]
"""


def test_what_providers_and_servers_need_is_named(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text(SETTINGS)
    found = named_credentials(str(tmp_path), ['model_providers.three.env_key="THREE_KEY"'])
    assert found.variables - BUILT_IN == {
        *("ONE_KEY", "ONE_TEAM", "THREE_KEY"),
        *("FILES_KEY", "FILES_TEAM", "WIKI_TOKEN", "WIKI_TEAM"),
    }
    assert found.commands == {ProviderTokenCommand("print-token", ("two",))}


@pytest.mark.parametrize("text", ["", "model_providers = 1", "mcp_servers = []"])
def test_nothing_but_what_is_built_in_is_named_otherwise(tmp_path: Path, text: str) -> None:
    (tmp_path / "config.toml").write_text(text)
    assert named_credentials(str(tmp_path)) == NamedCredentials(BUILT_IN)


def test_settings_that_cannot_be_read_name_nothing(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text("[")
    with pytest.raises(ConfigError):
        named_credentials(str(tmp_path))


@pytest.mark.parametrize(
    ("config", "names"),
    [
        ({}, False),
        ({"model": "x"}, False),
        ({"model_providers.x.base_url": "http://x"}, False),
        ({"model_providers.x.env_key": "KEY"}, True),
        ({"model_providers": {"x": {"auth": {"command": "c"}}}}, True),
        ({"model_providers.x": {"env_http_headers": {"a": "KEY"}}}, True),
        ({"mcp_servers.y": {"command": "c", "env": {"auth": "x"}}}, False),
        ({"mcp_servers.y.env_vars": ["KEY"]}, True),
        ({"mcp_servers": {"y": {"url": "http://y", "bearer_token_env_var": "KEY"}}}, True),
        ({"mcp_servers": 5, "model_providers": {"x": 5}}, False),
    ],
)
def test_a_call_may_name_some_itself(config: dict[str, object], names: bool) -> None:
    assert names_credentials(config) == names
