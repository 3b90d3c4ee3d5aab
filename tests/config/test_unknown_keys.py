"""Keys without effect are found wherever they are, and told from known ones and from those of Codex."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import fields

from greenroom.config.document import Table
from greenroom.config.schema import ConfigFile
from greenroom.config.unknown_keys import FOREIGN, UnknownKey, unknown_keys

TABLE: Table = {
    "model": "m",
    "tui": {"theme": "dark"},
    "projects": {"/work": {"trust_level": "trusted"}},
    "mcp_oauth_credentials_store": "file",
    "forced_login_method": "api",
    "model_providers": {"p": {"base_url": "u", "wire_api": "chat", "auth": {"command": "x"}}},
    "mcp_servers": {"s": {"command": "x", "tools": {"t": {"approval_mode": "auto"}}, "oauth": {"client_id": "c"}}},
    "profiles": {"fast": {"model": "m", "web_search": "live", "tui": {}}},
    "shell_environment_policy": {"set": {"ANY": "x"}, "filters": {"A*": "include"}},
    "tools": {"web_search": {"location": {"city": "x"}}},
    "otel": {
        "exporter": "none",
        "trace_exporter": {"otlp-http": {"endpoint": "u", "headers": {"a": "b"}, "tls": {"ca-certificate": "c"}}},
    },
    "greenroom": {"models": {"m": {"context_window": 1}}, "http": {"listen": "1"}},
}


def test_a_file_of_known_keys_has_none() -> None:
    assert unknown_keys(TABLE) == []


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        ({"modle": 1}, UnknownKey(("modle",), "model")),
        ({"sandbox_moed": 1}, UnknownKey(("sandbox_moed",), "sandbox_mode")),
        ({"quite_another": 1}, UnknownKey(("quite_another",), None)),
        ({"model_providers": {"p": {"base_ulr": 1}}}, UnknownKey(("model_providers", "p", "base_ulr"), "base_url")),
        ({"mcp_servers": {"s": {"comand": 1}}}, UnknownKey(("mcp_servers", "s", "comand"), "command")),
        (
            {"mcp_servers": {"s": {"oauth": {"clientid": 1}}}},
            UnknownKey(("mcp_servers", "s", "oauth", "clientid"), "client_id"),
        ),
        ({"profiles": {"p": {"sandbox_mod": 1}}}, UnknownKey(("profiles", "p", "sandbox_mod"), "sandbox_mode")),
        (
            {"otel": {"trace_exporter": {"otlp-http": {"endpiont": 1}}}},
            UnknownKey(("otel", "trace_exporter", "otlp-http", "endpiont"), "endpoint"),
        ),
        ({"tools": {"web_search": {"locaton": {}}}}, UnknownKey(("tools", "web_search", "locaton"), "location")),
    ],
)
def test_a_misspelt_key_is_found_with_the_one_that_was_meant(table: Table, expected: UnknownKey) -> None:
    assert unknown_keys(table) == [expected]


@pytest.mark.parametrize(
    "table", [{"tools": {"web_search": True}}, {"mcp_servers": 5}, {"model_providers": {"p": "x"}}]
)
def test_values_of_the_wrong_type_are_left_to_others(table: Table) -> None:
    assert unknown_keys(table) == []


def test_no_foreign_key_is_one_of_ours() -> None:
    assert FOREIGN.isdisjoint(field.encode_name for field in fields(ConfigFile))


json_like = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=12), inner, max_size=3),
    max_leaves=12,
)
keys = st.sampled_from(sorted(field.encode_name for field in fields(ConfigFile))) | st.text(min_size=1, max_size=12)


@given(st.dictionaries(keys, json_like, max_size=5))
def test_every_unknown_key_is_in_the_file_and_none_at_the_top_is_missed(table: Table) -> None:
    found = unknown_keys(table)
    known = {field.encode_name for field in fields(ConfigFile)}
    for unknown in found:
        value: object = table
        for step in unknown.path:
            members = value if isinstance(value, list) else [value]
            value = next(member[step] for member in members if isinstance(member, dict) and step in member)
    tops = {unknown.path[0] for unknown in found if len(unknown.path) == 1}
    assert tops.isdisjoint(known)
    assert {key for key in table if key not in known} - FOREIGN - tops <= {
        *("cli_auth_credentials_store", "forced_login_method", "forced_chatgpt_workspace_id", "preferred_auth_method"),
        *("mcp_oauth_credentials_store", "mcp_oauth_callback_port", "mcp_oauth_callback_url"),
    }
