"""What a conversation tells of its turns, and what it stores of it, is what it was when the samples were taken.

The samples are in `golden/`. To take them anew, after a change that is meant to be seen, run
`python -m tests.workers.conversation.test_golden_events`, and read what differs.
"""

import asyncio
import base64
import json
import re
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import pytest

from greenroom.demo.script import (
    Call,
    FailStep,
    MalformedStep,
    PatchStep,
    ReasoningStep,
    ScriptedAction,
    Stall,
    Text,
    make_script,
    rule,
)
from greenroom.demo.scripted_model import ScriptedModel
from greenroom.protocol.approval import Decision
from greenroom.protocol.choices import EventForm
from greenroom.protocol.ids import ConversationId, Incarnation, TurnId
from greenroom.protocol.internal.worker.notices import AskUser, WorkerNotice
from greenroom.protocol.internal.worker.operations import Open
from greenroom.workers.conversation.conversation import OpenedConversation
from greenroom.workers.conversation.opening import open_conversation
from tests.support.home import Home, records
from tests.support.loop import until
from tests.support.post import Post
from tests.workers.stubs import StubMailbox

GOLDEN: Final = Path(__file__).parent / "golden"
OFFICIAL: Final = Path(__file__).parents[1] / "mcp" / "official.py"
THREAD: Final = ConversationId("0199f3a0-0000-7000-8000-000000000001")
TIMES: Final = frozenset(
    {
        "started_at",
        "completed_at",
        "duration_ms",
        "time_to_first_token_ms",
        "started_at_ms",
        "completed_at_ms",
        "secs",
        "nanos",
    }
)
RANDOM: Final = (
    (re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"), "<id>"),
    (re.compile(r"_[0-9a-f]{12}(?=_|$)"), "_<id>"),
    (re.compile(r"127\.0\.0\.1:\d+"), "<address>"),
    (re.compile(r"\d{4}[-/]\d\d[-/]\d\d([T/][\w:.-]*)?"), "<time>"),
    (re.compile(r"\d+\.\d+( seconds|})"), r"<time>\1"),
)
IMAGE: Final = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
SEARCH: Final = {
    "type": "web_search_call",
    "id": "ws_1",
    "status": "completed",
    "action": {"type": "search", "query": "tea"},
}
PATCH: Final = """\
*** Begin Patch
*** Add File: new.txt
+hello
*** Update File: a.txt
@@
-one
+two
*** Delete File: old.txt
*** Update File: b.txt
*** Move to: c.txt
@@
-here
+there
*** End Patch
"""
PLAN: Final = {"explanation": "why", "plan": [{"step": "look", "status": "in_progress"}]}
TURNS: Final[dict[str, list[list[ScriptedAction]]]] = {
    "talk": [[ReasoningStep("Hm."), Text("Good day.")]],
    "run": [[Call("shell", {"command": ["sh", "-c", "echo hi; exit 3"]})], [Text("Done.")]],
    "quit": [[Call("shell", {"command": ["no-such-program"]})], [Text("Done.")]],
    "again": [[Call("shell", {"command": ["cat", "a.txt"]})], [Text("Done.")]],
    "patch": [[PatchStep(PATCH)], [Text("Done.")]],
    "plan": [[Call("update_plan", PLAN)], [Text("Done.")]],
    "look": [[Call("view_image", {"path": "dot.png"})], [Text("Done.")]],
    "remote": [[Call("shelf__echo", {"text": "sesame", "times": 2})], [Text("Done.")]],
    "search": [
        [
            MalformedStep(
                b"event: response.output_item.done\ndata: %b\n\n"
                % json.dumps({"type": "response.output_item.done", "output_index": 0, "item": SEARCH}).encode()
            ),
            Text("Found."),
        ]
    ],
    "fail": [[FailStep(400, {"error": {"message": "no"}})]],
    "": [[Text("A summary.")]],
}
CONFIG: Final = """
[mcp_servers.shelf]
command = {program}
args = {args}
required = true
[mcp_servers.shelf.tools.echo]
approval_mode = "prompt"
[greenroom]
event_form = "{form}"
"""


class AskingMailbox(StubMailbox):
    """One whose user says yes."""

    conversation: OpenedConversation

    def notify(self, notice: WorkerNotice, payload: bytes = b"") -> None:
        if isinstance(notice, AskUser):
            asyncio.get_running_loop().call_soon(
                self.conversation.approvals.settle, notice.question_id, Decision(verdict="approved")
            )


async def play(root: Path, form: EventForm) -> dict[str, Any]:
    """Return the events of each turn, and those that the session file has."""
    work = root / "project"
    work.mkdir()
    for name, text in {"a.txt": "one\n", "b.txt": "here\n", "old.txt": "gone\n"}.items():
        (work / name).write_text(text)
    (work / "dot.png").write_bytes(IMAGE)
    (root / "home").mkdir()
    home, post, mailbox = Home(root / "home"), Post(home=str(root / "home")), AskingMailbox()
    operation = Open(conversation_id=THREAD, incarnation=Incarnation(1), user_agent="samples/1")
    rules = [rule(f"please {prompt}", *steps) for prompt, steps in TURNS.items() if prompt]
    rules += [rule("please stall", [Stall()]), rule("", *TURNS[""])]
    told: dict[str, Any] = {}

    async def turn(name: str, body: Any) -> None:
        await body
        told[name] = [event for event in mailbox.events if not is_about_a_slow_start(event)]
        mailbox.raw.clear()

    async with ScriptedModel(make_script(*rules)) as model:
        more = CONFIG.format(program=json.dumps(sys.executable), args=json.dumps(["-I", str(OFFICIAL)]), form=form)
        home.configure(model.base_url, more=more)
        try:
            call = {"cwd": str(work), "approval_policy": "untrusted"}
            arguments = json.dumps({"cli": [], "call": call}).encode()
            conversation = await open_conversation(operation, arguments, post.spec, mailbox, lambda: None)  # type: ignore[arg-type,return-value]
            mailbox.conversation = conversation
            try:
                told["open"] = mailbox.events
                mailbox.raw.clear()
                for name in (name for name in TURNS if name):
                    items = json.dumps([{"type": "text", "text": f"please {name}"}]).encode()
                    await turn(name, conversation.turns.run(TurnId(f"turn {name}"), items))
                await turn("compact", conversation.turns.compact(TurnId("turn compact")))
                items = json.dumps([{"type": "text", "text": "please stall"}]).encode()
                running = asyncio.create_task(conversation.turns.run(TurnId("turn stall"), items))
                await until(lambda: "raw_response_item" in mailbox.kinds or len(mailbox.kinds) > 1)
                running.cancel()
                await asyncio.wait((running,))
                conversation.turns.abort()
                told["stall"] = mailbox.events
                path = conversation.recorder.path
            finally:
                await conversation.close()
        finally:
            post.close()
    told["session file"] = [payload for kind, payload in records(Path(path)) if kind == "event_msg"]
    return {name: plain(events, str(root)) for name, events in told.items()}


def is_about_a_slow_start(event: dict[str, Any]) -> bool:
    """Tell whether an event is sent only where the machine is busy."""
    return event["type"] == "background_event" and str(event["message"]).startswith("waiting for MCP servers")


def plain(value: Any, root: str) -> Any:
    """Replace what differs from run to run."""
    match value:
        case {"type": "input_text"}:
            return {**value, "text": "<text>"}
        case dict():
            return {plain(key, root): 0 if key in TIMES else plain(member, root) for key, member in value.items()}
        case list():
            return [plain(member, root) for member in value]
        case str():
            value = value.replace(root, "<root>")
            for pattern, placeholder in RANDOM:
                value = pattern.sub(placeholder, value)
    return value


def members(value: Any) -> Any:
    """Return the names of members in their order, the tag of an event apart."""
    match value:
        case dict():
            return [(key, members(member)) for key, member in value.items() if key != "type"]
        case list():
            return [members(member) for member in value]
    return None


def played(form: EventForm) -> dict[str, Any]:
    with TemporaryDirectory() as root:
        return asyncio.run(play(Path(root).resolve(), form))


@pytest.mark.parametrize("form", ["current", "baseline"])
def test_turns_are_told_and_stored_as_before(form: EventForm) -> None:
    before, now = json.loads((GOLDEN / f"events-{form}.json").read_text()), played(form)
    for name, events in before.items():
        assert now[name] == events, name
        assert members(now[name]) == members(events), f"the order of members in {name}"
    assert now.keys() == before.keys()


if __name__ == "__main__":
    for form in ("current", "baseline"):
        sample = json.dumps(played(form), indent=1, ensure_ascii=False)
        (GOLDEN / f"events-{form}.json").write_text(sample + "\n")
