"""Two nodes on networks of their own: what a cut, a killed node and a killed host cost, and what they leave."""

import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from greenroom.demo.script import Stall, Text, rule
from tests.server.test_nodes import error, running, state_of
from tests.support import processes
from tests.support.client import kind, text, thread_id
from tests.support.deadline import until
from tests.support.delayed_link import Relay
from tests.support.host import hosting
from tests.support.namespaces import Networks, networks
from tests.support.nodes import NodeProcess, free_ports, settings, ticket
from tests.support.stage import Stage

pytestmark = [pytest.mark.server, pytest.mark.timeout(180)]

HELLO = rule("hello", [Text("Good day.")])
STALL = rule("stall", [Text("hm"), Stall()])


@pytest.fixture
def net() -> Iterator[Networks]:
    with ExitStack() as stack:
        try:
            made = stack.enter_context(networks(2))
        except OSError as reason:
            pytest.skip(f"no namespaces of networks here: {reason}")
        yield made


def test_calls_of_a_node_that_is_cut_off_or_killed_are_answered_and_nothing_is_left(
    stage: Stage, net: Networks
) -> None:
    port, model_port = free_ports(), free_ports(1)
    model = stage.play(HELLO, STALL)
    stage.home.configure(
        f"http://{net.address}:{model_port}/v1",
        more=settings(port, address=net.address, host_capacity=0),
    )
    target = int(model.base_url.split(":")[2].split("/")[0])
    relay = Relay({model_port: target}, listen=net.address)
    try:
        with hosting(stage) as host, ExitStack() as stack:
            client = host.client()
            nodes = [
                stack.enter_context(
                    running(
                        NodeProcess(
                            stage,
                            f"n{number}",
                            port,
                            ticket(stage, f"n{number}"),
                            address=net.address,
                            prefix=net.prefix(number),
                        )
                    )
                )
                for number in range(2)
            ]
            for node in nodes:
                node.await_workers()
            until(lambda: {state_of(stage, node.name) for node in nodes} == {"ready"})
            threads = [thread_id(client.result(client.codex("hello", cwd=stage.cwd))) for _ in range(4)]
            calls = [client.reply(thread, "stall") for thread in threads]
            for call in calls:
                client.event(call, "agent_message_delta")

            living = nodes[0].workers()
            cut_at = time.monotonic()
            net.cut(0)
            first = client.next_answer(within=6)["result"]
            second = client.next_answer(within=6)["result"]
            assert time.monotonic() - cut_at < 3.5
            for result in (first, second):
                assert {"kind": "worker_crashed", "cause": "node_lost", "node": "n0"}.items() <= error(result).items()
            assert not processes.remaining(living, 1.0), "cut off, the node has ended them by itself"
            assert client.silent(cut_at + 5.0 - time.monotonic()), "the other node has noticed nothing"
            net.heal(0)
            until(lambda: state_of(stage, "n0") == "ready", 15)

            living = nodes[1].workers()
            killed_at = time.monotonic()
            nodes[1].process.kill()
            third = client.next_answer(within=6)["result"]
            fourth = client.next_answer(within=6)["result"]
            assert time.monotonic() - killed_at < 1.5
            assert {kind(third), kind(fourth)} == {"worker_crashed"}
            assert not processes.remaining(living, 2.0)
            for thread in threads:
                assert text(client.result(client.reply(thread, "hello"))) == "Good day.", "elsewhere"

            nodes[0].await_workers()
            living = nodes[0].workers()
            host.process.kill()
            host.process.wait()
            assert not processes.remaining(living, 4.0)
    finally:
        relay.close()
    stage.kills_expected = True
