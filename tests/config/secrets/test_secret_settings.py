"""A secret in a file of settings is seen, wherever and however it is written, and ordinary settings are none."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.config.secrets.secret_settings import SECRET_KEYS, holds_secret

ORDINARY = """\
model = "gpt-5"
model_provider = "local"
approval_policy = "on-request"
preferred_auth_method = "apikey"
cli_auth_credentials_store = "keyring"
notify = ["notify-send", "done"]
tool_output_token_limit = 10000
model_auto_compact_token_limit = 100000
# the key comes from the environment
[model_providers.local]
name = "A server on this machine"
base_url = "http://127.0.0.1:8080/v1"
env_key = "MY_API_KEY"
env_key_instructions = "get a key from the console"
env_http_headers = { "X-Team" = "TEAM_TOKEN" }
http_headers = {}
query_params = {}
request_max_retries = 2
[mcp_servers.docs]
command = "npx"
args = ["-y", "docs-server", "--verbose"]
env_vars = ["DOCS_API_KEY"]
bearer_token_env_var = "DOCS_TOKEN"
[mcp_servers.web]
url = "https://example.com/mcp"
[shell_environment_policy]
set = { MY_KEY = "what commands see anyway" }
[projects."/home/ada/shop"]
trust_level = "trusted"
[greenroom]
events = "off"
"""
SECRET = [
    '[model_providers.x]\nexperimental_bearer_token = "plain"',
    '[model_providers.x]\nhttp_headers = { "X-Api" = "plain" }',
    '[model_providers.x]\nquery_params = { code = "plain" }',
    '[model_providers.x]\nbase_url = "https://user:plain@example.com/v1"',
    '[model_providers.x]\nbase_url = "https://example.com/v1?code=plain"',
    '[model_providers.x.auth]\ncommand = "c"\nargs = ["plain"]',
    '[mcp_servers.x]\ncommand = "c"\nenv = { A = "plain" }',
    '[mcp_servers.x.env]\nA = "plain"',
    '[mcp_servers.x]\nurl = "https://u:plain@example.com"',
    '[mcp_servers.x]\nurl = "https://e.com"\nhttp_headers = { A = "plain" }',
    '[mcp_servers.x]\nbearer_token = "plain"',
    '[mcp_servers.x]\ncommand = "c"\nargs = ["--api-key", "plain"]',
    '[mcp_servers.x]\ncommand = "c"\nargs = ["--token=plain"]',
    '[mcp_servers.x]\ncommand = "c"\nargs = ["sk-0123456789abcdef"]',
    '[profiles.p.model_providers.x]\nexperimental_bearer_token = "plain"',
    '[otel.exporter.otlp-http]\nheaders = { A = "plain" }',
    'openai_base_url = "https://example.com/?key=plain"',
    'api_key = "plain"',
    '[whatever]\nOPENAI_API_KEY = "plain"\n',
    '[whatever]\ndb_password = "plain"\n',
    'notify = ["curl", "-H", "Authorization: Bearer ghp_0123456789abcdef"]',
    '# experimental_bearer_token = "plain"',
    'model = "m" # http_headers = { A = "plain" }',
    '"\\u0061pi_key" = "plain"',
    '[model_providers.x]\n"experimental_bearer_\\u0074oken" = "plain"',
    "this is no TOML, and has a token",
]


def test_ordinary_settings_hold_none() -> None:
    assert not holds_secret(ORDINARY.encode())
    assert not holds_secret(b"")


@pytest.mark.parametrize("text", SECRET)
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_a_secret_is_seen(text: str, mark: str) -> None:
    assert holds_secret((mark + text).encode())
    assert holds_secret((mark + text + "\n" + ORDINARY.partition("\n[")[0]).encode())


@pytest.mark.parametrize("content", [b"\xff\xfea\0=\0", "api = 'ä'".encode("latin-1"), b"env = [[[["])
def test_what_cannot_be_read_counts_as_holding_one(content: bytes) -> None:
    assert holds_secret(content)


@pytest.mark.parametrize("key", SECRET_KEYS, ids=lambda key: ".".join(key.path))
@given(st.text("abc", min_size=1, max_size=3), st.text("abcxyz", min_size=1, max_size=5), st.booleans())
def test_every_key_of_the_table_counts_under_any_name(
    key: tuple[tuple[str, ...], str], name: str, value: str, nested: bool
) -> None:
    path = [name if part == "*" else part for part in key[0]]
    text = f"[{'.'.join(path)}]\nsome = '{value}'" if nested else f"[{'.'.join(path[:-1])}]\n{path[-1]} = '{value}'"
    assert holds_secret(text.encode())
    assert not holds_secret(text.replace(f"'{value}'", "''").encode())
