"""The metrics of a real server agree with what its client and its model have counted, also where processes die."""

import json
import random
from collections import Counter
from pathlib import Path
from typing import Any

from greenroom.demo.script import CommandStep, FailStep, First, Quote, ScriptedUsage, Stall, Text, rule
from greenroom.supervisor.cli.status.control_client import ask
from greenroom.supervisor.control import instances
from greenroom.supervisor.control.control_messages import ActionDone, GiveReport, KillConversation, Reported
from tests.supervisor.cli.status.test_real_server import greenroom
from tests.support import processes
from tests.support.client import kind, text
from tests.support.deadline import until
from tests.support.host import hosting
from tests.support.openmetrics import Samples, page_at, read_page
from tests.support.server import Server
from tests.support.stage import Stage

STEPS = 12
LIMITED = FailStep(429, {"error": {"message": "slow down"}}, {"Retry-After": "0"})
RULES = (
    rule(
        "quick", [ScriptedUsage(input_tokens=10, cached_tokens=4, output_tokens=3, reasoning_tokens=1), Text("Done.")]
    ),
    rule("command", [ScriptedUsage(10, 0, 3), CommandStep(("true",))], [ScriptedUsage(20, 0, 5), Quote()]),
    rule("limited", [First(1, LIMITED), ScriptedUsage(10, 0, 3), Text("Done.")]),
    rule("refused", [FailStep(400, {"error": {"message": "no"}})]),
    rule("stall", [Text("hm"), Stall()]),
)


def samples(stage: Stage, server: Server) -> Samples:
    """Return what `greenroom metrics` prints, without the process id that tells instances apart."""
    told = greenroom(stage, "metrics", "--instance", str(server.pid))
    assert told.returncode == 0, told.stderr
    found = read_page(told.stdout)
    return {
        (name, frozenset(one for one in labels if one[0] != "pid")): value for (name, labels), value in found.items()
    }


def value(found: Samples, name: str, **labels: str) -> float:
    return found.get((f"greenroom_{name}", frozenset(labels.items())), 0.0)


class Account:
    """Does one thing after the other, as a seed decides, and counts what becomes of it."""

    def __init__(self, stage: Stage, server: Server, seed: int) -> None:
        self.client, self._random = server.client, random.Random(seed)
        parents = [f"{stage.runtime}/greenroom"]
        until(lambda: instances.running(parents))
        (running,) = instances.running(parents)
        self.control = running.control
        self.turns: Counter[tuple[str, str]] = Counter()
        self.requests: Counter[str] = Counter()
        self.tokens: Counter[str] = Counter()
        self.tools = self.killed = self.restored = 0

    def play(self) -> None:
        deeds = [self.quick, self.command, self.limited, self.refused, self.interrupted, self.dead, self.restored_one]
        for deed in (*deeds, *self._random.choices(deeds, k=STEPS - len(deeds))):
            deed()

    def quick(self) -> None:
        assert text(self.client.result(self.client.codex("quick"))) == "Done."
        self._answered(10, 4, 3, 1)
        self.turns["completed", ""] += 1

    def command(self) -> None:
        self.client.result(self.client.codex("command"))
        self._answered(10, 0, 3, 0)
        self._answered(20, 0, 5, 0)
        self.tools += 1
        self.turns["completed", ""] += 1

    def limited(self) -> None:
        assert text(self.client.result(self.client.codex("limited"))) == "Done."
        self.requests["429"] += 1
        self._answered(10, 0, 3, 0)
        self.turns["completed", ""] += 1

    def refused(self) -> None:
        assert kind(self.client.result(self.client.codex("refused"))) == "model_error"
        self.requests["400"] += 1
        self.turns["failed", "model_error"] += 1

    def interrupted(self) -> None:
        call = self._stalled()
        self.client.cancel(call)
        self.client.answer(call)
        self.requests["cancelled"] += 1
        self.turns["aborted", "turn_aborted"] += 1

    def dead(self) -> str:
        """Kill the worker of a turn; what it was measuring is lost with it. Return the conversation."""
        call = self._stalled()
        thread: Any = self.client.event(call, "session_configured")
        heard = ask([self.control], KillConversation(thread["session_id"]), 20.0)
        assert isinstance(heard[self.control].reply, ActionDone)
        assert kind(self.client.result(call)) == "worker_crashed"
        self.killed += 1
        self.turns["failed", "worker_crashed"] += 1
        return str(thread["session_id"])

    def restored_one(self) -> None:
        """Let a conversation go on whose worker was killed."""
        thread = self.dead()
        result = self.client.result(self.client.reply(thread, "quick"))
        assert text(result) == "Done."
        self._answered(10, 4, 3, 1)
        self.restored += 1
        self.turns["completed", ""] += 1

    def _stalled(self) -> Any:
        call = self.client.codex("stall")
        self.client.event(call, "agent_message_delta")
        return call

    def _answered(self, given: int, cached: int, output: int, reasoning: int) -> None:
        self.requests["ok"] += 1
        self.tokens.update(input=given, cached_input=cached, output=output, reasoning_output=reasoning)


