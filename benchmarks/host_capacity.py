"""What one host spends on nodes, calls, events and conversations: `python -m benchmarks.host_capacity [FILE]`.

Prints a table for docs/scale.md, and writes the costs to FILE (TOML) for `python -m benchmarks.simulation`. All of it,
the node and the model as well, runs on this machine; processor time is that of single processes of the host.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Final

from benchmarks.host_figures import FILES, LIVE, NODES, RATE, WIDE_WINDOW, Figures, Process
from benchmarks.light_nodes import Crew, key_file
from benchmarks.model_process import PacedModel, prompt
from benchmarks.quiet_client import QuietClient
from greenroom.protocol.ids import ConversationId, uuid7
from greenroom.sessions.storage.finder import find_listed
from greenroom.supervisor.processes.endpoints import key_pair
from greenroom.supervisor.processes.nodes.keys import NodeKeys
from tests.support import processes
from tests.support.deadline import until
from tests.support.host import Host, hosting
from tests.support.nodes import NodeProcess, free_ports, settings, ticket
from tests.support.stage import Stage

KEY: Final = "MOCK_API_KEY"
TRIVIAL: Final = prompt(0)
"""Is answered with a single delta."""
ROUNDS: Final = 20
"""Replies of each of them."""
SECONDS: Final = 10.0
"""For which streams, and nodes that do nothing, are watched."""
PARKED: Final = (200, 1000)
"""Numbers of parked conversations that are compared."""
COMMITS: Final = 400
TIMEOUT: Final = 120.0


@dataclass(frozen=True, slots=True)
class Site:
    """A host, its client, and the model."""

    stage: Stage
    host: Host
    client: QuietClient
    model: PacedModel
    port: int
    nodes: Sequence[NodeProcess]
    idle_workers: int

    @property
    def supervisor(self) -> Process:
        """The supervisor of the host."""
        return Process(self.host.pid)

    @property
    def broker(self) -> Process:
        """The auth broker of the host."""
        (found,) = processes.named(processes.tree(self.host.pid), "gr-broker")
        return Process(found.pid)

    def start(self, count: int, at_once: int = 10) -> list[str]:
        """Open so many conversations, and have a turn in each."""
        threads: list[str] = []
        while len(threads) < count:
            some = range(min(at_once, count - len(threads)))
            calls = [self.client.call("codex", prompt=TRIVIAL, cwd=self.stage.cwd) for _ in some]
            threads += [self.client.result(call, TIMEOUT)["structuredContent"]["threadId"] for call in calls]
        return threads

    def reply(self, threads: Sequence[str], text: str = TRIVIAL) -> None:
        """Have a turn in each, at once."""
        for call in self.replies(threads, text):
            self.client.result(call, TIMEOUT)

    def replies(self, threads: Sequence[str], text: str) -> list[int]:
        """Call for a turn in each, and return the ids of the requests."""
        return [self.client.call("codex-reply", threadId=thread, prompt=text) for thread in threads]

    def await_parked(self) -> None:
        """Wait until no conversation has a process, and all of the host is at rest."""
        until(lambda: all(len(node.workers()) <= self.idle_workers for node in self.nodes), TIMEOUT)
        settle(self.host.pid)


@contextmanager
def site(nodes: int = 1, *, idle_workers: int = 4, more: str = "") -> Iterator[Site]:
    """Start a host that gives all conversations to a node, or to none."""
    with tempfile.TemporaryDirectory() as directory, ExitStack() as stack:
        stage = Stage(Path(directory))
        stack.callback(stage.strike)
        stage.play()
        model = stack.enter_context(PacedModel.start())
        port = free_ports()
        table = settings(port, idle_workers=idle_workers, host_capacity=0)
        more = f'env_key = "{KEY}"\n\n[greenroom]\n{more}\n{table}'
        stage.home.configure(model.base_url, more=f"\n{more}")
        host = stack.enter_context(hosting(stage, **{KEY: "a key"}))
        host.await_socket()
        client = QuietClient(host.path)
        stack.callback(client.close)
        started = []
        for number in range(nodes):
            node = NodeProcess(stage, f"n{number}", port, ticket(stage, f"n{number}"), capacity=500)
            started.append(node)
            stack.callback(node.end)
            node.await_workers(idle_workers)
        settle(host.pid)
        yield Site(stage, host, client, model, port, started, idle_workers)


def settle(pid: int) -> None:
    """Wait until the processes of a host have done what they do in advance."""
    before = -1.0
    while processes.processor_time(processes.tree(pid)) - before > 0.03:
        before = processes.processor_time(processes.tree(pid))
        time.sleep(1.0)


def live(figures: Figures) -> None:
    """Measure new conversations on a node, replies there, and streams."""
    with site() as at:
        supervisor, broker = at.supervisor, at.broker
        at.start(4)
        settle(at.host.pid)
        cpu, broker_cpu = supervisor.cpu(), broker.cpu()
        memory, descriptors, broker_descriptors = supervisor.memory(), supervisor.descriptors(), broker.descriptors()
        threads = at.start(LIVE)
        settle(at.host.pid)
        figures.add("new_cpu", (supervisor.cpu() - cpu) / LIVE * 1e3)
        figures.add("new_broker_cpu", (broker.cpu() - broker_cpu) / LIVE * 1e3)
        figures.add("live_memory", (supervisor.memory() - memory) / LIVE / 1e3)
        figures.add("live_descriptors", (supervisor.descriptors() - descriptors) / LIVE)
        figures.add("live_broker_descriptors", (broker.descriptors() - broker_descriptors) / LIVE)
        cpu, broker_cpu, began = supervisor.cpu(), broker.cpu(), time.monotonic()
        for _ in range(ROUNDS):
            at.reply(threads)
        elapsed, calls = time.monotonic() - began, ROUNDS * LIVE
        figures.add("call_cpu", (supervisor.cpu() - cpu) / calls * 1e3)
        figures.add("call_broker_cpu", (broker.cpu() - broker_cpu) / calls * 1e3)
        figures.add("calls_a_second", calls / elapsed)
        delta = stream(at, threads[: LIVE // 2], RATE)
        figures.add("delta_cpu", delta * 1e6)
        figures.add("fast_delta_cpu", stream(at, threads[: LIVE // 2], 4 * RATE) * 1e6)
        figures.add("stream_cpu", delta * RATE * 1e3)


def wide_windows(figures: Figures) -> None:
    """Measure what streams cost where the pieces of a text are gathered for longer."""
    with site(more=f"delta_window_ms = {WIDE_WINDOW}") as at:
        threads = at.start(LIVE // 2)
        settle(at.host.pid)
        figures.add("wide_stream_cpu", stream(at, threads, RATE) * RATE * 1e3)


def stream(at: Site, threads: Sequence[str], rate: int) -> float:
    """Return the supervisor's seconds for each delta of conversations that stream."""
    calls = at.replies(threads, prompt(rate))
    until(lambda: at.model.report().streaming == len(threads), TIMEOUT)
    time.sleep(1.0)
    sent, cpu = at.model.report().sent, at.supervisor.cpu()
    time.sleep(SECONDS)
    used, pieces = at.supervisor.cpu() - cpu, at.model.report().sent - sent
    at.model.stop()
    for call in calls:
        at.client.result(call, TIMEOUT)
    return used / pieces


