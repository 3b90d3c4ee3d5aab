"""A real server is seen and steered from outside, while it works and while it hangs."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from benchmarks import resources
from greenroom.demo.script import Call, ScriptedUsage, Stall, Text, rule
from greenroom.protocol.report import Report
from greenroom.supervisor.cli.status.overview import InstanceStatus, Overview, ProcessStatus
from greenroom.supervisor.control import instances
from tests.support import processes
from tests.support.client import VERSION, RequestId, text, thread_id
from tests.support.deadline import until
from tests.support.server import MODULE, Server, run
from tests.support.stage import Stage
from tests.support.template import SEEDED

pytestmark = pytest.mark.both_engines

SLEEP = rule("sleep", [Call("shell", {"command": ["bash", "-c", "sleep 600 & sleep 600"], "timeout_ms": 600_000})])
STALL = rule("stall", [Text("hm"), Stall()])
HELLO = rule("hello", [Text("hi there")])
TOKENS = ScriptedUsage().input_tokens + ScriptedUsage().output_tokens


def greenroom(stage: Stage, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run a command beside the server, as a user without the rights of root."""
    return run((*MODULE, *arguments), stage.environment(COLUMNS="80"), stage.template)


def look(stage: Stage, server: Server) -> InstanceStatus:
    told = greenroom(stage, "status", "--instance", str(server.pid), "--json")
    (status,) = Overview.model_validate_json(told.stdout).instances
    return status


def reported(stage: Stage, server: Server) -> Report | None:
    """Ask as the command does, which takes longer: for what is looked at again and again."""
    return resources.report(server.pid, {"XDG_RUNTIME_DIR": str(stage.runtime)})


