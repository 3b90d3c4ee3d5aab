"""What becomes of the calls of many conversations while something is lost, and what of their turns is in the files."""

import os
from collections import Counter
from collections.abc import Callable
from typing import Final, Protocol

from greenroom.demo.script import Text, Think, rule
from tests.support.client import EndOfOutputError, text, thread_id
from tests.support.home import records
from tests.support.host import Host, SocketClient
from tests.support.stage import Stage

PATIENCE: Final = float(os.environ.get("GREENROOM_CHAOS_PATIENCE", "1"))
"""Factor of all deadlines of these tests, for a machine that has much else to do."""
WITHIN: Final = 60.0 * PATIENCE
"""Seconds in which each call has to be answered, and a node has to be there again."""
FAILURES: Final = {"worker_crashed", "start_failed", "session_unsaved"}
"""Kinds of errors that a loss may cause."""
ANSWER: Final = "An answer that is not to be lost."
TURN: Final = rule("go", [Text("So. "), Think(0.3), Text(ANSWER)])
"""What the model answers."""


class Site(Protocol):
    """A host with nodes."""

    host: Host
    client: SocketClient

    @property
    def hit(self) -> set[str]:
        """Nodes whose turns may be lost in this round."""
        ...


class Ledger:
    """What became of each call."""

    def __init__(self, stage: Stage, conversations: int) -> None:
        self._stage = stage
        self._count = conversations
        self._prompts = 0
        self.answered: dict[str, list[str]] = {}
        """Prompts of the turns that were answered, by conversation."""
        self.outcomes: Counter[str] = Counter()

    def prompt(self) -> str:
        self._prompts += 1
        return f"go {self._prompts:06d}"

    def begin(self, site: Site) -> None:
        """Begin the conversations."""
        calls = {prompt: site.client.codex(prompt, cwd=self._stage.cwd) for prompt in self._some(self._count)}
        for prompt, call in calls.items():
            result = site.client.result(call, within=WITHIN)
            assert not result.get("isError"), result
            self.answered[thread_id(result)] = [prompt]
        site.client.messages.clear()

    def round(self, site: Site, happening: Callable[[], object]) -> None:
        """Call in each conversation, let something happen meanwhile, and take the answer of each call."""
        client, host = site.client, site.host
        calls = {thread: (prompt := self.prompt(), client.reply(thread, prompt)) for thread in self.answered}
        happening()
        is_gone = site.host is not host
        for thread, (prompt, call) in calls.items():
            try:
                result = client.result(call, within=WITHIN)
            except (EndOfOutputError, ConnectionResetError):
                assert is_gone, "a host that lives answers"
                self.outcomes["host killed"] += 1
                continue
            if result.get("isError"):
                error = result["structuredContent"]["error"]
                assert error["kind"] in FAILURES, error
                expected = error.get("node") in (None, *site.hit)
                self.outcomes[f"{error['kind']} {error.get('cause', '')}{'' if expected else ' elsewhere'}"] += 1
            else:
                assert text(result).endswith(ANSWER)
                self.answered[thread].append(prompt)
                self.outcomes["answered"] += 1
        counts = Counter(message["id"] for message in client.answers())
        assert set(counts) <= {call for _, call in calls.values()}, "and none for another one"
        for _, call in calls.values():
            assert counts[call] <= 1 if is_gone else counts[call] == 1, "one answer for each call"
        if is_gone:
            site.client = site.host.client()
        site.client.messages.clear()
        site.client.lines.clear()

    def check(self) -> None:
        """Every turn that was answered is in its session file, once, with its answer, in order."""
        for thread, prompts in self.answered.items():
            turns = told_turns(self._stage, thread)
            kept = [prompt for prompt, is_answered in turns if is_answered]
            assert [prompt for prompt in kept if prompt in set(prompts)] == prompts, (thread, prompts, turns)

    def _some(self, count: int) -> list[str]:
        return [self.prompt() for _ in range(count)]


def told_turns(stage: Stage, thread: str) -> list[tuple[str, bool]]:
    """Return the prompts in a session file, each with whether the answer follows it."""
    turns: list[tuple[str, bool]] = []
    for kind, payload in records(stage.home.session(thread)):
        if kind != "response_item" or payload.get("type") != "message":
            continue
        said = "".join(str(part.get("text", "")) for part in payload["content"])
        if payload["role"] == "user" and said.startswith("go "):
            turns.append((said, False))
        elif payload["role"] == "assistant" and ANSWER in said:
            turns[-1] = (turns[-1][0], True)
    return turns