def check_summary(account: Account) -> None:
    """Check that the report behind `greenroom status` says the same in short."""
    reply = ask([account.control], GiveReport(), 20.0)[account.control].reply
    assert isinstance(reply, Reported)
    work = json.loads(bytes(reply.report))["work"]
    outcomes: Counter[str] = Counter()
    for (outcome, _), count in account.turns.items():
        outcomes[outcome] += count
    assert (work["calls"], work["calls_refused"], work["turns"]) == (account.turns.total(), 0, outcomes)
    assert work["tokens"] == account.tokens
    assert (work["rate_limited"], work["deaths"]) == (account.requests["429"], account.killed)
    assert 0 < work["first_token"]["p50"] <= work["first_token"]["p99"]


def test_metrics_agree_with_what_was_counted_over_a_chaos_run(stage: Stage) -> None:
    model = stage.play(*RULES)
    server = stage.serve("fork")
    account = Account(stage, server, seed=7)
    account.play()
    found = samples(stage, server)
    check_summary(account)
    turns = {
        (outcome, kind): value(found, "turns_total", outcome=outcome, kind=kind) for outcome, kind in account.turns
    }
    assert turns == account.turns
    assert value(found, "calls_total", kind="turn") == account.turns.total()
    assert value(found, "turn_duration_seconds_count", outcome="completed") == account.turns["completed", ""]
    assert value(found, "turn_wait_seconds_count") == account.turns.total()
    attempts = {outcome: value(found, "model_attempts_total", outcome=outcome) for outcome in account.requests}
    assert attempts == account.requests
    asked = len([request for request in model.requests() if request.method == "POST"])
    assert asked == account.requests.total() + account.killed, "a killed worker tells nothing of its last request"
    assert value(found, "rate_limited_total") == value(found, "model_retries_total") == account.requests["429"]
    told = {kind: value(found, "tokens_total", kind=kind) for kind in account.tokens}
    assert told == account.tokens
    assert value(found, "tool_duration_seconds_count", tool="shell") == account.tools
    assert value(found, "deaths_total", role="worker", cause="SIGKILL") == account.killed
    assert value(found, "call_to_model_seconds_count") == account.turns.total() - account.killed
    gauges = ("turns_running", "turns_waiting", "calls_open")
    assert [found[f"greenroom_{name}", frozenset()] for name in gauges] == [0, 0, 0]
    assert value(found, "conversations", state="crashed") == account.killed - account.restored
    assert value(found, "clients") == 1
    for role in ("supervisor", "broker", "worker"):
        assert value(found, "processes", role=role) > 0
    assert value(found, "private_memory_bytes", role="supervisor") > 0, "others may be too busy to answer"
    deaths = {labels: count for (name, labels), count in found.items() if name == "greenroom_deaths_total"}
    assert deaths == {frozenset({("role", "worker"), ("cause", "SIGKILL")}): account.killed}, "there are no others"
    assert value(found, "restarts_total", role="worker") == account.restored


def test_the_page_is_served_to_a_collector_where_that_is_asked_for(stage: Stage) -> None:
    path = stage.runtime / "metrics"
    stage.play(*RULES, more=f'\n[greenroom]\nmetrics_listen = "unix:{path}"\n')
    server = stage.serve("fork")
    server.client.result(server.client.codex("quick"))
    until(path.exists)
    page = page_at(str(path))
    assert 'greenroom_turns_total{outcome="completed",kind=""} 1\n' in page
    assert page.endswith("# EOF\n")
    assert "pid=" not in page


def test_a_host_that_replaces_another_serves_the_page_where_that_one_did(stage: Stage) -> None:
    path = stage.runtime / "metrics"
    stage.play(*RULES, more=f'\n[greenroom]\nmetrics_listen = "unix:{path}"\n')
    with hosting(stage) as old:
        client = old.client()
        client.result(client.codex("quick"))
        until(path.exists)
        call = client.codex("stall")
        client.event(call, "agent_message_delta")
        with hosting(stage, "--replace") as new:
            new.await_socket()
            until(lambda: _turns_of(path) == 0, 5.0)
            assert old.process.poll() is None, "it has a turn to finish"
            client.cancel(call)
            client.answer(call)
            assert old.wait() == 0
            assert _turns_of(path) == 0, "the old host has left the socket of the new one alone"


def test_no_server_listens_for_collectors_unless_it_is_asked_to(stage: Stage) -> None:
    stage.play(*RULES)
    server = stage.serve("fork")
    server.client.result(server.client.codex("quick"))
    assert processes.listening(server.tree()) == set()


def test_without_an_instance_there_is_nopage_at(stage: Stage) -> None:
    told = greenroom(stage, "metrics", "--instance", "1")
    assert (told.returncode, told.stdout) == (1, "")
    assert "no instance is running with pid 1" in told.stderr


def _turns_of(path: Path) -> float | None:
    """Return how many turns the instance at a socket has completed; `None` where none answers."""
    try:
        found = read_page(page_at(str(path)))
    except OSError:
        return None
    return found.get(("greenroom_turns_total", frozenset({("outcome", "completed"), ("kind", "")})), 0.0)