def watch(stage: Stage, server: Server, until: str, status: int = 2) -> Iterator[str]:
    """Yield what `--watch` prints up to the end of the first page that has something; then end it."""
    with subprocess.Popen(
        stage.command("status", "--instance", str(server.pid), "--watch", "0.1"),
        env=stage.environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        found = False
        for line in process.stdout:
            found = found or until in line
            yield line
            if found and not line.strip():
                break
        process.terminate()
        process.stdout.read()
        assert process.wait(20) == status


def serve(
    stage: Stage,
    engine: str,
    capabilities: Mapping[str, object] | None = None,
    variables: Mapping[str, str] | None = None,
) -> Server:
    stage.play(SLEEP, STALL, HELLO)
    server = stage.start("--engine", engine, **(variables or {}))
    server.client.initialize(capabilities=capabilities)
    until(lambda: any(one.instance.pid == server.pid for one in instances.running([f"{stage.runtime}/greenroom"])))
    return server


def begin(stage: Stage, server: Server) -> tuple[RequestId, str]:
    """Start a turn that runs a command, and return its call and its conversation."""
    call = server.client.codex("sleep", cwd=stage.cwd)
    thread: Any = server.client.event(call, "session_configured")
    server.client.event(call, "exec_command_begin")
    return call, str(thread["session_id"])


def end(server: Server, call: RequestId) -> None:
    server.client.cancel(call)
    server.client.answer(call)


def test_a_server_at_work_is_seen(stage: Stage, engine: str) -> None:
    server = serve(stage, engine)
    call, thread = begin(stage, server)
    status = look(stage, server)
    assert (status.reply, status.troubles) == ("report", ())
    assert status.instance.engine == engine
    assert status.instance.codex_home == str(stage.home.path)
    report = status.report
    assert report is not None
    (entry,) = report.conversations
    assert (entry.id, entry.state, entry.incarnation) == (thread, "running", 1)
    assert entry.turn is not None
    assert report.client is not None
    assert (report.client.name, report.client.protocol) == ("promises", VERSION)
    assert report.credential is not None
    assert (report.credential.mode, report.credential.state) == ("none", "SIGNED_OUT")
    (worker,) = (one for one in status.processes if one.conversation_id == thread)
    assert worker.pid == entry.pid
    assert worker.children >= 2
    assert worker.seen is not None
    assert {"supervisor", "broker", "worker"} <= {one.role for one in status.processes}
    end(server, call)


@pytest.mark.executed  # it measures memory
def test_every_process_says_what_it_holds_and_how_it_stands(stage: Stage, engine: str) -> None:
    server = serve(stage, engine)
    call, thread = begin(stage, server)
    server.settle(3)
    until(lambda: _is_complete(reported(stage, server)))
    processes = until(lambda: _complete(look(stage, server)))
    assert {one.role for one in processes} == {"supervisor", "broker", "worker"} | (
        {"fork_server", "zygote"} if engine == "fork" else set()
    )
    for one in processes:
        entry = one.entry
        assert entry is not None
        if one.role == "zygote":  # it imports nothing with which it could say something of itself
            assert (entry.state, entry.restarts, entry.own) == ("ready", 0, None)
            continue
        assert entry.state == ("hosting" if entry.conversation_id == thread else "ready")
        assert entry.own is not None
        assert entry.own.uss is not None
        assert entry.own.pss is not None
        assert 0 < entry.own.uss <= entry.own.pss
        assert entry.own.descriptors
        assert entry.restarts in (0, None)
    end(server, call)


def _is_complete(told: Report | None) -> bool:
    """Tell whether all processes are up and were quick enough to answer."""
    return told is not None and all(
        one.state != "starting" and (one.own is not None or one.role == "zygote") for one in told.processes
    )


def _complete(status: InstanceStatus) -> tuple[ProcessStatus, ...]:
    """Return the processes once all of them are up and were quick enough to answer."""
    known = all(one.entry is not None for one in status.processes)
    return status.processes if known and _is_complete(status.report) else ()


@pytest.mark.skipif(sys.platform != "linux", reason="the sandbox tried here is that of Linux")
def test_a_zygote_is_shown_and_so_are_its_hang_its_death_and_its_successor(stage: Stage, engine: str) -> None:
    stage.play(rule("go", [Call("shell", {"command": ["true"]})], [Text("ran")]))
    server = stage.serve(engine)
    thread = thread_id(server.client.result(server.client.codex("go", sandbox="read-only")))

    def shown() -> list[ProcessStatus]:
        """Return the worker's own, or with the fork engine the one that is shared: an early worker has its own, too."""
        zygotes = [one for one in look(stage, server).processes if one.role == "zygote"]
        return [one for one in zygotes if (one.conversation_id is None) == (engine == "fork")]

    (former,) = until(shown)
    assert former.entry is not None
    assert (former.entry.state, former.entry.restarts) == ("ready", 0)
    assert former.conversation_id == (thread if engine == "spawn" else None)
    os.kill(former.pid, signal.SIGSTOP)
    whose = f" of {thread[-12:]}" if engine == "spawn" else ""
    assert [(one.kind, one.text.split(";")[0]) for one in look(stage, server).troubles] == [
        ("process_stopped", f"the zygote{whose} (pid {former.pid}) is stopped by a signal or a debugger")
    ]
    os.kill(former.pid, signal.SIGKILL)
    until(lambda: former.pid not in [one.pid for one in shown()])
    assert text(server.client.result(server.client.reply(thread, "go"))) == "ran"
    zygotes = until(lambda: [one for one in shown() if one.entry is not None and one.entry.restarts])
    assert all(one.pid != former.pid for one in zygotes)
    report = look(stage, server).report
    assert report is not None
    (death,) = report.deaths
    assert (death.process.startswith("zygote"), death.pid, death.signal) == (True, former.pid, signal.SIGKILL)
    assert death.doing == "starting commands"
    assert death.conversation_id == (thread if engine == "spawn" else None)


def test_a_conversation_is_described(stage: Stage) -> None:
    server = serve(stage, "fork")
    thread = thread_id(server.client.result(server.client.codex("hello\n  there", cwd=stage.cwd)))
    report = look(stage, server).report
    assert report is not None
    (entry,) = report.conversations
    assert (entry.title, entry.cwd, entry.model) == ("hello there", stage.cwd, "scripted")
    assert entry.session_path == str(stage.home.session(thread))
    assert entry.tokens == TOKENS
    assert entry.idle_for is not None
    assert entry.idle_for >= 0
    assert server.leave() == 0
    later = serve(stage, "fork")
    assert text(later.client.result(later.client.reply(thread, "hello"))) == "hi there"
    report = look(stage, later).report
    assert report is not None
    (entry,) = report.conversations
    assert (entry.title, entry.cwd, entry.tokens) == ("hello there", stage.cwd, 2 * TOKENS), "told by the session file"


def test_the_list_of_sessions_names_the_instance_that_has_one_open(stage: Stage) -> None:
    server = serve(stage, "fork")
    thread = thread_id(server.client.result(server.client.codex("hello", cwd=stage.cwd)))
    (row,) = greenroom(stage, "sessions").stdout.splitlines()[1:]
    assert row.split()[0] == thread
    assert f"instance {server.pid}" in row
    assert server.leave() == 0
    (row,) = greenroom(stage, "sessions").stdout.splitlines()[1:]
    assert "instance" not in row


def test_an_approval_that_waits_is_counted(stage: Stage) -> None:
    server = serve(stage, "fork", capabilities={"elicitation": {}})
    call = server.client.codex("sleep", cwd=stage.cwd, approval_policy="untrusted", sandbox="read-only")
    question = server.client.until(lambda message: message.get("method") == "elicitation/create")
    report = look(stage, server).report
    assert report is not None
    assert [entry.approvals for entry in report.conversations] == [1]
    server.client.send({"id": question["id"], "result": {"action": "decline"}})
    server.client.answer(call)
    report = look(stage, server).report
    assert report is not None
    assert [entry.approvals for entry in report.conversations] == [0]


def test_a_server_that_hangs_is_shown_with_its_processes(stage: Stage, engine: str) -> None:
    server = serve(stage, engine)
    server.settle(2)
    server.signal(signal.SIGSTOP)
    try:
        told = greenroom(stage, "status", "--instance", str(server.pid))
        status = look(stage, server)
        watched = list(watch(stage, server, until="! does not answer"))
    finally:
        server.signal(signal.SIGCONT)
    assert (status.reply, status.report) == ("silent", None)
    assert {one.kind for one in status.troubles} == {"silent", "process_stopped"}
    assert any(f"the supervisor (pid {server.pid}) is stopped" in line for line in watched)
    assert told.returncode == 2, told.stderr
    assert "! does not answer; its last sign of life was" in told.stdout
    roles = [line.split()[0] for line in told.stdout.splitlines()]
    assert roles.count("worker") == 2
    assert roles.count("broker") == 1
    assert roles.count("fork-server") == (engine == "fork")


def test_a_stopped_worker_is_seen_in_each_form(stage: Stage) -> None:
    server = serve(stage, "fork")
    call, thread = begin(stage, server)
    pid = next(one.pid for one in look(stage, server).processes if one.conversation_id == thread)
    os.kill(pid, signal.SIGSTOP)
    try:
        told = greenroom(stage, "status", "--instance", str(server.pid))
        assert told.returncode == 3
        assert f"(pid {pid}) is stopped" in told.stdout
        assert [one.kind for one in look(stage, server).troubles] == ["process_stopped"]
        assert list(watch(stage, server, until=f"(pid {pid}) is stopped", status=3))
    finally:
        os.kill(pid, signal.SIGCONT)
    end(server, call)


def test_a_death_is_seen_and_the_conversation_is_not_gone(stage: Stage) -> None:
    server = serve(stage, "fork")
    call, thread = begin(stage, server)
    doing = "running the tool shell"
    assert _doing(look(stage, server)) == doing  # at this moment, and not at the last sign of life
    pid = next(one.pid for one in look(stage, server).processes if one.conversation_id == thread)
    os.kill(pid, signal.SIGKILL)
    server.client.answer(call)
    report = look(stage, server).report
    assert report is not None
    (entry,) = report.conversations
    assert entry.state == "crashed"
    assert entry.last_death is not None
    last = entry.last_death
    assert (last.pid, last.cause, last.signal, last.exit_code) == (pid, "signal 9 (SIGKILL)", signal.SIGKILL, None)
    assert (last.incarnation, last.doing) == (1, doing)
    assert [death.pid for death in report.deaths] == [pid]


def _doing(status: InstanceStatus) -> str | None:
    assert status.report is not None
    (entry,) = status.report.conversations
    return entry.turn.doing if entry.turn is not None else None


def test_the_death_of_a_helper_is_seen(stage: Stage) -> None:
    server = serve(stage, "fork", variables=SEEDED)
    server.settle(2)
    fork_server, broker = server.fork_server(), server.broker()
    for process in (fork_server, broker):
        process.kill()
    until(lambda: _recovered(reported(stage, server)))
    told = _recovered(look(stage, server).report)
    assert told is not None
    assert {(death.process, death.pid, death.signal) for death in told.deaths} == {
        ("fork_server", fork_server.pid, signal.SIGKILL),
        ("broker", broker.pid, signal.SIGKILL),
    }


def _recovered(report: Report | None) -> Report | None:
    """Return the report once both helpers work again, each after one death."""
    assert report is not None
    helpers = [(one.state, one.restarts) for one in report.processes if one.role in ("fork_server", "broker")]
    return report if helpers == [("ready", 1)] * 2 else None


def test_a_turn_is_interrupted_from_outside(stage: Stage) -> None:
    server = serve(stage, "fork")
    call, thread = begin(stage, server)
    told = greenroom(stage, "interrupt", thread[-12:])
    assert (told.returncode, told.stderr) == (0, "")
    assert server.client.result(call)["structuredContent"]["error"]["kind"] == "turn_aborted"
    told = greenroom(stage, "interrupt", thread)
    assert told.returncode == 3
    again = server.client.reply(thread, "hello")
    assert server.client.result(again)["structuredContent"]["content"] == "hi there"


def test_a_worker_is_killed_from_outside_and_the_next_message_brings_it_back(stage: Stage) -> None:
    server = serve(stage, "fork")
    call, thread = begin(stage, server)
    told = greenroom(stage, "kill", thread)
    assert (told.returncode, told.stderr) == (0, "")
    assert server.client.result(call)["structuredContent"]["error"]["kind"] == "worker_crashed"
    again = server.client.reply(thread, "hello")
    assert server.client.result(again)["structuredContent"]["content"] == "hi there"
    report = look(stage, server).report
    assert report is not None
    assert report.conversations[0].incarnation == 2


def test_a_server_is_stopped_from_outside_and_leaves_nothing(stage: Stage) -> None:
    server = serve(stage, "fork")
    call, _ = begin(stage, server)
    tree = server.tree()
    told = greenroom(stage, "stop", "--instance", str(server.pid))
    assert (told.returncode, told.stdout) == (0, f"instance {server.pid} has ended\n"), told.stderr
    assert server.client.result(call)["structuredContent"]["error"]["kind"] == "turn_aborted"
    assert server.wait() == 0
    assert processes.remaining(tree, within=2) == []
    assert list((stage.runtime / "greenroom").iterdir()) == []


def test_what_a_killed_server_leaves_is_not_taken_for_a_running_one(stage: Stage) -> None:
    server = serve(stage, "fork")
    server.signal(signal.SIGKILL)
    server.wait()
    assert greenroom(stage, "status", "--instance", str(server.pid)).returncode == 1
    assert len(instances.remove_stale([f"{stage.runtime}/greenroom"])) == 1


def test_a_command_of_the_model_is_told_nothing_and_stops_nobody(stage: Stage) -> None:
    """P5: it runs without a sandbox, under the same user, below the server."""
    words = [sys.executable, "-I", "-m", "greenroom.supervisor.main"]
    script = f"{' '.join(words)} status --instance $PPID_OF_SERVER; {' '.join(words)} stop --instance $PPID_OF_SERVER"
    stage.play(
        rule(
            "spy",
            [Call("shell", {"command": ["bash", "-c", script.replace("$PPID_OF_SERVER", "$(cat server.pid)")]})],
            [Text("tried")],
        )
    )
    server = stage.serve("fork")
    (stage.workspace / "server.pid").write_text(str(server.pid))
    until(lambda: any(one.instance.pid == server.pid for one in instances.running([f"{stage.runtime}/greenroom"])))
    call = server.client.codex("spy", cwd=stage.cwd)
    done: Any = server.client.event(call, "exec_command_end")
    assert "what an instance has started itself may not ask" in str(done)
    assert "has ended" not in str(done)
    assert server.client.result(call)["structuredContent"]["content"] == "tried"
