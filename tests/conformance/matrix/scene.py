"""What every client of the matrix is given, and what its model says.

A client is handed a scene as a JSON object. It opens two connections, plays every situation of
`tests.conformance.matrix.situations`, and reports on them; the last line that a client prints is its report.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias

from greenroom.demo.script import Call, CommandStep, Quote, ScriptRule, Stall, Text, rule
from tests.conformance.foreign import Imports
from tests.support.stage import Stage

Report: TypeAlias = dict[str, Any]

PROMPTS: Final[Mapping[str, str]] = {
    "start": "start",
    "reply": "go on",
    "stall": "stall",
    "die": "let your worker die",
    "wait": "wait for the flag",
    "allowed": "do what will be allowed",
    "denied": "do what will be denied",
}
FLAG: Final = "flag"
"""A file in the directory of the scene, for which the command of `wait` waits."""
ALLOWED, DENIED = "allowed", "denied"
"""Files that commands make which need consent. A client's user allows the first, and denies the second."""
_KILL: Final = """\
worker=$PPID
until [ "$(cat /proc/$worker/comm)" = gr-worker ]; do
    worker=$(sed -n 's/^PPid:[^0-9]*//p' /proc/$worker/status)
    [ "$worker" -gt 1 ] || exit 1
done
kill -9 "$worker"
sleep 60
"""
_WAIT: Final = f"until [ -e {FLAG} ]; do sleep 0.05; done"


def _outside(command: str) -> Call:
    """Return a call that asks to run a command outside the sandbox."""
    wish = {"sandbox_permissions": "require_escalated", "justification": "to see what happens"}
    return Call("exec_command", {"cmd": command, "login": False, **wish})


def _verdict(verdict: str) -> Text:
    review = {"verdict": verdict, "risk": "low", "authorization": "high", "rationale": "Because."}
    return Text(json.dumps(review))


RULES: Final[tuple[ScriptRule, ...]] = (
    rule("generate a very short title", [Text("A title")]),
    rule(re.compile(f"The action:.*touch {DENIED}", re.DOTALL), [_verdict("deny")]),
    rule("The action:", [_verdict("allow")]),
    rule(PROMPTS["start"], [Text("Well."), CommandStep(("sh", "-c", "x=to; echo $x you"))], [Quote("Good day ")]),
    rule(PROMPTS["reply"], [Text(("And to ", "you again."))]),
    rule(PROMPTS["stall"], [Text("hm"), Stall()]),
    rule(PROMPTS["die"], [Text("hm"), CommandStep(("sh", "-c", _KILL))], [Text("It lives.")]),
    rule(PROMPTS["wait"], [CommandStep(("sh", "-c", _WAIT))], [Text("Waited.")]),
    rule(PROMPTS["allowed"], [_outside(f"touch {ALLOWED}")], [Text("So it is.")]),
    rule(PROMPTS["denied"], [_outside(f"touch {DENIED}")], [Text("So it is.")]),
)


@dataclass(frozen=True)
class Scene:
    """One row's surroundings."""

    stage: Stage
    imports: Imports
    cwd: Path
    """A directory of its own."""
    mode: str
    is_shared: bool
    """Whether both connections lead to one host."""
    program: str
    """What a client starts as `codex`."""
    url: str | None = None
    """Where the server is, of a client over HTTP."""
    headers: Mapping[str, str] | None = None

    def as_json(self) -> str:
        """Return the scene as programs are given it."""
        command, *arguments = self.stage.command("mcp-server")
        members = {
            "command": command,
            "args": arguments,
            "program": self.program,
            "environment": self.stage.environment(),
            "cwd": str(self.cwd),
            "flag": str(self.cwd / FLAG),
            "mode": self.mode,
            "is_shared": self.is_shared,
            "prompts": PROMPTS,
        }
        if self.url is not None:
            members |= {"url": self.url, "headers": self.headers}
        return json.dumps(members)
