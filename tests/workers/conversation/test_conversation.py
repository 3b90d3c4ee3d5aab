"""A conversation in its worker: opened once, one turn after the other, and safe on disk before it says so."""

import asyncio
import json
import os
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import pytest

from greenroom.demo.script import CommandStep, FailStep, ScriptedAction, Stall, Text, make_script, rule
from greenroom.demo.scripted_model import ScriptedModel
from greenroom.protocol.errors import ConfigError, SessionBusyError, SessionUnknownError
from greenroom.protocol.ids import ConversationId, Incarnation, TurnId
from greenroom.protocol.internal.worker.operations import Open
from greenroom.sessions.storage import file as session_file
from greenroom.workers.conversation.conversation import OpenedConversation
from greenroom.workers.conversation.opening import open_conversation
from greenroom.workers.conversation.turn.turn_outcome import TurnOutcome
from tests.support.home import Home, records, stored_events
from tests.support.loop import on_loop, until
from tests.support.model import inputs, said
from tests.support.post import Post
from tests.workers.stubs import StubMailbox

THREAD = ConversationId("0199f3a0-0000-7000-8000-000000000001")
RULES: dict[str, list[list[ScriptedAction]]] = {
    "hello": [[Text("Good day.")]],
    "run": [[CommandStep(("sh", "-c", "echo $PWD"))], [Text("Done.")]],
    "sleep": [[CommandStep(("sleep", "600"))]],
    "stall": [[Text("hm"), Stall()]],
    "fail": [[FailStep(400, {"error": {"message": "no"}})]],
}


class Room:
    """A home, a model, and conversations that are opened one after the other."""

    def __init__(self, home: Home, model: ScriptedModel) -> None:
        self.home = home
        self.model = model
        self.mailbox = StubMailbox()
        self.post = Post(home=str(home.path))
        self.conversation: OpenedConversation
        self._turns = 0

    async def open(
        self, resume: Literal["no", "if-saved", "must"] = "no", cli: tuple[str, ...] = (), **call: Any
    ) -> None:
        """Open a conversation; `call` is what the tool call sets."""
        operation = Open(conversation_id=THREAD, incarnation=Incarnation(1), resume=resume, user_agent="promises/1")
        self.mailbox = StubMailbox()
        arguments = json.dumps({"cli": cli, "call": call}).encode()
        self.conversation = await open_conversation(
            operation, arguments, self.post.spec, self.mailbox, self._no_channel
        )

    def start(self, prompt: str) -> "tuple[TurnId, asyncio.Task[TurnOutcome]]":
        self._turns += 1
        turn_id = TurnId(f"t-{self._turns}")
        items = json.dumps([{"type": "text", "text": prompt}]).encode()
        return turn_id, asyncio.create_task(self.conversation.turns.run(turn_id, items))

    async def turn(self, prompt: str) -> TurnOutcome:
        return await self.start(prompt)[1]

    async def stop(self, running: "asyncio.Task[TurnOutcome]") -> TurnOutcome:
        """Stop a turn as the actor does."""
        running.cancel()
        await asyncio.wait((running,))
        assert running.cancelled()
        return self.conversation.turns.abort()

    def _no_channel(self) -> Any:
        raise AssertionError("no credential is needed")


@asynccontextmanager
async def room(top: str = "", more: str = "") -> AsyncIterator[Room]:
    rules = [rule(prompt, *steps) for prompt, steps in RULES.items()]
    with TemporaryDirectory() as path:
        async with ScriptedModel(make_script(*rules)) as model:
            home = Home(Path(path))
            home.configure(model.base_url, top=top, more=more)
            opened = Room(home, model)
            try:
                yield opened
            finally:
                if hasattr(opened, "conversation"):
                    await opened.conversation.close()
                opened.post.close()


@on_loop
async def test_opening_announces_who_and_where() -> None:
    async with room() as place:
        await place.open(cwd="/usr", model="other")
        event, nobody_to_wait_for = place.mailbox.events
        assert event["type"] == "session_configured"
        assert nobody_to_wait_for == {"type": "mcp_startup_complete", "ready": [], "failed": [], "cancelled": []}
        assert event["session_id"] == event["thread_id"] == THREAD
        assert (event["cwd"], event["model"]) == ("/usr", "other")
        assert event["rollout_path"] == place.conversation.recorder.path
        assert not os.path.exists(place.conversation.recorder.path), "there is nothing to remember yet"


@on_loop
async def test_settings_of_the_file_are_read_at_each_opening() -> None:
    async with room() as place:
        place.home.config.write_text("model = 5")
        with pytest.raises(ConfigError, match="in `model`"):
            await place.open()
        place.home.configure(place.model.base_url)
        await place.open()


@on_loop
async def test_what_is_not_there_yet_is_refused_by_name() -> None:
    async with room(more="") as place:
        place.home.config.write_text(place.home.config.read_text().replace("responses", "carrier pigeon"))
        with pytest.raises(ConfigError, match="wire_api"):
            await place.open()


