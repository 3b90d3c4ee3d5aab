"""Each question reaches clients byte for byte in the form that they know, whichever front end they speak to.

The samples were taken when workers still wrote the requests of MCP themselves.
"""

import json
from pathlib import Path
from typing import Final, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.protocol.approval import (
    AnyQuestion,
    CommandQuestion,
    FormQuestion,
    PatchQuestion,
    ToolQuestion,
    UrlQuestion,
    decode_question,
    encode_question,
)
from greenroom.protocol.choices import EventForm
from greenroom.protocol.events.command import Listing, Reading, Searching, UnknownCommand
from greenroom.protocol.events.file_change import AddedFile, ChangesByPath, DeletedFile, UpdatedFile
from greenroom.protocol.ids import ConversationId
from greenroom.protocol.items import JsonObject
from greenroom.protocol.mcp.elicitation import mode_of
from greenroom.supervisor.frontend.conversation_api.approval import approval_request
from greenroom.supervisor.frontend.elicitation import request_params

THREAD: Final = ConversationId("0199")
SAMPLES: Final = json.loads((Path(__file__).parent / "golden" / "questions.json").read_text())
CHANGES: Final[ChangesByPath] = {
    "/w/new.txt": AddedFile("hello\n"),
    "/w/old.txt": DeletedFile("gone\u2026\n"),
    "/w/a.py": UpdatedFile("@@ -1 +1 @@\n-a\n+b\n", None),
    "/w/b.py": UpdatedFile("", "/w/c.py"),
}
FORM: Final[JsonObject] = {
    "type": "object",
    "properties": {"name": {"type": "string", "title": "Na\u200bme", "enum": ["a\u200b"], "enumNames": ["A\u200b"]}},
    "required": ["name"],
}
QUESTIONS: Final[dict[str, AnyQuestion]] = {
    "command": CommandQuestion(
        call_id="call_1",
        command=["printf", "it's"],
        shell_text='printf "it\'s"',
        cwd="/w",
        parts=[UnknownCommand('printf "it\'s"')],
        reason="it has to",
        sandbox_failure="exit code 1",
    ),
    "reading": CommandQuestion(
        call_id="call_2",
        command=["cat", "a.py"],
        shell_text="cat a.py",
        cwd="/w\u202e\n",
        parts=[Reading("cat a.py", "a.py", "a.py"), Listing("ls", None), Searching("rg x", "x", None)],
        reason="it has to",
    ),
    "patch": PatchQuestion(call_id="call_3", changes=CHANGES),
    "patch with reason": PatchQuestion(call_id="call_4", changes=CHANGES, reason="it needs\u200b more\nroom"),
    "tool": ToolQuestion(
        call_id="call_5",
        server="docs",
        tool="find\u2066",
        description="Look.\nTwice\u200b.",
        arguments={"q": 1, "big": 2**64, "f": 1.0},
    ),
    "tool without arguments": ToolQuestion(call_id="call_6", server="docs", tool="find", description=""),
    "form": FormQuestion(server="docs\n", message="Who?\nYou\u202e?", form=FORM),
    "url": UrlQuestion(server="docs", message="Log in", url="https://docs.test/login", elicitation_id="e1"),
    "url without id": UrlQuestion(server="docs", message="Log in", url="https://docs.test/login"),
}
FORMS: Final[tuple[EventForm, ...]] = get_args(EventForm)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", QUESTIONS)
def test_a_question_is_what_it_was(name: str, form: EventForm) -> None:
    sample = SAMPLES[f"{name}, {form}"]
    question = decode_question(encode_question(QUESTIONS[name]))
    assert question == QUESTIONS[name], "it arrives as it was sent"
    assert request_params(question, form, 3, "0199-7", THREAD).decode() == sample["elicitation"]
    request = approval_request(question, form, THREAD)
    assert (request and [request[0], request[1].decode()]) == sample["conversation_api"]


def test_every_sample_is_tried() -> None:
    assert {f"{name}, {form}" for name in QUESTIONS for form in FORMS} == set(SAMPLES)
    assert {type(question) for question in QUESTIONS.values()} == set(get_args(AnyQuestion))


def test_only_an_address_is_asked_for_in_another_mode_than_a_form() -> None:
    modes = {name: mode_of(request_params(asked, "current", 3, "x", THREAD)) for name, asked in QUESTIONS.items()}
    assert {name for name, mode in modes.items() if mode == "url"} == {"url", "url without id"}


@pytest.mark.parametrize(("call", "event"), [(3, "3"), ("abc", "0199-7"), (0, "0"), ('a"b', "x")])
def test_ids_are_texts_whatever_the_client_counts_with(call: int | str, event: str) -> None:
    asked = json.loads(request_params(QUESTIONS["command"], "current", call, event, THREAD))
    assert (asked["codex_mcp_tool_call_id"], asked["codex_event_id"]) == (str(call), event)


@given(
    command=st.lists(st.text(st.characters(exclude_categories=["Cs"]))),
    call=st.integers(-(2**53), 2**53) | st.text(st.characters(exclude_categories=["Cs"])),
)
def test_whatever_would_run_is_told_as_it_is(command: list[str], call: int | str) -> None:
    cwd = "".join(command)
    question = CommandQuestion(call_id="c", command=command, shell_text="x", cwd=cwd, parts=[])
    asked = json.loads(request_params(question, "current", call, "3", THREAD))
    assert (asked["codex_command"], asked["codex_cwd"]) == (command, cwd)
    assert asked["codex_mcp_tool_call_id"] == str(call)
    request = approval_request(question, "current", THREAD)
    assert request is not None
    assert json.loads(request[1])["command"] == command


def test_a_command_without_a_reason_is_asked_for_without_one() -> None:
    request = approval_request(
        CommandQuestion(call_id="c", command=["x"], shell_text="x", cwd="/", parts=[]), "current", THREAD
    )
    assert request is not None
    assert "reason" not in json.loads(request[1])
