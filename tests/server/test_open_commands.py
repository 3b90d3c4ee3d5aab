"""A model that knows `exec_command` is given it; what it leaves running goes on from turn to turn, and no longer."""

import os
import signal

import pytest

from greenroom.demo.script import Call, Quote, Stall, Text, rule
from tests.support import processes
from tests.support.client import Client, kind, kinds, text, thread_id
from tests.support.deadline import until
from tests.support.model import members
from tests.support.stage import Stage

MODEL = ("-c", 'model="gpt-5.5"')
SLEEPER = "echo $$ > pid.new && mv pid.new pid; exec sleep 600"
START = rule("start", [Call("exec_command", {"cmd": SLEEPER, "tty": True, "yield_time_ms": 250})], [Quote()])
HELLO = rule("hello", [Text("Good day.")])
STALL = rule("stall", [Call("exec_command", {"cmd": "echo pid=$PPID"})], [Text("hm"), Stall()])
NOBODY = rule("nobody", [Call("write_stdin", {"session_id": 7})], [Quote()])


@pytest.fixture(autouse=True)
def quick_profile(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """A login shell reads the profile of a home that has none."""
    monkeypatch.setenv("HOME", stage.cwd)


def start(stage: Stage, client: Client) -> tuple[str, int]:
    """Have a command left running; return the conversation and the command's pid."""
    call = client.codex("start", cwd=stage.cwd)
    result = client.result(call)
    assert kinds(client.events(call)).count("exec_command_begin") == 1
    assert "exec_command_end" not in kinds(client.events(call))
    pid = stage.workspace / "pid"
    until(pid.exists)
    return thread_id(result), int(pid.read_text())


def test_the_tools_offered_go_by_the_model(stage: Stage) -> None:
    model = stage.play(HELLO, top='[greenroom.models.homemade]\ncommand_tool = "exec_command"\n')
    client = stage.serve("fork").client
    for name in ("gpt-5.5", "homemade-7b", "scripted"):
        client.result(client.codex("hello", model=name))
    offered = [[(tool["name"], tool["type"]) for tool in members(request)["tools"]] for request in model.requests()]
    run = [("exec_command", "function"), ("write_stdin", "function"), ("update_plan", "function")]
    assert offered[0][:4] == [*run, ("apply_patch", "custom")]
    assert offered[1] == [*run, ("apply_patch", "function")]
    assert offered[2] == [("shell", "function"), ("update_plan", "function"), ("apply_patch", "function")]


def test_a_command_outlives_its_turn_and_ends_with_the_server(stage: Stage, engine: str) -> None:
    stage.play(START, HELLO)
    server = stage.serve(engine, *MODEL)
    conversation, pid = start(stage, server.client)
    server.client.result(server.client.reply(conversation, "hello"))
    assert processes.alive(pid)
    server.leave()
    assert processes.ends(pid, within=2.0)


def test_a_command_ends_with_a_worker_that_is_killed(stage: Stage, engine: str) -> None:
    stage.play(START, STALL)
    client = stage.serve(engine, *MODEL).client
    conversation, pid = start(stage, client)
    call = client.reply(conversation, "stall")
    client.event(call, "agent_message_delta")
    os.kill(int(client.event(call, "exec_command_end")["stdout"].split("pid=")[1]), signal.SIGKILL)
    assert kind(client.result(call)) == "worker_crashed"
    assert processes.ends(pid, within=2.0)


def test_a_number_that_no_command_has_is_told(stage: Stage) -> None:
    stage.play(NOBODY)
    client = stage.serve("fork", *MODEL).client
    assert text(client.result(client.codex("nobody"))) == "write_stdin failed: Unknown process id 7"
