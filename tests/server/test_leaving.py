"""When the server ends, so does everything that it started, and quickly."""

import re
import signal
import subprocess
import time

import pytest

from greenroom.demo.script import Call, CommandStep, ScriptRule, Stall, Text, rule
from tests.support import processes
from tests.support.client import RequestId, kind, text
from tests.support.deadline import until
from tests.support.server import Server, patched
from tests.support.stage import Stage

LEAVE_WITHIN = 2.0
"""Seconds (promise P6)."""
GRANDCHILDREN = "sleep 600 & (sleep 600 &) ; nohup sleep 600 >/dev/null 2>&1 & echo started; sleep 600"
"""A command with children of several kinds: its own, an orphan, one that is deaf to hang-ups, one waited for."""
RUNAWAYS = "setsid sleep 600 & (setsid sleep 600 >/dev/null 2>&1 &) ; echo started; sleep 600"
"""A command whose children start sessions of their own, one of them as an orphan."""
STALL = rule("stall", [Text("hm"), Stall()])


def running(script: str) -> ScriptRule:
    return rule("run", [Call("shell", {"command": ["bash", "-c", script], "timeout_ms": 600_000})], [Text("ran")])


def sleepers(stage: Stage) -> int:
    return sum(processes.name_of(process) == "sleep" for process in processes.marked(stage.run))


def run_command(stage: Stage, server: Server, count: int) -> RequestId:
    """Start a turn whose command has started so many sleepers."""
    call = server.client.codex("run")
    server.client.event(call, "exec_command_output_delta")
    until(lambda: sleepers(stage) == count)
    return call


def part(server: Server, how: str) -> None:
    match how:
        case "end of input":
            server.client.hang_up()
        case name:
            server.signal(signal.Signals[name])


@pytest.mark.both_engines
@pytest.mark.parametrize("how", ["end of input", "SIGTERM", "SIGINT", "SIGHUP"])
def test_nothing_is_left_of_a_server_that_is_told_to_leave(stage: Stage, engine: str, how: str) -> None:
    stage.play(running(GRANDCHILDREN))
    server = stage.serve(engine)
    call = run_command(stage, server, 4)
    started = time.monotonic()
    part(server, how)
    assert server.wait(LEAVE_WITHIN) == 0
    assert not stage.left_over(LEAVE_WITHIN - (time.monotonic() - started))
    assert list(stage.runtime.rglob("*-*")) == [], "the directory of this instance is gone"
    server.client.read_to_end()
    assert kind(server.client.result(call)) == "turn_aborted"


@pytest.mark.both_engines
def test_a_second_signal_ends_the_wait_for_workers_that_do_not_leave(stage: Stage, engine: str) -> None:
    stage.play(STALL)
    patient = "import greenroom.supervisor.processes.tree; greenroom.supervisor.processes.tree.LEAVE_TIMEOUT = 600.0"
    server = stage.start("--engine", engine, program=patched(patient, "mcp-server"))
    server.client.initialize()
    call = server.client.codex("stall")
    server.client.event(call, "agent_message_delta")
    for worker in server.workers():
        worker.suspend()
    server.signal(signal.SIGTERM)
    assert kind(server.client.result(call)) == "turn_aborted"
    server.signal(signal.SIGTERM)
    assert server.wait(5.0) == 0
    assert not stage.left_over(LEAVE_WITHIN)


@pytest.mark.both_engines
@pytest.mark.parametrize("how", ["end of input", "SIGTERM", "SIGKILL"])
def test_nothing_escapes_by_starting_a_session_of_its_own(stage: Stage, engine: str, how: str) -> None:
    stage.play(running(RUNAWAYS))
    server = stage.serve(engine)
    run_command(stage, server, 3)
    part(server, how)
    server.wait(LEAVE_WITHIN)
    assert not stage.left_over(LEAVE_WITHIN)


def test_a_command_of_a_former_turn_does_not_outlive_the_server(stage: Stage, engine: str) -> None:
    stage.play(rule("run", [CommandStep(("bash", "-c", "sleep 600 >/dev/null 2>&1 & echo ok"))], [Text("gone")]))
    server = stage.serve(engine)
    assert text(server.client.result(server.client.codex("run"))) == "gone"
    assert sleepers(stage) == 1
    server.client.hang_up()
    assert server.wait(LEAVE_WITHIN) == 0
    assert not stage.left_over(LEAVE_WITHIN)


