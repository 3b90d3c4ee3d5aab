"""Promises about what people read when a setting is wrong."""

import math
import traceback
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.config.error_text import alternatives, dotted
from greenroom.config.schema import ConfigFile
from greenroom.config.section import check
from greenroom.protocol.errors import ConfigError

VALUES = st.recursive(
    st.booleans() | st.integers() | st.floats() | st.text() | st.dates(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


def _fault(table: object) -> str:
    with pytest.raises(ConfigError) as caught:
        check(ConfigFile, table)
    return str(caught.value)


def test_unknown_word_is_answered_with_the_known_ones() -> None:
    assert _fault({"sandbox_mode": "silly"}) == (
        "unknown variant `silly`, expected one of `read-only`, `workspace-write`, `danger-full-access`\n"
        "in `sandbox_mode`"
    )


@pytest.mark.parametrize(
    ("table", "text"),
    [
        ({"model": 5}, "invalid type: integer `5`, expected a string\nin `model`"),
        ({"model": True}, "invalid type: boolean `true`, expected a string\nin `model`"),
        ({"model": 1.5}, "invalid type: number `1.5`, expected a string\nin `model`"),
        ({"model": ["o3"]}, "invalid type: array, expected a string\nin `model`"),
        ({"model": {}}, "invalid type: table, expected a string\nin `model`"),
        (
            {"model": date(2026, 1, 2)},
            "invalid type: date or time `2026-01-02`, expected a string\nin `model`",
        ),
        ({"model": ""}, 'invalid value: string "", expected a string of at least 1 character\nin `model`'),
        (
            {"show_raw_agent_reasoning": "yes"},
            'invalid type: string "yes", expected a boolean\nin `show_raw_agent_reasoning`',
        ),
        ({"notify": "bell"}, 'invalid type: string "bell", expected an array\nin `notify`'),
        ({"notify": ["bell", 7]}, "invalid type: integer `7`, expected a string\nin `notify[1]`"),
        ({"history": 7}, "invalid type: integer `7`, expected a table\nin `history`"),
        ({"mcp_servers": []}, "invalid type: array, expected a table\nin `mcp_servers`"),
        (
            {"project_doc_max_bytes": -1},
            "invalid value: integer `-1`, expected at least 0\nin `project_doc_max_bytes`",
        ),
        ({"project_doc_max_bytes": 1.0}, "invalid type: number `1.0`, expected an integer\nin `project_doc_max_bytes`"),
        (
            {"mcp_servers": {"my server": {"command": "x", "tool_timeout_sec": "9"}}},
            'invalid type: string "9", expected a number\nin `mcp_servers."my server".tool_timeout_sec`',
        ),
        (
            {"model_providers": {"a.b": {"auth": {}}}},
            'missing field `command`\nin `model_providers."a.b".auth`',
        ),
        (
            {"greenroom": {"park_after_s": 0}},
            "invalid value: integer `0`, expected more than 0.0\nin `greenroom.park_after_s`",
        ),
        (
            {"mcp_servers": {"s": {"command": "x", "tool_timeout_sec": math.inf}}},
            "invalid value: number `inf`, expected a finite number\nin `mcp_servers.s.tool_timeout_sec`",
        ),
        (
            {"mcp_servers": {"s": {"command": "x", "env_vars": ["A", {"source": "local"}]}}},
            "invalid type: null, expected a string\nin `mcp_servers.s.env_vars[1]`",
        ),
        (
            {"tools": {"web_search": "live"}},
            'invalid type: string "live", expected a boolean or a table\nin `tools.web_search`',
        ),
        (
            {"tools": {"web_search": {"allowed_domains": "x"}}},
            'invalid type: string "x", expected an array\nin `tools.web_search.allowed_domains`',
        ),
        (
            {"sandbox_workspace_write": {"type": "read-only"}},
            "unknown variant `read-only`, expected `workspace-write`\nin `sandbox_workspace_write.type`",
        ),
        (
            {"shell_environment_policy": {"exclude": ["A"], "filters": {"B": "include"}}},
            "`filters` cannot be combined with `exclude` or `include_only`\nin `shell_environment_policy`",
        ),
        (
            {"profiles": {"p": {"approval_policy": {"granular": {"sandbox_approval": 1}}}}},
            "invalid type: table, expected one of `untrusted`, `on-failure`, `on-request`, `never`\n"
            "in `profiles.p.approval_policy`",
        ),
        (
            {"sandbox_mode": 3},
            "invalid type: integer `3`, expected one of `read-only`, `workspace-write`, `danger-full-access`\n"
            "in `sandbox_mode`",
        ),
    ],
)
def test_fault_names_what_was_found_what_is_allowed_and_where(table: object, text: str) -> None:
    assert _fault(table) == text


def test_long_value_is_shortened() -> None:
    text = _fault({"sandbox_mode": "x" * 1_000})
    assert f"`{'x' * 79}…`" in text
    assert len(text) < 300


@pytest.mark.parametrize(
    "table",
    [
        {"model_providers": {"p": {"experimental_bearer_token": 31337}}},
        {"model_providers": {"p": {"env_key": 31337}}},
        {"model_providers": {"p": {"http_headers": {"Cookie": 31337}}}},
        {"model_providers": {"p": {"query_params": {"sig": 31337}}}},
        {"mcp_servers": {"s": {"command": "x", "env": {"PAT": 31337}}}},
        {"mcp_servers": {"s": {"command": "x", "bearer_token_env_var": 31337}}},
        {"shell_environment_policy": {"set": {"PGPASS": 31337}}},
    ],
)
def test_value_that_may_be_a_secret_is_not_shown(table: object) -> None:
    text = _fault(table)
    assert text.startswith("invalid type: integer, expected a string\nin `")
    assert "31337" not in text


def test_traceback_does_not_show_the_value_either() -> None:
    number = 31_000 + 337
    with pytest.raises(ConfigError) as caught:
        check(ConfigFile, {"model_providers": {"p": {"env_key": number}}})
    assert str(number) not in "".join(traceback.format_exception(caught.value))


def test_repr_of_a_table_shows_no_secret() -> None:
    file = check(
        ConfigFile,
        {
            "model_providers": {"p": {"experimental_bearer_token": "hush", "http_headers": {"X": "hush"}}},
            "mcp_servers": {"s": {"command": "x", "env": {"PAT": "hush"}, "http_headers": {"X": "hush"}}},
            "shell_environment_policy": {"set": {"PGPASS": "hush"}},
        },
    )
    assert "hush" not in repr(file)
    assert "command='x'" in repr(file)


def test_one_alternative_is_named_alone() -> None:
    assert alternatives(["a"]) == "`a`"
    assert alternatives(["a", "b"]) == "one of `a`, `b`"


def test_place_is_written_as_toml_would() -> None:
    assert dotted(("mcp_servers", "my server", "args", 1)) == 'mcp_servers."my server".args[1]'


@given(st.dictionaries(st.sampled_from(sorted(ConfigFile.__struct_fields__)), VALUES, max_size=4))
def test_any_table_is_accepted_or_refused_in_words(table: dict[str, object]) -> None:
    try:
        check(ConfigFile, table)
    except ConfigError as error:
        text, _, place = str(error).rpartition("\nin ")
        assert text
        assert place.strip("`").startswith(tuple(table))
