"""An idle conversation needs no process, and is restored unchanged (promises P3 and P7)."""

import psutil

from benchmarks import resources as holdings
from greenroom.demo.script import Call, CommandStep, Quote, Stall, Text, rule
from tests.support.client import kind, text, thread_id
from tests.support.deadline import until
from tests.support.model import said
from tests.support.stage import Stage

HELLO = rule("hello", [Text("Good day.")])
RUN = rule("run", [CommandStep(("bash", "-c", "sleep 600 >/dev/null 2>&1 & echo $!"))], [Quote()])
GO_ON = rule(
    "go on",
    [
        Call(
            "exec_command",
            {"cmd": "while [ ! -e stop ]; do sleep 0.02; done", "yield_time_ms": 250, "login": False},
        )
    ],
    [Quote()],
)
STALL = rule("stall", [Text("hm"), Stall()])


def test_an_idle_conversation_is_parked_and_comes_back_with_its_history(stage: Stage, engine: str) -> None:
    model = stage.play(HELLO)
    server = stage.serve(engine, "-c", "greenroom.park_after_s=0.2", "-c", "greenroom.idle_workers=0")
    conversation = thread_id(server.client.result(server.client.codex("hello")))
    server.settle(workers=0)
    assert text(server.client.result(server.client.reply(conversation, "hello"))) == "Good day."
    assert said(model.requests()[-1], "assistant") == ["Good day."]


def test_what_a_parked_conversation_left_running_ends_with_its_process(stage: Stage, engine: str) -> None:
    stage.play(RUN)
    server = stage.serve(engine, "-c", "greenroom.park_after_s=0.2", "-c", "greenroom.idle_workers=0")
    pid = int(text(server.client.result(server.client.codex("run"))).split()[-1])
    server.settle(workers=0)
    until(lambda: not psutil.pid_exists(pid))


def test_a_conversation_whose_commands_go_on_is_not_parked_before_they_end(stage: Stage, engine: str) -> None:
    stage.play(GO_ON, HELLO)
    server = stage.serve(engine, "-c", "greenroom.park_after_s=0.2", "-c", "greenroom.idle_workers=0")
    call = server.client.codex("go on", cwd=stage.cwd, model="gpt-5.5")
    server.client.result(call)
    (worker,) = server.workers()
    server.client.result(server.client.codex("hello"))
    server.settle(workers=1)
    assert server.workers() == [worker], "the one that came later is parked"
    (stage.workspace / "stop").touch()
    server.settle(workers=0)


def test_conversations_beyond_the_limit_take_the_place_of_the_longest_idle(stage: Stage) -> None:
    stage.play(HELLO)
    server = stage.serve("fork", "-c", "greenroom.live_workers=2", "-c", "greenroom.idle_workers=0")
    conversations = [thread_id(server.client.result(server.client.codex("hello"))) for _ in range(4)]
    server.settle(workers=2)
    for conversation in conversations:
        assert text(server.client.result(server.client.reply(conversation, "hello"))) == "Good day."
    server.settle(workers=2)


def test_a_conversation_that_was_forgotten_comes_back_as_it_was(stage: Stage) -> None:
    """Its id is all that anybody still has."""
    stage.play(HELLO, rule("write", [CommandStep(("touch", "made"))], [Quote()]))
    flags = ("known_at_rest=1", "park_after_s=0.1", "idle_workers=0")
    server = stage.serve("fork", *(word for flag in flags for word in ("-c", f"greenroom.{flag}")))
    elsewhere = stage.workspace / "elsewhere"
    elsewhere.mkdir()
    asked = {"cwd": str(elsewhere), "model": "another", "sandbox": "read-only", "approval-policy": "on-failure"}
    asked["base-instructions"] = "Be brief."
    first = thread_id(server.client.result(server.client.codex("hello", **asked)))
    for _ in range(2):
        server.client.result(server.client.codex("hello"))
    environment = {"XDG_RUNTIME_DIR": str(stage.runtime)}
    report = until(
        lambda: (
            told
            if (told := holdings.report(server.pid, environment)) is not None
            and told.statistics.conversations is not None
            and told.statistics.conversations.forgotten == 2
            else None
        )
    )
    assert [one.id == first for one in report.conversations] == [False]
    call = server.client.reply(first, "write")
    server.client.result(call)
    configured = server.client.event(call, "session_configured")
    told = {name: configured[name] for name in ("session_id", "model", "cwd", "approval_policy")}
    assert told == {"session_id": first, "model": "another", "cwd": str(elsewhere), "approval_policy": "on-failure"}
    assert configured["sandbox_policy"]["type"] == "read-only"
    *_, last = stage.model.requests()
    assert said(last, "assistant") == ["Good day."]
    assert str(last.json["instructions"]).startswith("Be brief.")
    assert not (elsewhere / "made").exists()


def test_a_newcomer_waits_while_every_place_is_busy(stage: Stage) -> None:
    stage.play(STALL, HELLO)
    server = stage.serve("fork", "-c", "greenroom.live_workers=1", "-c", "greenroom.idle_workers=0")
    busy = server.client.codex("stall")
    server.client.event(busy, "agent_message_delta")
    waiting = server.client.codex("hello")
    server.client.ask("ping")
    server.client.cancel(busy)
    assert kind(server.client.result(busy)) == "turn_aborted"
    assert text(server.client.result(waiting)) == "Good day."


def test_turns_beyond_the_limit_of_a_conversation_are_refused(stage: Stage) -> None:
    stage.play(STALL, HELLO)
    server = stage.serve("fork", "-c", "greenroom.queued_turns=1")
    busy = server.client.codex("stall")
    conversation = str(server.client.event(busy, "session_configured")["session_id"])
    server.client.event(busy, "agent_message_delta")
    queued, refused = (server.client.reply(conversation, "hello") for _ in range(2))
    assert kind(server.client.result(refused)) == "overloaded"
    server.client.cancel(busy)
    server.client.result(busy)
    assert text(server.client.result(queued)) == "Good day."


def test_calls_beyond_the_limit_of_the_server_are_refused(stage: Stage) -> None:
    stage.play(STALL, HELLO)
    server = stage.serve("fork", "-c", "greenroom.open_calls=1")
    busy = server.client.codex("stall")
    server.client.event(busy, "agent_message_delta")
    assert "overloaded" in text(server.client.result(server.client.codex("hello")))
    server.client.cancel(busy)
    server.client.result(busy)
    assert text(server.client.result(server.client.codex("hello"))) == "Good day."