def test_a_server_whose_model_is_silent_leaves_at_once(stage: Stage, engine: str) -> None:
    stage.play(STALL)
    server = stage.serve(engine)
    call = server.client.codex("stall")
    server.client.event(call, "agent_message_delta")
    server.client.hang_up()
    assert server.wait(LEAVE_WITHIN) == 0
    server.client.read_to_end()
    assert kind(server.client.result(call)) == "turn_aborted"
    assert not stage.left_over(LEAVE_WITHIN)


@pytest.mark.executed  # it is still importing
def test_a_client_that_only_knocks_leaves_nothing_behind(stage: Stage, engine: str) -> None:
    stage.play(STALL)
    server = stage.start("--engine", engine)
    server.client.request("server/discover", {})
    server.client.read()
    server.client.hang_up()
    server.signal(signal.SIGTERM)
    server.wait(LEAVE_WITHIN)
    assert not stage.left_over(LEAVE_WITHIN)


@pytest.mark.both_engines
@pytest.mark.executed  # it is still importing
@pytest.mark.parametrize("delay", [0.0, 0.1, 0.25])
def test_a_server_that_is_told_to_leave_while_it_starts_leaves_nothing_behind(
    stage: Stage, engine: str, delay: float
) -> None:
    stage.play(STALL)
    server = stage.start("--engine", engine)
    processes.ends(server.pid, delay)
    server.signal(signal.SIGTERM)
    server.wait(LEAVE_WITHIN)
    assert not stage.left_over(LEAVE_WITHIN)
    assert stage.sockets() == []


@pytest.mark.both_engines
@pytest.mark.executed  # it is still importing
def test_a_server_without_a_client_ends_by_itself(stage: Stage, engine: str) -> None:
    stage.play(STALL)
    server = stage.start("--engine", engine)
    server.client.hang_up()
    assert server.wait() == 0
    assert stage.told() == ""


@pytest.mark.both_engines
def test_a_killed_server_takes_everything_with_it(stage: Stage, engine: str) -> None:
    stage.play(running(GRANDCHILDREN))
    server = stage.serve(engine)
    run_command(stage, server, 4)
    server.signal(signal.SIGKILL)
    server.wait()
    assert not stage.left_over(LEAVE_WITHIN)


def test_a_server_leaves_also_while_nobody_reads_its_answers(stage: Stage, engine: str) -> None:
    stage.play(rule("flood", [Call("shell", {"command": ["yes"], "timeout_ms": 600_000})]))
    server = stage.serve(engine)
    call = server.client.codex("flood")
    server.client.event(call, "exec_command_output_delta")
    server.client.hang_up()
    assert server.wait(LEAVE_WITHIN) == 0
    assert not stage.left_over(LEAVE_WITHIN)


def test_a_client_that_closes_its_ears_ends_nothing_but_the_noise(stage: Stage, engine: str) -> None:
    stage.play(rule("hello", [Text("Good day.")]))
    server = stage.serve(engine)
    server.client.stop_listening()
    server.client.codex("hello")
    stage.model.until(lambda now: now.requests == 1 and now.streaming == 0)
    assert server.process.poll() is None
    server.client.hang_up()
    assert server.wait(LEAVE_WITHIN) == 0


@pytest.mark.executed  # it is still importing
def test_what_is_said_without_a_last_newline_is_answered(stage: Stage) -> None:
    stage.play(STALL)
    server = stage.start()
    server.client.send_bytes(b'{"jsonrpc":"2.0","id":1,"method":"ping"}')
    server.client.hang_up()
    assert server.client.read()["result"] == {}
    assert server.wait() == 0


@pytest.mark.parametrize("last", [b"", b'{"jsonrpc":"2.0","id":9,"method":"ping"}'])
def test_input_from_a_file_is_answered_to_its_end(stage: Stage, last: bytes) -> None:
    stage.play(STALL)
    lines = [b'{"jsonrpc":"2.0","id":%d,"method":"ping"}' % number for number in range(1, 6)]
    path = stage.workspace / "requests"
    path.write_bytes(b"\n".join([*lines, last]))
    with path.open("rb") as requests:
        command = stage.command("mcp-server")
        done = subprocess.run(
            command, check=True, stdin=requests, capture_output=True, env=stage.environment(), timeout=20
        )
    answers = re.findall(rb'"id":(\d+),"result":{}', done.stdout)
    assert answers == [b"1", b"2", b"3", b"4", b"5"] + ([b"9"] if last else [])