@on_loop
async def test_a_turn_is_safe_on_disk_before_its_end_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    async with room() as place:
        synced: list[list[str]] = []
        sync = session_file._sync_data

        def note(descriptor: int) -> None:
            sync(descriptor)
            synced.append(stored_events(Path(place.conversation.recorder.path)))
            place.mailbox.log.append("synced")

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(session_file, "_sync_data", note)
            await place.open()
            outcome = await place.turn("hello")
        assert (outcome.kind, outcome.last_message) == ("completed", b'"Good day."')
        assert synced[-1][-1] == "task_complete"
        assert place.mailbox.log[-2:] == ["synced", "task_complete"]


@on_loop
async def test_the_context_is_told_once_and_not_again() -> None:
    async with room() as place:
        await place.open(cwd="/")
        await place.turn("hello")
        await place.turn("hello")
        first, second = place.model.requests
        assert len([text for text in said(first, "user") if text.startswith("<environment_context>")]) == 1
        assert said(second, "user") == [*said(first, "user"), "hello"]
        kinds = [kind for kind, _ in records(Path(place.conversation.recorder.path))]
        assert kinds.count("turn_context") == 1


@on_loop
async def test_a_command_works_where_the_conversation_does() -> None:
    async with room() as place, room() as other:
        await place.open(cwd=str(other.home.path))
        await place.turn("run")
        (end,) = [event for event in place.mailbox.events if event["type"] == "exec_command_end"]
        assert end["stdout"] == f"{other.home.path}\n"


@on_loop
async def test_a_turn_that_is_stopped_kills_its_command_and_says_what_is_unknown() -> None:
    async with room() as place:
        await place.open()
        _, running = place.start("sleep")
        await until(lambda: "exec_command_begin" in place.mailbox.kinds)
        outcome = await place.stop(running)
        assert (outcome.kind, outcome.message) == ("aborted", "interrupted")
        assert place.mailbox.kinds[-1] == "turn_aborted"
        path = Path(place.conversation.recorder.path)
        assert stored_events(path)[-1] == "turn_aborted"
        items = [payload for kind, payload in records(path) if kind == "response_item"]
        assert items[-2]["output"] == "aborted by user"
        assert "<turn_aborted>" in items[-1]["content"][0]["text"]
        assert (await place.turn("hello")).last_message == b'"Good day."'


@on_loop
async def test_a_turn_that_fails_says_so_once_and_the_next_one_works() -> None:
    async with room() as place:
        await place.open()
        outcome = await place.turn("fail")
        assert (outcome.kind, outcome.error_kind) == ("failed", "model_error")
        assert outcome.message is not None
        assert "unexpected status 400" in outcome.message
        assert place.mailbox.kinds[-2:] == ["error", "task_complete"]
        assert (await place.turn("hello")).kind == "completed"


@on_loop
async def test_a_message_of_a_million_characters_is_sent_as_it_is() -> None:
    async with room() as place:
        await place.open(cwd="/", model="gpt-5")
        prompt = "hello " + "x" * 1_000_000
        assert (await place.turn(prompt)).last_message == b'"Good day."'
        (request,) = place.model.requests
        assert said(request, "user")[-1] == prompt
        assert "context_compacted" not in place.mailbox.kinds


@on_loop
async def test_a_message_that_cannot_fit_is_refused_before_any_request_and_leaves_no_trace() -> None:
    async with room() as place:
        await place.open(cwd="/", model="gpt-5")
        outcome = await place.turn("hello" + "x" * 2_000_000)
        assert (outcome.kind, outcome.error_kind) == ("failed", "prompt_too_long")
        assert outcome.facts["characters"] == 2_000_005
        allowed = outcome.facts["max_characters"]
        (failure,) = [event for event in place.mailbox.events if event["type"] == "error"]
        assert failure["codex_error_info"] == "context_window_exceeded"
        assert not place.model.requests
        assert "x" * 100 not in Path(place.conversation.recorder.path).read_text()
        assert (await place.turn("hello" + "x" * (allowed - 5))).kind == "completed"
        assert (await place.turn("hello")).kind == "completed"


@on_loop
async def test_a_long_message_after_others_is_sent_whole_and_they_make_room() -> None:
    async with room() as place:
        await place.open(cwd="/", model="gpt-5", compact_prompt="hello")
        assert (await place.turn("hello " + "x" * 600_000)).kind == "completed"
        prompt = "hello again " + "y" * 990_000
        assert (await place.turn(prompt)).kind == "completed"
        last = place.model.requests[-1]
        assert said(last, "user")[-1] == prompt
        assert "context_compacted" in place.mailbox.kinds


@on_loop
async def test_a_fault_of_ours_ends_the_turn_and_not_the_conversation() -> None:
    async with room() as place:
        await place.open()
        _, running = place.start("stall")
        await until(lambda: "agent_message" in place.mailbox.kinds)
        running.cancel()
        await asyncio.wait((running,))
        outcome = place.conversation.turns.fail(KeyError("secret detail"))
        assert (outcome.kind, outcome.error_kind) == ("failed", "internal")
        assert outcome.message is not None
        assert "KeyError" in outcome.message
        assert "secret detail" not in outcome.message
        assert (await place.turn("hello")).kind == "completed"


