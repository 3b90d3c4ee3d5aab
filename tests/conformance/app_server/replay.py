"""The same conversations held with two programs that speak this protocol, reduced to what can be compared."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from greenroom.demo.script import Call, CommandStep, FailStep, Quote, ScriptRule, Stall, Text, rule
from tests.support.app_server import AppServer
from tests.support.client import Message
from tests.support.stage import Stage

RULES: Final[tuple[ScriptRule, ...]] = (
    rule("say something", [Text(("Good ", "day."))]),
    rule("look around", [Text("I will look."), CommandStep(("sh", "-c", "echo here"))], [Quote("It said ")]),
    rule("make a file", [Call("exec_command", {"cmd": "touch made"})], [Text("Done.")]),
    rule("fail", [FailStep(400, {"error": {"message": "nope"}})]),
    rule("stall", [Text("hm"), Stall()]),
)
PIECES: Final = frozenset({"item/agentMessage/delta", "item/commandExecution/outputDelta"})
"""Notifications of pieces, whose number is no matter."""


class Scenario(NamedTuple):
    """One turn, and what the client does meanwhile."""

    prompt: str
    decision: str | None = None
    """The answer to a question about a command."""
    interrupts: bool = False
    """Whether the client interrupts the turn after its first text."""


SCENARIOS: Final[Mapping[str, Scenario]] = {
    "text": Scenario("say something"),
    "command": Scenario("look around"),
    "command approved": Scenario("make a file", decision="accept"),
    "command declined": Scenario("make a file", decision="decline"),
    "model error": Scenario("fail"),
    "interrupted": Scenario("stall", interrupts=True),
}


def hold(stage: Stage, program: Sequence[str], scenario: Scenario) -> list[Message]:
    """Run one turn with a server, and return what it has sent since the turn was asked for."""
    server = AppServer(program, stage.environment(HOME=str(stage.home.path)), stage.log)  # no profile of a user
    stage.servers.append(server)
    client = server.app
    client.hello()
    question = "item/commandExecution/requestApproval"
    policy = {"approvalPolicy": "untrusted"} if scenario.decision else {}
    if scenario.decision is not None:
        client.answers_with[question] = lambda _: {"decision": scenario.decision}
    thread = client.start(cwd=stage.cwd, **policy)
    before = len(client.messages)
    turn = client.say(thread, scenario.prompt)
    if scenario.interrupts:
        client.until(_completes_a_text)
        client.request("turn/interrupt", {"threadId": thread, "turnId": turn})
    client.completed(turn)
    return [message for message in client.messages[before:] if "method" in message]


def _completes_a_text(message: Message) -> bool:
    return message.get("method") == "item/completed" and message["params"]["item"]["type"] == "agentMessage"


def outline(messages: Sequence[Message]) -> list[str]:
    """Return what happened, one line a message: its method, and what it is about."""
    lines: list[str] = []
    for message in messages:
        line = " ".join((message["method"], *_subject(message["params"])))
        if not (message["method"] in PIECES and lines and lines[-1] == line):
            lines.append(line)
    return lines


def members(messages: Sequence[Message]) -> dict[str, set[str]]:
    """Return the names of members by message, and by type of item or object in it."""
    found: dict[str, set[str]] = {}
    for message in messages:
        _note(message["params"], message["method"], found)
    return found


def _subject(params: Mapping[str, Any]) -> Iterator[str]:
    match params:
        case {"item": {"type": str(kind), **rest}}:
            yield kind
            status = rest.get("status")
            if isinstance(status, str):
                yield status
        case {"turn": {"status": str(status)}} | {"status": {"type": str(status)}}:
            yield status


def _note(value: object, name: str, found: dict[str, set[str]]) -> None:
    if not isinstance(value, dict):
        return
    kind = value.get("type")
    name = f"{name.partition(' ')[0]} {kind}" if name.endswith(" item") and isinstance(kind, str) else name
    name = f"item {kind}" if name.startswith("item/") and isinstance(kind, str) else name
    found.setdefault(name, set()).update(value)
    for member, below in value.items():
        if member in ("item", "turn", "tokenUsage", "total", "error"):
            _note(below, f"{name} {member}", found)
