"""Each way in which what nodes need is broken is found, on the host and on a node's machine, with what to do."""

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest
import zmq

from greenroom.config.tables.nodes import NodesTable
from greenroom.config.tables.ray_nodes import RayTable
from greenroom.runtime.zmq.zap import ZapAuthenticator
from greenroom.supervisor.cli.doctor.checks import node, nodes
from greenroom.supervisor.cli.doctor.cluster import ClusterError, ask_cluster
from greenroom.supervisor.cli.doctor.finding import Finding
from greenroom.supervisor.processes.endpoints import key_pair
from greenroom.supervisor.processes.nodes.addresses import address_of
from greenroom.supervisor.processes.nodes.join_engine import JoinEngine
from greenroom.supervisor.processes.nodes.keys import KNOWN, NodeKeys
from tests.supervisor.cli.doctor.broken_scenes import Broken, Stagehand
from tests.supervisor.cli.doctor.listing_server import ListingServer, listing_server
from tests.supervisor.cli.doctor.node_scenes import (
    HOST_SCENES,
    NODE_SCENES,
    aim,
    cluster_of,
    joined,
    ticket,
    with_ray,
)
from tests.supervisor.cli.doctor.scene import SECRETS, Scene, everything_said
from tests.support.nodes import free_ports

OF_HOST = frozenset({"nodes", "nodes.ray"})
OF_NODE = frozenset({"node.state", "node.host", "node.key", "node.directories"})


@pytest.fixture(scope="module")
def server() -> Iterator[ListingServer]:
    with listing_server() as running:
        yield running


@pytest.fixture
def scene(tmp_path: Path, server: ListingServer) -> Iterator[Scene]:
    made = Scene(tmp_path, server)
    yield made
    made.close()


@pytest.mark.parametrize(
    ("broken", "ids"),
    [
        *(pytest.param(broken, OF_HOST, id=name) for name, broken in HOST_SCENES.items()),
        *(pytest.param(broken, OF_NODE, id=f"node: {name}") for name, broken in NODE_SCENES.items()),
    ],
)
def test_what_is_broken_is_found(
    broken: Broken, ids: frozenset[str], scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ExitStack() as stack:
        broken.prepare(scene, Stagehand(stack, monkeypatch))
        report = scene.report(ids)
    found = report.checks[broken.check]
    assert found.status == broken.status, found
    assert broken.says in found.summary, found
    assert broken.advises in (found.remediation or ""), found
    assert not [check for check in report.checks.values() if "the check itself failed" in check.summary]
    said = everything_said(report)
    assert not [secret for secret in SECRETS.values() if secret in said]


def test_nothing_is_found_where_all_is_well(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    found = scene.report(OF_HOST).checks
    assert {check.status for check in found.values()} == {"ok"}, "no nodes are set"
    with ExitStack() as stack:
        facts = {"free_memory": 1 << 34, "free_disk": 1 << 34, "round_trip": 0.001}
        joined(**facts)(scene, Stagehand(stack, monkeypatch))
        assert scene.report(OF_HOST).checks["nodes"].status == "ok"
    with_ray(scene, cluster_of({"CPU": 2.0, "node:10.0.0.1": 1.0}))
    found = scene.report(OF_HOST).checks
    assert found["nodes.ray"].status == "ok"
    assert found["nodes.ray"].details["machines"] == ["CPU=2"]


def test_ports_are_not_taken_by_others_where_a_server_of_the_home_says_nothing(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ExitStack() as stack:
        HOST_SCENES["a port for nodes is taken"].prepare(scene, Stagehand(stack, monkeypatch))
        monkeypatch.setattr(nodes, "_ask", lambda _: nodes.ServerReports([], has_silent=True))
        assert scene.report(OF_HOST).checks["nodes"].status == "ok"


def test_nodes_of_a_pool_come_and_go(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    with ExitStack() as stack:
        joined(state="lost")(scene, Stagehand(stack, monkeypatch))
        public = key_pair().public
        scene.write(KNOWN, f'{{"nodes":{{"n1":"{"x" * len(public)}"}},"tickets":{{}},"pools":{{"n":["n1"]}}}}')
        found = scene.report(OF_HOST).checks["nodes"]
    assert (found.status, found.details["pool n"]) == ("ok", "n1")


def test_the_host_is_asked_for_a_key_and_a_ticket_which_stays_good(scene: Scene) -> None:
    first = free_ports()
    keys = NodeKeys(str(scene.home))
    path = ticket(scene)
    before = (scene.home / KNOWN).read_bytes()

    async def look() -> tuple[Finding, Finding]:
        context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        authenticator = ZapAuthenticator(context)
        address = f"tcp://127.0.0.1:{first}"
        engine = JoinEngine(
            context, authenticator, keys, keys.host_keys(), address_of(address, "nodes"), NodesTable(), 0
        )
        engine.listen()
        aim(scene, join=address, ticket=path)
        scene.patience = replace(scene.patience, node=10.0)
        try:
            known = await node.key(scene.context())
            keys.revoke("n1")
            return known, await node.key(scene.context())
        finally:
            engine.close()
            authenticator.close()
            context.destroy(linger=0)

    known, revoked = asyncio.run(look())
    assert (known.status, known.summary) == ("ok", "the host knows the ticket for n1")
    assert (revoked.status, "does not know the ticket for n1" in revoked.summary) == ("fail", True)
    assert "greenroom node ticket" in (revoked.remediation or "")
    assert b"tickets" in before


def test_a_cluster_is_asked_in_a_process_that_is_ended_in_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("greenroom.supervisor.cli.doctor.cluster.STATEMENT", "import time; time.sleep(60)")
    with pytest.raises(ClusterError, match=r"no answer within 0\.2 s"):
        asyncio.run(ask_cluster({}, RayTable(), 0.2))
    for statement, says in (("raise SystemExit('no head')", "no head"), ("print()", "has not told")):
        monkeypatch.setattr("greenroom.supervisor.cli.doctor.cluster.STATEMENT", statement)
        with pytest.raises(ClusterError, match=says):
            asyncio.run(ask_cluster({}, RayTable(), 20.0))
    told = "import os, sys; print(len(sys.argv)); print('[{\"CPU\": %d}]' % ('SOME_TOKEN' in os.environ))"
    monkeypatch.setattr("greenroom.supervisor.cli.doctor.cluster.STATEMENT", told)
    assert asyncio.run(ask_cluster({"SOME_TOKEN": "x"}, RayTable(), 20.0)) == [{"CPU": 0.0}]
