"""The form of log lines is found in the environment, and on a command line that nobody has read yet."""

from typing import get_args

import pytest

from greenroom.protocol.choices import LogFormat
from greenroom.runtime.log.log_format import FORMS, VARIABLE, format_in, format_on


@pytest.mark.parametrize(
    ("value", "form"), [("json", "json"), ("JSON", "json"), ("text", "text"), ("", "text"), ("xml", "text")]
)
def test_the_environment_names_it(value: str, form: str) -> None:
    assert format_in({VARIABLE: value}) == form
    assert format_in({}) == "text"


@pytest.mark.parametrize(
    ("words", "form"),
    [
        (["mcp-server", "--log-format", "json"], "json"),
        (["mcp-server", "--log-format=json", "--oss"], "json"),
        (["mcp-server", "--log-f", "json"], "json"),
        (["mcp-server", "--log-format", "json", "--log-format", "text"], "text"),
        (["mcp-server", "--log-format"], None),
        (["mcp-server", "--log-level", "json"], None),
        (["mcp-server", "--log-formats", "json"], None),
        ([], None),
    ],
)
def test_the_command_line_names_it(words: list[str], form: str | None) -> None:
    assert format_on(words) == form


def test_it_knows_every_form() -> None:
    assert get_args(LogFormat) == FORMS
