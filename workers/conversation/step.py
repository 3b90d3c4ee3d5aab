"""The steps of a turn as texts of one line, for a person who waits for the answer. Free of I/O.

They are derived from the events that clients of Codex get, so that no step is missing.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from greenroom.protocol.display import clean
from greenroom.protocol.items import JsonObject, as_list

LONGEST: Final = 200
"""Maximum characters of a step."""
_LONGEST_NAME: Final = 120
"""Maximum characters of the command, the text or the names in a step."""
_SHELLS: Final = frozenset({"bash", "dash", "ksh", "sh", "zsh"})


def begun(event: JsonObject) -> tuple[str, str] | None:
    """Return the id and the text of the step that an event begins; `None` where it begins none."""
    describe = _BEGIN.get(str(event["type"]))
    return None if describe is None else (str(event.get("call_id")), describe(event))


def done(event: JsonObject) -> str | None:
    """Return the text of the step that an event completes; `None` where it completes none."""
    describe = _DONE.get(str(event["type"]))
    return None if describe is None else describe(event)


def one_line(text: str, longest: int) -> str:
    """Return a text on one line, cut to a length, without control characters and changes of direction."""
    text = clean(text[: 8 * LONGEST])
    return text if len(text) <= longest else f"{text[: longest - 1].rstrip()}…"


def _command(event: JsonObject) -> str:
    words = [str(word) for word in as_list(event.get("command"))]
    if len(words) == 3 and os.path.basename(words[0]) in _SHELLS and words[1] in {"-c", "-lc"}:
        return _short(words[2])
    return _short(" ".join(words))


def _command_ended(event: JsonObject) -> str:
    return f"exit code {event.get('exit_code')} after {_seconds(event)}: {_command(event)}"


def _patch(doing: str) -> Callable[[JsonObject], str]:
    def describe(event: JsonObject) -> str:
        changes = event.get("changes")
        names = [os.path.basename(str(path)) for path in changes] if isinstance(changes, dict) else []
        return f"{doing} {_listed(names)}"

    return describe


def _patch_ended(event: JsonObject) -> str:
    return _patch("changed" if event.get("success") else "could not change")(event)


def _remote(event: JsonObject) -> str:
    invocation = event.get("invocation")
    facts: Mapping[str, object] = invocation if isinstance(invocation, dict) else {}
    return _short(f"{facts.get('server')}/{facts.get('tool')}")


def _remote_ended(event: JsonObject) -> str:
    result = event.get("result")
    how = "failed" if not isinstance(result, dict) or "Err" in result else "answered"
    return f"{_remote(event)} {how} after {_seconds(event)}"


def _plan(event: JsonObject) -> str | None:
    steps = [step for step in as_list(event.get("plan")) if isinstance(step, dict)]
    for number, step in enumerate(steps, 1):
        if step.get("status") == "in_progress":
            return f"step {number} of {len(steps)}: {_short(str(step.get('step')))}"
    finished = sum(step.get("status") == "completed" for step in steps)
    return f"{finished} of {len(steps)} steps of the plan are done" if steps else None


def _first_line(event: JsonObject) -> str | None:
    lines = (one_line(line, LONGEST) for line in str(event.get("message")).splitlines())
    return next(filter(None, lines), None)


def _seconds(event: JsonObject) -> str:
    duration = event.get("duration")
    if not isinstance(duration, dict):
        return "an unknown time"
    return f"{duration.get('secs', 0) + duration.get('nanos', 0) / 1e9:.1f} s"


def _listed(names: Sequence[str]) -> str:
    first = ", ".join(names[:3])
    return _short(first) if len(names) <= 3 else f"{_short(first)} and {len(names) - 3} more"


def _short(text: str) -> str:
    return one_line(text, _LONGEST_NAME)


_BEGIN: Final[Mapping[str, Callable[[JsonObject], str]]] = {
    "exec_command_begin": lambda event: f"running {_command(event)}",
    "patch_apply_begin": _patch("changing"),
    "mcp_tool_call_begin": lambda event: f"calling {_remote(event)}",
    "web_search_begin": lambda _: "searching the web",
}
_DONE: Final[Mapping[str, Callable[[JsonObject], str | None]]] = {
    "exec_command_end": _command_ended,
    "patch_apply_end": _patch_ended,
    "mcp_tool_call_end": _remote_ended,
    "web_search_end": lambda event: f"searched the web for {_short(str(event.get('query')))}",
    "view_image_tool_call": lambda event: f"looked at {_listed([os.path.basename(str(event.get('path')))])}",
    "plan_update": _plan,
    "agent_message": _first_line,
    "stream_error": lambda event: one_line(str(event.get("message")), LONGEST),
    "context_compacted": lambda _: "shortened the conversation",
    "exec_approval_request": lambda event: f"asks for consent to run {_command(event)}",
    "apply_patch_approval_request": lambda _: "asks for consent to a patch",
}
