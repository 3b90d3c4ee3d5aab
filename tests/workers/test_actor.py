"""The actor takes operations in their order, runs one turn at a time, and says how each ended."""

import asyncio
import json
import os
import signal
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import aiohttp
import pytest

from greenroom.demo.script import CommandStep, Stall, Text, make_script, rule
from greenroom.demo.scripted_model import ScriptedModel
from greenroom.protocol.ids import ConversationId, Incarnation, TurnId
from greenroom.protocol.internal.worker.notices import (
    Heartbeat,
    JobDone,
    Opened,
    OpenFailed,
    Ready,
    TurnEnded,
    TurnStep,
    WorkerMeasured,
)
from greenroom.protocol.internal.worker.operations import (
    Close,
    Compact,
    Interrupt,
    MeasureWorker,
    Open,
    RunJob,
    SelectEvents,
    StartTurn,
)
from greenroom.runtime.process import connections, orphans
from greenroom.workers import actor as actor_module
from greenroom.workers.actor import Actor
from greenroom.workers.conversation.conversation import OpenedConversation
from greenroom.workers.conversation.turn.turn_runner import TurnRunner
from greenroom.workers.model.transport import session
from greenroom.workers.model.transport.session import new_session
from tests.support.home import Home, stored_events
from tests.support.loop import on_loop, turns, until
from tests.support.post import WORKER, Post

THREAD = ConversationId("0199f3a0-0000-7000-8000-000000000001")
FIRST = Incarnation(1)
RULES = (
    rule("hello", [Text("Good day.")]),
    rule("stall", [Text("hm"), Stall()]),
    rule("sleep", [CommandStep(("sleep", "600"))]),
)


class Life:
    """An actor that lives in this process, and the supervisor's end of its mailbox."""

    def __init__(self, home: Home, lifeline: int, model: ScriptedModel, hang_up: Callable[[], None]) -> None:
        self.home = home
        self.model = model
        self.post = Post(home=str(home.path))
        self.hang_up = hang_up
        self.task = asyncio.create_task(Actor(self.post.spec, lifeline).live())

    def open(self, resume: Literal["no", "if-saved", "must"] = "no", **call: Any) -> None:
        operation = Open(conversation_id=THREAD, incarnation=FIRST, resume=resume, user_agent="promises/1")
        self.post.send(operation, json.dumps({"cli": [], "call": call}).encode())

    def start(self, turn: str, prompt: str, *, steps: bool = False) -> None:
        operation = StartTurn(conversation_id=THREAD, incarnation=FIRST, turn_id=TurnId(turn), steps=steps)
        self.post.send(operation, json.dumps([{"type": "text", "text": prompt}]).encode())

    def compact(self, turn: str) -> None:
        self.post.send(Compact(conversation_id=THREAD, incarnation=FIRST, turn_id=TurnId(turn)))

    def interrupt(self, turn: str) -> None:
        self.post.send(Interrupt(conversation_id=THREAD, incarnation=FIRST, turn_id=TurnId(turn)))

    async def ended(self, turn: str) -> tuple[TurnEnded, bytes]:
        await self.post.until(lambda: any(notice.turn_id == turn for notice, _ in self.post.of(TurnEnded)))
        (found,) = [one for one in self.post.of(TurnEnded) if one[0].turn_id == turn]
        return found

    async def saw(self, turn: str, kind: str) -> None:
        await self.post.until(lambda: kind in self.kinds(turn))

    def kinds(self, turn: str) -> list[str]:
        return [json.loads(event)["type"] for event in self.post.events(turn)]


@asynccontextmanager
async def life() -> AsyncIterator[Life]:
    reader, writer = os.pipe()
    with TemporaryDirectory() as path:
        async with ScriptedModel(make_script(*RULES)) as model:
            home = Home(Path(path))
            home.configure(model.base_url)
            lived = Life(home, reader, model, partial(os.close, writer))
            try:
                await lived.post.notice(Ready)
                yield lived
                if not lived.task.done():
                    lived.post.send(Close())
                await lived.task
            finally:
                asyncio.get_running_loop().remove_reader(reader)
                lived.post.close()
                os.close(reader)
                with suppress(OSError):  # it was hung up
                    os.close(writer)


