"""What happened to a conversation can be followed through all processes, in one file."""

import json
import os
import signal
from pathlib import Path

from greenroom.demo.script import CommandStep, Stall, Text, rule
from greenroom.runtime.log.logfile import log_path
from tests.support.client import thread_id
from tests.support.deadline import until
from tests.support.stage import Stage

STALL = rule("stall", [CommandStep(("sh", "-c", "echo $PPID"))], [Text("hm"), Stall()])


def test_a_death_is_in_the_log_with_the_conversation_that_it_ended(stage: Stage, engine: str) -> None:
    stage.play(STALL)
    server = stage.serve(engine)
    call = server.client.codex("stall")
    server.client.event(call, "agent_message_delta")
    os.kill(int(server.client.event(call, "exec_command_end")["stdout"]), signal.SIGKILL)
    told = thread_id(server.client.result(call))
    log = Path(log_path(str(stage.home.path)))

    def deaths_told() -> list[dict[str, object]]:
        lines = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
        return [line for line in lines if line.get("conversation_id") == told and line["level"] == "error"]

    until(deaths_told)  # the call is answered first
    deaths = deaths_told()
    assert [line["process"] for line in deaths] == ["supervisor"]
    assert deaths[0]["instance"] == server.pid
    assert "SIGKILL" in str(deaths[0]["message"])


def test_lines_of_json_come_from_all_processes_with_their_ids(stage: Stage, engine: str) -> None:
    stage.play(rule("hello", [CommandStep(("true",)), Text("x")], [Text("Good day.")]))
    server = stage.serve(engine, "--log-format", "json", "--log-level", "debug")
    server.client.send_bytes(b"no message\n")
    told = thread_id(server.client.result(server.client.codex("hello")))
    assert server.leave() == 0
    lines = [json.loads(line) for line in stage.told().splitlines()]
    assert all({"time", "level", "process", "pid", "logger", "message"} <= line.keys() for line in lines)
    assert {line["process"] for line in lines} >= {"supervisor", "worker", "broker"}
    (called,) = [line for line in lines if line["message"] == "the tool shell is called"]
    assert (called["process"], called["conversation_id"], called["instance"]) == ("worker", told, server.pid)
    assert {"turn_id", "call_id", "worker_id", "incarnation"} <= called.keys()
