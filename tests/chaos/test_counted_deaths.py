"""Metrics agree with what a test has counted, whatever processes die of."""

import signal
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path

import psutil
import pytest

from greenroom.demo.script import CommandStep, Quote, Stall, Text, rule
from tests.support import processes
from tests.support.client import kind, text, thread_id
from tests.support.deadline import until
from tests.support.faults import Faults, Place
from tests.support.nodes import report
from tests.support.openmetrics import page_at, read_page
from tests.support.server import Server
from tests.support.stage import Stage

pytestmark = [pytest.mark.server, pytest.mark.timeout(180)]

RULES = (
    rule("hello", [Text("Good day.")]),
    rule("stall", [Text("hm"), Stall()]),
    rule("go", [CommandStep(("echo", "here"))], [Quote()]),
)
FLAGS = ("-c", "greenroom.hang_after_s=3", "-c", "greenroom.worker_memory_mb=128", "-c", "greenroom.idle_workers=1")
AT_ONCE = "from greenroom.supervisor.processes import memory_limit; memory_limit.INTERVAL = 0.2"


class Run:
    """Lets processes die one after the other, and counts them and the ends of turns."""

    def __init__(self, stage: Stage, server: Server, faults: Faults, page: Path) -> None:
        self.stage, self.server, self.faults = stage, server, faults
        self._page = str(page)
        self.deaths: Counter[tuple[str, str]] = Counter()
        self.restarts: Counter[str] = Counter()
        self.turns: Counter[tuple[str, str]] = Counter()

    def play(self, role: str, cause: str, deed: "Callable[[Run], None]") -> None:
        """Do a deed that costs one process, and wait until its death is counted."""
        deed(self)
        self.deaths[role, cause] += 1
        if role != "worker":
            self.restarts[role] += 1
        until(lambda: self.read("deaths_total", "role", "cause")[role, cause] == self.deaths[role, cause])
        self.hello()

    def hello(self, thread: str | None = None) -> str:
        """Have a turn that succeeds, in a new conversation or in one that has lost its process."""
        client = self.server.client
        result = client.result(client.codex("hello") if thread is None else client.reply(thread, "hello"))
        assert text(result) == "Good day."
        self.turns["completed", ""] += 1
        self.restarts["worker"] += thread is not None
        return thread_id(result)

    def read(self, name: str, *labels: str) -> "Counter[tuple[str, ...]]":
        """Return the series of a metric, those that are 0 aside."""
        found: Counter[tuple[str, ...]] = Counter()
        for (sample, pairs), value in read_page(page_at(self._page)).items():
            if sample == f"greenroom_{name}" and value:
                found[tuple(map(dict(pairs).__getitem__, labels))] = round(value)
        return found

    def crashed(self, result: Mapping[str, object]) -> None:
        assert kind(dict(result)) == "worker_crashed"
        self.turns["failed", "worker_crashed"] += 1
        self.hello(thread_id(dict(result)))


def in_a_turn(deed: Callable[[psutil.Process], None]) -> Callable[[Run], None]:
    """Return a deed that is done to the worker of a turn."""

    def run(run: Run) -> None:
        client = run.server.client
        call = client.codex("stall")
        thread = client.event(call, "session_configured")["session_id"]
        client.event(call, "agent_message_delta")
        (worker,) = (one for one in report(run.stage)["processes"] if one.get("conversation_id") == thread)
        deed(psutil.Process(worker["pid"]))
        run.crashed(client.result(call))

    return run


def ordered(place: Place) -> Callable[[Run], None]:
    """Return a deed that the worker of a turn does itself at its end."""

    def run(run: Run) -> None:
        run.faults.order(place)
        client = run.server.client
        result = client.result(client.codex("hello"))
        if place == "gone at the end of a turn":
            run.crashed(result)
        else:
            assert text(result) == "Good day."
            run.turns["completed", ""] += 1
        assert run.faults.carried_out()

    return run


def helper(find: Callable[[Server], psutil.Process]) -> Callable[[Run], None]:
    """Return a deed that is done to a process that serves all conversations."""

    def run(run: Run) -> None:
        find(run.server).kill()

    return run


def zygote(server: Server) -> psutil.Process:
    return until(lambda: processes.named(server.fork_server().children(), "gr-zygote"))[0]


DEEDS: tuple[tuple[str, str, Callable[[Run], None]], ...] = (
    ("worker", "SIGKILL", in_a_turn(psutil.Process.kill)),
    ("worker", "SIGABRT", in_a_turn(lambda process: process.send_signal(signal.SIGABRT))),
    ("worker", "hung", in_a_turn(psutil.Process.suspend)),
    ("worker", "exit", ordered("gone at the end of a turn")),
    ("worker", "memory_limit", ordered("swollen after a turn")),
    ("zygote", "SIGKILL", helper(zygote)),
    ("fork_server", "SIGKILL", helper(Server.fork_server)),
    ("broker", "SIGKILL", helper(Server.broker)),
)


def test_deaths_are_counted_by_what_they_were_of(stage: Stage, tmp_path: Path) -> None:
    page = stage.runtime / "metrics"
    stage.play(*RULES, more=f'\n[greenroom]\nmetrics_listen = "unix:{page}"\n')
    faults = Faults(tmp_path / "faults", AT_ONCE)
    server = stage.start("--engine", "fork", *FLAGS, program=faults.program)
    server.client.initialize()
    run = Run(stage, server, faults, page)
    run.hello()
    until(page.exists)
    for role, cause, deed in DEEDS:
        run.play(role, cause, deed)
    assert run.read("deaths_total", "role", "cause") == run.deaths
    restarts = {(role,): count for role, count in run.restarts.items()}
    until(lambda: run.read("restarts_total", "role") == restarts)  # the last death has just been counted
    assert run.read("turns_total", "outcome", "kind") == run.turns
    assert run.read("calls_total", "kind") == {("turn",): run.turns.total()}
    for idle in ("turns_running", "turns_waiting", "calls_open"):
        assert not run.read(idle)