@on_loop
async def test_a_conversation_is_taken_up_where_it_was_left() -> None:
    async with room() as place:
        await place.open(cwd="/", model="other")
        await place.turn("hello")
        tokens = place.conversation.tokens.used
        path = place.conversation.recorder.path
        await place.conversation.close()
        await place.open(resume="must")
        assert place.mailbox.events[0]["model"] == "other"
        assert place.mailbox.events[0]["cwd"] == "/"
        assert place.conversation.recorder.path == path
        assert place.conversation.tokens.used == tokens > 0
        await place.turn("hello")
        first, second = place.model.requests
        assert inputs(second)[: len(inputs(first))] == inputs(first)
        assert second.json["instructions"] == first.json["instructions"]


@on_loop
async def test_a_call_that_was_under_way_is_said_to_be_unknown() -> None:
    async with room() as place:
        await place.open()
        _, running = place.start("sleep")
        await until(lambda: "exec_command_begin" in place.mailbox.kinds)
        running.cancel()
        await asyncio.wait((running,))
        await place.conversation.close()  # like a dying worker: the end of the turn is not reported
        await place.open(resume="must")
        await place.turn("hello")
        *_, last = place.model.requests
        outputs = [item["output"] for item in inputs(last) if item["type"] == "function_call_output"]
        assert len(outputs) == 1
        assert "not known" in outputs[0]
        assert "stopped the previous turn" in said(last, "user")[-2]


def items_of(lines: list[bytes]) -> list[dict[str, Any]]:
    """Return the items of the history that stand in lines of a session file."""
    recorded = [json.loads(line) for line in lines]
    return [record["payload"] for record in recorded if record["type"] == "response_item"]


@on_loop
async def test_a_file_cut_anywhere_in_its_last_turn_is_taken_up_consistently() -> None:
    async with room() as place:
        await place.open()
        await place.turn("hello")
        await place.turn("run")
        await place.conversation.close()
        path = Path(place.conversation.recorder.path)
        whole = path.read_bytes()
        *_, begin = (line.start() for line in re.finditer(rb'^.*"task_started".*$', whole, re.MULTILINE))
        for end in cuts(whole, begin):
            path.write_bytes(whole[:end])
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(session_file, "_sync_data", lambda _: None)
                await place.open(resume="must")
                await place.conversation.close()
            survived = whole[:end].splitlines()[: whole[: end + 1].count(b"\n")]
            assert_consistent(items_of(survived), items_of(path.read_bytes().splitlines()), survived)


def cuts(data: bytes, begin: int) -> Iterator[int]:
    """Yield every place near the end of a line, and many within (each byte: `session.test_file`)."""
    for place in range(begin, len(data)):
        if b"\n" in data[place - 3 : place + 3] or place % 17 == 0:
            yield place


def assert_consistent(before: list[dict[str, Any]], after: list[dict[str, Any]], survived: list[bytes]) -> None:
    """See that nothing that had survived is lost, and that all that was under way is closed, and nothing else."""
    assert after[: len(before)] == before
    called = {item["call_id"] for item in before if item["type"] == "function_call"}
    answered = {item["call_id"] for item in before if item["type"] == "function_call_output"}
    added: list[dict[str, Any] | None] = [*after[len(before) :]]
    *outputs, last = added or [None]
    began, ended = (sum(b'"%b"' % kind in line for line in survived) for kind in (b"task_started", b"task_complete"))
    assert (last is not None) == (began > ended), "an interrupted turn, and no other, is said to have been"
    assert {item["call_id"] for item in outputs if item is not None} == called - answered
    assert all("not known" in item["output"] for item in outputs if item is not None)


@on_loop
async def test_what_nobody_saved_cannot_be_taken_up() -> None:
    async with room() as place:
        with pytest.raises(SessionUnknownError, match=THREAD):
            await place.open(resume="must")
        await place.open(resume="if-saved")
        assert (await place.turn("hello")).kind == "completed"


@on_loop
async def test_a_conversation_that_another_process_hosts_is_refused_by_name() -> None:
    async with room() as place:
        await place.open()
        await place.turn("hello")
        holder = place.conversation
        try:
            with pytest.raises(SessionBusyError, match="is being written by"):
                await place.open(resume="must")
        finally:
            await holder.close()


@on_loop
async def test_a_conversation_is_taken_up_once_the_process_that_had_it_has_ended() -> None:
    async with room() as place:
        await place.open()
        await place.turn("hello")
        leaving = asyncio.create_task(place.conversation.close())
        await place.open(resume="must")
        await leaving
        assert (await place.turn("hello")).kind == "completed"


@on_loop
async def test_closing_ends_what_commands_left_running() -> None:
    async with room() as place:
        await place.open()
        _, running = place.start("sleep")
        await until(lambda: "exec_command_begin" in place.mailbox.kinds)
        await place.stop(running)
        await place.conversation.close()
        await place.conversation.close()
