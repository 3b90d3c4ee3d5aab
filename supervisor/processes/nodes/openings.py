"""What a worker on a node is told with its conversation: settings and texts of the home, and its session file."""

import os
import time
from collections.abc import Callable
from typing import Final

import msgspec

from greenroom.config.path_map import PathMap
from greenroom.config.rules.rules_files import MAX_FILES
from greenroom.config.tables.nodes import NodesTable
from greenroom.protocol.ids import ConversationId, NodeName
from greenroom.protocol.internal.node import FILES, RULES, RULES_SUFFIX, HomeParts
from greenroom.sessions.storage.file import session_path

MAX_BYTES: Final = 1024 * 1024
"""Bytes of one file that are sent."""
UNSENT: Final = "= this file of the host could not be sent"
"""Stands for settings or rules that cannot be sent. It is no such file, so that the worker refuses what it refuses at
home: without a forbidding rule, or the sandbox that is set, a command would have more rights than there."""


class NodeOpenings:
    """The home of one host, as workers on nodes are told of it."""

    def __init__(self, home: str, table: NodesTable, clock: Callable[[], float] = time.time) -> None:
        self._home = home
        self._table = table
        self._clock = clock
        self._paths: dict[NodeName, PathMap | None] = {}

    def paths_of(self, node: NodeName) -> PathMap | None:
        """Return which directories a node has; `None` where it is taken to have those of the host."""
        if node not in self._paths:
            paths = self._table.of(node).paths
            self._paths[node] = PathMap(paths) if paths else None
        return self._paths[node]

    def parts(self, node: NodeName, conversation_id: ConversationId, cwd: str | None) -> HomeParts:
        """Return what goes with `Open` to a worker of a node. `cwd`: the directory that the call names, absolute."""
        started = self._clock()
        return HomeParts(
            files=home_files(self._home),
            session_path=session_path(self._home, conversation_id, started),
            started=started,
            cwd=cwd,
            default_cwd=os.getcwd(),
            paths=self._table.of(node).paths,
            node=node,
        )


def home_files(home: str) -> dict[str, str]:
    """Return the text of the files that conversations go by, by path below the home."""
    names = [*FILES]
    found: dict[str, str] = {}
    try:
        rules = sorted(name for name in os.listdir(os.path.join(home, RULES)) if name.endswith(RULES_SUFFIX))
        names += [os.path.join(RULES, name) for name in rules[: MAX_FILES + 1]]  # one too many is a fault there as here
    except (FileNotFoundError, NotADirectoryError):
        pass
    except OSError:
        found[os.path.join(RULES, f"unreadable{RULES_SUFFIX}")] = UNSENT
    for name in names:
        text = _text(os.path.join(home, name))
        if text is not None:
            found[name] = text
    return found


def encoded(parts: HomeParts) -> bytes:
    """Return the parts as JSON."""
    return msgspec.json.encode(parts)


def _text(path: str) -> str | None:
    """Return the text of a file; `None` where there is none."""
    try:
        with open(path, "rb") as file:
            data = file.read(MAX_BYTES + 1)
        return data.decode() if len(data) <= MAX_BYTES else UNSENT
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError):
        return UNSENT
