"""The steps of a turn as texts of one line, for a person who waits for the answer. Free of I/O.

They are derived from the events that clients of Codex get, so that no step is missing.
"""

import os
from collections.abc import Sequence
from typing import Final, TypeAlias

from greenroom.protocol.display import clean
from greenroom.protocol.events.command import ExecApprovalRequest, ExecCommandBegin, ExecCommandEnd
from greenroom.protocol.events.event import Duration, Event
from greenroom.protocol.events.file_change import ChangesByPath
from greenroom.protocol.events.mcp import Invocation, McpToolCallBegin, McpToolCallEnd
from greenroom.protocol.events.patch import ApplyPatchApprovalRequest, PatchApplyBegin, PatchApplyEnd
from greenroom.protocol.events.text import AgentMessage
from greenroom.protocol.events.tool import PlanStep, PlanUpdate, ViewImageToolCall, WebSearchBegin, WebSearchEnd
from greenroom.protocol.events.turn import ContextCompacted, StreamError

Beginning: TypeAlias = ExecCommandBegin | PatchApplyBegin | McpToolCallBegin | WebSearchBegin
"""Events that begin a step, which goes on until its `End`."""
End: TypeAlias = ExecCommandEnd | PatchApplyEnd | McpToolCallEnd | WebSearchEnd

LONGEST: Final = 200
"""Maximum characters of a step."""
_LONGEST_NAME: Final = 120
"""Maximum characters of the command, the text or the names in a step."""
_SHELLS: Final = frozenset({"bash", "dash", "ksh", "sh", "zsh"})


def begun(event: Beginning) -> str:
    """Return the text of the step that an event begins."""
    match event:
        case ExecCommandBegin():
            return f"running {_command(event.command)}"
        case PatchApplyBegin():
            return f"changing {_files(event.changes)}"
        case McpToolCallBegin():
            return f"calling {_remote(event.invocation)}"
        case WebSearchBegin():
            return "searching the web"


def done(event: Event) -> str | None:
    """Return the text of the step that an event completes; `None` where it completes none."""
    match event:
        case ExecCommandEnd():
            return f"exit code {event.exit_code} after {_seconds(event.duration)}: {_command(event.command)}"
        case PatchApplyEnd():
            return f"{'changed' if event.success else 'could not change'} {_files(event.changes)}"
        case McpToolCallEnd():
            how = "failed" if "Err" in event.result else "answered"
            return f"{_remote(event.invocation)} {how} after {_seconds(event.duration)}"
        case WebSearchEnd():
            return f"searched the web for {_short(event.query)}"
        case ViewImageToolCall():
            return f"looked at {_listed([os.path.basename(event.path)])}"
        case PlanUpdate():
            return _plan(event.plan)
        case AgentMessage():
            return _first_line(event.message)
        case StreamError():
            return one_line(event.message, LONGEST)
        case ContextCompacted():
            return "shortened the conversation"
        case ExecApprovalRequest():
            return f"asks for consent to run {_command(event.command)}"
        case ApplyPatchApprovalRequest():
            return "asks for consent to a patch"
    return None


def one_line(text: str, longest: int) -> str:
    """Return a text on one line, cut to a length, without control characters and changes of direction."""
    text = clean(text[: 8 * LONGEST])
    return text if len(text) <= longest else f"{text[: longest - 1].rstrip()}…"


def _command(words: Sequence[str]) -> str:
    if len(words) == 3 and os.path.basename(words[0]) in _SHELLS and words[1] in {"-c", "-lc"}:
        return _short(words[2])
    return _short(" ".join(words))


def _files(changes: ChangesByPath) -> str:
    return _listed([os.path.basename(path) for path in changes])


def _remote(invocation: Invocation) -> str:
    return _short(f"{invocation.server}/{invocation.tool}")


def _plan(steps: Sequence[PlanStep]) -> str | None:
    for number, step in enumerate(steps, 1):
        if step.status == "in_progress":
            return f"step {number} of {len(steps)}: {_short(step.step)}"
    finished = sum(step.status == "completed" for step in steps)
    return f"{finished} of {len(steps)} steps of the plan are done" if steps else None


def _first_line(message: str) -> str | None:
    lines = (one_line(line, LONGEST) for line in message.splitlines())
    return next(filter(None, lines), None)


def _seconds(duration: Duration) -> str:
    return f"{duration.secs + duration.nanos / 1e9:.1f} s"


def _listed(names: Sequence[str]) -> str:
    first = ", ".join(names[:3])
    return _short(first) if len(names) <= 3 else f"{_short(first)} and {len(names) - 3} more"


def _short(text: str) -> str:
    return one_line(text, _LONGEST_NAME)
