"""Calls that take several rounds, whatever dies or is cancelled between them: each request has one answer at most."""

import random
import signal
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import psutil
import pytest

from greenroom.demo.script import CommandStep, Quote, Stall, Text, rule
from tests.support import processes
from tests.support.client import Message, RequestId, text
from tests.support.modern import Modern
from tests.support.server import Server
from tests.support.stage import Stage

STEPS = 50
RULES = (
    rule("quick", [Text("Good day.")]),
    rule("once", [CommandStep(("touch", "it"))], [Quote()]),
    rule("twice", [CommandStep(("touch", "it"))], [CommandStep(("touch", "that"))], [Quote()]),
    rule("stall", [CommandStep(("touch", "it"))], [Text("hm"), Stall()]),
)
PROMPTS = ("quick", "once", "once", "twice", "twice", "stall")
ANSWERS: tuple[object, ...] = ({"action": "accept", "content": {}}, {"action": "decline"}, None)


class Mischief:
    """Does one thing after the other, as a seed decides, and keeps account of the requests."""

    def __init__(self, server: Server, cwd: str, seed: int) -> None:
        self.server = server
        self.cwd = cwd
        self.client = Modern(server.client, {"elicitation": {}})
        self.random = random.Random(seed)
        self.calls: dict[RequestId, dict[str, object]] = {}
        """The arguments of each call."""
        self.given_up: set[RequestId] = set()
        self.seen = 0
        self.waiting: list[tuple[dict[str, object], Message]] = []
        """Calls that wait for their next round: their arguments, and the result that asks."""
        self.deeds: tuple[tuple[Callable[[], None], int], ...] = (
            (self.begin, 6),
            (self.go_on, 6),
            (self.cancel, 2),
            (self.look, 5),
            (self.kill_worker, 2),
        )

    def step(self) -> None:
        deeds, weights = zip(*self.deeds, strict=True)
        self.random.choices(deeds, weights)[0]()

    def begin(self) -> None:
        self._call({"prompt": self.random.choice(PROMPTS), "cwd": self.cwd, "approval-policy": "untrusted"})

    def go_on(self, answer: object = ...) -> None:
        if self.waiting:
            arguments, asked = self.waiting.pop(self.random.randrange(len(self.waiting)))
            answer = self.random.choice(ANSWERS) if answer is ... else answer
            responses = {} if answer is None else dict.fromkeys(asked["inputRequests"], answer)
            self._call(arguments, requestState=asked["requestState"], inputResponses=responses)

    def cancel(self) -> None:
        if self.calls:
            self._give_up(self.random.choice(list(self.calls)))

    def look(self) -> None:
        self.client.result(self.client.request("tools/list"))
        answers = self.client.raw.answers()
        for answer in answers[self.seen :]:
            result = answer.get("result", {})
            if result.get("resultType") == "input_required":
                self.waiting.append((self.calls[answer["id"]], result))
        self.seen = len(answers)

    def kill_worker(self) -> None:
        if found := processes.named(self.server.tree(), "gr-worker"):
            with suppress(psutil.NoSuchProcess):
                self.random.choice(found).send_signal(signal.SIGKILL)

    def unanswered(self) -> set[RequestId]:
        """Return the requests that wait for an answer, and get one."""
        return set(self.calls) - self.given_up - {answer["id"] for answer in self.client.raw.answers()}

    def finish(self) -> None:
        """Answer every question with no, and give up what does not end."""
        while True:
            self.look()
            while self.waiting:
                self.go_on({"action": "decline"})
            left = self.unanswered()
            for call in left:
                if self.calls[call]["prompt"] == "stall":
                    self._give_up(call)
            if not self.unanswered():
                return
            self.client.raw.next_answer()

    def _call(self, arguments: dict[str, object], **more: object) -> None:
        call = self.client.request("tools/call", {"name": "codex", "arguments": arguments, **more})
        self.calls[call] = arguments

    def _give_up(self, call: RequestId) -> None:
        self.client.cancel(call)
        self.given_up.add(call)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_every_round_is_answered_once_whatever_happens(stage: Stage, seed: int) -> None:
    stage.play(*RULES)
    server = stage.start("--engine", "fork")
    mischief = Mischief(server, stage.cwd, seed)
    for _ in range(STEPS):
        mischief.step()
    mischief.finish()
    client = mischief.client
    answers: Counter[Any] = Counter(answer["id"] for answer in client.raw.answers())
    assert set(answers.values()) == {1}
    assert not [answer for answer in client.raw.answers() if "error" in answer], "no state is refused"
    assert not [message for message in client.messages if "method" in message]
    assert text(client.result(client.call("codex", prompt="quick"))) == "Good day."
    assert server.leave() == 0
    assert not stage.left_over()
