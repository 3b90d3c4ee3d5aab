"""A worker that hangs or uses too much memory is killed, its call answered, no other disturbed (promises P1 and P7)."""

from pathlib import Path

import pytest

from benchmarks import resources as holdings
from greenroom.demo.script import CommandStep, Stall, Text, rule
from greenroom.protocol.report import Report
from tests.support.client import kind, text, thread_id
from tests.support.deadline import until
from tests.support.faults import Faults
from tests.support.model import Gate, said
from tests.support.server import Server
from tests.support.stage import Stage

pytestmark = pytest.mark.both_engines

HELLO = rule("hello", [Text("Good day.")])
STALL = rule("stall", [Text("hm"), Stall()])
SLEEP = rule("sleep", [CommandStep(("bash", "-c", "sleep 3600"))], [Text("never")])


def test_a_stopped_worker_is_found_killed_and_answered(stage: Stage, engine: str) -> None:
    stage.play(STALL, HELLO)
    server = stage.serve(engine, "-c", "greenroom.hang_after_s=3", "-c", "greenroom.idle_workers=0")
    call = server.client.codex("stall")
    server.client.event(call, "agent_message_delta")
    (worker,) = server.workers()
    worker.suspend()
    other = server.client.codex("hello")
    assert text(server.client.result(other)) == "Good day."
    result = server.client.result(call)
    assert kind(result) == "worker_crashed"
    assert "hung" in result["structuredContent"]["error"]["cause"]
    assert text(server.client.result(server.client.reply(thread_id(result), "hello"))) == "Good day."


def test_a_worker_that_hangs_before_it_is_ready_is_replaced(stage: Stage, tmp_path: Path) -> None:
    stage.play(HELLO)
    faults = Faults(
        tmp_path / "faults",
        "import greenroom.supervisor.processes.worker_supply as supply; supply.READY_TIMEOUT = 3.0",
    )
    server = stage.start("-c", "greenroom.idle_workers=0", program=faults.program)
    server.client.initialize()
    faults.order("hung before it is ready")
    assert text(server.client.result(server.client.codex("hello"))) == "Good day."
    assert faults.carried_out()


@pytest.mark.executed  # its own memory is what counts
def test_a_worker_over_its_memory_limit_is_killed_and_the_call_says_so(stage: Stage) -> None:
    stage.play(STALL, HELLO)
    server = stage.serve("fork", "-c", "greenroom.worker_memory_mb=128")
    result = server.client.result(server.client.codex("stall" + "x" * 40_000_000), within=40.0)
    assert kind(result) == "worker_crashed"
    assert "memory limit" in result["structuredContent"]["error"]["cause"]
    assert text(server.client.result(server.client.codex("hello"))) == "Good day."


LIGHT = ("-c", "greenroom.worker_memory_mb=128", "-c", "greenroom.idle_workers=0")


def assert_found_and_back(stage: Stage, server: Server, thread: str) -> None:
    """See the one worker killed for its weight, the death remembered, and the conversation going on."""
    report = until(lambda: told if (told := look(server, stage)) is not None and told.deaths else None)
    (death,) = report.deaths
    assert (death.conversation_id, death.doing) == (thread, "idle")
    assert death.cause.startswith("over its memory limit: ")
    assert text(server.client.result(server.client.reply(thread, "hello"))) == "Good day."
    *_, last = stage.model.requests()
    assert said(last, "assistant") == ["Good day."], "it goes on with its history"


def look(server: Server, stage: Stage) -> Report | None:
    return holdings.report(server.pid, {"XDG_RUNTIME_DIR": str(stage.runtime)})


def test_an_idle_worker_over_its_memory_limit_is_found_and_killed(stage: Stage, engine: str, tmp_path: Path) -> None:
    stage.play(HELLO)
    faults = Faults(
        tmp_path / "faults",
        "from greenroom.supervisor.processes import memory_limit; memory_limit.INTERVAL = 0.2",
    )
    server = stage.start("--engine", engine, *LIGHT, program=faults.program)
    server.client.initialize()
    faults.order("swollen after a turn")
    result = server.client.result(server.client.codex("hello"))
    assert text(result) == "Good day."
    assert_found_and_back(stage, server, thread_id(result))


def test_a_worker_is_weighed_when_its_turn_ends_and_the_next_turn_runs_in_another(
    stage: Stage, engine: str, tmp_path: Path
) -> None:
    gate = Gate()
    stage.play(HELLO, rule("wait", [gate.wait, Text("At last.")]))
    faults = Faults(
        tmp_path / "faults",
        "from greenroom.supervisor.processes import memory_limit; memory_limit.INTERVAL = 1e6\n"
        "from greenroom.supervisor.conversations import watchdog; watchdog.INTERVAL = 1e6",
    )
    server = stage.start("--engine", engine, *LIGHT, program=faults.program)
    server.client.initialize()
    call = server.client.codex("wait")
    thread = str(server.client.event(call, "session_configured")["session_id"])
    queued = server.client.reply(thread, "hello")
    faults.order("swollen at the end of a turn")
    server.client.ask("ping")
    stage.model.open(gate)
    assert text(server.client.result(call)) == "At last."
    assert text(server.client.result(queued)) == "Good day."
    report = until(lambda: look(server, stage))
    assert [death.cause.split(":")[0] for death in report.deaths] == ["over its memory limit"]


def test_a_quiet_turn_that_lives_is_left_alone(stage: Stage) -> None:
    stage.play(STALL, SLEEP)
    server = stage.serve("fork", "-c", "greenroom.hang_after_s=3")
    call = server.client.codex("sleep")
    server.client.event(call, "exec_command_begin")
    assert server.client.silent(5.0)
    server.client.cancel(call)
    assert kind(server.client.result(call)) == "turn_aborted"
