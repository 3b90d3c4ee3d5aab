"""One bad entry that calls can do without costs itself; one that they cannot is an error."""

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import fields

from greenroom.config.overrides import Assignment
from greenroom.config.schema import ConfigFile
from greenroom.config.settings import ConversationOverrides
from greenroom.config.tolerance import DISPENSABLE, read_tolerantly
from greenroom.protocol.errors import ConfigError

if TYPE_CHECKING:
    from tests.config.conftest import Home

ESSENTIAL = {
    *("model", "model_provider", "openai_base_url", "oss_provider", "profile"),
    *("approval_policy", "approvals_reviewer", "sandbox_mode", "sandbox_workspace_write"),
    *("shell_environment_policy", "allow_login_shell"),
    *("model_instructions_file", "experimental_instructions_file", "developer_instructions"),
    *("web_search", "tools", "greenroom", "profiles", "model_providers"),
}
"""Keys that are an error where they are wrong as a whole, though parts of some can be left out."""
GOOD = {"model": "m", "mcp_servers": {"good": {"command": "x"}}, "sandbox_mode": "workspace-write"}
BAD_SERVERS: list[object] = [
    {"startup_timeout_sec": 5},
    {"command": "x", "env": {"A": 1}},
    {"command": "x", "args": "y"},
    {"command": "x", "disabled_tools": "y"},
    {"command": "x", "url": "y"},
    {"command": "x", "enabled": "no"},
    {"command": "x", "tools": {"t": {"approval_mode": "maybe"}}},
    {"url": "https://x", "bearer_token": "t"},
    "x",
    5,
]


def test_it_is_decided_for_every_key_whether_calls_need_it() -> None:
    dispensable = {place[0] for place in DISPENSABLE if len(place) == 1}
    names = {field.encode_name for field in fields(ConfigFile)}
    assert names == dispensable | ESSENTIAL
    assert not dispensable & ESSENTIAL


@pytest.mark.parametrize("name", sorted(place[0] for place in DISPENSABLE if len(place) == 1))
def test_what_calls_can_do_without_is_left_out_with_a_warning(name: str) -> None:
    read = read_tolerantly({"model": "m", name: b"never right"})
    assert read.file == ConfigFile(model="m")
    (warning,) = read.warnings
    assert warning.startswith(f"config.toml: `{name}` is left out: invalid ")
    assert f"in `{name}`" in warning


@pytest.mark.parametrize("name", sorted(ESSENTIAL))
def test_what_calls_need_is_an_error(name: str) -> None:
    with pytest.raises(ConfigError, match=f"in `{name}`"):
        read_tolerantly({**GOOD, name: b"never right"})


@pytest.mark.parametrize("table", BAD_SERVERS)
def test_a_server_is_left_out_as_a_whole_and_the_others_stay(table: object) -> None:
    servers = {"bad": table, "good": {"command": "x"}, "worse": 7}
    read = read_tolerantly({**GOOD, "mcp_servers": servers, "notify": "x", "model_context_window": "128000"})
    assert read.file.mcp_servers.keys() == {"good"}
    assert read.servers.keys() == {"bad", "worse"}
    assert len(read.warnings) == 4
    assert (read.file.notify, read.file.model_context_window, read.file.sandbox_mode) == ((), None, "workspace-write")


@pytest.mark.parametrize("required", [True, "yes", 1])
def test_a_server_that_is_required_is_an_error(required: object) -> None:
    server = {"command": "x", "env": {"A": 1}, "required": required}
    with pytest.raises(ConfigError, match=r"mcp_servers\.bad"):
        read_tolerantly({"mcp_servers": {"bad": server}})
    assert read_tolerantly({"mcp_servers": {"bad": {**server, "enabled": False}}}).servers.keys() == {"bad"}


def test_profiles_and_providers_are_needed_where_they_are_chosen(home: "Home") -> None:
    text = "[profiles.work]\nsandbox_mode = 'loud'\n[model_providers.p]\nbase_url = 5"
    settings = home.resolve(text)
    assert {warning.split("`")[1] for warning in settings.warnings} == {"model_providers.p", "profiles.work"}
    for overrides in (
        ConversationOverrides(profile="work"),
        ConversationOverrides(config={"profile": "work"}),
        ConversationOverrides(config={"model_provider": "p"}),
    ):
        with pytest.raises(ConfigError, match=r"in `(profiles\.work|model_providers\.p)\."):
            home.resolve(text, overrides=overrides)
    with pytest.raises(ConfigError, match=r"model_providers\.p"):
        home.resolve("profile = 'w'\n[profiles.w]\nmodel_provider = 'p'\n[model_providers.p]\nbase_url = 5")


@pytest.mark.parametrize(
    "path", [("notify",), ("mcp_servers",), ("mcp_servers", "bad"), ("mcp_servers", "bad", "env", "A"), ("history",)]
)
def test_what_is_given_for_this_run_is_never_left_out(path: tuple[str, ...]) -> None:
    table: dict[str, object] = {"notify": "x", "history": 5, "mcp_servers": {"bad": {"env": {"A": 1}, "command": "x"}}}
    with pytest.raises(ConfigError):
        read_tolerantly(table, [Assignment(path, "as the table has it by now")])


def test_what_is_known_of_a_model_is_left_out_where_it_is_wrong(home: "Home") -> None:
    settings = home.resolve(
        "[greenroom.models.a]\ncontext_window = 'x'\n[greenroom.models.gpt-5]\ncontext_window = 99999"
    )
    assert settings.model_family.context_window == 99_999
    (warning,) = settings.warnings
    assert warning.startswith("config.toml: `greenroom.models.a` is left out: ")


def test_secrets_are_not_told() -> None:
    read = read_tolerantly({"mcp_servers": {"s": {"command": "x", "env": {"A": ["hush"]}, "bearer_token": "hush"}}})
    assert read.warnings
    assert "hush" not in str(read.warnings) + str(read.servers)


values = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text("abc", max_size=2), inner, max_size=2),
)
keys = st.sampled_from([field.encode_name for field in fields(ConfigFile)])


@given(st.dictionaries(keys, values))
def test_any_file_is_read_without_faults_or_refused(table: dict[str, object]) -> None:
    try:
        read = read_tolerantly(table)
    except ConfigError:
        return
    again = read_tolerantly(read.table)
    assert (again.file, again.warnings) == (read.file, ())
    left = {place[0] for place in DISPENSABLE}
    assert {key: value for key, value in read.table.items() if key not in left} == {
        key: value for key, value in table.items() if key not in left
    }
