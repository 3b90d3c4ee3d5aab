"""What a node costs beside a worker of the host: `python -m benchmarks.nodes`. Prints a table for docs/scale.md.

Nodes run on this machine, behind relays that delay each way by half the round trip.
"""

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

import psutil

from greenroom.demo.script import Deltas, Stall, Text, rule
from tests.support import processes
from tests.support.client import text, thread_id
from tests.support.delayed_link import Relay
from tests.support.host import Host, SocketClient, hosting
from tests.support.nodes import NodeProcess, free_ports, settings, ticket
from tests.support.stage import Stage

STARTS: Final = 15
"""Conversations of which the start is timed."""
PIECES: Final = 100_000
"""Pieces of a text, whose cost in the host is measured."""
CALLS: Final = 40
"""Calls at once."""
RULES: Final = (
    rule("hello", [Text("Good day.")]),
    rule("stall", [Text("hm"), Stall()]),
    rule("stream", [Deltas(PIECES)]),
)


@contextmanager
def site(
    nodes: int, round_trip: float = 0.0, bearer: bool = False
) -> Iterator[tuple[Stage, Host, SocketClient, list[NodeProcess]]]:
    """Start a host, with so many nodes that take everything."""
    with tempfile.TemporaryDirectory() as directory, ExitStack() as stack:
        stage = Stage(Path(directory))
        stack.callback(stage.strike)
        port = free_ports()
        stage.play(
            *RULES,
            more=('\nenv_key = "MOCK_API_KEY"\n' if bearer else "")
            + "\n[greenroom]\ndelta_window_ms = 0\n"
            + settings(port, idle_workers=4, host_capacity=0 if nodes else 200),
        )
        host = stack.enter_context(hosting(stage, **({"MOCK_API_KEY": "the-key"} if bearer else {})))
        client = host.client()
        started: list[NodeProcess] = []
        pids = [host.pid]
        for number in range(nodes):
            near = free_ports()
            relay = Relay({near + index: port + index for index in range(5)}, delay=round_trip / 2)
            stack.callback(relay.close)
            node = NodeProcess(stage, f"n{number}", near, ticket(stage, f"n{number}"), capacity=200)
            stack.callback(node.kill)
            node.await_workers(4)
            started.append(node)
            pids.append(node.process.pid)
        settle(lambda: [one for pid in pids for one in processes.tree(pid)])
        yield stage, host, client, started


def settle(trees: Callable[[], list[psutil.Process]]) -> None:
    """Wait until processes have done what they do in advance, such as their imports."""
    before = -1.0
    while processes.processor_time(trees()) - before > 0.05:
        before = processes.processor_time(trees())
        time.sleep(1.0)


def start_ms(stage: Stage, client: SocketClient) -> float:
    """Return the median milliseconds from a call for a new conversation to its request at the model."""
    took = []
    for _ in range(STARTS):
        sent = time.monotonic()
        call = client.codex("hello", cwd=stage.cwd)
        assert text(client.result(call, within=120)) == "Good day."
        took.append((stage.model.requests()[-1].arrived - sent) * 1000)
        time.sleep(0.1)
    return statistics.median(took)


def delta_us(stage: Stage, host: Host, client: SocketClient) -> float:
    """Return the host's microseconds of processor time for each piece of a text."""
    thread = thread_id(client.result(client.codex("hello", cwd=stage.cwd), within=120))
    supervisor = [psutil.Process(host.pid)]
    before = processes.processor_time(supervisor)
    client.result(client.reply(thread, "stream"), within=120)
    return (processes.processor_time(supervisor) - before) / PIECES * 1e6


def calls_seconds(stage: Stage, client: SocketClient, trees: Callable[[], list[psutil.Process]]) -> float:
    """Return the seconds of processor time of all processes for `CALLS` calls at once."""
    before = processes.processor_time(trees())
    calls = [client.codex("hello", cwd=stage.cwd) for _ in range(CALLS)]
    for call in calls:
        client.result(call, within=240)
    return processes.processor_time(trees()) - before


def memory_mb(node: NodeProcess) -> float:
    """Return the megabytes of a node without its workers, what is shared counted in part."""
    own = [one for one in processes.tree(node.process.pid) if processes.name_of(one) != "gr-worker"]
    return sum(one.memory_full_info().pss for one in own) / 1e6


def lost_ms(client: SocketClient, stage: Stage, node: NodeProcess) -> float:
    """Return the milliseconds from the death of a node to the answer of a call there."""
    thread = thread_id(client.result(client.codex("hello", cwd=stage.cwd), within=120))
    call = client.reply(thread, "stall")
    client.event(call, "agent_message_delta")
    killed = time.monotonic()
    node.kill()
    client.result(call, within=20)
    return (time.monotonic() - killed) * 1000


def row(figure: str, host: str, node: str) -> None:
    """Print a row."""
    print(f"| {figure} | {host} | {node} |", flush=True)


def main() -> None:
    """Measure and print."""
    row("Figure", "Host", "Node")
    row("---", "---", "---")
    with site(0) as (stage, host, client, _):
        local_start = start_ms(stage, client)
        local_delta = delta_us(stage, host, client)
        local_calls = calls_seconds(stage, client, lambda: processes.tree(host.pid))
    for round_trip in (0.0, 0.001, 0.02):
        with site(1, round_trip) as (stage, host, client, nodes):
            figure = f"call to request at the model, {round_trip * 1000:g} ms there and back"
            row(figure, f"{local_start:.1f} ms", f"{start_ms(stage, client):.1f} ms")
            if not round_trip:
                row(
                    "a piece of text, CPU of the host",
                    f"{local_delta:.1f} µs",
                    f"{delta_us(stage, host, client):.1f} µs",
                )
                row("a node without its workers", "", f"{memory_mb(nodes[0]):.0f} MB")
                stage.kills_expected = True
                row("node killed to its call answered", "", f"{lost_ms(client, stage, nodes[0]):.0f} ms")
    with site(2) as (stage, host, client, nodes):
        pids = [host.pid, *(node.process.pid for node in nodes)]
        spent = calls_seconds(stage, client, lambda: [one for pid in pids for one in processes.tree(pid)])
        row(f"{CALLS} calls at once, CPU of all", f"{local_calls:.2f} s", f"{spent:.2f} s")


if __name__ == "__main__":
    main()
