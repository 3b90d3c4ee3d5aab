"""One process for each conversation, beside a few that wait."""

import os
import subprocess
import sys

import psutil
import pytest

from greenroom.demo.script import Call, CommandStep, Quote, Text, rule
from tests.support import processes
from tests.support.client import Client, text, thread_id
from tests.support.deadline import until
from tests.support.model import inputs
from tests.support.stage import Stage

FIRST = (
    "greenroom.supervisor.startup.processes",
    "greenroom.supervisor.processes.engines.fork_server",
    "greenroom.workers.tools.toolbox_factory",
    "greenroom.broker.broker",
)
HELLO = rule("hello", [Text("Good day.")])
WHO = rule("who", [CommandStep(("sh", "-c", "echo $PPID"))], [Quote()])


def host(client: Client, prompt: str = "who") -> int:
    """Return the pid of the process that hosts a new conversation."""
    return int(text(client.result(client.codex(prompt))))


def test_what_a_first_call_waits_for_needs_no_pydantic() -> None:
    """Its import alone takes a quarter of the time (docs/decisions/0015-internal-messages-are-structs.md)."""
    program = f"import sys, {', '.join(FIRST)}; sys.exit('pydantic' in sys.modules)"
    assert subprocess.run([sys.executable, "-I", "-c", program], check=False, timeout=30).returncode == 0


@pytest.mark.both_engines
def test_each_conversation_has_a_process_of_its_own(stage: Stage, engine: str) -> None:
    stage.play(WHO)
    server = stage.serve(engine)
    hosts = [host(server.client) for _ in range(3)]
    assert len(set(hosts)) == 3
    server.settle(workers=5)
    assert set(hosts) <= {worker.pid for worker in server.workers()}
    parent = server.fork_server().pid if engine == "fork" else server.pid
    assert {worker.ppid() for worker in server.workers()} == {parent}
    assert server.broker().ppid() == parent
    for worker in server.workers():
        assert os.getsid(worker.pid) == worker.pid, "a terminal's signals reach the server alone"


def test_a_worker_that_an_operator_ends_by_a_signal_leaves_by_itself(stage: Stage, engine: str) -> None:
    stage.play(WHO)
    server = stage.serve(engine)
    first = server.client.result(server.client.codex("who"))
    processes.process(int(text(first))).terminate()
    until(lambda: int(text(first)) not in {worker.pid for worker in server.workers()})
    again = server.client.result(server.client.reply(thread_id(first), "who"))
    assert text(again) != text(first)
    assert "signal" not in server.log()


def test_a_conversation_keeps_its_process(stage: Stage, engine: str) -> None:
    stage.play(WHO)
    server = stage.serve(engine)
    result = server.client.result(server.client.codex("who"))
    again = server.client.result(server.client.reply(thread_id(result), "who"))
    assert text(again) == text(result)


@pytest.mark.both_engines
def test_the_next_conversation_finds_a_worker_waiting(stage: Stage, engine: str) -> None:
    stage.play(WHO)
    server = stage.serve(engine)
    server.client.ask("ping")
    server.settle(workers=2)
    waiting = {worker.pid for worker in server.workers()}
    assert host(server.client) in waiting
    server.settle(workers=3)


@pytest.mark.both_engines
def test_no_worker_waits_where_none_is_wanted(stage: Stage, engine: str) -> None:
    stage.play(WHO)
    server = stage.serve(engine, "-c", "greenroom.idle_workers=0")
    server.settle(workers=0)
    host(server.client)
    server.settle(workers=1)


@pytest.mark.both_engines
def test_a_failed_start_leaves_no_process(stage: Stage, engine: str) -> None:
    model = stage.play(HELLO)
    stage.home.config.write_text("model = 5\n")
    server = stage.serve(engine)
    assert server.client.result(server.client.codex("hello"))["isError"] is True
    server.settle(workers=2)
    stage.home.configure(model.base_url)
    assert text(server.client.result(server.client.codex("hello"))) == "Good day."
    server.settle(workers=3)


@pytest.mark.both_engines
def test_idle_processes_cost_no_time(stage: Stage, engine: str) -> None:
    stage.play(HELLO)
    server = stage.serve(engine)
    for _ in range(3):
        server.client.result(server.client.codex("hello"))
    server.settle(workers=5)
    tree = server.tree()

    def are_idle() -> bool:
        before = processes.processor_time(tree)
        assert server.client.silent(1.0)
        return processes.processor_time(tree) - before <= 0.02

    until(are_idle, 20.0)  # what they do after their start is to end


def test_a_command_that_must_not_write_writes_nothing_and_the_turn_goes_on(stage: Stage, engine: str) -> None:
    stage.play(rule("touch", [CommandStep(("touch", "made"))], [Text("I could not.")]))
    client = stage.serve(engine).client
    call = client.codex("touch", cwd=stage.cwd, sandbox="read-only")
    assert text(client.result(call)) == "I could not."
    *_, last = stage.model.requests()
    (output,) = [item["output"] for item in inputs(last) if item["type"] == "function_call_output"]
    assert output, "the model is told why"
    assert os.listdir(stage.cwd) == []


@pytest.mark.parametrize("arguments", ["no json", {}, {"command": "x", "timeout_ms": "soon"}, {"command": []}])
def test_a_call_of_no_sense_is_told_to_the_model_and_the_turn_goes_on(stage: Stage, arguments: object) -> None:
    assert isinstance(arguments, str | dict)
    stage.play(rule("go", [Call("shell", arguments)], [Text("Never mind.")]))
    client = stage.serve("fork").client
    assert text(client.result(client.codex("go"))) == "Never mind."
    *_, last = stage.model.requests()
    (output,) = [item["output"] for item in inputs(last) if item["type"] == "function_call_output"]
    assert output


def test_an_unknown_tool_is_told_to_the_model_and_the_turn_goes_on(stage: Stage) -> None:
    stage.play(rule("go", [Call("teleport", {})], [Quote()]))
    client = stage.serve("fork").client
    assert text(client.result(client.codex("go"))) == "unsupported call: teleport"


@pytest.mark.both_engines
def test_a_parked_conversation_has_no_process_and_comes_back(stage: Stage, engine: str) -> None:
    stage.play(WHO)
    server = stage.serve(engine, "-c", "greenroom.park_after_s=0.1", "-c", "greenroom.idle_workers=0")
    result = server.client.result(server.client.codex("who"))
    worker = psutil.Process(int(text(result)))
    assert not processes.remaining([worker], 5.0)
    server.settle(workers=0)
    again = server.client.result(server.client.reply(thread_id(result), "who"))
    assert thread_id(again) == thread_id(result)
    assert text(again) != text(result)
    assert len(inputs(stage.model.requests()[-1])) > len(inputs(stage.model.requests()[1]))
