"""The situations of the matrix as an editor plays them that speaks the Agent Client Protocol, through `codex-acp`."""

from contextlib import ExitStack
from typing import Any, Final

from tests.conformance.app_server.acp import Editor, Message
from tests.conformance.matrix.scene import DENIED, FLAG, PROMPTS, Report, Scene

FREE, CONFINED = "agent-full-access", "workspace-write"
"""Modes of a session: in the second the user is asked."""
MESSAGE: Final = "agent_message_chunk"


def play(scene: Scene) -> Report:
    """Play all situations. Raises `UnavailableError`."""
    with ExitStack() as stack:
        other = _editor(scene, stack)
        one = _editor(scene, stack)
        session = _begin(one, scene, FREE)
        first = _say(one, session, PROMPTS["start"])
        second = _say(one, session, PROMPTS["reply"])
        pieces = len(one.pieces(MESSAGE))
        report: Report = {
            "conversation": {"thread": session, "texts": [first, second]},
            "streaming": {"pieces": pieces, "streamed": second},
            "approval": _approval(one, scene),
            "interrupt": _interrupt(one, session),
            "killed worker": _killed_worker(one, session),
            "two clients": _two_clients(one, other, session, scene),
        }
        assert one.close() == 0
        _load(other, session, scene)
        report["resumption"] = {"text": _say(other, session, PROMPTS["reply"])}
        assert other.close() == 0
    return report


def _editor(scene: Scene, stack: ExitStack) -> Editor:
    editor = Editor(scene.stage, scene.program, str(scene.cwd))
    stack.callback(editor.kill)
    editor.ask("initialize", protocolVersion=1, clientCapabilities={})
    return editor


def _begin(editor: Editor, scene: Scene, mode: str) -> str:
    session = editor.ask("session/new", cwd=str(scene.cwd), mcpServers=[])["sessionId"]
    editor.ask("session/set_mode", sessionId=session, modeId=mode)
    assert isinstance(session, str)
    return session


def _load(editor: Editor, session: str, scene: Scene) -> Message:
    answer = editor.answer(editor.begin("session/load", sessionId=session, cwd=str(scene.cwd), mcpServers=[]))
    if "result" in answer:
        editor.ask("session/set_mode", sessionId=session, modeId=FREE)
    return answer


def _say(editor: Editor, session: str, prompt: str) -> str:
    """Have a turn, and return what the agent has said."""
    editor.updates.clear()
    answer = editor.answer(editor.prompt(session, prompt))
    assert answer["result"]["stopReason"] == "end_turn", answer
    return editor.texts(MESSAGE)


def _approval(editor: Editor, scene: Scene) -> dict[str, Any]:
    editor.consents = lambda question: DENIED not in str(question["toolCall"])
    session = _begin(editor, scene, CONFINED)
    for prompt in ("allowed", "denied"):
        _say(editor, session, PROMPTS[prompt])
    return {"questions": [str(question["toolCall"]) for question in editor.questions]}


def _interrupt(editor: Editor, session: str) -> dict[str, Any]:
    editor.updates.clear()
    number = editor.prompt(session, PROMPTS["stall"])
    editor.until_update(MESSAGE)
    editor.notify("session/cancel", sessionId=session)
    ended = editor.answer(number)["result"]["stopReason"]
    return {"ended": ended, "after": _say(editor, session, PROMPTS["reply"])}


def _killed_worker(editor: Editor, session: str) -> dict[str, Any]:
    editor.updates.clear()
    answer = editor.answer(editor.prompt(session, PROMPTS["die"]))
    return {"error": f"{answer} {editor.updates}", "after": _say(editor, session, PROMPTS["reply"])}


def _two_clients(one: Editor, other: Editor, session: str, scene: Scene) -> dict[str, Any]:
    one.updates.clear()
    waiting = one.prompt(session, PROMPTS["wait"])
    one.until_update("tool_call")
    told: dict[str, Any] = {"thread": session}
    loaded = _load(other, session, scene)
    if scene.is_shared:
        other.updates.clear()
        second = other.prompt(session, PROMPTS["reply"])
        (scene.cwd / FLAG).touch()
        assert other.answer(second)["result"]["stopReason"] == "end_turn"
        told["second"] = other.texts(MESSAGE)
    else:
        (scene.cwd / FLAG).touch()
        told["refused"] = str(loaded)
    assert one.answer(waiting)["result"]["stopReason"] == "end_turn"
    return {**told, "waited": one.texts(MESSAGE)}
