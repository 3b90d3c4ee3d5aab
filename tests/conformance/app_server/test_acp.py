"""Editors that speak the Agent Client Protocol work with Greenroom through `codex-acp`, unchanged."""

from collections.abc import Iterator

import pytest

from greenroom.demo.script import CommandStep, Quote, ReasoningStep, Text, rule
from tests.conformance.app_server.acp import Editor
from tests.conformance.packages import UnavailableError
from tests.support.home import records
from tests.support.stage import Stage

pytestmark = [pytest.mark.server, pytest.mark.timeout(150)]  # the first run on a machine installs the adapter

RULES = (
    rule("generate a very short title", [Text("A title")]),
    rule("look", [ReasoningStep("Hm."), CommandStep(("sh", "-c", "echo here"))], [Quote("It said ")]),
    rule("again", [Text(("Still ", "here."))]),
)


@pytest.fixture
def editor(stage: Stage) -> Iterator[Editor]:
    stage.play(*RULES)
    stage.kills_expected = True
    try:
        built = Editor(stage)
    except UnavailableError as error:
        pytest.skip(str(error))
    try:
        yield built
        assert built.close() == 0
    finally:
        built.kill()


def test_an_editor_holds_a_conversation(stage: Stage, editor: Editor) -> None:
    hello = editor.ask("initialize", protocolVersion=1, clientCapabilities={})
    assert hello["agentInfo"]["name"] == "@agentclientprotocol/codex-acp"
    session = editor.ask("session/new", cwd=stage.cwd, mcpServers=[])
    assert session["models"]["currentModelId"].startswith("scripted")
    ended = editor.ask("session/prompt", sessionId=session["sessionId"], prompt=[{"type": "text", "text": "look"}])
    assert ended["stopReason"] == "end_turn"
    assert isinstance(ended["usage"]["inputTokens"], int)
    assert editor.texts("agent_message_chunk") == "It said here"
    assert "Hm." in editor.texts("agent_thought_chunk")
    (call,) = [update for update in editor.updates if update["sessionUpdate"] == "tool_call"]
    assert call["rawInput"]["cwd"] == stage.cwd
    editor.updates.clear()
    editor.ask("session/prompt", sessionId=session["sessionId"], prompt=[{"type": "text", "text": "again"}])
    assert "Still here." in editor.texts("agent_message_chunk")
    assert next(records(stage.home.session(session["sessionId"])))[1]["id"] == session["sessionId"]


def test_an_editor_finds_its_sessions_again(stage: Stage, editor: Editor) -> None:
    editor.ask("initialize", protocolVersion=1, clientCapabilities={})
    session = editor.ask("session/new", cwd=stage.cwd, mcpServers=[])["sessionId"]
    editor.ask("session/prompt", sessionId=session, prompt=[{"type": "text", "text": "again"}])
    listed = editor.ask("session/list", cwd=stage.cwd)["sessions"]
    assert [one["sessionId"] for one in listed] == [session]
    editor.updates.clear()
    editor.ask("session/load", sessionId=session, cwd=stage.cwd, mcpServers=[])
    assert "Still here." in editor.texts("agent_message_chunk")
