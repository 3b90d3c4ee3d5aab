"""Conversations on another machine: the same answers and files, and an end for every call whatever is lost."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from greenroom.config.tables.nodes import PORTS
from greenroom.demo.script import CommandStep, Quote, Stall, Text, rule
from tests.support import processes
from tests.support.client import kind, text, thread_id
from tests.support.deadline import until
from tests.support.delayed_link import Relay
from tests.support.home import records, stored_events
from tests.support.host import Host, hosting
from tests.support.model import Gate
from tests.support.nodes import NodeProcess, command, free_ports, report, reports, settings, ticket
from tests.support.stage import Stage

pytestmark = [pytest.mark.server, pytest.mark.timeout(180)]

HELLO = rule("hello", [Text("Good day.")])
STALL = rule("stall", [Text("hm"), Stall()])


@contextmanager
def running(node: NodeProcess) -> Iterator[NodeProcess]:
    """End a node at the end, whatever became of it."""
    try:
        yield node
    finally:
        if node.process.poll() is None:
            node.process.kill()
        node.process.wait()


def error(result: dict[str, object]) -> dict[str, object]:
    """Return the facts of a failure."""
    content = result["structuredContent"]
    assert isinstance(content, dict)
    found: dict[str, object] = content["error"]
    return found


def state_of(stage: Stage, name: str) -> str:
    """Return the state of a node, as the host reports it."""
    (found,) = (node["state"] for node in report(stage)["nodes"] if node["name"] == name)
    return str(found)


def states_of(stage: Stage, name: str) -> dict[int, str]:
    """Return the state of a node by the pid of each host that knows it and has not left it."""
    return {
        told["instance"]["pid"]: str(node["state"])
        for told in reports(stage)
        for node in told["nodes"]
        if node["name"] == name
    }


def pid_on_node(stage: Stage, thread: str) -> int:
    """Return the process of a conversation on its node, once the node has told it."""

    def told() -> int | None:
        (process,) = (one for one in report(stage)["processes"] if one.get("conversation_id") == thread)
        pid: int | None = process["node_pid"]
        return pid

    return until(told)


def test_a_conversation_runs_on_a_node_and_all_that_lasts_is_at_home(stage: Stage) -> None:
    port = free_ports()
    work = rule("work", [CommandStep(("sh", "-c", "echo below $PPID"))], [Quote()])
    stage.play(HELLO, work, more='\nenv_key = "MOCK_API_KEY"\n' + settings(port, host_capacity=0))
    (stage.home.path / "AGENTS.md").write_text("Always be brief.")
    with hosting(stage, MOCK_API_KEY="the-key") as host:
        client = host.client()
        assert text(client.result(client.codex("hello"))) == "Good day.", "without nodes the host serves"
        given = ticket(stage, "n1")
        with running(NodeProcess(stage, "n1", port, given)) as node:
            node.await_workers()
            until(lambda: state_of(stage, "n1") == "ready")
            call = client.codex("hello", cwd=stage.cwd)
            result = client.result(call)
            assert text(result) == "Good day."
            thread = thread_id(result)
            assert "agent_message_delta" in [event["type"] for event in client.events(call)]
            told = report(stage)
            (entry,) = (one for one in told["conversations"] if one["id"] == thread)
            assert entry["node"] == "n1"
            assert pid_on_node(stage, thread) in [one.pid for one in node.workers()]
            file = stage.home.session(thread)
            kinds = [found for found, _ in records(file)]
            assert kinds[0] == "session_meta"
            assert "task_complete" in stored_events(file)
            assert "Always be brief." in file.read_text()
            assert "below" in text(client.result(client.reply(thread, "work"), within=60))
            assert text(client.result(client.reply(thread, "hello"))) == "Good day."
            assert not list(node.state.rglob("rollout-*"))
            assert not list(node.state.rglob("auth.json"))
            with running(NodeProcess(stage, "thief", port, given)) as thief:
                assert thief.process.wait(30) == 1, "a ticket is good once"
                assert "does not know the key" in thief.told()
            page = command(stage, "status").stdout
            assert "node n1: ready" in page
            drained = command(stage, "drain", "n1")
            assert drained.returncode == 0, drained.stderr
            assert node.process.wait(30) == 0
            assert state_of(stage, "n1") == "lost"
            assert text(client.result(client.reply(thread, "hello"))) == "Good day.", "it goes on at home"
        with running(NodeProcess(stage, "n1", port)) as again:
            again.await_workers()
            assert command(stage, "node", "revoke", "n1").returncode == 0
            assert again.process.wait(10) == 0
            assert "revoked" in again.told()
        pool = ticket(stage, "pool", "--pool", "2", "--minutes", "60")
        for _ in range(2):  # with its ticket, and without one that has been taken away
            with running(NodeProcess(stage, "pool-1", port, pool, more=("--name", "pool-1"))) as member:
                member.await_workers()
                assert member.end() == 0
            pool.unlink(missing_ok=True)
    assert not stage.left_over(3.0)


def test_a_death_on_a_node_is_told_and_the_next_message_goes_on(stage: Stage) -> None:
    port = free_ports()
    stage.play(HELLO, STALL, more=settings(port, host_capacity=0))
    with hosting(stage) as host:
        client = host.client()
        with running(NodeProcess(stage, "n1", port, ticket(stage, "n1"))) as node:
            node.await_workers()
            thread = thread_id(client.result(client.codex("hello", cwd=stage.cwd)))
            worker = pid_on_node(stage, thread)
            call = client.reply(thread, "stall")
            client.event(call, "agent_message_delta")
            os.kill(worker, signal.SIGKILL)
            result = client.result(call, within=5)
            assert kind(result) == "worker_crashed"
            assert {"signal": 9, "node": "n1"}.items() <= error(result).items()
            assert text(client.result(client.reply(thread, "hello"))) == "Good day."

            call = client.reply(thread, "stall")
            client.event(call, "agent_message_delta")
            living = node.workers()
            killed_at = time.monotonic()
            node.process.kill()
            result = client.result(call, within=5)
            took = time.monotonic() - killed_at
            assert kind(result) == "worker_crashed"
            assert {"cause": "node_lost", "node": "n1"}.items() <= error(result).items()
            assert took < 1.5, "long before any lease is over"
            assert not processes.remaining(living, 2.0)
            assert text(client.result(client.reply(thread, "hello"))) == "Good day."
            assert "task_complete" in stored_events(stage.home.session(thread))
    stage.kills_expected = True


def test_a_short_cut_costs_nothing_and_a_long_one_the_turns_of_the_node(stage: Stage) -> None:
    port, near = free_ports(), free_ports()
    gate = Gate()
    stage.play(
        HELLO, rule("wait", [Text("waiting"), gate.wait, Text(" done")]), STALL, more=settings(port, host_capacity=0)
    )
    relay = Relay({near + index: port + index for index in range(PORTS)})
    try:
        with hosting(stage) as host:
            client = host.client()
            with running(NodeProcess(stage, "n1", near, ticket(stage, "n1"))) as node:
                node.await_workers()
                call = client.codex("wait", cwd=stage.cwd)
                client.event(call, "agent_message_delta")
                relay.cut()
                until(lambda: state_of(stage, "n1") == "away", 2.0)
                stage.model.open(gate)
                relay.heal()
                result = client.result(call)
                assert text(result) == " done"
                thread = thread_id(result)
                until(lambda: state_of(stage, "n1") == "ready")

                call = client.reply(thread, "stall")
                client.event(call, "agent_message_delta")
                living = node.workers()
                cut_at = time.monotonic()
                relay.cut()
                result = client.result(call, within=6)
                assert time.monotonic() - cut_at < 3.5
                assert {"kind": "worker_crashed", "cause": "node_lost"}.items() <= error(result).items()
                assert not processes.remaining(living, 1.0), "the node has ended them without a word of the host"
                assert text(client.result(client.reply(thread, "hello"))) == "Good day."
                relay.heal()
                until(lambda: state_of(stage, "n1") == "ready")
                node.await_workers()
                assert text(client.result(client.codex("hello", cwd=stage.cwd))) == "Good day."
    finally:
        relay.close()


def test_nodes_find_the_next_host_after_one_was_killed(stage: Stage) -> None:
    port = free_ports()
    stage.play(HELLO, STALL, more=settings(port, host_capacity=0))
    with hosting(stage) as host, running(NodeProcess(stage, "n1", port, ticket(stage, "n1"))) as node:
        node.await_workers()
        client = host.client()
        thread = thread_id(client.result(client.codex("hello", cwd=stage.cwd)))
        call = client.reply(thread, "stall")
        client.event(call, "agent_message_delta")
        living = node.workers()
        host.process.kill()
        host.process.wait()
        assert not processes.remaining(living, 4.0)
        with hosting(stage) as successor:
            client = successor.client()
            node.await_workers()
            until(lambda: state_of(stage, "n1") == "ready")
            assert text(client.result(client.reply(thread, "hello"))) == "Good day."
            (entry,) = (one for one in report(stage)["conversations"] if one["id"] == thread)
            assert entry["node"] == "n1"
    stage.kills_expected = True


def test_a_host_that_is_replaced_leaves_its_nodes_after_their_turns(stage: Stage) -> None:
    port = free_ports()
    gate = Gate()
    wait = rule("wait", [Text("waiting"), gate.wait, Text(" done")])
    stage.play(HELLO, wait, more=settings(port, host_capacity=0))
    with hosting(stage) as old, running(NodeProcess(stage, "n1", port, ticket(stage, "n1"))) as node:
        node.await_workers()
        client = old.client()
        resting = thread_id(client.result(client.codex("hello", cwd=stage.cwd)))
        call = client.codex("wait", cwd=stage.cwd)
        client.event(call, "agent_message_delta")
        with hosting(stage, "--replace") as new:
            new.await_socket()
            other = new.client()
            assert text(other.result(other.reply(resting, "hello"))) == "Good day.", "at home, as the node is not free"
            stage.model.open(gate)
            result = client.result(call)
            assert text(result) == " done", "on the node, by the old host"
            assert node.process.poll() is None, "the node goes over as it is"
            until(lambda: states_of(stage, "n1") == {new.pid: "ready"}, 20.0)
            fresh = other.result(other.codex("hello", cwd=stage.cwd))
            again = other.result(other.reply(thread_id(result), "hello"))
            assert (text(fresh), text(again)) == ("Good day.", "Good day.")
            (told,) = [one for one in reports(stage) if one["instance"]["pid"] == new.pid]
            placed = {one["id"]: one["node"] for one in told["conversations"]}
            assert placed[thread_id(fresh)] == placed[thread_id(result)] == "n1"
            assert stored_events(stage.home.session(thread_id(result))).count("task_complete") == 2
            client.leave()
            assert old.wait() == 0


def test_a_directory_is_mapped_one_that_is_missing_is_named_and_resources_are_had(stage: Stage, tmp_path: Path) -> None:
    port = free_ports()
    there, lacking = tmp_path / "there", tmp_path / "lacking"
    (there / "project").mkdir(parents=True)
    paths = "[greenroom.nodes.n1]\nresources = { gpu_box = 1 }\n"
    paths += f'[greenroom.nodes.n1.paths]\n"{stage.cwd}" = "{there}"\n"{lacking}" = "{tmp_path}/nowhere"'
    where = rule("where", [CommandStep(("pwd",))], [Quote()])
    stage.play(HELLO, where, more=settings(port, host_capacity=0, more=paths))
    (stage.workspace / "project").mkdir()
    with hosting(stage) as host:
        client = host.client()
        with running(NodeProcess(stage, "n1", port, ticket(stage, "n1"))) as node:
            node.await_workers()
            result = client.result(client.codex("where", cwd=f"{stage.cwd}/project"), within=60)
            assert f"{there}/project" in text(result)
            (meta,) = (
                payload for found, payload in records(stage.home.session(thread_id(result))) if found == "session_meta"
            )
            assert meta["cwd"] == f"{stage.cwd}/project"
            box, more = ({"greenroom.resources": {"gpu_box": count}} for count in (1, 2))
            boxed = client.result(client.codex("hello", cwd=stage.cwd, config=box), within=60)
            told = {one["id"]: one["node"] for one in report(stage)["conversations"]}
            assert told[thread_id(boxed)] == "n1"
            none = client.result(client.codex("hello", cwd=stage.cwd, config=more))
            assert kind(none) == "start_failed"
            assert "no node has gpu_box=2" in text(none)
            failed = client.result(client.codex("hello", cwd=str(lacking)))
            assert f"node n1 lacks the directory {tmp_path}/nowhere" in text(failed)
            lacking.mkdir()
            assert text(client.result(client.codex("hello", cwd=str(lacking)))) == "Good day.", "the host has it now"


def test_a_node_that_is_stopped_is_given_up_and_what_it_still_has_is_fenced(stage: Stage) -> None:
    port = free_ports()
    gate = Gate()
    wait = rule("wait", [Text("waiting"), gate.wait, Text("too late")])
    stage.play(HELLO, wait, more=settings(port, host_capacity=0))
    with hosting(stage) as host:
        client = host.client()
        with running(NodeProcess(stage, "n1", port, ticket(stage, "n1"))) as node:
            node.await_workers()
            thread = thread_id(client.result(client.codex("hello", cwd=stage.cwd)))
            call = client.reply(thread, "wait")
            client.event(call, "agent_message_delta")
            worker = pid_on_node(stage, thread)
            node.process.send_signal(signal.SIGSTOP)
            assert error(client.result(call, within=6))["cause"] == "node_lost"
            assert text(client.result(client.reply(thread, "hello"))) == "Good day.", "at home"
            stage.model.open(gate)
            assert processes.ends(worker, 5.0), "it has no lock, no host and no place any more"
            assert "too late" not in stage.home.session(thread).read_text()
            node.process.send_signal(signal.SIGCONT)
            until(lambda: state_of(stage, "n1") == "ready")
            node.await_workers()


def test_conversations_wait_for_room_and_leave_a_node_that_is_asked_to_end(stage: Stage) -> None:
    port = free_ports()
    stage.play(HELLO, more=settings(port, host_capacity=0, wait_for_nodes=True))
    with hosting(stage) as host:
        client = host.client()
        calls = [client.codex("hello", cwd=stage.cwd) for _ in range(2)]
        until(lambda: metric(stage, host, 'greenroom_node_conversations{state="waiting"}') == 2)
        assert not stage.model.requests()
        first = NodeProcess(stage, "n1", port, ticket(stage, "n1"), capacity=1)
        with running(first):
            threads = [thread_id(client.result(call, within=60)) for call in calls]
            assert metric(stage, host, "greenroom_node_capacity") == 1, "one after the other: the first was parked"
            assert metric(stage, host, 'greenroom_nodes{state="ready"}') == 1
            assert metric(stage, host, 'greenroom_node_conversations{state="placed"}') == 1
            assert first.end() == 0
            assert "it was drained" in first.told()
            assert metric(stage, host, 'greenroom_node_conversations{state="placed"}') == 0
        call = client.reply(threads[0], "hello")
        until(lambda: metric(stage, host, "greenroom_conversations_waiting") == 1)
        with running(NodeProcess(stage, "n2", port, ticket(stage, "n2"), capacity=1)):
            assert text(client.result(call, within=60)) == "Good day."
    assert not stage.left_over(3.0)


def metric(stage: Stage, host: Host, name: str) -> float:
    """Return a value of the page of metrics of a host, whatever process it is of; no number before it has one."""
    page = command(stage, "metrics", "--instance", str(host.process.pid)).stdout
    wanted, _, labels = name.partition("{")
    label = labels.rstrip("}")
    found = (
        float(line.rpartition(" ")[2]) for line in page.splitlines() if line.startswith(f"{wanted}{{") and label in line
    )
    return next(found, float("nan"))
