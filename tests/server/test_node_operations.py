"""Adding, losing, upgrading and draining a node: the steps of docs/scale.md, followed as they are written there."""

import json
import re
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import pytest

from greenroom.demo.script import Stall, Text, rule
from greenroom.protocol.internal.node import PROTOCOL
from greenroom.protocol.version import __version__
from tests.support.client import kind, text, thread_id
from tests.support.deadline import until
from tests.support.host import hosting
from tests.support.nodes import NodeProcess, command, free_ports, of_release, reports, settings, ticket
from tests.support.server import MODULE
from tests.support.stage import Stage

pytestmark = [pytest.mark.server, pytest.mark.timeout(600)]

PAGE: Final = Path(__file__).parents[2] / "docs" / "scale.md"
JOIN: Final = "node --join tcp://10.0.0.1:7700"
OLD: Final = "0.0.9"
HELLO = rule("hello", [Text("Good day.")])
STALL = rule("stall", [Text("hm"), Stall()])


def steps(heading: str) -> Iterator[str]:
    """Yield the commands of the numbered steps of a section, in order, without the name of the program."""
    section = PAGE.read_text("utf-8").partition(f"## {heading}\n")[2].partition("\n## ")[0]
    listed = " ".join("".join(re.findall(r"^\d+\. .*\n(?: {3}.*\n)*", section, re.MULTILINE)).split())
    yield from re.findall(r"`greenroom ([^`]*)`", listed)


def test_the_steps_of_the_page_are_these() -> None:
    assert list(steps("Adding a node")) == [
        "node ticket build-1",
        f"{JOIN} --ticket build-1.ticket",
        "status",
    ]
    assert list(steps("Draining a node")) == ["drain build-1", "status", "node revoke build-1"]
    assert list(steps("Upgrading")) == ["serve --replace", "status", "drain build-1", JOIN, "status", "doctor"]
    assert list(steps("Losing a node")) == ["status", "doctor", JOIN, "node revoke build-1"]


class Site:
    """The machines of one host and its nodes, which begin with an old release."""

    def __init__(self, stage: Stage, stack: ExitStack) -> None:
        self.stage, self._stack = stage, stack
        self.port = free_ports()
        self.nodes: dict[str, NodeProcess] = {}

    def node(
        self, name: str, *, release: str = __version__, protocol: int = PROTOCOL, fresh: bool = False
    ) -> NodeProcess:
        """Start a node as on its machine; a fresh one with a ticket."""
        program = MODULE if release == __version__ else of_release(release, protocol)
        given = ticket(self.stage, name) if fresh else None
        self.nodes[name] = node = NodeProcess(self.stage, name, self.port, given, program=program)
        self._stack.callback(node.end)
        return node

    def state(self, name: str, pid: int) -> tuple[str, str] | None:
        """Return state and version of a node, as a host knows them."""
        for told in reports(self.stage):
            for node in told["nodes"] if told["instance"]["pid"] == pid else ():
                if node["name"] == name:
                    return node["state"], node["version"]
        return None

    def await_ready(self, name: str, pid: int, version: str = __version__) -> None:
        until(lambda: self.state(name, pid) == ("ready", version), 30.0)

    def shows(self, line: str) -> None:
        """Wait until the page of the host says so: on a busy machine it may not answer in time at first."""
        until(lambda: line in command(self.stage, "status").stdout, 60.0)

    def do(self, *words: str) -> None:
        done = command(self.stage, *words)
        assert done.returncode == 0, done.stderr

    def doctor(self) -> str:
        """Return what the check of nodes says, once the host has answered it."""

        def look() -> str | None:
            found = json.loads(command(self.stage, "doctor", "--json").stdout)["checks"]["nodes"]
            summary: str = found["summary"]
            return summary if any(name.startswith("node ") for name in found["details"]) else None

        return until(look, 60.0)


def test_the_steps_lead_where_the_page_says(stage: Stage) -> None:
    with ExitStack() as stack:
        site = Site(stage, stack)
        stage.play(HELLO, STALL, more=settings(site.port, host_capacity=0))
        old = stack.enter_context(hosting(stage))
        client = old.client()

        # Adding a node
        for name in ("build-1", "build-2"):
            site.node(name, release=OLD, fresh=True)
            site.await_ready(name, old.pid, OLD)
        site.shows("node build-1: ready")

        # Losing a node
        thread = thread_id(client.result(client.codex("hello", cwd=stage.cwd)))
        call = client.reply(thread, "stall")
        client.event(call, "agent_message_delta")
        (lost,) = (one["node"] for told in reports(stage) for one in told["conversations"] if one["id"] == thread)
        site.nodes[lost].kill()
        stage.kills_expected = True
        assert kind(client.result(call, within=20)) == "worker_crashed"
        assert text(client.result(client.reply(thread, "hello"), within=60)) == "Good day."
        until(lambda: site.state(lost, old.pid) == ("lost", OLD))
        site.shows(f"node {lost}: lost")
        assert f"node {lost} is lost" in site.doctor()
        site.node(lost, release=OLD)
        site.await_ready(lost, old.pid, OLD)

        # Upgrading
        new = stack.enter_context(hosting(stage, "--replace"))
        new.await_socket()
        for name in ("build-1", "build-2"):
            site.await_ready(name, new.pid, OLD)
        client = new.client()
        refused = site.node("build-3", release="0.0.1", protocol=PROTOCOL - 1, fresh=True)
        assert refused.process.wait(60) == 1
        versions = (f"version 0.0.1 (protocol {PROTOCOL - 1})", f"this host {__version__} (protocol {PROTOCOL})")
        assert all(version in refused.told() for version in versions), refused.told()
        site.node("build-3")
        site.await_ready("build-3", new.pid)
        assert f"node build-1 has version {OLD}" in site.doctor()
        threads = [thread_id(client.result(client.codex("hello", cwd=stage.cwd), within=60)) for _ in range(2)]
        for name in ("build-1", "build-2"):
            site.do("drain", name)
            assert site.nodes[name].process.wait(30) == 0
            site.node(name)
            site.await_ready(name, new.pid)
            for thread in threads:
                assert text(client.result(client.reply(thread, "hello"), within=60)) == "Good day."
        assert "has version" not in site.doctor()

        # Draining a node
        site.do("drain", "build-1")
        assert site.nodes["build-1"].process.wait(30) == 0
        site.shows("node build-1: lost")
        site.do("node", "revoke", "build-1")
        again = site.node("build-1")
        assert again.process.wait(30) == 1
        assert "does not know the key" in again.told()
