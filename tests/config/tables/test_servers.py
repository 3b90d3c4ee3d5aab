"""Promises about the tables of `mcp_servers`."""

import pytest

from greenroom.config.section import check
from greenroom.config.tables.servers import McpServer
from greenroom.protocol.errors import ConfigError


def _server(**table: object) -> McpServer:
    return check(McpServer, table)


def test_program_needs_only_its_command() -> None:
    server = _server(command="files")
    assert (server.args, server.enabled, server.required) == ((), True, False)
    assert (server.startup_timeout, server.tool_timeout_sec) == (30, 300)


def test_url_needs_only_itself() -> None:
    assert _server(url="https://x/mcp", bearer_token_env_var="T").bearer_token_env_var == "T"


@pytest.mark.parametrize(
    ("table", "text"),
    [
        ({}, "missing field `command` or `url`"),
        ({"command": "x", "url": "https://x"}, "url is not supported for stdio"),
        ({"url": "https://x", "bearer_token": "t"}, "bearer_token is not supported for streamable_http"),
    ],
)
def test_transport_must_be_one(table: dict[str, object], text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        _server(**table)


def test_startup_timeout_has_two_units() -> None:
    assert _server(command="x", startup_timeout_ms=1500).startup_timeout == 1.5
    assert _server(command="x", startup_timeout_ms=1500, startup_timeout_sec=2).startup_timeout == 2


@pytest.mark.parametrize(
    ("table", "wait"),
    [
        ({}, 10),
        ({"startup_timeout_sec": 60}, 60),
        ({"startup_timeout_sec": 3}, 3),
        ({"startup_timeout_ms": 45_000}, 45),
        ({"tool_timeout_sec": 60}, 10),
    ],
)
def test_the_first_request_waits_as_long_as_a_server_may_take_to_start(table: dict[str, object], wait: float) -> None:
    assert _server(command="x", **table).first_request_wait == wait


def test_variables_are_named_alone_or_with_their_source() -> None:
    assert _server(command="x", env_vars=["A", {"name": "B", "source": "local"}]).env_vars == ("A", "B")


@pytest.mark.parametrize(
    ("table", "offered"),
    [
        ({}, {"read", "write"}),
        ({"enabled_tools": ["read"]}, {"read"}),
        ({"enabled_tools": []}, set()),
        ({"disabled_tools": ["read"]}, {"write"}),
        ({"enabled_tools": ["read"], "disabled_tools": ["read"]}, set()),
    ],
)
def test_allow_list_comes_before_deny_list(table: dict[str, object], offered: set[str]) -> None:
    server = _server(command="x", **table)
    assert {tool for tool in ("read", "write") if server.offers(tool)} == offered
