"""Command lines are shown in one line, cut, and without secrets."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.protocol.display import clean
from greenroom.supervisor.cli.dashboard.command_text import LONGEST, command_text


def test_a_command_is_shown_as_it_would_be_typed() -> None:
    assert command_text(["grep", "-n", "two words", "a.py"], "grep") == "grep -n 'two words' a.py"
    assert command_text((), "kthread") == "kthread"


@pytest.mark.parametrize(
    "command",
    [
        ["curl", "-H", "Authorization: Bearer hunter22"],
        ["curl", "-H", "authorization: hunter22"],
        ["env", "API_KEY=hunter22", "run"],
        ["bash", "-c", "export DB_PASSWORD='hunter22'; run"],
        ["bash", "-c", 'MY_TOKEN="hunter22" run'],
        ["run", "--token", "hunter22"],
        ["run", "--api-key=hunter22"],
        ["run", "--client-secret", "hunter22"],
        ["git", "clone", "https://ada:hunter22@example.org/x.git"],
        ["run", '{"secret": "hunter22"}'],
        ["run", "sk-hunter22hunter22"],
    ],
    ids=str,
)
def test_no_secret_is_shown(command: list[str]) -> None:
    text = command_text(command, "x")
    assert "hunter22" not in text
    assert "<redacted>" in text


@given(st.lists(st.text(st.characters(exclude_categories=[]), max_size=300), max_size=6))
def test_any_command_is_one_short_line_that_hides_nothing(command: list[str]) -> None:
    text = command_text(command, "x")
    assert len(text) <= LONGEST
    assert clean(text) == text
    text.encode()
