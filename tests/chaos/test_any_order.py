"""Whatever dies, hangs or is cancelled, in whatever order: every call is answered, once, and the server goes on."""

import os
import random
import signal
from collections import Counter
from contextlib import suppress
from typing import Any

import psutil
import pytest

from greenroom.demo.script import CommandStep, Quote, Stall, Text, Think, rule
from tests.support import processes
from tests.support.client import Client, RequestId, kind, text
from tests.support.server import Server
from tests.support.stage import Stage
from tests.support.template import SEEDED

pytestmark = pytest.mark.both_engines

STEPS = 60
RULES = (
    rule("quick", [Text("Good day.")]),
    rule("slow", [Think(0.05), Text("At "), Think(0.05), Text("last.")]),
    rule("command", [CommandStep(("sh", "-c", "sleep 0.05; echo done"))], [Quote()]),
    rule("sleep", [CommandStep(("sleep", "600"))]),
    rule("stall", [Text("hm"), Stall()]),
)
PROMPTS = ("quick", "quick", "slow", "command", "command", "sleep", "stall")
ENDLESS = ("sleep", "stall")
FAILURES = {"worker_crashed", "turn_aborted", "start_failed", "session_unknown"}


class Mischief:
    """Does one thing after the other, as a seed decides, and keeps account of the calls."""

    def __init__(self, server: Server, seed: int) -> None:
        self.server = server
        self.client: Client = server.client
        self.random = random.Random(seed)
        self.calls: list[RequestId] = []
        self.endless: set[RequestId] = set()
        self.threads: list[str] = []
        self.busy: list[str] = []
        """Those with a turn that no call waits for and that ends only when it is interrupted."""
        self.deeds = (
            (self.begin, 6),
            (self.reply, 6),
            (self.start, 3),
            (self.ask_after, 5),
            (self.cancel, 3),
            (self.look, 4),
            (self.kill_worker, 3),
            (self.kill_helper, 1),
            (self.stop_worker_for_a_moment, 1),
        )

    def step(self) -> None:
        deeds, weights = zip(*self.deeds, strict=True)
        self.random.choices(deeds, weights)[0]()

    def begin(self) -> None:
        prompt = self.random.choice(PROMPTS)
        self._note(self.client.codex(prompt), prompt)

    def reply(self) -> None:
        if self.threads:
            prompt = self.random.choice(PROMPTS)
            self._note(self.client.reply(self.random.choice(self.threads), prompt), prompt)

    def start(self) -> None:
        """Begin a turn that no call waits for."""
        prompt = self.random.choice(PROMPTS)
        call = self.client.codex(prompt, wait=False)
        self.calls.append(call)
        begun = self.client.result(call).get("structuredContent", {})
        if "callId" in begun:
            self.threads.append(begun["threadId"])
            if prompt in ENDLESS:
                self.busy.append(begun["threadId"])

    def ask_after(self) -> None:
        if self.threads:
            tool = self.random.choice(("codex-wait", "codex-wait", "codex-read", "codex-interrupt"))
            more: dict[str, Any] = {"seconds": self.random.uniform(0.0, 0.5)} if tool == "codex-wait" else {}
            self.calls.append(self.client.call(tool, threadId=self.random.choice(self.threads), **more))

    def cancel(self) -> None:
        if self.calls:
            call = self.random.choice(self.calls)
            self.client.cancel(call)
            self.endless.discard(call)

    def look(self) -> None:
        self.client.ask("ping")
        self.client.silent(self.random.uniform(0.0, 0.05))
        self.client.ask("ping")
        for message in self.client.messages:
            if message.get("method") == "codex/event":
                thread = message["params"]["_meta"]["threadId"]
                if thread not in self.threads:
                    self.threads.append(thread)

    def kill_worker(self) -> None:
        self._signal("gr-worker", signal.SIGKILL)

    def kill_helper(self) -> None:
        self._signal(self.random.choice(("gr-broker", "gr-forkserver")), signal.SIGKILL)

    def stop_worker_for_a_moment(self) -> None:
        pid = self._signal("gr-worker", signal.SIGSTOP)
        self.client.ask("ping")
        if pid is not None:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)

    def end_the_endless(self) -> None:
        for call in self.endless:
            self.client.cancel(call)
        self.calls += [self.client.call("codex-interrupt", threadId=thread) for thread in self.busy]

    def _note(self, call: RequestId, prompt: str) -> None:
        self.calls.append(call)
        if prompt in ENDLESS:
            self.endless.add(call)

    def _signal(self, name: str, number: signal.Signals) -> int | None:
        found = processes.named(self.server.tree(), name)
        if not found:
            return None
        process = self.random.choice(found)
        with suppress(psutil.NoSuchProcess):
            process.send_signal(number)
        return process.pid


CROWDED = ("-c", "greenroom.live_workers=3", "-c", "greenroom.park_after_s=0.05", "-c", "greenroom.idle_workers=1")
"""Conversations have to leave their places to each other all the time."""


def test_every_call_is_answered_once_whatever_happens(stage: Stage, engine: str) -> None:
    make_mischief(stage, engine, 2, *CROWDED)


def test_every_call_is_answered_once_where_nothing_has_to_leave(stage: Stage) -> None:
    make_mischief(stage, "fork", 1)


def make_mischief(stage: Stage, engine: str, seed: int, *flags: str) -> None:
    """Play one run, and check all that is promised of it."""
    stage.play(*RULES)
    server = stage.serve(engine, *flags, **SEEDED)
    mischief = Mischief(server, seed)
    for _ in range(STEPS):
        mischief.step()
    mischief.end_the_endless()
    for call in mischief.calls:
        result = server.client.result(call)
        if result.get("isError") and "structuredContent" in result:
            assert kind(result) in FAILURES
    server.client.ask("ping")
    answers = Counter(answer["id"] for answer in server.client.answers())
    assert {answers[call] for call in mischief.calls} == {1}
    assert text(server.client.result(server.client.codex("quick"))) == "Good day."
    assert server.leave() == 0
    assert not stage.left_over()
