"""What a worker on a node is told with its conversation: settings and texts of the home, and its session file."""

import os
import time
from collections.abc import Callable
from typing import Final

import msgspec

from greenroom.config.nodes import NodesTable
from greenroom.protocol.ids import ConversationId, NodeName
from greenroom.protocol.internal.node import FILES, RULES, RULES_SUFFIX, HomeParts
from greenroom.sessions.file import session_path

MAX_RULES: Final = 100
"""Files with rules that are sent."""
MAX_BYTES: Final = 1024 * 1024
"""Bytes of one file; a larger one is left out."""


class NodeOpenings:
    """The home of one host, as workers on nodes are told of it."""

    def __init__(self, home: str, table: NodesTable, clock: Callable[[], float] = time.time) -> None:
        self._home = home
        self._table = table
        self._clock = clock

    def parts(self, node: NodeName, conversation_id: ConversationId, cwd: str | None) -> HomeParts:
        """Return what goes with `Open` to a worker of a node. `cwd`: the directory that the call names, absolute."""
        started = self._clock()
        named = self._table.named.get(node)
        return HomeParts(
            files=home_files(self._home),
            session_path=session_path(self._home, conversation_id, started),
            started=started,
            cwd=cwd,
            paths={} if named is None else named.paths,
            node=node,
        )


def home_files(home: str) -> dict[str, str]:
    """Return the text of the files that conversations go by, by path below the home."""
    names = [*FILES, *(os.path.join(RULES, name) for name in _rules(home))]
    texts = ((name, _text(os.path.join(home, name))) for name in names)
    return {name: text for name, text in texts if text is not None}


def encoded(parts: HomeParts) -> bytes:
    """Return the parts as JSON."""
    return msgspec.json.encode(parts)


def _rules(home: str) -> list[str]:
    try:
        names = os.listdir(os.path.join(home, RULES))
    except OSError:
        return []
    return sorted(name for name in names if name.endswith(RULES_SUFFIX))[:MAX_RULES]


def _text(path: str) -> str | None:
    try:
        with open(path, "rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError:
        return None
    return None if len(data) > MAX_BYTES else data.decode("utf-8", "replace")