def parked(figures: Figures) -> None:
    """Measure parked conversations, and how they are brought back."""
    with site(more="park_after_s = 1.0") as at:
        few, many = PARKED

        def grow(count: int) -> tuple[list[str], int]:
            threads = at.start(count)
            at.await_parked()
            return threads, at.supervisor.memory()

        _, before = grow(few)
        threads, after = grow(many - few)
        figures.add("parked_memory", (after - before) / (many - few) / 1e3)
        cpu, broker_cpu = at.supervisor.cpu(), at.broker.cpu()
        woken = threads[:LIVE]
        for number in range(0, LIVE, 10):
            at.reply(woken[number : number + 10])
        figures.add("resume_cpu", (at.supervisor.cpu() - cpu) / LIVE * 1e3)
        figures.add("resume_broker_cpu", (at.broker.cpu() - broker_cpu) / LIVE * 1e3)


def idle_nodes(figures: Figures) -> None:
    """Measure what nodes cost that have nothing to do, and how many can join at once."""
    with site(0, idle_workers=0) as at:
        at.start(1)
        supervisor = at.supervisor
        settle(at.host.pid)
        cpu, began = supervisor.cpu(), time.monotonic()
        time.sleep(SECONDS)
        base = (supervisor.cpu() - cpu) / (time.monotonic() - began)
        memory, descriptors = supervisor.memory(), supervisor.descriptors()
        for count in NODES:
            with light_nodes(at, count) as join_again:
                time.sleep(1.0)
                cpu, began = supervisor.cpu(), time.monotonic()
                time.sleep(SECONDS)
                used = (supervisor.cpu() - cpu) / (time.monotonic() - began) - base
                figures.add(f"idle_node_cpu_{count}", used / count * 1e3)
                if count == NODES[-1]:
                    figures.add("node_memory", (supervisor.memory() - memory) / count / 1e3)
                    figures.add("node_descriptors", (supervisor.descriptors() - descriptors) / count)
                    cpu = supervisor.cpu()
                    took = [join_again() for _ in range(5)]
                    spent = (supervisor.cpu() - cpu) / len(took) / count
                    figures.add("join_cpu", spent * 1e3)
                    figures.add("join_seconds", median(took))


