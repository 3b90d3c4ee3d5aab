"""The servers that a test starts, as the interpreter is told of them (PEP 578)."""

import os
import sys
from collections.abc import Iterable

_started: list[str] = []


def watch() -> None:
    """Listen to every start of a program by this process from now on; a hook cannot be taken back."""
    sys.addaudithook(_note)


def taken() -> list[str]:
    """Return the commands that have started servers since the last call."""
    commands = _started[:]
    _started.clear()
    return commands


def is_server(arguments: Iterable[object]) -> bool:
    """Tell whether a command is this program, other than for what it only prints."""
    words = {os.fsdecode(word) for word in arguments if isinstance(word, str | bytes | os.PathLike)}
    return bool(words & {"mcp-server", "serve", "demo"}) and any("greenroom" in word for word in words)


def _note(event: str, arguments: tuple[object, ...]) -> None:
    if event == "subprocess.Popen" and isinstance(arguments[1], list | tuple) and is_server(arguments[1]):
        _started.append(" ".join(map(str, arguments[1])))
