"""Extracts the patch from a call of the function `apply_patch`, under any name and in any wrapping. Free of I/O."""

import re
from collections.abc import Sequence
from typing import Any, Final

from greenroom.workers.patch.interception import PatchCall, PatchRefused, recognise, recognise_script
from greenroom.workers.patch.language import BEGIN, END
from greenroom.workers.tools.arguments import PREFIX, members
from greenroom.workers.tools.types import ToolFailure

NAMES: Final = ("input", "patch", "patch_text", "patchText", "diff", "text", "content", "command", "cmd", "script")
"""Members that contain the patch: the documented one, and what models write instead."""

_FENCED: Final = re.compile(r"\s*(`{3,}|~{3,})[^\n`]*\n(?P<text>.*?)\n?[ \t]*\1\s*", re.DOTALL)
_CALLED: Final = re.compile(rf"\A(?:apply_patch|applypatch)\s+(?={re.escape(BEGIN)})")
"""The name of the program before an unquoted patch."""


def read_patch(arguments: str) -> PatchCall:
    """Return the patch of a call. Raises `ToolFailure` with the error for the model."""
    return _of_text(arguments) if arguments.lstrip().startswith(_OPENINGS) else _of_members(members(arguments))


def unwrapped(text: str) -> str:
    """Return a patch without a Markdown fence around it."""
    fenced = _FENCED.fullmatch(text)
    return fenced["text"] if fenced else text


_OPENINGS: Final = (BEGIN, "```", "~~~", "<<", "apply_patch", "applypatch", "cat ", "cd ")
"""The beginning of arguments that are the patch itself rather than JSON."""


def _of_members(given: dict[str, Any]) -> PatchCall:
    found = {name: given[name] for name in NAMES if given.get(name) not in (None, "", [])}
    if not found:
        raise ToolFailure(f"{PREFIX}Object missing required field `input`")
    calls = [_of_value(name, value) for name, value in found.items()]
    if any(call != calls[0] for call in calls):
        raise ToolFailure(f"{PREFIX}there are several patches: {', '.join(f'`{name}`' for name in found)}")
    return calls[0]


def _of_value(name: str, value: object) -> PatchCall:
    match value:
        case str():
            return _of_text(value)
        case [*texts] if all(isinstance(text, str) for text in texts):
            return _of_list([str(text) for text in texts])
        case _:
            kind = "object" if isinstance(value, dict) else "array" if isinstance(value, list) else type(value).__name__
            raise ToolFailure(f"{PREFIX}Expected `str`, got `{kind}` - at `$.{name}`")


def _of_list(words: Sequence[str]) -> PatchCall:
    if len(words) > 1 and words[0].strip() == BEGIN and words[-1].strip() == END:
        return PatchCall("\n".join(words))
    if len(words) == 1:
        return _of_text(words[0])
    call = recognise(words)
    if call is None:
        raise ToolFailure(f"{PREFIX}the list is no call of apply_patch; give the text of the patch as `input`")
    return _checked(call)


def _of_text(text: str) -> PatchCall:
    text = unwrapped(text)
    stripped = _CALLED.sub("", text.strip())
    if stripped.startswith(BEGIN):
        return PatchCall(stripped)
    call = recognise_script(f"apply_patch {stripped}" if stripped.startswith("<<") else stripped)
    return PatchCall(text) if call is None else _checked(call)


def _checked(call: PatchCall | PatchRefused) -> PatchCall:
    if isinstance(call, PatchRefused):
        raise ToolFailure(call.reason)
    return PatchCall(unwrapped(call.body), call.directory)
