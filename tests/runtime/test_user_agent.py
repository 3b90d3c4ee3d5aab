"""How we name ourselves fits into a header, whatever the client calls itself."""

import re

from hypothesis import given
from hypothesis import strategies as st

from greenroom.runtime.originator import originator
from greenroom.runtime.user_agent import user_agent

FORM = re.compile(r"codex_cli_rs/1\.2 \([^;]+; [^)]+\) [A-Za-z0-9._/-]+ \(my-editor; 1\.2\)")


def test_the_form_is_the_one_that_servers_know() -> None:
    assert FORM.fullmatch(user_agent("1.2", {"TERM": "xterm"}, ("my-editor", "1.2")))


@given(st.text(), st.text(), st.text(), st.text())
def test_it_is_printable_ascii_whatever_it_is_made_of(name: str, version: str, program: str, term: str) -> None:
    environment = {"TERM_PROGRAM": program, "TERM_PROGRAM_VERSION": version, "TERM": term}
    text = user_agent("1", environment, (name, version))
    assert re.fullmatch(r"[\x20-\x7e]*", text)


def test_the_first_component_can_be_replaced() -> None:
    assert originator({}) == "codex_cli_rs"
    assert originator({"CODEX_INTERNAL_ORIGINATOR_OVERRIDE": ""}) == "codex_cli_rs"
    environment = {"CODEX_INTERNAL_ORIGINATOR_OVERRIDE": "my_tool"}
    assert user_agent("1", environment).startswith("my_tool/1 (")