@on_loop
async def test_a_worker_that_is_up_says_who_it_is() -> None:
    async with life() as lived:
        ready, _ = await lived.post.notice(Ready)
        assert ready == Ready(worker_id=WORKER, pid=os.getpid())


@on_loop
async def test_a_worker_that_waits_has_made_the_session_that_its_conversation_uses() -> None:
    made: list[aiohttp.ClientSession] = []

    def make() -> aiohttp.ClientSession:
        made.append(new_session())
        return made[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(session, "new_session", make)
        async with life() as lived:
            await until(lambda: len(made) == 1)
            lived.open()
            lived.start("t-1", "hello")
            ended, _ = await lived.ended("t-1")
            assert ended.outcome == "completed"
            assert len(made) == 1
        assert made[0].closed
        async with life():
            await until(lambda: len(made) == 2)
        assert made[1].closed, "no conversation has used it"


@on_loop
async def test_a_worker_that_is_told_by_a_signal_leaves_and_ends_its_turn() -> None:
    async with life() as lived:
        lived.open()
        lived.start("t-1", "stall")
        await lived.saw("t-1", "agent_message_delta")
        os.kill(os.getpid(), signal.SIGTERM)
        async with asyncio.timeout(10):
            await lived.task
        assert (await lived.ended("t-1"))[0].outcome == "aborted"
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL, "the next one ends it"


@on_loop
async def test_a_turn_ends_after_its_last_event_with_its_answer() -> None:
    async with life() as lived:
        lived.open()
        lived.start("t-1", "hello")
        notice, payload = await lived.ended("t-1")
        assert (notice.outcome, payload) == ("completed", b'"Good day."')
        assert notice.incarnation == FIRST
        kinds = [type(notice).__name__ for notice, *_ in lived.post.notices]
        assert kinds[-1] == "TurnEnded"
        assert kinds.index("Opened") < kinds.index("TurnEnded")
        assert lived.kinds("") == ["session_configured", "mcp_startup_complete"]
        assert lived.kinds("t-1")[0] == "task_started"
        assert lived.kinds("t-1")[-1] == "task_complete"


@on_loop
async def test_turns_run_one_after_the_other_also_where_they_come_together() -> None:
    async with life() as lived:
        lived.open()
        for turn in ("t-1", "t-2", "t-3"):
            lived.start(turn, "hello")
        await lived.ended("t-3")
        assert [notice.turn_id for notice, _ in lived.post.of(TurnEnded)] == ["t-1", "t-2", "t-3"]
        for turn in ("t-1", "t-2", "t-3"):
            assert lived.kinds(turn).count("task_complete") == 1


@on_loop
async def test_a_turn_that_is_interrupted_ends_as_aborted() -> None:
    async with life() as lived:
        lived.open()
        lived.start("t-1", "stall")
        await lived.saw("t-1", "agent_message_delta")
        lived.interrupt("another")
        lived.interrupt("t-1")
        notice, _ = await lived.ended("t-1")
        assert (notice.outcome, notice.message) == ("aborted", "interrupted")
        assert lived.kinds("t-1")[-1] == "turn_aborted"
        lived.start("t-2", "hello")
        assert (await lived.ended("t-2"))[1] == b'"Good day."'


@on_loop
async def test_a_compaction_on_request_is_a_turn_of_its_own() -> None:
    async with life() as lived:
        lived.open(compact_prompt="hello")
        lived.compact("t-1")
        assert (await lived.ended("t-1"))[0].outcome == "completed"
        assert lived.kinds("t-1") == ["task_started", "task_complete"]
        lived.start("t-2", "hello")
        lived.compact("t-3")
        notice, message = await lived.ended("t-3")
        assert (notice.outcome, message) == ("completed", b'""')
        kinds = lived.kinds("t-3")
        assert (kinds[0], kinds[-1]) == ("task_started", "task_complete")
        assert kinds.count("context_compacted") == 1
        assert "user_message" not in kinds
        lived.start("t-4", "hello")
        assert (await lived.ended("t-4"))[1] == b'"Good day."'


@on_loop
async def test_a_compaction_that_is_interrupted_or_fails_leaves_the_conversation_as_it_was() -> None:
    async with life() as lived:
        lived.open(compact_prompt="stall")
        lived.start("t-1", "hello")
        lived.compact("t-2")
        await lived.saw("t-2", "task_started")
        await lived.model.until(lambda now: now.requests == 2)
        lived.interrupt("t-2")
        assert (await lived.ended("t-2"))[0].outcome == "aborted"
        assert "context_compacted" not in lived.kinds("t-2")
        lived.start("t-3", "hello")
        assert (await lived.ended("t-3"))[1] == b'"Good day."'


@on_loop
async def test_an_interruption_of_another_turn_is_ignored() -> None:
    async with life() as lived:
        lived.open()
        lived.interrupt("t-0")
        lived.start("t-1", "hello")
        lived.interrupt("t-0")
        assert (await lived.ended("t-1"))[0].outcome == "completed"


@on_loop
async def test_a_conversation_that_cannot_be_opened_is_told_why_and_the_worker_waits_until_that_is_read() -> None:
    async with life() as lived:
        lived.home.config.write_text("model = 5")
        lived.open()
        lived.start("t-1", "hello")
        notice, _ = await lived.post.notice(OpenFailed)
        assert notice.error_kind == "config"
        assert "in `model`" in notice.message
        assert not lived.task.done()
        lived.post.send(Close())
        await lived.task
        assert lived.post.of(Opened) == []


@on_loop
async def test_an_unknown_conversation_is_told_as_such() -> None:
    async with life() as lived:
        lived.open(resume="must")
        notice, _ = await lived.post.notice(OpenFailed)
        assert notice.error_kind == "session_unknown"
        lived.post.send(Close())
        await lived.task


@on_loop
async def test_a_worker_whose_job_is_done_waits_until_that_is_read() -> None:
    async with life() as lived:
        lived.post.send(RunJob(name="saved-config"), b"{}")
        done, result = await lived.post.notice(JobDone)
        assert (done.failure, result[:1]) == (None, b"{")
        assert not lived.task.done()
        lived.post.send(Close())
        await lived.task


@pytest.mark.parametrize("prompt", ["stall", "sleep"])
def test_a_worker_that_has_to_leave_ends_its_turn_saves_and_says_so(prompt: str) -> None:
    @on_loop
    async def scene() -> None:
        async with life() as lived:
            lived.open()
            lived.start("t-1", prompt)
            await lived.saw("t-1", "agent_message_delta" if prompt == "stall" else "exec_command_begin")
            lived.post.send(Close())
            await lived.task
            notice, _ = await lived.ended("t-1")
            assert notice.outcome == "aborted"
            (path,) = lived.home.sessions()
            assert stored_events(path)[-1] == "turn_aborted"

    scene()


@on_loop
async def test_a_turn_that_does_not_end_in_time_is_told_and_saved_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """It ends while its conversation is closed already."""
    ends, close = asyncio.Event(), OpenedConversation.close

    async def stubborn(*_: object) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            await ends.wait()
            raise

    async def closing(conversation: OpenedConversation) -> None:
        await close(conversation)
        ends.set()
        await turns()

    monkeypatch.setattr(TurnRunner, "run", stubborn)
    monkeypatch.setattr(OpenedConversation, "close", closing)
    monkeypatch.setattr(actor_module, "LEAVE_TIMEOUT", 0.05)
    async with life() as lived:
        lived.open()
        lived.start("t-1", "stall")
        await lived.post.notice(Opened)
        lived.post.send(Close())
        await lived.task
        assert ends.is_set()
        await turns()
        assert lived.post.of(TurnEnded) == []
        assert lived.home.sessions() == []


@on_loop
async def test_a_worker_without_a_conversation_leaves_at_once() -> None:
    async with life() as lived:
        lived.post.send(Close())
        async with asyncio.timeout(2):
            await lived.task


@on_loop
async def test_a_turn_before_its_conversation_is_dropped() -> None:
    async with life() as lived:
        lived.start("t-0", "hello")
        lived.open()
        lived.start("t-1", "hello")
        await lived.ended("t-1")
        assert [notice.turn_id for notice, _ in lived.post.of(TurnEnded)] == ["t-1"]


@on_loop
async def test_a_turn_that_runs_gives_signs_of_life_and_an_idle_worker_none() -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(actor_module, "HEARTBEAT", 0.01)
        async with life() as lived:
            lived.open()
            lived.start("t-1", "stall")
            beat, _ = await lived.post.notice(Heartbeat)
            assert beat.turn_id == "t-1"
            assert beat.progress.doing
            lived.interrupt("t-1")
            await lived.ended("t-1")
            count = len(lived.post.of(Heartbeat))
            await asyncio.sleep(0.05)
            assert len(lived.post.of(Heartbeat)) == count


@on_loop
async def test_steps_are_reported_to_an_audience_that_has_a_use_for_them() -> None:
    async with life() as lived:
        lived.open()
        lived.start("t-1", "hello")
        await lived.ended("t-1")
        lived.start("t-2", "hello", steps=True)
        await lived.ended("t-2")
        lived.start("t-3", "sleep", steps=True)
        await lived.post.until(lambda: len(lived.post.of(TurnStep)) == 2)
        lived.post.send(SelectEvents(conversation_id=THREAD, incarnation=FIRST, deltas=True, steps=False))
        lived.interrupt("t-3")
        await lived.ended("t-3")
        assert [(one.turn_id, one.text.partition(" (")[0]) for one, _ in lived.post.of(TurnStep)] == [
            ("t-2", "Good day."),
            ("t-3", "running sleep 600"),
        ]


@on_loop
async def test_an_observer_learns_how_a_turn_stands_before_what_the_worker_holds() -> None:
    async with life() as lived:
        lived.open()
        await lived.post.notice(Opened)
        lived.post.send(MeasureWorker())
        await lived.post.notice(WorkerMeasured)
        assert lived.post.of(Heartbeat) == []  # no turn runs
        lived.start("t-1", "sleep")
        await lived.saw("t-1", "exec_command_begin")
        lived.post.send(MeasureWorker())
        await lived.post.until(lambda: len(lived.post.of(WorkerMeasured)) == 2)
        beat, _ = lived.post.of(Heartbeat)[-1]
        assert (beat.turn_id, beat.progress.doing) == ("t-1", "running the tool shell")
        assert [type(one) for one, *_ in lived.post.notices[-2:]] == [Heartbeat, WorkerMeasured]
        lived.interrupt("t-1")
        await lived.ended("t-1")
        lived.post.send(MeasureWorker())
        await lived.post.until(lambda: len(lived.post.of(WorkerMeasured)) == 3)
        assert type(lived.post.notices[-2].notice) is TurnEnded


@on_loop
async def test_a_signal_to_leave_is_a_close() -> None:
    async with life() as lived:
        lived.open()
        await lived.post.notice(Opened)
        os.kill(os.getpid(), 15)
        await lived.task


@on_loop
async def test_a_worker_that_has_lost_its_lifeline_ends_its_connections_before_its_children(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    done: list[object] = []
    ended = asyncio.Event()
    monkeypatch.setattr(connections, "end_connections", lambda: done.append("connections"))
    monkeypatch.setattr(orphans, "end_all_children", lambda: done.append("children"))
    monkeypatch.setattr(time, "sleep", done.append)

    def leave(status: int) -> None:
        done.append(f"exit {status}")
        ended.set()

    monkeypatch.setattr(os, "_exit", leave)
    async with life() as lived:
        lived.hang_up()
        await ended.wait()
        assert done == ["connections", "children", "exit 1"]