@contextmanager
def light_nodes(at: Site, count: int) -> Iterator[Callable[[], float]]:
    """Have so many nodes without workers join; yields what makes them join again, and returns the seconds it took."""
    home = str(at.stage.home.path)
    keys = NodeKeys(home)
    pairs = [key_pair() for _ in range(count)]
    for number, pair in enumerate(pairs):
        keys.redeem(f"light-{count}-{number}", keys.issue(f"light-{count}-{number}").public_key, pair.public)
    crew = Crew(f"tcp://127.0.0.1:{at.port}", keys.host_keys().public, tuple(pairs))
    with tempfile.TemporaryDirectory() as directory:
        program = (sys.executable, "-m", "benchmarks.light_nodes", key_file(directory, crew))
        process = subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert process.stdin is not None
        assert process.stdout is not None
        answers, questions = process.stdout, process.stdin

        def joined() -> float:
            return float(answers.readline().split()[1])

        def join_again() -> float:
            questions.write("again\n")
            questions.flush()
            return joined()

        try:
            joined()
            yield join_again
        finally:
            questions.close()
            process.wait(TIMEOUT)
            answers.close()
            for number in range(count):
                keys.revoke(f"light-{count}-{number}")


def disk(figures: Figures) -> None:
    """Measure the flush of a session file, alone and from four threads as the host has, and the search for one."""
    with tempfile.TemporaryDirectory(dir=os.environ.get("GREENROOM_BENCHMARK_DISK")) as directory:
        line = b"x" * 1500 + b"\n"

        def commits(name: str) -> list[float]:
            took = []
            with open(os.path.join(directory, name), "ab", buffering=0) as file:
                for _ in range(COMMITS):
                    began = time.monotonic()
                    file.write(line)
                    os.fdatasync(file.fileno())
                    took.append(time.monotonic() - began)
            return took

        figures.add("commit", median(commits("one")) * 1e3)
        began = time.monotonic()
        with ThreadPoolExecutor(4) as threads:
            list(threads.map(commits, ["a", "b", "c", "d"]))
        figures.add("commits_a_second", 4 * COMMITS / (time.monotonic() - began))
    with tempfile.TemporaryDirectory() as home:
        made = 0
        day = Path(home, "sessions", time.strftime("%Y/%m/%d", time.gmtime()))
        day.mkdir(parents=True)
        later = time.strftime("%Y-%m-%dT%H-%M-%S", time.localtime(time.time() + 60))
        for count in FILES:
            while made < count:
                identifier = uuid7()
                (day / f"rollout-{later}-{identifier}.jsonl").touch()
                made += 1
            took = []
            for _ in range(5):
                began = time.process_time()
                assert find_listed(home, ConversationId(identifier))
                took.append(time.process_time() - began)
            figures.add(f"find_{count}", median(took) * 1e3)


def main() -> None:
    """Measure and print."""
    figures = Figures()
    print("| Figure | Measured |\n|---|---|", flush=True)
    for experiment in (disk, idle_nodes, live, wide_windows, parked):
        experiment(figures)
    if len(sys.argv) > 1:
        figures.write(sys.argv[1])


if __name__ == "__main__":
    main()
