"""A worker that hangs or holds too much is killed, its call answered, nobody else disturbed (promises P1 and P7)."""

from pathlib import Path

from supervisor.demo.script import Command, Stall, Text, rule
from tests.support.client import kind, text, thread_id
from tests.support.faults import Faults
from tests.support.stage import Stage

HELLO = rule("hello", [Text("Good day.")])
STALL = rule("stall", [Text("hm"), Stall()])
SLEEP = rule("sleep", [Command(("bash", "-c", "sleep 3600"))], [Text("never")])


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
    faults = Faults(tmp_path / "faults", "import supervisor.tree; supervisor.tree.READY_PATIENCE = 3.0")
    server = stage.start("-c", "greenroom.idle_workers=0", program=faults.program)
    server.client.initialize()
    faults.order("hung before it is ready")
    assert text(server.client.result(server.client.codex("hello"))) == "Good day."
    assert faults.carried_out()


def test_a_worker_over_its_memory_limit_is_killed_and_the_call_says_so(stage: Stage) -> None:
    stage.play(STALL, HELLO)
    server = stage.serve("fork", "-c", "greenroom.worker_memory_mb=128")
    result = server.client.result(server.client.codex("stall" + "x" * 40_000_000), within=40.0)
    assert kind(result) == "worker_crashed"
    assert "memory limit" in result["structuredContent"]["error"]["cause"]
    assert text(server.client.result(server.client.codex("hello"))) == "Good day."


def test_a_quiet_turn_that_lives_is_left_alone(stage: Stage) -> None:
    stage.play(STALL, SLEEP)
    server = stage.serve("fork", "-c", "greenroom.hang_after_s=3")
    call = server.client.codex("sleep")
    server.client.event(call, "exec_command_begin")
    assert server.client.silent(5.0)
    server.client.cancel(call)
    assert kind(server.client.result(call)) == "turn_aborted"
