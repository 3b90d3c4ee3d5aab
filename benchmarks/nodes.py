"""What a node costs beside a worker of the host, for docs/scale.md: `python -m benchmarks.nodes`.

Nodes run on this machine, behind relays that delay each way by half the round trip. What is compared is measured in
turns, host and node one after the other, so that both have the same from the rest of the machine. Processor time is
that of the kernel's scheduler, in nanoseconds, of all processes of the host and its nodes; neither the model nor the
client is in it.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from greenroom.config.tables.nodes import PORTS
from greenroom.demo.script import Deltas, Stall, Text, rule
from tests.support import processes
from tests.support.client import text, thread_id
from tests.support.deadline import until
from tests.support.delayed_link import Relay
from tests.support.host import Host, SocketClient, hosting
from tests.support.nodes import NodeProcess, free_ports, reports, settings, ticket
from tests.support.stage import Stage

PIECES: Final = 100_000
"""Pieces of a text, whose cost in the host is measured."""
CALLS: Final = 100
"""Calls at once."""
IDLE: Final = 2
"""Workers that wait: on each node, and on the host, whose default it is."""
LOST: Final = 20
"""Calls that run on a node which is lost."""
ROUND_TRIPS: Final = (0.0, 0.001, 0.02)
RULES: Final = (
    rule("hello", [Text("Good day.")]),
    rule("stall", [Text("hm"), Stall()]),
    rule("stream", [Deltas(PIECES)]),
)


@dataclass
class Site:
    """A host, and its nodes, which take everything where there are any."""

    stage: Stage
    host: Host
    client: SocketClient
    nodes: list[NodeProcess] = field(default_factory=list)
    relays: list[Relay] = field(default_factory=list)

    def call(self, prompt: str = "hello") -> int | str:
        return self.client.codex(prompt, cwd=self.stage.cwd)

    def greet(self) -> str:
        """Have a conversation, and return its id."""
        result = self.client.result(self.call(), within=120)
        assert text(result) == "Good day."
        return thread_id(result)

    def used(self) -> float:
        """Return the seconds of processor time that all processes have used."""
        pids = [self.host.pid, *(node.process.pid for node in self.nodes)]
        return sum(processor_seconds(one.pid) for pid in pids for one in processes.tree(pid))

    def settle(self) -> None:
        """Wait until processes have done what they do in advance, such as their imports."""
        before = -1.0
        while (now := self.used()) - before > 0.05:
            before = now
            time.sleep(1.0)


def processor_seconds(pid: int) -> float:
    """Return the seconds of processor time of a process, its ended threads included (clock_getcpuclockid(3))."""
    try:
        return time.clock_gettime((~pid << 3) | 2)
    except OSError:
        return 0.0


@contextmanager
def site(nodes: int, round_trip: float = 0.0, *, credential: bool = False) -> Iterator[Site]:
    """Start a host with so many nodes. `credential`: requests to the model have one, which comes from the broker."""
    with tempfile.TemporaryDirectory() as directory, ExitStack() as stack:
        stage = Stage(Path(directory))
        stack.callback(stage.strike)
        port = free_ports()
        provider = '\nenv_key = "MOCK_API_KEY"\n' if credential else "\n"
        table = settings(port, idle_workers=IDLE, host_capacity=0 if nodes else 200)
        stage.play(*RULES, more=f"{provider}[greenroom]\ndelta_window_ms = 0\n{table}")
        environment = {"MOCK_API_KEY": "the-key"} if credential else {}
        host = stack.enter_context(hosting(stage, **environment))
        built = Site(stage, host, host.client())
        for number in range(nodes):
            near = free_ports()
            relay = Relay({near + index: port + index for index in range(PORTS)}, delay=round_trip / 2)
            stack.callback(relay.close)
            node = NodeProcess(stage, f"n{number}", near, ticket(stage, f"n{number}"), capacity=200)
            stack.callback(node.kill)
            built.nodes.append(node)
            built.relays.append(relay)
        for node in built.nodes:
            node.await_workers(IDLE)
        built.greet()
        built.settle()
        yield built


def start_ms(one: Site) -> float:
    """Return the milliseconds from a call for a new conversation to its request at the model."""
    sent = time.monotonic()
    one.greet()
    return (one.stage.model.requests()[-1].arrived - sent) * 1000


def starts(repeats: int) -> Iterator[Sequence[str]]:
    """Yield rows of how long a new conversation takes to begin."""
    for round_trip in ROUND_TRIPS:
        with site(0, credential=True) as here, site(1, round_trip, credential=True) as there:
            local, remote = [], []
            for _ in range(8 * repeats):
                local.append(start_ms(here))
                remote.append(start_ms(there))
                time.sleep(0.1)  # for the pools
            near, far = statistics.median(local), statistics.median(remote)
            limit = near + 3 * round_trip * 1000 + 3
            figure = f"call for a new conversation to its request at the model, {round_trip * 1000:g} ms there and back"
            yield figure, f"{near:.1f} ms", f"{far:.1f} ms", _judged(far, limit, f"{limit:.1f} ms")


def deltas(repeats: int) -> Iterator[Sequence[str]]:
    """Yield the row of what a piece of text costs the host."""
    with site(0) as here, site(1) as there:
        spent: Mapping[str, list[float]] = {"here": [], "there": []}
        threads = {"here": here.greet(), "there": there.greet()}
        for _ in range(repeats):
            for name, one in (("here", here), ("there", there)):
                before = processor_seconds(one.host.pid)
                one.client.result(one.client.reply(threads[name], "stream"), within=240)
                spent[name].append((processor_seconds(one.host.pid) - before) / PIECES * 1e6)
        near, far = (statistics.median(spent[name]) for name in ("here", "there"))
        verdict = _judged(far, 1.3 * near, f"1.3 times the host's ({far / near:.2f})")
        yield "a piece of text, processor time of the host", f"{near:.2f} µs", f"{far:.2f} µs", verdict


def crowds(repeats: int) -> Iterator[Sequence[str]]:
    """Yield rows of what many calls at once cost, over two nodes, with and without a credential."""
    for credential in (True, False):
        spent: Mapping[int, list[float]] = {0: [], 2: []}
        for _ in range(repeats):
            for nodes, found in spent.items():
                with site(nodes, credential=credential) as one:
                    before = one.used()
                    calls = [one.call() for _ in range(CALLS)]
                    for call in calls:
                        one.client.result(call, within=240)
                    one.settle()
                    found.append(one.used() - before)
        near, far = statistics.median(spent[0]), statistics.median(spent[2])
        ratio = statistics.median(there / here for here, there in zip(spent[0], spent[2], strict=True))
        what = "with a credential from the broker" if credential else "without one"
        figure = f"{CALLS} calls at once over two nodes, processor time of all processes, {what}"
        yield figure, f"{near:.2f} s", f"{far:.2f} s", _judged(ratio, 1.15, f"1.15 times the host's ({ratio:.2f})")


def losses(repeats: int) -> Iterator[Sequence[str]]:
    """Yield rows of how long calls wait whose node is gone: killed, or behind a network that is cut."""
    ways: Mapping[str, tuple[Callable[[Site], None], float]] = {
        "node killed to its calls answered": (lambda one: one.nodes[0].process.kill(), 50.0),
        "network of a node cut to its calls answered": (lambda one: one.relays[0].cut(), 3000.0),
    }
    for figure, (lose, limit) in ways.items():
        took: list[float] = []
        for _ in range(repeats):
            with site(1) as one:
                one.stage.kills_expected = True
                calls = [one.call("stall") for _ in range(LOST)]
                for call in calls:
                    one.client.event(call, "agent_message_delta")
                lost_at = time.monotonic()
                lose(one)
                for call in calls:
                    one.client.result(call, within=20)
                    took.append((time.monotonic() - lost_at) * 1000)
        worst = sorted(took)[round(0.99 * (len(took) - 1))]
        told = f"p99 {worst:.0f} ms, median {statistics.median(took):.0f} ms"
        yield f"{figure}, {len(took)} calls", "", told, _judged(worst, limit, f"p99 {limit:.0f} ms")


def memory(_: int) -> Iterator[Sequence[str]]:
    """Yield the row of the memory of a node without its workers, what is shared counted in part."""
    with site(1) as one:
        until(lambda: reports(one.stage))
        own = [part for part in processes.tree(one.nodes[0].process.pid) if processes.name_of(part) != "gr-worker"]
        size = sum(part.memory_full_info().pss for part in own) / 1e6
        yield "a node without its workers", "", f"{size:.0f} MB", _judged(size, 60.0, "60 MB")


def _judged(value: float, limit: float, words: str) -> str:
    return f"{words}: {'met' if value <= limit else 'not met'}"


EXPERIMENTS: Final[Mapping[str, Callable[[int], Iterator[Sequence[str]]]]] = {
    "starts": starts,
    "deltas": deltas,
    "crowds": crowds,
    "losses": losses,
    "memory": memory,
}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Measure what a node costs.")
    parser.add_argument("--only", action="append", choices=tuple(EXPERIMENTS), help="this experiment; repeatable")
    parser.add_argument("--quick", action="store_true", help="each figure once, for a look whether it can be measured")
    arguments = parser.parse_args()
    print("| Figure | Host | Node | Budget |\n|---|---|---|---|", flush=True)
    for name in arguments.only or EXPERIMENTS:
        for row in EXPERIMENTS[name](1 if arguments.quick else 5):
            print(f"| {' | '.join(row)} |", flush=True)


if __name__ == "__main__":
    main()
